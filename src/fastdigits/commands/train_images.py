"""The images of a run: to train on, to validate on and to test on."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import NamedTuple

from ..core.arrays import Array
from ..core.splitting import split_validation
from ..data import Dataset, load_data
from ..nn import scales
from .runner import CommandError


class Part(NamedTuple):
    """Images (n, height, width) and their labels (n,)."""

    x: Array
    y: Array


@dataclass(frozen=True)
class RunImages:
    """The images of a run.

    Attributes
    ----------
    train, validation, test : Part
        To train on, to validate on after each epoch, to test on at the end. ``validation`` is ``test`` where no images
        are held out.
    data : Dataset
        All images, as loaded.
    scale : str or None
        The scale of all training images, including held-out ones.
    """

    train: Part
    validation: Part
    test: Part
    data: Dataset
    scale: str | None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.data.classes

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
    data = load_data(
        options.data, size=options.size, label_column=options.label_column, progress=not options.quiet
    )
    train, test = Part(*data.train), Part(*data.test)
    try:
        scale = scales.infer_scale(train.x.reshape(len(train.x), -1), "--data: training images")
        scales.to_rows(test.x.reshape(len(test.x), -1), scale, "--data: test images")
        if options.validation_split == 0:
            return RunImages(train, test, test, data, scale)
        # The split of fit(validation_split=…). fit cannot make it: the final training accuracy needs it, too.
        kept, held_out = split_validation(
            len(train.y), options.validation_split, options.seed, "--validation-split:"
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    validation = Part(train.x[held_out], train.y[held_out])
    return RunImages(Part(train.x[kept], train.y[kept]), validation, test, data, scale)
