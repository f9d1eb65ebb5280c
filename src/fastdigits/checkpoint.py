"""Checkpoints: all that a training consists of, in one file, so that a run killed at any moment goes on exactly.

What is not in the file follows from it: the order of the images, their distortions and dropout masks come from seed,
epoch and step.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from . import files, inputs
from .averaging import WeightAverage
from .callbacks import Callback, History
from .errors import ModelFileError
from .hyperparameters import check_number
from .inputs import Float32
from .layers import Dropout
from .network import NeuralNetwork
from .optimizers import Optimizer
from .storage import bad_values
from .tensorfile import encode, read
from .undo import Before

FORMAT = "fastdigits-checkpoint"
KEPT = 2  # the newest ones; if a disk loses one, there is another
_NAME = "checkpoint-{:012d}.safetensors"
_PATTERN = "checkpoint-" + 12 * "[0-9]" + ".safetensors"


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
        self.every = None if every is None else inputs.check_count(every, "every", "Checkpoint")
        self.seconds = check_number(seconds, "seconds", "Checkpoint", least=0)
        self._written = 0.0

    def on_train_begin(self, network: NeuralNetwork, history: History) -> None:
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
            files.write(self.folder / name, training.to_bytes(), example=name)
            for old in _all(self.folder)[KEPT:]:
                old.unlink(missing_ok=True)
            for left in self.folder.glob(".checkpoint-*.tmp"):
                left.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(
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
        Steps an epoch.
    epochs : int
        Epochs of this call.
    """

    network: NeuralNetwork
    optimizer: Optimizer
    average: WeightAverage | None
    callbacks: Sequence[Callback]
    history: History
    position: Position
    settings: Callable[[], dict[str, Any]]
    steps: int
    epochs: int

    def to_bytes(self) -> bytes:
        """Return the content of a checkpoint."""
        tensors, counts = self._arrays()
        callbacks = []
        for number, callback in enumerate(self.callbacks):
            plain: dict[str, Any] = {}
            for name, value in callback.state_dict().items():
                if isinstance(value, np.ndarray):
                    tensors[f"callback/{number}/{name}"] = value
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

    def restore(self, found: Found) -> None:
        """Become what a checkpoint says; what a callback keeps comes later, by `restore_callbacks`.

        Raises
        ------
        ValueError
            If it belongs to a training of other data or settings. Nothing has changed then.
        ModelFileError
            If it does not hold what it should. Nothing has changed then.
        """
        self._check_settings(found)
        tensors, counts = self._arrays()
        shapes = {name: array.shape for name, array in tensors.items()}
        got = {name: array.shape for name, array in found.tensors.items() if not name.startswith("callback/")}
        if shapes != got:
            wrong = sorted(name for name in shapes.keys() | got.keys() if shapes.get(name) != got.get(name))
            raise found.error(f"its arrays must be those of the training; got others: {', '.join(wrong[:5])}")
        for name in shapes:
            if problem := bad_values(name.removeprefix("network/"), found.tensors[name]):
                raise found.error(problem)
        try:
            position, history = self._position(found.state), self._history(found.state)
            steps = {
                name: inputs.check_count(found.state["counts"][name], name, "counts", least=0)
                for name in counts
            }
            if max(steps.values()) >= 2**63:
                raise ValueError("counts: steps must be below 2**63")
            lr = check_number(found.state["lr"], "lr", "optimizer", over=0)
            epochs = inputs.check_count(found.state["epochs_trained"], "epochs_trained", "network", least=0)
            if len(found.state["callbacks"]) != len(self.callbacks):
                raise ValueError(f"it must have {len(self.callbacks)} callbacks")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise found.error(f"its state must be whole; got {type(error).__name__}: {error}") from error
        network, optimizer = self.network, self.optimizer
        states = optimizer.states(network.parameters())
        before = Before(
            [
                *((owner, "step") for owner in (*states, *self._dropouts())),
                *((state, "arrays") for state in states),
                *((optimizer, "step_count"), (optimizer, "lr"), (network, "epochs_trained")),
            ],
            [network.values, *network.buffers().values()],
        )
        try:
            self._take(found, steps)
            network.epochs_trained, optimizer.lr = epochs, lr
        except BaseException:
            for owner, attribute, value in before.attributes:
                setattr(owner, attribute, value)
            for array, copy in before.arrays:
                array[...] = copy
            raise
        for name, values in history.items():
            getattr(self.history, name)[:] = values
        self.history.last_epoch = epochs - position.epoch + self.epochs
        for field in fields(Position):
            setattr(self.position, field.name, getattr(position, field.name))

    def _take(self, found: Found, steps: dict[str, int]) -> None:
        """Take over the arrays of a checkpoint, which fit, and the counts."""
        targets = {one.name: one.value for one in self.network.parameters()} | self.network.buffers()
        for name, array in found.part("network/").items():
            targets[name][...] = array
        self.optimizer.load_state_dict(
            self.network.parameters(), {"step": steps["optimizer"], **found.part("optimizer/")}
        )
        if self.average is not None:
            self.average.load_state_dict({"step": steps["average"], **found.part("average/")})
        for layer in self._dropouts():
            layer.step = steps[layer.name]

    def _dropouts(self) -> list[Dropout]:
        return [layer for layer in self.network.layers if isinstance(layer, Dropout)]

    def restore_callbacks(self, found: Found) -> None:
        """Give each callback what it kept; comes after ``on_train_begin``."""
        for number, callback in enumerate(self.callbacks):
            callback.load_state_dict(
                {**found.state["callbacks"][number], **found.part(f"callback/{number}/")}
            )

    def _check_settings(self, found: Found) -> None:
        ours, theirs = self.settings(), found.state.get("settings")
        if not isinstance(theirs, dict):
            raise found.error(f"its settings must be an object; got {theirs!r}")
        for name in (*ours, *theirs):
            if ours.get(name) != theirs.get(name):
                raise ValueError(
                    f"fit: resume: {name} must be as in {found.path}: {theirs.get(name)}; got {ours.get(name)}: "
                    "take the same data and settings, or begin anew without resume"
                )

    def _position(self, state: dict[str, Any]) -> Position:
        position = Position(**state["position"])
        for name, stop in (("epoch", self.epochs), ("step", self.steps + 1)):
            if inputs.check_count(getattr(position, name), name, "position", least=0) >= stop:
                raise ValueError(f"position: {name} must be below {stop}; got {getattr(position, name)}")
        check_number(position.seconds, "seconds", "position", least=0)
        if position.tallies is not None:
            np.array(position.tallies, dtype=np.float64).reshape(-1, 3)
        return position

    def _history(self, state: dict[str, Any]) -> dict[str, list[float]]:
        lists = {name: list(map(float, state["history"][name])) for name in _lists()}
        lists["epoch"] = list(map(int, lists["epoch"]))
        if any(len(values) not in (0, len(lists["epoch"])) for values in lists.values()):
            raise ValueError("each list of the history must have an entry an epoch")
        return lists


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
        If there are some, but none can be read. Where only the newest cannot, a warning names it.
    """
    found = _all(Path(folder))
    for number, path in enumerate(found):
        try:
            checkpoint = _read(path)
        except ModelFileError as error:
            if number + 1 == len(found):
                raise
            warnings.warn(f"{error}: an older checkpoint is taken", stacklevel=3)
        else:
            return checkpoint
    return None


def _read(path: Path) -> Found:
    metadata, tensors = read(path, FORMAT)
    try:
        state = json.loads(metadata["state"])
        if not isinstance(state, dict):
            raise ValueError(f"an object is wanted, it is {type(state).__name__}")
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: must hold the state of a training; got {error}") from error
    return Found(path, tensors, state)


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob(_PATTERN), reverse=True)


def _lists() -> list[str]:
    return [field.name for field in fields(History) if field.name not in ("last_epoch", "validates")]
