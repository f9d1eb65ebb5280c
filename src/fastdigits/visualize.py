"""Pictures of a training and of what it led to, drawn with matplotlib, without a display too.

Each function returns a ``matplotlib.figure.Figure``; nothing here opens a window or changes a setting of matplotlib.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .inputs import Array, as_array, check_count
from .metrics import confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .callbacks import History

DPI = 150
NUMBERED = 30  # classes up to which the cells of a confusion matrix have room for their counts
# Okabe and Ito's palette (2008), which people with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"


def training_curves(history: History) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs.

    Parameters
    ----------
    history : History
        At least one epoch. Validation is drawn where there is one.

    Raises
    ------
    ValueError
        If there is no epoch.
    """
    if not history.epoch:
        raise ValueError("training_curves: history must have at least one epoch; got none: train first")
    figure = _figure(9, 6.2)
    (loss, accuracy), (rate, speed) = figure.subplots(2, 2, height_ratios=[2.2, 1], sharex=True)
    style = {"marker": "o", "markersize": 4 if len(history.epoch) <= 30 else 0, "linewidth": 1.8}
    for axes, name, train, validation in [
        (loss, "loss", history.loss, history.val_loss),
        (accuracy, "accuracy, %", _percent(history.accuracy), _percent(history.val_accuracy)),
    ]:
        axes.plot(history.epoch, train, color=BLUE, label="training, while it went on", **style)
        if validation:
            axes.plot(history.epoch, validation, color=ORANGE, label="validation, after each epoch", **style)
        axes.set_title(name)
        axes.legend(frameon=False, fontsize=9)
    rate.plot(history.epoch, history.lr, color=GREEN, **style)
    rate.set_title("learning rate at the end of the epoch")
    speed.plot(history.epoch, [count / 1e3 for count in history.images_per_second], color=GREY, **style)
    speed.set_title("images a second, thousands")
    speed.set_ylim(0, 1.15 * max(history.images_per_second) / 1e3 or 1)  # room for the highest marker
    for axes in (loss, accuracy, rate, speed):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(history.epoch) == 1:
        loss.set_xlim(history.epoch[0] - 0.5, history.epoch[0] + 0.5)
    for axes in (rate, speed):
        axes.set_xlabel("epoch")
    return figure


def prediction_grid(
    images: object, labels: object, probabilities: object, *, correct: bool, count: int = 25
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

    Raises
    ------
    ValueError
        If shapes do not belong together.
    """
    pictures, truth, probs = _checked(images, labels, probabilities, "prediction_grid")
    count = check_count(count, "count", "prediction_grid")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    right = predicted == truth
    if correct:
        chosen = np.flatnonzero(right)[:count]
        title = f"Right: {right.sum():,} of {right.size:,} images, the first {chosen.size}"
    else:
        wrong = np.flatnonzero(~right)
        chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:count]
        title = f"Wrong: {wrong.size:,} of {right.size:,} images, the {chosen.size} surest"
    if chosen.size == 0:
        said = "recognised" if correct else "mistaken"
        return _message(f"Of {right.size:,} image{'s' * (right.size > 1)}, none was {said}.")
    columns = min(5, chosen.size)
    rows = math.ceil(chosen.size / columns)
    figure = _figure(max(4.6, 1.75 * columns + 0.3), 1.95 * rows + 0.7)  # the title needs 4.6 inches
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[chosen.size :]:
        axes.axis("off")
    for axes, index in zip(grid.flat, chosen, strict=False):
        _bare(axes)
        axes.imshow(pictures[index], cmap="gray_r", vmin=0)
        text = f"true {truth[index]}, said {predicted[index]}\n{100 * confidence[index]:.1f} % sure"
        axes.set_title(text, fontsize=9, color=BLUE if right[index] else ORANGE)
    figure.suptitle(title, fontsize=12)
    return figure


def confused_pairs(
    images: object, labels: object, probabilities: object, *, pairs: int = 6, count: int = 8
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

    Raises
    ------
    ValueError
        If shapes do not belong together.
    """
    pictures, truth, probs = _checked(images, labels, probabilities, "confused_pairs")
    pairs = check_count(pairs, "pairs", "confused_pairs")
    count = check_count(count, "count", "confused_pairs")
    predicted, confidence = probs.argmax(axis=1), probs.max(axis=1)
    mistakes = confusion_matrix(truth, predicted, probs.shape[1])
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:pairs]
    chosen = [divmod(int(place), probs.shape[1]) for place in order if mistakes.flat[place] > 0]
    if not chosen:
        return _message(f"Of {truth.size:,} image{'s' * (truth.size > 1)}, none was mistaken.")
    figure = _figure(max(5.4, 1.3 * count + 2.2), 1.5 * len(chosen) + 0.7)  # the title needs as much
    grid = figure.subplots(len(chosen), count, squeeze=False)
    for (true, said), row in zip(chosen, grid, strict=True):
        these = np.flatnonzero((truth == true) & (predicted == said))
        these = these[np.argsort(-confidence[these], kind="stable")]
        for axes, index in zip(row, these, strict=False):
            _bare(axes)
            axes.imshow(pictures[index], cmap="gray_r", vmin=0)
            axes.set_title(f"{100 * confidence[index]:.0f} %", fontsize=9, color=ORANGE)
        for axes in row[these.size :]:
            axes.axis("off")
        row[0].set_ylabel(
            f"true {true}, said {said}\n{these.size:,} of {(truth == true).sum():,}",
            rotation=0, ha="right", va="center", fontsize=10,
        )  # fmt: skip
    figure.suptitle(f"Most confused: {len(chosen)} pairs, how sure of each mistake", fontsize=12)
    return figure


def confusion_matrix_figure(matrix: object, class_names: Sequence[str] | None = None) -> Figure:
    """Draw a confusion matrix: counts in the cells, colour for the share of the row, mistakes kept visible.

    Cells of zero stay empty; above 30 classes there is no room for numbers, and colour alone tells.

    Parameters
    ----------
    matrix : array_like of int, (c, c)
        Rows are true classes, as `fastdigits.confusion_matrix` returns it.
    class_names : sequence of str, optional
        Without them the classes' numbers.

    Raises
    ------
    TypeError
        If the matrix holds no integers.
    ValueError
        If the matrix is not square, if a count is negative, or if there is not one name a class.
    """
    from matplotlib.colors import PowerNorm

    counts = as_array(matrix, "confusion_matrix_figure: matrix")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
        raise ValueError(f"confusion_matrix_figure: matrix must be (c, c), c ≥ 1; got {counts.shape}")
    if counts.dtype.kind not in "ui":
        raise TypeError(
            f"confusion_matrix_figure: matrix must hold counts, integers; got dtype {counts.dtype}"
        )
    if counts.min() < 0:
        raise ValueError(f"confusion_matrix_figure: matrix must hold counts ≥ 0; got {counts.min()}")
    size = len(counts)
    names = [str(label) for label in range(size)] if class_names is None else list(class_names)
    if len(names) != size:
        raise ValueError(
            f"confusion_matrix_figure: class_names must be {size}, one a class; got {len(names)}"
        )
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = 0.34 if size <= NUMBERED else 0.2  # inches
    figure = _figure(max(6.6, cell * size + 2.4), max(5.6, cell * size + 1.2))
    axes = figure.subplots()
    # Raised to 0.4, the few per cent of a mistake come out of the white.
    image = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.4, vmin=0, vmax=1))
    if size <= NUMBERED:
        for row, column in np.argwhere(counts > 0):
            dark = share[row, column] ** 0.4 > 0.6
            axes.text(
                column,
                row,
                f"{counts[row, column]:d}",
                ha="center",
                va="center",
                fontsize=9 if size <= 12 else 6,
                color="white" if dark else "black",
            )
    upright = size > 12 or max(map(len, names)) * size > 60  # side by side, longer names would overlap
    axes.set_xticks(range(size), names, rotation=90 if upright else 0)
    axes.set_yticks(range(size), names)
    axes.tick_params(labelsize=10 if size <= NUMBERED else 8)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    hits = int(counts.trace())
    axes.set_title(f"{hits:,} of {int(counts.sum()):,} right ({100 * hits / max(counts.sum(), 1):.2f} %)")
    beside = axes.inset_axes((1.03, 0, 0.04, 1))  # exactly as high as the matrix, whatever its size
    bar = figure.colorbar(image, cax=beside, label="share of the true class")
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0", "1 %", "5 %", "20 %", "50 %", "100 %"])
    return figure


def first_layer_weights(
    weight: object, image_shape: tuple[int, int] = (28, 28), *, count: int = 64
) -> Figure:
    """Draw what each neuron of the first layer looks for: its weights, one a pixel, as an image.

    Parameters
    ----------
    weight : array_like, (height · width, n_out)
        Value of the first layer's weight.
    image_shape : (int, int), default (28, 28)
    count : int, default 64
        How many neurons at most, from the first on.

    Raises
    ------
    TypeError
        If ``image_shape`` is no pair of integers.
    ValueError
        If the weight has not one row a pixel or is not finite.
    """
    values = as_array(weight, "first_layer_weights: weight")
    count = check_count(count, "count", "first_layer_weights")
    image_shape = _height_and_width(image_shape, "first_layer_weights")
    if values.ndim != 2 or values.size == 0 or values.shape[0] != math.prod(image_shape):
        raise ValueError(
            f"first_layer_weights: weight must be ({math.prod(image_shape)}, n_out), one row a pixel of "
            f"{image_shape}; got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("first_layer_weights: weight must be finite; got NaN or infinity: training diverged")
    neurons = values.T[:count].reshape(-1, *image_shape)
    columns = math.ceil(math.sqrt(len(neurons)))
    rows = math.ceil(len(neurons) / columns)
    figure = _figure(max(4.2, 0.95 * columns + 1.3), max(3.6, 0.95 * rows + 0.8))  # for the words
    grid = figure.subplots(rows, columns, squeeze=False)
    # Pixels that are never lit keep their random start; the colour's ends are set by the middle 99 %.
    limit = float(np.quantile(np.abs(neurons), 0.99)) or 1.0
    for axes in grid.flat[len(neurons) :]:
        axes.axis("off")
    image = None
    for axes, neuron in zip(grid.flat, neurons, strict=False):
        _bare(axes)
        image = axes.imshow(neuron, cmap="RdBu_r", vmin=-limit, vmax=limit)
    if image is not None:
        figure.colorbar(
            image,
            ax=grid,
            shrink=0.9 if rows < 4 else 0.6,
            label="weight: red for ink, blue against it",
            extend="both",
        )
    figure.suptitle(f"First layer: {len(neurons)} of {values.shape[1]} neurons", fontsize=12)
    return figure


def write_pictures(
    folder: str | os.PathLike[str],
    *,
    history: History,
    images: object,
    labels: object,
    probabilities: object,
    weight: object = None,
    image_shape: tuple[int, int] | None = None,
) -> list[Path]:
    """Draw everything that can be drawn of a run, into a folder that exists.

    Parameters
    ----------
    folder : str or path-like
    history : History
        Without an epoch, ``curves.png`` is left out.
    images, labels, probabilities
        As for `prediction_grid`.
    weight : array_like, optional
        As for `first_layer_weights`; without it, ``weights.png`` is left out.
    image_shape : (int, int), optional
        Height and width. Needed where the images are rows, (n, height · width); otherwise it is theirs.

    Returns
    -------
    list of Path
        ``curves.png``, ``predictions_right.png``, ``predictions_wrong.png``, ``confused_pairs.png``,
        ``confusion.png``, ``weights.png``.
    """
    if image_shape is not None:
        images = _as_pictures(images, image_shape, "write_pictures")
    pictures, truth, probs = _checked(images, labels, probabilities, "write_pictures")
    figures: dict[str, Figure] = {}
    if history.epoch:
        figures["curves"] = training_curves(history)
    figures["predictions_right"] = prediction_grid(pictures, truth, probs, correct=True)
    figures["predictions_wrong"] = prediction_grid(pictures, truth, probs, correct=False)
    figures["confused_pairs"] = confused_pairs(pictures, truth, probs)
    figures["confusion"] = confusion_matrix_figure(
        confusion_matrix(truth, probs.argmax(axis=1), probs.shape[1])
    )
    if weight is not None:
        figures["weights"] = first_layer_weights(weight, (pictures.shape[1], pictures.shape[2]))
    paths = []
    for name, figure in figures.items():
        paths.append(Path(folder) / f"{name}.png")
        figure.savefig(paths[-1], dpi=DPI)
    return paths


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    # No colour of the paper: that of the ink is the reader's setting, and both must fit together.
    return Figure(figsize=(width, height), layout="constrained")


def _message(text: str) -> Figure:
    figure = _figure(6, 2)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=12)
    return figure


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]


def _checked(
    images: object, labels: object, probabilities: object, subject: str
) -> tuple[Array, Array, Array]:
    pictures = as_array(images, f"{subject}: images")
    truth = as_array(labels, f"{subject}: labels")
    probs = as_array(probabilities, f"{subject}: probabilities")
    if pictures.ndim != 3 or pictures.size == 0:
        raise ValueError(f"{subject}: images must be (n, height, width), n ≥ 1; got {pictures.shape}")
    if truth.shape != pictures.shape[:1] or probs.ndim != 2 or len(probs) != len(pictures):
        raise ValueError(
            f"{subject}: labels must be (n,) and probabilities (n, c) for the {len(pictures)} images; "
            f"got {truth.shape} and {probs.shape}"
        )
    if truth.dtype.kind not in "ui":
        raise TypeError(f"{subject}: labels must hold integers; got dtype {truth.dtype}")
    if not (probs.size and probs.min() >= 0 and probs.max() <= 1.001):  # not for NaN either
        raise ValueError(
            f"{subject}: probabilities must lie in 0 … 1; got {_extent(probs)}: take predict_proba, not logits"
        )
    if truth.min() < 0 or truth.max() >= probs.shape[1]:
        raise ValueError(f"{subject}: labels must lie in 0 … {probs.shape[1] - 1}; got {_extent(truth)}")
    return pictures, truth, probs


def _extent(values: Array) -> str:
    return f"{values.min():g} to {values.max():g}" if values.size else f"{values.shape}"


def _height_and_width(image_shape: object, subject: str) -> tuple[int, int]:
    if not isinstance(image_shape, tuple | list) or len(image_shape) != 2:
        raise TypeError(f"{subject}: image_shape must be (height, width); got {image_shape!r}")
    height, width = (check_count(side, "image_shape", subject) for side in image_shape)
    return height, width


def _as_pictures(images: object, image_shape: tuple[int, int], subject: str) -> Array:
    rows = as_array(images, f"{subject}: images")
    height, width = _height_and_width(image_shape, subject)
    if rows.shape[1:] not in ((height, width), (height * width,)):
        raise ValueError(
            f"{subject}: images must be (n, {height}, {width}) or (n, {height * width}); got {rows.shape}"
        )
    return rows.reshape(-1, height, width)
