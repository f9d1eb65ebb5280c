"""The command ``fastdigits predict``: read the digits on pictures, and say how surely."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..core import atomic
from ..core.arrays import Array
from ..core.text import tabulate
from ..errors import DataError, printable
from ..imaging.digits import SIDE, find_digits
from ..imaging.opening import fitted, has_frames, open_picture, read_grey, to_uint8
from ..imaging.reading import COLUMNS, Reading
from ..network import NeuralNetwork
from ..nn import scales
from ..visualize.canvas import write_figure
from ..visualize.readings import DRAWN, readings_figure
from . import arguments, console, input_files, run_folder, runner, system
from .parser import Parser
from .runner import CommandError

COMMAND = "fastdigits predict"
DPI = 120  # of the drawing

DESCRIPTION = """\
Read the digits on pictures, photographs and scans: PNG, JPEG and whatever else
Pillow opens, dark on light or light on dark. Each picture is cut into its
digits, each digit is prepared like those of MNIST, and a row of digits is
printed as a number, with the confidence in each and the second choice.

IDX, NPY and CSV files hold many images. They are used unchanged, light on dark,
pixels of 0 ... 255 or of 0 ... 1, or what the model was trained on, unless
--prepare is given. Labels in a CSV are left out. A folder stands for
all pictures and NPY files in it, and - for standard input, which has no CSV.
"""

EXAMPLES = """\
examples:
  fastdigits predict photo.jpg                 the number on a piece of paper
  fastdigits predict scans/ --json             a folder, for a script
  fastdigits predict seven.png --show          what the network sees
  fastdigits predict *.png --output seen.png   the same as a picture
  fastdigits predict t10k-images-idx3-ubyte.gz --model runs/mine
  fastdigits predict drawings.npy --prepare    an array (n, height, width)
  fastdigits predict test.csv --submission submission.csv   for Kaggle

Standard output has the table, or one JSON object with --json: for each image
its name, the number on it, and for each digit the confidence, the runner-up,
all probabilities, and the box in the picture. A picture that cannot be read
gives an error line on standard error, and the others are read. Exit codes: 0
done; 2 wrong input, one line for each; 130 interrupted with Ctrl-C.
"""


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Read the pictures that ``argv`` names, the process's own arguments where it is None.

    Returns
    -------
    int
        0; 2 if a picture could not be read or after another error that the user can put right; 130 after an
        interrupt. A wrong option exits at once.
    """
    parser = _parser()
    options = parser.read(argv)
    if options.size is not None and options.prepare is not False:
        parser.error("--size: needs pictures that are used unchanged; got none: add --no-prepare")
    return runner.run(COMMAND, lambda: _predict(options), backend_name=options.backend)


def _parser() -> Parser:
    parser = Parser("predict", DESCRIPTION, EXAMPLES, operands="IMAGE...")
    group = parser.add_argument_group("images")
    group.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, an array, a folder, or -")
    group = parser.add_argument_group("reading")
    arguments.add_model_option(group)
    group.add_argument(
        "--prepare",
        action=argparse.BooleanOptionalAction,
        help="prepare images like those of MNIST, or use them unchanged (default: prepare pictures, not arrays)",
    )
    group.add_argument(
        "--single", action="store_true", help="each picture shows one digit, even if it is in pieces"
    )
    arguments.add_size_option(
        group, "pictures that are used unchanged", "they must have as many pixels as the model takes"
    )
    arguments.add_label_column_option(group, "the column of a .csv file that has labels, which are left out")
    arguments.add_backend_option(group)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--show",
        action="store_true",
        help="draw each picture, what the network sees of it, and all probabilities, and open the drawing",
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
        help="write the labels to a CSV file with the columns ImageId and Label, as Kaggle takes them; print no table",
    )
    arguments.add_report_options(group)
    return parser


def _predict(options: argparse.Namespace) -> int:
    network, model = run_folder.read_model(options.model)
    _prepare_model(network, model)
    names, left_out = input_files.expanded(options.images)
    for line in left_out:
        _say(line, options)
    _check_output(options.output, names, "--output", (".png", ".pdf", ".svg"))
    _check_output(options.submission, names, "--submission", (".csv",))
    table = None if options.json or options.submission is not None else _Table(names)
    drawn, lost = options.show or options.output is not None, None
    readings: list[Reading] = []
    errors: list[dict[str, str]] = []
    for name in names:
        shown = "standard input" if name == input_files.STANDARD_INPUT else name
        try:
            with input_files.as_file(name) as path:
                found = list(_read(path, shown, network, options))
        except (ValueError, OSError, MemoryError) as error:
            message = str(error) or "must fit into memory"
            known = message.startswith((shown, printable(shown)))
            message = message if known else f"{shown}: {message}"
            console.tell_error(COMMAND, message)
            errors.append({"image": shown, "error": message})
            continue
        readings += found
        if table is not None:
            try:
                table.add(found)
            except OSError as error:  # nobody reads the table any more, or standard output is closed or full
                if not drawn:
                    raise
                table, lost = None, error
    if options.submission is not None:
        _submit(readings, errors, options)
    if readings and drawn:
        _draw(readings, options)
    if lost is not None:
        raise lost
    if options.json:
        named = None if options.model is None else model
        result = {"images": [reading.as_json() for reading in readings], "errors": errors, "model": named}
        console.print_json(result)
    return runner.ERROR if errors else runner.SUCCESS


def _prepare_model(network: NeuralNetwork, model: str) -> None:
    """See that the model has images and classes; where these have no names, they are called by their numbers."""
    width = network.input_width
    classes = None if width is None else network.widths(width)[-1]
    if width is None or classes is None or classes < 2:
        got = "layers that do not say" if width is None else f"{classes} class"
        raise CommandError(
            f"--model: {model} must take images of a known size and tell at least two classes apart; got {got}: "
            "take another model"
        )
    network.class_names = network.class_names or map(str, range(classes))


def _check_output(output: Path | None, names: list[str], option: str, endings: tuple[str, ...]) -> None:
    """Refuse what could not be written, before anything is read."""
    if output is None:
        return
    if output.suffix.lower() not in endings:
        wanted = " or ".join(filter(None, [", ".join(endings[:-1]), endings[-1]]))
        raise CommandError(f"{option}: must end in {wanted}; got {str(output)!r}")
    if not output.parent.is_dir():
        raise CommandError(
            f"{option}: must be in a folder that exists; got {str(output)!r}: make the folder first"
        )
    run_folder.check_file(output, f"choose a name that ends in {endings[0]}", option)
    for name in names:
        with contextlib.suppress(OSError):
            if output.samefile(name):
                raise CommandError(f"{option}: must not be a file that is read; got {name!r}: choose another")


# -- reading -----------------------------------------------------------------------------------------------


def _read(path: Path, name: str, network: NeuralNetwork, options: argparse.Namespace) -> Iterator[Reading]:
    """Yield what is on a picture, or on each image of an array."""
    array, note = input_files.read_array(path, network.input_width or 0, options.label_column)
    if note:
        _say(f"{name}: {note}", options)
    if array is None:
        if options.prepare is False:
            yield from _as_they_are(
                _grey(path, name, options)[np.newaxis], name, network, several=False, picture=True
            )
        else:
            yield _prepared(path, name, network, options)
    elif options.size is not None:
        raise DataError(f"{name}: --size fits pictures; got an array: omit it")
    elif options.prepare:
        images, several = _separate(array, name)
        for number, image in enumerate(images):
            yield _prepared(image, f"{name}[{number}]" if several else name, network, options)
    else:
        images, several = _fitting(array, name, network)
        yield from _as_they_are(images, name, network, several=several)


def _grey(path: Path, name: str, options: argparse.Namespace) -> Array:
    """Return a picture as a data set would have it."""
    picture = read_grey(path)
    _tell_frames(picture.frames, name, options)
    if options.size is not None:
        picture = replace(picture, values=fitted(picture.values, options.size))
    return to_uint8([picture], name)[0]


def _tell_frames(frames: bool, name: str, options: argparse.Namespace) -> None:
    if frames:
        _say(f"{name}: has several frames or pages, of which the first is read", options)


def _prepared(image: object, name: str, network: NeuralNetwork, options: argparse.Namespace) -> Reading:
    if network.input_width != SIDE * SIDE:
        raise DataError(
            f"{name}: a picture becomes {SIDE} × {SIDE} pixels, {SIDE * SIDE} numbers; got a model that takes "
            f"{network.input_width}: --no-prepare --size HxW fits it to what the model was trained on"
        )
    picture = open_picture(image, name)
    digits = find_digits(image, single=options.single, subject=name, picture=picture)
    images = np.stack([digit.image for digit in digits])
    _tell_frames(has_frames(picture), name, options)
    boxes = [digit.box for digit in digits]
    fed = scales.pixels(images, network.scale, name)
    return Reading(name, picture, images, boxes, network.predict_proba(fed), network.class_names)


def _as_they_are(
    images: Array, name: str, network: NeuralNetwork, *, several: bool, picture: bool = False
) -> Iterator[Reading]:
    """Read images that nothing is done to; those of a picture are of 0 … 255 for sure."""
    width = network.input_width
    size = images[0].size
    if size != width:
        shape = " × ".join(map(str, images.shape[1:]))
        hints = ["--size HxW fits it"] if picture else []
        if width == SIDE * SIDE and (picture or (images.ndim == 3 and images.shape[1] > 1)):
            hints.append("--prepare makes of any digit what MNIST has")
        raise DataError(
            f"{name}: its images must have {width} pixels, as the model takes; got {shape}: "
            f"{', '.join(hints) or 'give it images as it was trained on'}"
        )
    fed = (scales.pixels if picture else scales.pictures)(images, network.scale, name).reshape(
        len(images), size
    )
    side = round(size**0.5)
    flat = (side, side) if side * side == size else (1, size)
    for number, probabilities in enumerate(network.predict_proba(fed)):
        image = images[number] if images.ndim == 3 else images[number].reshape(flat)
        own = f"{name}[{number}]" if several else name
        yield Reading(own, image, image[np.newaxis], None, probabilities[np.newaxis], network.class_names)


def _fitting(array: Array, name: str, network: NeuralNetwork) -> tuple[Array, bool]:
    """Return an array as images, one along the first axis, as a network takes them; and whether they are several."""
    _check_shape(array, name, "(n, height, width), (n, pixels) or one image, (height, width)", (2, 3))
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: must hold numbers; got dtype {array.dtype}: convert it first")
    shares = array.dtype.kind == "f" and array.min() >= 0 and array.max() <= 1
    if network.scale is None and array.dtype != np.uint8 and not shares:
        raise DataError(
            f"{name}: must hold uint8, or floats within 0 … 1, as the model does not say what it was trained on; got "
            f"{array.dtype} from {array.min()} to {array.max()}: convert it first"
        )
    if array.ndim == 2 and array.shape[1] != network.input_width:
        return array[np.newaxis], False
    return array, True


def _separate(array: Array, name: str) -> tuple[Array, bool]:
    """Return an array as pictures, one along the first axis, and whether they are several."""
    _check_shape(
        array, name, "(n, height, width), (n, height, width, channels) or (height, width)", (2, 3, 4)
    )
    return (array[np.newaxis], False) if array.ndim == 2 else (array, True)


def _check_shape(array: Array, name: str, wanted: str, dimensions: tuple[int, ...]) -> None:
    if array.ndim not in dimensions or array.size == 0:
        hint = ": is it a file of labels?" if array.ndim == 1 else ""
        raise DataError(f"{name}: must hold images, {wanted}; got {array.shape}{hint}")


# -- telling -----------------------------------------------------------------------------------------------


class _Table:
    """A table that grows by lines, as wide as the names that are known from the beginning."""

    def __init__(self, names: list[str]) -> None:
        self._width = max(len(printable(name)) for name in names)
        self._heading = [("image", *COLUMNS)]

    def add(self, readings: list[Reading]) -> None:
        """Print one line per reading."""
        rows = self._heading + [(reading.name, *reading.cells()) for reading in readings]
        self._heading = []
        self._width = max(self._width, *(len(printable(name)) for name, *_ in rows))
        console.show(tabulate(rows, least=(self._width, 6, 31)))


def _submit(readings: list[Reading], errors: list[dict[str, str]], options: argparse.Namespace) -> None:
    """Write the labels as Kaggle takes them; not if an image is missing, which would shift the numbers."""
    if errors:
        console.tell_error(
            COMMAND, f"--submission: needs all images; got errors: {options.submission} is not written"
        )
        return
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(["ImageId", "Label"])
    table.writerows([number, reading.reads] for number, reading in enumerate(readings, 1))
    atomic.write(options.submission, lines.getvalue().encode(), example="submission.csv")
    _say(f"{_labels(len(readings))} written to {options.submission}", options)


def _draw(readings: list[Reading], options: argparse.Namespace) -> None:
    """Write the drawing where it belongs, and open it if that is asked for."""
    total = sum(len(reading.images) for reading in readings)
    if total > DRAWN and not options.quiet:
        console.tell(COMMAND, f"the drawing has the first {DRAWN} of {total:,} digits")
    figure = readings_figure(readings)
    if options.output is not None:
        write_figure(figure, options.output, dpi=DPI)
        if options.show and not system.open_file(options.output):
            _say(f"no display to show the drawing on: open {options.output}", options)
        return
    # The viewer reads the file after this command has ended: it stays with what else is temporary.
    handle, name = tempfile.mkstemp(prefix="fastdigits-", suffix=".png")
    os.close(handle)
    figure.savefig(name, dpi=DPI)
    if not system.open_file(Path(name)):
        os.unlink(name)
        _say("no display to show the drawing on: write it to a file with --output FILE", options)


def _labels(count: int) -> str:
    return "1 label" if count == 1 else f"{count:,} labels"


def _say(text: str, options: argparse.Namespace) -> None:
    if not options.quiet:
        console.tell(COMMAND, text)
