"""The folder of a run: model, history, result as JSON, report and pictures. Other files in it stay unchanged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.schema import Check, integer, number, optional, read_object, validate
from ..errors import DataError
from ..network import NeuralNetwork, load, load_pretrained
from ..training.checkpoint import PATTERN as CHECKPOINTS
from . import locks, system
from .arguments import PRETRAINED
from .console import print_note, to_json
from .runner import CommandError

MODEL, HISTORY, RESULT, REPORT = "model.safetensors", "history.csv", "result.json", "report.html"
SETTINGS = "settings.json"
EVALUATION = "evaluation.json"
SEARCH, TRIALS, RECIPE = "search.json", "trials.jsonl", "recipe.json"  # of fastdigits tune
PICTURES = tuple(
    f"{name}.png"
    for name in ("curves", "predictions_right", "predictions_wrong", "confused_pairs", "confusion", "calibration",
                 "weights")
)  # fmt: skip
OWN = (
    MODEL,
    HISTORY,
    RESULT,
    REPORT,
    SETTINGS,
    EVALUATION,
    SEARCH,
    TRIALS,
    RECIPE,
    *PICTURES,
)  # all files of a run except checkpoints
MOST_SETTINGS, MOST_RESULT = 1 << 20, 1 << 23  # bytes; a result with ten thousand classes has three million

_SHARE = number(least=0, most=1)
_RESULT: dict[str, Check] = {  # entries that scripts read; later versions may add others
    **dict.fromkeys(("test_accuracy", "train_accuracy"), _SHARE),
    **dict.fromkeys(("precision", "recall", "f1", "calibration_error"), optional(_SHARE)),
    **dict.fromkeys(("test_loss", "train_loss"), optional(number())),
    **dict.fromkeys(("test_images", "train_images", "parameters"), integer(1)),
    **dict.fromkeys(("epochs", "resumed"), integer()),
    **dict.fromkeys(("train_seconds", "total_seconds"), number(least=0)),
    "best_epoch": optional(integer(1)),
}


@contextlib.contextmanager
def folder(
    output: Path | None,
    *,
    overwrite: bool = False,
    files: Sequence[str] = (MODEL, RESULT, SETTINGS),
    kind: str = "run",
    option: str = "--output",
) -> Iterator[Path]:
    """Lock a folder against other processes and yield it; remove a new one if it stays empty.

    Parameters
    ----------
    output : Path or None
        The folder, made if it is missing. None makes a new one, ``runs/<date>_<time>``.
    overwrite : bool, default False
        Whether to replace the files of an earlier run in it.
    files : sequence of str
        Names of files that show an earlier run.
    kind : str, default "run"
        What the folder will hold; any other kind than a run is the end of a new folder's name.
    option : str, default "--output"
        The option that names the folder, for messages.

    Raises
    ------
    CommandError
        If the folder cannot be made or written to, if another process writes into it, if it holds a run already, or
        if a folder or a link has the name of a file to write.
    """
    if output is not None and not overwrite:
        _check_free(output, files, kind)
    try:
        existed = output is not None and output.is_dir()
        if output is not None:
            _check_own(output)
        chosen = _new("" if kind == "run" else f"_{kind}") if output is None else output
        chosen.mkdir(parents=True, exist_ok=True)
        lock = locks.Lock(chosen)
    except BlockingIOError as error:
        raise CommandError(
            f"{option}: must not be in use; got {str(output)!r}, which another process writes into: wait until it "
            "has ended, or choose another folder"
        ) from error
    except OSError as error:
        raise CommandError(
            f"{option}: must be a folder that can be written to; got {str(output or 'runs')!r} "
            f"({error.strerror}): choose another with {option} FOLDER"
        ) from error
    try:
        if not overwrite:  # again: another process may have been faster
            _check_free(chosen, files, kind)
        yield chosen
    finally:
        lock.release()
        if not existed:
            with contextlib.suppress(OSError):
                chosen.rmdir()  # succeeds only while it is empty


def _check_free(output: Path, files: Sequence[str], kind: str) -> None:
    article = "an" if kind.startswith("e") else "a"
    for name in files:
        if os.path.lexists(output / name):
            raise CommandError(
                f"--output: must not hold {article} {kind} already; got {str(output)!r} with {name}: choose "
                f"another folder, or replace the {kind} with --overwrite"
            )


def _check_own(output: Path) -> None:
    """Raise a CommandError if a file of the run is a link or no file: the target of a link must stay unchanged."""
    for path in [*(output / name for name in OWN), *output.glob(CHECKPOINTS)]:
        if path.is_symlink() or (os.path.lexists(path) and not path.is_file()):
            what = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "no file"
            raise CommandError(
                f"{path}: must be a file, to be replaced by one of the run; got {what}: remove it, or choose another "
                "folder"
            )


def check_file(path: Path, hint: str, option: str = "--output") -> None:
    """Check in advance that a file can be written; raise CommandError if not.

    Parameters
    ----------
    path : Path
        The file.
    hint : str
        The next step for the user, for the end of the message.
    option : str, default "--output"
        The option that names the file, for the beginning of the message.
    """
    try:
        atomic.check(path, hint=hint)
    except OSError as error:
        raise CommandError(f"{option}: {error}") from error


def _new(ending: str) -> Path:
    """Make a new folder; runs that begin in the same second get different ones."""
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}{ending}"
    number = 1
    while True:
        path = Path("runs", name if number == 1 else f"{name}_{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not path.exists():  # "runs" is not a folder
                raise
            number += 1
        else:
            return path


def write_settings(path: Path, settings: dict[str, Any], name: str = SETTINGS) -> None:
    """Write the settings of a run into the folder ``path``: they let a killed run be resumed."""
    atomic.write(path / name, (to_json(settings, indent=2) + "\n").encode(), example=name)


def read_settings(path: Path, name: str = SETTINGS) -> dict[str, Any]:
    """Return what `write_settings` wrote into the folder ``path``.

    Raises
    ------
    DataError
        If the folder holds no run, or if the settings cannot be read.
    """
    return read_object(path / name, MOST_SETTINGS)


def finished(path: Path) -> dict[str, Any] | None:
    """Return the result of a finished run, or None if it is not finished.

    Raises
    ------
    DataError
        If the result is not one of a run.
    """
    file = path / RESULT
    if not os.path.lexists(file):
        return None
    result = read_object(file, MOST_RESULT)
    if not isinstance(result.get("interrupted"), bool):
        raise DataError(
            f"{file}: interrupted must be true or false; got {result.get('interrupted')!r:.100}: remove it"
        )
    if result["interrupted"] or "total_seconds" not in result:
        return None
    try:
        validate({name: result[name] for name in _RESULT if name in result}, _RESULT, "the result")
        if not (path / MODEL).is_file():
            raise ValueError(f"a finished run must have {MODEL}; got none beside it")
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: must be the result of a run; got: {error}: remove it") from error
    return result


def write_result(path: Path, result: dict[str, Any], name: str = RESULT) -> None:
    """Write a result as JSON into the folder ``path``."""
    atomic.write(path / name, (to_json(result, indent=2) + "\n").encode(), example=name, sync=False)


def remove_pictures(path: Path, result: str = RESULT) -> None:
    """Remove the pictures and the report of an earlier run, which its result lists.

    Only files with names of this package are removed.
    """
    try:
        earlier = read_object(path / result, MOST_RESULT)
    except DataError:  # no earlier run
        return
    listed = earlier.get("pictures")
    names = [name for name in PICTURES if isinstance(listed, list) and name in listed]
    names += [REPORT] if earlier.get("report") == REPORT else []
    for name in names:
        (path / name).unlink(missing_ok=True)


def show_report(path: Path, command: str) -> None:
    """Open the report in the folder ``path``, or print where it is."""
    if not system.open_file(path / REPORT):
        print_note(command, f"no display to show the report on: open {path / REPORT}")


def read_model(path: Path | None) -> tuple[NeuralNetwork, str]:
    """Return the network in a model file or a run's folder, and its name; None for the pretrained network.

    Raises
    ------
    CommandError, ModelFileError, OSError
        If there is no model.
    """
    if path is None:
        return load_pretrained(), PRETRAINED
    if not path.is_dir():
        return load(path), str(path)
    file = path / MODEL
    if not file.is_file():
        raise CommandError(
            f"--model: must be a model file or the folder of a run, with {MODEL}; got {str(path)!r} without it"
        )
    return load(file), str(file)
