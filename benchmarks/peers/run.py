"""Run the same jobs with fastdigits and its peers in turn; print ratios, write JSON, draw a chart.

The driver installs nothing. It lists a contender whose package is missing as absent, with the reason. `publish.py`
writes the tables of an earlier run into the pages.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from fastdigits.commands.peers import machine, measures, report
from fastdigits.commands.peers.players import CONTENDERS, interpreters

HERE = Path(__file__).resolve().parent


def main() -> int:
    options = _options()
    facts = machine.describe("python benchmarks/peers/run.py", HERE)
    found: dict[str, Any] = {}
    interrupted = False
    try:
        for name in options.only:
            began = time.perf_counter()
            _say(f"{name}:")
            found[name] = measures.measure(
                name,
                options.python,
                options.threads,
                _say,
                quick=options.quick,
                rounds=options.rounds,
                without=options.without,
            )
            _say(f"  {time.perf_counter() - began:.0f} s")
            _write(options.json, facts, found)
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted: the tables have the measures before")
    print("\n\n".join(report.everything(facts, found)))
    if options.chart:
        import chart  # imported here, as the driver must stay small while it measures memory

        try:
            chart.draw(found, facts, options.chart)
        except ValueError as error:
            _say(str(error))
    return 130 if interrupted else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, for a first look")
    parser.add_argument(
        "--only",
        type=measures.names,
        default=measures.DEFAULT,
        metavar="NAME,…",
        help=f"one or more of {', '.join(measures.ALL)} (default: all but the sweep)",
    )
    parser.add_argument(
        "--without",
        type=lambda text: tuple(text.split(",")),
        default=(),
        metavar="NAME,…",
        help="contenders to omit, such as torch-compile,keras,sklearn-partial, which take long to prepare",
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
    if unknown := [name for name in options.without if name not in CONTENDERS]:
        parser.error(f"--without: must be contenders, such as {', '.join(CONTENDERS)}; got {unknown[0]}")
    for path in (options.json, options.chart):
        if path is not None and not path.resolve().parent.is_dir():
            parser.error(f"{path}: its folder must exist: make it first")
    try:
        options.python = interpreters(options.python)
    except ValueError as error:
        parser.error(str(error))
    return options


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


def _write(path: Path | None, facts: dict[str, Any], found: dict[str, Any]) -> None:
    """Write what is there so far, so that an interrupted run leaves its finished measures."""
    if path is None:
        return
    ratios = [vars(line) for line in report.ratios(found)]
    text = json.dumps({"machine": facts, "ratios": ratios, "measures": found}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
