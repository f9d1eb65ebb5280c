"""Train a network: the fit loop.

Everything a caller hands in is checked by `fit` before the first step; the loop itself checks the loss alone.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time

import numpy as np

from ..core import validation
from ..core.arrays import Array, Int64
from ..core.rollback import rollback
from ..errors import DivergedError
from ..nn import scales
from ..nn.layers import BatchNorm, Dropout
from ..nn.sequential import Sequential
from ..nn.snapshot import Snapshot
from ..optim.averaging import WeightAverage
from .batches import batches
from .checkpoint import SavedState, newest
from .history import History
from .options import FitOptions
from .preparation import TrainingSetup, prepare
from .state import Position, TrainingState
from .steps import Eager, Lowered, diverged, lowers, order_of

LARGE_WEIGHT = 1e4  # below it, five layers of a thousand inputs stay below 1e35
LARGE_STATISTIC = 1e12  # of an image's numbers or of their squares, where they are not scaled


def fit(network: Sequential, x: object, y: object, options: FitOptions) -> History:
    """Check everything, then train ``network``; `NeuralNetwork.fit` describes the arguments."""
    setup = prepare(network, x, y, options)
    saved = None if options.resume is None else newest(options.resume)
    _take(network, options.average)
    try:
        return _fit(setup, saved)
    finally:
        network.trained_by = None
        _averaging.discard(id(options.average))


# Held while a network is taken for a call of `fit`; a child process makes its own: its parent's may be held for ever.
_taking = threading.Lock()
_averaging: set[int] = set()  # ids of the averages that serve a call of `fit`
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _renew_lock())


def _renew_lock() -> None:
    global _taking
    _taking = threading.Lock()
    _averaging.clear()


def _take(network: Sequential, average: WeightAverage | None) -> None:
    """Note that this process trains the network, and what averages it; two calls of `fit` at once would mix.

    Raises
    ------
    RuntimeError
        If another call has one of them.
    """
    process = os.getpid()
    with _taking:
        if network.trained_by == process:  # a child's networks are not those that its parent's threads train
            raise RuntimeError(
                "fit: a network must be trained by one call at a time; got a second while the first still runs: "
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
    """Train with arguments that are checked."""
    network, options = setup.network, setup.options
    network.threads = options.threads
    history = History(
        last_epoch=network.epochs_trained + options.epochs, validates=setup.held_out is not None
    )
    lowered = lowers(setup)
    sizes = len({part.stop - part.start for part in setup.batches}) if lowered else 1
    state = TrainingState(setup, history, Position(), sizes)
    scale = network.scale
    try:
        return _train(setup, state, saved, lowered=lowered)
    except DivergedError:
        if network.epochs_trained == 0:  # as it came: it may yet learn another scale
            network.scale = scale
        raise


def renew_statistics(network: Sequential, x: object, batch_size: int) -> None:
    """Check the arguments, then do as `NeuralNetwork.renew_statistics` says."""
    subject = "renew_statistics: x"
    batch_size = validation.check_count(batch_size, "batch_size", "renew_statistics", least=2)
    images = validation.check_images(x, network.input_width, subject)
    if len(images) < 2:
        raise ValueError(f"{subject} must hold at least 2 images to have a variance; got {len(images)}")
    _renew(network, scales.to_rows(images, network.scale, subject), np.arange(len(images)), batch_size)


def _renew(network: Sequential, rows: Array, pool: Int64, batch_size: int) -> None:
    """Run batches through the network in training; batch k moves the running statistics by 1 / (k + 1)."""
    norms = [layer for layer in network.layers if isinstance(layer, BatchNorm)]
    drops = [layer for layer in network.layers if isinstance(layer, Dropout)]
    if not norms:
        return
    momenta, steps = [norm.momentum for norm in norms], [drop.step for drop in drops]
    try:
        for number, part in enumerate(batches(pool.size, batch_size)):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            network.run(np.ascontiguousarray(rows[pool[part]]), training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for drop, step in zip(drops, steps, strict=True):
            drop.step = step


# -- the loop ----------------------------------------------------------------------------------------------


def _train(setup: TrainingSetup, state: TrainingState, saved: SavedState | None, *, lowered: bool) -> History:
    network, history, at = setup.network, state.history, state.position
    with contextlib.ExitStack() as ends:  # every callback gets its end, whatever another one raises
        way = _begin(setup, state, saved, ends, lowered=lowered)
        while at.epoch < setup.options.epochs:
            before = Snapshot(network)
            try:
                _run_epoch(setup, way, state)
            except (
                DivergedError
            ):  # neither steps that led nowhere nor moments that are infinite are left behind
                before.restore(network)
                setup.options.optimizer.forget(network.parameters())
                raise
            epoch = history.epoch[-1]
            # All of them first: one callback that stops must not hide the epoch from the next.
            stops = [callback.on_epoch_end(epoch, network, history) for callback in setup.callbacks]
            if any(stops):
                if at.epoch < setup.options.epochs:
                    _take_average(setup)
                break
            _write_checkpoint(setup, state, epoch_is_over=True)
    return history


def _begin(
    setup: TrainingSetup,
    state: TrainingState,
    saved: SavedState | None,
    ends: contextlib.ExitStack,
    *,
    lowered: bool,
) -> Lowered | Eager:
    """Begin, or go on from a checkpoint; where that fails, network, optimizer and average are what they were."""
    checkpoint = None if saved is None else state.check(saved)
    with state.rollback():
        setup.network.scale = setup.train.scale
        if setup.options.average is not None:
            setup.options.average.begin(setup.network.parameters(), setup.options.epochs * len(setup.batches))
        if checkpoint is not None:
            state.restore(checkpoint)
        way = Lowered(setup) if lowered else Eager()
        for callback in reversed(setup.callbacks):
            ends.callback(callback.on_train_end, setup.network, state.history)
        for callback in setup.callbacks:
            callback.on_train_begin(setup.network, state.history)
        if checkpoint is not None and saved is not None:
            state.restore_callbacks(checkpoint, saved)
    return way


def _write_checkpoint(setup: TrainingSetup, state: TrainingState, *, epoch_is_over: bool) -> None:
    """Write a checkpoint if one is due; none after the last epoch, which ends with other weights."""
    at = state.position
    done = at.epoch * len(setup.batches) + at.step
    if (
        setup.options.checkpoint is not None
        and at.epoch < setup.options.epochs
        and setup.options.checkpoint.due(done, epoch_is_over=epoch_is_over)
    ):
        setup.options.checkpoint.write(done, state.to_bytes())


def _run_epoch(setup: TrainingSetup, way: Lowered | Eager, state: TrainingState) -> None:
    """Train an epoch, or the rest of one, evaluate, and add one entry to the history."""
    history, at = state.history, state.position
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite shows these
        loss, accuracy, lr = _train_epoch(setup, way, state)
        if at.epoch + 1 == setup.options.epochs:
            _take_average(setup)
        score = _score(setup)
    if not math.isfinite(score["loss"]):
        raise diverged(setup, len(setup.batches) - 1, lr)
    seconds = at.seconds
    setup.network.epochs_trained += 1
    at.epoch, at.step, at.seconds, at.tallies = at.epoch + 1, 0, 0.0, None
    if setup.held_out is not None:
        history.val_loss.append(score["loss"])
        history.val_accuracy.append(score["accuracy"])
    history.epoch.append(setup.network.epochs_trained)
    history.loss.append(loss)
    history.accuracy.append(accuracy)
    history.lr.append(lr)
    history.seconds.append(seconds)
    history.images_per_second.append(setup.train.pool.size / max(seconds, 1e-9))


def _score(setup: TrainingSetup) -> dict[str, float]:
    """Return how good the network is on images that are held out, where some are.

    The loss of a step is that of the weights before it. So weights and statistics that are as large as those of no
    useful network have to show that they give the training images a finite loss.
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
        score = network.score(train.rows[train.pool], train.labels[train.pool], None, setup.options.loss)
    if held_out is not None and math.isfinite(score["loss"]):
        score = network.score(held_out.rows, held_out.labels, held_out.weights, setup.options.loss)
    return score


def _take_average(setup: TrainingSetup) -> None:
    """Give the network its averaged weights, and statistics that belong to them."""
    if setup.options.average is None:
        return
    with rollback((), [setup.network.values, *setup.network.buffers().values()]):
        if setup.options.average.apply():
            _renew(setup.network, setup.train.rows, setup.train.pool, 1000)


def _train_epoch(
    setup: TrainingSetup, way: Lowered | Eager, state: TrainingState
) -> tuple[float, float, float]:
    """Return the epoch's mean loss, its accuracy, and the learning rate of its last step."""
    at, steps = state.position, len(setup.batches)
    started = time.perf_counter() - at.seconds
    if setup.augmenter is not None:
        setup.augmenter.begin(setup.network.epochs_trained, at.epoch, setup.options.epochs)
    order = order_of(setup)
    lrs = np.array(
        [
            setup.options.optimizer.lr
            * setup.options.schedule.factor(at.epoch * steps + step, setup.options.epochs * steps)
            for step in range(steps)
        ],
        dtype=np.float64,
    )
    for number, totals in enumerate(way.totals()):
        totals[:] = 0 if at.tallies is None else at.tallies[number]
    while at.step < steps:
        stop = steps
        if setup.options.checkpoint is not None:
            left = setup.options.checkpoint.steps_left(at.epoch * steps + at.step)
            stop = stop if left is None else min(stop, at.step + left)
        at.step = way.run(setup, order, lrs, at.step, stop)
        for callback in setup.callbacks:
            callback.on_progress(setup.batches[at.step - 1].stop, order.size)
        if at.step < steps:
            at.seconds = time.perf_counter() - started
            at.tallies = [totals.tolist() for totals in way.totals()]
            _write_checkpoint(setup, state, epoch_is_over=False)
    at.seconds = time.perf_counter() - started
    loss, hits, mass = np.sum(way.totals(), axis=0)
    return float(loss / mass), float(hits / mass), float(lrs[-1])
