"""How a training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .canvas import BLUE, GREEN, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..callbacks import History


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
    figure = new_figure(9, 6.2)
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


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]
