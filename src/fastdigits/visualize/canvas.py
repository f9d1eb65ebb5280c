"""Shared parts of the figures: sizes, colours, the width of text, and checks of images and predictions.

Lengths are inches. All font sizes are fixed, so the layout is computed before drawing: matplotlib's layout engine would
draw each figure two more times.
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
from ..metrics.classification import check_predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Okabe and Ito's palette (2008), also for colour-blind readers
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
DPI = 150  # of the files; sizes of figures and tiles are whole pixels
TITLE, LABEL, CAPTION = 12, 10, 9  # font sizes, points
HEAD, EDGE = 0.36, 0.08  # height of a title, margin of a figure, inches
LONGEST = 24  # characters of a class name; longer ones are cut


def signed_colours() -> Colormap:
    """Return the colours of numbers around 0, as on the page to draw on: blue above, orange below, white between."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", [ORANGE, "white", BLUE])


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this many inches, rounded up to whole pixels."""
    from .figure import NotebookFigure

    # No colours are set here: the user's style may change text and background, which must match.
    return NotebookFigure(figsize=(whole(width), whole(height)))


def add_axes(
    figure: Figure, left: float, top: float, width: float, height: float, sharex: Axes | None = None
) -> Axes:
    """Return new axes; ``left`` and ``top`` are inches from the upper left corner of the figure."""
    across, down = figure.get_size_inches()
    place = (left / across, 1 - (top + height) / down, width / across, height / down)
    return figure.add_axes(place, sharex=sharex)


def new_sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes over all of it, with coordinates in inches from the upper left corner."""
    figure = new_figure(width, height)
    width, height = figure.get_size_inches()
    axes = add_axes(figure, 0, 0, width, height)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure, axes


def write_head(figure: Figure, text: str) -> None:
    """Write a title at the top, `HEAD` inches high."""
    figure.suptitle(text, y=1 - EDGE / figure.get_figheight(), va="top", fontsize=TITLE)


def whole(inches: float) -> float:
    """Return a length rounded up to whole pixels."""
    return math.ceil(round(inches * DPI, 6)) / DPI


def text_width(texts: Iterable[str], size: float) -> float:
    """Return the width of the widest line in inches, for a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    widths = (text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] for text in texts)
    return 1.02 * max(widths, default=0.0) / 72  # hinting makes letters a little wider


def message(text: str) -> Figure:
    """Return a figure with a message, for when there is nothing to draw."""
    figure = new_figure(6, 2)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=TITLE)
    return figure


def write_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int, **options: Any) -> None:
    """Write a figure to a file atomically, in the format of the file name extension.

    Parameters
    ----------
    options
        Further arguments of matplotlib's ``savefig``.
    """
    content = io.BytesIO()
    figure.savefig(content, format=Path(path).suffix[1:].lower(), dpi=dpi, **options)
    atomic.write(path, content.getvalue(), example="picture.png", sync=False)


def names_of(class_names: Sequence[str] | None, size: int, subject: str) -> list[str]:
    """Return one name per class, long ones cut; by default, the numbers of the classes."""
    if class_names is not None and len(class_names) != size:
        raise ValueError(f"{subject}: class_names must be {size}, one per class; got {len(class_names)}")
    names = map(str, range(size)) if class_names is None else map(printable, class_names)
    return [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in names]


def check_predicted_images(
    images: object, labels: object, probabilities: object, subject: str
) -> tuple[Array, Array, Array]:
    """Check images, labels and probabilities; return arrays (n, height, width), (n,) and (n, c)."""
    pictures = as_array(images, f"{subject}: images")
    if pictures.ndim != 3 or pictures.size == 0:
        raise ValueError(f"{subject}: images must be (n, height, width), n ≥ 1; got {pictures.shape}")
    truth, probs = check_predictions(labels, probabilities, subject)
    if len(truth) != len(pictures):
        raise ValueError(f"{subject}: labels must be ({len(pictures)},), one per image; got {truth.shape}")
    return pictures, truth, probs


def height_and_width(image_shape: object, subject: str) -> tuple[int, int]:
    """Return height and width; TypeError if they are not a pair of integers."""
    if not isinstance(image_shape, tuple | list) or len(image_shape) != 2:
        raise TypeError(f"{subject}: image_shape must be (height, width); got {image_shape!r}")
    height, width = (check_count(side, "image_shape", subject) for side in image_shape)
    return height, width


def as_pictures(images: object, image_shape: tuple[int, int], subject: str) -> Array:
    """Return images or rows of pixels as an array (n, height, width)."""
    rows = as_array(images, f"{subject}: images")
    height, width = height_and_width(image_shape, subject)
    if rows.shape[1:] not in ((height, width), (height * width,)):
        raise ValueError(
            f"{subject}: images must be (n, {height}, {width}) or (n, {height * width}); got {rows.shape}"
        )
    return rows.reshape(-1, height, width)
