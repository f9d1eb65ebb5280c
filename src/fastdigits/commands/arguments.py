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
from ..core.schema import MAX_COUNT
from ..core.validation import check_number
from ..data.labels import MOST_SIZE
from ..data.loading import FORMS, NAMES
from ..recipes import MOST_LAYERS
from .console import quoted

PRETRAINED = "the one that comes with the package"  # the default of --model

_Group = argparse._ArgumentGroup


# -- types of values: each one raises ArgumentTypeError for text that it cannot parse ----------------------


def whole_number(text: str, least: int = 1, most: float = MAX_COUNT) -> int:
    """Parse a whole number from ``least`` to ``most``."""
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}; got {quoted(text)}")
    if number > most:
        raise argparse.ArgumentTypeError(f"must be a whole number of at most {most}; got {quoted(text)}")
    return number


def seed(text: str) -> int:
    """Parse a whole number from 0 to 2**128 - 1, the range of NumPy's seeds."""
    return whole_number(text, least=0, most=2**128 - 1)


def positive(text: str) -> float:
    """Parse a number above 0."""
    return _number(text, "a number above 0", over=0)


def not_negative(text: str) -> float:
    """Parse a number of at least 0."""
    return _number(text, "a number of at least 0", least=0)


def fraction(text: str) -> float:
    """Parse a number of at least 0 and below 1."""
    return _number(text, "a number of at least 0 and below 1", least=0, under=1)


def widths(text: str) -> tuple[int, ...]:
    """Parse whole numbers with commas between them."""
    if text.count(",") >= MOST_LAYERS:
        raise argparse.ArgumentTypeError(
            f"must be at most {MOST_LAYERS:,} numbers; got {text.count(',') + 1:,}"
        )
    try:
        # No upper limit: a width that is too large for the memory is an error of the network.
        return tuple(whole_number(part, most=math.inf) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers of at least 1 with commas between them, such as 64,32; got {quoted(text)}"
        ) from None


def size(text: str) -> tuple[int, int]:
    """Parse a height and a width, such as ``28x28``."""
    found = re.fullmatch(r"([0-9]{1,6})[x×]([0-9]{1,6})", text)
    height, width = map(int, found.groups()) if found else (0, 0)
    if not 1 <= height * width <= MOST_SIZE:
        raise argparse.ArgumentTypeError(
            f"must be height x width, such as 28x28, of at most {MOST_SIZE:,} pixels; got {quoted(text)}"
        )
    return height, width


def path(text: str) -> Path:
    """Parse the name of a file or folder."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be the name of a file or folder; got {quoted(text)}")
    return Path(text)


def _number(text: str, wanted: str, **bounds: float) -> float:
    try:
        number = float(text)
        check_number(number, "number", "option", **bounds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be {wanted}; got {quoted(text)}") from None
    return number


# -- options -----------------------------------------------------------------------------------------------


def add_choice(
    group: _Group, name: str, choices: Iterable[str], default: str | None, what: str, *, unset: str = ""
) -> None:
    """Add an option whose value is one of ``choices``, which its help lists.

    The help begins with ``what`` the option decides; ``unset`` explains a default of None.
    """
    names = tuple(choices)
    end = " (default: %(default)s)" if default is not None else f" (default: {unset})" if unset else ""
    what = what.replace("%", "%%")
    group.add_argument(
        name,
        choices=names,
        default=default,
        metavar="NAME",
        help=f"{what}: {', '.join(names[:-1])} or {names[-1]}{end}",
    )


def add_data_option(group: _Group, what: str) -> None:
    """Add ``--data``, ``--size`` and ``--label-column`` for `load_data`; ``what`` says what the images decide."""
    group.add_argument(
        "--data",
        default="mnist",
        metavar="NAME|PATH",
        help=f"a data set: {', '.join(NAMES)}; or a path: {FORMS}, or a folder "
        f"that fastdigits shard wrote; {what} (default: %(default)s)",
    )
    add_size_option(group, "pictures in folders", "several sizes, or more than a megapixel, become 28x28")
    add_label_column_option(group, "the column of a .csv file that holds the labels")


def add_label_column_option(group: _Group, what: str) -> None:
    """Add ``--label-column``; ``what`` describes the column."""
    group.add_argument(
        "--label-column",
        metavar="NAME",
        help=f"{what}: its name in the heading, its number (the first is 0), first or last (default: the column "
        "named label, target, class or y)",
    )


def add_size_option(group: _Group, pictures: str, default: str) -> None:
    """Add ``--size``, to which ``pictures`` are scaled; ``default`` says what holds without it."""
    group.add_argument(
        "--size",
        type=size,
        metavar="HxW",
        help=f"scale {pictures} to this height and width, such as 28x28; their proportions stay, and their "
        f"background fills the rest (default: {default})",
    )


def add_model_option(group: _Group) -> None:
    """Add ``--model``, for `run_folder.read_model`."""
    group.add_argument(
        "--model",
        type=path,
        metavar="FILE|FOLDER",
        help=f"a model file, or the folder of a training run (default: {PRETRAINED})",
    )


def add_backend_option(group: _Group) -> None:
    """Add ``--backend``, for `runner.run`."""
    add_choice(
        group,
        "--backend",
        backend.MODULES,
        None,
        "kernels to compute with",
        unset=f"{backend.VARIABLE}, or the fastest that this processor supports",
    )


def add_threads_option(group: _Group, what: str) -> None:
    """Add ``--threads``, for `runner.run`; ``what`` says what the number means."""
    group.add_argument(
        "--threads",
        type=whole_number,
        metavar="N",
        help=f"{what} (default: FASTDIGITS_NUM_THREADS, or one thread per processor that the process may use)",
    )


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--threads`` and ``--backend``, for `runner.run`."""
    group = parser.add_argument_group("machine")
    add_threads_option(group, "use at most N threads; the result is the same for any number")
    add_backend_option(group)


def add_folder_options(group: _Group, contents: str, new: str, kind: str) -> None:
    """Add ``--output`` and ``--overwrite``, for a command that writes a folder.

    The help names the ``contents`` of the folder, the name of a ``new`` one, and the ``kind`` of run to overwrite.
    """
    group.add_argument(
        "-o",
        "--output",
        type=path,
        metavar="FOLDER",
        help=f"folder for {contents} (default: a new folder, {new})",
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help=f"replace the {kind} that the folder of --output holds already",
    )


def add_report_options(group: _Group) -> None:
    """Add ``--no-plots`` and ``--show``, for a command that writes a report."""
    group.add_argument("--no-plots", action="store_true", help="draw no pictures, not even for the report")
    group.add_argument("--show", action="store_true", help="open the report at the end")


def add_result_options(group: _Group) -> None:
    """Add ``--json`` and ``--quiet``."""
    group.add_argument(
        "--json",
        action="store_true",
        help="print the result as a JSON object on the last line of standard output",
    )
    group.add_argument("-q", "--quiet", action="store_true", help="print no messages except errors")


# -- the command line of a run -----------------------------------------------------------------------------


def command_line(name: str, argv: Sequence[str] | None) -> str:
    """Return the line that repeats a command, without the options that only say where and how results appear.

    Parameters
    ----------
    name : str
        The command, such as ``"train"``.
    argv : sequence of str or None
        Its options, parsed before without an error; None for those of the process.
    """
    omitted = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    omitted.add_argument("-o", "--output")
    omitted.add_argument("-q", "--quiet", action="store_true")
    for option in ("--overwrite", "--show", "--json"):
        omitted.add_argument(option, action="store_true")
    words = omitted.parse_known_args(argv)[1]
    named = any(word.partition("=")[0] == "--backend" for word in words)
    chosen = os.environ.get(backend.VARIABLE)
    before = [f"{backend.VARIABLE}={shlex.quote(chosen)}"] if chosen and not named else []
    return " ".join([*before, "python", "-m", f"fastdigits.{name}", *map(shlex.quote, words)])


def is_command_line(name: str, line: str) -> bool:
    """Return whether `command_line` can have made a line, so that a shell runs only this command."""
    try:
        words = shlex.split(line)
    except ValueError:
        return False
    command = words[1:] if words[:1] and words[0].startswith(f"{backend.VARIABLE}=") else words
    return command[:3] == ["python", "-m", f"fastdigits.{name}"] and " ".join(map(shlex.quote, words)) == line
