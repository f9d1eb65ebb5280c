"""Train a network: the fit loop.

Everything a caller hands in is checked by `fit` before the first step; the loop itself checks the loss alone.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import threading
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from . import backend, inputs, memory
from .assembly import BUILT_IN
from .augment import Augmentation, Augmenter, image_sides
from .averaging import WeightAverage
from .callbacks import Callback, History, Progress, Snapshot
from .checkpoint import Checkpoint, Found, Position, Training, newest
from .clipping import ClipNorm
from .errors import DivergedError
from .hyperparameters import check_number
from .inputs import Array, Float32, Int64
from .layers import BatchNorm, Dropout
from .losses import SoftmaxCrossEntropy
from .network import AUGMENT, SHUFFLE, SPLIT, NeuralNetwork, stream
from .optimizers import Adam, Optimizer
from .program import TrainingStep, counters_of, moved, why_eager
from .schedules import Constant, Schedule
from .threads import check_threads, get_num_threads
from .undo import Before

STRETCH_SECONDS = 0.02  # between two looks at callbacks and signals; Ctrl-C is answered within it
# Steps. Python keeps whole numbers up to this one, so that to tell how many are done takes no memory.
LONGEST_STRETCH = 256
LARGE = 100.0  # numbers in images that are far from 0 … 1
LARGE_WEIGHT = 1e4  # below it, five layers of a thousand inputs stay below 1e35
LARGE_STATISTIC = 1e12  # of an image's numbers or of their squares, where they are not scaled

_T = TypeVar("_T")


def fit(
    network: NeuralNetwork,
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
    epochs = inputs.check_count(epochs, "epochs", "fit")
    batch_size = inputs.check_count(batch_size, "batch_size", "fit")
    if threads is not None:
        threads = check_threads(threads, "threads", "fit")
    optimizer = Adam() if optimizer is None else _instance(optimizer, Optimizer, "optimizer")
    schedule = Constant() if schedule is None else _instance(schedule, Schedule, "schedule")
    loss = SoftmaxCrossEntropy() if loss is None else _instance(loss, SoftmaxCrossEntropy, "loss")
    clipping = None if clip_norm is None else ClipNorm(check_number(clip_norm, "clip_norm", "fit", over=0))
    if average is not None:
        average = _instance(average, WeightAverage, "average")
    watching = _checked_callbacks(callbacks, progress)

    everything = _checked_examples(network, x, y, sample_weight, "")
    augmenter = None if augment is None else _augmenter(network.seed, augment, x)
    train, held_out = _split(network.seed, everything, validation_data, validation_split)
    if validation_data is not None:
        held_out = _checked_validation(network, validation_data)
    parts = batches(train.pool.size, batch_size)
    _check_batchnorm(network, parts)

    found = None if resume is None else newest(resume)
    _take(network)
    try:
        return _fit(
            network, train, held_out, parts, epochs, optimizer, schedule, loss, augmenter, clipping, average,
            bool(shuffle), watching, threads, found,
        )  # fmt: skip
    finally:
        network.trained_by = None


# Held while a network is taken for a call of `fit`; a child process makes its own: its parent's may be held for ever.
_taking = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _renew_lock())


def _renew_lock() -> None:
    global _taking
    _taking = threading.Lock()


def _take(network: NeuralNetwork) -> None:
    """Note that this process trains the network; two calls of `fit` at once would mix their steps.

    Giving it back is setting ``trained_by`` to None, which takes no memory.

    Raises
    ------
    RuntimeError
        If another call has it.
    """
    process = os.getpid()
    with _taking:
        if network.trained_by == process:  # a child's networks are not those that its parent's threads train
            raise RuntimeError(
                "fit: a network must be trained by one call at a time; got a second while the first still runs: "
                "wait for it, or train a copy.deepcopy of the network"
            )
        network.trained_by = process


def _fit(
    network: NeuralNetwork,
    train: _Examples,
    held_out: _Examples | None,
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
    if average is not None:
        average.begin(network.parameters(), epochs * len(parts))
    job = _Job(
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
    training = Training(
        network, optimizer, average, stateful, history, Position(), settings, len(parts), epochs
    )
    if found is not None:
        training.restore(found)
    return _train(job, _Lowered(job) if _lowers(job) else _Eager(), training, found)


def batches(n: int, size: int) -> list[slice]:
    """Return the slices that cut ``n`` rows into batches; a last one of one row joins the one before it."""
    starts = list(range(0, n, size))
    if len(starts) > 1 and n % size == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], n], strict=True)]


def renew_statistics(network: NeuralNetwork, x: object, batch_size: int) -> None:
    """Check the arguments, then do as `NeuralNetwork.renew_statistics` says."""
    subject = "renew_statistics: x"
    batch_size = inputs.check_count(batch_size, "batch_size", "renew_statistics", least=2)
    images = inputs.check_images(x, network.input_width, subject)
    if len(images) < 2:
        raise ValueError(f"{subject} must hold at least 2 images to have a variance; got {len(images)}")
    _renew(network, inputs.to_rows(images, subject), np.arange(len(images)), batch_size)


def _renew(network: NeuralNetwork, rows: Array, pool: Int64, batch_size: int) -> None:
    """Run batches through the network in training; batch k moves the running statistics by 1 / (k + 1)."""
    norms = [layer for layer in network.layers if isinstance(layer, BatchNorm)]
    drops = [layer for layer in network.layers if isinstance(layer, Dropout)]
    if not norms:
        return
    before = Before([*((norm, "momentum") for norm in norms), *((drop, "step") for drop in drops)])
    try:
        for number, part in enumerate(batches(pool.size, batch_size)):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            network.run(np.ascontiguousarray(rows[pool[part]]), training=True)
    finally:
        for owner, name, value in before.attributes:
            setattr(owner, name, value)


# -- the loop ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Examples:
    """Checked images and labels, and which of them count."""

    rows: Array  # (n, d) uint8 or float32
    labels: Int64  # (n,)
    weights: Float32 | None  # (n,)
    pool: Int64  # (m,) rows to use, in their order


@dataclass(frozen=True)
class _Job:
    """One call of `fit`, everything checked."""

    network: NeuralNetwork
    train: _Examples
    held_out: _Examples | None
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


def _settings(job: _Job) -> dict[str, Any]:
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
        "training images": _digest(job.train),
        "validation images": None if held_out is None else _digest(held_out),
    }


def _digest(examples: _Examples) -> str:
    """Return the SHA-256 of images, labels and weights."""
    total = hashlib.sha256()
    for array in (examples.rows, examples.labels, examples.weights, examples.pool):
        if array is not None:
            total.update(f"{array.dtype} {array.shape} ".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _train(job: _Job, way: _Lowered | _Eager, training: Training, found: Found | None) -> History:
    network, history, at = job.network, training.history, training.position
    try:
        for callback in job.callbacks:
            callback.on_train_begin(network, history)
        if found is not None:
            training.restore_callbacks(found)
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
    finally:
        for callback in job.callbacks:
            callback.on_train_end(network, history)
    return history


def _write_checkpoint(job: _Job, training: Training, *, epoch_is_over: bool) -> None:
    """Write a checkpoint if one is due; none after the last epoch, which ends with other weights."""
    at = training.position
    done = at.epoch * len(job.parts) + at.step
    if (
        job.checkpoint is not None
        and at.epoch < job.epochs
        and job.checkpoint.due(done, epoch_is_over=epoch_is_over)
    ):
        job.checkpoint.write(done, training)


def _run_epoch(job: _Job, way: _Lowered | _Eager, training: Training) -> None:
    """Train an epoch, or the rest of one, evaluate, and add one entry to the history."""
    history, at = training.history, training.position
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite tells of these
        loss, accuracy, lr = _train_epoch(job, way, training)
        if at.epoch + 1 == job.epochs:
            _take_average(job)
        score = _score(job)
    if not math.isfinite(score["loss"]):
        raise _diverged(job, len(job.parts) - 1, lr)
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


def _score(job: _Job) -> dict[str, float]:
    """Return how good the network is on images that are held out, where some are.

    The loss of a step tells of the weights before it. So weights and statistics that are as large as those of no
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


def _take_average(job: _Job) -> None:
    """Give the network its averaged weights, and statistics that belong to them."""
    if job.average is None:
        return
    before = Before((), [job.network.values, *job.network.buffers().values()])
    try:
        if job.average.apply():
            _renew(job.network, job.train.rows, job.train.pool, 1000)
    except BaseException:
        for array, copy in before.arrays:
            array[...] = copy
        raise


def _train_epoch(job: _Job, way: _Lowered | _Eager, training: Training) -> tuple[float, float, float]:
    """Return the epoch's mean loss, its accuracy, and the learning rate of its last step."""
    at, steps = training.position, len(job.parts)
    started = time.perf_counter() - at.seconds
    if job.augmenter is not None:
        job.augmenter.begin(job.network.epochs_trained, at.epoch, job.epochs)
    order, first = _order(job), at.step
    lrs = np.array(
        [
            job.optimizer.lr * job.schedule.factor(at.epoch * steps + step, job.epochs * steps)
            for step in range(steps)
        ]
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
    if first == 0:
        way.rely()
    loss, hits, mass = np.sum(way.totals(), axis=0)
    return float(loss / mass), float(hits / mass), float(lrs[-1])


def _pixels(job: _Job, index: Int64) -> Array:
    """Return rows of the training images, distorted if that is asked for."""
    if job.augmenter is None:
        return job.train.rows[index]
    distorted = memory.empty(index.size, job.train.rows.shape[1], dtype=np.uint8)
    job.augmenter.run(distorted, job.train.rows, index)
    return distorted


def _train_step(
    job: _Job, rows: Array, labels: Int64, weight: Float32 | None, lr: float
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


def _diverged(job: _Job, step: int, lr: float) -> DivergedError:
    rows = job.train.rows
    most = 0.0 if rows.dtype == np.uint8 else float(max(rows.max(), -rows.min()))
    scale = f", or scale the images, whose largest number is {most:g}" if most > LARGE else ""
    return DivergedError(
        f"fit: loss and weights must stay finite; they were not in epoch {job.network.epochs_trained + 1}, "
        f"step {step + 1} of {len(job.parts)}, at learning rate {lr:g}: take a smaller one{scale}"
    )


class _Eager:
    """The steps of one call of `fit`, one after the other through the interpreter."""

    def __init__(self) -> None:
        self._totals = np.zeros(3)

    def totals(self) -> list[Array]:
        """Return the sums of weight · loss, of weight · hit and of weights over the steps of the epoch."""
        return [self._totals]

    def run(self, job: _Job, order: Int64, lrs: Array, step: int, stop: int) -> int:
        """Take a step; return the number of the next."""
        train = job.train
        index = order[job.parts[step]]
        weight = None if train.weights is None else train.weights[index]
        loss, right = _train_step(job, _pixels(job, index), train.labels[index], weight, lrs[step])
        if not math.isfinite(loss):
            raise _diverged(job, step, lrs[step])
        share = float(index.size if weight is None else weight.sum(dtype=np.float64))
        hits = float(right.sum() if weight is None else weight[right].sum(dtype=np.float64))
        self._totals += (share * loss, hits, share)
        return step + 1

    def rely(self) -> None:
        """Every image has come once: nothing to do here."""


class _Lowered:
    """The steps of one call of `fit`, run in stretches between which Python may look up."""

    def __init__(self, job: _Job) -> None:
        sizes = {part.stop - part.start for part in job.parts}
        n, width = job.train.rows.shape
        lit = memory.empty(n, -(-width // 64), dtype=np.uint64) if job.epochs > 1 else None
        self.steps = {size: self._step(job, size, lit) for size in sorted(sizes)}
        self.counters = counters_of(job.network, job.optimizer, job.average)
        self.tick = 0  # steps since the programs were recorded
        self.stretch = 8

    def _step(self, job: _Job, size: int, lit: Array | None) -> TrainingStep:
        train = job.train
        return TrainingStep(
            job.network, train.rows, train.labels, train.weights, size, job.loss, job.optimizer,
            lit=lit, augmenter=job.augmenter, clipping=job.clipping, average=job.average,
        )  # fmt: skip

    def totals(self) -> list[Array]:
        """Return what `_Eager.totals` returns, for each size of a batch."""
        return [program.totals for program in self.steps.values()]

    def rely(self) -> None:
        """Every image has come once: look up what was found of it."""
        for program in self.steps.values():
            program.rely()

    def run(self, job: _Job, order: Int64, lrs: Array, step: int, stop: int) -> int:
        """Run as many steps of one size as take about `STRETCH_SECONDS`; return the number of the next one."""
        size = job.parts[step].stop - job.parts[step].start
        until = step + 1
        while (
            until < min(stop, step + self.stretch) and job.parts[until].stop - job.parts[until].start == size
        ):
            until += 1
        piece = order[job.parts[step].start : job.parts[until - 1].stop]
        counters = [*self.counters, (self, "tick")]
        after = iter(moved(counters, until - step))  # from here to the last of them, nothing may want memory
        started = time.perf_counter()
        done = self.steps[size].run(piece, lrs[step:until], self.tick, job.threads)
        if done < until - step:
            after = iter(moved(counters, done))
        for owner, name, count in after:
            setattr(owner, name, count)
        seconds = time.perf_counter() - started
        if step + done < until:
            raise _diverged(job, step + done, lrs[step + done])
        self.stretch = max(
            1, min(2 * self.stretch, LONGEST_STRETCH, int(STRETCH_SECONDS * done / max(seconds, 1e-9)))
        )
        return until


def _lowers(job: _Job) -> bool:
    """Return whether this training can be lowered; warn if it is a layer or the like that keeps it from that."""
    if not hasattr(backend.kernels, "Program"):
        return False
    reason = why_eager(job.network, job.loss, job.optimizer)
    if reason is None:
        return True
    warnings.warn(
        f"fit: {reason} is written in Python, so that each step runs through the interpreter; "
        "networks of this package's own parts train several times faster",
        stacklevel=4,
    )
    return False


def _order(job: _Job) -> Int64:
    """Return the coming epoch's rows in an order that depends on the seed and the epoch's number alone."""
    if not job.shuffle:
        return job.train.pool
    return stream(job.network.seed, SHUFFLE, job.network.epochs_trained).permutation(job.train.pool)


# -- what is checked before --------------------------------------------------------------------------------


def _checked_examples(network: NeuralNetwork, x: object, y: object, weight: object, prefix: str) -> _Examples:
    subject = f"fit: {prefix}x"
    images = inputs.check_images(x, network.input_width, subject)
    n, width = images.shape
    labels = inputs.check_labels(y, n, network.widths(width)[-1], f"fit: {prefix}y")
    weights = None if weight is None else inputs.check_weights(weight, n, f"fit: {prefix}sample_weight")
    pool = np.arange(n, dtype=np.int64) if weights is None else np.flatnonzero(weights).astype(np.int64)
    return _Examples(inputs.to_rows(images, subject), labels, weights, pool)


def _augmenter(seed: int, augment: Augmentation, x: object) -> Augmenter:
    """Return what distorts the images ``x``, which are checked already."""
    augment = _instance(augment, Augmentation, "augment")
    height, width = image_sides(inputs.as_array(x, "fit: x"), "fit: x")
    key = np.random.SeedSequence(seed, spawn_key=(AUGMENT,)).generate_state(1, np.uint64)[0]
    return Augmenter(augment, height, width, int(key))


def _checked_validation(network: NeuralNetwork, data: tuple[Any, ...]) -> _Examples:
    if not isinstance(data, tuple | list) or len(data) not in (2, 3):
        raise TypeError(
            f"fit: validation_data must be a pair (x, y), or (x, y, sample_weight); got {type(data).__name__}"
        )
    x, y, weight = data if len(data) == 3 else (*data, None)
    return _checked_examples(network, x, y, weight, "validation ")


def _split(
    seed: int, examples: _Examples, validation_data: object, fraction: float
) -> tuple[_Examples, _Examples | None]:
    """Set a fraction of the images apart, drawn from the seed."""
    if not isinstance(fraction, float | int) or not 0 <= fraction < 1:
        raise ValueError(f"fit: validation_split must be a number with 0 ≤ f < 1; got {fraction!r}")
    if fraction == 0:
        return examples, None
    if validation_data is not None:
        raise ValueError("fit: only one of validation_data and validation_split may be given; got both")
    pool = stream(seed, SPLIT).permutation(examples.pool)
    count = round(fraction * pool.size)
    if not 0 < count < pool.size:
        raise ValueError(
            f"fit: validation_split must leave images on both sides; got {fraction} of {pool.size} images"
        )
    apart, rest = np.sort(pool[:count]), np.sort(pool[count:])
    weights = None if examples.weights is None else examples.weights[apart]
    held_out = _Examples(
        examples.rows[apart], examples.labels[apart], weights, np.arange(count, dtype=np.int64)
    )
    return _Examples(examples.rows, examples.labels, examples.weights, rest), held_out


def _check_batchnorm(network: NeuralNetwork, parts: list[slice]) -> None:
    smallest = min(part.stop - part.start for part in parts)
    layer = next((layer for layer in network.layers if isinstance(layer, BatchNorm)), None)
    if smallest == 1 and layer is not None:
        raise ValueError(
            f"fit: each batch must hold at least 2 images, as {layer.name} normalises by the batch; got 1: "
            "take more images or a greater batch_size"
        )


def _checked_callbacks(callbacks: Iterable[Callback], progress: bool) -> tuple[Callback, ...]:
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: callbacks must be a list of callbacks; got {callbacks!r}")
    listed = tuple(_instance(callback, Callback, "each of callbacks") for callback in callbacks)
    return (Progress(), *listed) if progress else listed


def _only_checkpoint(callbacks: tuple[Callback, ...]) -> Checkpoint | None:
    found = [callback for callback in callbacks if isinstance(callback, Checkpoint)]
    if len(found) > 1:
        raise ValueError(f"fit: callbacks may hold one Checkpoint; got {len(found)}: leave the others away")
    return found[0] if found else None


def _instance(value: object, kind: type[_T], name: str) -> _T:
    if isinstance(value, kind):
        return value
    hint = ": call it to make one" if isinstance(value, type) else ""
    raise TypeError(f"fit: {name} must be an instance of fastdigits.{kind.__name__}; got {value!r}{hint}")
