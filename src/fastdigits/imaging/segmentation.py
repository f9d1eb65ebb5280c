"""Which ink is a digit: leave out specks, ruled lines and rims, and take a row of digits apart."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Array, Float32, Int64
from .components import Components, connected_components

FAINT, SURE = 0.35, 0.6  # a stroke is what has this much ink, and somewhere that much
SPECK = 0.15  # of the largest piece's size: what is smaller both ways is dirt, a dot or a comma
FLAT = 4.0  # times as wide as high: a ruled line, a minus, a shadow's edge
LINE = 1.3  # times as long as what is left is high: no digit has a stroke of that length
LEVEL_LINE, UPRIGHT_LINE = (
    0.25,
    0.9,
)  # of the picture's side: a thin 1 is an upright line too, but ends within
FRAMED = (
    0.25  # of a frame's height: what is so high within it makes it a frame; a 0 has no more than a dot in it
)
RIM = 0.3  # of a side of the picture: what touches so much of it comes from outside
TIGHT = 0.6  # of the picture's height: a digit as high may touch the rim
SMALLEST = 0.02  # of the picture's longer side: how large a digit must be for all that touches the rim to go
CROSSED = 1.7  # widths of a stroke that a cut may go through: through a 0 it would be two
TALL = 0.6  # of the height of digits that touch: each of them is that high
SAME_ROW = 0.4  # of its height that a piece must share with the tallest one
HIGH = 0.7  # of the tallest height: pieces above each other that are both as high as that are two digits
OTHER_ROW = 0.6  # of the tallest height: beside the row, as high as that is another row
PIECE, NEAR = 0.4, 0.25  # of the tallest height: what is lower is a piece of a digit that is as near as that
OVERLAP = 0.5  # of the narrower one's width: pieces above each other are one digit
WIDE, USUAL = 1.3, 0.75  # widths over heights: above the first digits touch; the second is that of one digit


@dataclass(frozen=True)
class Piece:
    """A digit's place and pixels.

    Attributes
    ----------
    box : tuple of int
        Left, top, right, bottom; right and bottom lie outside.
    mask : ndarray, (bottom - top, right - left) bool
        Which pixels of the box are strokes of this digit.
    """

    box: tuple[int, int, int, int]
    mask: Array


class SeveralRowsError(ValueError):
    """The picture shows more than one row of digits."""


def cut(amount: Float32, single: bool) -> list[Piece]:
    """Return the digits of a picture from left to right; none where nothing is written.

    Parameters
    ----------
    amount : ndarray, (height, width) float32
        Of ink: 0 is paper, 1 is ink.
    single : bool
        Whether all that is written is one digit.

    Raises
    ------
    SeveralRowsError
        If there is more than one row of digits and not ``single``.
    """
    found = connected_components(_without_lines(_without_frames(amount > FAINT)))
    written = _written(found, amount)
    if written.size == 0:
        return []
    groups = [written] if single else _digits(found, _row(found, written))
    pieces = []
    for group in groups:
        piece = _piece(found.mask(group))
        pieces += [piece] if single else _parted(piece, amount)
    return pieces


def _piece(mask: Array, left: int = 0, top: int = 0) -> Piece:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Piece((left + x0, top + y0, left + x1, top + y1), mask[y0:y1, x0:x1])


# -- what is not a digit -----------------------------------------------------------------------------------


def _without_frames(mask: Array) -> Array:
    """Return the mask without what goes around something that is not small beside it."""
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
    """Return the mask without ruled lines, level or upright; a stroke that crosses one stays whole."""
    level, upright = _Lines(mask, LEVEL_LINE), _Lines(mask.T, UPRIGHT_LINE)
    rest = connected_components(mask & ~level.pixels & ~upright.pixels.T)
    tallest = int(_sizes(rest.box)[1].max(initial=0))
    return mask & ~level.longer_than(tallest) & ~upright.longer_than(tallest).T


def _crossed(lines: Array, mask: Array, reach: int) -> Array:
    """Return which pixels of level lines have strokes near above and near below: there a stroke goes through."""
    above, below = mask & ~lines, mask & ~lines
    for _ in range(reach):
        above[1:] |= above[:-1]
        below[:-1] |= below[1:]
    return lines & above & below


class _Lines:
    """Thin lines that are about level and longer than a share of the picture's width.

    Where strokes cross a line, it is as thick as they are long; a straight line is laid through the parts in between.
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
        """The parts of the lines that no stroke crosses, as a mask."""
        return self._parts.mask(self._found)

    def longer_than(self, tallest: int) -> Array:
        """Return the mask of the lines that are longer than strokes of digits, of which the tallest is so high."""
        lines = np.zeros_like(self._mask)
        if tallest < SPECK * self._length.max(
            initial=0
        ):  # what would be left is no digit: so the line is one
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
    """Return for each pixel of the mask the length of its run along the row, 0 elsewhere."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    result = np.zeros(mask.shape, dtype=np.int64)
    result[mask] = np.repeat(lengths, lengths)
    return result


def _sizes(box: Int64) -> tuple[Int64, Int64]:
    return box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]


def _written(found: Components, amount: Float32) -> Int64:
    """Return the components that can be parts of digits."""
    sure = np.pad(np.cumsum(amount > SURE, axis=1), ((0, 0), (1, 0)))
    has_ink = np.zeros(len(found), dtype=np.int64)
    np.add.at(has_ink, found.label, sure[found.row, found.stop] - sure[found.row, found.start])
    width, height = _sizes(found.box)
    size = np.maximum(width, height)
    good = (has_ink > 0) & (width < FLAT * height)
    if not good.any():
        return np.flatnonzero(good)
    outside, far_out = _from_outside(found)
    inside = good & ~outside
    if size[inside].max(initial=0) <= SMALLEST * max(found.shape):
        inside = good if _fills(found, good) else good & ~far_out
    return np.flatnonzero(inside & (size > SPECK * size[inside].max(initial=0)))


def _from_outside(found: Components) -> tuple[Array, Array]:
    """Return which components come from outside the picture, and which of them surely do.

    What touches the rim is the table, a finger, a piece of the next digit, the tip of a shadow; or a digit cut out
    tightly, which is nearly as high as the picture and touches little of its sides. Surely from outside is what touches
    much of a side.
    """
    height, width = found.shape
    touch = np.zeros((4, len(found)), dtype=np.int64)
    for side, at_rim, lengths in [
        (0, found.row == 0, found.stop - found.start),
        (1, found.row == height - 1, found.stop - found.start),
        (2, found.start == 0, np.ones_like(found.row)),
        (3, found.stop == width, np.ones_like(found.row)),
    ]:
        np.add.at(touch[side], found.label[at_rim], lengths[at_rim])
    along = np.array([width, width, height, height])[:, np.newaxis]
    some, much = np.any(touch > 0, axis=0), np.any(touch > RIM * along, axis=0)
    return some & (much | (_sizes(found.box)[1] < TIGHT * height)), much


def _fills(found: Components, good: Array) -> bool:
    """Return whether the components, all of which touch the rim, are digits that were cut out tightly."""
    left, top, right, bottom = _around(found.box[good])[0]
    height, width = found.shape
    return bool(right - left > TIGHT * width and bottom - top > TIGHT * height)


# -- a row of digits ---------------------------------------------------------------------------------------


def _row(found: Components, written: Int64) -> Int64:
    """Return the components in the row of the tallest one."""
    _, top, _, bottom = found.box[written].T
    height = bottom - top
    tallest = height.argmax()
    first, last = top[tallest], bottom[tallest]
    shared = np.minimum(bottom, last) - np.maximum(top, first)
    # A piece of a digit that is broken in two lies close above or below the row, and is lower than a digit.
    piece = (-shared < 0.15 * height[tallest]) & (height < HIGH * height[tallest])
    inside = piece | (shared >= SAME_ROW * height)
    if (height[~inside] > OTHER_ROW * height[tallest]).any():
        raise SeveralRowsError
    same: Int64 = written[inside]
    return same


def _digits(found: Components, row: Int64) -> list[Int64]:
    """Return groups of components, a digit a group, from left to right."""
    height = _sizes(found.box[row])[1]
    tall = height.max()
    groups: list[Int64] = []
    for label in row[np.argsort(found.box[row, 0], kind="stable")]:
        if groups and _belongs(found.box[groups[-1]], found.box[label], tall):
            groups[-1] = np.append(groups[-1], label)
        else:
            groups.append(np.array([label]))
    return _without_pieces(found, groups, tall)


def _without_pieces(found: Components, groups: list[Int64], tall: int) -> list[Int64]:
    """Return the groups that are as high as digits; the others go to the nearest of these, or away if none is near."""
    boxes = np.concatenate([_around(found.box[group]) for group in groups])
    is_digit = _sizes(boxes)[1] > PIECE * tall
    digits = [group for group, whole in zip(groups, is_digit, strict=True) if whole]
    places = boxes[is_digit]
    for group, box in zip(groups, boxes, strict=True):
        if not _sizes(box[np.newaxis])[1][0] > PIECE * tall:
            gaps = np.maximum(places[:, 0] - box[2], box[0] - places[:, 2])
            nearest = gaps.argmin()
            if gaps[nearest] < NEAR * tall:
                digits[nearest] = np.append(digits[nearest], group)
    return digits


def _belongs(digit: Int64, box: Int64, tall: int) -> bool:
    """Return whether a piece lies above or below a digit, or within it, and the two are not digits each."""
    left, top, right, bottom = _around(digit)[0]
    shared = min(right, box[2]) - max(left, box[0])
    both_tall = min(bottom - top, box[3] - box[1]) > HIGH * tall
    return bool(not both_tall and shared > OVERLAP * min(right - left, box[2] - box[0]))


def _around(boxes: Int64) -> Int64:
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[np.newaxis]


# -- digits that touch -------------------------------------------------------------------------------------


def _parted(piece: Piece, amount: Float32) -> list[Piece]:
    """Return the digits of a piece: itself, unless it is wide and falls into parts of a digit's height."""
    left, top, right, bottom = piece.box
    width, height = right - left, bottom - top
    most = round(width / (USUAL * height)) if width > WIDE * height else 1
    ink = np.where(piece.mask, np.clip(amount[top:bottom, left:right], 0, 1), 0)
    for count in range(most, 1, -1):
        seams = [_seam(ink, number * width // count, width // count) for number in range(1, count)]
        sides = [np.zeros(height, np.int64), *seams, np.full(height, width)]
        columns = np.arange(width)
        masks = [
            piece.mask & (columns >= begin[:, np.newaxis]) & (columns < end[:, np.newaxis])
            for begin, end in itertools.pairwise(sides)
        ]
        crossed = [ink[np.arange(height), seam].sum() for seam in seams]
        high = all(mask.any(axis=1).sum() > TALL * height for mask in masks)
        if high and max(crossed) < CROSSED * stroke_width(ink):
            return [_piece(mask, left, top) for mask in masks]
    return [piece]


def _seam(ink: Float32, middle: int, pitch: int) -> Int64:
    """Return, for each row, the column at which a path from top to bottom crosses as little ink as it can.

    Parameters
    ----------
    ink : ndarray, (height, width)
    middle : int
        Where it should be, other things equal.
    pitch : int
        Width of a digit: the path stays within 0.35 of it on both sides of the middle.
    """
    reach = max(1, round(0.35 * pitch))
    low = max(0, middle - reach)
    band = ink[:, low : middle + reach + 1]
    height, width = band.shape
    away = np.abs(np.arange(width) + low - middle) / reach
    cost = band + 0.02 * away**2  # leaning aside over the whole height costs little ink
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
    """Return the mean width of strokes in pixels: twice their area over the length of their edges.

    Parameters
    ----------
    ink : ndarray, (height, width)
        0 … 1.

    Notes
    -----
    An edge that runs at any angle crosses 4/π times as many sides of pixels as it is long (Crofton's formula).
    """
    inside = np.pad(ink > 0.5, 1)
    sides = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    return float(2 * ink.sum() / max(1.0, np.pi / 4 * sides))
