"""What the pictures share: figures, colours, the width of text, and checks of images and predictions.

All distances are inches, and all font sizes are given, so each picture knows its layout before it is drawn:
matplotlib's own layout engine would draw everything twice more to find out.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import atomic
from ..core.arrays import Array, as_array
from ..core.validation import check_count
from ..errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), which people with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
DPI = 150  # of the files; figures and tiles measure whole pixels of it
TITLE, LABEL, CAPTION = 12, 10, 9  # font sizes, points
HEAD, EDGE = 0.36, 0.08  # height of a title, margin of a figure, inches
LONGEST = 24  # characters of a class's name; a longer one is cut


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this many inches, rounded up to whole pixels."""
    from matplotlib.figure import Figure

    # The default colours of paper and ink: a reader's own style sets both, and they must fit together.
    return Figure(figsize=(whole(width), whole(height)))


def add_axes(
    figure: Figure, left: float, top: float, width: float, height: float, sharex: Axes | None = None
) -> Axes:
    """Return new axes at this place, in inches from the upper left corner of the figure."""
    across, down = figure.get_size_inches()
    place = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(place, sharex=sharex)


def new_sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes that cover it, whose coordinates are inches from the upper left corner."""
    figure = new_figure(width, height)
    width, height = figure.get_size_inches()
    axes = add_axes(figure, 0, 0, width, height)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure, axes


def write_head(figure: Figure, text: str) -> None:
    """Write a title at the upper edge, `HEAD` inches high."""
    figure.suptitle(text, y=1 - EDGE / figure.get_figheight(), va="top", fontsize=TITLE)


def whole(inches: float) -> float:
    """Return a length rounded up to whole pixels."""
    return math.ceil(round(inches * DPI, 6)) / DPI


def text_width(texts: Iterable[str], size: float) -> float:
    """Return how many inches the widest of some texts takes, each of one line, at a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    widths = (text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts)
    return 1.02 * max(widths, default=0.0) / 72  # hinting for a screen makes letters a little wider


def message(text: str) -> Figure:
    """Return a figure that says in words that there is nothing to draw."""
    figure = new_figure(6, 2)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=TITLE)
    return figure


def write_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int, **options: Any) -> None:
    """Write a figure to a file, whole or not at all, in the format that the name ends with.

    Parameters
    ----------
    options
        What else matplotlib's ``savefig`` is to know.
    """
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix[1:].lower(), dpi=dpi, **options)
    atomic.write(path, content.getvalue(), example="picture.png", sync=False)


def names_of(class_names: Sequence[str] | None, size: int, subject: str) -> list[str]:
    """Return one name per class, long ones cut; the classes' numbers where no names are given."""
    if class_names is not None and len(class_names) != size:
        raise ValueError(f"{subject}: class_names must be {size}, one per class; got {len(class_names)}")
    names = map(str, range(size)) if class_names is None else map(printable, class_names)
    return [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]


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
