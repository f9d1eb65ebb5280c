"""The steps of a training: one after the other through the interpreter, or many in one call of a recorded program."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core import changes, streams
from ..core.arrays import Array, Float32, Int64
from ..core.seeding import SHUFFLE, stream
from ..errors import DivergedError
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential
from ..optim.averaging import WeightAverage
from ..optim.clipping import ClipNorm
from ..optim.optimizers import Optimizer
from ..optim.schedules import Schedule
from .augmentation import Augmenter
from .batches import Examples
from .callbacks import Callback
from .checkpoint import Checkpoint
from .lowering import TrainingStep, why_eager

STRETCH_SECONDS = 0.02  # between two looks at callbacks and signals; Ctrl-C is answered within it
LARGE = 100.0  # numbers in images that are far from 0 … 1


@dataclass(frozen=True)
class Job:
    """One call of `fit`, everything checked."""

    network: Sequential
    train: Examples
    held_out: Examples | None
    parts: list[slice]
    epochs: int
    optimizer: Optimizer
    schedule: Schedule
    loss: SoftmaxCrossEntropy
    augmenter: Augmenter | None
    clipping: ClipNorm | None
    average: WeightAverage | None
    shuffle: bool
    callbacks: tuple[Callback, ...]
    threads: int
    checkpoint: Checkpoint | None
    optimizer_repr: str  # as it was at first: a callback may change its learning rate


def lowers(job: Job) -> bool:
    """Return whether this training can be lowered; warn if it is a layer or the like that keeps it from that."""
    if not hasattr(backend.kernels, "Program"):
        return False
    reason = why_eager(job.network, job.loss, job.optimizer)
    if reason is None:
        return True
    streams.warn(
        f"fit: {reason} is written in Python, so that each step runs through the interpreter; "
        "networks of this package's own parts train several times faster",
        stacklevel=5,  # where `NeuralNetwork.fit` was called
    )
    return False


class Eager:
    """The steps of one call of `fit`, one after the other through the interpreter."""

    def __init__(self) -> None:
        self._totals = np.zeros(3)

    def totals(self) -> list[Array]:
        """Return the sums of weight · loss, of weight · hit and of weights over the steps of the epoch."""
        return [self._totals]

    def run(self, job: Job, order: Int64, lrs: Array, step: int, stop: int) -> int:
        """Take a step; return the number of the next."""
        train = job.train
        index = order[job.parts[step]]
        weight = None if train.weights is None else train.weights[index]
        loss, right = _train_step(job, _pixels(job, index), train.labels[index], weight, lrs[step])
        if not math.isfinite(loss):
            raise diverged(job, step, lrs[step])
        share = float(index.size if weight is None else weight.sum(dtype=np.float64))
        hits = float(right.sum() if weight is None else weight[right].sum(dtype=np.float64))
        self._totals += (share * loss, hits, share)
        return step + 1


def _train_step(
    job: Job, rows: Array, labels: Int64, weight: Float32 | None, lr: float
) -> tuple[float, Array]:
    """Take one step unless the loss is not finite; return loss and hits of the images before it."""
    logits = job.network.run(rows, training=True)
    loss = job.loss.forward(logits, labels, weight)
    if math.isfinite(loss):
        job.network.backward(job.loss.backward())
        if job.clipping is not None:
            job.clipping.apply(job.network.parameters())
        job.optimizer.step(job.network.parameters(), lr=lr)
        if job.average is not None:
            job.average.update()
    return loss, logits.argmax(axis=1) == labels


def _pixels(job: Job, index: Int64) -> Array:
    """Return rows of the training images, distorted if that is asked for."""
    if job.augmenter is None:
        return job.train.rows[index]
    distorted = aligned.empty(index.size, job.train.rows.shape[1], dtype=np.uint8)
    job.augmenter.run(distorted, job.train.rows, index)
    return distorted


class Lowered:
    """The steps of one call of `fit`, run in stretches between which Python may look up."""

    def __init__(self, job: Job) -> None:
        sizes = sorted({part.stop - part.start for part in job.parts})
        self._totals = {size: np.zeros(3) for size in sizes}
        self.stretch = 8
        self._record(job)

    def _record(self, job: Job) -> None:
        """Record the steps, and from what."""
        recorded_from, self._version = _parts_of(job), changes.version
        self.steps = {size: self._step(job, size) for size in self._totals}
        # What changed meanwhile may be changed back: the next look then finds that nothing fits, and records again.
        self._recorded_from = recorded_from if changes.version == self._version else []

    def _step(self, job: Job, size: int) -> TrainingStep:
        train = job.train
        return TrainingStep(
            job.network, train.rows, train.labels, train.weights, size, job.loss, job.optimizer,
            augmenter=job.augmenter, clipping=job.clipping, average=job.average, totals=self._totals[size],
        )  # fmt: skip

    def _is_current(self, job: Job) -> bool:
        """Return whether the steps are still what the eager way would do now: callbacks may change anything."""
        version = changes.version
        if version != self._version:
            if not changes.same(self._recorded_from, _parts_of(job)):
                return False
            self._version = version
        return True

    def totals(self) -> list[Array]:
        """Return what `Eager.totals` returns, for each size of a batch."""
        return list(self._totals.values())

    def run(self, job: Job, order: Int64, lrs: Array, step: int, stop: int) -> int:
        """Run as many steps of one size as take about `STRETCH_SECONDS`; return the number of the next one."""
        if not self._is_current(job):
            if (reason := why_eager(job.network, job.loss, job.optimizer)) is not None:
                raise RuntimeError(
                    f"fit: the layers of a network must stay of this package's own kinds while it trains; got "
                    f"{reason}: put it there before fit"
                )
            self._record(job)
        size = job.parts[step].stop - job.parts[step].start
        until = step + 1
        while (
            until < min(stop, step + self.stretch) and job.parts[until].stop - job.parts[until].start == size
        ):
            until += 1
        piece = order[job.parts[step].start : job.parts[until - 1].stop]
        started = time.perf_counter()
        done = self.steps[size].run(piece, lrs[step:until], job.threads)
        seconds = time.perf_counter() - started
        if step + done < until:
            raise diverged(job, step + done, lrs[step + done])
        self.stretch = max(1, min(2 * self.stretch, int(STRETCH_SECONDS * done / max(seconds, 1e-9))))
        return until


def _parts_of(job: Job) -> list[Any]:
    """Return the fingerprint of all that the steps of a training are recorded from."""
    parameters = job.network.parameters()
    states = job.optimizer.states(parameters)
    return changes.fingerprint(
        job.network.layers, parameters, job.loss, job.optimizer, states, job.clipping, job.average
    )


def diverged(job: Job, step: int, lr: float) -> DivergedError:
    """Return the error that names epoch, step and learning rate."""
    rows = job.train.rows
    most = 0.0 if rows.dtype == np.uint8 else float(max(rows.max(), -rows.min()))
    scale = f", or scale the images, whose largest number is {most:g}" if most > LARGE else ""
    return DivergedError(
        f"fit: loss and weights must stay finite; they were not in epoch {job.network.epochs_trained + 1}, "
        f"step {step + 1} of {len(job.parts)}, at learning rate {lr:g}: take a smaller one{scale}"
    )


def order_of(job: Job) -> Int64:
    """Return the coming epoch's rows in an order that depends on the seed and the epoch's number alone."""
    if not job.shuffle:
        return job.train.pool
    return stream(job.network.seed, SHUFFLE, job.network.epochs_trained).permutation(job.train.pool)
