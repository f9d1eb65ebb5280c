"""Ctrl-C: answer the first, ignore those right behind it, and hold it back where work must not be torn.

Only the main thread is interrupted; elsewhere nothing here has an effect. A handler of somebody else stays in place.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal, cast

PATIENCE = 5.0  # seconds; a first Ctrl-C that is still unanswered then was lost, and the next one counts

_Handler = Callable[[int, FrameType | None], Any]


class _Once:
    """A handler that raises KeyboardInterrupt at the first signal, and does nothing at those right behind it."""

    def __init__(self) -> None:
        self._first = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.answering():
            self._first = time.monotonic()
            raise KeyboardInterrupt

    def answering(self) -> bool:
        """Return whether a signal came just now."""
        return time.monotonic() - self._first < PATIENCE


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt once; the next ones, while it is being answered, change nothing.

    The handler stays for what comes behind an interrupted command. Then the interpreter's end ignores Ctrl-C: its own
    handler would let the signal end the process without the exit code.
    """
    before = _handler()
    if (
        before is not signal.default_int_handler
    ):  # ignored, as in the background; another command's; the user's
        yield
        return
    own = _Once()
    signal.signal(signal.SIGINT, own)
    try:
        yield
    finally:
        if own.answering():
            atexit.register(_ignore)
        else:
            signal.signal(signal.SIGINT, before)


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Hold:
    """Hold Ctrl-C back from `begin` to `end`, where one that came meanwhile is answered.

    As a context manager it ends what was begun; it does not begin by itself, so that the beginning can be the last
    statement of what may be interrupted.
    """

    def __init__(self) -> None:
        self._before: _Handler | None = None
        self._came = False

    def begin(self) -> None:
        """Hold Ctrl-C back from now on."""
        if self._before is None and _handler() is not None:
            self._came = False
            self._before = cast(_Handler, signal.signal(signal.SIGINT, self._note))

    def end(self, *, answer: bool = True) -> None:
        """Hold it back no longer; answer one that came, which raises KeyboardInterrupt."""
        before, self._before = self._before, None
        if before is None:
            return
        signal.signal(signal.SIGINT, before)
        if self._came and answer:
            before(signal.SIGINT, None)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Answer Ctrl-C within this block, one that came before it too."""
        try:
            self.end()
            yield
        finally:
            self.begin()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> Literal[False]:
        self.end(answer=kind is None)
        return False


def _handler() -> _Handler | None:
    """Return Python's handler of Ctrl-C; None where there is none, or none that this thread may replace."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None
