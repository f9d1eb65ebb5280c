"""Checkpoints: all that a training consists of, in one file, so that a run killed at any moment goes on exactly.

What is not in the file follows from it: the order of the images, their distortions and dropout masks come from seed,
epoch and step.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..core import atomic, streams, validation
from ..core.arrays import Float32
from ..core.rollback import rollback
from ..core.schema import float_array, integer, list_of, lower_bound, number, optional, validate
from ..core.validation import check_number, differing_names
from ..errors import ModelFileError
from ..nn.layers import Dropout
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential
from ..optim.averaging import WeightAverage
from ..optim.optimizers import Optimizer
from ..storage.safetensors import encode, parse, read
from .callbacks import Callback
from .history import History

FORMAT = "fastdigits-checkpoint"
ROUNDING = 1e-3  # how far sums of float32 may be beyond their bounds
KEPT = 2  # the newest ones; if a disk loses one, there is another
_NAME = "checkpoint-{:012d}.safetensors"
PATTERN = "checkpoint-" + 12 * "[0-9]" + ".safetensors"


class Checkpoint(Callback):
    """Write checkpoints while `NeuralNetwork.fit` trains; ``fit(..., resume=folder)`` goes on from the newest.

    Parameters
    ----------
    folder : str or path-like
        Where they go, made if it is missing. Each is written beside its place, forced to the disk and renamed;
        the newest two are kept, and what a killed process left half-written is taken away.
    every : int, optional
        Steps from one to the next, counted from the beginning of the training. Where it is not given, they are
        written at ends of epochs.
    seconds : float, default 20
        How long to wait, at least, from one end of an epoch that is written to the next, where ``every`` is not
        given. At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    A checkpoint that cannot be written, because the disk is full say, is a warning: the training goes on, and
    the one before it stays.

    The training that goes on has the bits of one that was never interrupted, on the same backend, for any number
    of threads. Times in the history are those that were measured.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, every: int | None = None, seconds: float = 20.0
    ) -> None:
        self.folder = Path(folder)
        self.every = None if every is None else validation.check_count(every, "every", "Checkpoint")
        self.seconds = check_number(seconds, "seconds", "Checkpoint", least=0)
        self._written = 0.0

    def on_train_begin(self, network: Sequential, history: History) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._written = time.monotonic()

    def steps_left(self, done: int) -> int | None:
        """Return after how many more steps a checkpoint is due within an epoch; None where none ever is."""
        return None if self.every is None else self.every - done % self.every

    def due(self, done: int, *, epoch_is_over: bool) -> bool:
        """Return whether one is to be written now, ``done`` steps from the beginning."""
        if self.every is not None:
            return done % self.every == 0
        return epoch_is_over and time.monotonic() - self._written >= self.seconds

    def write(self, done: int, training: Training) -> None:
        """Write one and remove those that are too old."""
        try:
            name = _NAME.format(done)
            if (self.folder / name).is_symlink():  # what it points to is not this training's to replace
                (self.folder / name).unlink()
            atomic.write(self.folder / name, training.to_bytes(), example=name)
            for old in _all(self.folder)[KEPT:]:
                old.unlink(missing_ok=True)
            for left in self.folder.glob(".checkpoint-*.tmp"):
                left.unlink(missing_ok=True)
        except OSError as error:
            streams.warn(
                f"Checkpoint: {self.folder} must take a checkpoint; got {error}: the training goes on "
                "without, make room or stop it",
                stacklevel=2,
            )
        self._written = time.monotonic()


@dataclass
class Position:
    """Where a call of `fit` is.

    Attributes
    ----------
    epoch : int
        Epochs of this call that are over.
    step : int
        Steps taken in the next one.
    seconds : float
        Time that these steps took.
    tallies : list of list of float
        Sums over these steps, as the history's figures are made of.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    tallies: list[list[float]] | None = None


@dataclass(frozen=True)
class Training:
    """All that changes while `fit` trains, and the settings that must not.

    Attributes
    ----------
    settings : callable
        Returns what a training that goes on must have in common with this one: name to what JSON can hold.
    steps : int
        Steps per epoch.
    epochs : int
        Epochs of this call.
    loss : SoftmaxCrossEntropy
        Its mean is what the history holds.
    sizes : int
        Sizes of batches that the tallies are kept for.
    """

    network: Sequential
    optimizer: Optimizer
    average: WeightAverage | None
    callbacks: Sequence[Callback]
    history: History
    position: Position
    settings: Callable[[], dict[str, Any]]
    steps: int
    epochs: int
    loss: SoftmaxCrossEntropy
    sizes: int

    def to_bytes(self) -> bytes:
        """Return the content of a checkpoint."""
        tensors, counts = self._arrays()
        callbacks = []
        for i, callback in enumerate(self.callbacks):
            plain: dict[str, Any] = {}
            for name, value in callback.state_dict().items():
                if isinstance(value, np.ndarray):
                    tensors[f"callback/{i}/{name}"] = value
                else:
                    plain[name] = value
            callbacks.append(plain)
        state = {
            "settings": self.settings(),
            "position": asdict(self.position),
            "epochs_trained": self.network.epochs_trained,
            "lr": self.optimizer.lr,
            "counts": counts,
            "history": {name: getattr(self.history, name) for name in _lists()},
            "callbacks": callbacks,
        }
        return encode(tensors, FORMAT, state=state)

    def _arrays(self) -> tuple[dict[str, Float32], dict[str, int]]:
        """Return the arrays that every checkpoint of this training holds, and the steps that go with them."""
        network, parameters = self.network, self.network.parameters()
        tensors = {f"network/{one.name}": one.value for one in parameters}
        tensors |= {f"network/{name}": array for name, array in network.buffers().items()}
        counts = {layer.name: layer.step for layer in self._dropouts()}
        states = {"optimizer": self.optimizer.state_dict(parameters)}
        if self.average is not None:
            states["average"] = self.average.state_dict()
        for owner, content in states.items():
            counts[owner] = content.pop("step")
            tensors |= {f"{owner}/{name}": array for name, array in content.items()}
        return tensors, counts

    def rollback(self) -> contextlib.AbstractContextManager[None]:
        """Put back what `restore` and the beginning of a training may change, if the block raises."""
        states = self.optimizer.states(self.network.parameters())
        attributes: list[tuple[Any, str]] = [
            *((owner, "step") for owner in (*states, *self._dropouts())),
            *((state, "arrays") for state in states),
            *((self.optimizer, name) for name in ("step_count", "lr")),
            *((self.network, name) for name in ("epochs_trained", "scale")),
            *((self.history, name) for name in (*_lists(), "last_epoch")),
        ]
        if self.average is not None:
            attributes += [(self.average, name) for name in (*vars(self.average), "step")]
        return rollback(attributes, [self.network.values, *self.network.buffers().values()])

    def check(self, found: Found) -> Checked:
        """Return what is to be taken over from a checkpoint. Nothing changes.

        Raises
        ------
        ModelFileError
            If it belongs to a training of other data or settings, or if anything in it is not as a training writes
            it.
        """
        self._check_settings(found)
        try:
            return self._checked(found)
        except (MemoryError, SystemError):  # NumPy's own, where memory runs out: no fault of the file
            raise
        except Exception as error:  # a callback's own check may raise anything
            raise found.error(f"its state must be whole; got {type(error).__name__}: {error}") from error

    def _checked(self, found: Found) -> Checked:
        network, parameters = self.network, self.network.parameters()
        wanted = ("settings", "position", "epochs_trained", "lr", "counts", "history", "callbacks")
        if difference := differing_names(found.state, wanted):
            raise ValueError(f"the state must have {', '.join(wanted)}; {difference}")
        state = found.state
        position = self._position(state["position"])
        done = position.epoch * self.steps + position.step
        epochs_trained = integer(position.epoch)(state["epochs_trained"], "epochs_trained", "network")
        history = self._history(state["history"], position.epoch, epochs_trained)

        owners = {"optimizer": integer(), "average": integer(done, done)}
        if self.average is None:
            del owners["average"]
        steps = validate(
            state["counts"], owners | {one.name: integer() for one in self._dropouts()}, "counts"
        )
        shapes = {one.name: one.value.shape for one in parameters}
        shapes |= {name: array.shape for name, array in network.buffers().items()}
        callbacks = list_of(len(self.callbacks), _entries)(state["callbacks"], "callbacks", "state")
        folders = ["network", *owners, *(f"callback/{i}" for i in range(len(callbacks)))]
        if unknown := [
            name for name in found.tensors if not name.startswith(tuple(f"{one}/" for one in folders))
        ]:
            raise ValueError(
                f"its arrays must be those of the training; got others: {', '.join(unknown[:5])}"
            )
        parts = {owner: {"step": steps[owner], **found.part(f"{owner}/")} for owner in owners}
        result = Checked(
            position,
            epochs_trained,
            check_number(state["lr"], "lr", "optimizer", over=0),
            {layer: steps[layer.name] for layer in self._dropouts()},
            history,
            validate(
                found.part("network/"),
                {name: float_array(shape, lower_bound(name)) for name, shape in shapes.items()},
                "network",
            ),
            self.optimizer.check_state_dict(parameters, parts["optimizer"]),
            None if self.average is None else self.average.check_state_dict(parameters, parts["average"]),
            [entries | found.part(f"callback/{i}/") for i, entries in enumerate(callbacks)],
        )
        for i, (callback, entries) in enumerate(zip(self.callbacks, callbacks, strict=True)):
            if twice := entries.keys() & found.part(f"callback/{i}/").keys():
                raise ValueError(
                    f"{type(callback).__name__}: entries must come once; got {sorted(twice)} twice"
                )
            if _knows_its_state(callback):
                callback.check_state_dict(result.callbacks[i], network, history)
        return result

    def restore(self, checkpoint: Checked) -> None:
        """Become what a checkpoint says; what a callback keeps comes later, by `restore_callbacks`."""
        network, optimizer = self.network, self.optimizer
        targets = {one.name: one.value for one in network.parameters()} | network.buffers()
        for name, array in checkpoint.network.items():
            targets[name][...] = array
        optimizer.load_state_dict(network.parameters(), checkpoint.optimizer)
        if self.average is not None and checkpoint.average is not None:
            self.average.load_state_dict(checkpoint.average)
        for layer, step in checkpoint.dropouts.items():
            layer.step = step
        network.epochs_trained, optimizer.lr = checkpoint.epochs_trained, checkpoint.lr
        for name in _lists():
            setattr(self.history, name, getattr(checkpoint.history, name))
        self.history.last_epoch = checkpoint.history.last_epoch
        for field in fields(Position):
            setattr(self.position, field.name, getattr(checkpoint.position, field.name))

    def restore_callbacks(self, checkpoint: Checked, found: Found) -> None:
        """Give each callback what it kept; comes after ``on_train_begin``.

        Raises
        ------
        ModelFileError
            If a callback cannot take it. The attributes of all callbacks are then what they were.
        """
        before = [(vars(callback), dict(vars(callback))) for callback in self.callbacks]
        try:
            for callback, content in zip(self.callbacks, checkpoint.callbacks, strict=True):
                callback.load_state_dict(content)
        except BaseException as error:
            for attributes, were in before:
                attributes.clear()
                attributes.update(were)
            if not isinstance(error, Exception) or isinstance(error, MemoryError | SystemError):
                raise
            name = type(callback).__name__
            raise found.error(
                f"its part of {name} must be what {name} can go on from; got {error!r}"
            ) from error

    def _dropouts(self) -> list[Dropout]:
        return [layer for layer in self.network.layers if isinstance(layer, Dropout)]

    def _check_settings(self, found: Found) -> None:
        ours, theirs = self.settings(), found.state.get("settings")
        if not isinstance(theirs, dict):
            raise found.error(f"its settings must be an object; got {theirs!r:.200}")
        if difference := differing_names(theirs, ours):
            raise found.error(f"its settings must be those of a training; {difference}")
        for name in ours:
            if json.dumps(ours[name]) != json.dumps(theirs[name]):  # True is not 1
                raise ModelFileError(
                    f"fit: resume: {name} must be as in {found.path}: {theirs[name]!s:.500}; got {ours[name]!s:.500}: "
                    "take the same data and settings, or start again without resume"
                )

    def _position(self, content: object) -> Position:
        checks = {
            "epoch": integer(most=self.epochs - 1),
            "step": integer(most=self.steps - 1),
            "seconds": number(least=0),
            "tallies": optional(list_of(self.sizes, list_of(3, number()))),
        }
        position = Position(**validate(content, checks, "position"))
        if position.step == 0 and (position.tallies is not None or position.seconds > 0):
            raise ValueError("position: tallies and seconds must be of steps; got some before the first")
        if position.step > 0 and position.tallies is None:
            raise ValueError(f"position: tallies must be of {position.step} steps; got none")
        for loss, hits, mass in position.tallies or []:
            if not (self._least_loss() * mass <= loss and 0 <= hits <= mass * (1 + ROUNDING)):
                raise ValueError(
                    f"position: tallies must be sums of losses, hits and weights; got {loss, hits, mass}"
                )
        return position

    def _history(self, content: object, epochs: int, epochs_trained: int) -> History:
        """Return the history of a checkpoint, so many epochs of this training that end with ``epochs_trained``."""
        share = number(least=0, most=1)
        kinds = dict.fromkeys(_lists(), number(least=0))
        kinds |= dict.fromkeys(("loss", "val_loss"), number(least=self._least_loss()))
        kinds |= {"epoch": integer(1), "accuracy": share, "val_accuracy": share}
        lengths = dict.fromkeys(kinds, epochs)
        if not self.history.validates:
            lengths |= {"val_loss": 0, "val_accuracy": 0}
        checks = {name: list_of(lengths[name], kind) for name, kind in kinds.items()}
        begun = epochs_trained - epochs
        history = History(
            **validate(content, checks, "history"),
            last_epoch=begun + self.epochs,
            validates=self.history.validates,
        )
        if history.epoch != list(range(begun + 1, epochs_trained + 1)):
            raise ValueError(f"history: epoch must count to {epochs_trained}; got {history.epoch!s:.100}")
        return history

    def _least_loss(self) -> float:
        """Return what no mean loss is below; a loss of the user's own may be anything."""
        return -ROUNDING if type(self.loss) is SoftmaxCrossEntropy else -float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Checked:
    """What a checkpoint holds, each part checked."""

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
    """Return the plain entries of a callback's state; a check."""
    if not isinstance(value, dict):
        raise TypeError(f"{subject}: each of {name} must be an object; got {value!r:.200}")
    return value


def _knows_its_state(callback: Callback) -> bool:
    """Return whether a callback's check is of its state: a subclass may override `state_dict` alone."""
    for kind in type(callback).__mro__:
        if "check_state_dict" in vars(kind) or "state_dict" in vars(kind):
            return "check_state_dict" in vars(kind)
    return False


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read."""

    path: Path
    tensors: dict[str, Float32]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Float32]:
        """Return the arrays whose names begin so, by the rest of their names."""
        return {name[len(prefix) :]: array for name, array in self.tensors.items() if name.startswith(prefix)}

    def error(self, what: str) -> ModelFileError:
        """Return the error that says what is wrong with the file."""
        return ModelFileError(f"{self.path}: {what}: remove the file to go on from an older one")


def clear(folder: Path) -> None:
    """Remove the checkpoints of an earlier training from a folder."""
    for path in _all(folder):
        path.unlink(missing_ok=True)


def newest(folder: str | os.PathLike[str]) -> Found | None:
    """Return the newest checkpoint in a folder, or None if there is none.

    Raises
    ------
    ModelFileError
        If there are some, but none can be read. Where only the newest cannot, a warning names it. Also if it is no
        folder, such as a checkpoint itself.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise ModelFileError(f"{folder}: resume must be a folder of checkpoints; got a file: name its folder")
    found = _all(Path(folder))
    for i, path in enumerate(found):
        try:
            checkpoint = _read(path)
        except ModelFileError as error:
            if i + 1 == len(found):
                raise
            streams.warn(f"{error}: an older checkpoint is taken", stacklevel=3)
        else:
            return checkpoint
    return None


def _read(path: Path) -> Found:
    metadata, tensors = read(path, FORMAT)
    try:
        if difference := differing_names(metadata, ("format", "version", "state")):
            raise ValueError(difference)
        state = parse(metadata["state"], finite=False)  # a callback of the user's own may keep what is not
        if not isinstance(state, dict):
            raise ValueError(f"an object is wanted, it is {type(state).__name__}")
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: must hold the state of a training; got {error}") from error
    return Found(path, tensors, state)


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob(PATTERN), reverse=True)


def _lists() -> list[str]:
    return [field.name for field in fields(History) if field.name not in ("last_epoch", "validates")]
