"""Checkpoints: the state of a training in files, so that a killed run can continue exactly."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import atomic, streams, validation
from ..core.arrays import Float32
from ..core.schema import parse
from ..core.validation import check_number, differing_names
from ..errors import ModelFileError
from ..nn.sequential import Sequential
from ..storage.safetensors import read
from .callbacks import Callback
from .history import History

FORMAT = "fastdigits-checkpoint"
KEPT = 2  # if the disk loses the newest one, there is another
_NAME = "checkpoint-{:012d}.safetensors"
PATTERN = "checkpoint-" + 12 * "[0-9]" + ".safetensors"


class Checkpoint(Callback):
    """Write checkpoints while `NeuralNetwork.fit` trains; ``fit(..., resume=folder)`` continues from the newest.

    Parameters
    ----------
    folder : str or path-like
        Folder of the checkpoints, made if it is missing. Each file is written under another name, forced to the
        disk and renamed. The newest two stay; incomplete files of a killed process are removed.
    every : int, optional
        Write one every so many steps, counted from the beginning of the training. The default writes them at ends
        of epochs.
    seconds : float, default 20
        Without ``every``: least time between two checkpoints. At least 0.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    A checkpoint that cannot be written, for example because the disk is full, is a warning: training continues, and
    the checkpoint before stays.

    A resumed training has the bits of one that was never interrupted, on the same backend, for any number of
    threads. The history has the times as measured.
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
        """Return how many steps remain until a checkpoint is due within an epoch; None if none is."""
        return None if self.every is None else self.every - done % self.every

    def due(self, done: int, *, epoch_is_over: bool) -> bool:
        """Return whether a checkpoint is due now, ``done`` steps from the beginning."""
        if self.every is not None:
            return done % self.every == 0
        return epoch_is_over and time.monotonic() - self._written >= self.seconds

    def write(self, done: int, content: bytes) -> None:
        """Write the content of a checkpoint, ``done`` steps from the beginning; remove the oldest ones."""
        try:
            name = _NAME.format(done)
            if (self.folder / name).is_symlink():  # replace the link, not the file that it points to
                (self.folder / name).unlink()
            atomic.write(self.folder / name, content, example=name)
            for old in _all(self.folder)[KEPT:]:
                old.unlink(missing_ok=True)
            for left in self.folder.glob(".checkpoint-*.tmp"):
                left.unlink(missing_ok=True)
        except OSError as error:
            streams.warn(
                f"Checkpoint: {self.folder} must take a checkpoint; got {error}: training continues without it; "
                "make room or stop the training",
                stacklevel=2,
            )
        self._written = time.monotonic()


@dataclass(frozen=True)
class SavedState:
    """The content of a checkpoint file."""

    path: Path
    tensors: dict[str, Float32]
    state: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Float32]:
        """Return the arrays whose names begin with a prefix, by the rest of their names."""
        return {name[len(prefix) :]: array for name, array in self.tensors.items() if name.startswith(prefix)}

    def error(self, what: str) -> ModelFileError:
        """Return the error for content that is wrong."""
        return ModelFileError(f"{self.path}: {what}: remove the file to continue from an older one")


def clear(folder: Path) -> None:
    """Remove the checkpoints of an earlier training from a folder."""
    for path in _all(folder):
        path.unlink(missing_ok=True)


def newest(folder: str | os.PathLike[str]) -> SavedState | None:
    """Return the newest checkpoint in a folder, or None if there is none.

    Raises
    ------
    ModelFileError
        If there are checkpoints, but none can be read, or if ``folder`` is a file. A warning names a newer
        checkpoint that cannot be read.
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
            streams.warn(
                f"{error}: using an older checkpoint", stacklevel=7
            )  # the call of `NeuralNetwork.fit`
        else:
            return checkpoint
    return None


def _read(path: Path) -> SavedState:
    metadata, tensors = read(path, FORMAT)
    try:
        if difference := differing_names(metadata, ("format", "version", "state")):
            raise ValueError(difference)
        state = parse(metadata["state"], finite=False)  # the state of a user's callback may hold NaN
        if not isinstance(state, dict):
            raise ValueError(f"a value of type {type(state).__name__} where an object must be")
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: must hold the state of a training; got {error}") from error
    return SavedState(path, tensors, state)


def _all(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the newest first."""
    return sorted(folder.glob(PATTERN), reverse=True)
