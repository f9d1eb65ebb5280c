"""What a search works on: the images that are held out, the space, and the plan of its rounds."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import islice
from typing import cast

from ..core.arrays import digest_of
from ..data.labels import shape_text
from ..nn import scales
from ..recipes import Recipe
from ..training.augmentation import SIDE
from . import train_images, train_network, tune_options, tune_space
from .runner import CommandError
from .train_images import Part, RunImages, check_moment_norm
from .tune_options import ENOUGH, MOST_REPEATS, TRIALS
from .tune_search import MOST_TRIALS, Plan, rounds
from .tune_space import Space

EPOCHS, MOST_EPOCHS, IMAGES = 20, 100, 500_000  # epochs: as many as give so many images, within the two


@dataclass(frozen=True)
class Setup:
    """What a search works on.

    Attributes
    ----------
    images : RunImages
        All of them.
    splits : list of RunImages
        One for each repeat.
    space : Space
    plan : Plan
    """

    images: RunImages
    splits: list[RunImages]
    space: Space
    plan: Plan

    @property
    def held_out(self) -> int:
        """Held-out images of all repeats together, at most all images: what a mean accuracy rests on."""
        return min(self.images.train.n, sum(one.validation.n for one in self.splits))


def prepare(options: argparse.Namespace, command: str) -> Setup:
    """Load the images and make the plan; set the digest of the images in the options, or compare it.

    Raises
    ------
    CommandError, DataError
        If the images cannot be loaded or searched, or are not those of the search to resume.
    """
    images = train_images.in_memory(train_images.read(options))
    digest = digest_of(cast(Part, images.train))
    if options.images not in (None, digest):
        raise CommandError(
            f"--resume: the training images must be those of the search; got others from {options.data}: bring them "
            "back, or begin a new search"
        )
    options.images = digest
    base = tune_options.base(options)
    space = _space(options.space, base, images)
    plan = Plan(
        list(islice(space.recipes(options.seed), _trials(options))),
        rounds(options.epochs or _epochs(base, images.train.n)),
        math.inf if options.minutes is None else 60 * options.minutes,
    )
    first = train_images.hold_out(images, options.validation_split, options.seed)
    repeats = options.repeats or min(MOST_REPEATS, math.ceil(ENOUGH / first.validation.n))
    others = range(1, repeats)
    splits = [
        first,
        *(train_images.hold_out(images, options.validation_split, options.seed + place) for place in others),
    ]
    train_network.build(plan.recipes[0], first, options.seed, command)  # for what it has to say on the images
    return Setup(images, splits, space, plan)


def _trials(options: argparse.Namespace) -> int:
    if options.trials is not None:
        return int(options.trials)
    return TRIALS if options.minutes is None else MOST_TRIALS


def _epochs(base: Recipe | None, images: int) -> int:
    if base is not None:
        return base.epochs
    return min(MOST_EPOCHS, max(EPOCHS, round(IMAGES / images)))


def _space(text: str, base: Recipe | None, images: RunImages) -> Space:
    distorts = images.scale == scales.PIXELS and max(images.image_shape) <= SIDE and not images.standardized
    space = tune_space.read(text, base, distorts=distorts)
    if images.standardized and space.distorts:
        raise CommandError(
            f"--space: augment needs images; got rows of {shape_text(images.image_shape)}: take augment=none"
        )
    if space.normalizes:
        check_moment_norm(images, "--space: moment_norm ", "take moment_norm=false")
    return space
