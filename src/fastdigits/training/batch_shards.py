"""Steps whose batch is cut into shards: several ranks share them, and any number of ranks gives the same bits.

Each shard is computed as a batch of its own, so batch normalisation uses the shard's mean and variance. The loss
divides by the whole batch, so the gradients of the shards add up to those of the batch. Gradients, running statistics,
loss and hits are added in a binary tree over the shards, which does not depend on the rank that computes a shard.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..backend import aligned
from ..core.arrays import Array, Float32, Int64
from ..nn.layers import Dropout
from ..nn.losses import SoftmaxCrossEntropy, total_weight
from ..nn.sequential import Sequential
from .adversarial import forward
from .lowering import ShardGradients, Update
from .preparation import TrainingSetup
from .ranks import Ranks
from .steps import STRETCH_SECONDS, Recordings, diverged, pixels, update
from .streaming import Epoch


class Sharded:
    """Run the steps of one call of `fit`, each rank its shards of every batch."""

    def __init__(self, setup: TrainingSetup, *, lowered: bool) -> None:
        self._totals = np.zeros(3)
        self._passes = _LoweredPasses(setup) if lowered else _EagerPasses()
        self._tree = TreeSum(setup.options.ranks)

    def totals(self) -> list[Array]:
        """Return the sums of `Eager.totals`."""
        return [self._totals]

    def run(self, setup: TrainingSetup, order: Int64 | Epoch, lrs: Array, step: int, stop: int) -> int:
        """Run steps for about `STRETCH_SECONDS`; return the number of the next step."""
        until = time.perf_counter() + STRETCH_SECONDS
        self._passes.begin(setup)
        state = _ShardState(setup.network)
        with setup.options.ranks.whole_steps():
            while True:
                self._run_step(setup, order[setup.batches[step]], lrs[step : step + 1], step, state)
                step += 1
                if step == stop or time.perf_counter() > until:
                    return step

    def _run_step(self, setup: TrainingSetup, index: Int64, lr: Array, step: int, state: _ShardState) -> None:
        ranks, weights = setup.options.ranks, None
        if setup.train.weights is not None:
            weights = setup.train.weights[index]
        mass = total_weight(index.size, weights)
        parts = setup.shards(index.size)

        def compute(number: int) -> None:
            part = parts[number]
            state.begin_shard(number)
            weight = None if weights is None else weights[part]
            loss, hits = self._passes.gradients(setup, index[part], weight, mass)
            state.end_shard((part.stop - part.start) / index.size, loss, hits, ranks.interrupted)

        state.begin_step()
        try:
            self._tree.add(len(parts), compute, (setup.network.gradients, state.block))
            loss, hits, interrupts = state.sums()
            if not math.isfinite(loss):
                raise diverged(setup, step, float(lr[0]))
        except BaseException:
            state.undo()
            raise
        state.end_step(setup.options.batch_shards)
        self._passes.update(setup, lr)
        self._totals += (mass * loss, mass * min(hits, 1.0), mass)  # the sum of the hits is rounded
        if interrupts:
            ranks.interrupt()


class _ShardState:
    """What a shard changes beside the gradients: running statistics, which are added, and the counts of `Dropout`.

    Each shard begins with the statistics of the step before. ``block`` is what the tree adds: the statistics after
    the shard times its share of the batch, then loss, hits and whether Ctrl-C came.
    """

    def __init__(self, network: Sequential) -> None:
        buffers = list(network.buffers().values())
        self._counts = [layer._step for layer in network.layers if isinstance(layer, Dropout)]
        self._first = [0 for _ in self._counts]
        ends = list(itertools.accumulate((array.size for array in buffers), initial=0))
        self.block = aligned.zeros(ends[-1] + 3)
        self._sums = self.block[-3:]
        self._buffers = [  # with their values before the step, and their place in the block
            (array, array.copy(), self.block[start:stop].reshape(array.shape))
            for array, (start, stop) in zip(buffers, itertools.pairwise(ends), strict=True)
        ]

    def begin_step(self) -> None:
        """Remember statistics and counts."""
        for array, before, _ in self._buffers:
            before[...] = array
        self._first = [int(count[0]) for count in self._counts]

    def begin_shard(self, number: int) -> None:
        """Give each shard of each step masks of its own."""
        for count, first in zip(self._counts, self._first, strict=True):
            count[0] = first + number

    def end_shard(self, share: float, loss: float, hits: float, interrupted: bool) -> None:
        """Write the block of a shard that is ``share`` of the rows, and restore the statistics."""
        for array, before, place in self._buffers:
            np.multiply(array, share, out=place)
            array[...] = before
        self._sums[:] = loss, hits, interrupted

    def sums(self) -> tuple[float, float, float]:
        """Return loss, hits and the number of interrupted shards from the added blocks."""
        loss, hits, interrupts = self._sums.tolist()
        return loss, hits, interrupts

    def end_step(self, shards: int) -> None:
        """Take the added statistics, and count ``shards`` masks."""
        for array, _, place in self._buffers:
            array[...] = place
        self.begin_shard(shards)

    def undo(self) -> None:
        """Restore statistics and counts after a step that failed."""
        for array, before, _ in self._buffers:
            array[...] = before
        self.begin_shard(0)


# -- forward and backward passes of a shard -----------------------------------------------------------------------


class _EagerPasses:
    """Run passes and updates one kernel at a time, in Python."""

    def begin(self, setup: TrainingSetup) -> None:
        """Do nothing: there is nothing recorded that could be out of date."""

    def gradients(
        self, setup: TrainingSetup, index: Int64, weight: Float32 | None, mass: float
    ) -> tuple[float, float]:
        """Compute the gradients of a shard; return its part of the batch's loss, and of its hits."""
        loss, labels = setup.options.loss, setup.train.labels[index]
        logits = forward(setup.network, pixels(setup, index), labels, loss, setup.options.adversarial)
        if type(loss) is SoftmaxCrossEntropy:
            losses, _ = loss.run(logits, labels, _shares(index.size, weight, mass))
            part, dlogits = float(losses.sum(dtype=np.float64)), loss.backward()
        else:  # it returns the mean over the shard
            share = total_weight(index.size, weight) / mass
            part = loss.forward(logits, labels, weight) * share
            dlogits = loss.backward() * np.float32(share)
        if math.isfinite(part):
            setup.network.backward(dlogits)
        right = logits.argmax(axis=1) == labels
        return part, total_weight(int(right.sum()), None if weight is None else weight[right]) / mass

    def update(self, setup: TrainingSetup, lr: Array) -> None:
        """Update the parameters from the added gradients."""
        update(setup, float(lr[0]))


class _LoweredPasses:
    """Run passes and updates as recorded programs."""

    def __init__(self, setup: TrainingSetup) -> None:
        self._recordings = Recordings(setup, _record)

    def begin(self, setup: TrainingSetup) -> None:
        """Record the programs again if what they were recorded from has changed."""
        self._gradients, self._update = self._recordings.current(setup)

    def gradients(
        self, setup: TrainingSetup, index: Int64, weight: Float32 | None, mass: float
    ) -> tuple[float, float]:
        """Compute the gradients of a shard; return its part of the batch's loss, and of its hits."""
        program = self._gradients[index.size]
        program.shares[...] = 1 / mass if weight is None else _shares(index.size, weight, mass)
        loss, hits = program.run(index, setup.threads)
        return loss, hits * total_weight(index.size, weight) / mass

    def update(self, setup: TrainingSetup, lr: Array) -> None:
        """Update the parameters from the added gradients."""
        self._update.run(lr, setup.threads)


def _record(setup: TrainingSetup) -> tuple[dict[int, ShardGradients], Update]:
    options, train = setup.options, setup.train
    sizes = sorted({part.stop - part.start for size in setup.batches.sizes for part in setup.shards(size)})
    passes = {
        size: ShardGradients(
            setup.network,
            train.rows,
            train.labels,
            size,
            options.loss,
            augmenter=setup.augmenter,
            adversarial=options.adversarial,
        )
        for size in sizes
    }
    return passes, Update(setup.network, options.optimizer, clipping=setup.clipping, average=options.average)


def _shares(size: int, weight: Float32 | None, mass: float) -> Float32:
    """Return the share of each image of a shard in the loss of the batch."""
    if weight is None:
        return np.full(size, 1 / mass, dtype=np.float32)
    return (weight.astype(np.float64) / mass).astype(np.float32)


# -- the sum over the shards --------------------------------------------------------------------------------------


class TreeSum:
    """Add arrays of several shards, which several ranks compute, in an order that depends on their number alone.

    A node of the tree is the shards low … high - 1. It is cut at low plus the largest power of two below their number.
    Each rank with a shard of the node gets the sum of the node: it computes or receives the sums of both halves, and
    adds them. So R ranks exchange log₂ R arrays in turn, and no addition is left to the transport.

    Parameters
    ----------
    ranks : Ranks
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._slots: list[_Slot] = []  # for the sums of one path down the tree
        self._routes: dict[tuple[int, int, int], _Route] = {}

    def add(self, count: int, compute: Callable[[int], None], parts: tuple[Float32, ...]) -> None:
        """Compute this rank's shards, and replace ``parts`` by the sum over all shards.

        Parameters
        ----------
        count : int
            Number of shards.
        compute : callable
            ``compute(number)`` writes a shard into ``parts``.
        parts : tuple of ndarray, (n,) float32
            Of the same sizes at each call.
        """
        self._count, self._compute, self._parts = count, compute, parts
        try:
            self._add_all(count, parts)
        finally:  # ``compute`` may refer to what refers to this object: a circle that keeps the images
            del self._compute

    def _add_all(self, count: int, parts: tuple[Float32, ...]) -> None:
        """Replace ``parts`` by the sum over all shards, on each rank."""
        rank, owners = self._ranks.rank, owners_of(0, count, count, self._ranks.size)
        if rank in owners:
            self._add(0, count, 0, parts)
        idle = [one for one in range(self._ranks.size) if one not in owners]
        if not idle:
            return
        whole, views = self._slot(0)  # fewer shards than ranks: the others get the sum
        sources = _sources(owners, idle)
        if rank in owners:
            _copy(parts, views)
            self._ranks.exchange([(one, whole) for one in idle if sources[one] == rank], [])
        else:
            self._ranks.exchange([], [(sources[rank], whole)])
            _copy(views, parts)

    def _add(self, low: int, high: int, depth: int, out: _Views) -> _Views:
        """Return the sum of a node, in ``out``; a single shard stays in the parts."""
        if high - low == 1:
            self._compute(low)
            return self._parts
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        route = self._route(low, middle, high)
        (left, left_views), (right, right_views) = self._slot(depth), self._slot(depth + 1)
        if route.has_left and self._add(low, middle, depth, left_views) is self._parts:
            _copy(self._parts, left_views)
        last = right_views
        if route.has_right:
            last = self._add(middle, high, depth + 1, right_views)
            if last is self._parts and route.right_to:
                _copy(self._parts, right_views)
        if route.sends_or_receives:
            self._ranks.exchange(
                [(rank, left) for rank in route.left_to] + [(rank, right) for rank in route.right_to],
                [(rank, left) for rank in route.left_from] + [(rank, right) for rank in route.right_from],
            )
        for one, other, total in zip(left_views, last, out, strict=True):
            np.add(one, other, out=total)
        return out

    def _slot(self, depth: int) -> tuple[Float32, _Views]:
        """Return an array for a sum, and views of it as the parts."""
        while len(self._slots) <= depth:
            ends = list(itertools.accumulate((part.size for part in self._parts), initial=0))
            whole = aligned.zeros(ends[-1])
            self._slots.append((whole, tuple(whole[slice(*pair)] for pair in itertools.pairwise(ends))))
        return self._slots[depth]

    def _route(self, low: int, middle: int, high: int) -> _Route:
        key = low, high, self._count
        if key not in self._routes:
            owners = [
                owners_of(*half, self._count, self._ranks.size) for half in ((low, middle), (middle, high))
            ]
            self._routes[key] = _Route.of(self._ranks.rank, *owners)
        return self._routes[key]


_Views = tuple[Float32, ...]
_Slot = tuple[Float32, _Views]


def owners_of(low: int, high: int, count: int, ranks: int) -> list[int]:
    """Return the ranks that compute the shards low … high - 1 of ``count``: rank r has r · count // ranks and on."""
    return sorted({((shard + 1) * ranks - 1) // count for shard in range(low, high)})


def _copy(source: _Views, target: _Views) -> None:
    for one, other in zip(source, target, strict=True):
        other[...] = one


@dataclass(frozen=True)
class _Route:
    """Which sums of the halves of a node a rank has, and to and from which ranks they go."""

    has_left: bool
    has_right: bool
    left_to: list[int]
    right_to: list[int]
    left_from: list[int]  # one rank or none, as the next
    right_from: list[int]

    @property
    def sends_or_receives(self) -> bool:
        return bool(self.left_to or self.right_to or self.left_from or self.right_from)

    @classmethod
    def of(cls, rank: int, left: list[int], right: list[int]) -> _Route:
        """Return the route of a rank, where ``left`` and ``right`` own the halves; one rank may own parts of both."""
        to_right = _sources(left, [one for one in right if one not in left])
        to_left = _sources(right, [one for one in left if one not in right])
        return cls(
            rank in left,
            rank in right,
            [one for one, source in to_right.items() if source == rank],
            [one for one, source in to_left.items() if source == rank],
            [to_right[rank]] if rank in to_right else [],
            [to_left[rank]] if rank in to_left else [],
        )


def _sources(owners: list[int], others: list[int]) -> dict[int, int]:
    """Return from which owner each of the others gets a sum."""
    return {one: owners[i % len(owners)] for i, one in enumerate(others)}
