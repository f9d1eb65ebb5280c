"""Read the options of a command: errors in one line, help that fits the terminal."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from .._version import __version__
from ..core.text import wrap
from . import console
from .console import shown
from .runner import ERROR


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and whose help fits the terminal.

    Parameters
    ----------
    name : str
        The command, such as ``"train"``.
    description, examples : str
        The text above and below the options. Paragraphs are wrapped; those with indented lines stay as they are.
    operands : str, default ""
        What stands behind the options, such as ``"IMAGE..."``.
    """

    def __init__(self, name: str, description: str, examples: str, operands: str = "") -> None:
        self._words: list[str] = []  # what `read` is given
        given = f"[options] {operands}".rstrip()
        super().__init__(
            prog=f"fastdigits {name}",
            usage=f"fastdigits {name} {given}\n       python -m fastdigits.{name} {given}",
            description=description,
            epilog=examples,
            formatter_class=_Layout,
            allow_abbrev=False,  # what abbreviates one option today may abbreviate two tomorrow
        )
        self.color = console.has_colour(sys.stdout)  # for the help, which Python 3.14 and newer colour
        self.add_argument(
            "--version",
            action="version",
            version=f"fastdigits {__version__}",
            help="show the version of the package and exit",
        )

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return the options in ``argv``, the process's own where it is None; exit with 2 on a wrong one."""
        self._words = list(sys.argv[1:] if argv is None else argv)
        options, unknown = self.parse_known_args(self._words)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return options

    def taken(self, option: argparse.Action, text: str) -> Any:
        """Return what an option makes of a text.

        Raises
        ------
        argparse.ArgumentError
            If it does not take it.
        """
        value = self._get_value(option, text)
        self._check_value(option, value)
        return value

    def _print_message(self, message: str, file: object = None) -> None:
        console.show(message.rstrip("\n"))  # help and version: argparse would not say where they were lost

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"unexpected argument {shown(word)}; see --help"
        name = word.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(name, known, n=1)
        return f"unknown option {shown(name)}; {f'did you mean {close[0]!r}?' if close else 'see --help'}"

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2; a misspelt option comes before an argument that is missing."""
        if message.startswith("the following arguments are required"):
            names = [word for word in self._words if word.startswith("--")]
            unknown = [word for word in names if word.partition("=")[0] not in self._option_string_actions]
            message = self._unknown(unknown[0]) if unknown else message
        text = re.sub(r"^argument (-\w/)?", "", message)
        console.tell_error(self.prog, re.sub(r"^(--[\w-]+)(/--[\w-]+)+", r"\1", text))
        raise SystemExit(ERROR)


class _Layout(argparse.HelpFormatter):
    """Fits the terminal, wraps each paragraph by itself, and keeps lines that are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=console.width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        parts = (
            part if "\n  " in part else "\n".join(indent + line for line in wrap(part, width))
            for part in text.strip("\n").split("\n\n")
        )
        return "\n\n".join(parts)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrap(text, width)
