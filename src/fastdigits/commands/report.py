"""One page about a run or an evaluation: figures, pictures, what was run and how to run it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core import atomic
from ..training.history import History
from .assessment import MEANS
from .console import percent
from .html import Html, contents, element, join, page, pairs, picture, section, table


def write(path: Path, text: str) -> None:
    """Write a page as a file."""
    content = text.encode(errors="backslashreplace")  # a path may hold bytes that are no text
    atomic.write(path, content, example="report.html", sync=False)


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
    shown = {path.stem: path for path in pictures}
    sections = {
        "Learning": _learning(history, result, shown),
        "Classes": _classes(assessment, result["test_images"], shown),
        "Predictions": _predictions(assessment, shown),
        "Calibration": _calibration(assessment, shown),
        "Network": _network(summary, shown),
        "Run": _run(result),
        "Settings": _settings(result["settings"]),
    }
    tiles = {
        "training accuracy": percent(result["train_accuracy"]),
        "test loss": f"{result['test_loss']:.4f}",
        "mean F1": percent(assessment["f1"]),
        "calibration error": percent(assessment["calibration_error"]),
        "epochs": f"{result['epochs']:,}",
        "training time": f"{result['train_seconds']:.1f} s",
        "parameters": f"{result['parameters']:,}",
        "seed": result["seed"],
    }
    low_high = result["test_accuracy_interval"]
    lead = f"of {result['test_images']:,} test images recognised. {_interval(low_high)}"
    return _page(
        "Training run", result["output"], percent(result["test_accuracy"]), lead, tiles, sections, result
    )


def evaluation(result: dict[str, Any], summary: str, pictures: Iterable[Path]) -> str:
    """Return the report of an evaluation.

    Parameters
    ----------
    result : dict
        What ``evaluation.json`` is to hold.
    summary, pictures
        As for `training`.
    """
    shown = {path.stem: path for path in pictures}
    sections = {
        "Classes": _classes(result, result["images"], shown),
        "Predictions": _predictions(result, shown),
        "Calibration": _calibration(result, shown),
        "Network": _network(summary, shown),
        "Run": _run(result),
    }
    tiles = {
        "mistakes": f"{result['mistakes']:,}",
        "loss": f"{result['loss']:.4f}",
        "mean precision": percent(result["precision"]),
        "mean recall": percent(result["recall"]),
        "mean F1": percent(result["f1"]),
        "calibration error": percent(result["calibration_error"]),
        "parameters": f"{result['parameters']:,}",
        "epochs of training": f"{result['epochs_trained']:,}",
    }
    part = {"test": "test", "train": "training"}[result["part"]]
    lead = f"of {result['images']:,} {part} images recognised. {_interval(result['accuracy_interval'])}"
    return _page("Evaluation", result["output"], percent(result["accuracy"]), lead, tiles, sections, result)


def _page(
    kind: str,
    output: str,
    headline: str,
    lead: str,
    tiles: Mapping[str, object],
    sections: dict[str, Html],
    result: dict[str, Any],
) -> str:
    header = element(
        "header",
        element("h1", f"{kind}: {Path(output).resolve().name}"),
        element("p", headline, class_="headline"),
        element("p", lead),
        pairs(tiles, "tiles"),
        contents(sections),
    )
    made = f"Made by fastdigits {result['versions']['fastdigits']}. This page holds everything that it shows."
    return page(
        f"{kind}: {headline}, fastdigits",
        header,
        element("main", *(section(title, content) for title, content in sections.items())),
        element("footer", element("p", made)),
    )


# -- sections ----------------------------------------------------------------------------------------------


def _learning(history: History, result: dict[str, Any], shown: dict[str, Path]) -> Html:
    epochs = len(history)
    speed = f", {result['images_per_second']:,.0f} images per second" if result["images_per_second"] else ""
    text = (
        f"{_count(epochs, 'epoch')} of {_count(result['train_images'], 'image')} in "
        f"{result['train_seconds']:.1f} s{speed}."
    )
    if result.get("best_epoch"):
        text += f" Kept: epoch {result['best_epoch']}, the best on the held-out images."
    told = ""
    if epochs:
        told = f"The loss of training went from {history.loss[0]:.4f} to {history.loss[-1]:.4f}"
        if history.val_accuracy:
            told += (
                f", the validation accuracy from {percent(history.val_accuracy[0])} to "
                f"{percent(history.val_accuracy[-1])}"
            )
    return join(
        [
            element("p", text),
            _shown(
                shown,
                "curves",
                f"Four curves over the epochs. {told}.",
                "Loss, accuracy, learning rate and speed",
            ),
        ]
    )


def _classes(found: dict[str, Any], images: int, shown: dict[str, Path]) -> Html:
    names = found["class_names"]
    rows = [
        (names[one["label"]], *(percent(one[name]) for name in MEANS), f"{one['support']:,}")
        for one in found["classes"]
    ]
    scores = table(
        "How well each class is recognised",
        ("class", "precision", "recall", "F1", "images"),
        rows,
        ("mean", *(percent(found[name]) for name in MEANS), f"{images:,}"),
    )
    note = element(
        "p",
        "Precision: of the images taken for the class, the share that is of it. Recall: of the images of the class, "
        "the share that is recognised. F1: their harmonic mean.",
        class_="soft",
    )
    right = images - found["mistakes"]
    matrix = _shown(
        shown,
        "confusion",
        f"Confusion matrix: {right:,} of {images:,} images lie on the diagonal. {_confused(found)}",
        "Confusion matrix: rows are true classes, columns what they were taken for",
    )
    return element("div", element("div", scores, note), matrix, class_="beside")


def _predictions(found: dict[str, Any], shown: dict[str, Path]) -> Html:
    surest, names = found["surest_mistakes"], found["class_names"]
    examples = ", ".join(
        f"a {names[one['label']]} taken for a {names[one['predicted']]}" for one in surest[:5]
    )
    wrong = f"The {len(surest)} surest mistakes as images: {examples}" if surest else "No image was mistaken."
    wrong = f"{wrong} …" if len(surest) > 5 else wrong
    return join(
        [
            element("p", f"{_count(found['mistakes'], 'mistake')}. {_confused(found)}"),
            _shown(shown, "predictions_wrong", wrong, "The surest mistakes", "medium"),
            _shown(
                shown,
                "confused_pairs",
                f"Images of each pair in a row. {_confused(found)}",
                "The pairs confused most",
                "wide",
            ),
            _shown(
                shown,
                "predictions_right",
                "The first images that are recognised.",
                "Right predictions",
                "medium",
            ),
        ]
    )


def _calibration(found: dict[str, Any], shown: dict[str, Path]) -> Html:
    bins = [one for one in found["calibration_bins"] if one["count"]]
    error = percent(found["calibration_error"])
    told = table(
        f"How sure, and how often right: {error} apart on average",
        ("confidence", "mean", "right", "images"),
        [
            (
                f"{100 * one['low']:.0f} to {100 * one['high']:.0f} %",
                percent(one["confidence"]),
                percent(one["accuracy"]),
                f"{one['count']:,}",
            )
            for one in bins
        ],
    )
    diagram = _shown(
        shown,
        "calibration",
        "Bars of the share that is right over the confidence, beside the diagonal on which both are equal.",
        "Of predictions that are 90 % sure, 90 % should be right; below the line, they are too sure",
    )
    return element("div", told, diagram, class_="beside")


def _network(summary: str, shown: dict[str, Path]) -> Html:
    return join(
        [
            element("pre", summary, tabindex=0, role="region", aria_label="Summary of the network"),
            _shown(
                shown,
                "weights",
                "The weights of neurons of the first layer, each as an image of what it looks for.",
                "First-layer weights: red where a neuron wants ink, blue where it does not",
                "medium",
            ),
        ]
    )


def _run(result: dict[str, Any]) -> Html:
    machine = result["machine"]
    rows: dict[str, object] = {
        "model": result.get("model"),
        "data": result.get("data") or result["settings"]["data"],
        "date": result["date"].replace("T", " "),
        "seed": result.get("seed"),
        "preset": result.get("settings", {}).get("preset"),
        "folder": result["output"],
        "computed with": f"{result['backend']}, {_count(result['threads'], 'thread')}",
        "time": f"{result['total_seconds']:.1f} s in all",
        "resumed": _count(result["resumed"], "time") if result.get("resumed") else None,
        "machine": f"{machine['processor']}, {_count(machine['cores'] or 0, 'core')}, {machine['architecture']}",
        "system": machine["system"],
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    }
    return join(
        [
            element("p", "This line does the same again, to the same bits on the same backend:"),
            element("pre", element("code", result["command"]), class_="wrap"),
            pairs(rows),
        ]
    )


def _settings(settings: dict[str, Any]) -> Html:
    rows = {name.replace("_", "-"): _setting(value) for name, value in settings.items()}
    return pairs(rows, "settings")


def _shown(shown: dict[str, Path], name: str, alt: str, caption: str, size: str | None = None) -> Html | None:
    return picture(shown[name], alt, caption, size) if name in shown else None


# -- words -------------------------------------------------------------------------------------------------


def _interval(low_high: list[float]) -> str:
    low, high = low_high
    return f"95 % interval: {100 * low:.2f} to {percent(high)}."


def _confused(found: dict[str, Any]) -> str:
    pairs_ = found["confused_pairs"]
    if not pairs_:
        return "None is confused."
    names = found["class_names"]
    told = ", ".join(
        f"{names[pair['label']]} taken for {names[pair['predicted']]} ({pair['count']:,})" for pair in pairs_
    )
    return f"Most often: {told}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _setting(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
