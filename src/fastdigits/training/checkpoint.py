"""Checkpoints: the state of a training in files, so that a run killed at any moment goes on exactly."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import atomic, streams, validation
from ..core.arrays import Float32
from ..core.validation import check_number, differing_names
from ..errors import ModelFileError
from ..nn.sequential import Sequential
from ..storage.safetensors import parse, read
from .callbacks import Callback
from .history import History

FORMAT = "fastdigits-checkpoint"
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

    def write(self, done: int, content: bytes) -> None:
        """Write one, ``done`` steps from the beginning, and remove those that are too old."""
        try:
            name = _NAME.format(done)
            if (self.folder / name).is_symlink():  # what it points to is not this training's to replace
                (self.folder / name).unlink()
            atomic.write(self.folder / name, content, example=name)
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


@dataclass(frozen=True)
class SavedState:
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


def newest(folder: str | os.PathLike[str]) -> SavedState | None:
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


def _read(path: Path) -> SavedState:
    metadata, tensors = read(path, FORMAT)
    try:
        if difference := differing_names(metadata, ("format", "version", "state")):
            raise ValueError(difference)
        state = parse(metadata["state"], finite=False)  # a callback of the user's own may keep what is not
        if not isinstance(state, dict):
            raise ValueError(f"an object is wanted, it is {type(state).__name__}")
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: must hold the state of a training; got {error}") from error
    return SavedState(path, tensors, state)


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob(PATTERN), reverse=True)
