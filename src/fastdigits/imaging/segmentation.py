"""Find the ink that is writing: remove frames, ruled lines, specks, and objects that cross the border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, Float32, Int64
from .components import Components, around, connected_components

FAINT, SURE = 0.35, 0.6  # least ink in each pixel of a stroke, and in at least one pixel of it
SPECK = 0.15  # of the largest component's longer side: a smaller one is dirt, a dot or a comma
FLAT = 4.0  # width over height of a ruled line, a minus, the edge of a shadow
LINE = 1.3  # length of a line over the height of the tallest digit: no stroke of a digit is as long
# Least length of a line, of the image's side. A thin 1 is vertical too, but ends inside the image.
HORIZONTAL_LINE, VERTICAL_LINE = 0.25, 0.9
FRAMED = 0.25  # of a frame's height: the height of the component inside; a 0 encloses at most a dot
BORDER = 0.3  # of a side of the image: a component that touches more of it comes from outside
TIGHT = 0.6  # of the image's height: a digit as high may touch the border
LARGEST_SPECK = 0.06  # of the image's longer side: in a tight crop, what does not touch the border is a speck
SMALLEST = 0.02  # of the image's longer side: if a digit is larger, all components at the border are removed


@dataclass(frozen=True)
class Writing:
    """The components of an image that may be writing.

    Attributes
    ----------
    found : Components
    digits : ndarray, (n,) int64
        Components that may be parts of digits.
    marks : ndarray, (m,) int64
        Small or flat components: points, dashes, and dirt.
    """

    found: Components
    digits: Int64
    marks: Int64

    @property
    def reach(self) -> tuple[float, float]:
        """The shares of the image's height and width that the digits span; 0 without digits."""
        if self.digits.size == 0:
            return 0.0, 0.0
        left, top, right, bottom = around(self.found.box[self.digits])
        height, width = self.found.shape
        return float((bottom - top) / height), float((right - left) / width)


def find_writing(amount: Float32) -> Writing:
    """Return the writing in an image.

    Parameters
    ----------
    amount : ndarray, (height, width) float32
        0 is paper, 1 is ink.
    """
    found = connected_components(_without_lines(_without_frames(amount > FAINT)))
    return Writing(found, *_candidates(found, amount))


# -- removal of frames, lines, borders and specks ----------------------------------------------------------


def _without_frames(mask: Array) -> Array:
    """Return the mask without components that enclose another component of a comparable size."""
    found = connected_components(mask)
    left, top, right, bottom = found.box.T
    height = bottom - top
    frames = []
    large = np.flatnonzero(height > SPECK * height.max(initial=0))
    for one in large:
        within = (left[large] > left[one]) & (right[large] < right[one])
        within &= (top[large] > top[one]) & (bottom[large] < bottom[one])
        if (within & (height[large] > FRAMED * height[one])).any():
            frames.append(int(one))
    return mask & ~found.mask(frames) if frames else mask


def _without_lines(mask: Array) -> Array:
    """Return the mask without ruled lines, horizontal or vertical; a stroke that crosses a line stays whole."""
    horizontal, vertical = _Lines(mask, HORIZONTAL_LINE), _Lines(mask.T, VERTICAL_LINE)
    rest = connected_components(mask & ~horizontal.pixels & ~vertical.pixels.T)
    tallest = int(_sizes(rest.box)[1].max(initial=0))
    return mask & ~horizontal.longer_than(tallest) & ~vertical.longer_than(tallest).T


def _crossed(lines: Array, mask: Array, reach: int) -> Array:
    """Return which pixels of horizontal lines have ink closely above and below: a stroke crosses the line there."""
    above, below = mask & ~lines, mask & ~lines
    for _ in range(reach):
        above[1:] |= above[:-1]
        below[:-1] |= below[1:]
    return lines & above & below


class _Lines:
    """Thin, nearly horizontal lines that are longer than a share of the image's width.

    A line has no thin pixels where strokes cross it. A straight line is fitted to the parts between the strokes.
    """

    def __init__(self, mask: Array, share: float) -> None:
        self._mask = mask
        self._thick = _run_lengths(mask.T).T
        self._thin = (
            mask & (self._thick <= max(2, 0.02 * max(mask.shape))) & (_run_lengths(mask) >= 8 * self._thick)
        )
        self._parts = connected_components(self._thin)
        self._length, height = _sizes(self._parts.box)
        self._found = np.flatnonzero((self._length > share * mask.shape[1]) & (self._length > 8 * height))

    @property
    def pixels(self) -> Array:
        """The mask of the parts of the lines that no stroke crosses."""
        return self._parts.mask(self._found)

    def longer_than(self, tallest: int) -> Array:
        """Return the mask of the lines that are too long for strokes of digits of height ``tallest``."""
        lines = np.zeros_like(self._mask)
        if tallest < SPECK * self._length.max(initial=0):  # only specks would remain: the line is a digit
            return lines
        rows, columns = np.nonzero(self._thin)
        widest = 0.0
        for part in self._found[self._length[self._found] > LINE * tallest]:
            y, x = np.nonzero(self._parts.mask([int(part)]))
            slope, start = np.polyfit(x, y, 1)
            reach = self._thick[y, x].mean() / 2 + 1.5
            near = np.abs(rows - (slope * columns + start)) <= reach
            lines[rows[near], columns[near]] = True
            widest = max(widest, 2 * reach)
        return lines & ~_crossed(lines, self._mask, round(widest))


def _run_lengths(mask: Array) -> Int64:
    """Return the length of the run along the row at each pixel of the mask, 0 elsewhere."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    result = np.zeros(mask.shape, dtype=np.int64)
    result[mask] = np.repeat(lengths, lengths)
    return result


def _sizes(box: Int64) -> tuple[Int64, Int64]:
    return box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]


def _candidates(found: Components, amount: Float32) -> tuple[Int64, Int64]:
    """Return the components that may be parts of digits, and those that may be points and dashes."""
    sure = np.pad(np.cumsum(amount > SURE, axis=1), ((0, 0), (1, 0)))
    has_ink = np.zeros(len(found), dtype=np.int64)
    np.add.at(has_ink, found.label, sure[found.row, found.stop] - sure[found.row, found.start])
    width, height = _sizes(found.box)
    size = np.maximum(width, height)
    flat = width >= FLAT * height
    good = (has_ink > 0) & ~flat
    if not good.any():
        return np.flatnonzero(good), np.flatnonzero(good)
    outside, surely_outside = _touching_border(found)
    inside = good & ~outside
    largest = size[inside].max(initial=0) / max(found.shape)
    if largest <= LARGEST_SPECK and _fill_image(found, good):
        inside = good
    elif largest <= SMALLEST:
        inside = good & ~surely_outside
    least = SPECK * size[inside].max(initial=0)
    marks = (has_ink > 0) & ~outside & (flat | (size <= least))
    return np.flatnonzero(inside & (size > least)), np.flatnonzero(marks)


def _touching_border(found: Components) -> tuple[Array, Array]:
    """Return which components come from outside the image, and which of them surely do.

    A component at the border may be the table, a finger, part of the next digit or the tip of a shadow. It may also be
    a digit in a tight crop: this is nearly as high as the image and touches little of its sides. A component that
    touches much of a side surely comes from outside.
    """
    height, width = found.shape
    touch = np.zeros((4, len(found)), dtype=np.int64)
    for side, at_border, lengths in [
        (0, found.row == 0, found.stop - found.start),
        (1, found.row == height - 1, found.stop - found.start),
        (2, found.start == 0, np.ones_like(found.row)),
        (3, found.stop == width, np.ones_like(found.row)),
    ]:
        np.add.at(touch[side], found.label[at_border], lengths[at_border])
    along = np.array([width, width, height, height])[:, np.newaxis]
    some, much = np.any(touch > 0, axis=0), np.any(touch > BORDER * along, axis=0)
    return some & (much | (_sizes(found.box)[1] < TIGHT * height)), much


def _fill_image(found: Components, good: Array) -> bool:
    """Return whether the components, which all touch the border, are digits in a tight crop."""
    left, top, right, bottom = around(found.box[good])
    height, width = found.shape
    from_top_to_bottom = top == 0 and bottom == height and left > 0 and right < width
    return bool(from_top_to_bottom or (right - left > TIGHT * width and bottom - top > TIGHT * height))


def stroke_width(ink: Float32) -> float:
    """Return the mean width of strokes in pixels: twice their area divided by the length of their edges.

    Parameters
    ----------
    ink : ndarray, (height, width)
        0 … 1.

    Notes
    -----
    On average over all angles, an edge has 4/π times as many sides of pixels as its length (Crofton's formula).
    """
    inside = np.pad(ink > 0.5, 1)
    sides = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    return float(2 * ink.sum() / max(1.0, np.pi / 4 * sides))
