"""Standard streams that may be closed, full, too narrow or without a reader: messages may be lost, work may not."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Messages(io.TextIOBase):
    """A stream for messages that never raises: it loses what the stream below it does not take.

    Parameters
    ----------
    stream : text stream or None
        Where messages go, such as ``sys.stderr``; None, as where standard error is closed, loses all of them.

    Attributes
    ----------
    lost : bool
        Whether a message was lost. The next ones are still tried: a full disk may get room again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._wrapped = stream  # tqdm compares bars by this name: those on the stream itself are on the same
        self.lost = False

    def write(self, text: str, /) -> int:
        """Write a text; lose it where that fails."""
        try:
            self._write(text)
        except Exception:  # whatever a stream raises, its message is not worth the work it is about
            self.lost = True
        return len(text)

    def _write(self, text: str) -> None:
        if self._wrapped is None:
            return
        try:
            self._wrapped.write(text)
        except UnicodeEncodeError:
            encoding = self._wrapped.encoding
            self._wrapped.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def flush(self) -> None:
        """Flush the stream; lose what it does not take."""
        try:
            if self._wrapped is not None:
                self._wrapped.flush()
        except Exception:  # as in `write`
            self.lost = True

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._wrapped is not None and self._wrapped.isatty()
        except Exception:  # one that is closed
            return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the stream's descriptor; OSError where it has none."""
        if self._wrapped is None:
            raise io.UnsupportedOperation("fileno")
        return self._wrapped.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the stream's encoding."""
        return getattr(self._wrapped, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:  # such as `buffer` and `name`
        return getattr(self.__dict__.get("_wrapped"), name)


def messages() -> Messages:
    """Return standard error as a stream that never raises."""
    stream = sys.stderr
    return stream if isinstance(stream, Messages) else Messages(stream)


def warn(text: str, *, stacklevel: int, category: type[Warning] = UserWarning) -> None:
    """Warn as ``warnings.warn`` does; a warning that is not shown, as standard error is closed, raises nothing."""
    with contextlib.suppress(OSError, ValueError):
        warnings.warn(text, category, stacklevel=stacklevel + 1)


@contextlib.contextmanager
def safe() -> Iterator[None]:
    """Let no standard stream end a command: messages are lost where standard error fails, letters are replaced.

    Letters that a stream's encoding lacks become escapes such as ``\\u6570``. Closed descriptors are opened on
    nothing: else the next file that is opened, a model say, would be what C libraries take for standard error.
    Standard error stays safe afterwards if it lost something: the interpreter's last flush would fail.
    """
    _open_closed()
    before, own = sys.stderr, messages()
    narrow: list[tuple[Any, str | None]] = []
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # no text stream of Python's, or one that is broken
            errors = stream.errors
            cast(Any, stream).reconfigure(errors="backslashreplace")
            narrow.append((stream, errors))
    sys.stderr = replaced = cast(TextIO, own)
    try:
        yield
    finally:
        own.flush()
        for stream, errors in narrow:
            with contextlib.suppress(Exception):
                stream.reconfigure(errors=errors)
        if not own.lost and sys.stderr is replaced:
            sys.stderr = before


def _open_closed() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def discard(stream: TextIO | None) -> None:
    """Send what a broken stream still holds nowhere: the interpreter's last flush would fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no stream, or one without a descriptor
        number = stream.fileno()  # type: ignore[union-attr]
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
