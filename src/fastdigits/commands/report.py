"""One page about a run or an evaluation: figures, pictures, what was run and how to run it again."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..core import atomic, pages
from ..training.history import History
from .console import percent

TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, text: str) -> None:
    """Write a page as a file."""
    atomic.write(path, text.encode(), example="report.html", sync=False)


def training(
    result: dict[str, Any],
    assessment: dict[str, Any],
    history: History,
    summary: str,
    pictures: Iterable[Path],
) -> str:
    """Return the report of a run.

    Parameters
    ----------
    result : dict
        What ``result.json`` is to hold.
    assessment : dict
        What `assess` said of the test images.
    history : History
        What the epochs came to.
    summary : str
        The network's `NeuralNetwork.summary`.
    pictures : iterable of Path
        What `visualize.write_pictures` wrote; any of them may be missing.
    """
    return _page("training", result, assessment, summary, pictures, history=history)


def evaluation(result: dict[str, Any], summary: str, pictures: Iterable[Path]) -> str:
    """Return the report of an evaluation.

    Parameters
    ----------
    result : dict
        What ``evaluation.json`` is to hold.
    summary, pictures
        As for `training`.
    """
    return _page("evaluation", result, result, summary, pictures)


def _page(
    name: str,
    result: dict[str, Any],
    found: dict[str, Any],
    summary: str,
    pictures: Iterable[Path],
    **more: object,
) -> str:
    return pages.render(
        TEMPLATES / f"{name}.html.jinja",
        result=result,
        found=found,
        summary=summary,
        folder=Path(result["output"]).resolve().name,
        pictures={path.stem: base64.b64encode(path.read_bytes()).decode("ascii") for path in pictures},
        percent=percent,
        **more,
    )
