"""The command ``fastdigits``: run one of its commands, as in ``fastdigits train --epochs 2``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from ._version import __version__
from .commands import console, runner
from .core.text import tabulate

# Each command is a module of the package; its main(argv) returns the exit code.
COMMANDS = {
    "train": "train a network on MNIST or on your own images",
    "tune": "search settings for your data",
    "evaluate": "measure how good a model is and where it fails",
    "draw": "open a page to draw on, with a network inside",
    "predict": "read the digits in photographs and scans",
    "shard": "write data larger than memory as shards",
    "bench": "compare the compiled kernels with NumPy",
}
HELP = "\n".join(
    [
        "usage: fastdigits COMMAND [options]",
        "       python -m fastdigits COMMAND [options]",
        "",
        "A digit classifier built from scratch, trained in seconds.",
        "",
        "commands:",
        tabulate((f"  {name}", text) for name, text in COMMANDS.items()),
        "",
        "options:",
        "  fastdigits COMMAND --help  show its options and examples",
        "  fastdigits --version       show the version of the package",
    ]
)


@runner.entry_point("fastdigits")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names (None: the arguments of the process); return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["help"]:  # "help train" means "train --help"; "help help" means "--help"
        arguments = [*(word for word in arguments[1:] if word != "help"), "--help"]
    if not arguments:
        console.print_message(HELP)
        return 2
    name = arguments[0]
    if name in ("-h", "--help"):
        console.print_answer(HELP)
        return 0
    if name == "--version":
        console.print_answer(f"fastdigits {__version__}")
        return 0
    if name not in COMMANDS:
        console.print_error("fastdigits", f"unknown command {console.quoted(name)}; {_hint(name)}")
        return 2
    module = importlib.import_module(f".{name}", "fastdigits")
    code: int = module.main(arguments[1:])
    return code


def _hint(name: str) -> str:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(COMMANDS)}"


if __name__ == "__main__":
    sys.exit(main())
