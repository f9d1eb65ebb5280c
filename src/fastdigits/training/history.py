"""The history of a training: one entry per epoch."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field

from ..core import atomic

MONITORS = ("loss", "accuracy", "val_loss", "val_accuracy")
_COLUMNS = ("epoch", *MONITORS, "lr", "seconds", "images_per_second")


@dataclass
class History:
    """Measures of each epoch of one `NeuralNetwork.fit`: lists with one entry per epoch.

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
        absent = () if self.validates else ("val_loss", "val_accuracy")
        names = [name for name in _COLUMNS if name not in absent]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(zip(*(getattr(self, name) for name in names), strict=True))
        atomic.write(path, text.getvalue().encode(), example="history.csv", sync=False)


def epoch_line(history: History) -> str:
    """Return the last epoch of a history as a line of at most 80 columns."""
    parts = [
        epoch_title(history.epoch[-1], history),
        f"loss {history.loss[-1]:.4f}",
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
