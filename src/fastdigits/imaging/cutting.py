"""Cut digits that touch: propose cuts, and choose those whose parts are most surely digits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from ..core.arrays import Array, Float32, Int64
from .rows import Segment
from .segmentation import stroke_width

CROSSED = 2.3  # widths of a stroke that a cut may cross: a cut through a 0 crosses two
SOLID = 0.4  # of the height: a cut that crosses as much divides a filled shape
TALL = 0.6  # of the height of touching digits: each part is as high
WIDE, USUAL = 1.3, 0.75  # width over height: of touching digits at least, and of one digit
NARROW = 0.95  # width over height: of one digit; a narrower piece that is none may be a letter and is not cut
PITCH = 0.12  # of the height: distance between the cuts that are proposed
NARROWEST, WIDEST = 0.12, 1.3  # of the height: of one digit among several that touch
# Weights in the logarithm of a path's likelihood: of the logarithm of a part's confidence, of the widths of a stroke
# that a cut crosses, of the logarithm of a part's width over height beyond BROADEST, and of its lack of height
CONFIDENCE, CROSSING, BROAD, LOW = 1.05, 5.2, 10.0, 5.0
BROADEST, FULL = 0.85, 0.95
LEAST = 1e-6  # the confidence that counts as none
KEPT = 30  # readings of the digits up to a cut

_Way = tuple[float, float, list[Segment]]


def cut_touching(
    row: list[Segment], amount: Float32, confidence: Callable[[list[Segment]], Array] | None
) -> list[Segment]:
    """Return the row with digits that touch cut apart.

    Parameters
    ----------
    row : list of Segment
        From left to right.
    amount : ndarray, (height, width) float32
        0 is paper, 1 is ink.
    confidence : callable or None
        Returns for each of some segments the probabilities of the digits, (n, classes). None: cut wide segments into
        parts of equal width, if the cuts cross little ink.

    Notes
    -----
    ``sure`` of a part is the probability of all digits that are read in its segment.
    """
    if confidence is None:
        return [part for one in row for part in ([one] if one.sign else _parts_by_form(one, amount))]
    graphs = [_Graph(one, amount) for one in row]
    spans = [span for graph in graphs for span in graph.spans.values()]
    found: Iterator[Array] = iter(confidence(spans) if spans else ())
    return [part for graph in graphs for part in graph.best(found)]


class _Graph:
    """The ways to cut one segment: nodes are cuts, arcs are the segments between two cuts.

    Notes
    -----
    The likelihood of a reading is the sum of those of all paths whose arcs read so, by dynamic programming; the most
    likely reading is cut along its best path. LeCun, Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to
    Document Recognition, sections V and VI: heuristic over-segmentation, and the forward algorithm.

    The weights make the right readings of numbers of MNIST's training images most likely, of those that touch, of those
    that do not, and of wide zeros.
    """

    def __init__(self, whole: Segment, amount: Float32) -> None:
        self._whole = whole
        height, width = whole.mask.shape
        ink = _ink(whole, amount)
        stroke = stroke_width(ink)
        most = min(CROSSED * stroke, SOLID * height)
        cuts = [] if whole.sign or width < NARROW * height else _proposed(ink, most)
        self._costs = [0.0, *(CROSSING * crossed / stroke for _, crossed in cuts), 0.0]
        nodes = [np.zeros(height, np.int64), *(path for path, _ in cuts), np.full(height, width)]
        self.spans: dict[tuple[int, int], Segment] = {}
        for first, last in itertools.combinations(range(len(nodes)), 2):
            if (first, last) == (0, len(nodes) - 1):
                if len(nodes) > 2:
                    self.spans[first, last] = whole
            elif nodes[last].min() - nodes[first].max() < WIDEST * height:
                part = _between(whole, nodes[first], nodes[last])
                if part is not None and _may_be_digit(part, height):
                    self.spans[first, last] = part

    def best(self, found: Iterator[Array]) -> list[Segment]:
        """Return the parts of the most likely reading; take the probabilities of the digits for all arcs."""
        if not self.spans:
            return [self._whole]
        arcs = sorted(zip(self.spans, found, strict=False), key=lambda arc: arc[0][1])
        # The readings up to each node, each with the logarithm of its likelihood, that of its best path, and this path
        nodes: dict[int, dict[tuple[int, ...], _Way]] = {0: {(): (0.0, 0.0, [])}}
        for (begin, end), probabilities in arcs:
            digit, part = int(probabilities.argmax()), self.spans[begin, end]
            confidence = max(float(probabilities[digit]), LEAST)
            gain = CONFIDENCE * math.log(confidence) + self._form(part) - self._costs[end]
            here = nodes.setdefault(end, {})
            ways = sorted(nodes.get(begin, {}).items(), key=lambda way: -way[1][0])
            for reading, (total, best, path) in ways[:KEPT]:
                other = here.get((*reading, digit), (-math.inf, -math.inf, []))
                better = max(other[1:], (best + gain, [*path, part]), key=lambda way: way[0])
                here[*reading, digit] = (float(np.logaddexp(other[0], total + gain)), *better)
        ends = sorted(nodes[len(self._costs) - 1].values(), key=lambda way: -way[0])
        sure = 1 / sum(math.exp(total - ends[0][0]) for total, _, _ in ends)
        return [replace(part, sure=sure) for part in ends[0][2]]

    def _form(self, part: Segment) -> float:
        """Return the logarithm of the likelihood of a part's form."""
        height = self._whole.mask.shape[0]
        high, wide = part.mask.shape
        too_wide, too_low = math.log(wide / height / BROADEST), FULL - high / height
        return -BROAD * max(0.0, too_wide) - LOW * max(0.0, float(too_low))


def _may_be_digit(part: Segment, height: int) -> bool:
    high, wide = part.mask.shape
    return bool(high > TALL * height and NARROWEST * height < wide < WIDEST * height)


def _ink(whole: Segment, amount: Float32) -> Float32:
    left, top, right, bottom = whole.box
    ink: Float32 = np.where(whole.mask, np.clip(amount[top:bottom, left:right], 0, 1), 0)
    return ink


def _between(whole: Segment, begin: Int64, end: Int64) -> Segment | None:
    """Return the part of a segment between two paths; None if it has no ink."""
    columns = np.arange(whole.mask.shape[1])
    mask = whole.mask & (columns >= begin[:, np.newaxis]) & (columns < end[:, np.newaxis])
    rows, filled = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(filled[0]), int(filled[-1]) + 1
    left, top = whole.box[:2]
    return Segment((left + x0, top + y0, left + x1, top + y1), mask[y0:y1, x0:x1])


def _proposed(ink: Float32, most: float) -> list[tuple[Int64, float]]:
    """Return paths for cuts from left to right, and the ink that each crosses, at most ``most``."""
    height, width = ink.shape
    middles = np.arange(
        round(PITCH * height), width - round(PITCH * height) + 1, max(1, round(PITCH * height))
    )
    if middles.size == 0:
        return []
    paths = _paths(ink, middles, max(1, round(PITCH * height)))
    crossed = ink[np.arange(height), paths].sum(axis=1)
    places = paths.mean(axis=1)
    kept: list[int] = []
    for number in np.argsort(crossed, kind="stable"):
        if crossed[number] <= most and all(
            abs(places[number] - places[other]) > PITCH / 2 * height for other in kept
        ):
            kept.append(int(number))
    return [(paths[number], float(crossed[number])) for number in sorted(kept, key=lambda one: places[one])]


def _parts_by_form(whole: Segment, amount: Float32) -> list[Segment]:
    """Cut a wide segment into digits, if all parts are high and the cuts cross little ink."""
    height, width = whole.mask.shape
    most = round(width / (USUAL * height)) if width > WIDE * height else 1
    ink = _ink(whole, amount)
    for count in range(most, 1, -1):
        middles = np.arange(1, count) * width // count
        paths = _paths(ink, middles, max(1, round(0.35 * width / count)))
        sides = [np.zeros(height, np.int64), *paths, np.full(height, width)]
        parts = [_between(whole, begin, end) for begin, end in itertools.pairwise(sides)]
        crossed = ink[np.arange(height), paths].sum(axis=1).max()
        if crossed < min(CROSSED * stroke_width(ink), SOLID * height):
            high = [part for part in parts if part is not None and part.mask.shape[0] > TALL * height]
            if len(high) == count:
                return high
    return [whole]


def _paths(ink: Float32, middles: Int64, reach: int) -> Int64:
    """Return for each middle the path from top to bottom near it that crosses the least ink, (n, height) columns.

    Parameters
    ----------
    ink : ndarray, (height, width)
    middles : ndarray, (n,)
        The columns that are preferred among equal paths.
    reach : int
        The path stays within this distance of the middle.

    Notes
    -----
    Dynamic programming: each step to the next row moves at most one column.
    """
    height, width = ink.shape
    span = 2 * reach + 1
    padded = np.pad(ink, ((0, 0), (reach, reach)))
    away = np.arange(span) - reach
    # (height, n, span); a small cost: a path may slant over the whole height
    cost = (
        np.stack([padded[:, middle : middle + span] for middle in middles], axis=1)
        + 0.02 * (away / reach) ** 2
    )
    back = np.zeros(cost.shape, dtype=np.int64)
    total = cost[0]
    for row in range(1, height):
        beside = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        three = np.stack([beside[:, :-2] + 0.01, beside[:, 1:-1], beside[:, 2:] + 0.01])
        step = three.argmin(axis=0)
        back[row] = np.arange(span) + step - 1
        total = cost[row] + np.take_along_axis(three, step[np.newaxis], axis=0)[0]
    path = np.empty((len(middles), height), dtype=np.int64)
    path[:, -1] = total.argmin(axis=1)
    for row in range(height - 1, 0, -1):
        path[:, row - 1] = back[row, np.arange(len(middles)), path[:, row]]
    columns: Int64 = np.clip(path + middles[:, np.newaxis] - reach, 0, width - 1)
    return columns
