"""The network of a run, made for its images."""

from __future__ import annotations

import math
import warnings

from ..network import NeuralNetwork
from ..nn.layers import Standardize
from ..recipes import Recipe
from . import console
from .runner import CommandError
from .train_images import RunImages


def build(recipe: Recipe, images: RunImages, seed: int, command: str) -> NeuralNetwork:
    """Return a new network of a recipe for these images; ``command`` is the beginning of a remark on them.

    Raises
    ------
    CommandError
        If columns of a table cannot be standardised, if the network does not fit into memory, or if a name of a class
        is not allowed.
    """
    pixels = math.prod(images.image_shape)
    try:
        with warnings.catch_warnings(record=True, action="always") as found:
            first = [Standardize(pixels).adapt(images.train.x)] if images.standardized else []
    except ValueError as error:
        raise CommandError(f"--data: {error}") from error
    for warning in found:
        console.print_note(command, f"--data: {warning.message}")
    try:
        layers = [*first, *recipe.layers(pixels, images.classes, image_shape=images.image_shape)]
        network = NeuralNetwork(layers, seed=seed)
    except (MemoryError, OverflowError, ValueError) as error:
        hidden = ",".join(map(str, recipe.hidden))
        raise CommandError(
            f"--hidden: the network must fit into memory; got {hidden} for images of {pixels:,} pixels and "
            f"{images.classes:,} classes: take smaller widths"
        ) from error
    try:
        network.class_names = images.class_names if images.named else ()
    except ValueError as error:
        raise CommandError(f"--data: {error}: rename the class") from error
    network.scale = images.scale
    network.picture_size = images.image_shape if images.pictures else None
    network.column_names = images.column_names
    return network
