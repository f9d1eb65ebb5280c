"""The trials of a search in its folder: one line of JSON for each that ended."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..core import atomic
from ..core.schema import Check, integer, number, optional, parse, validate
from ..errors import DataError
from ..recipes import Recipe
from .run_folder import TRIALS
from .tune_search import MOST_TRIALS, Plan, Trial

_MOST_BYTES = 1 << 24
_SECONDS = number(least=0)
_ENTRIES: dict[str, Check] = {
    "trial": integer(0, MOST_TRIALS - 1),
    "accuracy": optional(number(least=0, most=1)),
    "loss": optional(number(least=0)),
    "seconds": _SECONDS,
    "elapsed": _SECONDS,
    "recipe": lambda value, name, subject: value,
}


def write(folder: Path, trials: Iterable[Trial]) -> None:
    """Write all trials of a search as a whole: an interrupt leaves the lines before."""
    lines = "".join(f"{json.dumps(_entries(trial))}\n" for trial in trials)
    atomic.write(folder / TRIALS, lines.encode(), example=TRIALS, sync=False)


def read(folder: Path, plan: Plan) -> list[Trial]:
    """Return the trials in the folder of a search; none if it has no file of them.

    Raises
    ------
    DataError
        If a line is none of a trial of this plan: another version of the package may draw other recipes.
    """
    file = folder / TRIALS
    try:
        with atomic.open_regular(file) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{file}: must be a file that can be read; got: {error.strerror}") from error
    found = []
    try:
        if len(content) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes")
        for number, line in enumerate(content.decode().splitlines(), start=1):
            found.append(_trial(parse(line), plan, f"line {number}"))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{file}: must hold the trials of this search; got: {error}: begin a new one"
        ) from error
    return found


def _entries(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "accuracy": trial.accuracy,
        "loss": trial.loss,
        "seconds": trial.seconds,
        "elapsed": trial.elapsed,
        "recipe": asdict(trial.recipe),
    }


def _trial(content: object, plan: Plan, subject: str) -> Trial:
    entries = validate(content, _ENTRIES, subject)
    if not isinstance(entries["recipe"], dict):
        raise TypeError(f"{subject}: recipe must have entries by name; got {entries['recipe']!r:.200}")
    number, recipe = entries.pop("trial"), Recipe(**entries.pop("recipe"))
    drawn = plan.recipes[number] if number < len(plan.recipes) else None
    if drawn is None or recipe.epochs not in plan.epochs or recipe != replace(drawn, epochs=recipe.epochs):
        raise ValueError(f"{subject}: trial {number} of another search")
    return Trial(number=number, recipe=recipe, **entries)
