"""Segment a row of digits: remove specks, ruled lines and borders, then split the ink into digits."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, Float32, Int64
from .components import Components, connected_components

FAINT, SURE = 0.35, 0.6  # least ink in each pixel of a stroke, and in at least one pixel of it
SPECK = 0.15  # of the largest component's longer side: a smaller one is dirt, a dot or a comma
FLAT = 4.0  # width over height of a ruled line, a minus, the edge of a shadow
LINE = 1.3  # length of a line over the height of the tallest digit: no stroke of a digit is as long
# Least length of a line, of the image's side. A thin 1 is vertical too, but ends inside the image.
HORIZONTAL_LINE, VERTICAL_LINE = 0.25, 0.9
FRAMED = 0.25  # of a frame's height: the height of the component inside; a 0 encloses at most a dot
BORDER = 0.3  # of a side of the image: a component that touches more of it comes from outside
TIGHT = 0.6  # of the image's height: a digit as high may touch the border
SMALLEST = 0.02  # of the image's longer side: if a digit is larger, all components at the border are removed
CROSSED = 1.7  # widths of a stroke that a cut may cross: a cut through a 0 crosses two
TALL = 0.6  # of the height of touching digits: each part is as high
SAME_ROW = 0.4  # of its height that a component of the row shares with the tallest one
HIGH = 0.7  # of the tallest height: two components above each other, both as high, are two digits
OTHER_ROW = 0.6  # of the tallest height: a component as high outside the row is another row
FRAGMENT, NEAR = 0.4, 0.25  # of the tallest height: a lower component is a fragment of a digit this near
OVERLAP = 0.5  # of the narrower width: components that share more are one digit
WIDE, USUAL = 1.3, 0.75  # width over height: of touching digits at least, and of one digit


@dataclass(frozen=True)
class Segment:
    """The place and the pixels of a digit.

    Attributes
    ----------
    box : tuple of int
        Left, top, right, bottom; right and bottom are exclusive.
    mask : ndarray, (bottom - top, right - left) bool
        The pixels of the box that are strokes of this digit.
    """

    box: tuple[int, int, int, int]
    mask: Array


class SeveralRowsError(ValueError):
    """The picture shows more than one row of digits."""


def segment_digits(amount: Float32, single: bool) -> list[Segment]:
    """Return the digits of an image from left to right; none if there is no ink.

    Parameters
    ----------
    amount : ndarray, (height, width) float32
        0 is paper, 1 is ink.
    single : bool
        Whether all ink is one digit.

    Raises
    ------
    SeveralRowsError
        If there is more than one row of digits and not ``single``.
    """
    found = connected_components(_without_lines(_without_frames(amount > FAINT)))
    written = _digit_candidates(found, amount)
    if written.size == 0:
        return []
    groups = [written] if single else _digits(found, _row(found, written))
    segments = []
    for group in groups:
        segment = _segment(found.mask(group))
        segments += [segment] if single else _split_touching(segment, amount)
    return segments


def _segment(mask: Array, left: int = 0, top: int = 0) -> Segment:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Segment((left + x0, top + y0, left + x1, top + y1), mask[y0:y1, x0:x1])


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


def _digit_candidates(found: Components, amount: Float32) -> Int64:
    """Return the components that may be parts of digits."""
    sure = np.pad(np.cumsum(amount > SURE, axis=1), ((0, 0), (1, 0)))
    has_ink = np.zeros(len(found), dtype=np.int64)
    np.add.at(has_ink, found.label, sure[found.row, found.stop] - sure[found.row, found.start])
    width, height = _sizes(found.box)
    size = np.maximum(width, height)
    good = (has_ink > 0) & (width < FLAT * height)
    if not good.any():
        return np.flatnonzero(good)
    outside, surely_outside = _touching_border(found)
    inside = good & ~outside
    if size[inside].max(initial=0) <= SMALLEST * max(found.shape):
        inside = good if _fill_image(found, good) else good & ~surely_outside
    return np.flatnonzero(inside & (size > SPECK * size[inside].max(initial=0)))


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
    left, top, right, bottom = _bounding_box(found.box[good])[0]
    height, width = found.shape
    return bool(right - left > TIGHT * width and bottom - top > TIGHT * height)


# -- components to digits ----------------------------------------------------------------------------------


def _row(found: Components, written: Int64) -> Int64:
    """Return the components in the row of the tallest one."""
    _, top, _, bottom = found.box[written].T
    height = bottom - top
    tallest = height.argmax()
    first, last = top[tallest], bottom[tallest]
    shared = np.minimum(bottom, last) - np.maximum(top, first)
    # A fragment of a broken digit lies closely above or below the row, and is lower than a digit.
    fragment = (-shared < 0.15 * height[tallest]) & (height < HIGH * height[tallest])
    inside = fragment | (shared >= SAME_ROW * height)
    if (height[~inside] > OTHER_ROW * height[tallest]).any():
        raise SeveralRowsError
    same: Int64 = written[inside]
    return same


def _digits(found: Components, row: Int64) -> list[Int64]:
    """Return groups of components, one digit per group, from left to right."""
    height = _sizes(found.box[row])[1]
    tall = height.max()
    groups: list[Int64] = []
    for label in row[np.argsort(found.box[row, 0], kind="stable")]:
        if groups and _same_digit(found.box[groups[-1]], found.box[label], tall):
            groups[-1] = np.append(groups[-1], label)
        else:
            groups.append(np.array([label]))
    return _without_fragments(found, groups, tall)


def _without_fragments(found: Components, groups: list[Int64], tall: int) -> list[Int64]:
    """Return the groups that are as high as digits; join each lower group to the nearest digit, or omit it."""
    boxes = np.concatenate([_bounding_box(found.box[group]) for group in groups])
    is_digit = _sizes(boxes)[1] > FRAGMENT * tall
    digits = [group for group, whole in zip(groups, is_digit, strict=True) if whole]
    places = boxes[is_digit]
    for group, box in zip(groups, boxes, strict=True):
        if not _sizes(box[np.newaxis])[1][0] > FRAGMENT * tall:
            gaps = np.maximum(places[:, 0] - box[2], box[0] - places[:, 2])
            nearest = gaps.argmin()
            if gaps[nearest] < NEAR * tall:
                digits[nearest] = np.append(digits[nearest], group)
    return digits


def _same_digit(digit: Int64, box: Int64, tall: int) -> bool:
    """Return whether a component lies above, below or within a digit, and is not a second digit."""
    left, top, right, bottom = _bounding_box(digit)[0]
    shared = min(right, box[2]) - max(left, box[0])
    both_tall = min(bottom - top, box[3] - box[1]) > HIGH * tall
    return bool(not both_tall and shared > OVERLAP * min(right - left, box[2] - box[0]))


def _bounding_box(boxes: Int64) -> Int64:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[np.newaxis]


# -- touching digits ---------------------------------------------------------------------------------------


def _split_touching(segment: Segment, amount: Float32) -> list[Segment]:
    """Split a wide segment into digits, if all parts are high and the cuts cross little ink."""
    left, top, right, bottom = segment.box
    width, height = right - left, bottom - top
    most = round(width / (USUAL * height)) if width > WIDE * height else 1
    ink = np.where(segment.mask, np.clip(amount[top:bottom, left:right], 0, 1), 0)
    for count in range(most, 1, -1):
        paths = [_split_path(ink, number * width // count, width // count) for number in range(1, count)]
        sides = [np.zeros(height, np.int64), *paths, np.full(height, width)]
        columns = np.arange(width)
        masks = [
            segment.mask & (columns >= begin[:, np.newaxis]) & (columns < end[:, np.newaxis])
            for begin, end in itertools.pairwise(sides)
        ]
        crossed = [ink[np.arange(height), path].sum() for path in paths]
        high = all(mask.any(axis=1).sum() > TALL * height for mask in masks)
        if high and max(crossed) < CROSSED * stroke_width(ink):
            return [_segment(mask, left, top) for mask in masks]
    return [segment]


def _split_path(ink: Float32, middle: int, pitch: int) -> Int64:
    """Return the column, for each row, of the path from top to bottom that crosses the least ink.

    Parameters
    ----------
    ink : ndarray, (height, width)
    middle : int
        The column that is preferred among equal paths.
    pitch : int
        Width of a digit: the path stays within 0.35 of it on both sides of the middle.

    Notes
    -----
    Dynamic programming: each step to the next row moves at most one column.
    """
    reach = max(1, round(0.35 * pitch))
    low = max(0, middle - reach)
    band = ink[:, low : middle + reach + 1]
    height, width = band.shape
    away = np.abs(np.arange(width) + low - middle) / reach
    cost = band + 0.02 * away**2  # a small cost: a path may slant over the whole height
    back = np.zeros((height, width), dtype=np.int64)
    total = cost[0]
    for row in range(1, height):
        beside = np.pad(total, 1, constant_values=np.inf)
        three = np.stack([beside[:-2] + 0.01, beside[1:-1], beside[2:] + 0.01])
        step = three.argmin(axis=0)
        back[row] = np.arange(width) + step - 1
        total = cost[row] + three[step, np.arange(width)]
    path = np.empty(height, dtype=np.int64)
    path[-1] = total.argmin()
    for row in range(height - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    return path + low


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
