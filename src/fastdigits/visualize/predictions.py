"""Digits with what they are and what they were taken for: right ones, mistakes, pairs that are confused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..inputs import check_count
from ..metrics import confusion_matrix, most_confused, surest_mistakes
from .canvas import BLUE, ORANGE, bare, checked, message, names_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def prediction_grid(
    images: object,
    labels: object,
    probabilities: object,
    *,
    correct: bool,
    count: int = 25,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw digits with what they are, what they were taken for, and how surely.

    Parameters
    ----------
    images : array_like, (n, height, width)
    labels : array_like of int, (n,)
    probabilities : array_like, (n, c)
        What `NeuralNetwork.predict_proba` returned for the images.
    correct : bool
        True draws right predictions, in the order of the images; False draws wrong ones, the surest first.
    count : int, default 25
        How many at most.
    class_names : sequence of str, optional
        Without them the classes' numbers.

    Raises
    ------
    ValueError
        If shapes do not belong together, or if there is not one name a class.
    """
    pictures, truth, probs = checked(images, labels, probabilities, "prediction_grid")
    count = check_count(count, "count", "prediction_grid")
    names = names_of(class_names, probs.shape[1], "prediction_grid")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    right = predicted == truth
    if correct:
        chosen = np.flatnonzero(right)[:count]
        title = f"Right: {right.sum():,} of {right.size:,} images, the first {chosen.size}"
    else:
        chosen = surest_mistakes(truth, probs, count)
        title = f"Wrong: {(~right).sum():,} of {right.size:,} images, the {chosen.size} surest"
    if chosen.size == 0:
        said = "recognised" if correct else "mistaken"
        return message(f"Of {right.size:,} image{'s' * (right.size > 1)}, none was {said}.")
    columns = min(5, chosen.size)
    rows = math.ceil(chosen.size / columns)
    wordy = max(map(len, names)) > 3
    figure = new_figure(
        max(4.6, 1.75 * columns + 0.3), (1.95 + 0.15 * wordy) * rows + 0.7
    )  # the title needs 4.6 inches
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[chosen.size :]:
        axes.axis("off")
    for axes, index in zip(grid.flat, chosen, strict=False):
        bare(axes)
        axes.imshow(pictures[index], cmap="gray_r", vmin=0)
        true, said, sure = (
            names[truth[index]],
            names[predicted[index]],
            f"{100 * confidence[index]:.1f} % sure",
        )
        # Side by side, words would not fit.
        text = f"true {true}\nsaid {said}\n{sure}" if wordy else f"true {true}, said {said}\n{sure}"
        axes.set_title(text, fontsize=9, color=BLUE if right[index] else ORANGE)
    figure.suptitle(title, fontsize=12)
    return figure


def confused_pairs(
    images: object,
    labels: object,
    probabilities: object,
    *,
    pairs: int = 6,
    count: int = 8,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the pairs of classes that are taken for each other most often, a row a pair: true, then said.

    Parameters
    ----------
    images : array_like, (n, height, width)
    labels : array_like of int, (n,)
    probabilities : array_like, (n, c)
        What `NeuralNetwork.predict_proba` returned for the images.
    pairs : int, default 6
        How many pairs at most. Those with as many mistakes come in the order of their classes.
    count : int, default 8
        How many images of a pair at most, the surest mistakes first.
    class_names : sequence of str, optional
        Without them the classes' numbers.

    Raises
    ------
    ValueError
        If shapes do not belong together, or if there is not one name a class.
    """
    pictures, truth, probs = checked(images, labels, probabilities, "confused_pairs")
    pairs = check_count(pairs, "pairs", "confused_pairs")
    count = check_count(count, "count", "confused_pairs")
    names = names_of(class_names, probs.shape[1], "confused_pairs")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    chosen = most_confused(confusion_matrix(truth, predicted, probs.shape[1]), pairs)
    if not chosen:
        return message(f"Of {truth.size:,} image{'s' * (truth.size > 1)}, none was mistaken.")
    figure = new_figure(max(5.4, 1.3 * count + 2.2), 1.5 * len(chosen) + 0.7)  # the title needs as much
    grid = figure.subplots(len(chosen), count, squeeze=False)
    for (true, said, _), row in zip(chosen, grid, strict=True):
        these = np.flatnonzero((truth == true) & (predicted == said))
        these = these[np.argsort(-confidence[these], kind="stable")]
        for axes, index in zip(row, these, strict=False):
            bare(axes)
            axes.imshow(pictures[index], cmap="gray_r", vmin=0)
            axes.set_title(f"{100 * confidence[index]:.0f} %", fontsize=9, color=ORANGE)
        for axes in row[these.size :]:
            axes.axis("off")
        row[0].set_ylabel(
            f"true {names[true]}, said {names[said]}\n{these.size:,} of {(truth == true).sum():,}",
            rotation=0, ha="right", va="center", fontsize=10,
        )  # fmt: skip
    figure.suptitle(f"Most confused: {len(chosen)} pairs, how sure of each mistake", fontsize=12)
    return figure
