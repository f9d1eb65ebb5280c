"""The command ``fastdigits shard``: write images as shards, check shards, or describe files that are there."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array, Int64
from ..core.seeding import AUGMENT, key
from ..data import Dataset, Shards, load_data
from ..data.idx_folder import Pair
from ..data.labels import is_table, shape_text
from ..data.loading import NAMES
from ..data.shard_description import (
    DESCRIPTION,
    describe,
    find_files,
    holds_part,
    read_description,
    write_description,
)
from ..data.shard_writer import KINDS, ROWS_PER_SHARD, Source, check_new, from_shards, new_folder, write
from ..data.shards import folder_of, parts_of
from ..errors import DataError
from ..training.augmentation import Augmentation, Augmenter, image_sides
from . import arguments, console, runner
from .parser import Parser
from .runner import CommandError
from .train_images import check_shard_options

COMMAND = "fastdigits shard"
MOST_ROWS = 1 << 30  # images to make: their order takes 8 bytes each

DESCRIPTION_TEXT = """\
Write images and labels as shards: files of some images each, with a description.
A network trains on shards without loading them, so they may be larger than
memory. The folder gets two parts, train and test; --data of the other commands
takes the folder, and fastdigits.Shards takes each of the parts.

The images are shuffled once, as a training shuffles them within windows only.
--data may be shards, too, such as a folder of Parquet files: shards of one part
become one part.
"""

EXAMPLES = """\
examples:
  fastdigits shard --data mnist --output digits       MNIST in one shard
  fastdigits shard --data my-digits --output digits --rows-per-shard 10000
  fastdigits shard --output large --augment 20        20 times MNIST, distorted
  fastdigits shard --data parquet --output mixed      in random order
  fastdigits shard --check digits                     compare all checksums
  fastdigits shard --describe files                   describe files that exist
  fastdigits train --data digits

Exit codes: 0 success; 2 error, described in one line; 130 interrupted with
Ctrl-C, and no folder is left.
"""


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Write, check or describe shards as ``argv`` says (None: the arguments of the process); return the exit code."""
    options = _read(argv)
    return runner.run(COMMAND, lambda: _run(options), backend_name=options.backend, threads=options.threads)


def _read(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("shard", DESCRIPTION_TEXT, EXAMPLES)
    images = group = parser.add_argument_group("images")
    arguments.add_data_option(group, "training and test images become shards")
    group.add_argument(
        "--augment",
        type=arguments.whole_number,
        default=1,
        metavar="N",
        help="write each training image N times: once as it is, the others distorted at random (default: 1)",
    )
    files = group = parser.add_argument_group("shards")
    group.add_argument(
        "--rows-per-shard",
        type=arguments.whole_number,
        default=ROWS_PER_SHARD,
        metavar="N",
        help="images in each shard (default: %(default)s)",
    )
    arguments.add_choice(group, "--format", KINDS, KINDS[0], "format of the files")
    group.add_argument("--keep-order", action="store_true", help="do not shuffle the images")
    group.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="seed of the order and of the distortions (default: 0)",
    )
    arguments.add_machine_options(parser)
    group = parser.add_argument_group("output")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "-o", "--output", type=arguments.path, metavar="FOLDER", help="new folder for the shards"
    )
    where.add_argument(
        "--check", type=arguments.path, metavar="FOLDER", help="read the shards of a folder and compare them with "
        "their description; write nothing",
    )  # fmt: skip
    where.add_argument(
        "--describe", type=arguments.path, metavar="FOLDER", help=f"write {DESCRIPTION} for files of images and labels "
        "that are in a folder",
    )  # fmt: skip
    arguments.add_result_options(group)
    options = parser.read(argv)
    if options.output is None and options.check is None and options.describe is None:
        parser.error("--output: must name a new folder for the shards; got none; see --help")
    if options.output is None:
        for name in [*parser.given(images), *parser.given(files)]:
            work = "--check" if options.check is not None else "--describe"
            parser.error(f"{name}: must not be given with {work}; got it: omit it")
    return options


def _run(options: argparse.Namespace) -> int:
    started = time.perf_counter()
    say = console.print_nothing if options.quiet else console.print_message
    try:
        if options.check is not None:
            result = _check(options.check)
        elif options.describe is not None:
            result = _describe(options.describe, say)
        else:
            result = _write(options, say)
    except ImportError as error:
        raise CommandError(str(error)) from error
    result["seconds"] = time.perf_counter() - started
    say(_text(result))
    if options.json:
        console.print_json(result)
    return runner.SUCCESS


def _text(result: dict[str, Any]) -> str:
    rows: dict[str, str | list[str]] = {result["done"]: [result["folder"]]}
    for name, part in result["parts"].items():
        shape = " x ".join(map(str, part["image_shape"]))
        rows[name] = (
            f"{part['images']:,} images of {shape} {part['dtype']}, {part['classes']} classes, in "
            f"{part['shards']:,} shards, {part['bytes']:,} bytes"
        )
    rows["time"] = f"{result['seconds']:.1f} s"
    return console.fields(rows)


def _summary(shards: Shards) -> dict[str, Any]:
    return {
        "images": len(shards),
        "image_shape": list(shards.image_shape),
        "dtype": str(shards.dtype),
        "classes": shards.classes,
        "class_names": list(shards.class_names),
        "shards": len(shards.rows),
        "bytes": sum(file.size for shard in shards.description.shards for file in shard.files),
    }


def _parts(folder: Path) -> dict[str, Path]:
    """Return the folders of shards in a folder, by the names of their parts; itself if it has no parts."""
    return parts_of(folder) or {"shards": folder}


def _check(folder: Path) -> dict[str, Any]:
    if len(written := parts_of(folder)) == 1:
        (name,) = written
        raise CommandError(
            f"--check: {folder} must have the parts train and test, each with {DESCRIPTION}; got {name} alone: bring "
            f"the other one back, or check {folder / name}"
        )
    parts = {name: Shards(path) for name, path in _parts(folder).items()}
    for name, shards in parts.items():
        if not shards.described:
            raise CommandError(
                f"--check: {folder} must hold {DESCRIPTION}; got none to compare {name} with: write it with --describe"
            )
        shards.check()
    return {"done": "checked", "folder": str(folder), "parts": {k: _summary(v) for k, v in parts.items()}}


def _describe(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Describe the files of a folder; a description that cannot be used is replaced."""
    folder_of(folder)
    damaged = os.path.lexists(folder / DESCRIPTION)
    if damaged:
        with contextlib.suppress(DataError):
            read_description(folder)
            damaged = False
        if not damaged:
            raise CommandError(
                f"--describe: {folder} must not have {DESCRIPTION} yet; got one: check it with --check, or remove it"
            )
    write_description(folder, describe(folder, find_files(folder)))
    if damaged:
        say(console.fields({"replaced": f"{DESCRIPTION}, which was damaged; names in it are lost"}))
    summary = _summary(Shards(folder))
    return {"done": "described", "folder": str(folder), "replaced": damaged, "parts": {"shards": summary}}


# -- writing -----------------------------------------------------------------------------------------------


def _write(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    check_new(options.output)  # before images are loaded, which may take long
    sources, note = _sources(options)
    seed = None if options.keep_order else options.seed
    if note:
        say(console.fields({"data": note}))
    parts = {}
    with new_folder(options.output) as folder:
        for name, source in sources.items():
            part = folder if len(sources) == 1 else folder / name
            part.mkdir(exist_ok=True)
            write(
                part, source, rows_per_shard=options.rows_per_shard, kind=options.format, seed=seed,
                progress=None if options.quiet else _progress(name),
            )  # fmt: skip
            parts[name] = _summary(Shards(part))
    return {"done": "written", "folder": str(options.output), "parts": parts}


def _sources(options: argparse.Namespace) -> tuple[dict[str, Source], str]:
    """Return the images to write, for each part, and a note; shards of one part stay one part."""
    parts = parts_of(options.data)
    if not parts and options.data not in NAMES and holds_part(Path(options.data)):
        parts = {"shards": Path(options.data)}
    if parts:
        check_shard_options(options, parts, ("shards",) if "shards" in parts else ("train", "test"))
        sources = {name: from_shards(Shards(path)) for name, path in parts.items()}
        note = ""
    else:
        data = load_data(
            options.data, size=options.size, label_column=options.label_column, progress=not options.quiet
        )
        sources, note = {"train": _plain(data, data.train), "test": _plain(data, data.test)}, data.note
    first = next(iter(sources))
    sources[first] = _augmented(sources[first], options)
    return sources, note


def _progress(name: str) -> Callable[[int, int], None]:
    started = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > 5 and done < total:
            last = now
            left = (now - started) / done * (total - done)
            console.print_message(console.fields({name: f"{done:,} of {total:,} images, {left:.0f} s left"}))

    return show


def _plain(data: Dataset, pair: Pair) -> Source:
    x, y = pair
    names = data.class_names if data.named else ()
    columns = data.column_names if is_table(data.image_shape) else ()
    return Source(len(y), lambda rows: (x[rows], y[rows]), data.image_shape, data.classes, names, columns)


def _augmented(plain: Source, options: argparse.Namespace) -> Source:
    """Return images several times each: once as they are, then distorted. They are loaded for it."""
    copies, n = options.augment, plain.rows
    if copies == 1:
        return plain
    if is_table(plain.image_shape):
        raise CommandError(
            f"--augment: needs images; got rows of {shape_text(plain.image_shape)}: write them without it"
        )
    if copies * n > MOST_ROWS:
        raise CommandError(f"--augment: must make at most {MOST_ROWS:,} images; got {copies * n:,}")
    x, y = plain.take(np.arange(n))
    if x.dtype != np.uint8:
        raise CommandError(
            "--augment: images must be pixels, whole numbers from 0 to 255; got other numbers: omit it"
        )
    try:
        height, width = image_sides(x.shape, "--augment: images")
    except ValueError as error:
        raise CommandError(str(error)) from error
    images = np.ascontiguousarray(x).reshape(n, height * width)
    augmenter = Augmenter(Augmentation(), height, width, key(options.seed, AUGMENT))

    def take(rows: Int64) -> tuple[Array, Array]:
        """Return image row % n; copy row // n of it is distorted by the random numbers of that epoch."""
        copy, image = np.divmod(rows, n)
        taken = np.empty((len(rows), height * width), np.uint8)
        for number in np.unique(copy):
            places = np.flatnonzero(copy == number)
            distorted = images[image[places]]
            if number > 0:
                augmenter.begin(int(number), 0, 1)
                augmenter.run(distorted, images, image[places])
            taken[places] = distorted
        return taken.reshape(len(rows), height, width), y[image]

    return Source(copies * n, take, plain.image_shape, plain.classes, plain.class_names)
