"""Images with their true and predicted classes: correct predictions, mistakes, confused pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import Array
from ..core.validation import check_count
from ..metrics.classification import confusion_matrix, most_confused, surest_mistakes
from .canvas import (
    BLUE,
    CAPTION,
    EDGE,
    HEAD,
    LABEL,
    ORANGE,
    TITLE,
    check_predicted_images,
    message,
    names_of,
    new_sheet,
    text_width,
    whole,
    write_head,
)
from .mosaic import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINE = 1.25 * CAPTION / 72  # height of a line of a caption, inches
NARROWEST = 4.6  # inches; the report would enlarge narrower pictures
AIR = 0.05  # inches between a caption and its image


def prediction_grid(
    images: object,
    labels: object,
    probabilities: object,
    *,
    correct: bool,
    count: int = 25,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw images with their true class, predicted class and confidence.

    Parameters
    ----------
    images : array_like, (n, height, width)
    labels : array_like of int, (n,)
    probabilities : array_like, (n, c)
        Return value of `NeuralNetwork.predict_proba` for the images.
    correct : bool
        True draws correct predictions, in the order of the images; False draws mistakes, highest confidence first.
    count : int, default 25
        Maximum number of images.
    class_names : sequence of str, optional
        Default: the numbers of the classes.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not match, if a value is out of range, or if there is not one name per class.
    """
    pictures, truth, probs = check_predicted_images(images, labels, probabilities, "prediction_grid")
    count = check_count(count, "count", "prediction_grid")
    names = names_of(class_names, probs.shape[1], "prediction_grid")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    right = predicted == truth
    if correct:
        chosen = np.flatnonzero(right)[:count]
        title = f"Correct: {right.sum():,} of {right.size:,} images, the first {chosen.size}"
    else:
        chosen = surest_mistakes(truth, probs, count)
        title = f"Wrong: {(~right).sum():,} of {right.size:,} images, the {chosen.size} surest"
    if chosen.size == 0:
        result = "correct" if correct else "wrong"
        return message(f"Of {right.size:,} prediction{'s' * (right.size > 1)}, none was {result}.")
    between = "\n" if max(map(len, names)) > 3 else ", "  # long names need two lines
    captions = [
        f"true {names[truth[index]]}{between}predicted {names[predicted[index]]}\n{100 * confidence[index]:.1f} % sure"
        for index in chosen
    ]
    return _captioned(
        pictures[chosen],
        [divmod(place, 5) for place in range(chosen.size)],
        captions,
        [BLUE if right[index] else ORANGE for index in chosen],
        side=1.3,
        columns=min(5, chosen.size),
        title=title,
    )


def confused_pairs(
    images: object,
    labels: object,
    probabilities: object,
    *,
    pairs: int = 6,
    count: int = 8,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the most frequent pairs of true and wrongly predicted class, one row per pair.

    Parameters
    ----------
    images : array_like, (n, height, width)
    labels : array_like of int, (n,)
    probabilities : array_like, (n, c)
        Return value of `NeuralNetwork.predict_proba` for the images.
    pairs : int, default 6
        Maximum number of pairs. Equally frequent ones are in the order of their classes.
    count : int, default 8
        Maximum number of images per pair, highest confidence first.
    class_names : sequence of str, optional
        Default: the numbers of the classes.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not match, if a value is out of range, or if there is not one name per class.
    """
    pictures, truth, probs = check_predicted_images(images, labels, probabilities, "confused_pairs")
    pairs = check_count(pairs, "pairs", "confused_pairs")
    count = check_count(count, "count", "confused_pairs")
    names = names_of(class_names, probs.shape[1], "confused_pairs")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    chosen = most_confused(confusion_matrix(truth, predicted, probs.shape[1]), pairs)
    if not chosen:
        return message(f"Of {truth.size:,} prediction{'s' * (truth.size > 1)}, none was wrong.")
    shown, cells, beside = [], [], []
    for row, (true, wrong, _) in enumerate(chosen):
        these = np.flatnonzero((truth == true) & (predicted == wrong))
        these = these[np.argsort(-confidence[these], kind="stable")]
        shown += these[:count].tolist()
        cells += [(row, column) for column in range(min(count, these.size))]
        beside.append(
            f"true {names[true]}, predicted {names[wrong]}\n{these.size:,} of {(truth == true).sum():,}"
        )
    return _captioned(
        pictures[shown],
        cells,
        [f"{100 * sure:.0f} %" for sure in confidence[shown]],
        [ORANGE] * len(shown),
        side=1.1,
        columns=count,
        title=f"Most confused: {len(chosen)} pair{'s' * (len(chosen) > 1)}, with the confidence of each mistake",
        beside=beside,
    )


def _captioned(
    tiles: Array,
    cells: list[tuple[int, int]],
    captions: list[str],
    colours: list[str],
    *,
    side: float,
    columns: int,
    title: str,
    beside: Sequence[str] = (),
) -> Figure:
    """Draw images in rows, each with its caption above it.

    Parameters
    ----------
    tiles : ndarray, (n, height, width)
    cells : list of (int, int)
        Row and column of each image.
    captions, colours : list of str
        One per image; all captions have the same number of lines.
    side : float
        The longer side of an image, in inches.
    columns : int
        Number of columns.
    title : str
    beside : sequence of str, default ()
        Two lines of text to the left of each row.
    """
    rows = cells[-1][0] + 1
    above = LINE * len(captions[0].splitlines())
    words = text_width((line for text in captions for line in text.splitlines()), CAPTION)
    lines = 2 * 1.25 * LABEL / 72 + AIR if beside else 0
    grid = Grid.fitted(
        tiles.shape[1:],
        side=side,
        gaps=(AIR + above + 0.09, 0.14),
        pitch=(lines, words + 0.14),
    )
    height, width = grid.extent(rows, columns)
    margin = EDGE + max(0, words - grid.tile[1]) / 2  # a caption may be wider than its image
    left = max(
        margin, EDGE + text_width((line for text in beside for line in text.splitlines()), LABEL) + 0.1
    )
    least = max(NARROWEST, text_width([title], TITLE) + 2 * EDGE)
    spare = max(0, least - left - width - margin)
    below = EDGE + max(0, lines - grid.tile[0]) / 2
    left, top = whole(left + spare / 2), whole(HEAD + above + AIR)
    figure, axes = new_sheet(left + width + margin + spare / 2, top + height + below)
    # Scale each image to its own maximum: its pixels may have any range.
    peaks = np.fmax.reduce(tiles, axis=(1, 2), keepdims=True).astype(np.float64)
    ink = (tiles / np.where(peaks > 0, peaks, 1)).astype(np.float32)
    grid.draw(axes, ink, cells, (left, top), cmap="gray_r", vmin=0, vmax=1)
    for cell, caption, colour in zip(cells, captions, colours, strict=True):
        x, y = grid.corner(cell)
        axes.text(
            left + x + grid.tile[1] / 2, top + y - AIR, caption,
            ha="center", va="bottom", fontsize=CAPTION, color=colour, parse_math=False,
        )  # fmt: skip
    for row, text in enumerate(beside):
        y = grid.corner((row, 0))[1] + grid.tile[0] / 2
        axes.text(
            left - 0.08, top + y, text, ha="right", va="center", fontsize=LABEL, parse_math=False
        )  # fmt: skip
    write_head(figure, title)
    return figure
