"""The measures in which the processes of contenders take turns, round by round."""

from __future__ import annotations

import contextlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .players import CONTENDERS, AbsentError, Player

TRAINERS = tuple(name for name in CONTENDERS if name != "onnxruntime")
PREDICTORS = tuple(name for name in CONTENDERS if name != "sklearn-partial")  # it predicts like sklearn
Seat = tuple[Player, dict[str, Any]]  # a player and its row of results
PAUSE = 0.05  # seconds between two runs, until the threads of the previous one stop spinning
TOLERANCE = 1e-4  # between probabilities of two contenders: float32 sums in different orders


@dataclass(frozen=True)
class Entry:
    """A contender with its own request; ``tag`` distinguishes two entries of one contender."""

    name: str
    request: dict[str, Any] = field(default_factory=dict)
    tag: str = ""


@dataclass(frozen=True)
class Turns:
    """A measure.

    Attributes
    ----------
    title : str
    request : dict
        The job to prepare; the request of an entry overrides it.
    entries : sequence of Entry
    threads : sequence of int, optional
        Numbers of threads; None means those of the command line.
    rounds, quick_rounds : int
    busy : bool
        Whether another process keeps one core busy.
    """

    title: str
    request: dict[str, Any]
    entries: Sequence[Entry]
    threads: Sequence[int] | None = None
    rounds: int = 15
    quick_rounds: int = 3
    busy: bool = False


def _all(names: Sequence[str]) -> tuple[Entry, ...]:
    return tuple(Entry(name) for name in names)


TURNS = {
    **{
        f"epoch{batch}": Turns(
            f"training epoch, batch {batch}", {"job": "epoch", "batch": batch}, _all(TRAINERS), rounds=9
        )
        for batch in (64, 128, 256)
    },
    "standard64": Turns(
        "training epoch, batch 64, standardised float32 columns",
        {"job": "epoch", "batch": 64, "data": "standardised"},
        _all(("fastdigits", "jax", "torch", "torch-compile")),
        rounds=9,
    ),
    "wide256": Turns(
        "training epoch, 784-1024-1024-10, batch 256",
        {"job": "epoch", "network": "wide", "batch": 256, "trained": 0},
        _all(("fastdigits", "jax", "torch", "torch-compile", "keras")),
        rounds=4,
        quick_rounds=1,
    ),
    **{
        f"predict{images}": Turns(
            f"predict_proba of {words}",
            {"job": "predict", "images": images},
            _all(PREDICTORS),
            threads=(1,),
            rounds=31,
            quick_rounds=7,
        )
        for images, words in ((1, "one image"), (10_000, "10,000 images, one thread"))
    },
    "busy128": Turns(
        "training epoch, batch 128, beside a process that keeps one core busy",
        {"job": "epoch", "batch": 128},
        _all(("fastdigits", "jax", "torch")),
        rounds=9,
        busy=True,
    ),
    "late": Turns(
        "a late epoch of a long run with Adam, batch 128",
        {"job": "epoch", "batch": 128},
        (
            Entry("fastdigits", {"trained": 1}, "from epoch 2"),
            Entry("fastdigits", {"trained": 99}, "from epoch 100"),
        ),
        threads=(1,),
        rounds=15,
        quick_rounds=5,
    ),
}


def measure(
    turns: Turns,
    interpreters: dict[str, str],
    threads: Sequence[int],
    rounds: int,
    say: Callable[[str], None],
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the contenders, ``without`` some, in turn and return the measured values.

    Returns
    -------
    dict
        ``rows``: contender, threads, seconds of each round, median, minimum, notes, check, facts, versions;
        ``absent``: contender, threads, reason.
    """
    found: dict[str, Any] = {"title": turns.title, "rounds": rounds, "rows": [], "absent": []}
    with contextlib.ExitStack() as stack:
        players: list[Seat] = []
        for entry in turns.entries:
            if entry.name in without:
                continue
            for count in turns.threads or threads:
                row: dict[str, Any] = {"contender": entry.name, "tag": entry.tag, "threads": count}
                try:
                    player = Player(CONTENDERS[entry.name], count, interpreters[entry.name])
                    stack.enter_context(player)
                    ready = player.ask("setup", **turns.request | player.contender.request | entry.request)
                except AbsentError as error:
                    found["absent"].append(row | {"reason": str(error)})
                    say(f"  {_name(row)}: absent: {error}")
                    continue
                row |= {"notes": ready["notes"], **player.facts, "seconds": []}
                players.append((player, row))
                say(f"  {_name(row)}: ready")
        with _busy_core() if turns.busy else contextlib.nullcontext():
            players = run_rounds(players, rounds, found["absent"], say)
        for player, row in players:
            row["check"] = player.ask("check")
            row["median"], row["minimum"] = statistics.median(row["seconds"]), min(row["seconds"])
            found["rows"].append(row)
    _compare_probabilities(found["rows"], say)
    return found


def run_rounds(
    players: list[Seat], rounds: int, absent: list[dict[str, Any]], say: Callable[[str], None]
) -> list[Seat]:
    """Run each player once per round, in a random order; return the players without an error."""
    for number in range(rounds):
        order = list(players)
        random.Random(number).shuffle(order)
        for player, row in order:
            time.sleep(PAUSE)
            try:
                row["seconds"].append(player.ask("run")["seconds"])
            except AbsentError as error:
                absent.append(
                    {key: row[key] for key in ("contender", "tag", "threads")} | {"reason": str(error)}
                )
                say(f"  {_name(row)}: absent: {error}")
                players = [other for other in players if other[0] is not player]
        say(f"  round {number + 1} of {rounds}")
    return players


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    """Keep one core busy with another process."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _compare_probabilities(rows: list[dict[str, Any]], say: Callable[[str], None]) -> None:
    """Replace the probabilities by their largest difference from the first contender."""
    held = [(row, row["check"].pop("probabilities")) for row in rows if "probabilities" in row["check"]]
    for row, probs in held:
        pairs = zip(held[0][1], probs, strict=True)
        difference = max(abs(a - b) for first, this in pairs for a, b in zip(first, this, strict=True))
        row["check"]["largest_difference"] = difference
        if not difference < TOLERANCE:
            say(f"  {_name(row)}: its probabilities differ by {difference:.1e}: the work is not equal")


def _name(row: dict[str, Any]) -> str:
    tag = f", {row['tag']}" if row["tag"] else ""
    return f"{row['contender']}{tag}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
