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

NARROWEST, WIDEST = 40, 80  # characters per line
LABEL = 14  # characters of the longest name in a table, so that all tables of a command line up

_BOLD, _RED = "1", "1;31"
_COLOUR_CODES = re.compile(f"(\x1b\\[(?:{_BOLD}|{_RED}|0)m)")


# -- how text looks ----------------------------------------------------------------------------------------


def width() -> int:
    """Return the characters per line: those of the terminal, or of ``COLUMNS``, but 40 to 80."""
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
    return _coloured(text, _BOLD)


def _coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if has_colour(sys.stderr) else text


def _escaped(text: str) -> str:
    """Escape control characters, except line ends and the colour codes of this module."""
    parts = _COLOUR_CODES.split(text) if has_colour(sys.stderr) else [text]
    return "".join(part if i % 2 else printable(part, keep="\n") for i, part in enumerate(parts))


def quoted(text: str) -> str:
    """Return ``text`` for an error message: in quotes, on one line, cut if it is long."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def percent(fraction: float) -> str:
    """Return a fraction as a percentage, such as ``98.08 %``."""
    return f"{100 * fraction:.2f} %"


def fields(rows: Mapping[str, str | list[str]]) -> str:
    """Return names and values side by side.

    Parameters
    ----------
    rows : mapping
        A text is wrapped to the width of the terminal. A list holds lines that are not wrapped, such as paths and
        commands, so that people can copy them.
    """
    lines: list[tuple[str, str]] = []
    for name, value in rows.items():
        parts = wrap(printable(value), width() - LABEL - 2) if isinstance(value, str) else value
        lines += zip_longest([name], parts, fillvalue="")
    return tabulate(lines, least=[LABEL])


# -- standard error ----------------------------------------------------------------------------------------


def print_message(text: str) -> None:
    """Print text to standard error; continue if standard error fails."""
    print(_escaped(text), file=streams.messages(), flush=True)


def print_nothing(text: str) -> None:
    """Replace `print_message` with ``--quiet``."""


def print_note(subject: object, message: str) -> None:
    """Print one line to standard error: a subject, such as the command, and a message, which may hold names."""
    print_message(printable(f"{subject}: {message}"))


def print_error(command: str, message: str) -> None:
    """Print an error in one line to standard error."""
    print_message(f"{command}: {_coloured('error:', _RED)} {printable(message.strip())}")


# -- standard output ---------------------------------------------------------------------------------------


def print_answer(text: str) -> None:
    """Print text to standard output.

    Raises
    ------
    BrokenPipeError
        If the reader has ended, as ``| head`` does.
    OSError
        If standard output is closed, or its disk is full.
    """
    if sys.stdout is None:
        raise OSError(_output_error("a closed stream"))
    _write(lambda: print(_escaped(text), flush=True))


def print_json(result: dict[str, Any]) -> None:
    """Print a JSON object as one line to standard output; OSError if it fails or its reader has ended."""
    try:
        print_answer(to_json(result))
    except BrokenPipeError as error:
        raise OSError("standard output: must be read to its end; got a reader that ended before") from error


def flush() -> None:
    """Flush standard output; errors as `print_answer`."""
    if sys.stdout is not None:
        _write(sys.stdout.flush)


def _write(write: Callable[[], None]) -> None:
    try:
        write()
    except BrokenPipeError:
        streams.discard(sys.stdout)
        raise
    except (OSError, ValueError) as error:  # ValueError: it was closed
        streams.discard(sys.stdout)
        raise OSError(_output_error(getattr(error, "strerror", None) or str(error))) from error


def _output_error(reason: str) -> str:
    return f"standard output: must take the answer; got: {reason}: send it to a file with room, or to a pipe"


def to_json(value: Any, indent: int | None = None) -> str:
    """Return strict JSON: a number that is not finite becomes null."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
