"""Compare fastdigits with each contender over batch sizes and hidden widths: where is it slowest beside them?

The network is 784-w-w/2-10 with batch normalisation after the first layer, without it for batches of one image. A
measured value is the mean of some steps, about a twentieth of a second of them, or of some calls.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import turns
from .players import CONTENDERS, OURS, AbsentError, Player

BATCHES, WIDTHS = (1, 4, 16, 64, 256, 1024, 4096), (8, 32, 128, 512, 2048)
QUICK_BATCHES, QUICK_WIDTHS = (1, 64, 4096), (8, 128, 2048)
JOBS = {"epoch": turns.TRAINERS, "predict": turns.PREDICTORS}
PEERS = [name for name in CONTENDERS if name not in OURS]
# Contenders that take long to prepare, and the places where they take part: the corners and the middle
SLOW_TO_PREPARE = ("torch-compile", "keras", "sklearn-partial")
THEIR_PLACES = {(1, 8), (4096, 8), (1, 2048), (4096, 2048), (64, 128)}
# Contenders that take a quarter of the steps of the others
FEW_STEPS = ("torch", "torch-compile", "keras", "sklearn", "sklearn-partial", "original")
SECONDS, ROUNDS, QUICK_ROUNDS = 0.05, 3, 2
LEAST_STEPS = 4  # else the buffers that fit allocates for a training take longer than its steps
LONG = 0.5  # seconds of a step from which two rounds are enough
IMAGES = 60_000

Place = tuple[str, int, int]  # job, batch, width


def places(quick: bool) -> list[Place]:
    """Return job, batch and width of each place of the grid."""
    batches, widths = (QUICK_BATCHES, QUICK_WIDTHS) if quick else (BATCHES, WIDTHS)
    return [(job, batch, width) for job in JOBS for width in widths for batch in batches]


def step_seconds(batch: int, width: int) -> float:
    """Return about how long a training step takes on a core, to choose the number of steps."""
    parameters = 784 * width + width * width / 2
    products = 3 * batch * (784 * width / 4 + width * width / 2) / 30e9
    return 10e-6 + products + parameters * (0.4e-9 if parameters < 200_000 else 1.5e-9)


def request(name: str, place: Place) -> dict[str, Any]:
    """Return the request for a contender at one place."""
    job, batch, width = place
    if job == "predict":
        return {"job": job, "images": batch, "hidden": width, "trained": 0, "calls": SECONDS}
    steps = max(LEAST_STEPS, SECONDS / step_seconds(batch, width)) / (4 if name in FEW_STEPS else 1)
    steps = max(1, min(round(steps), IMAGES // batch))
    return {"job": job, "batch": batch, "hidden": width, "rows": batch * steps}


def measure(
    interpreters: dict[str, str],
    threads: Sequence[int],
    quick: bool,
    say: Callable[[str], None],
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """Run fastdigits and each peer, except for those in ``without``, at each place.

    Returns
    -------
    dict
        ``places``: job, batch, width, and ``times``, a list of contender, threads and seconds per step or call (the
        medians of the rounds). ``rows`` is empty; ``absent``: contender, threads, reason.
    """
    found: dict[str, Any] = {"title": "sweep", "rows": [], "absent": [], "places": []}
    with contextlib.ExitStack() as stack:
        peers = [name for name in PEERS if name not in without]
        players = list(_start(stack, interpreters, peers, threads, quick, found["absent"], say))
        for place in places(quick):
            began = time.perf_counter()
            times = _measure_place(place, players, quick, found["absent"], say)
            job, batch, width = place
            found["places"].append({"job": job, "batch": batch, "width": width, "times": times})
            lines = compare(found["places"][-1])
            worst = f"{lines[0][1]:.2f} × {CONTENDERS[lines[0][0]].label}" if lines else "alone"
            say(f"  {job}, batch {batch}, width {width}: {worst} ({time.perf_counter() - began:.0f} s)")
    return found


def _start(
    stack: contextlib.ExitStack,
    interpreters: dict[str, str],
    peers: Sequence[str],
    threads: Sequence[int],
    quick: bool,
    absent: list[dict[str, Any]],
    say: Callable[[str], None],
) -> Iterator[Player]:
    for name in ("fastdigits", *peers):
        for count in threads:
            try:
                if quick and name in SLOW_TO_PREPARE:
                    raise AbsentError("takes too long to prepare for a quick sweep")
                yield stack.enter_context(Player(CONTENDERS[name], count, interpreters[name]))
            except AbsentError as error:
                absent.append({"contender": name, "tag": "", "threads": count, "reason": str(error)})
                say(f"  {name}: absent: {error}")
                break


def _measure_place(
    place: Place,
    players: list[Player],
    quick: bool,
    absent: list[dict[str, Any]],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    job, batch, width = place
    seats: list[turns.Seat] = []
    for player in players:
        name = player.contender.name
        if name not in JOBS[job] or (name in SLOW_TO_PREPARE and (batch, width) not in THEIR_PLACES):
            continue
        row: dict[str, Any] = {"contender": name, "tag": "", "threads": player.threads, "seconds": []}
        wanted = request(name, place)
        try:
            player.ask("setup", **wanted)
        except AbsentError as error:
            absent.append({key: row[key] for key in ("contender", "tag", "threads")} | {"reason": str(error)})
            say(f"  {name}: absent: {error}")
            continue
        row["steps"] = wanted.get("rows", batch) // batch
        seats.append((player, row))
    rounds = QUICK_ROUNDS if quick or step_seconds(batch, width) > LONG else ROUNDS
    seats = turns.run_rounds(seats, rounds, absent, lambda text: None)
    return [
        {
            "contender": row["contender"],
            "threads": row["threads"],
            "seconds": statistics.median(row["seconds"]) / row["steps"],
        }
        for _, row in seats
    ]


def compare(place: dict[str, Any]) -> list[tuple[str, float]]:
    """Return each contender and how many times as long it takes as fastdigits, the fastest first.

    The number of threads with the shorter time counts, on both sides.
    """
    best: dict[str, float] = {}
    for time_ in place["times"]:
        name, seconds = time_["contender"], time_["seconds"]
        best[name] = min(seconds, best.get(name, seconds))
    ours = best.pop("fastdigits", None)
    if ours is None:
        return []
    return sorted(((name, seconds / ours) for name, seconds in best.items()), key=lambda pair: pair[1])
