"""Train a network: the loop over epochs and steps.

`fit` checks all arguments before the first step; the loop itself checks the loss only.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator

import numpy as np

from .._version import __version__
from ..core import validation
from ..core.arrays import Array, Float32, Int64
from ..core.blocks import Blocks
from ..core.rollback import rollback
from ..errors import DivergedError
from ..nn import scales
from ..nn.layers import BatchNorm, Dropout
from ..nn.predictor import RowTooLargeError
from ..nn.sequential import Sequential, mean_score
from ..nn.snapshot import Snapshot
from ..optim.averaging import WeightAverage
from .batch_shards import Sharded
from .batches import Batches, LabelledImages
from .checkpoint import SavedState, newest
from .history import History
from .local_steps import LocalSteps
from .options import FitOptions
from .preparation import TrainingSetup, prepare
from .state import Position, TrainingState
from .steps import Eager, Lowered, diverged, lowers

Runner = Lowered | Eager | Sharded | LocalSteps
LARGE_WEIGHT = 1e4  # below it, five layers of a thousand inputs stay below 1e35
PIECE = 1024  # images of an evaluation that ranks share; more would leave some ranks without work
LARGE_STATISTIC = 1e12  # mean or variance of numbers that are not scaled


def fit(network: Sequential, x: object, y: object, options: FitOptions) -> History:
    """Check everything, then train ``network``; `NeuralNetwork.fit` describes the arguments."""
    ranks = options.ranks
    with ranks.guard(defer=ranks.size > 1):
        setup = ranks.together(lambda: prepare(network, x, y, options))
        saved = (
            None if options.resume is None else ranks.from_first(functools.partial(newest, options.resume))
        )
        reserved = []  # by this call; another one's reservation stays

        def reserve() -> None:
            _reserve(network, options.average)
            reserved.append(network)

        try:
            ranks.together(reserve)
            return _fit(setup, saved)
        finally:
            if reserved:
                network.trained_by = None
                _averaging.discard(id(options.average))


# Held while `fit` reserves a network. A forked child makes its own lock: its parent's may stay locked.
_reserving = threading.Lock()
_averaging: set[int] = set()  # ids of averages that a call of `fit` uses
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _renew_lock())


def _renew_lock() -> None:
    global _reserving
    _reserving = threading.Lock()
    _averaging.clear()


def _reserve(network: Sequential, average: WeightAverage | None) -> None:
    """Mark network and average as in use: two calls of `fit` at once would mix their updates.

    Raises
    ------
    RuntimeError
        If another call uses one of them.
    """
    process = os.getpid()
    with _reserving:
        if network.trained_by == process:  # a forked child may train its copy while the parent trains
            raise RuntimeError(
                "fit: a network must be trained by one call at a time; got a second call while the first still runs: "
                "wait for it, or train a copy.deepcopy of the network"
            )
        if id(average) in _averaging:
            raise RuntimeError(
                "fit: an average must serve one training at a time; got one that serves another network's, which "
                f"still runs: make a new one, {average!r}"
            )
        if average is not None:
            _averaging.add(id(average))
        network.trained_by = process


def _fit(setup: TrainingSetup, saved: SavedState | None) -> History:
    """Train; the arguments are checked."""
    network, options = setup.network, setup.options
    network.threads = options.threads
    history = History(
        last_epoch=network.epochs_trained + options.epochs, validates=setup.held_out is not None
    )
    lowered = lowers(setup)
    fused = lowered and options.batch_shards == 1
    sizes = len(setup.batches.sizes) if fused else 1
    state = TrainingState(setup, history, Position(), sizes)
    scale = network.scale
    try:
        return _train(state, saved, lowered=lowered)
    except DivergedError:
        if network.epochs_trained == 0:  # the network is untrained again, and may learn another scale
            network.scale = scale
        raise


def renew_statistics(network: Sequential, x: object, batch_size: int) -> None:
    """Check the arguments and compute running statistics again; `NeuralNetwork.renew_statistics` describes it."""
    subject = "renew_statistics: x"
    batch_size = validation.check_count(batch_size, "batch_size", "renew_statistics", least=2)
    if isinstance(x, Blocks):
        network.check_blocks(x, network.scale, subject)
        rows = (scales.block_rows(part, network.scale) for part, _ in x.pieces(batch_size))
    else:
        images = network.check_images(x, subject)
        whole = scales.to_rows(images, network.scale, subject)
        rows = (whole[part] for part in Batches(len(whole), batch_size))
    n = len(x if isinstance(x, Blocks) else images)
    if n < 2:
        raise ValueError(f"{subject} must hold at least 2 images to have a variance; got {n}")
    _renew(network, rows)


def _renew(network: Sequential, batches: Iterable[Array]) -> None:
    """Run batches of rows through the network in training mode; batch k moves the running statistics by 1 / (k + 1)."""
    norms = [layer for layer in network.layers if isinstance(layer, BatchNorm)]
    drops = [layer for layer in network.layers if isinstance(layer, Dropout)]
    if not norms:
        return
    momenta, steps = [norm.momentum for norm in norms], [drop.step for drop in drops]
    try:
        for number, rows in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            network.run(rows, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for drop, step in zip(drops, steps, strict=True):
            drop.step = step


# -- the loop ----------------------------------------------------------------------------------------------


def _train(state: TrainingState, saved: SavedState | None, *, lowered: bool) -> History:
    setup, history, position = state.setup, state.history, state.position
    network, options, ranks = setup.network, setup.options, setup.options.ranks
    with contextlib.ExitStack() as ends:  # each callback gets its end, even if another one raises
        if ranks.size > 1:
            facts = ranks.together(lambda: {"the version of fastdigits": __version__, **setup.settings})
            ranks.compare(facts, "fit:", "start all ranks with the same version, data and arguments")
        with state.rollback():  # also if another rank cannot begin
            runner = ranks.together(lambda: _begin(state, saved, ends, lowered=lowered))
            _compare(state, "before the first step")
        while position.epoch < options.epochs:
            before = Snapshot(network)
            try:
                _run_epoch(state, runner)
            except (DivergedError, RowTooLargeError):
                # Restore the last whole epoch, and drop moments that may be infinite
                before.restore(network)
                options.optimizer.forget(network.parameters())
                raise
            stops = ranks.together(lambda: _end_epoch(setup, history))
            _compare(state, f"after epoch {history.epoch[-1]}")
            if any(ranks.gather(stops)):
                if position.epoch < options.epochs:
                    _apply_average(setup)
                break
            _write_checkpoint(state, epoch_is_over=True)
    return history


def _end_epoch(setup: TrainingSetup, history: History) -> bool:
    """Call all callbacks, as each must see each epoch; return whether one of them stops the training."""
    epoch = history.epoch[-1]
    stops = [callback.on_epoch_end(epoch, setup.network, history) for callback in setup.callbacks]
    return any(stops)


def _compare(state: TrainingState, when: str) -> None:
    """Raise the same ValueError on all ranks if what they train has become different."""
    ranks = state.setup.options.ranks
    if ranks.size > 1:
        ranks.compare(
            state.facts(), f"fit: {when},", "create it, and change it in callbacks, on all ranks alike"
        )


def _begin(
    state: TrainingState, saved: SavedState | None, ends: contextlib.ExitStack, *, lowered: bool
) -> Runner:
    """Begin, or continue from a checkpoint."""
    setup = state.setup
    network, options = setup.network, setup.options
    checkpoint = None if saved is None else state.check(saved)
    network.scale = setup.train.scale
    if options.average is not None:
        options.average.begin(network.parameters(), options.epochs * len(setup.batches))
    if checkpoint is not None:
        state.restore(checkpoint)
    runner = _runner(setup, lowered=lowered)
    for callback in reversed(setup.callbacks):
        ends.callback(callback.on_train_end, network, state.history)
    for callback in setup.callbacks:
        callback.on_train_begin(network, state.history)
    if checkpoint is not None and saved is not None:
        state.restore_callbacks(checkpoint, saved)
    return runner


def _runner(setup: TrainingSetup, *, lowered: bool) -> Runner:
    if setup.options.average_every:
        return LocalSteps(setup, lowered=lowered)
    if setup.options.batch_shards > 1:
        return Sharded(setup, lowered=lowered)
    return Lowered(setup) if lowered else Eager()


def _write_checkpoint(state: TrainingState, *, epoch_is_over: bool) -> None:
    """Write a checkpoint if one is due; none after the last epoch, whose weights may be averaged ones."""
    options, position = state.setup.options, state.position
    done = position.epoch * len(state.setup.batches) + position.step
    if (
        options.checkpoint is not None
        and options.ranks.rank == 0
        and position.epoch < options.epochs
        and options.checkpoint.due(done, epoch_is_over=epoch_is_over)
    ):
        options.checkpoint.write(done, state.to_bytes())


def _run_epoch(state: TrainingState, runner: Runner) -> None:
    """Train an epoch, or the rest of one; evaluate; add one entry to the history."""
    setup, history, position = state.setup, state.history, state.position
    with np.errstate(over="ignore", invalid="ignore"):  # the loss shows them: it is not finite
        loss, accuracy, lr = _train_epoch(state, runner)
        if position.epoch + 1 == setup.options.epochs:
            _apply_average(setup)
        score = _score(setup)
    if not math.isfinite(score["loss"]):
        raise diverged(setup, len(setup.batches) - 1, lr)
    seconds = position.seconds
    setup.network.epochs_trained += 1
    position.epoch, position.step, position.seconds, position.tallies = position.epoch + 1, 0, 0.0, None
    if setup.held_out is not None:
        history.val_loss.append(score["loss"])
        history.val_accuracy.append(score["accuracy"])
    history.epoch.append(setup.network.epochs_trained)
    history.loss.append(loss)
    history.accuracy.append(accuracy)
    history.lr.append(lr)
    history.seconds.append(seconds)
    history.images_per_second.append(setup.train.count / max(seconds, 1e-9))


def _score(setup: TrainingSetup) -> dict[str, float]:
    """Return loss and accuracy on the held-out images, if there are any; a loss of NaN if the network diverged.

    The loss of a step is that of the weights before it. So after the last step, weights or statistics that are very
    large must still give a finite loss on the training images.
    """
    network, train, held_out = setup.network, setup.train, setup.held_out
    score = {"loss": 0.0}
    largest = [
        float(np.abs(network.values).max(initial=0.0)) / LARGE_WEIGHT,
        *(float(np.abs(array).max(initial=0.0)) / LARGE_STATISTIC for array in network.buffers().values()),
    ]
    if not all(map(math.isfinite, largest)):
        return {"loss": math.nan}
    if max(largest) > 1:
        score = _evaluate(setup, train.to_score())
    if held_out is not None and math.isfinite(score["loss"]):
        try:
            score = _evaluate(setup, held_out)
        except RowTooLargeError as error:
            raise RowTooLargeError(f"fit: validation_data: {error}") from error
    return score


def _evaluate(setup: TrainingSetup, images: LabelledImages | Blocks) -> dict[str, float]:
    """Return mean loss and accuracy; with shards, each rank computes pieces, and all add them in one order."""
    network, options = setup.network, setup.options
    if options.batch_shards == 1:
        if isinstance(images, Blocks):
            return network.score_blocks(images, None, options.loss)
        return network.score(images.rows, images.labels, images.weights, options.loss)
    count = len(images if isinstance(images, Blocks) else images.rows)
    mine = options.ranks.share(len(Batches(count, PIECE)))

    def scores() -> list[tuple[float, float, float]]:
        parts = itertools.islice(_pieces(images, network.scale), mine.start, mine.stop)
        firsts = itertools.count(mine.start * PIECE, PIECE)
        return [
            network.score_piece(*part, options.loss, first)
            for part, first in zip(parts, firsts, strict=False)
        ]

    return mean_score(itertools.chain.from_iterable(options.ranks.gather(options.ranks.together(scores))))


def _pieces(
    images: LabelledImages | Blocks, scale: str | None
) -> Iterator[tuple[Array, Int64, Float32 | None]]:
    """Yield rows, labels and weights of all images, in pieces."""
    if isinstance(images, Blocks):
        for x, y in images.pieces(PIECE):
            yield scales.block_rows(x, scale), y, None
        return
    for part in Batches(len(images.rows), PIECE):
        yield images.rows[part], images.labels[part], None if images.weights is None else images.weights[part]


def _apply_average(setup: TrainingSetup) -> None:
    """Give the network its averaged weights, and the running statistics of the images for the weights that it has."""
    average = setup.options.average
    if average is None and setup.options.adversarial == 0:
        return
    with rollback((), [setup.network.values, *setup.network.buffers().values()]):
        averaged = average is not None and average.apply()
        if averaged or setup.options.adversarial > 0:  # training has normalised moved images, too
            _renew(setup.network, setup.train.batches_in_order(1000))


def _train_epoch(state: TrainingState, runner: Runner) -> tuple[float, float, float]:
    """Return the epoch's mean loss, its accuracy, and the learning rate of its last step."""
    setup, position = state.setup, state.position
    options, steps = setup.options, len(setup.batches)
    started = time.perf_counter() - position.seconds
    if setup.augmenter is not None:
        setup.augmenter.begin(setup.network.epochs_trained, position.epoch, options.epochs)
    seed = setup.network.seed if options.shuffle else None
    first, last = position.epoch * steps, options.epochs * steps
    rates = (options.optimizer.lr * options.schedule.factor(first + step, last) for step in range(steps))
    lrs = np.fromiter(rates, np.float64, steps)
    for number, totals in enumerate(runner.totals()):
        totals[:] = 0 if position.tallies is None else position.tallies[number]
    begin = setup.batches[position.step].start
    with setup.train.epoch(seed, setup.network.epochs_trained, begin) as order:
        while position.step < steps:
            stop = setup.train.last_step(setup.batches, position.step, steps)
            if options.checkpoint is not None:
                left = options.checkpoint.steps_left(first + position.step)
                stop = stop if left is None else min(stop, position.step + left)
            position.step = runner.run(setup, order, lrs, position.step, stop)
            for callback in setup.callbacks:
                callback.on_progress(setup.batches[position.step - 1].stop, order.size)
            if position.step < steps:
                position.seconds = time.perf_counter() - started
                position.tallies = [totals.tolist() for totals in runner.totals()]
                _write_checkpoint(state, epoch_is_over=False)
    position.seconds = time.perf_counter() - started
    loss, hits, weights = (sum(each) for each in zip(*(one.tolist() for one in runner.totals()), strict=True))
    return loss / weights, hits / weights, float(lrs[-1])
