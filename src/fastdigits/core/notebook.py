"""The output of a notebook: whether there is one, and text in it that changes in place."""

from __future__ import annotations

import sys
import time
from typing import Any

from .streams import Messages, messages

KEPT = 20  # lines of a live text; a saved notebook has these
PAUSE = 0.1  # seconds between two updates, as long as those of a progress bar


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    if getattr(ipython and ipython.get_ipython(), "kernel", None) is None:
        return False
    from multiprocessing import parent_process

    return parent_process() is None  # a forked worker has the kernel's objects, but cannot reach the notebook


class LiveText(Messages):
    """A stream whose text a notebook shows as a terminal would: ``\\r`` begins the last line again.

    All text is one output, which changes in place and keeps the last lines.
    """

    position = 0

    def __init__(self) -> None:
        super().__init__(None)
        self._text = ""
        self._output: Any = None
        self._shown = 0.0

    def isatty(self) -> bool:
        """Return True: a bar may move."""
        return True

    def _write(self, text: str) -> None:
        lines = (self._text + text).split("\n")[-KEPT - 1 :]
        self._text = "\n".join(line.rpartition("\r")[2] for line in lines)
        if time.monotonic() - self._shown >= PAUSE:
            self._show()

    def _show(self) -> None:
        from IPython.display import display

        self._shown = time.monotonic()
        content = {"text/plain": "\n".join(map(str.rstrip, self._text.splitlines()))}
        if self._output is None:
            self._output = display(content, raw=True, display_id=True)
        else:
            self._output.update(content, raw=True)

    def end(self) -> None:
        """Show what the last pause held back."""
        try:
            if self._text:
                self._show()
        except Exception:  # as in `write`
            self.lost = True


def progress_stream() -> Messages:
    """Return a new stream for progress bars and their lines: in a notebook its output, else standard error."""
    return LiveText() if in_notebook() else messages()
