"""The settings of a run in its folder: written at its start, read and compared when it is resumed."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..core.schema import Check, integer, validate
from ..errors import DataError
from ..training.augmentation import Augmentation
from . import arguments, run_folder
from .parser import Parser

NONE = "none"  # no hidden layer, no augmentation


def settings(options: argparse.Namespace, omitted: Collection[str]) -> dict[str, Any]:
    """Return the options that decide the result of a run, all but the ``omitted`` ones, as JSON can hold them."""
    found = {name: _as_json(value) for name, value in vars(options).items() if name not in omitted}
    for name in ("data", "recipe"):
        if (value := getattr(options, name)) is not None and Path(value).exists():
            found[name] = str(Path(value).resolve())  # absolute: the run may be resumed from another folder
    return found


def _as_json(value: object) -> object:
    if isinstance(value, Augmentation):
        return asdict(value)
    return list(value) if isinstance(value, tuple) else value


def read(
    run: Path,
    name: str,
    parser: Parser,
    names: Iterable[str],
    command: str,
    contradiction: Callable[[argparse.Namespace], str],
    others: Mapping[str, Check] = MappingProxyType({}),
) -> tuple[dict[str, Any], str, int]:
    """Return the settings of a run as values of their options, the command line, and how often it was resumed.

    Parameters
    ----------
    run : Path
        Its folder.
    name : str
        The file in it.
    parser : Parser
        Has the options.
    names : iterable of str
        The settings that the file must have.
    command : str
        The command that wrote it, such as ``"train"``.
    contradiction : callable
        Returns the error message for settings that contradict each other, or an empty text.
    others : mapping of str to Check, default {}
        What the file has besides.

    Raises
    ------
    DataError
        If an entry is missing, unknown, or not a value of its option. The message names the file.
    """
    saved = run_folder.read_settings(run, name)
    try:
        checks: dict[str, Check] = {name: functools.partial(_setting, parser) for name in names}
        line = functools.partial(_line, command)
        own: dict[str, Check] = {**others, "command": line, "resumed": integer(0, 10**9)}
        settings = validate(saved, checks | own, "settings")
        text, resumed = settings.pop("command"), settings.pop("resumed")
        if problem := contradiction(argparse.Namespace(**settings)):
            raise ValueError(problem)
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{run / name}: must hold the settings of a run; got: {error}") from error
    return settings, text, resumed


def resume(
    parser: Parser,
    argv: Sequence[str] | None,
    run: Path,
    read: Callable[[Path], tuple[dict[str, Any], str, int]],
    free: Collection[str] = (),
) -> argparse.Namespace:
    """Return the options of a run to resume; exit with 2 if ``argv`` has others, except for those that are free."""
    try:
        settings, command, resumed = read(run)
    except DataError as error:
        parser.error(f"--resume: {error}")
    parser.set_defaults(**settings, output=run)
    options = parser.read(argv)
    for name, value in settings.items():
        given = getattr(options, name)
        if given != value and name not in free:
            parser.error(
                f"--resume: settings must be those of the run; --{name.replace('_', '-')} was "
                f"{shown(name, value)}, got {shown(name, given)}: omit it, or begin a new run"
            )
    if options.output != run:
        parser.error(f"--resume: the run stays in its folder; got --output {options.output}: omit it")
    options.command, options.resumed = command, resumed + 1
    return options


def option(parser: Parser, name: str) -> argparse.Action:
    """Return the option of a setting."""
    (found,) = (action for action in parser._actions if action.dest == name)
    return found


def shown(name: str, value: object) -> str:
    """Return a setting as on the command line: 8x8 for a size, 64,32 for hidden layers, none for no layers."""
    if isinstance(value, tuple | list):
        return ("x" if name == "size" else ",").join(map(str, value)) or NONE
    return str(value)


def _line(command: str, value: object, name: str, subject: str) -> str:
    """Check the command line of a run and return it."""
    if not isinstance(value, str) or not arguments.is_command_line(command, value):
        raise ValueError(
            f"{subject}: {name} must be a line python -m fastdigits.{command} …; got {value!r:.100}"
        )
    return value


def _setting(parser: Parser, value: object, name: str, subject: str) -> Any:
    """Check a setting and return its value: its option, given the value as text, must return the same."""
    found = option(parser, name)
    if found.nargs == 0:
        if not isinstance(value, bool):
            raise TypeError(f"{subject}: {name} must be true or false; got {value!r:.100}")
        return value
    if value is None and found.default is None:
        return None
    try:
        taken = parser.parse_value(found, _as_text(value, name))
    except argparse.ArgumentError as error:
        raise ValueError(f"{subject}: {name}: {error.message}") from error
    if not _same(taken, value):
        raise TypeError(f"{subject}: {name} must be of the type that its option has; got {value!r:.100}")
    return taken


def _as_text(value: object, name: str) -> str:
    """Return a setting from JSON as text for the command line."""
    if isinstance(value, dict):
        return ",".join(f"{name}={entry}" for name, entry in value.items())
    return shown(name, value)


def _same(taken: object, value: object) -> bool:
    """Return whether an option's value equals JSON's, with the same type; JSON may have 1 for 1.0."""
    if isinstance(taken, Augmentation):
        theirs, ours = value, asdict(taken)
        return (
            isinstance(theirs, dict)
            and theirs.keys() == ours.keys()
            and all(_same(ours[name], theirs[name]) for name in ours)
        )
    if isinstance(taken, tuple):
        return isinstance(value, list) and len(taken) == len(value) and all(map(_same, taken, value))
    kinds = (int, float) if type(taken) is float else (type(taken),)
    return type(value) in kinds and taken == value
