"""Read IDX files, the format of MNIST and similar data sets: plain or compressed with gzip.

A header of 4 bytes (two zeros, the element type, the number of dimensions), then each dimension as a big-endian
32-bit number, then the elements in C order, big-endian. Source: LeCun, Cortes, Burges, "The MNIST database of
handwritten digits", section "File formats".
"""

from __future__ import annotations

import math
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core import atomic
from ..core.arrays import Array
from ..errors import DataError
from .packing import check_packing

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PIECE = 1 << 18  # bytes read, and decompressed, at a time
# Deflate codes at most 258 bytes in two bits (a length code and a distance code of one bit each), so a file never holds
# more than 1032 times its size. (RFC 1951, section 3.2.5)
MOST_EXPANSION = 1032
# Digits are compressed about 5 : 1 and read without a copy. A larger array than this many times its file grows as its
# elements are read: a wrong header alone causes no large allocation.
USUAL_EXPANSION = 8


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """Return the next bytes; fewer at the end."""


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Read an IDX file.

    Parameters
    ----------
    path : str or path-like
        The file. Its first bytes tell whether it is compressed, not its name.

    Returns
    -------
    ndarray
        1 to 4 dimensions; uint8, int8, int16, int32, float32 or float64 in the machine's byte order.

    Raises
    ------
    DataError
        If the file is missing or unreadable, or if it is not exactly one whole IDX file: the message names the file,
        the requirement and the value.

    Notes
    -----
    Memory is allocated for the elements that the header announces, after a check that the file is large enough for
    them; decompression stops one byte after them. If they are more than 8 times the size of a compressed file, the
    array begins smaller and doubles as needed, with one copy each time. A compressed file may hold at most 100 times
    its size, or 64 MB.
    """
    name = os.fsdecode(path)
    if "\0" in name:
        raise DataError(f"{name!r}: must be a file's name; got one with a NUL character: check the path")
    try:
        with atomic.open_regular(name) as file:
            size = os.fstat(file.fileno()).st_size
            magic = file.read(2)
            file.seek(0)
            if magic == b"\x1f\x8b":
                return _read(decompressed(file, name), name, size, size * MOST_EXPANSION)
            return _read(_pieces(file), name, size, size)
    except OSError as error:
        raise DataError(f"{name}: must be a file that can be read; got: {error.strerror or error}") from error


def _pieces(file: _Readable) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


def decompressed(file: _Readable, name: str) -> Iterator[bytes]:
    """Yield the contents of a gzip file of one or more members, at most `PIECE` bytes at a time."""
    engine = zlib.decompressobj(wbits=31)
    for compressed in _pieces(file):
        while compressed:
            if engine.eof:
                compressed = compressed.lstrip(b"\0")  # padding is allowed after a member
                if not compressed:
                    break
                engine = zlib.decompressobj(wbits=31)
            try:
                piece = engine.decompress(compressed, PIECE)
            except zlib.error as error:
                raise DataError(f"{name}: must be a sound gzip file; got: {error}") from error
            compressed = engine.unused_data if engine.eof else engine.unconsumed_tail
            if piece:
                yield piece
    if not engine.eof:
        raise DataError(
            f"{name}: must be a whole gzip file; got one that ends early: copy or download it again"
        )


def _read(pieces: Iterator[bytes], name: str, size: int, most: int) -> Array:
    """Read header and elements from the pieces of a file of ``size`` bytes that can hold at most ``most`` bytes."""
    start = b""
    while len(start) < 4 + 4 * 4:
        piece = next(pieces, b"")
        start += piece
        if not piece:
            break
    kind, shape = header(start, name)
    offset = 4 + 4 * len(shape)
    need = math.prod(shape) * kind.itemsize
    if offset + need > most:
        raise DataError(
            f"{name}: header announces {_times(shape)} elements of {kind.itemsize} bytes, {need:,} bytes in all; "
            f"got a file that can hold {max(most - offset, 0):,}: it is cut off, or its header is wrong"
        )
    if most > size:
        check_packing(f"{name}:", size, need)
    # An empty array passes the check above, but NumPy limits the product of its other dimensions too.
    if math.prod(filter(None, shape)) * kind.itemsize > sys.maxsize:
        raise DataError(
            f"{name}: dimensions besides 0 must make at most {sys.maxsize:,} bytes; got {_times(shape)} elements "
            f"of {kind.itemsize} bytes: its header is wrong"
        )
    return _elements(start[offset:], pieces, name, kind, shape, min(need, size * USUAL_EXPANSION))


def header(start: bytes, name: str) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    """Return element type and shape from the first bytes of a file; DataError if they are no IDX header."""
    if len(start) < 4:
        raise DataError(
            f"{name}: an IDX file must begin with a header of 4 bytes; got {len(start)} bytes in all"
        )
    zeros, code, dimensions = struct.unpack(">HBB", start[:4])
    if zeros != 0 or code not in TYPES:
        raise DataError(
            f"{name}: an IDX file must begin with 0x0000 and an element type of 0x08, 0x09, 0x0B … 0x0E; "
            f"got 0x{start[:4].hex()}: name an IDX file"
        )
    if not 1 <= dimensions <= 4:
        raise DataError(f"{name}: must have 1 to 4 dimensions; got {dimensions}")
    if len(start) < 4 + 4 * dimensions:
        raise DataError(
            f"{name}: must have a header of {4 + 4 * dimensions} bytes; got {len(start)} bytes in all"
        )
    return np.dtype(TYPES[code]), struct.unpack(f">{dimensions}I", start[4 : 4 + 4 * dimensions])


def _elements(
    first: bytes,
    pieces: Iterator[bytes],
    name: str,
    kind: np.dtype[np.generic],
    shape: tuple[int, ...],
    first_size: int,
) -> Array:
    """Read the elements into an array that begins at ``first_size`` bytes and doubles when it is full."""
    need = math.prod(shape) * kind.itemsize
    raw = np.empty(first_size, dtype=np.uint8)
    filled = 0
    piece: bytes | None = first
    while piece is not None:
        end = filled + len(piece)
        if end > need:
            raise DataError(
                f"{name}: must end after its {need:,} bytes of elements, {_times(shape)}; got more: its header is "
                "wrong, or something was appended: copy or download it again"
            )
        if end > len(raw):
            larger = np.empty(min(need, max(end, 2 * len(raw))), dtype=np.uint8)
            larger[:filled] = raw[:filled]
            raw = larger
        raw[filled:end] = np.frombuffer(piece, dtype=np.uint8)
        filled = end
        piece = next(pieces, None)
    if filled < need:
        raise DataError(
            f"{name}: must hold {need:,} bytes of elements, {_times(shape)}; got {filled:,}: copy or download it again"
        )
    array = raw.view(kind)
    if not kind.isnative:
        array.byteswap(inplace=True)  # a second array would double the memory
    return array.view(kind.newbyteorder("=")).reshape(shape)


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{size:,}" for size in shape)


def find_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the first file in the folder that has one of the names, plain or with ``.gz``; None if there is none."""
    candidates = (folder / (name + ending) for name in names for ending in ("", ".gz"))
    return next((path for path in candidates if path.exists() and not path.is_dir()), None)
