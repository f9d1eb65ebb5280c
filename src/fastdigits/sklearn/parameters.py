"""Make layers, an optimizer and a schedule from the parameters of a `FastDigitsClassifier`, and check them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from ..core.validation import check_count, check_number
from ..nn import scales
from ..nn.layers import Dense, Layer, Standardize
from ..optim.optimizers import Adam, AdamW, Momentum, Optimizer, RMSprop
from ..optim.schedules import Constant, Schedule
from ..recipes import ACTIVATIONS, SCHEDULES, Recipe

NAME = "FastDigitsClassifier"
Model: TypeAlias = Any  # the classifier, whose class is above this module
MONITORS = ("val_accuracy", "val_loss")
SOLVERS = ("adam", "sgd", "rmsprop")
INITIALIZER = "glorot_uniform"  # MLPClassifier's; docs/sklearn.md has what chose it
AUTO_BATCH = 200  # MLPClassifier's

# What to use instead of parameters and values of MLPClassifier that this package has not
_NO_PARAMETER = {
    "alpha": "weight_decay, such as 0.01, shrinks weights with solver='adam'; the same number has another effect",
    "power_t": "learning_rate='step', 'cosine' or a fastdigits.Schedule reduces the rate",
    "max_fun": "max_iter bounds the training, as there is no solver 'lbfgs'",
}
_NO_VALUE = {
    ("solver", "lbfgs"): "for small tables, use solver='adam' with batch_size=32",
    ("activation", "tanh"): "use 'relu'",
    ("activation", "logistic"): "use 'relu'",
    (
        "activation",
        "identity",
    ): "layers without activation are one linear layer, which hidden_layer_sizes=() makes",
    ("learning_rate", "invscaling"): "'step' and 'cosine' reduce the rate too",
}


def refuse_others(names: Iterable[str]) -> None:
    """Raise a TypeError if one is a parameter of MLPClassifier that is not there; it names what to use instead."""
    for name in names:
        if name in _NO_PARAMETER:
            raise TypeError(f"{NAME}: {name} is not a parameter: {_NO_PARAMETER[name]}")


def _chosen(model: Model, name: str, choices: Iterable[str], besides: str = "") -> str:
    """Return the value of a parameter that is one of the choices; ``besides`` names what else it may be."""
    value: str = getattr(model, name)
    if isinstance(value, str) and value in choices:
        return value
    hint = _NO_VALUE.get((name, value)) if isinstance(value, str) else None
    raise ValueError(
        f"{NAME}: {name} must be one of {', '.join(choices)}{besides}; got {value!r}"
        + (f": {hint}" if hint else "")
    )


def layers(model: Model, width: int, classes: int, standardize: bool) -> list[Layer]:
    """Return new layers for rows of ``width`` numbers, which the first one standardises or not."""
    sizes = model.hidden_layer_sizes
    if isinstance(sizes, str | bytes):
        raise TypeError(
            f"{NAME}: hidden_layer_sizes must be an integer or a sequence of them, such as (64, 32); got {sizes!r}"
        )
    made = Recipe(
        name=NAME,
        hidden=tuple(
            check_count(size, "hidden_layer_sizes", NAME)
            for size in (sizes if np.iterable(sizes) else (sizes,))
        ),
        activation=_chosen(model, "activation", ACTIVATIONS),
        batchnorm=model.batchnorm,
        dropout=check_number(model.dropout, "dropout", NAME, least=0, under=1),
    ).layers(width, classes)
    for layer in made:
        if isinstance(layer, Dense):
            layer.initializer = INITIALIZER
    return [Standardize(width), *made] if standardize else made


def optimizer(model: Model) -> Optimizer:
    """Return a new optimizer."""
    lr = model.learning_rate_init
    decays = check_number(model.weight_decay, "weight_decay", NAME, least=0) > 0
    if decays and model.solver != "adam":
        raise ValueError(
            f"{NAME}: weight_decay must be 0 unless the solver is 'adam'; got {model.weight_decay!r}"
        )
    solver = _chosen(model, "solver", SOLVERS)
    if solver == "adam":
        adam: dict[str, Any] = {"beta1": model.beta_1, "beta2": model.beta_2, "eps": model.epsilon}
        return AdamW(lr, weight_decay=model.weight_decay, **adam) if decays else Adam(lr, **adam)
    if solver == "sgd":
        return Momentum(lr, model.momentum, nesterov=model.nesterovs_momentum)
    return RMSprop(lr, eps=model.epsilon)


def schedule(model: Model) -> Schedule:
    """Return the schedule of one `fit`; it is constant for "adaptive", which reduces the rate by other means."""
    if isinstance(model.learning_rate, Schedule):
        return model.learning_rate
    kinds: dict[str, type[Schedule]] = {**SCHEDULES, "adaptive": Constant}
    return kinds[_chosen(model, "learning_rate", kinds, ", or a fastdigits.Schedule")]()


def scale(model: Model) -> str | None:
    """Return the scale of the rows; None to learn it from them."""
    if model.scale == "auto" or model.scale in scales.SCALES:
        return None if model.scale == "auto" else model.scale
    raise ValueError(f"{NAME}: scale must be one of auto, {', '.join(scales.SCALES)}; got {model.scale!r}")


def standardize(model: Model) -> bool | None:
    """Return whether the columns are standardised; None if the rows decide."""
    if isinstance(model.standardize, bool | np.bool_):
        return bool(model.standardize)
    if model.standardize == "auto":
        return None if model.scale in ("auto", scales.NUMBERS) else False
    raise ValueError(f"{NAME}: standardize must be True, False or 'auto'; got {model.standardize!r}")


def batch_size(model: Model) -> int | None:
    """Return the rows per step, or None for "auto"."""
    if not isinstance(model.batch_size, str):
        return check_count(model.batch_size, "batch_size", NAME)
    if model.batch_size != "auto":
        raise ValueError(f"{NAME}: batch_size must be 'auto' or an integer; got {model.batch_size!r}")
    return None
