"""The options that commands share, and the parser that reads them."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .. import backend
from .._version import __version__
from ..core.entries import MOST_COUNT
from ..core.text import wrap
from ..core.validation import check_number
from ..data.loading import FORMS, MOST_SIZE, NAMES
from . import console
from .console import WRONG, shown

MOST_LAYERS = 1_000  # hidden ones: a model file holds ten thousand arrays, up to six for each
PRETRAINED = "the one that comes with the package"  # what --model is without being said

_Group = argparse._ArgumentGroup


# -- options -----------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and whose help fits the terminal.

    Parameters
    ----------
    name : str
        The command, such as ``"train"``.
    description, examples : str
        The text above and below the options. Paragraphs are wrapped; those with indented lines stay as they are.
    operands : str, default ""
        What stands behind the options, such as ``"IMAGE..."``.
    """

    def __init__(self, name: str, description: str, examples: str, operands: str = "") -> None:
        self._words: list[str] = []  # what `read` is given
        given = f"[options] {operands}".rstrip()
        super().__init__(
            prog=f"fastdigits {name}",
            usage=f"fastdigits {name} {given}\n       python -m fastdigits.{name} {given}",
            description=description,
            epilog=examples,
            formatter_class=_Layout,
            allow_abbrev=False,  # what abbreviates one option today may abbreviate two tomorrow
        )
        self.color = console.has_colour(sys.stdout)  # for the help, which Python 3.14 and newer colour
        self.add_argument(
            "--version",
            action="version",
            version=f"fastdigits {__version__}",
            help="show the version of the package and exit",
        )

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return the options in ``argv``, the process's own where it is None; exit with 2 on a wrong one."""
        self._words = list(sys.argv[1:] if argv is None else argv)
        options, unknown = self.parse_known_args(self._words)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return options

    def taken(self, option: argparse.Action, text: str) -> Any:
        """Return what an option makes of a text.

        Raises
        ------
        argparse.ArgumentError
            If it does not take it.
        """
        value = self._get_value(option, text)
        self._check_value(option, value)
        return value

    def _print_message(self, message: str, file: object = None) -> None:
        console.show(message.rstrip("\n"))  # help and version: argparse would not say where they were lost

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {shown(word)}; see --help"
        name = word.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(name, known, n=1)
        return f"unknown option {shown(name)}; {f'did you mean {close[0]!r}?' if close else 'see --help'}"

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2; a misspelt option comes before an argument that is missing."""
        if message.startswith("the following arguments are required"):
            names = [word for word in self._words if word.startswith("--")]
            unknown = [word for word in names if word.partition("=")[0] not in self._option_string_actions]
            message = self._unknown(unknown[0]) if unknown else message
        text = re.sub(r"^argument (-\w/)?", "", message)
        console.tell_error(self.prog, re.sub(r"^(--[\w-]+)(/--[\w-]+)+", r"\1", text))
        raise SystemExit(WRONG)


class _Layout(argparse.HelpFormatter):
    """Fits the terminal, wraps each paragraph by itself, and keeps lines that are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=console.width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = (
            part if "\n  " in part else "\n".join(indent + line for line in wrap(part, width))
            for part in text.strip("\n").split("\n\n")
        )
        return "\n\n".join(parts)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width)


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


# -- the way out -------------------------------------------------------------------------------------------
