"""What ``fastdigits train`` prints before and after a training."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from .. import backend
from .._version import __version__
from ..core.text import loss_text
from ..data.labels import is_table, shape_text, unit_of
from ..imaging.digits import SIDE
from ..network import NeuralNetwork
from . import console, run_folder, train_options
from .train_images import RunImages


def opening(options: argparse.Namespace, images: RunImages, network: NeuralNetwork, ranks: int = 1) -> str:
    """Return the settings of the run and the summary of its network."""
    what = unit_of(images.image_shape)
    validation = (
        f"{images.validation.n:,} training {what} that are held out"
        if images.holds_out
        else f"the test {what}, after each epoch; nothing is chosen by them"
    )
    rows = {
        what: f"{options.data}: {images.train.n:,} training, {images.test.n:,} test, "
        f"{shape_text(images.image_shape)}, {images.classes} classes",
        **({"data": images.note} if images.note else {}),
        "validation": validation,
        "training": f"{epochs(options.epochs)}, batch size {options.batch_size}, {options.optimizer}, "
        f"learning rate {options.learning_rate:g}, {options.schedule}",
        **({} if options.batch_shards == 1 else {"shards": _shards(options.batch_shards, ranks)}),
        **_optional_rows(options),
        "machine": f"backend {backend.backend_name()}, seed {options.seed}, fastdigits {__version__}",
    }
    return f"{console.fields(rows)}\n\n{network.summary()}\n"


def _shards(count: int, ranks: int) -> str:
    return f"{count} of each batch, on {ranks} process{'es' * (ranks > 1)}"


def _optional_rows(options: argparse.Namespace) -> dict[str, str]:
    rows = {
        "preset": options.preset,
        "recipe": options.recipe,
        "distortion": options.augment,
        "average": train_options.recipe(options).make_average(),
    }
    return {name: str(value) for name, value in rows.items() if value is not None}


def scores(result: dict[str, Any]) -> str:
    """Return the accuracies and losses of a result."""
    rows = {}
    for part in ("test", "train"):
        low, high = result[f"{part}_accuracy_interval"]
        rows[f"{part} accuracy"] = (
            f"{console.percent(result[f'{part}_accuracy'])}, 95 % interval {100 * low:.2f} to "
            f"{console.percent(high)}, loss {loss_text(result[f'{part}_loss'])}"
        )
    if result["best_epoch"] is not None:
        rows["kept"] = f"epoch {result['best_epoch']}, the best on the held-out images"
    headline = console.percent(result["test_accuracy"])
    return f"\n{console.fields(rows)}".replace(headline, console.bold(headline), 1)


def saved(options: argparse.Namespace, folder: Path, images: RunImages, result: dict[str, Any]) -> str:
    """Return the files that were written, the time, and commands for the next step."""
    rows: dict[str, str | list[str]] = {
        "saved in": [result["output"]],
        "": ", ".join([run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT]),
    }
    if result["report"]:
        rows["report"] = [str(Path(result["output"]) / run_folder.REPORT)]
    if result["pictures"]:
        rows["pictures"] = ", ".join(result["pictures"])
    what = unit_of(images.image_shape)
    speed = f", {result['images_per_second']:,.0f} {what}/s" if result["images_per_second"] else ""
    trained = f"{epochs(result['epochs'])} in {result['train_seconds']:.1f} s{speed}"
    rows["time"] = f"{trained}; {result['total_seconds']:.1f} s in all"
    rows["next"] = _next_commands(options, folder, images, result["interrupted"])
    return console.fields(rows)


def _next_commands(
    options: argparse.Namespace, folder: Path, images: RunImages, interrupted: bool
) -> list[str]:
    """Return the commands that use the run."""
    run = shlex.quote(str(folder))
    if interrupted:
        return [f"fastdigits train --resume {run}"]
    height, width = images.image_shape
    if height != width:  # draw and the preparation of digits need square images
        size = "" if options.size is None else f" --size {height}x{width}"
        if options.label_column is not None:
            size += f" --label-column {shlex.quote(options.label_column)}"
        commands = [f"fastdigits evaluate --model {run} --data {shlex.quote(options.data)}{size}"]
        if is_table(images.image_shape):
            commands.append(f"fastdigits predict rows.csv --model {run}")
        elif images.pictures:
            commands.append(f"fastdigits predict photo.jpg --model {run}")
        return commands
    commands = [f"fastdigits draw --model {run}"]
    if height == SIDE or images.pictures:
        commands.append(f"fastdigits predict photo.jpg --model {run}")
    return commands


def epochs(count: int) -> str:
    """Return a number of epochs in words."""
    return f"{count} epoch" if count == 1 else f"{count} epochs"
