"""Check the images, labels and weights of a training, order them and cut them into batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from ..core import validation
from ..core.arrays import Array, Float32, Int64, digest_of
from ..core.blocks import Blocks
from ..core.seeding import SHUFFLE, stream
from ..core.splitting import split_validation
from ..nn import scales
from ..nn.sequential import Sequential, check_no_labels
from .streaming import StreamedImages


@dataclass(frozen=True)
class LabelledImages:
    """Checked images with labels and weights."""

    rows: Array  # (n, d) uint8, which means value / 255, or float32
    scale: str | None  # of the images
    labels: Int64  # (n,)
    weights: Float32 | None  # (n,)
    pool: Int64  # (m,) numbers of the rows to use, ascending

    @property
    def count(self) -> int:
        """Images per epoch."""
        return self.pool.size

    @property
    def keys(self) -> None:
        """Numbers of the images for their distortions: their rows."""
        return None

    def epoch(self, seed: int | None, epoch: int, first: int) -> contextlib.AbstractContextManager[Int64]:
        """Return the rows of an epoch in their order."""
        return contextlib.nullcontext(epoch_order(self.pool, seed, epoch))

    def last_step(self, parts: Sequence[slice], step: int, stop: int) -> int:
        """Return ``stop``: all images can be used at any time."""
        return stop

    def to_score(self) -> LabelledImages:
        """Return the images of the pool without weights, to evaluate a network on them."""
        return replace(self, rows=self.rows[self.pool], labels=self.labels[self.pool], weights=None)

    def batches_in_order(self, size: int) -> Iterator[Array]:
        """Yield the rows of all images, in batches."""
        return (np.ascontiguousarray(self.rows[self.pool[part]]) for part in Batches(self.pool.size, size))

    def digest(self) -> str:
        """Return the SHA-256 of images, labels and weights; k / 255 as uint8 and as float32 have the same."""
        rows = self.rows
        if rows.dtype == np.uint8 and self.scale not in (scales.PIXELS, None):
            rows = np.divide(rows, np.float32(scales.WHITE), dtype=np.float32)
        return digest_of(array for array in (rows, self.labels, self.weights, self.pool) if array is not None)


def epoch_order(pool: Int64, seed: int | None, epoch: int) -> Int64:
    """Return the rows of an epoch in their order, which depends on seed and epoch alone; as they are without a seed."""
    return pool if seed is None else stream(seed, SHUFFLE, epoch).permutation(pool)


class Batches(Sequence[slice]):
    """The slices that cut ``n`` rows into batches; a last batch of one row joins the batch before it.

    They are not stored: an epoch may have millions.
    """

    def __init__(self, n: int, size: int) -> None:
        self._n, self._size = n, size
        self._length = -(-n // size)
        if self._length > 1 and n % size == 1:
            self._length -= 1

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, at: int) -> slice: ...
    @overload
    def __getitem__(self, at: slice) -> list[slice]: ...
    def __getitem__(self, at: int | slice) -> slice | list[slice]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self._length))]
        number = range(self._length)[at]
        start = number * self._size
        return slice(start, self._n if number == self._length - 1 else start + self._size)

    @property
    def sizes(self) -> list[int]:
        """The different sizes, ascending."""
        return sorted({part.stop - part.start for part in (self[0], self[-1])})


def shards(n: int, most: int, least: int) -> list[slice]:
    """Return the slices that cut a batch of ``n`` rows into ``most`` shards, or into fewer of ``least`` rows each."""
    count = max(1, min(most, n // least))
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def check_training_images(
    network: Sequential, x: object, y: object, weight: object, batch_size: int
) -> LabelledImages | StreamedImages:
    """Return the checked training data; an untrained network gets its scale from these images."""
    if isinstance(x, Blocks):
        check_no_labels(y, "fit")
        if weight is not None:
            raise TypeError(
                f"fit: sample_weight must be None with Shards; got {type(weight).__name__}: omit it, and write shards "
                "of the images to train on"
            )
        scale = network.training_scale(x)
        network.check_blocks(x, scale, "fit: x")
        return StreamedImages(x, scale, batch_size)
    images = network.check_images(x, "fit: x")
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


def check_validation_images(
    network: Sequential, data: tuple[Any, ...] | Blocks, scale: str | None
) -> LabelledImages | Blocks:
    """Return checked validation data on the scale of the training.

    ``data`` is (x, y) or (x, y, sample_weight), or images in blocks.
    """
    if isinstance(data, Blocks):
        network.check_blocks(data, scale, "fit: validation_data")
        return data
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(
            f"fit: validation_data must be (x, y), (x, y, sample_weight) or Shards; got {type(data).__name__}"
        )
    x, y, weight = data if len(data) == 3 else (*data, None)
    images = network.check_images(x, "fit: validation x")
    rows = scales.to_rows(images, scale, "fit: validation x")
    return _labelled(network, rows, scale, y, weight, "validation ")


def split_off_validation(
    images: LabelledImages | StreamedImages, fraction: float, seed: int
) -> tuple[LabelledImages | StreamedImages, LabelledImages | None]:
    """Return the images to train on and a fraction to validate on, or None for a fraction of 0."""
    if fraction == 0:
        return images, None
    if isinstance(images, StreamedImages):
        raise ValueError(
            f"fit: validation_split must be 0 with Shards; got {fraction:g}: pass validation_data=, which may be "
            "other shards"
        )
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
