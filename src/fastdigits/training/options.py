"""The options of `NeuralNetwork.fit`: each with its default and its check, in one place."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..backend.threads import check_threads
from ..core.blocks import Blocks
from ..core.validation import check_count, check_number
from ..nn.losses import SoftmaxCrossEntropy
from ..optim.averaging import EMA, WeightAverage
from ..optim.optimizers import Adam, Optimizer
from ..optim.schedules import Constant, Schedule
from .augmentation import Augmentation
from .callbacks import Callback, Progress
from .checkpoint import Checkpoint
from .ranks import Ranks

SHARDS = 8  # of a batch, where there are ranks
# A checkpoint records the other options: it has digests of the data, and what remains here changes no result.
_NOT_RECORDED = (
    "validation_data",
    "validation_split",
    "sample_weight",
    "progress",
    "threads",
    "resume",
    "ranks",
)
# The type of each, an example for messages, and whether that is the default too
_OBJECTS: dict[str, tuple[type, type, bool]] = {
    "optimizer": (Optimizer, Adam, True),
    "schedule": (Schedule, Constant, True),
    "loss": (SoftmaxCrossEntropy, SoftmaxCrossEntropy, True),
    "augment": (Augmentation, Augmentation, False),
    "average": (WeightAverage, EMA, False),
}

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The arguments of `NeuralNetwork.fit` except images and labels; `NeuralNetwork.fit` describes them.

    Each is checked here, except for ``validation_data`` and ``sample_weight``, which are checked with the images, and
    ``resume``. Where ``optimizer``, ``schedule`` or ``loss`` is None, it becomes a new default one;
    ``ranks`` becomes this process alone, and ``batch_shards`` 1 for it, else 8.
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = None  # type: ignore[assignment]
    schedule: Schedule = None  # type: ignore[assignment]
    loss: SoftmaxCrossEntropy = None  # type: ignore[assignment]
    augment: Augmentation | None = None
    adversarial: float = 0.0
    clip_norm: float | None = None
    average: WeightAverage | None = None
    validation_data: tuple[Any, ...] | Blocks | None = None
    validation_split: float = 0.0
    sample_weight: object = None
    callbacks: Iterable[Callback] = ()
    shuffle: bool = True
    progress: bool | None = None
    threads: int | None = None
    resume: str | os.PathLike[str] | None = None
    batch_shards: int = None  # type: ignore[assignment]
    average_every: int = 0
    ranks: Ranks = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "epochs": check_count(self.epochs, "epochs", "fit"),
            "batch_size": check_count(self.batch_size, "batch_size", "fit"),
            "callbacks": _checked_callbacks(self.callbacks),
            "adversarial": check_number(self.adversarial, "adversarial", "fit", least=0),
            "shuffle": bool(self.shuffle),
        }
        if self.clip_norm is not None:
            checked["clip_norm"] = check_number(self.clip_norm, "clip_norm", "fit", over=0)
        if self.threads is not None:
            checked["threads"] = check_threads(self.threads, "threads", "fit")
        if self.ranks is None:
            checked["ranks"] = Ranks()
        elif not isinstance(self.ranks, Ranks):
            raise TypeError(f"fit: ranks must be those of fastdigits.distributed.mpi(); got {self.ranks!r}")
        shards = self.batch_shards
        if shards is None:
            shards = 1 if self.ranks is None else SHARDS
        checked["batch_shards"] = check_count(shards, "batch_shards", "fit")
        checked["average_every"] = check_count(self.average_every, "average_every", "fit", least=0)
        for name, (kind, example, is_default) in _OBJECTS.items():
            value = getattr(self, name)
            if value is not None:
                _instance(value, kind, name, example)
            elif is_default:
                checked[name] = example()
        fraction = self.validation_split
        if not isinstance(fraction, float | int) or not 0 <= fraction < 1:
            raise ValueError(f"fit: validation_split must be a number with 0 ≤ f < 1; got {fraction!r}")
        if fraction > 0 and self.validation_data is not None:
            raise ValueError("fit: only one of validation_data and validation_split may be given; got both")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.average_every and self.batch_shards == 1:
            raise ValueError(
                f"fit: average_every={self.average_every} needs batch_shards of 2 or more, whose networks it averages; "
                "got 1"
            )
        if self.average_every and self.checkpoint is not None and self.checkpoint.every is not None:
            raise ValueError(
                "fit: with average_every, checkpoints are written at ends of epochs; got "
                f"every={self.checkpoint.every}: omit it"
            )
        if self.ranks.size > self.batch_shards:
            raise ValueError(
                f"fit: batch_shards must be at least {self.ranks.size}, one per rank; got {self.batch_shards}: "
                "start fewer ranks or take more shards"
            )

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The callback that writes checkpoints, if there is one."""
        return next((one for one in self.callbacks if isinstance(one, Checkpoint)), None)

    @property
    def saved_callbacks(self) -> list[Callback]:
        """The callbacks whose states a checkpoint holds: all but those that only show the progress."""
        return [one for one in self.callbacks if not isinstance(one, Progress)]

    def recorded(self) -> dict[str, Any]:
        """Return the options that decide the result, as JSON can hold them; a resumed training needs the same ones."""
        record: dict[str, Any] = {}
        for field in fields(self):
            if field.name not in _NOT_RECORDED:
                value = getattr(self, field.name)
                record[field.name] = value if isinstance(value, int | float | None) else repr(value)
        return record | {"callbacks": [type(one).__name__ for one in self.saved_callbacks]}


def _checked_callbacks(callbacks: object) -> tuple[Callback, ...]:
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        raise TypeError(f"fit: callbacks must be a list of callbacks; got {callbacks!r}")
    listed = tuple(_instance(one, Callback, "each of callbacks") for one in callbacks)
    if (number := sum(isinstance(one, Checkpoint) for one in listed)) > 1:
        raise ValueError(f"fit: callbacks may hold one Checkpoint; got {number}: omit the others")
    return listed


def _instance(value: object, kind: type[_T], name: str, example: type | None = None) -> _T:
    if isinstance(value, kind):
        return value
    hint = f": pass an object, such as fastdigits.{example.__name__}()" if example else ""
    hint = ": call it to make one" if isinstance(value, type) else hint
    raise TypeError(f"fit: {name} must be an instance of fastdigits.{kind.__name__}; got {value!r}{hint}")


def checked_together(**given: Any) -> FitOptions:
    """Return the options of `NeuralNetwork.fit`; where ranks share the training, all of them raise an error of one."""
    ranks = given.get("ranks")
    if not isinstance(ranks, Ranks):
        return FitOptions(**given)
    with ranks.guard(defer=False):
        return ranks.together(lambda: FitOptions(**given))
