"""Run a command: choose backend and threads, report errors in one line, return the exit code.

A command's ``main(argv)`` returns its exit code: 0; 2 for an error that the user can correct; 130 if interrupted.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import os
from collections.abc import Callable, Iterator, Sequence

from .. import backend
from ..backend.threads import get_num_threads, set_num_threads
from ..core import interrupts, streams
from ..errors import DataError, DivergedError, ModelFileError
from .console import flush, say, tell_error

SUCCESS, ERROR, INTERRUPTED = 0, 2, 130


class CommandError(Exception):
    """Something that the user can put right; the message is the one line that says how."""


_Main = Callable[[Sequence[str] | None], int]


def entry_point(command: str) -> Callable[[_Main], Callable[..., int]]:
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
        return SUCCESS
    except (CommandError, DataError, ModelFileError, DivergedError, OSError) as error:
        tell_error(command, str(error))
        return ERROR
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
