"""The state of a training: all that changes during `NeuralNetwork.fit`, to write a checkpoint and to continue from it.

The order of the images, their distortions and dropout masks are not part of it: they follow from seed, epoch and step.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from typing import Any

import numpy as np

from ..core.arrays import Float32
from ..core.rollback import rollback
from ..core.schema import float_array, integer, list_of, lower_bound, number, optional, validate
from ..core.validation import check_number, differing_names
from ..errors import ModelFileError
from ..nn.layers import Dropout
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.tensors import named_tensors
from ..storage.safetensors import encode
from .callbacks import Callback
from .checkpoint import FORMAT, SavedState
from .history import History
from .preparation import TrainingSetup

ROUNDING = 1e-3  # how far sums of float32 may be beyond their bounds


@dataclass
class Position:
    """How far a call of `fit` has come."""

    epoch: int = 0  # whole epochs
    step: int = 0  # steps of the next epoch
    seconds: float = 0.0  # time of these steps
    tallies: list[list[float]] | None = None  # their sums, as `Lowered.totals` returns them


@dataclass(frozen=True)
class TrainingState:
    """All that changes while `fit` trains."""

    setup: TrainingSetup
    history: History
    position: Position
    sizes: int  # number of batch sizes; the position has tallies for each

    def to_bytes(self) -> bytes:
        """Return the content of a checkpoint."""
        tensors, counts = self._arrays()
        callbacks = []
        for i, callback in enumerate(self.setup.options.saved_callbacks):
            plain: dict[str, Any] = {}
            for name, value in callback.state_dict().items():
                if isinstance(value, np.ndarray):
                    tensors[f"callback/{i}/{name}"] = value
                else:
                    plain[name] = value
            callbacks.append(plain)
        state = {
            "settings": self.setup.settings,
            "position": asdict(self.position),
            "epochs_trained": self.setup.network.epochs_trained,
            "lr": self.setup.options.optimizer.lr,
            "counts": counts,
            "history": {name: getattr(self.history, name) for name in _history_lists()},
            "callbacks": callbacks,
        }
        return encode(tensors, FORMAT, state=state)

    def _arrays(self) -> tuple[dict[str, Float32], dict[str, int]]:
        """Return the arrays of network, optimizer and average by name, and their step counts."""
        network, parameters = self.setup.network, self.setup.network.parameters()
        tensors = {f"network/{name}": array for name, array in named_tensors(network).items()}
        counts = {layer.name: layer.step for layer in self._dropouts()}
        states = {"optimizer": self.setup.options.optimizer.state_dict(parameters)}
        if self.setup.options.average is not None:
            states["average"] = self.setup.options.average.state_dict()
        for owner, content in states.items():
            counts[owner] = content.pop("step")
            tensors |= {f"{owner}/{name}": array for name, array in content.items()}
        return tensors, counts

    def facts(self) -> dict[str, object]:
        """Return what must stay the same on all ranks, with names for messages; arrays as checksums."""
        tensors, counts = self._arrays()
        sums: dict[str, int] = {}
        for name, array in tensors.items():
            owner = name.partition("/")[0]
            sums[owner] = zlib.crc32(np.ascontiguousarray(array).data, sums.get(owner, 0))
        return {
            "layers": self.setup.layers(),
            **self.setup.options.recorded(),
            **{
                f"the state of the {owner}": f"one with checksum {total:08x}" for owner, total in sums.items()
            },
            "the counts of steps": counts,
        }

    def rollback(self) -> contextlib.AbstractContextManager[None]:
        """Put back what `restore` and the beginning of a training may change, if the block raises."""
        states = self.setup.options.optimizer.states(self.setup.network.parameters())
        attributes: list[tuple[Any, str]] = [
            *((owner, "step") for owner in (*states, *self._dropouts())),
            *((state, "arrays") for state in states),
            *((self.setup.options.optimizer, name) for name in ("step_count", "lr")),
            *((self.setup.network, name) for name in ("epochs_trained", "scale")),
            *((self.history, name) for name in (*_history_lists(), "last_epoch")),
        ]
        if self.setup.options.average is not None:
            attributes += [
                (self.setup.options.average, name) for name in (*vars(self.setup.options.average), "step")
            ]
        return rollback(attributes, [self.setup.network.values, *self.setup.network.buffers().values()])

    def check(self, saved: SavedState) -> CheckedState:
        """Return the checked content of a checkpoint; change nothing.

        Raises
        ------
        ModelFileError
            If it is from a training with other data or settings, or if an entry is not as a training writes it.
        """
        self._check_settings(saved)
        try:
            return self._checked(saved)
        except (MemoryError, SystemError):  # out of memory, where NumPy raises SystemError: the file is good
            raise
        except Exception as error:  # the check of a user's callback may raise any exception
            raise saved.error(f"its state must be whole; got {type(error).__name__}: {error}") from error

    def _checked(self, saved: SavedState) -> CheckedState:
        state, network, options = saved.state, self.setup.network, self.setup.options
        wanted = ("settings", "position", "epochs_trained", "lr", "counts", "history", "callbacks")
        if difference := differing_names(state, wanted):
            raise ValueError(f"the state must have {', '.join(wanted)}; {difference}")
        position = self._position(state["position"])
        done = position.epoch * len(self.setup.batches) + position.step
        epochs_trained = integer(position.epoch)(state["epochs_trained"], "epochs_trained", "network")
        history = self._history(state["history"], position.epoch, epochs_trained)

        owners = {"optimizer": integer()} | (
            {} if options.average is None else {"average": integer(done, done)}
        )
        dropouts = self._dropouts()
        steps = validate(state["counts"], owners | {one.name: integer() for one in dropouts}, "counts")
        callbacks = list_of(len(options.saved_callbacks), _entries)(state["callbacks"], "callbacks", "state")
        folders = tuple(
            f"{one}/" for one in ("network", *owners, *(f"callback/{i}" for i in range(len(callbacks))))
        )
        if unknown := [name for name in saved.tensors if not name.startswith(folders)]:
            raise ValueError(
                f"its arrays must be those of the training; got unknown ones: {', '.join(unknown[:5])}"
            )
        parameters = network.parameters()
        parts = {owner: {"step": steps[owner], **saved.part(f"{owner}/")} for owner in owners}
        arrays = {
            name: float_array(array.shape, lower_bound(name))
            for name, array in named_tensors(network).items()
        }
        average = options.average
        return CheckedState(
            position,
            epochs_trained,
            check_number(state["lr"], "lr", "optimizer", over=0),
            {layer: steps[layer.name] for layer in dropouts},
            history,
            validate(saved.part("network/"), arrays, "network"),
            options.optimizer.check_state_dict(parameters, parts["optimizer"]),
            None if average is None else average.check_state_dict(parameters, parts["average"]),
            [self._callback(i, entries, saved, history) for i, entries in enumerate(callbacks)],
        )

    def _callback(
        self, i: int, entries: dict[str, Any], saved: SavedState, history: History
    ) -> dict[str, Any]:
        """Return the checked state of callback ``i``: its plain entries and its arrays."""
        callback, arrays = self.setup.options.saved_callbacks[i], saved.part(f"callback/{i}/")
        if twice := entries.keys() & arrays.keys():
            raise ValueError(f"{type(callback).__name__}: entries must come once; got {sorted(twice)} twice")
        if _checks_its_state(callback):
            callback.check_state_dict(entries | arrays, self.setup.network, history)
        return entries | arrays

    def restore(self, checkpoint: CheckedState) -> None:
        """Take over a checkpoint, except for the states of callbacks: see `restore_callbacks`."""
        network, options = self.setup.network, self.setup.options
        targets = named_tensors(network)
        for name, array in checkpoint.network.items():
            targets[name][...] = array
        options.optimizer.load_state_dict(network.parameters(), checkpoint.optimizer)
        if options.average is not None and checkpoint.average is not None:
            options.average.load_state_dict(checkpoint.average)
        for layer, step in checkpoint.dropouts.items():
            layer.step = step
        network.epochs_trained, options.optimizer.lr = checkpoint.epochs_trained, checkpoint.lr
        for name in _history_lists():
            setattr(self.history, name, getattr(checkpoint.history, name))
        self.history.last_epoch = checkpoint.history.last_epoch
        for field in fields(Position):
            setattr(self.position, field.name, getattr(checkpoint.position, field.name))

    def restore_callbacks(self, checkpoint: CheckedState, saved: SavedState) -> None:
        """Load the state of each callback, after its ``on_train_begin``.

        Raises
        ------
        ModelFileError
            If a callback cannot load its state. The attributes of all callbacks are then unchanged.
        """
        callbacks = self.setup.options.saved_callbacks
        before = [(vars(callback), dict(vars(callback))) for callback in callbacks]
        try:
            for callback, content in zip(callbacks, checkpoint.callbacks, strict=True):
                callback.load_state_dict(content)
        except BaseException as error:
            for attributes, were in before:
                attributes.clear()
                attributes.update(were)
            if not isinstance(error, Exception) or isinstance(error, MemoryError | SystemError):
                raise
            name = type(callback).__name__
            raise saved.error(f"the state of {name} must be one that it can load; got {error!r}") from error

    def _dropouts(self) -> list[Dropout]:
        return [layer for layer in self.setup.network.layers if isinstance(layer, Dropout)]

    def _check_settings(self, saved: SavedState) -> None:
        ours, theirs = self.setup.settings, saved.state.get("settings")
        if not isinstance(theirs, dict):
            raise saved.error(f"its settings must be an object; got {theirs!r:.200}")
        if difference := differing_names(theirs, ours):
            raise saved.error(f"its settings must be those of a training; {difference}")
        for name in ours:
            if json.dumps(ours[name]) != json.dumps(theirs[name]):  # True is not 1
                raise ModelFileError(
                    f"fit: resume: {name} must be as in {saved.path}{_difference(name, theirs[name], ours[name])}: "
                    "take the same data and settings, or start again without resume"
                )

    def _position(self, content: object) -> Position:
        checks = {
            "epoch": integer(most=self.setup.options.epochs - 1),
            "step": integer(most=len(self.setup.batches) - 1),
            "seconds": number(least=0),
            "tallies": optional(list_of(self.sizes, list_of(3, number()))),
        }
        position = Position(**validate(content, checks, "position"))
        if position.step == 0 and (position.tallies is not None or position.seconds > 0):
            raise ValueError("position: at step 0, tallies must be null and seconds 0; got others")
        if position.step > 0 and position.tallies is None:
            raise ValueError(f"position: tallies must be given after {position.step} steps; got null")
        for loss, hits, mass in position.tallies or []:
            if not (self._least_loss() * mass <= loss and 0 <= hits <= mass * (1 + ROUNDING)):
                raise ValueError(
                    f"position: tallies must be sums of losses, hits and weights; got {loss, hits, mass}"
                )
        return position

    def _history(self, content: object, epochs: int, epochs_trained: int) -> History:
        """Return the checked history of a checkpoint: ``epochs`` epochs, the last with number ``epochs_trained``."""
        share = number(least=0, most=1)
        kinds = dict.fromkeys(_history_lists(), number(least=0))
        kinds |= dict.fromkeys(("loss", "val_loss"), number(least=self._least_loss()))
        kinds |= {"epoch": integer(1), "accuracy": share, "val_accuracy": share}
        lengths = dict.fromkeys(kinds, epochs)
        if not self.history.validates:
            lengths |= {"val_loss": 0, "val_accuracy": 0}
        checks = {name: list_of(lengths[name], kind) for name, kind in kinds.items()}
        begun = epochs_trained - epochs
        history = History(
            **validate(content, checks, "history"),
            last_epoch=begun + self.setup.options.epochs,
            validates=self.history.validates,
        )
        if history.epoch != list(range(begun + 1, epochs_trained + 1)):
            raise ValueError(f"history: epoch must count to {epochs_trained}; got {history.epoch!s:.100}")
        return history

    def _least_loss(self) -> float:
        """Return a lower bound of the mean loss; the loss of a user's own class may have any value."""
        return (
            -ROUNDING
            if type(self.setup.options.loss) is SoftmaxCrossEntropy
            else -float(np.finfo(np.float32).max)
        )


@dataclass(frozen=True)
class CheckedState:
    """The content of a checkpoint, each part checked."""

    position: Position
    epochs_trained: int
    lr: float
    dropouts: dict[Dropout, int]
    history: History
    network: dict[str, Float32]
    optimizer: dict[str, Any]
    average: dict[str, Any] | None
    callbacks: list[dict[str, Any]]


def _entries(value: object, name: str, subject: str) -> dict[str, Any]:
    """Check the plain entries of a callback's state and return them."""
    if not isinstance(value, dict):
        raise TypeError(f"{subject}: each of {name} must be an object; got {value!r:.200}")
    return value


def _checks_its_state(callback: Callback) -> bool:
    """Return whether a callback checks its own state: a subclass may override only `state_dict`."""
    for kind in type(callback).__mro__:
        if "check_state_dict" in vars(kind) or "state_dict" in vars(kind):
            return "check_state_dict" in vars(kind)
    return False


def _history_lists() -> list[str]:
    return [field.name for field in fields(History) if field.name not in ("last_epoch", "validates")]


def _difference(name: str, wanted: object, got: object) -> str:
    """Return the part of an error message that compares two values of a setting: of lists, the first that differ."""
    if name.endswith(" images") and wanted and got:  # SHA-256
        return ": the same; got others: the data have changed since"
    if isinstance(wanted, list) and isinstance(got, list):
        pairs = zip_longest(wanted, got, fillvalue="none")
        wanted, got = next((pair for pair in pairs if pair[0] != pair[1]), (wanted, got))
    return f": {wanted!s:.500}; got {got!s:.500}"
