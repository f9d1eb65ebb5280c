"""Standard streams that may be closed, full or without a reader: messages may be lost, work must not be."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any, TextIO, cast


class Messages(io.TextIOBase):
    """A text stream that never raises: it drops messages that the wrapped stream does not accept.

    Parameters
    ----------
    stream : text stream or None
        Such as ``sys.stderr``; None, its value where standard error is closed, drops every message.

    Attributes
    ----------
    lost : bool
        Whether a message was lost. Later ones are still tried: a full disk may get space again.
    position : int or None
        The line of a progress bar, as tqdm takes it; by default below all other bars.
    """

    position: int | None = None

    def __init__(self, stream: TextIO | None) -> None:
        self._wrapped = stream  # tqdm reads this name to tell which bars share a stream
        self.lost = False

    def write(self, text: str, /) -> int:
        """Write a text; drop it if that fails."""
        try:
            self._write(text)
        except Exception:  # a message is never worth the work that it reports
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
        """Flush the stream; drop what it does not accept."""
        try:
            if self._wrapped is not None:
                self._wrapped.flush()
        except Exception:  # as in `write`
            self.lost = True

    def end(self) -> None:
        """Show what a stream may have held back; nothing is left to do here."""

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        try:
            return self._wrapped is not None and self._wrapped.isatty()
        except Exception:  # it is closed
            return False

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the stream's descriptor; OSError if it has none."""
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
    """Warn as ``warnings.warn`` does, but raise nothing if standard error is closed."""
    with contextlib.suppress(OSError, ValueError):
        warnings.warn(text, category, stacklevel=stacklevel + 1)


@contextlib.contextmanager
def safe() -> Iterator[None]:
    """Keep a failing standard stream from ending a command: drop messages, escape characters it cannot encode.

    Characters outside the stream's encoding become escapes such as ``\\u6570``. Closed descriptors are opened on the
    null device; else C libraries would write their messages into the next file that is opened, such as a model.
    If standard error lost a message, it stays wrapped: the interpreter's last flush would fail.
    """
    _open_closed()
    before, own = sys.stderr, messages()
    narrow: list[tuple[Any, str | None]] = []
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # not a Python text stream, or a broken one
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
                os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor: this one


def discard(stream: TextIO | None) -> None:
    """Send the buffer of a broken stream to the null device, as the interpreter's last flush would fail."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # no stream, or no descriptor
        number = stream.fileno()  # type: ignore[union-attr]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
