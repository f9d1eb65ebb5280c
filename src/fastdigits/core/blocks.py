"""Images that may be larger than memory: what a network needs of them to train on them and to predict."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence

import numpy as np

from .arrays import Array, Int64

ROWS = 4096  # per piece: bounds the memory, and how long a reader runs before it notices that it should stop


class BlockReader(abc.ABC):
    """Read the images of one block from the first to the last."""

    @abc.abstractmethod
    def read(self, x: Array, y: Int64) -> None:
        """Fill x, (n, d), and y, (n,), with the next images and labels.

        Raises
        ------
        DataError
            If the source is missing, short or changed. After the last image, the checksum decides.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the files."""


class Blocks(abc.ABC):
    """Images and labels in blocks that are read in sequence; the base class of `fastdigits.Shards`.

    Attributes
    ----------
    image_shape : (int, int)
        Height and width.
    dtype : dtype
        uint8 or float32.
    range : (float, float, bool)
        The smallest and the largest number of all images, and whether all are whole numbers from 0 to 255.
    class_counts : ndarray, (classes,) int64
        Images of each class.
    rows : tuple of int
        Images in each block.
    window : int
        Images that are shuffled together.
    digest : str
        Differs for other data.
    column_names : tuple of str
        Of a table; empty if they are unknown.
    """

    image_shape: tuple[int, int]
    dtype: np.dtype[np.generic]
    range: tuple[float, float, bool]
    class_counts: Int64
    rows: tuple[int, ...]
    window: int
    digest: str
    column_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return sum(self.rows)

    @property
    def width(self) -> int:
        """Numbers per image."""
        return int(np.prod(self.image_shape))

    @abc.abstractmethod
    def open(self, block: int) -> BlockReader:
        """Return a reader of one block."""

    @abc.abstractmethod
    def check_files(self) -> None:
        """Raise a DataError if a file is missing, or if its size or header is not as described; read nothing else."""

    def first(self, n: int) -> tuple[Array, Int64]:
        """Return the first ``n`` images, (n, d), and their labels, in memory."""
        x, y = np.empty((n, self.width), self.dtype), np.empty(n, np.int64)
        with Reading(self, range(len(self.rows))) as reading:
            reading.read(x, y)
        return x, y

    def pieces(self, size: int = ROWS) -> Iterator[tuple[Array, Int64]]:
        """Yield the images, (m, d), and labels of all blocks in order, in pieces of ``size``, the last one smaller.

        The next piece replaces the numbers of the one before. A last piece of one image joins the piece before it.
        """
        n = len(self)
        room = min(size, n) + 1
        x, y = np.empty((room, self.width), self.dtype), np.empty(room, np.int64)
        with Reading(self, range(len(self.rows))) as reading:
            left = n
            while left > 0:
                count = left if left <= size or left == size + 1 else size
                reading.read(x[:count], y[:count])
                yield x[:count], y[:count]
                left -= count


class Reading:
    """Read blocks one after another, in any order of the blocks."""

    def __init__(self, blocks: Blocks, order: Sequence[int]) -> None:
        self._blocks, self._order = blocks, order
        self._place = 0  # in the order
        self._left = 0  # images of the open block that are not read yet
        self._reader: BlockReader | None = None

    def read(self, x: Array, y: Int64) -> None:
        """Fill x, (n, d), and y, (n,), with the next images and labels."""
        filled = 0
        while filled < len(y):
            if self._left == 0:
                self.close()
                block = self._order[self._place]
                self._reader, self._left = self._blocks.open(block), self._blocks.rows[block]
                self._place += 1
            count = min(self._left, len(y) - filled, ROWS)
            self._reader.read(x[filled : filled + count], y[filled : filled + count])  # type: ignore[union-attr]
            filled += count
            self._left -= count

    def close(self) -> None:
        """Close the open block."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
