"""The measures of the comparison by name, and how one of them is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import starts, sweep, turns

STARTS: dict[str, tuple[int, int]] = {  # name: rounds, quick rounds
    "import": (15, 5),
    "to972": (5, 2),
    "memory": (2, 1),
    "dense": (1, 1),
}
DEFAULT = (*turns.TURNS, *STARTS)
ALL = (*DEFAULT, "sweep")
QUICK = (
    "epoch64",
    "predict10000",
)  # of ``bench --peers``: two to three minutes if all libraries are installed
NOT_QUICK = (
    "torch-compile",
    "sklearn-partial",
    "numpy-backend",
    "original",
)  # they take as long as all others


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
        return sweep.measure(interpreters, threads, quick, say)
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
