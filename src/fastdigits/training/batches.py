"""Check the images, labels and weights of a training, order them and cut them into batches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import validation
from ..core.arrays import Array, Float32, Int64
from ..core.seeding import SHUFFLE, stream
from ..core.splitting import split_validation
from ..nn import scales
from ..nn.sequential import Sequential


@dataclass(frozen=True)
class LabelledImages:
    """Checked images with labels and weights."""

    rows: Array  # (n, d) uint8, which means value / 255, or float32
    scale: str | None  # of the images
    labels: Int64  # (n,)
    weights: Float32 | None  # (n,)
    pool: Int64  # (m,) numbers of the rows to use, ascending


def epoch_order(pool: Int64, seed: int | None, epoch: int) -> Int64:
    """Return the rows of an epoch in their order, which depends on seed and epoch alone; as they are without a seed."""
    return pool if seed is None else stream(seed, SHUFFLE, epoch).permutation(pool)


def batches(n: int, size: int) -> list[slice]:
    """Return the slices that cut ``n`` rows into batches; a last batch of one row joins the batch before it."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n % size == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


def shards(n: int, most: int, least: int) -> list[slice]:
    """Return the slices that cut a batch of ``n`` rows into ``most`` shards, or into fewer of ``least`` rows each."""
    count = max(1, min(most, n // least))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def check_training_images(network: Sequential, x: object, y: object, weight: object) -> LabelledImages:
    """Return the checked training data; an untrained network gets its scale from these images."""
    images = validation.check_images(x, network.input_width, "fit: x")
    rows, scale = network.training_rows(images, "fit: x")
    return _labelled(network, rows, scale, y, weight, "")


def _labelled(
    network: Sequential, rows: Array, scale: str | None, y: object, weight: object, prefix: str
) -> LabelledImages:
    """Return rows with checked labels and weights; ``prefix`` comes before the names in messages."""
    n, width = rows.shape
    labels = validation.check_labels(y, n, network.widths(width)[-1], f"fit: {prefix}y")
    weights = None if weight is None else validation.check_weights(weight, n, f"fit: {prefix}sample_weight")
    pool = np.arange(n, dtype=np.int64) if weights is None else np.flatnonzero(weights).astype(np.int64)
    return LabelledImages(rows, scale, labels, weights, pool)


def check_validation_images(network: Sequential, data: tuple[Any, ...], scale: str | None) -> LabelledImages:
    """Return checked validation data on the scale of the training; ``data`` is (x, y) or (x, y, sample_weight)."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(
            f"fit: validation_data must be (x, y) or (x, y, sample_weight); got {type(data).__name__}"
        )
    x, y, weight = data if len(data) == 3 else (*data, None)
    images = validation.check_images(x, network.input_width, "fit: validation x")
    rows = scales.to_rows(images, scale, "fit: validation x")
    return _labelled(network, rows, scale, y, weight, "validation ")


def split_off_validation(
    images: LabelledImages, fraction: float, seed: int
) -> tuple[LabelledImages, LabelledImages | None]:
    """Return the images to train on and a fraction to validate on, or None for a fraction of 0."""
    if fraction == 0:
        return images, None
    pool = images.pool
    kept, held_out = split_validation(pool.size, fraction, seed, "fit: validation_split")
    chosen = pool[held_out]
    validation = LabelledImages(
        images.rows[chosen],
        images.scale,
        images.labels[chosen],
        None if images.weights is None else images.weights[chosen],
        np.arange(chosen.size),
    )
    return replace(images, pool=pool[kept]), validation


def digest(images: LabelledImages) -> str:
    """Return the SHA-256 of images, labels and weights; k / 255 as uint8 and as float32 have the same."""
    total = hashlib.sha256()
    rows = images.rows
    if rows.dtype == np.uint8 and images.scale not in (scales.PIXELS, None):
        rows = np.divide(rows, np.float32(scales.WHITE), dtype=np.float32)
    for array in (rows, images.labels, images.weights, images.pool):
        if array is not None:
            total.update(f"{array.dtype} {array.shape} ".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
