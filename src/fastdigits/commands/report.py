"""The report of a run or an evaluation: one HTML page with measures, pictures and the command to repeat it."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core import atomic, pages
from ..core.text import loss_text
from ..data.labels import is_table
from ..training.history import History
from .console import percent

TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, text: str) -> None:
    """Write a page as a file."""
    atomic.write(path, text.encode(), example="report.html", sync=False)


def training(
    result: dict[str, Any],
    measures: dict[str, Any],
    history: History,
    summary: str,
    pictures: Iterable[Path],
) -> str:
    """Return the report of a run.

    Parameters
    ----------
    result : dict
        Content of ``result.json``.
    measures : dict
        Measures on the test images, from `assess`.
    history : History
        Measures of each epoch.
    summary : str
        The network's `NeuralNetwork.summary`.
    pictures : iterable of Path
        Files that `visualize.write_pictures` wrote; each may be missing.
    """
    return _page("training", result, measures, summary, pictures, history=history)


def evaluation(result: dict[str, Any], summary: str, pictures: Iterable[Path]) -> str:
    """Return the report of an evaluation.

    Parameters
    ----------
    result : dict
        Content of ``evaluation.json``.
    summary, pictures
        As for `training`.
    """
    return _page("evaluation", result, result, summary, pictures)


def _page(
    name: str,
    result: dict[str, Any],
    measures: dict[str, Any],
    summary: str,
    pictures: Iterable[Path],
    **more: object,
) -> str:
    return pages.render(
        TEMPLATES / f"{name}.html.jinja",
        result=result,
        measures=measures,
        summary=summary,
        noun="row" if is_table(result["image_shape"]) else "image",
        folder=Path(result["output"]).resolve().name,
        pictures={path.stem: base64.b64encode(path.read_bytes()).decode("ascii") for path in pictures},
        percent=percent,
        loss_text=loss_text,
        **more,
    )
