"""The command ``fastdigits evaluate``: measure how good a model is, where it fails, and how well it is calibrated."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array, Float32
from ..core.text import cut, loss_text, tabulate
from ..data import Dataset, Shards, load_data
from ..data.labels import is_table, numbered, plain_number, shape_text, unit_of
from ..data.loading import holds_pictures
from ..data.shards import parts_of
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.predictor import RowTooLargeError
from . import arguments, console, input_files, report, run_folder, runner, system
from .assessment import MEANS, assess
from .parser import Parser
from .runner import CommandError
from .train_images import MOST_BYTES, check_shard_options

COMMAND = "fastdigits evaluate"
NAME = 30  # characters of the longest name of a class in a table

DESCRIPTION = """\
Measure how good a model is: accuracy with its 95 % interval, loss, precision,
recall and F1 of each digit, the confusion matrix, and the calibration, which
compares probabilities with the share of correct predictions. Without options,
evaluate the model of this package on the 10,000 test images of MNIST.

The numbers go to standard error. The command also writes a folder with
evaluation.json, report.html and pictures: the mistakes with the highest
confidence, the pairs of classes that are confused most often, the confusion
matrix and the calibration.
"""

EXAMPLES = """\
examples:
  fastdigits evaluate                           the model of this package
  fastdigits evaluate --model runs/mine         the model of a training run
  fastdigits evaluate --model digits.safetensors --data my-digits
  fastdigits evaluate --part train --no-plots   on the training images
  fastdigits evaluate --json --quiet | python -m json.tool

Exit codes: 0 success; 2 error, described in one line; 130 interrupted with
Ctrl-C.
"""


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate the model that ``argv`` names (None: the arguments of the process); return the exit code."""
    started = time.perf_counter()
    options = _read(argv)
    return runner.run(
        COMMAND, lambda: _evaluate(options, started), backend_name=options.backend, threads=options.threads
    )


def _read(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("evaluate", DESCRIPTION, EXAMPLES)
    group = parser.add_argument_group("model and images")
    arguments.add_model_option(group)
    arguments.add_data_option(group, "the images must have as many pixels as the model has inputs")
    arguments.add_choice(group, "--part", ("test", "train"), "test", "images to evaluate on")
    arguments.add_machine_options(parser)
    group = parser.add_argument_group("output")
    arguments.add_folder_options(
        group, "numbers, report and pictures", "runs/<date>_<time>_evaluation", "evaluation"
    )
    arguments.add_report_options(group)
    arguments.add_result_options(group)
    options = parser.read(argv)
    if options.overwrite and options.output is None:
        parser.error("--overwrite: needs a folder; got none: name it with --output")
    options.command = arguments.command_line("evaluate", argv)
    return options


def _evaluate(options: argparse.Namespace, started: float) -> int:
    say = console.print_nothing if options.quiet else console.print_message
    _check_output(options.output)
    network, name = run_folder.read_model(options.model)
    data = _load(options, network)
    images, labels = data.test if options.part == "test" else data.train
    classes = _fitting_classes(network, name, images, options)
    labels, class_names = _match_classes(network, name, data, labels, classes)
    try:
        x = input_files.rescale(images, network, "--data", among=(data.train[0], data.test[0]))
        scales.to_rows(x.reshape(len(x), -1), network.scale, "--data: images")
    except ValueError as error:  # the images do not fit the model
        raise CommandError(str(error)) from error
    run = run_folder.folder(
        options.output, overwrite=options.overwrite, files=(run_folder.EVALUATION,), kind="evaluation"
    )
    with run as folder:
        try:
            probabilities, assessment = assess(network, x, labels, class_names)
        except RowTooLargeError as error:
            raise CommandError(f"--data: {options.part} {error}") from error
        result = _description(options, network, name, data, images) | assessment | {"output": str(folder)}
        result |= {"pictures": [], "report": None, "total_seconds": time.perf_counter() - started}
        say(_numbers(result))
        run_folder.remove_pictures(folder, run_folder.EVALUATION)
        # Before the pictures, so that an interrupt does not lose the result.
        run_folder.write_result(folder, result, run_folder.EVALUATION)
        pictures = []
        if not options.no_plots:
            drawing = "confusion, calibration"
            if not is_table(images.shape[1:]):
                drawing = f"predictions, {drawing}"
            say(f"\n{console.fields({'drawing': drawing})}")
            pictures = _draw(folder, images, labels, probabilities, assessment["class_names"])
        result |= {"pictures": [path.name for path in pictures], "report": run_folder.REPORT}
        result["total_seconds"] = time.perf_counter() - started
        report.write(folder / run_folder.REPORT, report.evaluation(result, network.summary(), pictures))
        run_folder.write_result(folder, result, run_folder.EVALUATION)
    say(_saved(result))
    if options.show:
        run_folder.show_report(folder, COMMAND)
    if options.json:
        console.print_json(result)
    return runner.SUCCESS


# -- checks ------------------------------------------------------------------------------------------------


def _check_output(output: Path | None) -> None:
    if output is not None and os.path.lexists(output / run_folder.RESULT):
        raise CommandError(
            f"--output: must not be the folder of a run, whose report and pictures have the same names; got "
            f"{str(output)!r}: choose another, such as {str(output / 'evaluation')!r}"
        )


def _load(options: argparse.Namespace, network: NeuralNetwork) -> Dataset:
    if not (parts := parts_of(options.data)):
        # Pictures get the size of the model's images, as in predict.
        size = options.size or (network.picture_size if holds_pictures(options.data) else None)
        return load_data(
            options.data,
            size=size,
            label_column=options.label_column,
            column_names=network.column_names,
            progress=not options.quiet,
        )
    check_shard_options(options, parts, (options.part,))
    shards = Shards(parts[options.part])
    try:
        network.check_columns(shards.column_names, "--data: shards")
    except ValueError as error:
        raise CommandError(str(error)) from error
    size = len(shards) * shards.width * shards.dtype.itemsize
    if size > MOST_BYTES:
        raise CommandError(
            f"--data: images to evaluate must be at most {MOST_BYTES:,} bytes, as tables and pictures need them in "
            f"memory; got {size:,} in {parts[options.part]}: net.evaluate(fastdigits.Shards(…)) gives loss and accuracy"
        )
    pair = shards.load()
    names = shards.class_names or numbered(shards.classes)
    return Dataset(options.data, pair, pair, names)


def _fitting_classes(network: NeuralNetwork, name: str, images: Array, options: argparse.Namespace) -> int:
    """Return the number of the model's outputs; raise a CommandError if the images do not fit its inputs."""
    shape = images.shape[1:]
    pixels, unit = math.prod(shape), unit_of(shape)
    width = network.input_width or pixels
    if width != pixels:
        raise CommandError(
            f"--data: {unit} must have the {width:,} numbers that the model takes ({name}); got {pixels:,}, "
            f"{shape_text(shape)}, from {options.data}: evaluate it on {unit} like those it was trained on"
        )
    return network.widths(width)[-1]


def _match_classes(
    network: NeuralNetwork, name: str, data: Dataset, labels: Array, classes: int
) -> tuple[Array, tuple[str, ...]]:
    """Return the labels in the model's numbering, and the names of its classes.

    If model and data both name their classes, or if all names are numbers, match them by name: the data may have fewer
    classes than the model.
    """
    model_names = network.class_names or numbered(classes)
    are_numbers = all(plain_number(one) is not None for one in (*model_names, *data.class_names))
    named = bool(network.class_names), data.named
    like_those = f"evaluate it on {unit_of(data.image_shape)} like those it was trained on"
    if not (all(named) or (any(named) and are_numbers)):
        if labels.max() >= classes:
            raise CommandError(
                f"--data: labels must be within 0 to {classes - 1}, as the model has {classes:,} outputs ({name}); got "
                f"{labels.max()} from {data.source}: {like_those}"
            )
        return labels, network.class_names or data.class_names
    number = {name: i for i, name in enumerate(model_names)}
    numbers = np.array([number.get(name, -1) for name in data.class_names])
    matched: Array = numbers[labels]
    if matched.min() < 0:
        unknown = data.class_names[int(labels[matched < 0][0])]
        raise CommandError(
            f"--data: classes must be among those of the model, {', '.join(model_names[:5])}"
            f"{', …' if len(number) > 5 else ''} ({name}); got {unknown!r} from {data.source}: {like_those}"
        )
    return matched, model_names


# -- result ------------------------------------------------------------------------------------------------


def _description(
    options: argparse.Namespace, network: NeuralNetwork, name: str, data: Dataset, images: Array
) -> dict[str, Any]:
    return {
        "model": name,
        "data": options.data,
        "data_note": data.note,
        "size": options.size,
        "part": options.part,
        "image_shape": list(images.shape[1:]),
        "parameters": sum(parameter.value.size for parameter in network.parameters()),
        "epochs_trained": network.epochs_trained,
        **system.provenance(options.command),
    }


def _draw(
    folder: Path, images: Array, labels: Array, probabilities: Float32, class_names: list[str]
) -> list[Path]:
    from .. import visualize  # here, because importing matplotlib takes longer than the evaluation

    return visualize.write_pictures(
        folder,
        images=images,
        labels=labels,
        probabilities=probabilities,
        right=False,
        class_names=class_names,
    )


# -- text --------------------------------------------------------------------------------------------------


def _numbers(result: dict[str, Any]) -> str:
    """Return all numbers as text; printed before the pictures are drawn, because that takes longer."""
    low, high = result["accuracy_interval"]
    what = unit_of(result["image_shape"])
    rows: dict[str, str | list[str]] = {
        "model": [f"{result['model']}, {result['parameters']:,} parameters"],
        what: f"{result['data']}: {result['images']:,} {result['part']} {what}, {shape_text(result['image_shape'])}",
        **({"data": result["data_note"]} if result["data_note"] else {}),
        "accuracy": f"{console.percent(result['accuracy'])}, 95 % interval {100 * low:.2f} to "
        f"{console.percent(high)}; {result['mistakes']:,} mistakes",
        "loss": loss_text(result["loss"]),
        "calibration": f"expected error {console.percent(result['calibration_error'])} over "
        f"{len(result['calibration_bins'])} bins",
    }
    names = result["class_names"]
    if result["confused_pairs"]:
        rows["most confused"] = ", ".join(
            f"{names[pair['label']]} taken for {names[pair['predicted']]} ({pair['count']:,})"
            for pair in result["confused_pairs"][:3]
        )
    headline = console.percent(result["accuracy"])
    summary = console.fields(rows).replace(f" {headline},", f" {console.bold(headline)},", 1)
    return "\n\n".join([summary, _class_table(result), _matrix_table(result["confusion_matrix"], names)])


def _class_table(result: dict[str, Any]) -> str:
    names = [cut(name, NAME) for name in result["class_names"]]
    rows = [
        (names[score["label"]], *(console.percent(score[name]) for name in MEANS), f"{score['support']:,}")
        for score in result["classes"]
    ]
    heading = ("class", "precision", "recall", "F1", unit_of(result["image_shape"]))
    means = ("mean", *(console.percent(result[name]) for name in MEANS), f"{result['images']:,}")
    return tabulate([heading, *rows, means], "<>")


def _matrix_table(matrix: list[list[int]], names: list[str]) -> str:
    digits = max(len(f"{max(map(max, matrix))}"), 2)
    room = console.WIDEST - (digits + 2) * len(matrix)
    if room < 9:
        return f"confusion matrix: too wide for a terminal; see {run_folder.EVALUATION}"
    # The columns are headed by numbers, so the number of a class precedes its name.
    names = [name if name == str(label) else f"{label} {name}" for label, name in enumerate(names)]
    rows = [["true\\pred", *map(str, range(len(matrix)))]]
    for name, counts in zip(names, matrix, strict=True):
        rows.append([cut(name, min(room, NAME)), *(str(count or ".") for count in counts)])
    return tabulate(rows, "<>", least=[0, *[digits] * len(matrix)])


def _saved(result: dict[str, Any]) -> str:
    names = [run_folder.REPORT, run_folder.EVALUATION, *result["pictures"]]
    rows: dict[str, str | list[str]] = {
        "saved in": [result["output"]],
        "": ", ".join(names),
        "time": f"{result['total_seconds']:.1f} s in all",
    }
    return f"\n{console.fields(rows)}"
