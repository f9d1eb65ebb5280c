"""The command ``fastdigits``: hands over to one of its commands, as in ``fastdigits train --epochs 2``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

# A command is a module of this name with a main(argv) that returns the exit code.
COMMANDS = {
    "train": "train a network on MNIST or on a folder of your own, and see what it learned",
    "evaluate": "say how good a model is, on which digits it fails, and how sure it may be",
    "draw": "write a page to draw digits on, with a network inside it, and open it",
    "predict": "read the digits on pictures, photographs and scans",
    "bench": "compare the compiled kernels with NumPy on this machine",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that ``argv`` names, the process's own arguments where it is None.

    Returns
    -------
    int
        The command's exit code; 2 where there is no such command.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        from . import __version__

        print(f"fastdigits {__version__}")
        return 0
    if name not in COMMANDS:
        got = f"got {name!r}" if name else "got none"
        print(f"fastdigits: error: the command must be one of {', '.join(COMMANDS)}; {got}", file=sys.stderr)
        return 2
    module = importlib.import_module(f".{name}", "fastdigits")
    code: int = module.main(arguments[1:])
    return code


def _help() -> str:
    size = max(map(len, COMMANDS))
    lines = [f"  {name:<{size}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fastdigits COMMAND [options]",
            "       python -m fastdigits COMMAND [options]",
            "",
            "A digit classifier built from scratch, trained on a processor in seconds.",
            "",
            "commands:",
            *lines,
            "",
            "fastdigits COMMAND --help tells of a command's options; fastdigits --version of this version.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
