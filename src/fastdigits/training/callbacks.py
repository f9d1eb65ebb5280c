"""Callbacks: objects that `fit` calls during a training, to observe it or to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core import notebook, validation
from ..core.schema import integer, number, optional, validate
from ..core.validation import check_number
from ..nn.sequential import Sequential
from ..optim.optimizers import Optimizer
from .best_epoch import BestEpoch, improvement
from .history import MONITORS, History, epoch_line, epoch_title

if TYPE_CHECKING:
    from tqdm import tqdm


class Callback:
    """Base class: `NeuralNetwork.fit` calls its methods, and a subclass overrides those that it needs.

    ``network`` is the `NeuralNetwork` in training, ``history`` the `History` that `fit` returns in the end.
    """

    def on_train_begin(self, network: Any, history: History) -> None:
        """Called before the first epoch; the history is empty, or has the epochs of a checkpoint."""

    def on_progress(self, done: int, total: int) -> None:
        """Called from time to time within an epoch, when ``done`` of ``total`` images are trained on."""

    def on_epoch_end(self, epoch: int, network: Any, history: History) -> bool | None:
        """Called after each epoch, when the history has its entry; return True to stop the training."""
        return None

    def on_train_end(self, network: Any, history: History) -> None:
        """Called after the last epoch, and after an error or an interrupt."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs, for a checkpoint: arrays, and values that JSON can hold."""
        return {}

    def check_state_dict(self, content: Mapping[str, Any], network: Any, history: History) -> None:
        """Raise a TypeError or a ValueError if `load_state_dict` cannot load this content; change nothing.

        `fit` calls it before it restores anything from a checkpoint. A subclass that overrides `state_dict` should
        override this too; otherwise its state is not checked.

        Parameters
        ----------
        content : mapping
            What a checkpoint holds for `state_dict`; a damaged file may hold anything.
        network : NeuralNetwork
            The network that will continue; it does not have the values of the checkpoint yet.
        history : History
            The epochs of the checkpoint.
        """
        validate(content, {}, type(self).__name__)

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; called after `on_train_begin`.

        An exception ends `fit` with a `ModelFileError`; network, optimizer and the attributes of all callbacks then
        stay unchanged.
        """


class EarlyStopping(Callback):
    """Stop when a measure has not improved for some epochs.

    Parameters
    ----------
    monitor : {"val_loss", "val_accuracy", "loss", "accuracy"}, default "val_loss"
        The measure. An accuracy improves upward, a loss downward.
    patience : int, default 5
        Epochs in a row without an improvement after which training stops. At least 1.
    min_delta : float, default 0.0
        An improvement must be greater than this. At least 0.
    restore_best : bool, default True
        Whether to restore parameters and running statistics of the best epoch when training ends, also after an
        error or an interrupt. The optimizer keeps the state of the last step.

    Attributes
    ----------
    best_epoch, best : int and float, or None
        Number and measure of the best epoch so far.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; from ``fit``, if a ``val_`` measure lacks validation data.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        *,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        self.monitor = _checked_monitor(monitor, "EarlyStopping")
        self.patience = validation.check_count(patience, "patience", "EarlyStopping")
        self.min_delta = check_number(min_delta, "min_delta", "EarlyStopping", least=0)
        self.restore_best = bool(restore_best)
        self._best = self._new_best()

    def _new_best(self) -> BestEpoch:
        return BestEpoch(
            self.monitor, self.min_delta, keep_weights=self.restore_best, names=("best_epoch", "best")
        )

    @property
    def best_epoch(self) -> int | None:
        """Number of the best epoch so far."""
        return self._best.epoch

    @property
    def best(self) -> float | None:
        """Its measure."""
        return self._best.value

    def on_train_begin(self, network: Sequential, history: History) -> None:
        """Reset the state of an earlier training; check that the history will have the measure."""
        self._best = self._new_best()
        _check_has_validation(self.monitor, history, "EarlyStopping")

    def on_epoch_end(self, epoch: int, network: Sequential, history: History) -> bool:
        """Keep the epoch if it is the best; return True when patience is exhausted."""
        self._best.update(network, history)
        first = history.epoch[0] - 1
        return epoch - (first if self.best_epoch is None else self.best_epoch) >= self.patience

    def on_train_end(self, network: Sequential, history: History) -> None:
        """Restore the best epoch."""
        self._best.restore(network)
        self._best.weights = None

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch so far, its measure, and its weights if training restores them."""
        return self._best.state_dict()

    def check_state_dict(self, content: Mapping[str, Any], network: Sequential, history: History) -> None:
        """Check that the best epoch is one of the history, and that its weights fit the network."""
        self._new_best().check_state_dict(content, network, history, type(self).__name__)

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Restore a checked state."""
        self._best = self._new_best().loaded(content)


class ReduceOnPlateau(Callback):
    """Multiply an optimizer's learning rate by a factor when a measure has not improved for some epochs.

    Parameters
    ----------
    optimizer : Optimizer
        The one that `NeuralNetwork.fit` gets. Its ``lr`` stays reduced; a schedule multiplies the reduced rate.
    factor : float, default 0.1
        0 < factor < 1.
    monitor : {"val_loss", "val_accuracy", "loss", "accuracy"}, default "val_loss"
        The measure. An accuracy improves upward, a loss downward.
    patience : int, default 3
        Epochs in a row without an improvement after which the rate is reduced; then the count starts again. At
        least 1.
    min_delta : float, default 0.0
        An improvement must be greater than this. At least 0.
    min_lr : float, default 1e-6
        Lowest rate. Above 0.

    Attributes
    ----------
    best : float or None
        Best measure so far.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; from ``fit``, if a ``val_`` measure lacks validation data.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 0.1,
        *,
        monitor: str = "val_loss",
        patience: int = 3,
        min_delta: float = 0.0,
        min_lr: float = 1e-6,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"ReduceOnPlateau: optimizer must be an Optimizer; got {optimizer!r}")
        self.optimizer = optimizer
        self.factor = check_number(factor, "factor", "ReduceOnPlateau", over=0, under=1)
        self.monitor = _checked_monitor(monitor, "ReduceOnPlateau")
        self.patience = validation.check_count(patience, "patience", "ReduceOnPlateau")
        self.min_delta = check_number(min_delta, "min_delta", "ReduceOnPlateau", least=0)
        self.min_lr = check_number(min_lr, "min_lr", "ReduceOnPlateau", over=0)
        self.best: float | None = None
        self._waited = 0

    def on_train_begin(self, network: Sequential, history: History) -> None:
        """Reset the state of an earlier training; check that the history will have the measure."""
        self.best, self._waited = None, 0
        _check_has_validation(self.monitor, history, "ReduceOnPlateau")

    def on_epoch_end(self, epoch: int, network: Sequential, history: History) -> None:
        """Reduce the rate when patience is exhausted."""
        value = getattr(history, self.monitor)[-1]
        if improvement(self.monitor, value, self.best) > self.min_delta:
            self.best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.optimizer.lr = min(self.optimizer.lr, max(self.factor * self.optimizer.lr, self.min_lr))
            self._waited = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best measure so far, and the epochs since it improved."""
        return {"best": self.best, "waited": self._waited}

    def check_state_dict(self, content: Mapping[str, Any], network: Sequential, history: History) -> None:
        """Check that the best measure is one of the history, and the count no longer than the epochs after it."""
        subject, measures = type(self).__name__, getattr(history, self.monitor)
        state = validate(content, {"best": optional(number()), "waited": integer()}, subject)
        best = state["best"]
        if (best is None) != (not measures) or (best is not None and best not in measures):
            raise ValueError(f"{subject}: best must be a {self.monitor} of the history; got {best}")
        longest = len(measures) - 1 - measures.index(best) if measures else 0
        if state["waited"] > longest:
            raise ValueError(f"{subject}: waited must be at most {longest} epochs; got {state['waited']}")

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Restore a checked state."""
        self.best, self._waited = content["best"], content["waited"]


class Progress(Callback):
    """Show a bar within each epoch, and a line after it: in the output of a notebook, else on standard error.

    A notebook keeps the last 20 lines. On standard error, there is a bar only if it is a terminal. An error while
    writing never ends a training.
    """

    def __init__(self) -> None:
        self._stream: Any = None  # of a training
        self._bar: tqdm[Any] | None = None
        self._title = ""

    def on_train_begin(self, network: Sequential, history: History) -> None:
        """Set the title of the first bar."""
        self._stream = notebook.progress_stream()
        self._title = epoch_title(network.epochs_trained + 1, history)

    def on_progress(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total,
                desc=self._title,
                unit=" images",
                leave=False,
                disable=None,
                file=self._stream,
                position=self._stream.position,
            )
        self._bar.update(done - self._bar.n)

    def on_epoch_end(self, epoch: int, network: Sequential, history: History) -> None:
        """Replace the bar by a line."""
        from tqdm import tqdm

        self._close()
        self._title = epoch_title(epoch + 1, history)
        tqdm.write(epoch_line(history), file=self._stream)

    def on_train_end(self, network: Sequential, history: History) -> None:
        """Remove the bar that an error or an interrupt left."""
        self._close()
        if self._stream is not None:
            self._stream.end()
            self._stream = None

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _checked_monitor(monitor: str, subject: str) -> str:
    if monitor not in MONITORS:
        raise ValueError(f"{subject}: monitor must be one of {', '.join(MONITORS)}; got {monitor!r}")
    return monitor


def _check_has_validation(monitor: str, history: History, subject: str) -> None:
    if monitor.startswith("val_") and not history.validates:
        raise ValueError(
            f"{subject}: {monitor} needs validation data; got none: give fit validation_data or "
            "validation_split, or monitor loss"
        )
