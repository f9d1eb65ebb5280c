"""What a training learns from and is judged by: images, labels and weights, checked, and cut into batches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core import validation
from ..core.arrays import Array, Float32, Int64
from ..core.splitting import split_validation
from ..nn import scales
from ..nn.layers import BatchNorm
from ..nn.sequential import Sequential


@dataclass(frozen=True)
class Examples:
    """Checked images and labels, and which of them count."""

    rows: Array  # (n, d) uint8, which means value / 255, or float32
    scale: str | None  # on which the images were read
    labels: Int64  # (n,)
    weights: Float32 | None  # (n,)
    pool: Int64  # (m,) rows to use, in their order


def batches(n: int, size: int) -> list[slice]:
    """Return the slices that cut ``n`` rows into batches; a last one of one row joins the one before it."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n % size == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


def checked_examples(network: Sequential, x: object, y: object, weight: object) -> Examples:
    """Return what a training learns from; a network that was never trained takes its scale from these images."""
    images = validation.check_images(x, network.input_width, "fit: x")
    return _checked(network, images, network.scale_for(images, "fit: x"), y, weight, "")


def _checked(
    network: Sequential, images: Array, scale: str | None, y: object, weight: object, prefix: str
) -> Examples:
    """Return checked images with labels and weights; ``prefix`` says in errors whose they are."""
    n, width = images.shape
    labels = validation.check_labels(y, n, network.widths(width)[-1], f"fit: {prefix}y")
    weights = None if weight is None else validation.check_weights(weight, n, f"fit: {prefix}sample_weight")
    pool = np.arange(n, dtype=np.int64) if weights is None else np.flatnonzero(weights).astype(np.int64)
    return Examples(scales.to_rows(images, scale, f"fit: {prefix}x"), scale, labels, weights, pool)


def checked_validation(network: Sequential, data: tuple[Any, ...], scale: str | None) -> Examples:
    """Return what a training on a scale is judged by, given as (x, y) or (x, y, sample_weight)."""
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(
            f"fit: validation_data must be a pair (x, y), or (x, y, sample_weight); got {type(data).__name__}"
        )
    x, y, weight = data if len(data) == 3 else (*data, None)
    images = validation.check_images(x, network.input_width, "fit: validation x")
    return _checked(network, images, scale, y, weight, "validation ")


def split(
    seed: int, examples: Examples, validation_data: object, fraction: float
) -> tuple[Examples, Examples | None]:
    """Set a fraction of the images apart, drawn from the seed."""
    if not isinstance(fraction, float | int) or not 0 <= fraction < 1:
        raise ValueError(f"fit: validation_split must be a number with 0 ≤ f < 1; got {fraction!r}")
    if fraction == 0:
        return examples, None
    if validation_data is not None:
        raise ValueError("fit: only one of validation_data and validation_split may be given; got both")
    pool = examples.pool
    kept, chosen = split_validation(pool.size, fraction, seed, "fit: validation_split")
    apart = pool[chosen]
    weights = None if examples.weights is None else examples.weights[apart]
    held_out = Examples(
        examples.rows[apart],
        examples.scale,
        examples.labels[apart],
        weights,
        np.arange(apart.size),
    )
    return replace(examples, pool=pool[kept]), held_out


def check_batchnorm(network: Sequential, parts: list[slice]) -> None:
    """Raise a ValueError if a batch has one image, which has no variance, and a layer normalises by it."""
    smallest = min(part.stop - part.start for part in parts)
    layer = next((layer for layer in network.layers if isinstance(layer, BatchNorm)), None)
    if smallest == 1 and layer is not None:
        raise ValueError(
            f"fit: each batch must hold at least 2 images, as {layer.name} normalises by the batch; got 1: "
            "take more images or a greater batch_size"
        )


def digest(examples: Examples) -> str:
    """Return the SHA-256 of images, labels and weights."""
    total = hashlib.sha256()
    for array in (examples.rows, examples.labels, examples.weights, examples.pool):
        if array is not None:
            total.update(f"{array.dtype} {array.shape} ".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
