"""The measures of the comparison by name, and how one of them is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from .. import console
from . import starts, sweep, turns

STARTS: dict[str, tuple[int, int]] = {  # name: rounds, quick rounds
    "import": (15, 5),
    "to972": (5, 2),
    "memory": (2, 1),
    "dense": (1, 1),
}
DEFAULT = (*turns.TURNS, *STARTS)
ALL = (*DEFAULT, "sweep")
# What ``bench --peers`` runs without a name: two to three minutes if all libraries are installed. The contenders that
# it omits then take as long as all others.
QUICK = ("epoch64", "predict10000")
NOT_QUICK = ("torch-compile", "sklearn-partial", "numpy-backend", "original")


def names(text: str) -> tuple[str, ...]:
    """Parse names of measures with commas between them, for an option of a command."""
    found = tuple(text.split(","))
    for name in found:
        if name not in ALL:
            raise argparse.ArgumentTypeError(
                f"must be one or more of {', '.join(ALL)}; got {console.quoted(name)}"
            )
    return found


def measure(
    name: str,
    interpreters: dict[str, str],
    threads: Sequence[int],
    say: Callable[[str], None],
    *,
    quick: bool = False,
    rounds: int | None = None,
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """Run a measure and return its values; ``rounds`` overrides its number, ``without`` names contenders to omit."""
    if name == "sweep":
        return sweep.measure(interpreters, threads, quick, say, without)
    if name in turns.TURNS:
        plan = turns.TURNS[name]
        rounds = rounds or (plan.quick_rounds if quick else plan.rounds)
        return turns.measure(plan, interpreters, threads, rounds, say, without)
    rounds = rounds or STARTS[name][quick]
    match name:
        case "import":
            return starts.imports(interpreters, rounds, say)
        case "to972":
            return starts.to_accuracy(interpreters, threads, rounds, say)
        case "memory":
            return starts.memory(interpreters, threads, rounds, say)
        case _:
            return starts.share_of_peak(interpreters, say)
