"""The checksum of a file of shards: as fast as memory is read, so that a training can afford it for each byte.

The bytes are little-endian words of 64 bits, zeros added at the end, in pieces of 256 KiB. A piece gives 512 sums:
of its words 0, 512, 1024, …; of its words 1, 513, …; and so on. Piece by piece, the state, 512 numbers, is multiplied
by an odd constant and the sums are added, all modulo 2⁶⁴. The checksum is the beginning of the SHA-256 of state and
length. Any change of one word, a cut, and added bytes change it. It is no protection from people who want to deceive.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

PIECE = 1 << 18  # bytes
LANES = 512  # with 64 the sums take twice the time
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ over the golden ratio, made odd


class Checksum:
    """The checksum of bytes that come in parts of any length."""

    def __init__(self) -> None:
        self.length = 0
        self._state = np.zeros(LANES, np.uint64)
        self._sums = np.zeros(LANES, np.uint64)  # of the present piece
        self._rest = b""  # less than a word

    def update(self, content: bytes | memoryview) -> None:
        """Add the next bytes."""
        view = memoryview(content)
        if self._rest:
            missing = 8 - len(self._rest)
            self._rest, view = self._rest + bytes(view[:missing]), view[missing:]
            if len(self._rest) < 8:
                return
            self._rest, word = b"", self._rest
            self._add(np.frombuffer(word, "<u8"))
        whole = len(view) // 8 * 8
        self._rest = bytes(view[whole:])
        words = np.frombuffer(view[:whole], "<u8")
        while words.size:
            count = min(words.size, (PIECE - self.length % PIECE) // 8)
            self._add(words[:count])
            words = words[count:]

    def _add(self, words: npt.NDArray[np.uint64]) -> None:
        """Add words that are all of the present piece."""
        lane = self.length // 8 % LANES
        head = words[: (LANES - lane) % LANES]
        body = words[head.size :]
        tail = body[body.size // LANES * LANES :]
        self._sums[lane : lane + head.size] += head
        if body.size > tail.size:
            self._sums += np.add.reduce(body[: body.size - tail.size].reshape(-1, LANES), axis=0)
        self._sums[: tail.size] += tail
        self.length += 8 * words.size
        if self.length % PIECE == 0:
            self._end_piece()

    def _end_piece(self) -> None:
        self._state *= _FACTOR
        self._state += self._sums
        self._sums[:] = 0

    def digest(self) -> str:
        """Return 16 hexadecimal digits; nothing may be added afterwards."""
        length = self.length + len(self._rest)
        if self._rest:
            self._add(np.frombuffer(self._rest.ljust(8, b"\0"), "<u8"))
        self._end_piece()
        content = self._state.astype("<u8").tobytes() + length.to_bytes(8, "little")
        return hashlib.sha256(content).hexdigest()[:16]
