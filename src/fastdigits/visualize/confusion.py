"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..inputs import as_array
from .canvas import names_of, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 30  # classes up to which the cells of a confusion matrix have room for their counts


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
    names = names_of(class_names, size, "confusion_matrix_figure")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = 0.34 if size <= NUMBERED else 0.2  # inches
    figure = new_figure(max(6.6, cell * size + 2.4), max(5.6, cell * size + 1.2))
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
