"""The options of ``fastdigits tune``, and their record in the folder of a search."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import recipes
from ..core.schema import text
from ..errors import DataError
from ..recipes import Recipe
from . import arguments, console, record, run_folder, tune_space
from .parser import Parser
from .train_options import add_base
from .tune_search import MOST_TRIALS

TRIALS = 27  # of the first round, without a limit of time
ENOUGH, MOST_REPEATS = 1000, 10  # held-out images of all repeats together; repeats
_NO_SETTINGS = ("json", "quiet", "output", "overwrite", "resume", "processes", "window", "command", "resumed")
_FREE = ("trials", "minutes")  # may grow when a search is resumed

DESCRIPTION = """\
Search settings of a training for your data. Each trial trains a network with
settings drawn at random, and evaluates it on training images that are held
out; the test images are not used. All trials train for a few epochs, the best
third of them three times as long, and the best third of those again.

The search writes a folder with one line for each trial that ended, so that it
can be resumed, and a recipe that fastdigits train takes. The same seed and
number of trials give the same recipe, on any number of processes.

The space of the search, unless --space changes it:
"""

EXAMPLES = """\
examples:
  fastdigits tune                                      MNIST, some minutes
  fastdigits tune --data flowers.csv --minutes 1
  fastdigits tune --space "lr=0.001:0.03, hidden=64-32|128-64"
  fastdigits tune --preset accurate --space "lr=0.003:0.03" --epochs 50
  fastdigits tune --preset fast --trials 1 --repeats 5 no search: one score
  fastdigits tune --resume runs/mine                   continue after a kill
  fastdigits train --recipe runs/mine/recipe.json      train with the result

Progress and messages go to standard error; standard output has only what
--json prints. Exit codes: 0 done; 2 wrong input, described in one line; 130
interrupted with Ctrl-C: all trials that ended are saved.
"""


def read(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options in ``argv``, or of the process if it is None; exit with 2 on a wrong option."""
    parser = _parser()
    options = parser.read(argv)
    if options.resume is not None:
        options = record.resume(parser, argv, options.resume, from_record, _FREE)
    else:
        options.images = None
        options.command, options.resumed = arguments.command_line("tune", argv), 0
    if options.overwrite and options.output is None:
        parser.error("--overwrite: needs a folder; got none: name it with --output")
    try:
        found = base(options)
    except DataError as error:
        parser.error(f"--recipe: {error}")
    try:
        tune_space.read(options.space, found, distorts=True)
    except ValueError as error:
        parser.error(f"--space: {error}")
    return options


def base(options: argparse.Namespace) -> Recipe | None:
    """Return the recipe of --preset or --recipe; None without one.

    Raises
    ------
    DataError
        If the file is no recipe.
    """
    if options.recipe is not None:
        return recipes.load(options.recipe)
    return None if options.preset is None else recipes.get(options.preset)


def to_record(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `from_record` reads."""
    settings = record.settings(options, _NO_SETTINGS)
    return settings | {"command": options.command, "resumed": options.resumed}


def from_record(run: Path) -> tuple[dict[str, Any], str, int]:
    """Return the settings of a search, its command line, and how often it was resumed; a DataError if that fails."""
    parser = _parser()
    names = record.settings(parser.read([]), _NO_SETTINGS)
    return record.read(run, run_folder.SEARCH, parser, names, "tune", lambda options: "", {"images": text})


def _parser() -> Parser:
    space = tune_space.read("", None, distorts=True)
    shown = tune_space.table(space, console.width() - 2, indent="  ")
    parser = Parser("tune", f"{DESCRIPTION}\n{shown}", EXAMPLES)
    group = parser.add_argument_group("images")
    arguments.add_data_option(group, "the test images of a source stay unused")
    parser.set_defaults(window=None)  # shards are read into memory
    add_base(
        parser.add_argument_group("preset"),
        "the search keeps its settings, except for those that --space names",
    )
    group = parser.add_argument_group("search")
    group.add_argument(
        "--space",
        default="",
        metavar="SPACE",
        help="values of some settings, such as 'lr=0.001:0.03, hidden=64-32|128-64': a range, alternatives, or one "
        "value (default: those above)",
    )
    group.add_argument(
        "--epochs",
        type=arguments.whole_number,
        metavar="N",
        help="epochs of the last round; each round before has a third of the next (default: those of the preset, or "
        "else 20, and up to 100 for fewer than 25,000 images)",
    )
    group.add_argument(
        "--trials",
        type=_trials,
        metavar="N",
        help=f"recipes of the first round (default: {TRIALS}; with --minutes as many as it has time for)",
    )
    group.add_argument(
        "--minutes",
        type=arguments.positive,
        metavar="F",
        help="time for the search; each round gets a third of it, and trials that would take longer are left out "
        "(default: no limit)",
    )
    group.add_argument(
        "--validation-split",
        type=_fraction,
        default=0.1,
        metavar="F",
        help="fraction of the training images that is held out (default: %(default)g)",
    )
    group.add_argument(
        "--repeats",
        type=arguments.whole_number,
        metavar="N",
        help="train each recipe N times, with other weights and other held-out images, and take the mean (default: "
        f"until {ENOUGH:,} images were held out, but at most {MOST_REPEATS})",
    )
    group.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="seed of the recipes, and of weights, order and held-out images of their trainings (default: 0)",
    )
    group = parser.add_argument_group("machine")
    group.add_argument(
        "--processes",
        type=arguments.whole_number,
        metavar="N",
        help="trials at the same time, each in a process with one thread (default: FASTDIGITS_NUM_THREADS, or one per "
        "processor that the process may use)",
    )
    arguments.add_backend_option(group)
    group = parser.add_argument_group("output")
    arguments.add_folder_options(group, "the trials and the recipe", "runs/<date>_<time>_search", "search")
    group.add_argument(
        "--resume",
        type=arguments.path,
        metavar="RUN",
        help="continue the search in this folder, with its settings and the same result; --trials and --minutes may "
        "be larger ones",
    )
    arguments.add_result_options(group)
    return parser


def _trials(text: str) -> int:
    return arguments.whole_number(text, most=MOST_TRIALS)


def _fraction(text: str) -> float:
    fraction = arguments.fraction(text)
    if fraction == 0:
        raise argparse.ArgumentTypeError("must be a number above 0 and below 1; got '0'")
    return fraction
