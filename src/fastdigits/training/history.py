"""The history of a training: one entry per epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core import atomic
from ..core.text import Table, loss_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONITORS = ("loss", "accuracy", "val_loss", "val_accuracy")
_COLUMNS = ("epoch", *MONITORS, "lr", "seconds", "images_per_second")
_FORMATS = {  # of all columns but the losses
    "epoch": "d",
    "accuracy": ".4f",
    "val_accuracy": ".4f",
    "lr": ".3g",
    "seconds": ".3f",
    "images_per_second": ",.0f",
}
_SHOWN = 10  # epochs at the beginning and at the end of a long table


@dataclass(repr=False)
class History:
    """Measures of each epoch of one `NeuralNetwork.fit`: lists with one entry per epoch.

    A loop over a history yields one dictionary per epoch, so ``pd.DataFrame(history)`` is a table of it. A notebook
    shows it as a table, and so does ``print(history)``.

    Attributes
    ----------
    epoch : list of int
        Number of the epoch, counted from 1 over all calls of `fit`.
    loss, accuracy : list of float
        Mean over the epoch's training batches, each measured before its step; the accuracy is a fraction.
    val_loss, val_accuracy : list of float
        After the epoch, in evaluation mode. Empty without validation data.
    lr : list of float
        Learning rate of the epoch's last step.
    seconds : list of float
        Time of the training steps, without validation and callbacks.
    images_per_second : list of float
        Training images per second.
    last_epoch : int
        Number of the last planned epoch.
    validates : bool
        Whether there is validation data.
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    images_per_second: list[float] = field(default_factory=list)
    last_epoch: int = 0
    validates: bool = False

    def __len__(self) -> int:
        return len(self.epoch)

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Yield the measures of each epoch by name; without validation data, there are none of it."""
        names = self._names()
        for values in zip(*(getattr(self, name) for name in names), strict=True):
            yield dict(zip(names, values, strict=True))

    def __repr__(self) -> str:
        return f"<History: {epoch_line(self) if self.epoch else 'no epoch'}>"

    def __str__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _names(self) -> list[str]:
        absent = () if self.validates else ("val_loss", "val_accuracy")
        return [name for name in _COLUMNS if name not in absent]

    def _table(self) -> Table:
        names = self._names()
        rows = [[_cell(name, epoch[name]) for name in names] for epoch in self]
        if len(rows) > 2 * _SHOWN + 1:
            rows[_SHOWN:-_SHOWN] = [["…"] * len(names)]
        return Table([names, *rows], ">")

    def plot(self) -> Figure:
        """Draw loss, accuracy, learning rate and speed over the epochs: `fastdigits.visualize.training_curves`.

        Returns
        -------
        matplotlib.figure.Figure
            As the last line of a cell, a notebook shows it; ``history.plot().savefig("curves.png")`` writes it.

        Raises
        ------
        ValueError
            If there is no epoch.
        """
        from ..visualize.curves import training_curves

        return training_curves(self)

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line of names and one line per epoch; columns without entries are omitted.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced as a whole, or stays unchanged.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._names(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self)
        atomic.write(path, text.getvalue().encode(), example="history.csv", sync=False)


def _cell(name: str, value: float) -> str:
    return loss_text(value) if name.endswith("loss") else format(value, _FORMATS[name])


def epoch_line(history: History) -> str:
    """Return the last epoch of a history as a line of at most 80 columns."""
    parts = [
        epoch_title(history.epoch[-1], history),
        f"loss {loss_text(history.loss[-1])}",
        f"accuracy {100 * history.accuracy[-1]:.2f} %",
    ]
    if history.validates:  # without its loss and the learning rate: 80 columns have no room for them
        parts.append(f"validation {100 * history.val_accuracy[-1]:.2f} %")
    seconds = history.seconds[-1]
    parts.append(f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s")
    return "  ".join(parts)


def epoch_title(epoch: int, history: History) -> str:
    """Return the number of an epoch and of the last one, such as ``epoch  3/10``."""
    last = str(history.last_epoch)
    return f"epoch {epoch:>{len(last)}}/{last}"
