"""The space of a search: the values that each setting of a recipe may have, and the recipes that trials draw."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any

from ..core.seeding import TRIALS, stream
from ..core.text import tabulate, wrap
from ..recipes import ONLY_WITH, Recipe
from ..training.augmentation import Augmentation
from . import train_options
from .console import quoted
from .record import NONE
from .train_options import SETTINGS

# The space where none is given. Fewer hidden layers and epochs than those of the presets `accurate` and `best`: each
# trial should take seconds.
DEFAULT = (
    "hidden=32|64-32|128-64|256-128|512-256, batchnorm=none|first|all, dropout=0|0.1|0.3, batch_size=32|64|128|256, "
    "optimizer=adam|adamw, learning_rate=0.001:0.03, weight_decay=0.001:0.1, schedule=one-cycle|cosine, "
    "label_smoothing=0|0.05|0.1, ema=none|0.99|0.999"
)
DISTORTIONS = (
    "augment=none|rotation=4,shift=0.5,fade=0.3|rotation=8,scale=0.1,shear=0.1,shift=1,alpha=16,fade=0.15"
)

NAMES = [name for name in SETTINGS if name != "epochs"]  # epochs are what a search spends
_ALIASES = {"lr": "learning_rate"}
_LOGARITHMIC = ("learning_rate", "weight_decay", "batch_size", "clip_norm")
_DISTINCT = 200  # draws in a row that repeat earlier recipes, after which there are no others


@dataclass(frozen=True)
class Values:
    """The values of one setting: some, or all numbers from the first to the second.

    Attributes
    ----------
    values : tuple
    text : str
        As on the command line.
    ranges, logarithmic : bool
        Whether the two values are the ends of a range, and whether numbers are drawn by their logarithms.
    """

    values: tuple[Any, ...]
    text: str
    ranges: bool = False
    logarithmic: bool = False

    def at(self, place: float) -> Any:
        """Return the value at a place, 0 … 1, of the row of values; numbers are rounded to three digits."""
        if not self.ranges:
            return self.values[int(place * len(self.values))]
        low, high = self.values
        number = low * (high / low) ** place if self.logarithmic else low + (high - low) * place
        rounded = min(max(float(f"{number:.3g}"), low), high)
        return round(rounded) if isinstance(low, int) else rounded

    def nearest(self, value: Any) -> Any:
        """Return a value if it is among these, else the one in the middle of a range, or the first."""
        if self.ranges:
            low, high = self.values
            return value if value is not None and low <= value <= high else self.at(0.5)
        return value if value in self.values else self.values[0]


class Space:
    """Values for each setting of a recipe except its epochs.

    Parameters
    ----------
    base : Recipe
        The settings that have one value.
    values : dict of str to Values
        The values of the others.
    """

    def __init__(self, base: Recipe, values: dict[str, Values]) -> None:
        self.base = base
        self.values = values

    def recipes(self, seed: int) -> Iterator[Recipe]:
        """Yield different recipes: first the one that is nearest to the base, then random ones.

        Each recipe has a random stream of its own, with one number for each setting: what one setting may be does not
        change the others.
        """
        seen: set[Recipe] = set()
        number = last = 0
        while number - last <= _DISTINCT:
            generator = stream(seed, TRIALS, number)
            places = dict(zip(NAMES, generator.random(len(NAMES)), strict=True))
            drawn = {
                name: values.nearest(getattr(self.base, name)) if number == 0 else values.at(places[name])
                for name, values in self.values.items()
            }
            recipe = self._recipe(drawn)
            if recipe not in seen:
                seen.add(recipe)
                last = number
                yield recipe
            number += 1

    def _recipe(self, drawn: dict[str, Any]) -> Recipe:
        settings = {name: getattr(self.base, name) for name in NAMES} | drawn
        for name, optimizer in ONLY_WITH.items():
            if settings["optimizer"] != optimizer:
                settings[name] = None
        if settings["ema"] is not None:
            settings["swa"] = None
        return Recipe(name="tuned", **settings)

    @property
    def distorts(self) -> bool:
        """Whether a recipe may distort images."""
        return any(one is not None for one in self._all("augment"))

    @property
    def normalizes(self) -> bool:
        """Whether a recipe may normalise images by their moments."""
        return any(self._all("moment_norm"))

    def _all(self, name: str) -> tuple[Any, ...]:
        """Return all values of a setting that is no range."""
        return self.values[name].values if name in self.values else (getattr(self.base, name),)


def read(text: str, base: Recipe | None, *, distorts: bool) -> Space:
    """Return the space that a text describes, such as ``lr=0.001:0.03, hidden=64-32|128-64``.

    Parameters
    ----------
    text : str
        Settings that restrict or extend the space; may be empty.
    base : Recipe or None
        The other settings have its values. None: they have those of `DEFAULT`.
    distorts : bool
        Whether images may be distorted.

    Raises
    ------
    ValueError
        If a name is unknown, if a value is not allowed, or if a setting could never be used.
    """
    given = {name: _values(name, value) for name, value in _parts(text)}
    values = given
    if base is None:
        default = f"{DEFAULT}, {DISTORTIONS}" if distorts else DEFAULT
        values = {name: _values(name, value) for name, value in _parts(default)} | given
        base = Recipe(name="train")
    optimizers = values["optimizer"].values if "optimizer" in values else (base.optimizer,)
    for name, optimizer in ONLY_WITH.items():
        if name in given and given[name].values != (None,) and optimizer not in optimizers:
            raise ValueError(f"{name} needs optimizer={optimizer}; got optimizer={'|'.join(optimizers)}")
    ordered = {name: values[name] for name in NAMES if name in values}
    return Space(base, ordered)


def table(space: Space, width: int, indent: str = "") -> str:
    """Return name and values of each setting, side by side in lines of at most ``width`` characters."""
    label = max(map(len, NAMES)) + len(indent)
    rows: list[tuple[str, str]] = []
    for name, values in space.values.items():
        text = values.text.replace(",", ", ").replace("|", " | ")
        lines = wrap(text, width - label - 2)
        rows += zip_longest([indent + name], lines, fillvalue="")
    return tabulate(rows, least=[label])


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and values of each setting. A comma ends them where a name follows that no distortion has."""
    distortions = {field.name for field in fields(Augmentation)}
    seen: set[str] = set()
    words = [word for word in re.split(r",\s*(?=[\w-]+\s*=)", text.strip()) if word]
    parts: list[str] = []
    for word in words:
        if parts and word.partition("=")[0].strip() in distortions:
            parts[-1] += f",{word}"
        else:
            parts.append(word)
    for part in parts:
        name, sign, values = (one.strip() for one in part.partition("="))
        name = _ALIASES.get(name, name.replace("-", "_"))
        if not sign or name not in NAMES:
            raise ValueError(_unknown(name) if sign else f"must be like lr=0.001:0.03; got {quoted(part)}")
        if name in seen:
            raise ValueError(f"{name} must appear once; got it twice")
        seen.add(name)
        yield name, values


def _unknown(name: str) -> str:
    if name == "epochs":
        return "epochs are what the search spends: give the most of them with --epochs"
    close = difflib.get_close_matches(name, NAMES, n=1)
    return f"unknown setting {quoted(name)}; " + (
        f"did you mean {close[0]!r}?" if close else f"the settings are {', '.join(NAMES)}"
    )


def _values(name: str, text: str) -> Values:
    """Return the values in a text: ``low:high``, or some with ``|`` between them."""
    words = [word.strip() for word in text.split("|")]
    ends = text.split(":")
    if len(ends) == 2 and len(words) == 1:
        low, high = (_value(name, end.strip()) for end in ends)
        are_numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
        if not (are_numbers and low < high):
            raise ValueError(f"{name}: a range must be from a number to a larger one; got {quoted(text)}")
        return Values((low, high), text, True, name in _LOGARITHMIC and low > 0)
    return Values(tuple(_value(name, word) for word in words), "|".join(words))


def _value(name: str, word: str) -> Any:
    if word == NONE and getattr(Recipe, name) is None:
        return None
    if name == "hidden":
        word = word.replace("-", ",")
    value = train_options.parse(name, word)
    if value == train_options.AUTO:
        raise ValueError(f"{name}: must be a number; got {word!r}")
    return value
