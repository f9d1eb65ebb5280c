"""All pictures of a run, as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..metrics import confusion_matrix
from .canvas import DPI, as_pictures, checked
from .confusion import confusion_matrix_figure
from .curves import training_curves
from .predictions import confused_pairs, prediction_grid
from .reliability import reliability_diagram
from .weights import first_layer_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..callbacks import History


def write_pictures(
    folder: str | os.PathLike[str],
    *,
    images: object,
    labels: object,
    probabilities: object,
    history: History | None = None,
    weight: object = None,
    image_shape: tuple[int, int] | None = None,
    right: bool = True,
    class_names: Sequence[str] | None = None,
) -> list[Path]:
    """Draw everything that can be drawn of a run, into a folder that exists.

    Parameters
    ----------
    folder : str or path-like
    images, labels, probabilities
        As for `prediction_grid`.
    history : History, optional
        Without one, or without an epoch, ``curves.png`` is left out.
    weight : array_like, optional
        As for `first_layer_weights`; without it, ``weights.png`` is left out.
    image_shape : (int, int), optional
        Height and width. Needed where the images are rows, (n, height · width); otherwise it is theirs.
    right : bool, default True
        Whether ``predictions_right.png`` is drawn.
    class_names : sequence of str, optional
        Without them the classes' numbers.

    Returns
    -------
    list of Path
        ``curves.png``, ``predictions_right.png``, ``predictions_wrong.png``, ``confused_pairs.png``,
        ``confusion.png``, ``calibration.png``, ``weights.png``.
    """
    if image_shape is not None:
        images = as_pictures(images, image_shape, "write_pictures")
    pictures, truth, probs = checked(images, labels, probabilities, "write_pictures")
    figures: dict[str, Figure] = {}
    if history is not None and history.epoch:
        figures["curves"] = training_curves(history)
    if right:
        figures["predictions_right"] = prediction_grid(
            pictures, truth, probs, correct=True, class_names=class_names
        )
    figures["predictions_wrong"] = prediction_grid(
        pictures, truth, probs, correct=False, class_names=class_names
    )
    figures["confused_pairs"] = confused_pairs(pictures, truth, probs, class_names=class_names)
    figures["confusion"] = confusion_matrix_figure(
        confusion_matrix(truth, probs.argmax(axis=1), probs.shape[1]), class_names
    )
    figures["calibration"] = reliability_diagram(truth, probs)
    if weight is not None:
        figures["weights"] = first_layer_weights(weight, (pictures.shape[1], pictures.shape[2]))
    paths = []
    for name, figure in figures.items():
        paths.append(Path(folder) / f"{name}.png")
        # 2 instead of 6 takes half the time and a fifth more bytes.
        figure.savefig(paths[-1], dpi=DPI, pil_kwargs={"compress_level": 2})
    return paths
