"""Train a network: the fit loop.

Everything a caller hands in is checked by `fit` before the first step; the loop itself checks the loss alone.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import threading
import time
from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np

from .. import backend
from ..backend.threads import check_threads, get_num_threads
from ..core import arrays, validation
from ..core.arrays import Array, Int64
from ..core.rollback import rollback
from ..core.seeding import AUGMENT, key
from ..core.validation import check_number
from ..errors import DivergedError
from ..nn import scales
from ..nn.assembly import BUILT_IN
from ..nn.layers import BatchNorm, Dropout
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential
from ..nn.snapshot import Snapshot
from ..optim.averaging import WeightAverage
from ..optim.clipping import ClipNorm
from ..optim.optimizers import Adam, Optimizer
from ..optim.schedules import Constant, Schedule
from .augmentation import Augmentation, Augmenter, image_sides
from .batches import Examples, batches, check_batchnorm, checked_examples, checked_validation, digest, split
from .callbacks import Callback, Progress
from .checkpoint import Checkpoint, Found, Position, Training, newest
from .history import History
from .steps import Eager, Job, Lowered, diverged, lowers, order_of

LARGE_WEIGHT = 1e4  # below it, five layers of a thousand inputs stay below 1e35
LARGE_STATISTIC = 1e12  # of an image's numbers or of their squares, where they are not scaled

_T = TypeVar("_T")


def fit(
    network: Sequential,
    x: object,
    y: object,
    *,
    epochs: int,
    batch_size: int,
    optimizer: Optimizer | None,
    schedule: Schedule | None,
    loss: SoftmaxCrossEntropy | None,
    augment: Augmentation | None,
    clip_norm: float | None,
    average: WeightAverage | None,
    validation_data: tuple[Any, ...] | None,
    validation_split: float,
    sample_weight: object,
    callbacks: Iterable[Callback],
    shuffle: bool,
    progress: bool,
    threads: int | None,
    resume: str | os.PathLike[str] | None,
) -> History:
    """Check everything, then train ``network``; `NeuralNetwork.fit` says what each argument means."""
    network.need_logits("fit")
    epochs = validation.check_count(epochs, "epochs", "fit")
    batch_size = validation.check_count(batch_size, "batch_size", "fit")
    if threads is not None:
        threads = check_threads(threads, "threads", "fit")
    optimizer = Adam() if optimizer is None else _instance(optimizer, Optimizer, "optimizer")
    schedule = Constant() if schedule is None else _instance(schedule, Schedule, "schedule")
    loss = SoftmaxCrossEntropy() if loss is None else _instance(loss, SoftmaxCrossEntropy, "loss")
    clipping = None if clip_norm is None else ClipNorm(check_number(clip_norm, "clip_norm", "fit", over=0))
    if average is not None:
        average = _instance(average, WeightAverage, "average")
    watching = _checked_callbacks(callbacks, progress)

    everything = checked_examples(network, x, y, sample_weight)
    augmenter = None if augment is None else _augmenter(network.seed, augment, x, everything)
    train, held_out = split(network.seed, everything, validation_data, validation_split)
    if validation_data is not None:
        held_out = checked_validation(network, validation_data, everything.scale)
    parts = batches(train.pool.size, batch_size)
    check_batchnorm(network, parts)

    found = None if resume is None else newest(resume)
    _take(network, average)
    try:
        return _fit(
            network, train, held_out, parts, epochs, optimizer, schedule, loss, augmenter, clipping, average,
            bool(shuffle), watching, threads, found,
        )  # fmt: skip
    finally:
        network.trained_by = None
        _averaging.discard(id(average))


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


def _fit(
    network: Sequential,
    train: Examples,
    held_out: Examples | None,
    parts: list[slice],
    epochs: int,
    optimizer: Optimizer,
    schedule: Schedule,
    loss: SoftmaxCrossEntropy,
    augmenter: Augmenter | None,
    clipping: ClipNorm | None,
    average: WeightAverage | None,
    shuffle: bool,
    watching: tuple[Callback, ...],
    threads: int | None,
    found: Found | None,
) -> History:
    """Train with arguments that are checked."""
    network.threads = threads
    job = Job(
        network,
        train,
        held_out,
        parts,
        epochs,
        optimizer,
        schedule,
        loss,
        augmenter,
        clipping,
        average,
        shuffle,
        watching,
        get_num_threads() if threads is None else threads,
        _only_checkpoint(watching),
        repr(optimizer),
    )
    history = History(last_epoch=network.epochs_trained + epochs, validates=held_out is not None)
    stateful = tuple(callback for callback in watching if not isinstance(callback, Progress))
    settings = functools.cache(functools.partial(_settings, job))
    lowered = lowers(job)
    sizes = len({part.stop - part.start for part in parts}) if lowered else 1
    training = Training(
        network, optimizer, average, stateful, history, Position(), settings, len(parts), epochs, loss, sizes
    )
    scale = network.scale
    try:
        return _train(job, training, found, lowered=lowered)
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


def _settings(job: Job) -> dict[str, Any]:
    """Return what two trainings must have in common for one to go on where the other was."""
    network, held_out = job.network, job.held_out
    augmenter, clipping = job.augmenter, job.clipping
    return {
        "parameters": [f"{one.name} {one.value.shape}" for one in network.parameters()],
        "layers": [repr(one) if type(one) in BUILT_IN.values() else one.name for one in network.layers],
        "seed": network.seed,
        "epochs": job.epochs,
        "batch_size": job.parts[0].stop,
        "optimizer": job.optimizer_repr,
        "schedule": repr(job.schedule),
        "loss": repr(job.loss),
        "augment": None if augmenter is None else repr(augmenter.augmentation),
        "clip_norm": None if clipping is None else clipping.most,
        "average": None if job.average is None else repr(job.average),
        "shuffle": job.shuffle,
        "callbacks": [type(one).__name__ for one in job.callbacks if not isinstance(one, Progress)],
        "backend": backend.backend_name(),
        "training images": digest(job.train),
        "validation images": None if held_out is None else digest(held_out),
    }


def _train(job: Job, training: Training, found: Found | None, *, lowered: bool) -> History:
    network, history, at = job.network, training.history, training.position
    with contextlib.ExitStack() as ends:  # every callback gets its end, whatever another one raises
        way = _begin(job, training, found, ends, lowered=lowered)
        while at.epoch < job.epochs:
            before = Snapshot(network)
            try:
                _run_epoch(job, way, training)
            except (
                DivergedError
            ):  # neither steps that led nowhere nor moments that are infinite are left behind
                before.restore(network)
                job.optimizer.forget(network.parameters())
                raise
            epoch = history.epoch[-1]
            # All of them first: one callback that stops must not hide the epoch from the next.
            stops = [callback.on_epoch_end(epoch, network, history) for callback in job.callbacks]
            if any(stops):
                if at.epoch < job.epochs:
                    _take_average(job)
                break
            _write_checkpoint(job, training, epoch_is_over=True)
    return history


def _begin(
    job: Job, training: Training, found: Found | None, ends: contextlib.ExitStack, *, lowered: bool
) -> Lowered | Eager:
    """Begin, or go on from a checkpoint; where that fails, network, optimizer and average are what they were."""
    checkpoint = None if found is None else training.check(found)
    with training.rollback():
        job.network.scale = job.train.scale
        if job.average is not None:
            job.average.begin(job.network.parameters(), job.epochs * len(job.parts))
        if checkpoint is not None:
            training.restore(checkpoint)
        way = Lowered(job) if lowered else Eager()
        for callback in reversed(job.callbacks):
            ends.callback(callback.on_train_end, job.network, training.history)
        for callback in job.callbacks:
            callback.on_train_begin(job.network, training.history)
        if checkpoint is not None and found is not None:
            training.restore_callbacks(checkpoint, found)
    return way


def _write_checkpoint(job: Job, training: Training, *, epoch_is_over: bool) -> None:
    """Write a checkpoint if one is due; none after the last epoch, which ends with other weights."""
    at = training.position
    done = at.epoch * len(job.parts) + at.step
    if (
        job.checkpoint is not None
        and at.epoch < job.epochs
        and job.checkpoint.due(done, epoch_is_over=epoch_is_over)
    ):
        job.checkpoint.write(done, training)


def _run_epoch(job: Job, way: Lowered | Eager, training: Training) -> None:
    """Train an epoch, or the rest of one, evaluate, and add one entry to the history."""
    history, at = training.history, training.position
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite shows these
        loss, accuracy, lr = _train_epoch(job, way, training)
        if at.epoch + 1 == job.epochs:
            _take_average(job)
        score = _score(job)
    if not math.isfinite(score["loss"]):
        raise diverged(job, len(job.parts) - 1, lr)
    seconds = at.seconds
    job.network.epochs_trained += 1
    at.epoch, at.step, at.seconds, at.tallies = at.epoch + 1, 0, 0.0, None
    if job.held_out is not None:
        history.val_loss.append(score["loss"])
        history.val_accuracy.append(score["accuracy"])
    history.epoch.append(job.network.epochs_trained)
    history.loss.append(loss)
    history.accuracy.append(accuracy)
    history.lr.append(lr)
    history.seconds.append(seconds)
    history.images_per_second.append(job.train.pool.size / max(seconds, 1e-9))


def _score(job: Job) -> dict[str, float]:
    """Return how good the network is on images that are held out, where some are.

    The loss of a step is that of the weights before it. So weights and statistics that are as large as those of no
    useful network have to show that they give the training images a finite loss.
    """
    network, train, held_out = job.network, job.train, job.held_out
    score = {"loss": 0.0}
    largest = [
        float(np.abs(network.values).max(initial=0.0)) / LARGE_WEIGHT,
        *(float(np.abs(array).max(initial=0.0)) / LARGE_STATISTIC for array in network.buffers().values()),
    ]
    if not all(map(math.isfinite, largest)):
        return {"loss": math.nan}
    if max(largest) > 1:
        score = network.score(train.rows[train.pool], train.labels[train.pool], None, job.loss)
    if held_out is not None and math.isfinite(score["loss"]):
        score = network.score(held_out.rows, held_out.labels, held_out.weights, job.loss)
    return score


def _take_average(job: Job) -> None:
    """Give the network its averaged weights, and statistics that belong to them."""
    if job.average is None:
        return
    with rollback((), [job.network.values, *job.network.buffers().values()]):
        if job.average.apply():
            _renew(job.network, job.train.rows, job.train.pool, 1000)


def _train_epoch(job: Job, way: Lowered | Eager, training: Training) -> tuple[float, float, float]:
    """Return the epoch's mean loss, its accuracy, and the learning rate of its last step."""
    at, steps = training.position, len(job.parts)
    started = time.perf_counter() - at.seconds
    if job.augmenter is not None:
        job.augmenter.begin(job.network.epochs_trained, at.epoch, job.epochs)
    order = order_of(job)
    lrs = np.array(
        [
            job.optimizer.lr * job.schedule.factor(at.epoch * steps + step, job.epochs * steps)
            for step in range(steps)
        ],
        dtype=np.float64,
    )
    for number, totals in enumerate(way.totals()):
        totals[:] = 0 if at.tallies is None else at.tallies[number]
    while at.step < steps:
        stop = steps
        if job.checkpoint is not None:
            left = job.checkpoint.steps_left(at.epoch * steps + at.step)
            stop = stop if left is None else min(stop, at.step + left)
        at.step = way.run(job, order, lrs, at.step, stop)
        for callback in job.callbacks:
            callback.on_progress(job.parts[at.step - 1].stop, order.size)
        if at.step < steps:
            at.seconds = time.perf_counter() - started
            at.tallies = [totals.tolist() for totals in way.totals()]
            _write_checkpoint(job, training, epoch_is_over=False)
    at.seconds = time.perf_counter() - started
    loss, hits, mass = np.sum(way.totals(), axis=0)
    return float(loss / mass), float(hits / mass), float(lrs[-1])


# -- what is checked before --------------------------------------------------------------------------------


def _augmenter(seed: int, augment: Augmentation, x: object, examples: Examples) -> Augmenter:
    """Return what distorts the images ``x``, which are checked already and became the rows of ``examples``."""
    augment = _instance(augment, Augmentation, "augment")
    if examples.rows.dtype != np.uint8:
        known = "not known" if examples.scale is None else repr(examples.scale)
        raise ValueError(
            "fit: x must hold pixels, whole numbers from 0 to 255, to be augmented; got numbers of the scale "
            f"{known} from {examples.rows.min():g} to {examples.rows.max():g}: x * 255 for images of 0 … 1, or "
            "network.scale = 'pixels' for small pixels"
        )
    height, width = image_sides(arrays.as_array(x, "fit: x"), "fit: x")
    return Augmenter(augment, height, width, key(seed, AUGMENT))


def _checked_callbacks(callbacks: Iterable[Callback], progress: bool) -> tuple[Callback, ...]:
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: callbacks must be a list of callbacks; got {callbacks!r}")
    listed = tuple(_instance(callback, Callback, "each of callbacks") for callback in callbacks)
    return (Progress(), *listed) if progress else listed


def _only_checkpoint(callbacks: tuple[Callback, ...]) -> Checkpoint | None:
    found = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
    if len(found) > 1:
        raise ValueError(f"fit: callbacks may hold one Checkpoint; got {len(found)}: omit the others")
    return found[0] if found else None


def _instance(value: object, kind: type[_T], name: str) -> _T:
    if isinstance(value, kind):
        return value
    hint = ": call it to make one" if isinstance(value, type) else ""
    raise TypeError(f"fit: {name} must be an instance of fastdigits.{kind.__name__}; got {value!r}{hint}")
