"""Parse the options of a command: errors in one line, help that fits the terminal."""

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
from .console import quoted
from .runner import ERROR, CommandError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and whose help fits the terminal.

    Parameters
    ----------
    name : str
        The command, such as ``"train"``.
    description, examples : str
        The text above and below the options. Paragraphs are wrapped, except those with indented lines.
    operands : str, default ""
        What follows the options, such as ``"IMAGE..."``.
    """

    def __init__(self, name: str, description: str, examples: str, operands: str = "") -> None:
        self._words: list[str] = []  # the arguments of `read`
        usage = f"[options] {operands}".rstrip()
        super().__init__(
            prog=f"fastdigits {name}",
            usage=f"fastdigits {name} {usage}\n       python -m fastdigits.{name} {usage}",
            description=description,
            epilog=examples,
            formatter_class=_Layout,
            allow_abbrev=False,  # an abbreviation becomes ambiguous when a later version adds an option
        )
        self.color = console.has_colour(sys.stdout)  # of the help, in Python 3.14 and newer
        self.add_argument(
            "--version",
            action="version",
            version=f"fastdigits {__version__}",
            help="show the version of the package and exit",
        )

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Return the options in ``argv``, or in the process's own for None; exit with code 2 on an error."""
        self._words = list(sys.argv[1:] if argv is None else argv)
        options, unknown = self.parse_known_args(self._words)
        if unknown:
            self.error(self._unknown(unknown[0]))
        return options

    def given(self, group: argparse._ArgumentGroup) -> list[str]:
        """Return the names of the options of a group that the arguments of `read` have, also with their defaults."""
        words = {word.partition("=")[0] for word in self._words}
        return [
            action.option_strings[-1] for action in group._group_actions if words & {*action.option_strings}
        ]

    def parse_value(self, option: argparse.Action, text: str) -> Any:
        """Return the value that an option has for a text; argparse.ArgumentError if the text is wrong."""
        value = self._get_value(option, text)
        self._check_value(option, value)
        return value

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = ", ".join(action.choices)
            raise argparse.ArgumentError(action, f"must be one of {names}; got {quoted(value)}")

    def _print_message(self, message: str, file: object = None) -> None:
        # Help and version. argparse would hide it if standard output failed.
        console.print_answer(message.rstrip("\n"))

    def _unknown(self, word: str) -> str:
        """Return the error message for an argument that no option takes."""
        if not word.startswith("-"):
            return f"unexpected argument {quoted(word)}; see --help"
        name = word.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(name, known, n=1)
        return f"unknown option {quoted(name)}; {f'did you mean {close[0]!r}?' if close else 'see --help'}"

    def error(self, message: str) -> NoReturn:
        """Print an error in one line and exit with code 2; name an unknown option before a missing argument.

        The text is the cause of the SystemExit, for where standard error is not shown.
        """
        missing = message.partition("the following arguments are required: ")[2]
        if missing:
            names = [word for word in self._words if word.startswith("--")]
            unknown = [word for word in names if word.partition("=")[0] not in self._option_string_actions]
            message = self._unknown(unknown[0]) if unknown else f"missing argument {missing}; see --help"
        text = re.sub(r"^argument (-\w/)?", "", message)
        text = re.sub(r"^(--[\w-]+)(/--[\w-]+)+", r"\1", text)
        console.print_error(self.prog, text)
        raise SystemExit(ERROR) from CommandError(text)


class _Layout(argparse.HelpFormatter):
    """Fit the help into the terminal: wrap each paragraph, except those with indented lines."""

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
