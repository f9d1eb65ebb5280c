"""Lower training steps for one batch size: record their kernels and arrays in a program.

The eager code of layers, loss and optimizer runs once, with the methods of a ``Program`` in place of the kernels. The
program records which kernels are called on which arrays, and repeats these calls without Python.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core.arrays import Array, Float32, Int64
from ..nn import assembly
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential
from ..optim.averaging import WeightAverage
from ..optim.clipping import ClipNorm
from ..optim.optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop
from .adversarial import forward
from .augmentation import Augmenter

_OPTIMIZERS = (SGD, Momentum, RMSprop, Adam, AdamW)
_NO_RATE: Array = np.zeros(1)  # of a program without an update
_NO_ROWS: Int64 = np.zeros(0, dtype=np.int64)


def why_eager(network: Sequential, loss: SoftmaxCrossEntropy, optimizer: Optimizer) -> str | None:
    """Return the class that prevents lowering this training, or None if it can be lowered."""
    parts: tuple[Any, ...] = (*network.layers, loss, optimizer)
    known = (*assembly.BUILT_IN.values(), SoftmaxCrossEntropy, *_OPTIMIZERS)
    return next((type(part).__name__ for part in parts if type(part) not in known), None)


class TrainingStep:
    """A recorded training step on any ``size`` rows of the training images.

    Parameters
    ----------
    network, loss, optimizer
        Built-in ones; see `why_eager`. The step updates their arrays.
    rows : ndarray, (n, d), uint8 or float32
    labels : ndarray, (n,) int64
    weights : ndarray, (n,) float32, or None
    size : int
        Rows per step.
    augmenter : Augmenter, optional
        Distorts the rows, which must be pixels.
    clipping : ClipNorm, optional
        Clips the gradients before the update.
    average : WeightAverage, optional
        Updated in each step; its `begin` must have been called with the network's parameters.
    totals : ndarray, (3,) float64, optional
        Array for the attribute ``totals``; a new one by default.
    adversarial : float, default 0.0
        Length by which half of the rows are moved; see `training.adversarial`.

    Attributes
    ----------
    totals : ndarray, (3,) float64
        Sums over the steps since the caller set them to zero: of weight · loss, of weight · hit, of weights.
    """

    def __init__(
        self,
        network: Sequential,
        rows: Array,
        labels: Int64,
        weights: Float32 | None,
        size: int,
        loss: SoftmaxCrossEntropy,
        optimizer: Optimizer,
        *,
        augmenter: Augmenter | None = None,
        clipping: ClipNorm | None = None,
        average: WeightAverage | None = None,
        totals: Array | None = None,
        adversarial: float = 0.0,
    ) -> None:
        index = np.zeros(size, dtype=np.int64)
        mass = np.full(1, size, dtype=np.float64)
        shares = aligned.floats(size)
        shares.fill(1 / size)
        self.totals = np.zeros(3) if totals is None else totals
        self._program = backend.kernels.Program(index)
        with self._program as kernels:
            batch, batch_labels = _gather(rows, labels, index, augmenter, kernels)
            if weights is not None:
                kernels.gather_weights(shares, mass, weights, index)
            logits = forward(network, batch, batch_labels, loss, adversarial, kernels)
            losses, probs = loss.run(logits, batch_labels, shares, kernels)
            kernels.accumulate(self.totals, losses, probs, batch_labels, shares, mass)
            network.backward(loss.backward(kernels), kernels)
            _record_update(network, optimizer, clipping, average, kernels)

    def run(self, order: Int64, lrs: Array, threads: int) -> int:
        """Run one step per learning rate; return the number of steps before the loss was not finite."""
        done: int = self._program.run(order, lrs, threads)
        return done


class ShardGradients:
    """A recorded forward and backward pass of ``size`` rows that are part of a batch; it writes the gradients.

    Parameters
    ----------
    network, rows, labels, size, loss, augmenter, adversarial
        As for `TrainingStep`.

    Attributes
    ----------
    shares : ndarray, (size,) float32
        The share of each row in the loss of the batch; the caller sets it before each run.
    """

    def __init__(
        self,
        network: Sequential,
        rows: Array,
        labels: Int64,
        size: int,
        loss: SoftmaxCrossEntropy,
        *,
        augmenter: Augmenter | None = None,
        adversarial: float = 0.0,
    ) -> None:
        index = np.zeros(size, dtype=np.int64)
        self.shares = aligned.zeros(size)
        self._totals = np.zeros(3)
        self._program = backend.kernels.Program(index)
        with self._program as kernels:
            batch, batch_labels = _gather(rows, labels, index, augmenter, kernels)
            logits = forward(network, batch, batch_labels, loss, adversarial, kernels)
            losses, probs = loss.run(logits, batch_labels, self.shares, kernels)
            kernels.accumulate(self._totals, losses, probs, batch_labels, self.shares, np.ones(1))
            network.backward(loss.backward(kernels), kernels)

    def run(self, index: Int64, threads: int) -> tuple[float, float]:
        """Return the sum of the losses and the fraction of hits; NaN, without gradients, if it is not finite."""
        self._totals.fill(0)
        if self._program.run(index, _NO_RATE, threads) == 0:
            return math.nan, 0.0
        loss, hits, _ = self._totals.tolist()
        return loss, hits


class Update:
    """The recorded second half of a step: clip the gradients, update the parameters and their average."""

    def __init__(
        self,
        network: Sequential,
        optimizer: Optimizer,
        *,
        clipping: ClipNorm | None = None,
        average: WeightAverage | None = None,
    ) -> None:
        self._program = backend.kernels.Program(_NO_ROWS)
        with self._program as kernels:
            _record_update(network, optimizer, clipping, average, kernels)

    def run(self, lr: Array, threads: int) -> None:
        """Update once; ``lr`` is (1,) float64."""
        self._program.run(_NO_ROWS, lr, threads)


def _gather(
    rows: Array, labels: Int64, index: Int64, augmenter: Augmenter | None, kernels: Any
) -> tuple[Array, Int64]:
    """Record how a step copies its rows, distorted if there is an augmenter, and its labels; return the copies."""
    size = index.size
    batch_labels = aligned.zeros(size, dtype=np.int64)
    batch = aligned.empty(size, rows.shape[1], dtype=rows.dtype)
    if augmenter is not None:
        augmenter.run(batch, rows, index, kernels)
    elif rows.dtype == np.uint8:
        kernels.gather_uint8(batch, rows, index)
    else:
        kernels.gather(batch, rows, index)
    kernels.gather_labels(batch_labels, labels, index)
    return batch, batch_labels


def _record_update(
    network: Sequential,
    optimizer: Optimizer,
    clipping: ClipNorm | None,
    average: WeightAverage | None,
    kernels: Any,
) -> None:
    parameters = network.parameters()
    if clipping is not None:
        clipping.apply(parameters, kernels)
    optimizer.step(parameters, kernels=kernels)
    if average is not None:
        average.update(kernels)
