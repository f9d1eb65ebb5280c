"""What a command prints: messages and tables on standard error, its answer on standard output.

Standard output is only for the answer, such as the object of ``--json``. Control characters are escaped.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any, TextIO

from ..core import streams
from ..core.text import tabulate, wrap
from ..errors import printable

NARROWEST, WIDEST = 40, 80  # columns that lines are laid out in
LABEL = 14  # characters of the longest name in a table: all tables of a command line up

_BOLD, _RED = "1", "1;31"
_OWN_CODES = re.compile(f"(\x1b\\[(?:{_BOLD}|{_RED}|0)m)")


def width() -> int:
    """Return how many columns to print in: those of the terminal, or of ``COLUMNS``, but 40 to 80."""
    columns = shutil.get_terminal_size((WIDEST, 24)).columns
    return max(NARROWEST, min(columns, WIDEST))


def has_colour(stream: TextIO | None) -> bool:
    """Return whether to print colours to a stream: only to a terminal that has them, never with ``NO_COLOR``."""
    if stream is None or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    if sys.platform == "win32" and "WT_SESSION" not in os.environ:
        return False  # the older console of Windows shows the codes themselves
    return stream.isatty()


def bold(text: str) -> str:
    """Return ``text`` in bold, if standard error has colour."""
    return _painted(text, _BOLD)


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_colour(sys.stderr) else text


def _lines(text: str) -> str:
    """Return text for people with control characters escaped, but for line ends and the colours made here."""
    parts = _OWN_CODES.split(text) if has_colour(sys.stderr) else [text]
    return "".join(part if place % 2 else printable(part, keep="\n") for place, part in enumerate(parts))


def say(text: str) -> None:
    """Print to standard error, control characters escaped; what it does not take is lost."""
    print(_lines(text), file=streams.messages(), flush=True)


def tell(subject: object, message: str) -> None:
    """Print one line to standard error, such as of a command: what may be a name has no line ends either."""
    say(printable(f"{subject}: {message}"))


def show(text: str) -> None:
    """Print to standard output, which is what a command was asked for; control characters escaped.

    Raises
    ------
    BrokenPipeError
        If nobody reads it any more, as behind ``| head``.
    OSError
        If standard output does not take it: it is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise OSError(_not_taken("a closed stream"))
    _written(lambda: print(_lines(text), flush=True))


def flush() -> None:
    """See that standard output took everything; raise as `show` does."""
    if sys.stdout is not None:
        _written(sys.stdout.flush)


def _written(write: Callable[[], None]) -> None:
    try:
        write()
    except BrokenPipeError:
        streams.discard(sys.stdout)
        raise
    except (OSError, ValueError) as error:  # ValueError: it was closed
        streams.discard(sys.stdout)
        raise OSError(_not_taken(getattr(error, "strerror", None) or str(error))) from error


def _not_taken(reason: str) -> str:
    return f"standard output: must take the answer; got: {reason}: send it to a file with room, or to a pipe"


def silent(text: str) -> None:
    """Print nothing: stands in for `say` with ``--quiet``."""


def tell_error(command: str, message: str) -> None:
    """Print an error as one line to standard error."""
    say(f"{command}: {_painted('error:', _RED)} {printable(message.strip())}")


def shown(text: str) -> str:
    """Return ``text`` as an error message shows it: quoted, on one line, cut where it is long."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def percent(fraction: float) -> str:
    """Return a fraction as people read it, such as ``98.08 %``."""
    return f"{100 * fraction:.2f} %"


def table(rows: Mapping[str, str | list[str]]) -> str:
    """Return names and texts side by side, control characters in the texts escaped.

    Parameters
    ----------
    rows : mapping
        A text is wrapped to the width of the terminal. A list holds lines that stay whole, such as paths and
        commands, so that people can copy them.
    """
    lines: list[tuple[str, str]] = []
    for name, value in rows.items():
        parts = wrap(printable(value), width() - LABEL - 2) if isinstance(value, str) else value
        lines += zip_longest([name], parts, fillvalue="")
    return tabulate(lines, least=[LABEL])


def print_json(result: dict[str, Any]) -> None:
    """Print one JSON object as one line on standard output; OSError if it does not take it, or nobody reads it."""
    try:
        show(to_json(result))
    except BrokenPipeError as error:
        raise OSError("standard output: must be read to its end; got a reader that left before") from error


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON as its standard has it: a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
