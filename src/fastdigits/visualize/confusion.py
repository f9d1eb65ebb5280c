"""The confusion matrix as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import as_array
from .canvas import CAPTION, HEAD, LABEL, TITLE, add_axes, names_of, new_figure, text_width

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 30  # largest number of classes whose cells have space for their counts


def confusion_matrix_figure(matrix: object, class_names: Sequence[str] | None = None) -> Figure:
    """Draw a confusion matrix: counts in the cells, colours for the fraction of the row.

    Zeros are omitted; with more than 30 classes, all numbers are.

    Parameters
    ----------
    matrix : array_like of int, (c, c)
        Return value of `fastdigits.confusion_matrix`: rows are true classes.
    class_names : sequence of str, optional
        Default: the numbers of the classes.

    Raises
    ------
    TypeError
        If the matrix does not hold integers.
    ValueError
        If the matrix is not square, if a count is negative, or if there is not one name per class.
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
    names = names_of(class_names, size, "confusion_matrix_figure")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.85, (0.34 if size <= NUMBERED else 0.2) * size)  # of the matrix, inches
    upright = [size > 12 or len(name) * size > 60 for name in names]  # horizontal, they would overlap
    words, line = text_width(names, LABEL), 1.2 * LABEL / 72
    left, below = words + line + 0.25, (words if any(upright) else line) + line + 0.2
    figure = new_figure(left + side + 1.3, HEAD + side + below)
    axes = add_axes(figure, left, HEAD, side, side)
    # With the power 0.4, mistakes of a few per cent are visible.
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
                fontsize=CAPTION if size <= 12 else 6,
                color="white" if dark else "black",
            )
    axes.set_xticks(range(size), names, parse_math=False)
    for text, vertical in zip(axes.get_xticklabels(), upright, strict=True):
        text.set_rotation(90 if vertical else 0)
    axes.set_yticks(range(size), names, parse_math=False)
    axes.tick_params(labelsize=LABEL if size <= NUMBERED else 8)
    axes.set_xlabel("predicted", fontsize=LABEL)
    axes.set_ylabel("true", fontsize=LABEL)
    hits = int(counts.trace())
    share_right = 100 * hits / max(counts.sum(), 1)
    axes.set_title(f"{hits:,} of {int(counts.sum()):,} correct ({share_right:.2f} %)", fontsize=TITLE, y=1)
    bar = figure.colorbar(image, cax=add_axes(figure, left + side + 0.15, HEAD, 0.2, side))
    bar.set_label("fraction of the true class", size=LABEL)
    bar.set_ticks([0, 0.01, 0.05, 0.2, 0.5, 1], labels=["0", "1 %", "5 %", "20 %", "50 %", "100 %"])
    bar.ax.tick_params(labelsize=LABEL)
    return figure
