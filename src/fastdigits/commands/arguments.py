"""The options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import backend
from ..core.entries import MOST_COUNT
from ..core.validation import check_number
from ..data.loading import FORMS, MOST_SIZE, NAMES
from .console import shown
from .parser import Parser

MOST_LAYERS = 1_000  # hidden ones: a model file holds ten thousand arrays, up to six for each
PRETRAINED = "the one that comes with the package"  # what --model is without being said

_Group = argparse._ArgumentGroup


def whole_number(text: str, least: int = 1, most: float = MOST_COUNT) -> int:
    """Return the whole number in ``text``, from ``least`` to ``most``; a type for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}; got {shown(text)}")
    if number > most:
        raise argparse.ArgumentTypeError(f"must be a whole number of at most {most}; got {shown(text)}")
    return number


def seed(text: str) -> int:
    """Return the whole number in ``text``, from 0 to 2**128 - 1, as NumPy's seeds are; a type for argparse."""
    return whole_number(text, least=0, most=2**128 - 1)


def positive(text: str) -> float:
    """Return the number in ``text``, above 0; a type for argparse."""
    return _number(text, "a number above 0", over=0)


def not_negative(text: str) -> float:
    """Return the number in ``text``, at least 0; a type for argparse."""
    return _number(text, "a number of at least 0", least=0)


def fraction(text: str) -> float:
    """Return the number in ``text``, at least 0 and below 1; a type for argparse."""
    return _number(text, "a number of at least 0 and below 1", least=0, under=1)


def widths(text: str) -> tuple[int, ...]:
    """Return the whole numbers that commas separate in ``text``; a type for argparse."""
    if text.count(",") >= MOST_LAYERS:
        raise argparse.ArgumentTypeError(
            f"must be at most {MOST_LAYERS:,} widths; got {text.count(',') + 1:,}"
        )
    try:
        # that a width is too large is for the memory to say
        return tuple(whole_number(part, most=math.inf) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers of at least 1 with commas between them, such as 64,32; got {shown(text)}"
        ) from None


def size(text: str) -> tuple[int, int]:
    """Return height and width in ``text``, such as ``28x28``; a type for argparse."""
    found = re.fullmatch(r"([0-9]{1,6})[x×]([0-9]{1,6})", text)
    height, width = map(int, found.groups()) if found else (0, 0)
    if not 1 <= height * width <= MOST_SIZE:
        raise argparse.ArgumentTypeError(
            f"must be height x width, such as 28x28, of at most {MOST_SIZE:,} pixels; got {shown(text)}"
        )
    return height, width


def _number(text: str, wanted: str, **bounds: float) -> float:
    try:
        number = float(text)
        check_number(number, "number", "option", **bounds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {wanted}; got {shown(text)}") from None
    return number


def path(text: str) -> Path:
    """Return ``text`` as a path; a type for argparse."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be the name of a file or folder; got {shown(text)}")
    return Path(text)


def add_choice(group: _Group, name: str, choices: Iterable[str], default: str | None, what: str) -> None:
    """Add an option that takes one of some names, with all of them in its help.

    Parameters
    ----------
    group : argument group
        Where it belongs.
    name : str
        The option, such as ``"--optimizer"``.
    choices : iterable of str
        What it takes.
    default : str or None
        What it is without being said. Where it is None, ``what`` describes it.
    what : str
        What it decides.
    """
    names = tuple(choices)
    listed = f"{', '.join(names[:-1])} or {names[-1]}"
    end = "" if default is None else f" (default: {default})"
    group.add_argument(
        name, choices=names, default=default, metavar="NAME", help=f"{what}: {listed}{end}".replace("%", "%%")
    )


def add_data_option(group: _Group, what: str) -> None:
    """Add ``--data``, ``--size`` and ``--label-column`` for `load_data`; ``what`` describes the use of the data."""
    group.add_argument(
        "--data",
        default="mnist",
        metavar="NAME|PATH",
        help=f"{', '.join(NAMES)}; or {FORMS}; {what} (default: mnist)",
    )
    add_size_option(group, "pictures in folders", "they must have one size")
    add_label_column_option(group, "the column of a .csv file that has the labels")


def add_label_column_option(group: _Group, what: str) -> None:
    """Add ``--label-column``, the column that ``what`` describes."""
    group.add_argument(
        "--label-column",
        metavar="NAME",
        help=f"{what}: its name in the heading, first, last, or its number from 0 on (default: the one named label, "
        "target, class or y)",
    )


def add_size_option(group: _Group, pictures: str, otherwise: str) -> None:
    """Add ``--size``, to which pictures are fitted; ``otherwise`` tells what is so without it."""
    group.add_argument(
        "--size",
        type=size,
        metavar="HxW",
        help=f"fit {pictures} to this height and width, such as 28x28: scaled with their proportions kept, on "
        f"paper of their own colour (default: {otherwise})",
    )


def add_model_option(group: _Group) -> None:
    """Add ``--model``, which a command hands to `runs.read_model`."""
    group.add_argument(
        "--model",
        type=path,
        metavar="FILE|FOLDER",
        help=f"a model file, or the folder of a run (default: {PRETRAINED})",
    )


def add_backend_option(group: _Group) -> None:
    """Add ``--backend``, which a command hands to `run`."""
    add_choice(
        group,
        "--backend",
        backend.MODULES,
        None,
        "kernels to compute with (default: FASTDIGITS_BACKEND, or the fastest that runs here)",
    )


def add_machine_options(parser: Parser) -> None:
    """Add ``--threads`` and ``--backend``, which a command hands to `run`."""
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help="use at most N threads; the result is the same for any number (default: "
        "FASTDIGITS_NUM_THREADS, or as many as the process has processors)",
    )
    add_backend_option(group)


def add_report_options(group: _Group) -> None:
    """Add ``--json`` and ``--quiet``."""
    group.add_argument(
        "--json",
        action="store_true",
        help="print the result as one JSON object, the last line of standard output",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print only errors to standard error")


def command_line(name: str, argv: Sequence[str] | None) -> str:
    """Return the line that does the same again, without what says where results go and how they are told.

    Parameters
    ----------
    name : str
        The command, such as ``"train"``.
    argv : sequence of str or None
        Its options, read before and so without a mistake; the process's own where it is None.
    """
    told = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    told.add_argument("-o", "--output")
    told.add_argument("-q", "--quiet", action="store_true")
    for option in ("--overwrite", "--show", "--json"):
        told.add_argument(option, action="store_true")
    words = told.parse_known_args(argv)[1]
    named = any(word.partition("=")[0] == "--backend" for word in words)
    chosen = os.environ.get(backend.VARIABLE)
    before = [f"{backend.VARIABLE}={shlex.quote(chosen)}"] if chosen and not named else []
    return " ".join([*before, "python", "-m", f"fastdigits.{name}", *map(shlex.quote, words)])


def is_command_line(name: str, line: str) -> bool:
    """Return whether `command_line` may have made a line: pasted into a shell, it runs that command alone."""
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    command = words[1:] if words[:1] and words[0].startswith(f"{backend.VARIABLE}=") else words
    return command[:3] == ["python", "-m", f"fastdigits.{name}"] and " ".join(map(shlex.quote, words)) == line
