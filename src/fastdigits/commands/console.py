"""How commands meet people: text and tables on standard error, the answer on standard output, errors in one line.

A command's ``main(argv)`` returns its exit code: 0; 2 for an error that the user can correct; 130 if interrupted.
Messages go to standard error; standard output belongs to ``--json`` and to what the command was asked for.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, TextIO

from .. import backend
from ..backend.threads import get_num_threads, set_num_threads
from ..core import interrupts, streams
from ..core.text import tabulate, wrap
from ..errors import DataError, DivergedError, ModelFileError, printable

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


# -- running a command -------------------------------------------------------------------------------------


DONE, WRONG, INTERRUPTED = 0, 2, 130


class CommandError(Exception):
    """Something that the user can put right; the message is the one line that says how."""


_Main = Callable[[Sequence[str] | None], int]


def entry(command: str) -> Callable[[_Main], Callable[..., int]]:
    """Make a ``main(argv)`` safe: streams that fail, further Ctrl-C behind the first, matplotlib's settings.

    Messages that standard error does not take are lost, and the command goes on. Pictures are drawn without a
    window whatever ``MPLBACKEND`` says. An answer that standard output does not take ends with 2; a reader that
    left, as behind ``| head``, is no error.

    Parameters
    ----------
    command : str
        What an error line begins with, such as ``"fastdigits train"``.
    """

    def safe(main: _Main) -> Callable[..., int]:
        @functools.wraps(main)
        def guarded(argv: Sequence[str] | None = None) -> int:
            with interrupts.once(), streams.safe(), _without_windows():
                return _told(command, lambda: _flushed(main, argv))

        return guarded

    return safe


def _flushed(main: _Main, argv: Sequence[str] | None) -> int:
    try:
        code = main(argv)
    except SystemExit:  # argparse's, after --help and after a wrong option
        flush()
        raise
    flush()
    return code


@contextlib.contextmanager
def _without_windows() -> Iterator[None]:
    """Let matplotlib load what draws files; a notebook's MPLBACKEND names a module that may not be there."""
    name = "MPLBACKEND"
    before = os.environ.get(name)
    os.environ[name] = "agg"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


def run(
    command: str,
    work: Callable[[], int],
    *,
    backend_name: str | None = None,
    threads: int | None = None,
) -> int:
    """Choose backend and threads, do the work, and return its exit code; an expected error becomes one line.

    Parameters
    ----------
    command : str
        What an error line begins with, such as ``"fastdigits train"``.
    work : callable
        Does all that can fail and returns an exit code.
    backend_name : str, optional
        The backend to use; the one that serves already where none is given.
    threads : int, optional
        Threads to use at most; what the environment says where none are given.

    Returns
    -------
    int
        What ``work`` returned; 2 after an error that the user can put right, 130 after an interrupt.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # else Python looks through all objects once more: 30 ms after Ctrl-C

    def prepared() -> int:
        _use(backend_name, threads)
        return work()

    return _told(command, prepared)


def _told(command: str, work: Callable[[], int]) -> int:
    """Return the exit code of the work; tell an expected error in one line."""
    try:
        return work()
    except BrokenPipeError:  # nobody reads standard output any more, as behind ``| head``
        return DONE
    except (CommandError, DataError, ModelFileError, DivergedError, OSError) as error:
        tell_error(command, str(error))
        return WRONG
    except KeyboardInterrupt:
        say(f"{command}: interrupted")
        return INTERRUPTED


def _use(name: str | None, threads: int | None) -> None:
    try:
        if name is None:
            backend.backend_name()
        else:
            backend.use_backend(name)
    except (ValueError, ImportError) as error:
        raise CommandError(f"--backend: {error}" if name is not None else str(error)) from error
    set_num_threads(threads)
    try:
        get_num_threads()
    except ValueError as error:  # the environment's
        raise CommandError(str(error)) from error


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
