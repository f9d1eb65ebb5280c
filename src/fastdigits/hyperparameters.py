"""Hyperparameters of layers, losses, optimizers and schedules: check them, keep them, show them."""

from __future__ import annotations

import inspect
import math
import numbers
from typing import Any

import numpy as np

from .changes import Watched


def check_number(
    value: object,
    name: str,
    subject: str,
    *,
    least: float | None = None,
    over: float | None = None,
    most: float | None = None,
    under: float | None = None,
) -> float:
    """Return a finite number within its bounds.

    Parameters
    ----------
    value : object
        What the caller gave.
    name, subject : str
        How an error message calls it, and what the message begins with.
    least, over : float, optional
        Lower bound, itself allowed or not; at most one of them.
    most, under : float, optional
        Upper bound, itself allowed or not; at most one of them.

    Raises
    ------
    TypeError
        If it is no real number (a bool is none either).
    ValueError
        If it is not finite or out of bounds.

    Notes
    -----
    Kernels compute in float32. So it is the value rounded to float32 that must be finite and within the
    bounds: a dropout rate of 0.999999999 would be 1 there.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{subject}: {name} must be a number; got {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        try:
            rounded = float(np.float32(value))
        except OverflowError:  # a whole number beyond any float
            rounded = math.inf
    fits = (
        np.isfinite(rounded)
        and (least is None or rounded >= least)
        and (over is None or rounded > over)
        and (most is None or rounded <= most)
        and (under is None or rounded < under)
    )
    if not fits:
        low = f"{least:g} ≤ " if least is not None else f"{over:g} < " if over is not None else ""
        high = f" ≤ {most:g}" if most is not None else f" < {under:g}" if under is not None else ""
        bounds = f" with {low}{name}{high}" if low or high else ""
        raise ValueError(f"{subject}: {name} must be a finite float32 number{bounds}; got {_shown(value)}")
    return float(value)


def _shown(value: object) -> str:
    """Return a number as an error message shows it: whole numbers may have more digits than Python prints."""
    if isinstance(value, int) and abs(value) >= 1 << 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


class Configured(Watched):
    """Something that keeps each argument of its constructor in an attribute of the same name."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments: ``type(thing)(**thing.config())`` makes another like it."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def __repr__(self) -> str:
        """Return the call that makes another like it; options that have their default are left out."""
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        shown = []
        for name, value in self.config().items():
            default = defaults.get(name)
            if default is inspect.Parameter.empty:
                shown.append(repr(value))
            elif value != default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
