"""What all pictures share: the paper, the colours, how images and predictions are checked before they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..inputs import Array, as_array, check_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), which people with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    # No colour of the paper: that of the ink is the reader's setting, and both must fit together.
    return Figure(figsize=(width, height), layout="constrained")


def message(text: str) -> Figure:
    """Return a figure that says in words that there is nothing to draw."""
    figure = new_figure(6, 2)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=12)
    return figure


def names_of(class_names: Sequence[str] | None, size: int, subject: str) -> list[str]:
    """Return one name a class; their numbers where none are given."""
    if class_names is not None and len(class_names) != size:
        raise ValueError(f"{subject}: class_names must be {size}, one a class; got {len(class_names)}")
    return [str(label) for label in range(size)] if class_names is None else list(class_names)


def bare(axes: Axes) -> None:
    """Take the ticks away."""
    axes.set_xticks([])
    axes.set_yticks([])


def checked(
    images: object, labels: object, probabilities: object, subject: str
) -> tuple[Array, Array, Array]:
    """Return images, (n, height, width), labels, (n,), and probabilities, (n, c), that belong together."""
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


def height_and_width(image_shape: object, subject: str) -> tuple[int, int]:
    """Return the two sides of an image; TypeError where it is no pair of integers."""
    if not isinstance(image_shape, tuple | list) or len(image_shape) != 2:
        raise TypeError(f"{subject}: image_shape must be (height, width); got {image_shape!r}")
    height, width = (check_count(side, "image_shape", subject) for side in image_shape)
    return height, width


def as_pictures(images: object, image_shape: tuple[int, int], subject: str) -> Array:
    """Return images or rows of pixels as images, (n, height, width)."""
    rows = as_array(images, f"{subject}: images")
    height, width = height_and_width(image_shape, subject)
    if rows.shape[1:] not in ((height, width), (height * width,)):
        raise ValueError(
            f"{subject}: images must be (n, {height}, {width}) or (n, {height * width}); got {rows.shape}"
        )
    return rows.reshape(-1, height, width)
