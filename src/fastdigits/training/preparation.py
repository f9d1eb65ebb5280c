"""Prepare a training: check network, data and options together, before anything changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import backend
from ..backend.threads import get_num_threads
from ..core import notebook
from ..core.arrays import Array, as_array
from ..core.blocks import Blocks
from ..core.seeding import AUGMENT, key
from ..nn import scales
from ..nn.assembly import BUILT_IN
from ..nn.layers import BatchNorm, Standardize
from ..nn.sequential import Sequential
from ..optim.clipping import ClipNorm
from .augmentation import NO_TABLE, Augmentation, Augmenter, image_sides
from .batches import (
    Batches,
    LabelledImages,
    check_training_images,
    check_validation_images,
    shards,
    split_off_validation,
)
from .callbacks import Callback, Progress
from .checkpoint import Checkpoint
from .options import FitOptions
from .streaming import StreamedImages


@dataclass(frozen=True)
class TrainingSetup:
    """What one call of `NeuralNetwork.fit` trains, on what and how; all of it is checked."""

    network: Sequential
    options: FitOptions
    recorded: dict[str, Any]  # the options for checkpoints, before a callback changes the optimizer
    train: LabelledImages | StreamedImages
    held_out: LabelledImages | Blocks | None  # to validate on
    batches: Batches  # the rows of each step of an epoch
    augmenter: Augmenter | None
    clipping: ClipNorm | None
    callbacks: tuple[Callback, ...]  # with one that shows the progress
    threads: int
    _shards: dict[int, list[slice]] = field(default_factory=dict)  # of each size of a batch

    def shards(self, n: int) -> list[slice]:
        """Return the shards of a batch of ``n`` rows."""
        if n not in self._shards:
            self._shards[n] = shards(n, self.options.batch_shards, _least_rows(self.network))
        return self._shards[n]

    def layers(self) -> list[str]:
        """Return what describes each layer: with its settings, if it is built in."""
        return [repr(one) if type(one) in BUILT_IN.values() else one.name for one in self.network.layers]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a resumed training must have in common with this one, as JSON can hold it."""
        network = self.network
        return {
            "parameters": [f"{one.name} {one.value.shape}" for one in network.parameters()],
            "layers": self.layers(),
            "seed": network.seed,
            **self.recorded,
            "batch_size": self.batches[0].stop,
            "backend": backend.backend_name(),
            "training images": self.train.digest(),
            "validation images": self._validation_digest(),
        }

    def _validation_digest(self) -> str | None:
        if self.held_out is None:
            return None
        return self.held_out.digest if isinstance(self.held_out, Blocks) else self.held_out.digest()


def prepare(network: Sequential, x: object, y: object, options: FitOptions) -> TrainingSetup:
    """Return the setup of a training.

    Raises
    ------
    TypeError, ValueError
        If network, images, labels and options do not suit each other.
    """
    network.need_logits("fit")
    images = check_training_images(network, x, y, options.sample_weight, options.batch_size)
    augmenter = None if options.augment is None else _augmenter(network, options.augment, x, images)
    held_out: LabelledImages | Blocks | None
    train, held_out = split_off_validation(images, options.validation_split, network.seed)
    if options.validation_data is not None:
        held_out = check_validation_images(network, options.validation_data, images.scale)
    if options.average_every and isinstance(train, StreamedImages):  # workers take turns on the same batches
        raise ValueError(
            f"fit: average_every must be 0 with Shards, of which each window is read once; got "
            f"{options.average_every}: omit it, or train on shards.load()"
        )
    parts = Batches(train.count, options.batch_size)
    _check_batchnorm(network, parts)
    _check_shards(network, parts, options)
    return TrainingSetup(
        network,
        options,
        options.recorded(),
        train,
        held_out,
        parts,
        augmenter,
        None if options.clip_norm is None else ClipNorm(options.clip_norm),
        _callbacks(options),
        get_num_threads() if options.threads is None else options.threads,
    )


def _augmenter(
    network: Sequential, augmentation: Augmentation, x: object, images: LabelledImages | StreamedImages
) -> Augmenter:
    """Return what distorts the images ``x``, whose checked rows are those of ``images``."""
    array: Array | Blocks = x if isinstance(x, Blocks) else as_array(x, "fit: x")
    shape = (len(array), *(array.image_shape if isinstance(array, Blocks) else array.shape[1:]))
    height, width = image_sides(shape, "fit: x")
    if images.rows.dtype != np.uint8 or not scales.divides(array, images.scale):
        scale = "unknown" if images.scale is None else repr(images.scale)
        low, high = array.range[:2] if isinstance(array, Blocks) else (float(array.min()), float(array.max()))
        whole = array.range[2] if isinstance(array, Blocks) else not (array % 1).any()
        hint = ""
        if low >= 0 and high <= 1:
            hint = "take x * 255 for images of 0 … 1; "
        elif low >= 0 and high <= 255 and whole and not isinstance(network.layers[0], Standardize):
            hint = "set network.scale = 'pixels' for dark pixels; "
        raise ValueError(
            f"fit: x must hold pixels, whole numbers from 0 to 255, to be augmented; got numbers from {low:g} "
            f"to {high:g}, of scale {scale}: {hint}{NO_TABLE}"
        )
    return Augmenter(augmentation, height, width, key(network.seed, AUGMENT), images.keys)


def _callbacks(options: FitOptions) -> tuple[Callback, ...]:
    """Return the callbacks, with one that shows the progress; only rank 0 shows it and writes checkpoints."""
    if options.ranks.rank > 0:
        return tuple(one for one in options.callbacks if not isinstance(one, Progress | Checkpoint))
    shows = options.progress
    if shows is None:
        shows = notebook.in_notebook() and not any(isinstance(one, Progress) for one in options.callbacks)
    return (Progress(), *options.callbacks) if shows else tuple(options.callbacks)


def _least_rows(network: Sequential) -> int:
    """Return how many rows a shard must have: two, to have a variance, if a layer normalises by the batch."""
    return 2 if any(isinstance(layer, BatchNorm) for layer in network.layers) else 1


def _check_shards(network: Sequential, parts: Batches, options: FitOptions) -> None:
    """Raise a ValueError if a batch has too few rows.

    The last batch of an epoch may have fewer shards, but not where each shard has a network of its own.
    """
    batch_shards, least = options.batch_shards, _least_rows(network)
    first, last = (part.stop - part.start for part in (parts[0], parts[-1]))
    size, which = first, "each batch"
    if options.average_every and last < first:
        size, which = last, "the last batch of an epoch"
    if batch_shards > 1 and size < batch_shards * least:
        raise ValueError(
            f"fit: {which} must hold at least {batch_shards * least} images, {least} for each of "
            f"batch_shards={batch_shards}; got {size}, as {parts[-1].stop} images come in batches of {first}: "
            "take fewer shards or another batch_size"
        )


def _check_batchnorm(network: Sequential, parts: Batches) -> None:
    """Raise a ValueError if a layer normalises by the batch and a batch has one image, which has no variance."""
    smallest = parts.sizes[0]
    layer = next((layer for layer in network.layers if isinstance(layer, BatchNorm)), None)
    if smallest == 1 and layer is not None:
        raise ValueError(
            f"fit: each batch must hold at least 2 images, as {layer.name} normalises by the batch; got 1: "
            "take more images or a greater batch_size"
        )
