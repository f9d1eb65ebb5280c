"""The command ``fastdigits draw``: write a page to draw on, with a network inside it, and open it."""

from __future__ import annotations

import argparse
import os
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from ..export import export_html
from ..export.html import is_exported
from . import arguments, console, run_folder, runner, system
from .parser import Parser
from .runner import CommandError

COMMAND = "fastdigits draw"


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Write and open the page that ``argv`` describes; return the exit code."""
    parser = Parser(
        "draw",
        "Write a page to draw digits on, and open it in the browser. A network inside the page reads digits and "
        "numbers while you draw them; the page shows the probabilities, the input and the neurons. The page is one "
        "file of about 2.2 MB. It needs no server and no connection: send it by mail, or put it on any web site.",
        "examples:\n"
        "  fastdigits draw\n"
        "  fastdigits draw --model runs/mine --output mine.html\n"
        "  fastdigits draw --no-open --output public/index.html --overwrite",
    )
    group = parser.add_argument_group("page")
    arguments.add_model_option(group)
    group.add_argument(
        "--output",
        type=arguments.path,
        default=Path("draw.html"),
        metavar="FILE",
        help="file for the page; an earlier page is replaced (default: %(default)s)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace any file, not only an earlier page")
    group.add_argument("--no-open", action="store_true", help="write the page, but do not open it")
    arguments.add_result_options(group)
    options = parser.read(argv)
    return runner.run(COMMAND, lambda: _draw(options))


def _draw(options: argparse.Namespace) -> int:
    output: Path = options.output
    run_folder.check_file(output, "choose a name such as draw.html")
    if not options.overwrite and output.is_file() and not is_exported(output):
        raise CommandError(
            f"--output: must be a new file or an earlier page; got {str(output)!r}, which is neither: choose "
            "another name, or replace it with --overwrite"
        )
    network, _ = run_folder.read_model(options.model)
    try:
        export_html(network, output)
    except ValueError as error:  # the page cannot hold this network
        raise CommandError(f"--model: {error}") from error
    size = output.stat().st_size
    opened = not options.no_open and _open(output)
    if not options.quiet:
        status = "opened" if opened else "open it in any browser"
        console.print_note(output, f"{size / 1e6:.1f} MB, {status}")
    if options.json:
        model = None if options.model is None else str(options.model)
        console.print_json({"output": str(output), "bytes": size, "model": model, "opened": opened})
    return runner.SUCCESS


def _open(page: Path) -> bool:
    """Open the page in a browser; return whether there is one."""
    if not (system.has_display() or "BROWSER" in os.environ):
        return False  # webbrowser would start a text browser in the terminal, which cannot show the page
    return webbrowser.open(page.resolve().as_uri())
