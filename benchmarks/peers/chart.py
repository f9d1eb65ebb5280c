"""Draw the times as bars: one panel per measure, fastdigits in colour, the others in grey."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastdigits.commands.peers import report
from fastdigits.commands.peers.players import OURS

PANELS = ("epoch64", "epoch128", "epoch256", "wide256", "predict1", "predict10000", "to972", "import")
# Blue, light blue (Okabe and Ito) and grey: distinct for colour-blind readers and in print
OUR_COLOUR, OUR_OTHER_COLOUR, THEIR_COLOUR = "#0072B2", "#56B4E9", "#999999"
BAR, TITLE = 0.28, 0.75  # inches


def draw(measures: dict[str, Any], machine: dict[str, Any], path: Path) -> None:
    """Write the chart to ``path``; its suffix sets the format."""
    panels = [(measures[name]["title"], _bars(measures[name])) for name in PANELS if name in measures]
    panels = [(title, bars) for title, bars in panels if bars]
    if not panels:
        raise ValueError("chart: needs a measure with bars; got none")
    columns = min(2, len(panels))
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    heights = [max(len(bars) for _, bars in row) * BAR + TITLE for row in rows]
    figure = Figure(figsize=(5.6 * columns, sum(heights) + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for row, line in zip(rows, axes, strict=True):
        for axis in line[len(row) :]:
            axis.set_visible(False)
        for (title, bars), axis in zip(row, line, strict=False):
            _panel(axis, title, bars)
    figure.suptitle("Time for the same job: shorter is better", fontsize=13, fontweight="bold")
    figure.supxlabel(
        f"medians, best number of threads (in brackets); {machine['processor']}, {machine['cores']} cores; "
        f"commit {machine['commit'] or 'unknown'}",
        fontsize=7.5,
        color="#444444",
    )
    figure.savefig(path, dpi=110)


def _bars(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the best row of each contender (and tag), the fastest first."""
    keys = dict.fromkeys((row["contender"], row["tag"]) for row in measured["rows"])
    return sorted((report.best(measured, *key) for key in keys), key=lambda row: row["median"])


def _panel(axis: Any, title: str, bars: list[dict[str, Any]]) -> None:
    ours = next((row for row in bars if row["contender"] == "fastdigits"), None)
    longest = max(row["median"] for row in bars)
    for place, row in enumerate(bars):
        axis.barh(place, row["median"], color=_colour(row), height=0.72)
        words = report.shown(row)
        if ours is not None and row["contender"] != "fastdigits":
            words += f"  {row['median'] / ours['median']:.1f} ×"
        axis.text(row["median"] + 0.015 * longest, place, words, va="center", fontsize=8)
    axis.set_yticks(range(len(bars)), [_label(row) for row in bars], fontsize=8)
    axis.set_xlim(0, 1.38 * longest)  # room for the words behind the longest bar
    axis.invert_yaxis()
    axis.set_title(title, fontsize=9.5, loc="left")
    axis.set_xticks([])
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axis.spines[side].set_visible(False)


def _label(row: dict[str, Any]) -> str:
    return row["tag"] or report.label(row)


def _colour(row: dict[str, Any]) -> str:
    if row["contender"] == "fastdigits":
        return OUR_COLOUR
    return OUR_OTHER_COLOUR if row["contender"] in OURS else THEIR_COLOUR
