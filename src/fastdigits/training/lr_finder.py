"""Find a learning rate: train a copy of a network for some steps at increasing rates, and record the loss."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import numpy as np

from ..core import validation
from ..core.arrays import Array, Int64
from ..core.blocks import Blocks
from ..core.seeding import SHUFFLE, stream
from ..core.validation import check_number
from ..nn import scales
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential, check_no_labels
from ..optim.optimizers import Adam, Optimizer

STOP_FACTOR = 4.0  # times the smallest loss so far: the search stops there, as the loss will not fall again
DECAY = 0.9  # of the exponential moving average of the losses
# A one-cycle run of four epochs at half the rate of the smallest smoothed loss came within 0.4 points of the best of
# five rates, for SGD, Momentum, RMSprop and Adam, on 10,000 images held out of MNIST's training set.
SAFETY_FACTOR = 2.0


@dataclass(frozen=True)
class LearningRates:
    """The result of `NeuralNetwork.find_lr`.

    Attributes
    ----------
    lr : float
        Suggested learning rate: the highest one of a schedule.
    lrs, losses, smoothed : ndarray, (steps,) float64
        The curve: the rate of each step, the loss before the step, and its moving average. It ends where the
        loss has become far larger than its minimum.
    """

    lr: float
    lrs: Array = field(repr=False)
    losses: Array = field(repr=False)
    smoothed: Array = field(repr=False)


def find_lr(
    network: Sequential,
    x: object,
    y: object,
    *,
    optimizer: Optimizer | None,
    loss: SoftmaxCrossEntropy | None,
    batch_size: int,
    lowest: float,
    highest: float,
    steps: int,
) -> LearningRates:
    """Check everything, then try learning rates; `NeuralNetwork.find_lr` describes the arguments."""
    network.need_logits("find_lr")
    scale: str | None
    if isinstance(x, Blocks):
        check_no_labels(y, "find_lr")
        scale = network.training_scale(x)
        network.check_blocks(x, scale, "find_lr: x")
        some, labels = x.first(min(len(x), x.window))
        rows = scales.block_rows(some, scale)
    else:
        images = network.check_images(x, "find_lr: x")
        labels = validation.check_labels(y, len(images), network.widths(images.shape[1])[-1], "find_lr: y")
        rows, scale = network.training_rows(images, "find_lr: x")
    n = len(rows)
    batch_size = min(n, validation.check_count(batch_size, "batch_size", "find_lr", least=2))
    steps = validation.check_count(steps, "steps", "find_lr", least=10)
    lowest = check_number(lowest, "lowest", "find_lr", over=0)
    highest = check_number(highest, "highest", "find_lr", over=lowest)
    if n < 2:
        raise ValueError(f"find_lr: x must hold at least 2 images; got {n}")
    # One copy of both: the copied optimizer then has states for the copied parameters.
    trial, trial_optimizer = copy.deepcopy((network, Adam() if optimizer is None else optimizer))
    trial_loss = SoftmaxCrossEntropy() if loss is None else copy.deepcopy(loss)
    lrs = np.geomspace(lowest, highest, steps)
    order = _order(network, n, batch_size, steps)
    trial.scale = scale
    losses, smoothed = _curve(trial, trial_optimizer, trial_loss, rows, labels, order, lrs)
    best = lrs[int(smoothed.argmin())]
    return LearningRates(float(best / SAFETY_FACTOR), lrs[: losses.size], losses, smoothed)


def _order(network: Sequential, n: int, batch_size: int, steps: int) -> Int64:
    """Return the rows of each step, (steps, batch_size), from as many passes over all rows as needed."""
    generator = stream(network.seed, SHUFFLE, network.epochs_trained)
    passes = math.ceil(steps / (n // batch_size))
    whole = n // batch_size * batch_size
    return np.concatenate([generator.permutation(n)[:whole] for _ in range(passes)]).reshape(-1, batch_size)


def _curve(
    network: Sequential,
    optimizer: Optimizer,
    loss: SoftmaxCrossEntropy,
    rows: Array,
    labels: Int64,
    order: Int64,
    lrs: Array,
) -> tuple[Array, Array]:
    """Return the loss before each step and its moving average, until that is far above its minimum."""
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite ends the search
        for index, lr in zip(order, lrs, strict=False):
            value = loss.forward(network.run(rows[index], training=True), labels[index])
            if not math.isfinite(value):
                break
            losses.append(value)
            mean = DECAY * mean + (1 - DECAY) * value
            smoothed.append(mean / (1 - DECAY ** len(losses)))  # corrected for its start at zero
            if smoothed[-1] > STOP_FACTOR * min(smoothed):
                break
            network.backward(loss.backward())
            optimizer.step(network.parameters(), lr=float(lr))
    if not losses:
        raise ValueError(
            f"find_lr: the loss must be finite before the first step; got {value}: make a new network"
        )
    return np.array(losses), np.array(smoothed)
