"""The images of a run: to train on, to validate on and to test on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..core.arrays import Array
from ..core.splitting import split_validation
from ..data import Shards, load_data
from ..data.labels import is_table, numbered, shape_text
from ..data.shards import WINDOW, parts_of
from ..nn import scales
from ..nn.layers.moment_norm import SIDE
from .runner import CommandError

MOST_BYTES = 1 << 30  # of shards that are read into memory


class Part(NamedTuple):
    """Images (n, height, width) and their labels (n,)."""

    x: Array
    y: Array

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.x)


class ShardPart(NamedTuple):
    """Shards, which have images and labels."""

    x: Shards
    y: None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.x)


@dataclass(frozen=True)
class RunImages:
    """The images of a run.

    Attributes
    ----------
    train : Part or ShardPart
    validation, test : Part
        To train on, to validate on after each epoch, to test on at the end. ``validation`` is ``test`` where no images
        are held out.
    class_names : tuple of str
        One per class.
    image_shape : (int, int)
        Height and width.
    note : str
        Remarks for the user; may be empty.
    scale : str or None
        The scale of all training images, including held-out ones.
    pictures : bool
        Whether the images are picture files, read unchanged; `predict` then reads pictures so, too.
    column_names : tuple of str
        Of a table, for `predict` and `evaluate`; empty if they are unknown.
    """

    train: Part | ShardPart
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    image_shape: tuple[int, int]
    note: str
    scale: str | None
    pictures: bool = False
    column_names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def standardized(self) -> bool:
        """Whether the network standardises the columns: those of a table."""
        return is_table(self.image_shape)

    @property
    def named(self) -> bool:
        """Whether the classes have names other than their numbers."""
        return self.class_names != numbered(self.classes)

    @property
    def holds_out(self) -> bool:
        """Whether images are held out. They may be used to choose the best epoch."""
        return self.validation is not self.test


def load(options: argparse.Namespace) -> RunImages:
    """Load the images that the options name, and hold some out if the options say so.

    Raises
    ------
    CommandError, DataError
        If the data cannot be loaded, or if their scale or size is not allowed.
    """
    images = read(options)
    if options.augment is not None and images.standardized:
        hint = "--augment none --no-moment-norm" if options.moment_norm else "--augment none"
        raise CommandError(
            f"--augment: needs images; got rows of {shape_text(images.image_shape)}: add {hint}"
        )
    if options.moment_norm:
        check_moment_norm(images, "--moment-norm: ", "add --no-moment-norm")
    if options.validation_split == 0:
        return images
    return hold_out(images, options.validation_split, options.seed)


def check_moment_norm(images: RunImages, start: str, hint: str) -> None:
    """Raise a CommandError if the images cannot be normalised by their moments."""
    shape = images.image_shape
    if images.standardized:
        raise CommandError(f"{start}needs images; got rows of {shape_text(shape)}: {hint}")
    if max(shape) > SIDE:
        raise CommandError(
            f"{start}needs images of at most {SIDE} x {SIDE} pixels; got {shape_text(shape)}: {hint}"
        )


def read(options: argparse.Namespace) -> RunImages:
    """Load all images that the options name; errors as in `load`."""
    if parts := parts_of(options.data):
        return _read_shards(options, parts)
    if options.window is not None:
        raise CommandError(
            f"--window: must be given with a folder that fastdigits shard wrote; got --data {options.data}: omit it"
        )
    data = load_data(
        options.data, size=options.size, label_column=options.label_column, progress=not options.quiet
    )
    train, test = Part(*data.train), Part(*data.test)
    try:
        scale: str | None = scales.NUMBERS  # of a table, whose columns the network standardises
        if not is_table(data.image_shape):
            scale = scales.infer_scale(train.x.reshape(len(train.x), -1), "--data: training images")
        scales.to_rows(test.x.reshape(len(test.x), -1), scale, "--data: test images")
    except ValueError as error:
        raise CommandError(str(error)) from error
    return RunImages(
        train,
        test,
        test,
        data.class_names,
        data.image_shape,
        data.note,
        scale,
        data.pictures,
        data.column_names,
    )


def hold_out(images: RunImages, fraction: float, seed: int) -> RunImages:
    """Hold out a fraction of the images to train on, the same as `fit` with this ``validation_split`` and seed.

    `fit` cannot do it for the command: the final training accuracy needs the split, too.
    """
    if isinstance(images.train, ShardPart):
        raise CommandError(
            f"--validation-split: must be 0 with shards; got {fraction:g}: write shards of fewer images"
        )
    try:
        kept, held_out = split_validation(images.train.n, fraction, seed, "--validation-split:")
    except ValueError as error:
        raise CommandError(str(error)) from error
    x, y = images.train
    return replace(images, train=Part(x[kept], y[kept]), validation=Part(x[held_out], y[held_out]))


def in_memory(images: RunImages) -> RunImages:
    """Return the same images; shards to train on are read into memory."""
    if not isinstance(images.train, ShardPart):
        return images
    shards = images.train.x
    size = len(shards) * shards.width * shards.dtype.itemsize
    if size > MOST_BYTES:
        raise CommandError(
            f"--data: images must be at most {MOST_BYTES:,} bytes to be held in memory; got {size:,}: write shards "
            "of fewer images"
        )
    return replace(images, train=Part(*shards.load()))


def _read_shards(options: argparse.Namespace, parts: dict[str, Path]) -> RunImages:
    """Return shards to train on; those to test on are read into memory."""
    check_shard_options(options, parts, ("train", "test"))
    window = WINDOW if options.window is None else options.window
    shards, tests = Shards(parts["train"], window=window), Shards(parts["test"])
    if tests.image_shape != shards.image_shape or tests.class_names != shards.class_names:
        raise CommandError(
            f"--data: training and test images must have one size and the same classes; got {shards!r} and {tests!r}"
        )
    if tests.column_names != shards.column_names:
        raise CommandError(
            "--data: training and test rows must have the same columns in one order; got other names in "
            f"{parts['test']}: write both parts again, from tables with the same columns"
        )
    test = Part(*tests.load())
    names = shards.class_names or numbered(max(shards.classes, tests.classes))
    note = f"shards, of which {min(shards.window, len(shards)):,} images at a time are shuffled"
    scale = scales.NUMBERS if is_table(shards.image_shape) else scales.scale_of(*shards.range)
    return RunImages(
        ShardPart(shards),
        test,
        test,
        names,
        shards.image_shape,
        note,
        scale,
        column_names=shards.column_names,
    )


def check_shard_options(options: argparse.Namespace, parts: dict[str, Path], wanted: Sequence[str]) -> None:
    """Raise a CommandError if a folder of shards lacks a part, or if options are given that shards do not take."""
    missing = [name for name in wanted if name not in parts]
    if missing:
        raise CommandError(
            f"--data: {options.data} must hold shards in {' and '.join(wanted)}; got no {missing[0]}: write them with "
            f"fastdigits shard, or describe its files with fastdigits shard --describe {Path(options.data, missing[0])}"
        )
    for name in ("size", "label_column"):
        if getattr(options, name) is not None:
            raise CommandError(f"--{name.replace('_', '-')}: must not be given with shards; got it: omit it")
