"""Make layers, an optimizer and a schedule from the parameters of a `FastDigitsClassifier`, and check them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from ..core.validation import check_count, check_number
from ..nn import scales
from ..nn.layers import Dense, Layer
from ..optim.optimizers import Adam, AdamW, Momentum, Optimizer, RMSprop
from ..optim.schedules import Constant, Schedule
from ..recipes import SCHEDULES, Recipe

NAME = "FastDigitsClassifier"
Model: TypeAlias = Any  # the classifier, whose class is above this module
MONITORS = ("val_accuracy", "val_loss")
SOLVERS = ("adam", "sgd", "rmsprop")
INITIALIZER = "glorot_uniform"  # MLPClassifier's; docs/sklearn.md has what chose it
AUTO_BATCH = 200  # MLPClassifier's


def layers(model: Model, width: int, classes: int) -> list[Layer]:
    """Return new layers for rows of ``width`` numbers."""
    sizes = model.hidden_layer_sizes
    made = Recipe(
        name=NAME,
        hidden=tuple(sizes) if isinstance(sizes, Iterable) else (sizes,),
        activation=model.activation,
        batchnorm=model.batchnorm,
        dropout=check_number(model.dropout, "dropout", NAME, least=0, under=1),
    ).layers(width, classes)
    for layer in made:
        if isinstance(layer, Dense):
            layer.initializer = INITIALIZER
    return made


def optimizer(model: Model) -> Optimizer:
    """Return a new optimizer."""
    lr = model.learning_rate_init
    decays = check_number(model.weight_decay, "weight_decay", NAME, least=0) > 0
    if decays and model.solver != "adam":
        raise ValueError(
            f"{NAME}: weight_decay must be 0 unless the solver is 'adam'; got {model.weight_decay!r}"
        )
    if model.solver == "adam":
        adam: dict[str, Any] = {"beta1": model.beta_1, "beta2": model.beta_2, "eps": model.epsilon}
        return AdamW(lr, weight_decay=model.weight_decay, **adam) if decays else Adam(lr, **adam)
    if model.solver == "sgd":
        return Momentum(lr, model.momentum, nesterov=model.nesterovs_momentum)
    if model.solver == "rmsprop":
        return RMSprop(lr, eps=model.epsilon)
    raise ValueError(f"{NAME}: solver must be one of {', '.join(SOLVERS)}; got {model.solver!r}")


def schedule(model: Model) -> Schedule:
    """Return the schedule of one `fit`; it is constant for "adaptive", which reduces the rate by other means."""
    if isinstance(model.learning_rate, Schedule):
        return model.learning_rate
    kinds: dict[str, type[Schedule]] = {**SCHEDULES, "adaptive": Constant}
    if not isinstance(model.learning_rate, str) or model.learning_rate not in kinds:
        raise ValueError(
            f"{NAME}: learning_rate must be one of {', '.join(kinds)}, or a fastdigits.Schedule; "
            f"got {model.learning_rate!r}"
        )
    return kinds[model.learning_rate]()


def scale(model: Model) -> str | None:
    """Return the scale of the rows; None to learn it from them."""
    if model.scale == "auto" or model.scale in scales.SCALES:
        return None if model.scale == "auto" else model.scale
    raise ValueError(f"{NAME}: scale must be one of auto, {', '.join(scales.SCALES)}; got {model.scale!r}")


def batch_size(model: Model) -> int | None:
    """Return the rows per step, or None for "auto"."""
    if not isinstance(model.batch_size, str):
        return check_count(model.batch_size, "batch_size", NAME)
    if model.batch_size != "auto":
        raise ValueError(f"{NAME}: batch_size must be 'auto' or an integer; got {model.batch_size!r}")
    return None
