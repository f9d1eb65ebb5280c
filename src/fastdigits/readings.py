"""What a network read on a picture, as data, as lines of a table, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .inputs import Array, Float32
from .text import printable
from .visualize.canvas import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("reads", "confidence", "runner-up")
DRAWN = 24  # digits in one figure: above that it is longer than anybody scrolls


@dataclass(frozen=True)
class Reading:
    """One picture, and the digits on it from left to right.

    Attributes
    ----------
    name : str
        Of the file, with the number of the image where the file has several.
    picture : array_like, (height, width) or (height, width, 3)
        What was given.
    images : ndarray, (n, h, w)
        The digits as the network saw them.
    boxes : sequence of (left, top, right, bottom), or None
        Where they are in the picture; None where it was taken whole.
    probabilities : ndarray, (n, classes)
    class_names : sequence of str
        What the classes are called.
    """

    name: str
    picture: object
    images: Array
    boxes: Sequence[tuple[int, int, int, int]] | None
    probabilities: Float32
    class_names: Sequence[str]

    @property
    def ranked(self) -> Array:
        """The classes of each digit, the most probable first, (n, classes)."""
        ranked: Array = np.argsort(-self.probabilities, axis=1, kind="stable")
        return ranked

    @property
    def reads(self) -> str:
        """The digits as one number or word; with spaces between where a class has a name of several letters."""
        between = "" if max(map(len, self.class_names)) == 1 else " "
        return between.join(self.class_names[row[0]] for row in self.ranked)

    def cells(self) -> tuple[str, str, str]:
        """Return what was read, how surely, and what else it could be: the columns of a table."""
        first, second = self.ranked[:, 0], self.ranked[:, 1]
        rows = np.arange(len(first))
        sure, less = 100 * self.probabilities[rows, first], 100 * self.probabilities[rows, second]
        confidence = " ".join(f"{value:.1f}" for value in sure) + " %"
        if len(first) == 1:
            return self.reads, confidence, f"{self.class_names[second[0]]} ({less[0]:.1f} %)"
        return self.reads, confidence, " ".join(self.class_names[label] for label in second)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as numbers and words; probabilities are fractions."""
        digits = []
        for number, (row, ranked) in enumerate(zip(self.probabilities, self.ranked, strict=True)):
            digits.append(
                {
                    "digit": int(ranked[0]),
                    "class": self.class_names[ranked[0]],
                    "confidence": float(row[ranked[0]]),
                    "runner_up": int(ranked[1]),
                    "runner_up_class": self.class_names[ranked[1]],
                    "runner_up_confidence": float(row[ranked[1]]),
                    "probabilities": [float(value) for value in row],
                    "box": None if self.boxes is None else [int(side) for side in self.boxes[number]],
                }
            )
        return {"image": self.name, "reads": self.reads, "digits": digits}


def readings_figure(readings: Sequence[Reading], most: int = DRAWN) -> Figure:
    """Draw a row for each digit: the picture it is on, what the network sees, and how probable each class is.

    Parameters
    ----------
    readings : sequence of Reading
        At least one.
    most : int, default 24
        How many digits at most.
    """
    rows = [(reading, number) for reading in readings for number in range(len(reading.images))][:most]
    figure = new_figure(8, 1.75 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), 3, squeeze=False, width_ratios=[1.5, 1, 2])
    for (given, seen, bars), (reading, number) in zip(grid, rows, strict=True):
        _draw_given(given, reading, number)
        seen.imshow(reading.images[number], cmap="gray", interpolation="nearest")
        seen.set_xticks([])
        seen.set_yticks([])
        _draw_bars(bars, reading.probabilities[number], reading.class_names)
    grid[0, 1].set_title("what the network sees", fontsize=9)
    grid[0, 2].set_title("probability of each class, %", fontsize=9)
    return figure


def _draw_given(axes: Axes, reading: Reading, number: int) -> None:
    picture = np.asarray(reading.picture)
    axes.imshow(picture, cmap="gray")
    axes.set_xticks([])
    axes.set_yticks([])
    name = printable(reading.name)
    axes.set_title(name if len(name) <= 34 else "…" + name[-33:], fontsize=9, parse_math=False)
    if reading.boxes is not None:
        left, top, right, bottom = reading.boxes[number]
        room = 0.02 * max(picture.shape[:2])
        axes.plot(
            [left - room, right + room, right + room, left - room, left - room],
            [top - room, top - room, bottom + room, bottom + room, top - room],
            color=ORANGE,
            linewidth=1.5,
        )


def _draw_bars(axes: Axes, probabilities: Float32, class_names: Sequence[str]) -> None:
    names = [printable(name) for name in class_names]
    classes = range(len(probabilities))
    best = int(probabilities.argmax())
    axes.bar(classes, 100 * probabilities, color=[ORANGE if label == best else BLUE for label in classes])
    axes.set_ylim(0, 118)  # room for the figure above the highest
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    if len(classes) <= 30:
        long = max(map(len, names)) > 2
        size, angle = (7, 90) if long else (None, None)
        axes.set_xticks(classes, names, fontsize=size, rotation=angle, parse_math=False)
    for label, value in zip(classes, 100 * probabilities, strict=True):
        if value >= 0.95:
            axes.text(label, value + 3, f"{value:.0f}", ha="center", fontsize=8)
