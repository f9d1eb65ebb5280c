"""Find the connected components of a mask, by runs and union-find, without a loop over pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, Int64


def around(boxes: Int64) -> Int64:
    """Return the box around boxes, (n, 4): left, top, right, bottom."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


@dataclass(frozen=True)
class Components:
    """The connected components of a mask.

    Attributes
    ----------
    shape : tuple of int
        Height and width of the mask.
    row, start, stop : ndarray, (r,) int64
        The runs of the mask, row by row: pixels ``start`` … ``stop - 1`` of ``row``.
    label : ndarray, (r,) int64
        The component of each run, 0 … n - 1, in the order of their first pixels.
    area : ndarray, (n,) int64
        Pixels.
    box : ndarray, (n, 4) int64
        Left, top, right, bottom; right and bottom are exclusive.
    """

    shape: tuple[int, int]
    row: Int64
    start: Int64
    stop: Int64
    label: Int64
    area: Int64
    box: Int64

    def __len__(self) -> int:
        return len(self.area)

    def mask(self, labels: Int64 | list[int]) -> Array:
        """Return the mask of some components, (height, width) bool."""
        return self._painted(labels, (0, 0, self.shape[1], self.shape[0]))

    def part(self, labels: Int64 | list[int]) -> tuple[tuple[int, int, int, int], Array]:
        """Return the box around some components, and their mask in it."""
        left, top, right, bottom = around(self.box[labels]).tolist()
        return (left, top, right, bottom), self._painted(labels, (left, top, right, bottom))

    def _painted(self, labels: Int64 | list[int], box: tuple[int, int, int, int]) -> Array:
        left, top, right, bottom = box
        runs = np.isin(self.label, labels)
        edges = np.zeros((bottom - top, right - left + 1), dtype=np.int8)
        edges[self.row[runs] - top, self.start[runs] - left] = 1
        edges[self.row[runs] - top, self.stop[runs] - left] -= 1
        painted: Array = np.cumsum(edges[:, :-1], axis=1, dtype=np.int8).astype(bool)
        return painted


def connected_components(mask: Array) -> Components:
    """Return the components of a mask; pixels that touch at sides or corners are connected.

    Parameters
    ----------
    mask : ndarray, (height, width) bool

    Notes
    -----
    Each row is divided into runs of adjacent pixels. Runs of successive rows that touch are joined: each run takes the
    smallest label among its neighbours, then the label of that label, until nothing changes (union-find, with all
    finds at once).
    """
    height, width = mask.shape
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = (part.astype(np.int64) for part in np.nonzero(edges == 1))
    stop = np.nonzero(edges == -1)[1].astype(np.int64)
    label = _joined(row, start, stop, width + 2)
    _, label = np.unique(label, return_inverse=True)
    count = int(label.max()) + 1 if label.size else 0
    box = np.zeros((count, 4), dtype=np.int64)
    box[:, :2] = max(height, width)
    area = np.zeros(count, dtype=np.int64)
    np.add.at(area, label, stop - start)
    for column, extreme, values in [
        (0, np.minimum, start),
        (1, np.minimum, row),
        (2, np.maximum, stop),
        (3, np.maximum, row + 1),
    ]:
        extreme.at(box[:, column], label, values)
    return Components((height, width), row, start, stop, label, area, box)


def _joined(row: Int64, start: Int64, stop: Int64, pitch: int) -> Int64:
    """Return for each run the smallest number of a run in its component."""
    first, last = row * pitch + start, row * pitch + stop
    # Runs of the next row that begin at or before the stop of this one, and stop at or after its start.
    low = np.searchsorted(last, first + pitch, side="left")
    high = np.searchsorted(first, last + pitch, side="right")
    counts = np.maximum(high - low, 0)
    above = np.repeat(np.arange(row.size), counts)
    below = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(low, counts)
    label = np.arange(row.size)
    while True:
        least = np.minimum(label[above], label[below])
        joined = label.copy()
        np.minimum.at(joined, label[above], least)
        np.minimum.at(joined, label[below], least)
        while not np.array_equal(joined, shorter := joined[joined]):
            joined = shorter
        if np.array_equal(joined, label):
            return label
        label = joined
