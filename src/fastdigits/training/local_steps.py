"""Steps of each shard on its own, with an average every few steps: for machines that are slow to reach.

Each shard of a batch is a worker, which trains its own copy of the network. After some steps, the copies are averaged:
weights, running statistics, moments of the optimizer, and averages of weights. Between two averages, nothing is
exchanged. A rank trains its workers one after another, each from the last average: so it holds no copies of them, and
any number of ranks gives the same bits.

Lin, Stich, Patel, Jaggi (2020), Don't Use Large Mini-Batches, Use Local SGD. Douillard et al. (2023), DiLoCo.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..backend import aligned
from ..core.arrays import Array, Float32, Int64
from ..nn.layers import Dropout
from .batch_shards import TreeSum
from .lowering import TrainingStep
from .preparation import TrainingSetup
from .steps import Recordings, diverged, lowered_step, train_step
from .streaming import Epoch


class LocalSteps:
    """Run the steps of one call of `fit`, each rank those of its workers."""

    def __init__(self, setup: TrainingSetup, *, lowered: bool) -> None:
        self._totals = np.zeros(3)
        self._recordings = Recordings(setup, _record) if lowered else None
        self._tree = TreeSum(setup.options.ranks)

    def totals(self) -> list[Array]:
        """Return the sums of `Eager.totals`."""
        return [self._totals]

    def run(self, setup: TrainingSetup, order: Int64 | Epoch, lrs: Array, step: int, stop: int) -> int:
        """Run the steps to the next average, or to the end of the epoch; return the number of the next step."""
        ranks, workers = setup.options.ranks, setup.options.batch_shards
        every = setup.options.average_every
        stop = min(step - step % every + every, len(setup.batches))
        state = _WorkerState(setup, stop - step)
        sums = aligned.zeros(4)  # of weight · loss, of weight · hit, of weights, and whether Ctrl-C came

        def compute(worker: int) -> None:
            state.begin(worker)
            shards = []
            for batch in setup.batches[step:stop]:
                part = setup.shards(batch.stop - batch.start)[worker]
                shards.append(order[batch.start + part.start : batch.start + part.stop])
            sums[:] = *self._train(setup, shards, lrs[step:stop]), ranks.interrupted

        with ranks.whole_steps():
            with state.undone_on_error():
                self._tree.add(workers, compute, (*state.arrays, sums))
                loss, hits, mass, interrupts = sums.tolist()
                if not math.isfinite(loss):
                    raise diverged(setup, step, lrs[step])
            state.average(workers)
            self._totals += (loss, min(hits, mass), mass)
            if interrupts:
                ranks.interrupt()
        return stop

    def _train(self, setup: TrainingSetup, shards: list[Int64], lrs: Array) -> tuple[float, float, float]:
        """Run the steps of a worker; return its sums, of which the loss is NaN if it diverges."""
        totals = np.zeros(3)
        if self._recordings is None:
            for index, lr in zip(shards, lrs, strict=True):
                totals += train_step(setup, index, lr)
                if not math.isfinite(totals[0]):
                    break
        else:
            programs = self._recordings.current(setup)
            for program in programs.values():
                program.totals[:] = 0
            first = 0
            while first < len(shards):  # the last batch of an epoch may have smaller shards
                last = first
                while last < len(shards) and shards[last].size == shards[first].size:
                    last += 1
                program = programs[shards[first].size]
                done = program.run(np.concatenate(shards[first:last]), lrs[first:last], setup.threads)
                if done < last - first:
                    return math.nan, 0.0, 0.0
                first = last
            for program in programs.values():
                totals += program.totals
        loss, hits, mass = totals.tolist()
        return loss, hits, mass


class _WorkerState:
    """All that steps change: each worker begins with that of the last average."""

    def __init__(self, setup: TrainingSetup, steps: int) -> None:
        network, optimizer, average = setup.network, setup.options.optimizer, setup.options.average
        states = optimizer.states(network.parameters())
        self.arrays: list[Float32] = [network.values]
        self.arrays += [array.reshape(-1) for array in network.buffers().values()]
        self.arrays += [array for state in states for array in state.arrays]
        self.arrays += [] if average is None else average.arrays()
        self._before = [array.copy() for array in self.arrays]
        self._steps = steps
        self._masks = [(layer, layer.step) for layer in network.layers if isinstance(layer, Dropout)]
        counted: list[Any] = list(states)
        counted += [] if average is None else [average]
        self._counts: list[tuple[Any, str, int]] = [(one, "step", one.step) for one in counted]
        self._counts.append((optimizer, "step_count", optimizer.step_count))

    def begin(self, worker: int) -> None:
        """Restore the last average; give each worker masks of its own."""
        for array, before in zip(self.arrays, self._before, strict=True):
            array[...] = before
        self._count(0, worker)

    def _count(self, steps: int, workers: int) -> None:
        for owner, name, count in self._counts:
            setattr(owner, name, count + steps)
        for layer, count in self._masks:
            layer.step = count + workers * self._steps

    def average(self, workers: int) -> None:
        """Divide the sums over the workers by their number, and count the steps."""
        for array in self.arrays:
            np.multiply(array, 1 / workers, out=array)
        self._count(self._steps, workers)

    @contextlib.contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Restore the last average if the block raises anything."""
        try:
            yield
        except BaseException:
            self.begin(0)
            raise


def _record(setup: TrainingSetup) -> dict[int, TrainingStep]:
    """Return a program for each size of a shard."""
    sizes = sorted({part.stop - part.start for size in setup.batches.sizes for part in setup.shards(size)})
    return {size: lowered_step(setup, size, np.zeros(3)) for size in sizes}
