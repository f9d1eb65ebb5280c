"""What ``fastdigits tune`` prints: its plan, its progress and the best trials."""

from __future__ import annotations

import argparse
import math
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import backend
from .._version import __version__
from ..core.text import cut, tabulate
from ..data.labels import shape_text, unit_of
from ..recipes import Recipe
from . import console, record, run_folder, tune_space
from .train_messages import epochs
from .tune_search import Plan, Trial
from .tune_setup import Setup

SHOWN = 8  # trials of the table
WAIT = 10.0  # seconds between two lines on the progress


def opening(options: argparse.Namespace, setup: Setup, processes: int, resumed: int) -> str:
    """Return what the search will do."""
    what, splits = unit_of(setup.images.image_shape), setup.splits
    repeats = "" if len(splits) == 1 else f"; each recipe is trained {len(splits)} times, on other ones"
    first = len(setup.plan.recipes)
    time_limit = "" if options.minutes is None else f", as many as {options.minutes:g} minutes allow"
    rows = {
        what: f"{options.data}: {splits[0].train.n:,} to train on, {splits[0].validation.n:,} held out, "
        f"{shape_text(setup.images.image_shape)}, {setup.images.classes} classes{repeats}",
        **({"data": setup.images.note} if setup.images.note else {}),
        "rounds": f"{first:,} recipes{time_limit}, then a third of them, of {_listed(setup.plan.epochs)} epochs",
        "machine": f"{processes} processes, backend {backend.backend_name()}, seed {options.seed}, fastdigits "
        f"{__version__}",
        **({"resumed": f"with {resumed} trials that are done"} if resumed else {}),
    }
    table = tune_space.table(setup.space, console.width())
    return f"{console.fields(rows)}\n\n{table}\n"


class Progress:
    """Print a line for each round, for each better trial, and from time to time."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan, self._say = plan, say
        self._trials: list[Trial] = []
        self._count = 0
        self._last = time.monotonic()

    def begin(self, number: int, count: int, done: list[Trial]) -> None:
        """Begin a round of ``count`` trials, of which some are done."""
        self._count, self._trials = count, done
        most = "at most " * math.isfinite(self._plan.seconds)
        title = f"round {number + 1} of {len(self._plan.epochs)}"
        recipes = f"{most}{count:,} recipe{'s' * (count > 1)}"
        self._say(console.fields({title: f"{recipes}, {epochs(self._plan.epochs[number])}"}))

    def end(self, trial: Trial) -> None:
        """Count a trial of the round."""
        self._trials.append(trial)
        best = min(self._trials, key=lambda one: one.rank)
        if best is trial or time.monotonic() - self._last > WAIT:
            self._last = time.monotonic()
            title = f"{len(self._trials):,} of {self._count:,}"
            self._say(console.fields({title: f"best {_percent(best)}, trial {best.number}"}))


def ending(setup: Setup, trials: list[Trial], result: dict[str, Any], recipe: Recipe) -> str:
    """Return the best trials, and the recipe."""
    low, high = result["held_out_accuracy_interval"]
    rows = {
        "held out": f"{console.percent(result['held_out_accuracy'])}, 95 % interval {100 * low:.2f} to "
        f"{console.percent(high)}; the best of {len({one.number for one in trials})} recipes on the same "
        f"{unit_of(setup.images.image_shape)}: expect a little less on others",
    }
    return f"\n{_table(trials)}\n\n{recipe}\n\n{console.fields(rows)}"


def _table(trials: list[Trial]) -> str:
    best: dict[int, Trial] = {}
    for trial in sorted(trials, key=lambda one: one.rank):
        best.setdefault(trial.number, trial)
    rows = [("held out", "epochs", "seconds", "trial", "lr", "hidden", "batch", "optimizer")]
    for trial in [*best.values()][:SHOWN]:
        recipe = trial.recipe
        rows.append(
            (
                _percent(trial),
                str(recipe.epochs),
                f"{trial.seconds:.1f}",
                str(trial.number),
                f"{recipe.learning_rate:g}",
                cut(record.shown("hidden", recipe.hidden), 14),
                str(recipe.batch_size),
                recipe.optimizer,
            )
        )
    return tabulate(rows, ">>>>>><<")


def _percent(trial: Trial) -> str:
    return "diverged" if trial.accuracy is None else console.percent(trial.accuracy)


def saved(options: argparse.Namespace, folder: Path, result: dict[str, Any]) -> str:
    """Return the files of the search and the next commands."""
    train = f"fastdigits train --recipe {shlex.quote(str(folder / run_folder.RECIPE))}"
    for name in ("data", "size", "label_column"):
        value = getattr(options, name)
        if value is not None and value != "mnist":
            train += f" --{name.replace('_', '-')} {shlex.quote(record.shown(name, value))}"
    check = f"{train} --validation-split {options.validation_split:g} --seed {options.seed}"
    rows: dict[str, str | list[str]] = {
        "saved in": [str(folder)],
        "": ", ".join([run_folder.RECIPE, run_folder.TRIALS, run_folder.RESULT]),
        "time": f"{result['seconds']:.1f} s",
        "next": [f"fastdigits tune --resume {shlex.quote(str(folder))}"] * result["interrupted"] + [train],
        **({"check": [check]} if result["repeats"] == 1 else {}),  # it has the accuracy of the trial
    }
    return console.fields(rows)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
