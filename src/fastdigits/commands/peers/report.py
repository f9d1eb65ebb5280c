"""Compute ratios of the measured times, and write them as tables."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import sweep
from .players import CONTENDERS, OURS

JOBS = {"epoch": "a training step", "predict": "predict_proba of a batch"}


@dataclass(frozen=True)
class Ratio:
    """One row of the table: how much longer ``against`` takes than ``ours``, unless ``measure`` says otherwise.

    ``ratio`` is the ratio of medians, ``of_minima`` of the fastest rounds; None where there is one number. ``contest``
    says whether ``against`` is another library that does the same job.
    """

    measure: str
    ours: str
    against: str
    ratio: float
    of_minima: float | None
    unit: str = "×"
    contest: bool = False


def best(measured: dict[str, Any], contender: str, tag: str = "") -> dict[str, Any] | None:
    """Return the row of a contender's number of threads with the least median; None if it is absent."""
    rows = [row for row in measured["rows"] if (row["contender"], row["tag"]) == (contender, tag)]
    return min(rows, key=lambda row: row["median"], default=None)


def ratios(measures: dict[str, Any]) -> list[Ratio]:
    """Return every ratio that the measures allow."""
    found: list[Ratio] = []
    for name, measured in measures.items():
        match name:
            case "busy128":
                found += _against(measured) + list(
                    _two_over_one(measured, "two threads over one, beside a busy core")
                )
            case "late":
                found += _late(measured)
            case "import":
                found += _imports(measured)
            case "to972":
                found += _to_accuracy(measured)
            case "memory":
                found += [
                    Ratio(
                        f"{measured['title']}, {row['tag']}", "", "", max(row["peak_bytes"]) / 1e6, None, "MB"
                    )
                    for row in measured["rows"]
                ]
            case "dense":
                title = f"{measured['title']}: share of the multiply-add peak"
                found += [Ratio(title, "", "", 100 * row["share"], None, "%") for row in measured["rows"]]
            case "epoch128":
                found += _against(measured) + list(_two_over_one(measured, "two threads over one, batch 128"))
            case "sweep":
                found += _worst(measured)
            case _:
                found += _against(measured)
    return found


def _against(measured: dict[str, Any]) -> list[Ratio]:
    ours = best(measured, "fastdigits")
    others = dict.fromkeys(row["contender"] for row in measured["rows"] if row["contender"] != "fastdigits")
    if ours is None:
        return []
    rows = [row for row in (best(measured, name) for name in others) if row is not None]
    rows.sort(key=lambda row: -row["median"])
    return [_ratio(measured["title"], ours, theirs) for theirs in rows]


def _ratio(title: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Ratio:
    return Ratio(
        title,
        shown(ours),
        f"{label(theirs)} {shown(theirs)}",
        theirs["median"] / ours["median"],
        theirs["minimum"] / ours["minimum"],
        contest=theirs["contender"] not in OURS,
    )


def _two_over_one(measured: dict[str, Any], title: str) -> Iterator[Ratio]:
    for name in dict.fromkeys(row["contender"] for row in measured["rows"]):
        row = {row["threads"]: row for row in measured["rows"] if row["contender"] == name}
        if 1 in row and 2 in row:
            yield Ratio(
                title,
                f"{label(row[2])} {shown(row[2])}",
                shown(row[1]),
                row[1]["median"] / row[2]["median"],
                row[1]["minimum"] / row[2]["minimum"],
            )


def _late(measured: dict[str, Any]) -> list[Ratio]:
    early, late = (best(measured, "fastdigits", tag) for tag in ("from epoch 2", "from epoch 100"))
    if early is None or late is None:
        return []
    ratio, of_minima = (late[key] / early[key] for key in ("median", "minimum"))
    return [Ratio("epoch 100 over epoch 2, Adam", shown(late), shown(early), ratio, of_minima)]


def _imports(measured: dict[str, Any]) -> list[Ratio]:
    ours = best(measured, "fastdigits")
    if ours is None:
        return []
    numpy = best(measured, "numpy")
    found = []
    if numpy is not None:
        ratio, of_minima = (ours[key] / numpy[key] for key in ("median", "minimum"))
        found = [Ratio("import fastdigits over import numpy", shown(ours), shown(numpy), ratio, of_minima)]
    peers = (row for row in measured["rows"] if row["contender"] not in ("fastdigits", "numpy"))
    return found + [_ratio("import, against fastdigits", ours, row) for row in peers]


def _to_accuracy(measured: dict[str, Any]) -> list[Ratio]:
    torch = best(measured, "torch", "train_torch.py")
    tags = dict.fromkeys(row["tag"] for row in measured["rows"] if row["contender"] == "fastdigits")
    found = []
    for tag in tags:
        ours = best(measured, "fastdigits", tag)
        if ours is not None and torch is not None:
            found.append(_ratio(f"{measured['title']}: {tag}", ours, torch))
    return found


def _worst(measured: dict[str, Any]) -> Iterator[Ratio]:
    """Yield the least ratio of the sweep for training and for predictions."""
    for job, words in JOBS.items():
        lines = [(place, *sweep.compare(place)[0]) for place in _compared(measured, job)]
        if lines:
            place, name, ratio = min(lines, key=lambda line: line[2])
            where = f"batch {place['batch']:,}, width {place['width']:,}"
            slower = sum(line[2] < 1 for line in lines)
            title = f"sweep, {words}: slower at {slower} of {len(lines)} places, the worst"
            yield Ratio(title, where, _label_of(name), ratio, None, contest=True)


def _compared(measured: dict[str, Any], job: str) -> list[dict[str, Any]]:
    return [place for place in measured["places"] if place["job"] == job and sweep.compare(place)]


# -- text --------------------------------------------------------------------------------------------------


def label(row: dict[str, Any]) -> str:
    """Return the name of a row's contender in tables and in the chart."""
    return _label_of(row["contender"])


def _label_of(name: str) -> str:
    return CONTENDERS[name].label if name in CONTENDERS else name


def shown(row: dict[str, Any]) -> str:
    """Return a row's median and its threads: ``0.94 s (2)``."""
    return f"{duration(row['median'])} ({row['threads']})"


def duration(seconds: float) -> str:
    """Return seconds with three digits, in s, ms or µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{three_digits(seconds / size)} {unit}"
    raise AssertionError


def three_digits(number: float) -> str:
    """Return a number with about three digits."""
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f}"


def summary(measures: dict[str, Any]) -> str:
    """Return the ratios in lines of at most 80 characters: a heading, and below it each contender."""
    lines: list[tuple[str, str]] = []
    heading = ""
    for line in ratios(measures):
        title = f"{line.measure}: {line.ours}" if line.ours else line.measure
        if title != heading:
            lines += [(title, "")]
            heading = title
        lines.append((f"  {line.against}", f"{three_digits(line.ratio)} {line.unit}"))
    return "\n".join(f"{left:<60}{right:>12}".rstrip() if right else left for left, right in lines)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], right: tuple[int, ...]) -> str:
    """Return a Markdown table with aligned columns; those in ``right`` are aligned right."""
    sizes = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = tuple("-" * (size - 1) + ":" if i in right else "-" * size for i, size in enumerate(sizes))
    lines = []
    for row in [head, rule, *rows]:
        cells = enumerate(zip(row, sizes, strict=True))
        lines.append(
            " | ".join(cell.rjust(size) if i in right else cell.ljust(size) for i, (cell, size) in cells)
        )
    return "\n".join(f"| {line} |" for line in lines)


def ratio_table(measures: dict[str, Any]) -> str:
    """Return the table of ratios."""
    head = ("measure", "median", "of minima", "fastdigits", "against")
    rows: list[tuple[str, ...]] = [
        (
            line.measure,
            f"{three_digits(line.ratio)} {line.unit}",
            "" if line.of_minima is None else f"{three_digits(line.of_minima)} {line.unit}",
            line.ours,
            line.against,
        )
        for line in ratios(measures)
    ]
    return table(head, rows, right=(1, 2, 3)) if rows else "nothing was measured"


def losses(measures: dict[str, Any]) -> list[str]:
    """Return one line per job at which another library was faster, or one that there was none."""
    contests = [line for line in ratios(measures) if line.contest]
    slower = [line for line in contests if line.ratio < 1]
    if not slower:
        worst = min((line.ratio for line in contests), default=None)
        return (
            []
            if worst is None
            else [f"No contender was faster at any job: {three_digits(worst)} × at least."]
        )
    return ["A contender was faster at:", ""] + [
        f"- {line.measure}, {line.ours}: {line.against}, {three_digits(line.ratio)} ×" for line in slower
    ]


def sweep_tables(measures: dict[str, Any]) -> str:
    """Return a table for training and one for predictions: at each place the fastest peer, and the ratio to it."""
    if "sweep" not in measures:
        return ""
    tables = []
    for job, words in JOBS.items():
        cells = {
            (place["batch"], place["width"]): sweep.compare(place)[0]
            for place in _compared(measures["sweep"], job)
        }
        batches, widths = (sorted({key[i] for key in cells}) for i in (0, 1))
        head = ("batch", *(f"width {width:,}" for width in widths))
        rows = [(f"{batch:,}", *(_cell(cells.get((batch, width))) for width in widths)) for batch in batches]
        if rows:
            right = tuple(range(len(head)))
            tables.append(f"{words}, against the fastest of the others:\n\n{table(head, rows, right)}")
    return "\n\n".join(tables)


def _cell(line: tuple[str, float] | None) -> str:
    return f"{_label_of(line[0]).partition(',')[0]} {three_digits(line[1])} ×" if line else ""


def detail_table(measures: dict[str, Any]) -> str:
    """Return the table of every contender's median, minimum and maximum, with each number of threads."""
    head = ("measure", "contender", "threads", "median", "minimum", "maximum", "rounds", "remarks")
    rows = []
    for name, measured in measures.items():
        for row in measured["rows"]:
            if "seconds" not in row:
                continue
            who = f"{label(row)}, {row['tag']}" if row["tag"] else label(row)
            times = (duration(value) for value in (row["median"], row["minimum"], max(row["seconds"])))
            rows.append((name, who, str(row["threads"]), *times, str(len(row["seconds"])), _remarks(row)))
    return table(head, rows, right=(2, 3, 4, 5, 6)) if rows else ""


def _remarks(row: dict[str, Any]) -> str:
    words = list(row["notes"])
    check = row.get("check", {})
    if "test_accuracy" in check:
        words.append(f"{100 * check['test_accuracy']:.1f} % after {check['epochs']} epochs")
    if "largest_difference" in check:
        words.append(f"probabilities within {check['largest_difference']:.0e}")
    if row.get("epochs"):
        words.append(f"{statistics.mean(row['epochs']):.1f} epochs on average")
    if any(row.get("peak_bytes", ())):
        words.append(f"{max(row['peak_bytes']) / 1e6:.0f} MB")
    return "; ".join(words)


def absences(measures: dict[str, Any]) -> list[str]:
    """Return which contenders were absent from which measures, one line per reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, measured in measures.items():
        for row in measured["absent"]:
            who = f"{row['contender']}, {row['tag']}" if row["tag"] else row["contender"]
            where = reasons.setdefault((who, row["reason"]), [])
            if name not in where:
                where.append(name)
    return [f"{who} is absent from {', '.join(where)}: {reason}" for (who, reason), where in reasons.items()]


def head(machine: dict[str, Any], measures: dict[str, Any]) -> str:
    """Return machine, commit and versions."""
    load = "unknown" if machine["load"] is None else " ".join(f"{value:.2f}" for value in machine["load"])
    lines = [
        f"{machine['when']}, commit {machine['commit'] or 'unknown'}: {machine['command']}",
        f"{machine['processor']}, {machine['cores']} cores, {' '.join(machine['instruction_sets'])}",
        f"{machine['system']}, compiler here: {machine['compiler'] or 'none'}, load at start: {load}",
    ]
    versions: dict[str, str] = {}
    configurations: dict[str, None] = {}  # a set that keeps the order
    for measured in measures.values():
        for row in measured["rows"]:
            versions |= row.get("versions", {})
            if row.get("backend"):
                line = f"{label(row)}: backend {row['backend']}"
                configurations[f"{line}; {row['configuration']}" if row["configuration"] else line] = None
    if versions:
        lines.append(", ".join(f"{name} {version}" for name, version in sorted(versions.items())))
    return "\n".join([*lines, *configurations])


def everything(machine: dict[str, Any], measures: dict[str, Any]) -> list[str]:
    """Return what a run prints: machine, ratios, the sweep, all times, and who was absent."""
    parts = [
        head(machine, measures),
        ratio_table(measures),
        "\n".join(losses(measures)),
        sweep_tables(measures),
        detail_table(measures),
        "\n".join(absences(measures)),
    ]
    return [part for part in parts if part]


def replaced(page: str, mark: str, text: str) -> str:
    """Return a page with ``text`` between ``<!-- mark -->`` and the next ``<!-- end -->``; as it is without one."""
    between = re.compile(rf"(<!-- {re.escape(mark)} -->)(.*?)(<!-- end -->)", re.DOTALL)
    gap = "\n" if "\n" in text else ""
    return between.sub(lambda found: f"{found[1]}{gap}{text}{gap}{found[3]}", page)
