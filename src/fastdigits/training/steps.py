"""Run the steps of a training: one at a time in Python, or many in one call of a recorded program."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from .. import backend
from ..backend import aligned
from ..core import changes, streams
from ..core.arrays import Array, Int64
from ..errors import DivergedError
from ..nn.losses import total_weight
from .adversarial import forward
from .lowering import TrainingStep, why_eager
from .preparation import TrainingSetup
from .streaming import Epoch

STRETCH_SECONDS = 0.02  # of steps in one call; between calls, callbacks run and Ctrl-C takes effect
_T = TypeVar("_T")
LARGE = 100.0  # images with larger numbers than this should be scaled


def lowers(setup: TrainingSetup) -> bool:
    """Return whether this training can be lowered; warn if a part that is written in Python prevents it."""
    if not hasattr(backend.kernels, "Program"):
        return False
    reason = why_eager(setup.network, setup.options.loss, setup.options.optimizer)
    if reason is None:
        return True
    streams.warn(
        f"fit: {reason} is written in Python, so that each step runs through the interpreter; "
        "networks of this package's own parts train several times faster",
        stacklevel=5,  # the call of `NeuralNetwork.fit`
    )
    return False


class Eager:
    """Run the steps of one call of `fit` one at a time, in Python."""

    def __init__(self) -> None:
        self._totals = np.zeros(3)

    def totals(self) -> list[Array]:
        """Return the sums over the steps of the epoch: of weight · loss, of weight · hit and of weights."""
        return [self._totals]

    def run(self, setup: TrainingSetup, order: Int64 | Epoch, lrs: Array, step: int, stop: int) -> int:
        """Run one step; return the number of the next one."""
        sums = train_step(setup, order[setup.batches[step]], lrs[step])
        if not math.isfinite(sums[0]):
            raise diverged(setup, step, lrs[step])
        self._totals += sums
        return step + 1


def train_step(setup: TrainingSetup, index: Int64, lr: float) -> tuple[float, float, float]:
    """Take a step on some rows if the loss is finite; return the sums of `Eager.totals`, as before the step."""
    train, loss_of = setup.train, setup.options.loss
    labels, weight = train.labels[index], None if train.weights is None else train.weights[index]
    logits = forward(setup.network, pixels(setup, index), labels, loss_of, setup.options.adversarial)
    loss = loss_of.forward(logits, labels, weight)
    if math.isfinite(loss):
        setup.network.backward(loss_of.backward())
        update(setup, lr)
    right = logits.argmax(axis=1) == labels
    share = total_weight(index.size, weight)
    hits = total_weight(int(right.sum()), None if weight is None else weight[right])
    return share * loss, hits, share


def update(setup: TrainingSetup, lr: float) -> None:
    """Clip the gradients, update the parameters and their average."""
    parameters = setup.network.parameters()
    if setup.clipping is not None:
        setup.clipping.apply(parameters)
    setup.options.optimizer.step(parameters, lr=lr)  # a user's optimizer takes no kernels
    if setup.options.average is not None:
        setup.options.average.update()


def pixels(setup: TrainingSetup, index: Int64) -> Array:
    """Return rows of the training images, distorted if there is an augmenter."""
    if setup.augmenter is None:
        return setup.train.rows[index]
    distorted = aligned.empty(index.size, setup.train.rows.shape[1], dtype=np.uint8)
    setup.augmenter.run(distorted, setup.train.rows, index)
    return distorted


class Recordings(Generic[_T]):
    """What ``record(setup)`` returns: recorded programs; recorded again when their sources have changed.

    Callbacks may change anything between two calls.
    """

    def __init__(self, setup: TrainingSetup, record: Callable[[TrainingSetup], _T]) -> None:
        self._record = record
        self._renew(setup)

    def _renew(self, setup: TrainingSetup) -> None:
        recorded_from, self._version = _parts_of(setup), changes.version
        self._programs = self._record(setup)
        # After a change during the recording, keep no fingerprint: the next check then records again.
        self._recorded_from = recorded_from if changes.version == self._version else []

    def current(self, setup: TrainingSetup) -> _T:
        """Return programs that do what eager steps would do."""
        if not self._are_current(setup):
            if (reason := why_eager(setup.network, setup.options.loss, setup.options.optimizer)) is not None:
                raise RuntimeError(
                    f"fit: the layers of a network must stay of this package's own kinds while it trains; got "
                    f"{reason}: put it there before fit"
                )
            self._renew(setup)
        return self._programs

    def _are_current(self, setup: TrainingSetup) -> bool:
        version = changes.version
        if version != self._version:
            if not changes.same(self._recorded_from, _parts_of(setup)):
                return False
            self._version = version
        return True


def _record(totals: dict[int, Array], setup: TrainingSetup) -> dict[int, TrainingStep]:
    """Return a program for each batch size, which adds to these totals."""
    return {size: lowered_step(setup, size, sums) for size, sums in totals.items()}


class Lowered:
    """Run the steps of one call of `fit` as recorded programs, many steps per call."""

    def __init__(self, setup: TrainingSetup) -> None:
        self._totals = {size: np.zeros(3) for size in setup.batches.sizes}
        self.stretch = 8
        # A method would refer to this object in a circle, which keeps the images until a garbage collection.
        self._recordings = Recordings(setup, functools.partial(_record, self._totals))

    def totals(self) -> list[Array]:
        """Return the sums of `Eager.totals` for each batch size."""
        return list(self._totals.values())

    def run(self, setup: TrainingSetup, order: Int64 | Epoch, lrs: Array, step: int, stop: int) -> int:
        """Run steps of one batch size for about `STRETCH_SECONDS`; return the number of the next step."""
        steps = self._recordings.current(setup)
        first, until = setup.batches[step], min(stop, step + self.stretch)
        size = first.stop - first.start
        # The last batch of an epoch may have another size.
        while (last := setup.batches[until - 1]).stop - last.start != size:
            until -= 1
        piece = order[first.start : last.stop]
        started = time.perf_counter()
        done = steps[size].run(piece, lrs[step:until], setup.threads)
        seconds = time.perf_counter() - started
        if step + done < until:
            raise diverged(setup, step + done, lrs[step + done])
        self.stretch = max(1, min(2 * self.stretch, int(STRETCH_SECONDS * done / max(seconds, 1e-9))))
        return until


def lowered_step(setup: TrainingSetup, size: int, totals: Array) -> TrainingStep:
    """Return the recorded step of a training on ``size`` rows."""
    train = setup.train
    return TrainingStep(
        setup.network, train.rows, train.labels, train.weights, size, setup.options.loss, setup.options.optimizer,
        augmenter=setup.augmenter, clipping=setup.clipping, average=setup.options.average, totals=totals,
        adversarial=setup.options.adversarial,
    )  # fmt: skip


def _parts_of(setup: TrainingSetup) -> list[Any]:
    """Return the fingerprint of everything that the programs are recorded from."""
    parameters = setup.network.parameters()
    states = setup.options.optimizer.states(parameters)
    return changes.fingerprint(
        setup.network.layers,
        parameters,
        setup.options.loss,
        setup.options.optimizer,
        states,
        setup.clipping,
        setup.options.average,
    )


def diverged(setup: TrainingSetup, step: int, lr: float) -> DivergedError:
    """Return the error that names epoch, step and learning rate; all ranks have the same loss, and raise it."""
    rows = setup.train.rows
    most = 0.0 if rows.dtype == np.uint8 else float(max(rows.max(), -rows.min()))
    scale = f", or scale the images, whose largest number is {most:g}" if most > LARGE else ""
    error = DivergedError(
        f"fit: loss and weights must stay finite; they were not in epoch {setup.network.epochs_trained + 1}, "
        f"step {step + 1} of {len(setup.batches)}, at learning rate {lr:g}: take a smaller one{scale}"
    )
    return setup.options.ranks.agreed(error)
