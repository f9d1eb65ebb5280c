"""Train on images in blocks: read them, one window ahead, into a ring that steps read like an array."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from ..backend import aligned
from ..core import streams
from ..core.arrays import Array, Int64
from ..core.blocks import ROWS, Blocks, Reading
from ..core.seeding import SHUFFLE, stream
from ..nn import scales
from .class_shares import ClassShares

PATIENCE = 1.0  # seconds to wait for the reading thread at the end


class StreamedImages:
    """Images in blocks, for the steps of a training; the counterpart of `batches.LabelledImages`.

    A window of an epoch is in part k % slots of the ring, k its number. The ring holds the windows of a batch, and at
    least two: one to train on, and one to read meanwhile.

    Attributes
    ----------
    rows : ndarray, (ring, d) uint8 or float32
    labels : ndarray, (ring,) int64
    """

    weights = None

    def __init__(self, blocks: Blocks, scale: str | None, batch_size: int) -> None:
        self.blocks, self.scale = blocks, scale
        self.window = min(blocks.window, len(blocks))
        self.windows = -(-len(blocks) // self.window)
        largest = min(batch_size + 1, len(blocks))
        self.slots = min(self.windows, 1 + -(-largest // self.window))
        ring = self.slots * self.window
        self.rows: Array = aligned.zeros(ring, blocks.width, dtype=scales.block_dtype(blocks, scale))
        self.labels: Int64 = np.zeros(ring, np.int64)
        self.numbered = False  # whether `keys` are used
        self.warned = False

    @cached_property
    def keys(self) -> Int64:
        """Number of each image in the ring among all of them; ask for it before the first epoch."""
        self.numbered = True
        return np.zeros(len(self.rows), np.int64)

    @property
    def count(self) -> int:
        """Images per epoch."""
        return len(self.blocks)

    def epoch(self, seed: int | None, epoch: int, first: int) -> Epoch:
        """Return the rows of an epoch in their order, from image ``first`` of it on; a context manager."""
        return Epoch(self, seed, epoch, first // self.window)

    def last_step(self, parts: Sequence[slice], step: int, stop: int) -> int:
        """Return the end of the steps from ``step`` on that need only the windows of the first one."""
        first = parts[step]
        end = (first.start // self.window + 1) * self.window  # of its first window
        size = first.stop - first.start
        return int(max(step + 1, min(stop, step + (end - first.start) // size)))

    def to_score(self) -> Blocks:
        """Return the images, to evaluate a network on them."""
        return self.blocks

    def batches_in_order(self, size: int) -> Iterator[Array]:
        """Yield the rows of all images, in batches in the order of the blocks."""
        for images, _ in self.blocks.pieces(size):
            yield scales.block_rows(images, self.scale)

    def digest(self) -> str:
        """Return a text that differs for other images, or for another order of them."""
        return f"{self.blocks.digest} window {self.blocks.window}"


class _EndedThread:
    """Stands for a thread where the system has none."""

    def join(self, timeout: float | None = None) -> None:
        """Return at once."""

    def is_alive(self) -> bool:
        """Return False."""
        return False


class Epoch:
    """The order of one epoch: ``epoch[start:stop]`` are rows of the ring, read from the files by then.

    Blocks come in random order. Each window of consecutive images is shuffled. The order depends on seed and epoch
    alone; without a seed, it is that of the blocks. A thread reads the next window while steps use the present one.
    """

    def __init__(self, images: StreamedImages, seed: int | None, epoch: int, first: int) -> None:
        self._images, self._seed, self._epoch = images, seed, epoch
        blocks = images.blocks
        self._blocks = np.arange(len(blocks.rows))
        if seed is not None:
            self._blocks = stream(seed, SHUFFLE, epoch, 0).permutation(self._blocks)
        self._shares = ClassShares(blocks.class_counts)
        self._starts = np.cumsum([0, *blocks.rows])  # number of the first image of each block
        self._orders: dict[int, Int64] = {}  # of the windows in the ring: rows of the ring
        self._next = first  # the first window that is not being read
        self._begin()

    @property
    def size(self) -> int:
        """Images of the epoch."""
        return self._images.count

    def _begin(self) -> None:
        """Begin to read at the window ``_next``."""
        self._process = os.getpid()
        self._reading: Reading | None = None
        self._thread: threading.Thread | _EndedThread | None = None
        self._error: BaseException | None = None
        self._stopped = False

    def __getitem__(self, part: slice) -> Int64:
        """Return the rows of the ring that hold images ``start`` to ``stop`` of the epoch; wait until they are read.

        Windows before ``start`` may be overwritten from now on.
        """
        window = self._images.window
        first, last = part.start // window, (part.stop - 1) // window
        for old in [number for number in self._orders if number < first]:
            del self._orders[old]
        while last not in self._orders:
            self._wait(first)
        self._read_ahead(first)
        pieces = [
            self._orders[number][max(0, part.start - number * window) : part.stop - number * window]
            for number in range(first, last + 1)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _wait(self, first: int) -> None:
        """Wait for the window that is being read; begin to read one if none is."""
        if (
            self._process != os.getpid()
        ):  # a forked child has neither the thread nor a file position of its own
            self._next = 1 + max(self._orders, default=first - 1)
            self._begin()
        self._read_ahead(first)
        thread = self._thread
        if thread is None:
            raise RuntimeError("fit: a window must be read before its images are used; got none to read")
        thread.join()
        self._thread = None
        if self._error is not None:
            raise self._error
        self._finish(self._next - 1)

    def _finish(self, number: int) -> None:
        """Shuffle a window that was read; warn once if its classes are not those of random order."""
        images = self._images
        place, count = number % images.slots * images.window, self._count(number)
        order = np.arange(count)
        if self._seed is not None:
            order = stream(self._seed, SHUFFLE, self._epoch, 1 + number).permutation(order)
        self._orders[number] = place + order
        if self._seed is None or images.warned or not self._shares.add(images.labels[place : place + count]):
            return
        images.warned = True
        streams.warn(
            f"fit: each window of {images.window:,} images must have about the classes of all images to train well; "
            "got others, as from sorted images: write shards in random order with fastdigits shard --data FOLDER "
            "--output NEW, or take a larger window",
            stacklevel=6,
        )

    def _count(self, number: int) -> int:
        """Return the images of a window."""
        return min(self._images.window, self._images.count - number * self._images.window)

    # -- the thread ------------------------------------------------------------------------------------

    def _read_ahead(self, first: int) -> None:
        """Begin to read the next window if there is a free part of the ring, and no window is being read."""
        images = self._images
        if self._thread is None and self._next < min(images.windows, first + images.slots):
            number, self._next = self._next, self._next + 1
            thread = threading.Thread(target=self._read, args=(number,), daemon=True, name="fastdigits-read")
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # the system has no thread left
                self._read(number)
                self._thread = _EndedThread()

    def _read(self, number: int) -> None:
        """Read a window into its part of the ring; an error is kept for the thread that waits."""
        try:
            self._fill(number)
        except BaseException as error:
            self._error = error

    def _fill(self, number: int) -> None:
        images = self._images
        if self._reading is None:
            self._reading = self._opened(number * images.window)
        place, count = number % images.slots * images.window, self._count(number)
        plain = images.rows.dtype == images.blocks.dtype and images.blocks.dtype == np.uint8
        buffer = None if plain else np.empty((min(count, ROWS), images.blocks.width), images.blocks.dtype)
        for start in range(place, place + count, ROWS):
            stop = min(start + ROWS, place + count)
            if self._stopped:
                return
            x = images.rows[start:stop] if buffer is None else buffer[: stop - start]
            self._reading.read(x, images.labels[start:stop])
            if buffer is not None:
                images.rows[start:stop] = scales.block_rows(x, images.scale)
        if images.numbered:
            images.keys[place : place + count] = self._numbers(number * images.window, count)

    def _opened(self, start: int) -> Reading:
        """Return a reader of the blocks that is at image ``start`` of the epoch."""
        ends = np.cumsum(np.array(self._images.blocks.rows)[self._blocks])
        at = int(np.searchsorted(ends, start, side="right"))
        left = start - (int(ends[at - 1]) if at else 0)
        reading = Reading(self._images.blocks, self._blocks[at:].tolist())
        blocks = self._images.blocks
        x, y = np.empty((min(left, ROWS), blocks.width), blocks.dtype), np.empty(min(left, ROWS), np.int64)
        while (
            left > 0 and not self._stopped
        ):  # a block is read from its beginning, as its checksum needs all of it
            count = min(left, ROWS)
            reading.read(x[:count], y[:count])
            left -= count
        return reading

    def _numbers(self, start: int, count: int) -> Int64:
        """Return the numbers of images start to start + count of the epoch among all images."""
        lengths = np.array(self._images.blocks.rows)[self._blocks]
        ends = np.cumsum(lengths)
        places = np.arange(start, start + count)
        at = np.searchsorted(ends, places, side="right")
        numbers: Int64 = self._starts[self._blocks[at]] + places - (ends - lengths)[at]
        return numbers

    # -- the end ---------------------------------------------------------------------------------------

    def __enter__(self) -> Epoch:
        return self

    def __exit__(self, *error: object) -> None:
        """Stop reading. A thread that waits for a slow disk ends by itself later."""
        self._stopped = True
        thread, self._thread = self._thread, None
        if thread is not None and self._process == os.getpid():
            thread.join(PATIENCE)
            if thread.is_alive():
                return
        if self._reading is not None:
            self._reading.close()
