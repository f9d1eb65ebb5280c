"""Presets: named settings for a whole training, from the network to its augmentation.

A recipe is data; its methods make the network and the options of a training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from .core.text import tabulate
from .network import NeuralNetwork
from .nn.layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, ReLU
from .nn.losses import SoftmaxCrossEntropy
from .optim.averaging import EMA, SWA, WeightAverage
from .optim.optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop
from .optim.schedules import Constant, Cosine, OneCycle, Schedule, Step, WarmUp
from .training.augmentation import Augmentation
from .training.options import FitOptions

__all__ = ["ACCURATE", "BEST", "DEFAULT", "FAST", "ORIGINAL", "RECIPES", "Recipe", "get", "table"]

ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "leaky-relu": LeakyReLU}
BATCHNORMS = ("first", "all", "none")
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW,
}  # fmt: skip
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "step": Step, "cosine": Cosine, "one-cycle": OneCycle, "warm-up": WarmUp,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training; each is also an option of ``fastdigits train``.

    Parameters
    ----------
    name : str
    about : str
        Its purpose, in a few words.
    hidden : tuple of int, default (64, 32)
        Widths of the hidden layers.
    activation : {"relu", "leaky-relu"}, default "relu"
        After each hidden layer.
    batchnorm : {"first", "all", "none"}, default "first"
        Hidden layers with batch normalisation.
    dropout : float, default 0.0
        After each hidden layer.
    epochs, batch_size : int, default 10 and 128
    optimizer : {"sgd", "momentum", "rmsprop", "adam", "adamw"}, default "adam"
    learning_rate : float, default 0.01
        Highest learning rate of the schedule.
    momentum, weight_decay : float, optional
        For ``momentum`` and ``adamw``; None for the default of the optimizer.
    schedule : {"constant", "step", "cosine", "one-cycle", "warm-up"}, default "one-cycle"
    label_smoothing : float, default 0.0
    clip_norm : float, optional
    augment : Augmentation, optional
    ema, swa : float, optional
        Decay of an `EMA`, or start of an `SWA`; one of them at most.

    Raises
    ------
    ValueError
        If a name is not one of those above, or if both averages are given. Layers and optimizers check their own
        arguments when they are made.

    Examples
    --------
    >>> from fastdigits import recipes
    >>> print(recipes.FAST.network().summary().splitlines()[-1].split()[:2])
    ['total', '52,778']
    """

    name: str
    about: str = ""
    hidden: tuple[int, ...] = (64, 32)
    activation: str = "relu"
    batchnorm: str = "first"
    dropout: float = 0.0
    epochs: int = FitOptions.epochs
    batch_size: int = FitOptions.batch_size
    optimizer: str = "adam"
    learning_rate: float = 0.01
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str = "one-cycle"
    label_smoothing: float = 0.0
    clip_norm: float | None = FitOptions.clip_norm
    augment: Augmentation | None = FitOptions.augment
    ema: float | None = None
    swa: float | None = None

    def __post_init__(self) -> None:
        for name, names in [
            ("activation", ACTIVATIONS),
            ("batchnorm", BATCHNORMS),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
        ]:
            value = getattr(self, name)
            if value not in names:
                raise ValueError(
                    f"Recipe {self.name}: {name} must be one of {', '.join(names)}; got {value!r}"
                )
        if self.ema is not None and self.swa is not None:
            raise ValueError(f"Recipe {self.name}: only one of ema and swa may be given; got both")

    def __str__(self) -> str:
        """Return the recipe as a table: its purpose, the main settings, and all that differ from the default."""
        shown = [("recipe", f"{self.name}: {self.about}" if self.about else self.name)]
        for field in fields(self)[2:]:
            value = getattr(self, field.name)
            always = ("hidden", "epochs", "batch_size", "optimizer", "learning_rate", "schedule")
            if field.name in always or value != field.default:
                words = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
                shown.append((field.name.replace("_", " "), words))
        return tabulate(shown, least=[15])  # the same in each recipe

    def layers(self, width: int = 784, classes: int = 10) -> list[Layer]:
        """Return the layers of the network for images of ``width`` pixels."""
        chosen: list[Layer] = []
        for number, size in enumerate(self.hidden):
            chosen.append(Dense(width, size))
            if self.batchnorm == "all" or (self.batchnorm == "first" and number == 0):
                chosen.append(BatchNorm(size))
            chosen.append(ACTIVATIONS[self.activation]())
            if self.dropout > 0:
                chosen.append(Dropout(self.dropout))
            width = size
        return [*chosen, Dense(width, classes)]

    def network(self, width: int = 784, classes: int = 10, *, seed: int = 0) -> NeuralNetwork:
        """Return a new network for images of ``width`` pixels."""
        return NeuralNetwork(self.layers(width, classes), seed=seed)

    def make_optimizer(self) -> Optimizer:
        """Return a new optimizer."""
        extras = {"momentum": self.momentum, "weight_decay": self.weight_decay}
        given = {name: value for name, value in extras.items() if value is not None}
        return OPTIMIZERS[self.optimizer](self.learning_rate, **given)

    def make_schedule(self) -> Schedule:
        """Return the schedule."""
        return SCHEDULES[self.schedule]()

    def make_average(self) -> WeightAverage | None:
        """Return a new average of the weights, or None."""
        if self.ema is not None:
            return EMA(self.ema)
        return None if self.swa is None else SWA(self.swa)

    def fit_arguments(self) -> dict[str, Any]:
        """Return the arguments of `NeuralNetwork.fit` that the recipe sets, with new objects."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "optimizer": self.make_optimizer(),
            "schedule": self.make_schedule(),
            "loss": SoftmaxCrossEntropy(label_smoothing=self.label_smoothing),
            "augment": self.augment,
            "clip_norm": self.clip_norm,
            "average": self.make_average(),
        }


ORIGINAL = Recipe(
    name="original",
    about="the network, the optimizer and the ten epochs that this project began with",
    optimizer="rmsprop",
    learning_rate=0.001,
    batch_size=64,
    schedule="constant",
)
FAST = Recipe(
    name="fast",
    about="97.5 % in the fewest seconds",
    epochs=3,
    learning_rate=0.02,
)
DEFAULT = Recipe(
    name="default",
    about="what fifteen epochs can make of the original's network",
    epochs=15,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.05,
    label_smoothing=0.05,
    augment=Augmentation(rotation=4, scale=0, shear=0, shift=0.5, fade=0.3),
)
ACCURATE = Recipe(
    name="accurate",
    about="what two minutes can make of the original's hidden layers",
    batchnorm="all",
    epochs=400,
    batch_size=256,
    optimizer="adamw",
    weight_decay=0.01,
    augment=Augmentation(rotation=8, scale=0.1, shear=0.1, shift=1, alpha=16, fade=0.15),
    ema=0.999,
)
BEST = Recipe(
    name="best",
    about="what fifteen minutes can make of two wide layers",
    hidden=(1000, 500),
    batchnorm="all",
    epochs=250,
    batch_size=256,
    optimizer="adamw",
    learning_rate=0.003,
    weight_decay=0.02,
    augment=Augmentation(rotation=10, scale=0.1, shear=0.1, shift=1.5, alpha=20, fade=0.1),
    ema=0.999,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (ORIGINAL, FAST, DEFAULT, ACCURATE, BEST)}


def get(name: str) -> Recipe:
    """Return the recipe of this name.

    Raises
    ------
    ValueError
        If no recipe has this name.
    """
    if name not in RECIPES:
        raise ValueError(f"recipes.get: name must be one of {', '.join(RECIPES)}; got {name!r}")
    return RECIPES[name]


def table(recipes: Iterable[Recipe] = tuple(RECIPES.values())) -> str:
    """Return the tables of recipes, one below another."""
    return "\n\n".join(map(str, recipes))


def __dir__() -> list[str]:
    """Return the public names, without the modules and types that the code uses."""
    return __all__
