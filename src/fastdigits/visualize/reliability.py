"""The reliability diagram: accuracy over confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..metrics.calibration import expected_calibration_error, reliability_bins
from ..metrics.classification import wilson_interval
from .canvas import BLUE, CAPTION, GREY, LABEL, ORANGE, TITLE, add_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability_diagram(labels: object, probabilities: object, *, n_bins: int = 15) -> Figure:
    """Draw accuracy over confidence, with 95 % intervals, and the number of predictions in each bin.

    Parameters
    ----------
    labels : array_like of int, (n,)
    probabilities : array_like, (n, c)
        Return value of `NeuralNetwork.predict_proba`.
    n_bins : int, default 15
        Bins of equal width between 0 and 1.

    Raises
    ------
    TypeError, ValueError
        As for `fastdigits.reliability_bins`.
    """
    from matplotlib.ticker import NullLocator, PercentFormatter

    bins = [one for one in reliability_bins(labels, probabilities, n_bins) if one.count]
    error = expected_calibration_error(labels, probabilities, n_bins)
    low, confidence, accuracy, count = (
        np.array([getattr(one, name) for one in bins]) for name in ("low", "confidence", "accuracy", "count")
    )
    ends = np.array([wilson_interval(round(one.accuracy * one.count), one.count) for one in bins]).T
    figure = new_figure(6.6, 5.6)
    upper = add_axes(figure, 0.85, 0.34, 5.6, 3.2)
    lower = add_axes(figure, 0.85, 3.7, 5.6, 1.05, sharex=upper)
    upper.bar(low, accuracy, 1 / n_bins, align="edge", color=BLUE, alpha=0.25, edgecolor=BLUE)
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="perfect calibration")
    upper.errorbar(
        confidence, accuracy, np.maximum(np.abs(ends - accuracy), 0), label="accuracy, 95 % interval",
        color=ORANGE, fmt="o", markersize=4.5, capsize=2.5, linewidth=1.2,
    )  # fmt: skip
    upper.set(xlim=(0, 1.01), ylim=(0, 1.03))
    upper.set_ylabel("accuracy", fontsize=LABEL)
    figure.legend(frameon=False, fontsize=CAPTION, loc="lower center", ncols=2, borderaxespad=0)
    upper.set_title(f"Calibration: expected error {100 * error:.2f} %", fontsize=TITLE, y=1)
    upper.tick_params(labelbottom=False)
    lower.bar(low, count, 1 / n_bins, align="edge", color=GREY, alpha=0.6)
    lower.set(yscale="log", ylim=(0.5, None))
    lower.set_xlabel("confidence", fontsize=LABEL)
    lower.set_ylabel("predictions", fontsize=LABEL)
    lower.yaxis.set_major_formatter("{x:,.0f}")
    lower.yaxis.set_minor_locator(NullLocator())
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=LABEL)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
