"""Draw recognised digits: the picture, the network's input, and the probability of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import Float32
from ..errors import printable
from ..imaging.reading import Reading
from .canvas import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = 24  # digits in one figure, so that it does not become too long


def readings_figure(readings: Sequence[Reading], most: int = DRAWN) -> Figure:
    """Draw one row per digit: its picture, the network's input, and the probability of each class.

    Parameters
    ----------
    readings : sequence of Reading
        At least one.
    most : int, default 24
        Maximum number of digits.
    """
    rows = [(reading, number) for reading in readings for number in range(len(reading.images))][:most]
    figure = new_figure(8, 1.75 * len(rows) + 0.3)
    figure.set_layout_engine("constrained")  # room for long names of classes
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
    axes.set_ylim(0, 118)  # space for a number above the highest bar
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    if len(classes) <= 30:
        axes.set_xticks(classes, names, parse_math=False)
        for text in axes.get_xticklabels():
            if len(text.get_text()) > 2:
                text.set(fontsize=7, rotation=90)
    for label, value in zip(classes, 100 * probabilities, strict=True):
        if value >= 0.95:
            axes.text(label, value + 3, f"{value:.0f}", ha="center", fontsize=8)
