"""Recipes: settings for a whole training, from the network to its augmentation, as presets and as files.

A recipe is data; its methods make the network and the options of a training.
"""

from __future__ import annotations

import difflib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .core import atomic
from .core.schema import Check, boolean, integer, number, one_of, optional, read_object, text
from .core.text import tabulate
from .core.validation import check_count
from .errors import DataError
from .network import NeuralNetwork
from .nn.layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, MomentNorm, ReLU
from .nn.losses import SoftmaxCrossEntropy
from .optim.averaging import EMA, SWA, WeightAverage
from .optim.optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop
from .optim.schedules import Constant, Cosine, OneCycle, Schedule, Step, WarmUp
from .training.augmentation import Augmentation
from .training.options import FitOptions

__all__ = [
    "ACCURATE",
    "BEST",
    "DEFAULT",
    "FAST",
    "ORIGINAL",
    "PLAIN",
    "RECIPES",
    "ROBUST",
    "Recipe",
    "get",
    "load",
    "table",
]

ACTIVATIONS: dict[str, type[Layer]] = {"relu": ReLU, "leaky-relu": LeakyReLU}
BATCHNORMS = ("first", "all", "none")
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD, "momentum": Momentum, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW,
}  # fmt: skip
SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant, "step": Step, "cosine": Cosine, "one-cycle": OneCycle, "warm-up": WarmUp,
}  # fmt: skip
MOST_LAYERS = 1_000  # hidden ones: a model file holds ten thousand arrays, up to six for each
ONLY_WITH = {"momentum": "momentum", "weight_decay": "adamw"}  # settings that one optimizer has
FORMAT, VERSION = "fastdigits_recipe", 1  # the entry of a file that says what it is, and its value
_MOST_BYTES = 1 << 16


def make_augmentation(sizes: Mapping[str, object]) -> Augmentation:
    """Return the augmentation with these distortions and no others.

    Raises
    ------
    TypeError, ValueError
        If a name is unknown, or if a size is not allowed.
    """
    names = [field.name for field in fields(Augmentation)]
    for name in sizes:
        if name not in names:
            raise ValueError(f"{name!r:.80} is none of {', '.join(names)}")
    none: dict[str, Any] = dict.fromkeys(names, 0.0) | {"sigma": Augmentation.sigma}
    return Augmentation(**none | dict(sizes))


def _widths(value: object, name: str, subject: str) -> tuple[int, ...]:
    if not isinstance(value, tuple | list):
        raise TypeError(f"{subject}: {name} must be a list of widths; got {value!r:.200}")
    if len(value) > MOST_LAYERS:
        raise ValueError(f"{subject}: {name} must be at most {MOST_LAYERS:,} widths; got {len(value):,}")
    return tuple(check_count(width, name, subject) for width in value)


def _augmentation(value: object, name: str, subject: str) -> Augmentation:
    if isinstance(value, Augmentation):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{subject}: {name} must be an Augmentation, or entries by name; got {value!r:.200}")
    try:
        return make_augmentation(value)
    except ValueError as error:
        raise ValueError(f"{subject}: {name}: {error}") from error


_FRACTION = number(least=0, under=1)
_CHECKS: dict[str, Check] = {  # one for each setting
    "name": text,
    "about": text,
    "hidden": _widths,
    "activation": one_of(ACTIVATIONS),
    "batchnorm": one_of(BATCHNORMS),
    "dropout": _FRACTION,
    "epochs": integer(1),
    "batch_size": integer(1),
    "optimizer": one_of(OPTIMIZERS),
    "learning_rate": number(over=0),
    "momentum": optional(_FRACTION),
    "weight_decay": optional(number(least=0)),
    "schedule": one_of(SCHEDULES),
    "label_smoothing": _FRACTION,
    "adversarial": number(least=0),
    "clip_norm": optional(number(over=0)),
    "augment": optional(_augmentation),
    "ema": optional(_FRACTION),
    "swa": optional(_FRACTION),
    "moment_norm": boolean,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training; each is also an option of ``fastdigits train``.

    Parameters
    ----------
    name : str
    about : str
        Its purpose, in a few words.
    hidden : tuple of int, default (64, 32)
        Widths of the hidden layers; none for a linear classifier.
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
        Only for ``momentum`` and ``adamw``; None for the default of the optimizer.
    schedule : {"constant", "step", "cosine", "one-cycle", "warm-up"}, default "one-cycle"
    label_smoothing : float, default 0.0
    adversarial : float, default 0.0
        Length by which half of each batch is moved; see `NeuralNetwork.fit`.
    clip_norm : float, optional
    augment : Augmentation, optional
    ema, swa : float, optional
        Decay of an `EMA`, or start of an `SWA`; one of them at most.
    moment_norm : bool, default False
        Whether the network begins with `MomentNorm`.

    Raises
    ------
    TypeError, ValueError
        If a setting is not as described, or if two of them contradict each other.

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
    adversarial: float = FitOptions.adversarial
    clip_norm: float | None = FitOptions.clip_norm
    augment: Augmentation | None = FitOptions.augment
    ema: float | None = None
    swa: float | None = None
    moment_norm: bool = False

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(getattr(self, name), name, f"Recipe {self.name}"))
        for name, optimizer in ONLY_WITH.items():
            if getattr(self, name) is not None and self.optimizer != optimizer:
                raise ValueError(
                    f"Recipe {self.name}: {name} needs the optimizer {optimizer}; got {self.optimizer}"
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
                words = ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
                shown.append((field.name.replace("_", " "), words))
        return tabulate(shown, least=[15])  # the same in each recipe

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the recipe as a JSON file, for `load` and ``fastdigits train --recipe FILE``.

        Raises
        ------
        OSError
            If the file cannot be written; an old one then stays unchanged.
        """
        content = json.dumps({FORMAT: VERSION, **asdict(self)}, indent=2)
        atomic.write(path, f"{content}\n".encode(), example="recipe.json")

    def layers(
        self, width: int = 784, classes: int = 10, *, image_shape: tuple[int, int] | None = None
    ) -> list[Layer]:
        """Return the layers of the network for images of ``width`` pixels.

        ``image_shape`` is their height and width; None for square ones. Only a recipe with ``moment_norm`` uses it, and
        raises a ValueError for sides that `MomentNorm` does not take.
        """
        chosen: list[Layer] = [self._moment_norm(width, image_shape)] if self.moment_norm else []
        for place, size in enumerate(self.hidden):
            chosen.append(Dense(width, size))
            if self.batchnorm == "all" or (self.batchnorm == "first" and place == 0):
                chosen.append(BatchNorm(size))
            chosen.append(ACTIVATIONS[self.activation]())
            if self.dropout > 0:
                chosen.append(Dropout(self.dropout))
            width = size
        return [*chosen, Dense(width, classes)]

    def _moment_norm(self, width: int, image_shape: tuple[int, int] | None) -> MomentNorm:
        side = math.isqrt(check_count(width, "width", f"Recipe {self.name}"))
        height, columns = image_shape or (side, side)
        if height * columns != width:
            given = "no square" if image_shape is None else f"not {height} x {columns}"
            raise ValueError(
                f"Recipe {self.name}: moment_norm needs height and width of the images; got {width} pixels, which are "
                f"{given}: give image_shape to layers"
            )
        return MomentNorm(height, columns)

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
            "adversarial": self.adversarial,
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
    about="98 % in half a second",
    epochs=5,
    optimizer="adamw",
    learning_rate=0.03,
    weight_decay=0.05,
    label_smoothing=0.05,
)
DEFAULT = Recipe(
    name="default",
    about="what two seconds can make of the original's hidden layers",
    moment_norm=True,
    epochs=9,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.05,
    label_smoothing=0.05,
    augment=Augmentation(rotation=4, scale=0, shear=0, shift=0.5, fade=0.3),
    ema=0.998,
)
ACCURATE = Recipe(
    name="accurate",
    about="what two minutes can make of the original's hidden layers",
    moment_norm=True,
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
PLAIN = Recipe(
    name="plain",
    about="what ten minutes can make without any knowledge of images",
    hidden=(1024, 512),
    batchnorm="all",
    epochs=60,
    batch_size=256,
    optimizer="adamw",
    learning_rate=0.006,
    weight_decay=0.01,
    adversarial=1.5,
)

ROBUST = Recipe(
    name="robust",
    about="for digits that are shifted, turned, thick, thin, noisy or partly hidden",
    moment_norm=True,
    hidden=(512, 256),
    batchnorm="all",
    epochs=20,
    batch_size=256,
    optimizer="adamw",
    learning_rate=0.005,
    weight_decay=0.01,
    augment=Augmentation(rotation=30, scale=0.3, shear=0.4, shift=4, thickness=1, cutout=14),
    adversarial=1.5,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (ORIGINAL, FAST, DEFAULT, ACCURATE, BEST, PLAIN, ROBUST)
}


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


def load(path: str | os.PathLike[str]) -> Recipe:
    """Return the recipe in a JSON file; settings that the file omits have their defaults.

    Raises
    ------
    DataError
        If the file cannot be read, was written by a newer version, or has a setting that is unknown or not allowed.

    Examples
    --------
    >>> from fastdigits import recipes
    >>> recipes.FAST.save("mine.json")
    >>> recipes.load("mine.json") == recipes.FAST
    True
    """
    file = Path(path)
    content = read_object(file, _MOST_BYTES)
    try:
        return _from_json({"name": file.stem} | content)
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: must be a recipe; got: {error}") from error


def _from_json(content: dict[str, Any]) -> Recipe:
    version = content.pop(FORMAT, None)
    if type(version) is int and version > VERSION:
        raise ValueError(f"version {version}, this package reads {VERSION}: update fastdigits")
    if type(version) is not int or version != VERSION:
        found = "none" if version is None else f"{version!r:.100}"
        raise ValueError(f'it must have the entry "{FORMAT}": {VERSION}; got {found}')
    for name in content:
        if name not in _CHECKS:
            close = difflib.get_close_matches(name, _CHECKS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the settings are {', '.join(_CHECKS)}"
            raise ValueError(f"unknown setting {name!r:.100}; {hint}")
    return Recipe(**content)


def table(recipes: Iterable[Recipe] = tuple(RECIPES.values())) -> str:
    """Return the tables of recipes, one below another."""
    return "\n\n".join(map(str, recipes))


def __dir__() -> list[str]:
    """Return the public names, without the modules and types that the code uses."""
    return __all__
