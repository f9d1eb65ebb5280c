"""Run a command: choose backend and threads, print errors in one line, return the exit code."""

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
from . import console

SUCCESS, ERROR, INTERRUPTED = 0, 2, 130  # exit codes; an error is one that the user can correct

_Main = Callable[[Sequence[str] | None], int]


class CommandError(Exception):
    """An error that the user can correct; the message says how, in one line."""


def entry_point(command: str) -> Callable[[_Main], Callable[..., int]]:
    """Decorate a ``main(argv)`` that returns an exit code, so that streams and signals cannot break it.

    If standard error fails, the command continues without messages. If standard output fails, it returns 2; if the
    reader of standard output has ended, as ``| head`` does, it returns 0. A second Ctrl-C has no effect on the
    handling of the first. Pictures are drawn without a window, whatever ``MPLBACKEND`` says.

    Parameters
    ----------
    command : str
        The beginning of an error line, such as ``"fastdigits train"``.
    """

    def decorate(main: _Main) -> Callable[..., int]:
        @functools.wraps(main)
        def guarded(argv: Sequence[str] | None = None) -> int:
            with interrupts.raise_once(), streams.safe(), _no_windows():
                return exit_code(command, lambda: _main_and_flush(main, argv))

        return guarded

    return decorate


def _main_and_flush(main: _Main, argv: Sequence[str] | None) -> int:
    try:
        code = main(argv)
    except SystemExit:  # of argparse, after --help and after a wrong option
        console.flush()
        raise
    console.flush()
    return code


@contextlib.contextmanager
def _no_windows() -> Iterator[None]:
    """Let matplotlib draw to files; in a notebook, MPLBACKEND names a module that may be missing here."""
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
    chooses: bool = True,
) -> int:
    """Choose backend and threads, call ``work``, and return the exit code; print an expected error in one line.

    Parameters
    ----------
    command : str
        The beginning of an error line, such as ``"fastdigits train"``.
    work : callable
        The work of the command; it returns an exit code.
    backend_name : str, optional
        Default: the current backend.
    threads : int, optional
        The largest number of threads. Default: what the environment says.
    chooses : bool, default True
        Whether to call `choose`; if not, ``work`` does.

    Returns
    -------
    int
        The result of ``work``; 2 after an error that the user can correct; 130 after an interrupt.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # else Python collects garbage once more at exit: 30 ms after Ctrl-C

    def prepared() -> int:
        if chooses:
            choose(backend_name, threads)
        return work()

    return exit_code(command, prepared)


def exit_code(command: str, work: Callable[[], int]) -> int:
    """Return the exit code of ``work``; print an expected error in one line."""
    try:
        return work()
    except BrokenPipeError:  # the reader of standard output has ended
        return SUCCESS
    except (CommandError, DataError, ModelFileError, DivergedError, OSError) as error:
        console.print_error(command, str(error))
        return ERROR
    except KeyboardInterrupt:
        console.print_message(f"{command}: interrupted")
        return INTERRUPTED


def choose(name: str | None, threads: int | None) -> None:
    """Choose backend and threads; None means what the environment says. Raise a CommandError if that fails."""
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
    except ValueError as error:  # in the environment
        raise CommandError(str(error)) from error
