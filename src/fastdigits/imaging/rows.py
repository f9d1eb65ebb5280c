"""Sort writing into rows of digits and signs: pieces of a broken digit are joined, touching digits are not yet cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..core.arrays import Array, Int64
from .components import around
from .segmentation import Writing, stroke_width

MOST = 1000  # components that may be digits on one page
TALL = 0.6  # of the usual height: only digits are as high
SAME_ROW = 0.4  # of its height that a digit of the row shares with the one before it
HIGH = 0.75  # of the height: two components above each other, both as high, are two digits
CLOSE = 0.15  # of the height: the gap within a digit
FRAGMENT, NEAR = 0.4, 0.25  # of the usual height: a lower component is a fragment of a digit this near
THINNEST = 0.6  # of a stroke's width: a thinner mark is dirt
UNKNOWN = "?"  # the sign of any other mark that is none of a digit's strokes
OVERLAP = 0.5  # of the narrower width: components that share more are one digit
WITHIN = 0.25  # the same, if one is lower and beside the other
LARGEST_POINT, LARGEST_COMMA = 0.3, 0.45  # of the usual height
FOOT = 0.75  # of a digit's height from its top: points and commas are lower
LONGEST_DASH, THICKEST_DASH = 1.2, 0.35  # of the usual height
SLANTED = 0.18  # tangent of the angle of a slash to the vertical
BENT = 0.12  # depth of an arc over its height
PLUS = 0.95  # width of strokes, from the length of the edges, over that of two bars with the area of a plus
ASTRAY = 0.28  # of the usual height: distance of a digit from the middle of its row, where rows are mixed
DIAGONAL = 37, 70  # degrees between level and the line through neighbours
# Height of a slash over that of the highest digit; between both, it may be a 1. Of numbers of MNIST's digits, 0.3 %
# have a slanted 1 between others that is higher than the first, and 3 % one that is higher than the second.
LONGER, PERHAPS_LONGER = 1.08, 0.95


@dataclass(frozen=True)
class Segment:
    """The place and the pixels of a digit or a sign.

    Attributes
    ----------
    box : tuple of int
        Left, top, right, bottom; right and bottom are exclusive.
    mask : ndarray, (bottom - top, right - left) bool
        The pixels of the box that are strokes of it.
    sign : str
        One of ``. , - + /``, or ``?`` for another; empty for a digit, or for several that touch.
    sure : float
        The probability that it is cut from its neighbours where it should be.
    """

    box: tuple[int, int, int, int]
    mask: Array
    sign: str = ""
    sure: float = 1.0


class CrowdedError(ValueError):
    """The picture shows more than digits."""


class TiltedError(ValueError):
    """The digits form no rows."""


def find_rows(writing: Writing) -> list[list[Segment]]:
    """Return the rows from top to bottom, each from left to right.

    Raises
    ------
    CrowdedError
        If there are more than `MOST` components.
    """
    digits, marks, boxes = writing.digits, writing.marks, writing.found.box
    if digits.size == 0:
        return []
    if digits.size > MOST:
        raise CrowdedError
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    usual = float(np.median(height[digits][height[digits] > TALL * height[digits].max()]))
    pen = stroke_width(writing.found.mask(digits).astype(np.float32))
    is_low = (height[digits] <= TALL * usual) | _are_pieces(boxes[digits], pen)
    rows, low = _rows_of(digits[~is_low], boxes), digits[is_low]
    marks = marks[np.minimum(width, height)[marks] > THINNEST * pen]
    if marks.size > MOST:  # dirt everywhere, among which a point cannot be found
        marks = marks[:0]
    members, rest = _joined(rows, np.append(low, marks), boxes, usual)
    made = [_Row(writing, *pair, usual).segments() for pair in zip(rows, members, strict=True)]
    made += find_rows(replace(writing, digits=rest[np.isin(rest, low)], marks=marks[:0]))
    return sorted(made, key=lambda row: np.mean([one.box[1] + one.box[3] for one in row]))


def _are_pieces(boxes: Int64, pen: float) -> Array:
    """Return which boxes are closely above or below a higher one: the pen left the paper within the digit.

    A box less than a pen's width above or below may be as high.
    """
    left, top, right, bottom = boxes.T
    height, width = bottom - top, right - left
    shared = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    gap = np.maximum.outer(top, top) - np.minimum.outer(bottom, bottom)
    beside = (shared > OVERLAP * np.minimum.outer(width, width)) & (gap < CLOSE * height)
    lower = height[:, np.newaxis] < HIGH * height
    order = np.arange(len(boxes))
    taller = (height[:, np.newaxis] < height) | (
        (height[:, np.newaxis] == height) & (order[:, np.newaxis] > order)
    )
    touching = (
        taller
        & (gap < min(1.5 * pen, CLOSE * height.max(initial=0) / 2))
        & (-gap < 0.5 * height[:, np.newaxis])
    )
    pieces: Array = (beside & (lower | touching)).any(axis=1)
    return pieces


def _joined(rows: list[Int64], rest: Int64, boxes: Int64, reach: float) -> tuple[list[Int64], Int64]:
    """Return the rows with all components that are near one of theirs, and the other components."""
    members = list(rows)
    while rest.size:
        away = np.array([_distances(boxes[rest], boxes[row]) for row in members])
        nearest, near = away.argmin(axis=0), away.min(axis=0) < reach
        if not near.any():
            break
        members = [np.append(row, rest[near & (nearest == number)]) for number, row in enumerate(members)]
        rest = rest[~near]
    return members, rest


def slope(rows: list[list[Segment]]) -> float:
    """Return the slope of the rows, downward to the right; 0 if there are too few digits to tell."""
    across = upward = 0.0
    beside = 0
    for x, y in _middles(rows):
        across += float(((x - x.mean()) ** 2).sum())
        upward += float(((x - x.mean()) * (y - y.mean())).sum())
        beside += len(x) - 1
    return upward / across if beside > 1 else 0.0


def _middles(rows: list[list[Segment]]) -> Iterator[tuple[Array, Array]]:
    """Yield x and y of the middles of the digits of each row that has several."""
    for row in rows:
        boxes = np.array([one.box for one in row if not one.sign], dtype=float)
        if len(boxes) > 1:
            yield boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)


def are_mixed(rows: list[list[Segment]]) -> bool:
    """Return whether one of several rows has a digit far from its middle: it may belong to another row."""
    heights = [one.box[3] - one.box[1] for row in rows for one in row if not one.sign]
    if len(rows) < 2 or not heights:
        return False
    lean, most = slope(rows), ASTRAY * np.median(heights)
    return any(np.abs(y - y.mean() - lean * (x - x.mean())).max() > most for x, y in _middles(rows))


def check_rows(rows: list[list[Segment]]) -> None:
    """Raise a TiltedError if most digits have their nearest neighbour in a diagonal direction."""
    boxes = np.array([one.box for row in rows for one in row if not one.sign], dtype=float)
    if len(boxes) < 3:
        return
    x, y = boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)
    across, down = np.abs(np.subtract.outer(x, x)), np.abs(np.subtract.outer(y, y))
    away = np.hypot(across, down)
    np.fill_diagonal(away, np.inf)
    nearest = np.arange(len(boxes)), away.argmin(axis=1)
    low, high = np.deg2rad(DIAGONAL)
    if low < np.median(np.arctan2(down[nearest], across[nearest])) < high:
        raise TiltedError


def _rows_of(digits: Int64, boxes: Int64) -> list[Int64]:
    """Return the digits of each row, from left to right: each follows the digit beside it, so a row may slope."""
    rows: list[list[int]] = []
    for label in digits[np.argsort(boxes[digits, 0], kind="stable")]:
        shared = [_shared(boxes[row[-1]], boxes[label], 1) for row in rows]
        if shared and max(shared) > SAME_ROW:
            rows[int(np.argmax(shared))].append(int(label))
        else:
            rows.append([int(label)])
    return [np.array(row) for row in rows]


def _shared(one: Int64, other: Int64, axis: int) -> float:
    """Return the part of the shorter side that two boxes share along an axis; negative if they are apart."""
    low, high = axis, axis + 2
    shared = min(one[high], other[high]) - max(one[low], other[low])
    return float(shared / min(one[high] - one[low], other[high] - other[low]))


def _distances(boxes: Int64, others: Int64) -> Array:
    """Return the distance of each box to the nearest of some others."""
    x = np.maximum(boxes[:, np.newaxis, 0] - others[:, 2], others[:, 0] - boxes[:, np.newaxis, 2])
    y = np.maximum(boxes[:, np.newaxis, 1] - others[:, 3], others[:, 1] - boxes[:, np.newaxis, 3])
    away: Array = np.hypot(np.maximum(x, 0), np.maximum(y, 0)).min(axis=1)
    return away


def _gap(one: Int64, other: Int64) -> float:
    """Return the horizontal gap between two boxes; negative if they overlap."""
    return float(max(one[0] - other[2], other[0] - one[2]))


class _Row:
    """One row: its tall components, which are digits or slashes, and all others near it."""

    def __init__(self, writing: Writing, tall: Int64, members: Int64, usual: float) -> None:
        self._found, self._marks, self._usual = writing.found, set(writing.marks.tolist()), usual
        self._tall, self._members = tall, members
        self._stroke = stroke_width(writing.found.part(tall)[1].astype(np.float32))

    def segments(self) -> list[Segment]:
        boxes = self._found.box
        signs = {label: self._sign(label) for label in self._members.tolist()}
        parts = [label for label, sign in signs.items() if not sign]
        groups, unknown = self._digits(np.array(parts, dtype=np.int64))
        made = [Segment(*self._found.part(group)) for group in groups]
        made += [Segment(*self._found.part(group), UNKNOWN) for group in unknown]
        marked = [np.array([label]) for label, sign in signs.items() if sign]
        for group in _columns(marked, boxes):  # two bars are "=", two points are ":"
            sign = signs[int(group[0])] if group.size == 1 else UNKNOWN
            made.append(Segment(*self._found.part(group), sign))
        return sorted(made, key=lambda one: one.box[0] + one.box[2])

    def _digits(self, parts: Int64) -> tuple[list[Int64], list[Int64]]:
        """Return groups of components, one per digit or per digits that touch, and those that are none."""
        boxes = self._found.box
        groups: list[Int64] = []
        for label in parts[np.argsort(boxes[parts, 0], kind="stable")]:
            if groups and self._same_digit(around(boxes[groups[-1]]), boxes[label]):
                groups[-1] = np.append(groups[-1], label)
            else:
                groups.append(np.array([label]))
        return self._without_fragments(groups)

    def _same_digit(self, digit: Int64, box: Int64) -> bool:
        """Return whether a component lies above, below or within a digit, and is not a second digit."""
        beside = (
            _shared(digit, box, 1) > 0
            and min(np.ptp(digit[[1, 3]]), np.ptp(box[[1, 3]])) > HIGH * self._usual
        )
        within = _shared(digit, box, 1) > HIGH
        return not beside and _shared(digit, box, 0) > (WITHIN if within else OVERLAP)

    def _without_fragments(self, groups: list[Int64]) -> tuple[list[Int64], list[Int64]]:
        """Join each group that is too low for a digit to the nearest one; return the digits, and the rest."""
        boxes = self._found.box
        digits = [group for group in groups if self._is_high(group)]
        rest: list[Int64] = []
        for group in groups:
            if self._is_high(group):
                continue
            place = around(boxes[group])
            for others in (digits, rest):
                gaps = [_gap(around(boxes[other]), place) for other in others]
                if gaps and min(gaps) < NEAR * self._usual:
                    nearest = int(np.argmin(gaps))
                    others[nearest] = np.append(others[nearest], group)
                    break
            else:
                rest.append(group)
        digits += [group for group in rest if self._is_high(group)]
        rest = [group for group in rest if not self._is_high(group)]
        return digits, [group for group in rest if self._is_thick(around(boxes[group]))]

    def _is_high(self, group: Int64) -> bool:
        return bool(np.ptp(around(self._found.box[group])[[1, 3]]) > FRAGMENT * self._usual)

    def _is_thick(self, box: Int64) -> bool:
        return bool(min(box[2] - box[0], box[3] - box[1]) > THINNEST * self._stroke)

    def _sign(self, label: int) -> str:
        """Return which sign a component is, by its form and its place in the row; empty if it is none."""
        box = self._found.box[label]
        width, height = int(box[2] - box[0]), int(box[3] - box[1])
        others = self._tall[self._tall != label]
        if others.size == 0:
            return ""
        boxes, usual = self._found.box[others], self._usual
        away = np.abs(boxes[:, [0, 2]].mean(axis=1) - (box[0] + box[2]) / 2)
        _, top, _, bottom = around(boxes[np.argsort(away)[:2]])
        level = ((box[1] + box[3]) / 2 - top) / (bottom - top)
        beside = all(_shared(other, box, 0) <= OVERLAP for other in boxes)
        is_point = max(width, height) < LARGEST_POINT * usual and width < 1.8 * height
        is_comma = width < height < LARGEST_COMMA * usual and box[3] > bottom + self._stroke / 2
        if level > FOOT and (is_point or is_comma):
            above = [other for other in boxes if _shared(other, box, 0) > OVERLAP]
            if above and level < 1:  # a point is on the right of its digit
                return UNKNOWN if all(box[0] + box[2] > other[0] + other[2] for other in above) else ""
            return "," if height > 1.5 * width or level > 1.05 else "."
        if not beside and label not in self._tall:
            near = any(
                _shared(other, box, 1) * min(height, np.ptp(other[[1, 3]])) > -CLOSE * usual
                for other in boxes
            )
            return "" if near or label not in self._marks else UNKNOWN
        if (
            height < THICKEST_DASH * usual
            and 1.4 * height < width < LONGEST_DASH * usual
            and 0.25 < level < 0.75
            and box[2] < boxes[:, 2].max()  # at the end of a row, it may be the bar of a 5
        ):
            return "-"
        mask = self._found.part([label])[1]
        if 0.25 < level < 0.75 and _is_plus(mask):
            return "+"
        rest = self._found.box[self._members[self._members != label]]
        if is_point and _distances(box[np.newaxis], rest)[0] < self._stroke:
            return ""
        if is_point or label in self._marks:
            return UNKNOWN
        if _is_arc(mask):
            return UNKNOWN
        is_between = boxes[:, 0].min() < box[0] and boxes[:, 2].max() > box[2]
        if not is_between or not _is_slanted_line(mask):
            return ""
        longer = height / (boxes[:, 3] - boxes[:, 1]).max()
        return "/" if longer > LONGER else UNKNOWN if longer > PERHAPS_LONGER else ""


def _columns(groups: list[Int64], boxes: Int64) -> list[Int64]:
    """Join groups of components that are above each other."""
    joined: list[Int64] = []
    for group in sorted(groups, key=lambda one: int(boxes[one, 0].min())):
        if joined and _shared(around(boxes[joined[-1]]), around(boxes[group]), 0) > OVERLAP:
            joined[-1] = np.append(joined[-1], group)
        else:
            joined.append(group)
    return joined


def _is_plus(mask: Array) -> bool:
    """Return whether a mask is two bars that cross: four arms of a similar length, and no ink between them."""
    height, width = mask.shape
    y, x = np.nonzero(mask)
    half = (height + width) / 2
    pen = half - np.sqrt(max(0.0, half**2 - len(y)))  # two bars of this width have the area of the mask
    across, down = x - x.mean(), y - y.mean()
    between = (np.abs(across) > 0.75 * pen) & (np.abs(down) > 0.75 * pen)
    arms = [np.count_nonzero(away > 0.75 * pen) for away in (across, -across, down, -down)]
    is_pen = stroke_width(mask.astype(np.float32)) > PLUS * pen  # of a bold 0 or 6, 0.9 of it at most
    return bool(is_pen and between.mean() < 0.06 and min(arms) > 0.1 * len(y))


def _is_arc(mask: Array) -> bool:
    """Return whether a mask is one bent stroke, as a bracket is; of 6,000 of MNIST's digits, 10 are."""
    if mask.shape[0] < 3:  # no parabola fits best
        return False
    y, x = np.nonzero(mask)
    bend, lean, start = np.polyfit(y, x, 2)
    off = x - (bend * y**2 + lean * y + start)
    height = mask.shape[0]
    return bool(abs(bend) * height / 4 > BENT and off.std() < 0.06 * height)


def _is_slanted_line(mask: Array) -> bool:
    """Return whether a mask is one straight stroke that leans to the right."""
    if mask.shape[0] < 2:
        return False
    y, x = np.nonzero(mask)
    lean, start = np.polyfit(y, x, 1)
    off = x - (lean * y + start)
    return bool(-lean > SLANTED and off.std() < 0.06 * mask.shape[0])
