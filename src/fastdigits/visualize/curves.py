"""Training curves over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .canvas import BLUE, CAPTION, GREEN, GREY, LABEL, ORANGE, TITLE, add_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Epochs(Protocol):
    """The columns of a `History` that are drawn."""

    epoch: list[int]
    loss: list[float]
    accuracy: list[float]
    val_loss: list[float]
    val_accuracy: list[float]
    lr: list[float]
    images_per_second: list[float]


def training_curves(history: Epochs) -> Figure:
    """Draw loss, accuracy, learning rate and speed over the epochs.

    Parameters
    ----------
    history : History
        At least one epoch, with or without validation.

    Raises
    ------
    ValueError
        If there is no epoch.
    """
    from matplotlib.ticker import MaxNLocator

    if not history.epoch:
        raise ValueError("training_curves: history must have at least one epoch; got none: train first")
    figure = new_figure(9, 6.2)
    x, y = (0.8, 5.3), (0.34, 4.14)  # with space for eight digits to the left, for small learning rates
    loss = add_axes(figure, x[0], y[0], 3.58, 3.35)
    accuracy = add_axes(figure, x[1], y[0], 3.58, 3.35, sharex=loss)
    rate = add_axes(figure, x[0], y[1], 3.58, 1.55, sharex=loss)
    speed = add_axes(figure, x[1], y[1], 3.58, 1.55, sharex=loss)
    style: dict[str, Any] = {
        "marker": "o",
        "markersize": 4 if len(history.epoch) <= 30 else 0,
        "linewidth": 1.8,
    }
    for axes, name, train, validation in [
        (loss, "loss", history.loss, history.val_loss),
        (accuracy, "accuracy, %", _percent(history.accuracy), _percent(history.val_accuracy)),
    ]:
        axes.plot(history.epoch, train, color=BLUE, label="training (running mean over the epoch)", **style)
        if validation:
            axes.plot(history.epoch, validation, color=ORANGE, label="validation (after the epoch)", **style)
        axes.set_title(name, fontsize=TITLE, y=1)
        axes.legend(frameon=False, fontsize=CAPTION)
        axes.tick_params(labelbottom=False)
    rate.plot(history.epoch, history.lr, color=GREEN, **style)
    rate.set_title("learning rate at the end of the epoch", fontsize=TITLE, y=1)
    speed.plot(history.epoch, [count / 1e3 for count in history.images_per_second], color=GREY, **style)
    speed.set_title("thousands of images per second", fontsize=TITLE, y=1)
    speed.set_ylim(0, 1.15 * max(history.images_per_second) / 1e3 or 1)  # space for the highest marker
    for axes in (loss, accuracy, rate, speed):
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=LABEL)
        axes.yaxis.get_offset_text().set_fontsize(LABEL)
        axes.spines[["top", "right"]].set_visible(False)
    loss.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if len(history.epoch) == 1:
        loss.set_xlim(history.epoch[0] - 0.5, history.epoch[0] + 0.5)
    for axes in (rate, speed):
        axes.set_xlabel("epoch", fontsize=LABEL)
    return figure


def _percent(shares: Sequence[float]) -> list[float]:
    return [100 * share for share in shares]
