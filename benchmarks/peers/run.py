"""Run the same jobs with fastdigits and its peers in turn; print ratios, write JSON, draw a chart.

The driver installs nothing. It lists a contender whose package is missing as absent, with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import machine
import report
import starts
import turns
from players import interpreters

STARTS: dict[str, tuple[int, int]] = {  # name: rounds, quick rounds
    "import": (15, 5),
    "to972": (5, 2),
    "memory": (2, 1),
    "dense": (1, 1),
}
MEASURES = (*turns.TURNS, *STARTS)


def main() -> int:
    options = _options()
    pythons, threads = options.python, options.threads
    facts = machine.describe()
    measures: dict[str, Any] = {}
    interrupted = False
    try:
        for name in options.only:
            began = time.perf_counter()
            _say(f"{name}:")
            measures[name] = _measure(name, options, pythons, threads)
            _say(f"  {time.perf_counter() - began:.0f} s")
            _write(options.json, facts, measures)
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted: the tables have the measures before")
    print(report.head(facts, measures), end="\n\n")
    print(report.ratio_table(measures), end="\n\n")
    print(report.detail_table(measures), end="\n\n")
    print("\n".join(report.absences(measures)))
    if options.chart:
        import chart  # imported here, as the driver must stay small while it measures memory

        try:
            chart.draw(measures, facts, options.chart)
        except ValueError as error:
            _say(str(error))
    return 130 if interrupted else 0


def _measure(
    name: str, options: argparse.Namespace, pythons: dict[str, str], threads: tuple[int, ...]
) -> dict[str, Any]:
    if name in turns.TURNS:
        plan = turns.TURNS[name]
        rounds = options.rounds or (plan.quick_rounds if options.quick else plan.rounds)
        return turns.measure(plan, pythons, threads, rounds, _say)
    rounds = options.rounds or STARTS[name][options.quick]
    match name:
        case "import":
            return starts.imports(pythons, rounds, _say)
        case "to972":
            return starts.to_accuracy(pythons, threads, rounds, _say)
        case "memory":
            return starts.memory(pythons, threads, rounds, _say)
        case _:
            return starts.share_of_peak(pythons, _say)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    parser.add_argument(
        "--only",
        type=_names,
        default=MEASURES,
        metavar="NAME,…",
        help=f"one or more of {', '.join(MEASURES)} (default: all)",
    )
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="interpreter of a contender in another environment; NAME may also be fastdigits (with all its "
        "variants) or peers (all the others); may be repeated (default: the one that runs this)",
    )
    parser.add_argument(
        "--threads",
        type=_counts,
        default=(1, 2),
        metavar="N,…",
        help="numbers of threads; the fastest of each contender counts (default: 1,2)",
    )
    parser.add_argument(
        "--rounds", type=int, metavar="N", help="number of rounds (default: depends on the measure)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measured values")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw bars: .png, .svg or .pdf")
    options = parser.parse_args()
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds: must be at least 1; got {options.rounds}")
    for path in (options.json, options.chart):
        if path is not None and not path.resolve().parent.is_dir():
            parser.error(f"{path}: its folder must exist: make it first")
    try:
        options.python = interpreters(options.python)
    except ValueError as error:
        parser.error(str(error))
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in MEASURES:
            raise argparse.ArgumentTypeError(f"must be some of {', '.join(MEASURES)}; got {name!r}")
    return names


def _counts(text: str) -> tuple[int, ...]:
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = (0,)
    if min(counts) < 1:
        raise argparse.ArgumentTypeError(f"must be numbers of at least 1, separated by commas; got {text!r}")
    return counts


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _write(path: Path | None, facts: dict[str, Any], measures: dict[str, Any]) -> None:
    """Write what is there so far, so that an interrupted run leaves its finished measures."""
    if path is None:
        return
    ratios = [vars(line) for line in report.ratios(measures)]
    text = json.dumps(
        {"machine": facts, "ratios": ratios, "measures": measures}, indent=1, ensure_ascii=False
    )
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
