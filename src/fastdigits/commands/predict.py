"""The command ``fastdigits predict``: read the digits in pictures, with the confidence in each."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core import atomic
from ..core.arrays import Array, Float32
from ..core.text import tabulate
from ..data.labels import is_table, numbered
from ..data.tables import CSV_ENDINGS, read_ids
from ..errors import DataError, printable
from ..imaging.digits import SIDE, UInt8
from ..imaging.opening import fitted, has_frames, open_image, read_grey, to_uint8
from ..imaging.reading import COLUMNS, Reading, read_picture
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.layers import Standardize
from ..visualize.canvas import write_figure
from ..visualize.readings import DRAWN, readings_figure
from . import arguments, console, input_files, run_folder, runner, system
from .parser import Parser
from .runner import CommandError

COMMAND = "fastdigits predict"
DPI = 120  # of the drawing

DESCRIPTION = """\
Read the digits in pictures, photographs and scans: PNG, JPEG and all other
formats that Pillow opens. The digits may be dark on light or light on dark.
The command finds the digits of each picture, prepares each of them like the
images of MNIST, and prints them line by line, with the signs . , - + / between
them, the confidence in each digit and the second choice. A doubtful digit is
printed as ?, with both choices beside it. A page that was turned is read
upright.

IDX, NPY and CSV files hold many images. They are used unchanged, unless
--prepare is given: they must be light on dark, with pixels from 0 to 255, from
0 to 1, or in the range that the model was trained on. The columns of a CSV file
are found by their names, if the model has names; labels are ignored. A folder
stands for all pictures and NPY files in it. A hyphen stands for standard input,
which must not be a CSV file.
"""

EXAMPLES = """\
examples:
  fastdigits predict photo.jpg                 the number on a piece of paper
  fastdigits predict scans/ --json             a folder, for a script
  fastdigits predict seven.png --show          what the network sees
  fastdigits predict *.png --output seen.png   the same, written to a file
  fastdigits predict t10k-images-idx3-ubyte.gz --model runs/mine
  fastdigits predict drawings.npy --prepare    an array (n, height, width)
  fastdigits predict test.csv --submission submission.csv   for Kaggle

Standard output has the table, or with --json one JSON object. It has for each
image its name and its lines, and for each digit the confidence, whether it is
doubtful, the second choice, all probabilities, and the box in the picture. If a
picture cannot be read, the command prints an error to standard error and reads
the others. Exit codes: 0 success; 2 error, described in one line per picture;
130 interrupted with Ctrl-C.
"""


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Read the pictures that ``argv`` names (None: the arguments of the process); return the exit code."""
    parser = _parser()
    options = parser.read(argv)
    return runner.run(COMMAND, lambda: _predict(options), backend_name=options.backend)


def _parser() -> Parser:
    parser = Parser("predict", DESCRIPTION, EXAMPLES, operands="IMAGE...")
    group = parser.add_argument_group("images")
    group.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a picture, a file of images, a folder, or -"
    )
    group = parser.add_argument_group("reading")
    arguments.add_model_option(group)
    group.add_argument(
        "--prepare",
        action=argparse.BooleanOptionalAction,
        help="prepare images like those of MNIST, or use them unchanged (default: prepare pictures, but not IDX, "
        "NPY and CSV files, nor pictures for a model of picture files)",
    )
    group.add_argument(
        "--single", action="store_true", help="read each picture as one digit, even if its strokes are apart"
    )
    arguments.add_size_option(
        group, "pictures that are not prepared", "the size of the model's images, if it is known or square"
    )
    arguments.add_label_column_option(group, "the column of a .csv file that holds labels, which are ignored")
    arguments.add_backend_option(group)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--show",
        action="store_true",
        help="draw each picture, the input of the network, and all probabilities, and open the drawing",
    )
    group.add_argument(
        "-o",
        "--output",
        type=arguments.path,
        metavar="FILE",
        help="write the drawing to a file: PNG, PDF or SVG",
    )
    group.add_argument(
        "--submission",
        type=arguments.path,
        metavar="FILE",
        help="write the labels to a CSV file for Kaggle, with the columns ImageId and Label, or the column id of the "
        "table; print no table",
    )
    arguments.add_result_options(group)
    return parser


def _predict(options: argparse.Namespace) -> int:
    network, model = run_folder.read_model(options.model)
    _check_model(network, model)
    if options.prepare is None and network.picture_size is not None:
        options.prepare = False  # pictures, as in the training
    if options.size is not None and options.prepare is not False:
        raise CommandError(
            "--size: needs pictures that are not prepared; got pictures that are: add --no-prepare"
        )
    errors: list[dict[str, str]] = []
    names, notes = _expand(options.images, errors, network)
    for note in notes:
        _say(note, options)
    _check_output(options.output, names, "--output", (".png", ".pdf", ".svg"))
    _check_output(options.submission, names, "--submission", (".csv",))
    row = "row" if isinstance(network.layers[0], Standardize) else "image"
    table = None if options.json or options.submission is not None else _Table(names, row)
    draws = options.show or options.output is not None
    output_error = None
    readings: list[Reading] = []
    for name in names:
        found = _read_input(name, network, options, errors)
        readings += found
        if table is not None and found:
            try:
                table.add(found)
            except OSError as error:  # standard output failed, or its reader has ended
                if not draws:
                    raise
                table, output_error = None, error
    if options.submission is not None:
        _write_submission(names, readings, errors, options, network)
    if readings and draws:
        _draw(readings, options)
    if output_error is not None:
        raise output_error
    if options.json:
        images = [reading.as_json() for reading in readings]
        chosen = None if options.model is None else model
        console.print_json({"images": images, "errors": errors, "model": chosen})
    return runner.ERROR if errors else runner.SUCCESS


def _expand(
    images: list[str], errors: list[dict[str, str]], network: NeuralNetwork
) -> tuple[list[str], list[str]]:
    """Return files and notes; a folder without pictures is an error, and the others are read."""
    names: list[str] = []
    notes: list[str] = []
    for image in images:
        try:
            found, said = input_files.expand([image], network)
        except DataError as error:
            if len(images) == 1 or not image:
                raise
            errors.append({"image": image, "error": str(error)})
        else:
            names, notes = names + found, notes + said
    if not names:
        raise DataError("; ".join(error["error"] for error in errors))
    for one in errors:
        console.print_error(COMMAND, one["error"])
    return names, notes


def _check_model(network: NeuralNetwork, model: str) -> None:
    """Raise a CommandError if the model is no classifier; name classes without names by their numbers."""
    width = network.input_width
    classes = None if width is None else network.widths(width)[-1]
    if width is None or classes is None or classes < 2:
        got = "layers of any width" if width is None else f"{classes} class"
        raise CommandError(
            f"--model: {model} must have a fixed number of inputs and at least two classes; got {got}: "
            "choose another model"
        )
    network.class_names = network.class_names or numbered(classes)


def _check_output(output: Path | None, names: list[str], option: str, endings: tuple[str, ...]) -> None:
    """Raise a CommandError if the file cannot be written, before any picture is read."""
    if output is None:
        return
    if output.suffix.lower() not in endings:
        wanted = " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))
        raise CommandError(f"{option}: must end in {wanted}; got {str(output)!r}")
    if not output.parent.is_dir():
        raise CommandError(f"{option}: must be in a folder that exists; got {str(output)!r}: create it first")
    run_folder.check_file(output, f"choose a name that ends in {endings[0]}", option)
    for name in names:
        with contextlib.suppress(OSError):
            if output.samefile(name):
                raise CommandError(
                    f"{option}: must not be one of the pictures; got {name!r}: choose another name"
                )


# -- reading -----------------------------------------------------------------------------------------------


def _read_input(
    name: str, network: NeuralNetwork, options: argparse.Namespace, errors: list[dict[str, str]]
) -> list[Reading]:
    """Return the readings of a file or of standard input; if it cannot be read, print and record an error."""
    shown = "standard input" if name == input_files.STANDARD_INPUT else name
    try:
        with input_files.as_file(name) as path:
            return list(_read(path, shown, network, options))
    except (ValueError, OSError, MemoryError) as error:
        message = str(error) or "must fit into memory"
        named = message.startswith((shown, printable(shown)))
        message = message if named else f"{shown}: {message}"
        console.print_error(COMMAND, message)
        errors.append({"image": shown, "error": message})
        return []


def _read(path: Path, name: str, network: NeuralNetwork, options: argparse.Namespace) -> Iterator[Reading]:
    """Yield the reading of a picture, or of each image in a file of images."""
    array, note = input_files.read_array(
        path, network.input_width or 0, options.label_column, network.column_names
    )
    if note:
        _say(f"{name}: {note}", options)
    if array is None:
        if options.prepare is False:
            yield from _read_unchanged(
                _grey_picture(path, name, options, network)[np.newaxis],
                name,
                network,
                several=False,
                picture=True,
            )
        else:
            yield _read_prepared(path, name, network, options)
    elif options.size is not None:
        raise DataError(f"{name}: --size needs a picture; got an array: omit --size")
    elif options.prepare:
        images, several = _as_pictures(array, name)
        for number, image in enumerate(images):
            yield _read_prepared(image, f"{name}[{number}]" if several else name, network, options)
    else:
        images, several = _as_images(array, name, network)
        yield from _read_unchanged(images, name, network, several=several)


def _grey_picture(path: Path, name: str, options: argparse.Namespace, network: NeuralNetwork) -> Array:
    """Return a picture as a data set holds it, not prepared; fitted to the given size or the model's."""
    picture = read_grey(path)
    _note_frames(picture.frames, name, options)
    side, size = math.isqrt(network.input_width or 0), options.size or network.picture_size
    if size is None and side * side == network.input_width:
        size = side, side
    if size is not None and size != picture.values.shape:
        if options.size is None:
            _say(f"{name}: fitted to the {size[0]} x {size[1]} pixels of the model's images", options)
        picture = replace(picture, values=fitted(picture.values, size))
    return to_uint8([picture], name)[0]


def _note_frames(frames: bool, name: str, options: argparse.Namespace) -> None:
    if frames:
        _say(f"{name}: has several frames or pages; the first one is read", options)


def _read_prepared(image: object, name: str, network: NeuralNetwork, options: argparse.Namespace) -> Reading:
    if network.input_width != SIDE * SIDE:
        hint = "add --no-prepare --size HxW to scale the picture to what it was trained on"
        if isinstance(network.layers[0], Standardize):
            hint = "it takes rows of a table, such as rows.csv"
        raise DataError(
            f"{name}: the model must have {SIDE * SIDE} inputs, for the {SIDE} × {SIDE} pixels of a prepared digit; "
            f"got {network.input_width}: {hint}"
        )
    picture = open_image(image, name)
    _note_frames(has_frames(picture), name, options)

    def predict_proba(images: UInt8) -> Float32:
        return network.predict_proba(scales.rescale_pixels(images, network.scale, name))

    reading = read_picture(
        image, predict_proba, network.class_names, name=name, single=options.single, opened=picture
    )
    if reading.turned:
        _say(
            f"{name}: was turned by {reading.turned:.0f} degrees counterclockwise before it was read", options
        )
    return reading


def _read_unchanged(
    images: Array, name: str, network: NeuralNetwork, *, several: bool, picture: bool = False
) -> Iterator[Reading]:
    """Read images unchanged; those of a picture have values of 0 … 255."""
    width = network.input_width
    size = images[0].size
    if size != width:
        sides = images.shape[1:]
        if is_table(sides) and not picture:
            raise DataError(
                f"{name}: rows must have {width:,} columns, as the model takes; got {size:,}: choose a table like the "
                "one it was trained on"
            )
        hints = ["--size HxW scales it"] if picture else []
        if width == SIDE * SIDE and (picture or (images.ndim == 3 and images.shape[1] > 1)):
            hints.append("--prepare makes digits like those of MNIST")
        raise DataError(
            f"{name}: images must have {width} pixels, one per input of the model; got "
            f"{' × '.join(map(str, sides))}: "
            f"{', '.join(hints) or 'choose images like those it was trained on'}"
        )
    x = (
        scales.rescale_pixels(images, network.scale, name)
        if picture
        else input_files.rescale(images, network, name)
    )
    x = x.reshape(len(images), size)
    side = round(size**0.5)
    row_shape = (side, side) if side * side == size else (1, size)
    for number, probabilities in enumerate(network.predict_proba(x)):
        image = images[number] if images.ndim == 3 else images[number].reshape(row_shape)
        full_name = f"{name}[{number}]" if several else name
        yield Reading(
            full_name, image, image[np.newaxis], None, probabilities[np.newaxis], network.class_names
        )


def _as_images(array: Array, name: str, network: NeuralNetwork) -> tuple[Array, bool]:
    """Return an array as images, (n, height, width) or (n, pixels), and whether it holds several."""
    _check_shape(array, name, "(n, height, width), (n, pixels) or one image, (height, width)", (2, 3))
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: must hold numbers; got dtype {array.dtype}: convert it first")
    within_one = array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1
    if network.scale is None and array.dtype != np.uint8 and not within_one:
        raise DataError(
            f"{name}: must hold uint8, or floats within 0 … 1, because the model file names no range; got "
            f"{array.dtype} from {array.min()} to {array.max()}: convert it first"
        )
    if array.ndim == 2 and array.shape[1] != network.input_width:
        return array[np.newaxis], False
    return array, True


def _as_pictures(array: Array, name: str) -> tuple[Array, bool]:
    """Return an array as pictures along the first axis, and whether it holds several."""
    _check_shape(
        array, name, "(n, height, width), (n, height, width, channels) or (height, width)", (2, 3, 4)
    )
    return (array[np.newaxis], False) if array.ndim == 2 else (array, True)


def _check_shape(array: Array, name: str, wanted: str, dimensions: tuple[int, ...]) -> None:
    if array.ndim not in dimensions or array.size == 0:
        hint = ": is it a file of labels?" if array.ndim == 1 else ""
        raise DataError(f"{name}: must hold images, {wanted}; got {array.shape}{hint}")


# -- output ------------------------------------------------------------------------------------------------


class _Table:
    """A table that is printed in parts; its first column is as wide as the longest name so far."""

    def __init__(self, names: list[str], row: str) -> None:
        self._width = max(len(printable(name)) for name in names)
        self._heading = [(row, *COLUMNS)]

    def add(self, readings: list[Reading]) -> None:
        """Print one line per reading."""
        rows = list(self._heading)
        for reading in readings:
            lines = zip(*(cell.split("\n") for cell in reading.cells()), strict=True)
            rows += [(reading.name if number == 0 else "", *line) for number, line in enumerate(lines)]
        self._heading = []
        self._width = max(self._width, *(len(printable(name)) for name, *_ in rows))
        console.print_answer(tabulate(rows, least=(self._width, 6, 31)))


def _write_submission(
    names: list[str],
    readings: list[Reading],
    errors: list[dict[str, str]],
    options: argparse.Namespace,
    network: NeuralNetwork,
) -> None:
    """Write the labels for Kaggle, unless one is missing: the numbers of the images after it would be wrong.

    A single CSV file may have its own identifiers; else the images are numbered from 1.
    """
    if errors:
        console.print_error(
            COMMAND,
            f"--submission: needs a label for each image; got errors: {options.submission} is not written",
        )
        return
    found = None
    if len(names) == 1 and names[0].lower().endswith(CSV_ENDINGS):
        found = read_ids(
            Path(names[0]), options.label_column, width=network.input_width, column_names=network.column_names
        )
    heading, ids = found or (["ImageId", "Label"], [str(number + 1) for number in range(len(readings))])
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(heading)
    table.writerows([one, reading.digits] for one, reading in zip(ids, readings, strict=True))
    atomic.write(options.submission, lines.getvalue().encode(), example="submission.csv")
    unread = sum(reading.reads != reading.digits for reading in readings)
    note = (
        f"; {unread:,} of these labels are digits of images that are probably not a digit" if unread else ""
    )
    _say(f"{_labels(len(readings))} written to {options.submission}{note}", options)


def _draw(readings: list[Reading], options: argparse.Namespace) -> None:
    """Write the drawing to ``--output`` or to a temporary file; open it with ``--show``."""
    total = sum(len(reading.images) for reading in readings)
    if total > DRAWN and not options.quiet:
        console.print_note(COMMAND, f"the drawing shows the first {DRAWN} of {total:,} digits")
    figure = readings_figure(readings)
    if options.output is not None:
        write_figure(figure, options.output, dpi=DPI)
        if options.show and not system.open_file(options.output):
            _say(f"no display for the drawing: open {options.output}", options)
        return
    # Do not delete the file: the viewer reads it after this command has ended.
    handle, name = tempfile.mkstemp(prefix="fastdigits-", suffix=".png")
    os.close(handle)
    figure.savefig(name, dpi=DPI)
    if not system.open_file(Path(name)):
        os.unlink(name)
        _say("no display for the drawing: write it to a file with --output FILE", options)


def _labels(count: int) -> str:
    return "1 label" if count == 1 else f"{count:,} labels"


def _say(text: str, options: argparse.Namespace) -> None:
    if not options.quiet:
        console.print_note(COMMAND, text)
