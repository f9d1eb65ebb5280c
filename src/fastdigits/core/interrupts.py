"""Ctrl-C: raise KeyboardInterrupt once, ignore repeated signals, and defer it where work must be completed.

Python interrupts only the main thread; in other threads, nothing here has an effect. A handler that the user installed
stays in place.
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

PATIENCE = 5.0  # seconds after which a further Ctrl-C raises again, in case the first exception was lost

_Handler = Callable[[int, FrameType | None], Any]


class _RaiseOnce:
    """A signal handler that raises KeyboardInterrupt, then ignores signals for `PATIENCE` seconds."""

    def __init__(self) -> None:
        self._raised_at = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.raised():
            self._raised_at = time.monotonic()
            raise KeyboardInterrupt

    def raised(self) -> bool:
        """Return whether it raised within the last `PATIENCE` seconds."""
        return time.monotonic() - self._raised_at < PATIENCE


@contextlib.contextmanager
def raise_once() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt; ignore further ones for five seconds.

    After an interrupted command, the handler stays until the interpreter exits, which ignores Ctrl-C: Python's own
    handler would end the process without the command's exit code.
    """
    before = _handler()
    if before is not signal.default_int_handler:  # ignored in the background, or a handler of the caller
        yield
        return
    own = _RaiseOnce()
    signal.signal(signal.SIGINT, own)
    try:
        yield
    finally:
        if own.raised():
            atexit.register(_ignore)
        else:
            signal.signal(signal.SIGINT, before)


def _ignore() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class DeferInterrupts:
    """Defer Ctrl-C from `begin` to `end`; if it came meanwhile, `end` raises KeyboardInterrupt.

    Leaving the context calls `end`. Entering it does not call `begin`: the caller can then make that call the last
    statement of a block that may be interrupted.
    """

    def __init__(self) -> None:
        self._before: _Handler | None = None
        self._received = False

    @property
    def received(self) -> bool:
        """Whether Ctrl-C came since `begin`, and `end` has not answered it."""
        return self._before is not None and self._received

    def begin(self) -> None:
        """Defer Ctrl-C from now on."""
        if self._before is None and _handler() is not None:
            self._received = False
            self._before = cast(_Handler, signal.signal(signal.SIGINT, self._receive))

    def end(self, *, answer: bool = True) -> None:
        """Restore the handler; call it, unless ``answer`` is False, if Ctrl-C came meanwhile."""
        before, self._before = self._before, None
        if before is None:
            return
        signal.signal(signal.SIGINT, before)
        if self._received and answer:
            before(signal.SIGINT, None)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let Ctrl-C interrupt this block, also one that came before it."""
        try:
            self.end()
            yield
        finally:
            self.begin()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._received = True

    def __enter__(self) -> DeferInterrupts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> Literal[False]:
        self.end(answer=kind is None)
        return False


def _handler() -> _Handler | None:
    """Return Python's handler of Ctrl-C; None if there is none or this thread cannot replace it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None
