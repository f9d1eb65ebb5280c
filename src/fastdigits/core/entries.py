"""What the entries of a saved state must look like: one check per entry, and all of them before anything changes.

A check is called with the value, its name and what an error message begins with; it returns the value to use, or
raises a TypeError or a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from .arrays import Float32, as_array, in_order
from .validation import check_count, check_number, differing_names

Check: TypeAlias = Callable[[object, str, str], Any]

MOST_COUNT = 1 << 53  # no training takes so many steps; all whole numbers below are exact as floats


def checked(content: object, checks: Mapping[str, Check], subject: str) -> dict[str, Any]:
    """Return the entries of a saved state, each as its check returns it.

    Raises
    ------
    TypeError, ValueError
        If an entry is missing, unknown, or not as its check requires.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{subject}: a state must have entries by name; got {content!r:.200}")
    if difference := differing_names(content, checks):
        raise ValueError(f"{subject} must have {_listed(checks) or 'no entries'}; {difference}")
    return {name: check(content[name], name, subject) for name, check in checks.items()}


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join([*known[:8], "…"] if len(known) > 8 else known)


# -- checks ------------------------------------------------------------------------------------------------


def count(least: int = 0, most: int = MOST_COUNT) -> Check:
    """Return the check of a whole number; True and 1.0 are none."""

    def check(value: object, name: str, subject: str) -> int:
        number = check_count(value, name, subject, least=least)
        if number > most:
            shown = f"{number}" if number < 1 << 200 else f"a number of {number.bit_length()} bits"
            raise ValueError(f"{subject}: {name} must be at most {most}; got {shown}")
        return number

    return check


def number(**bounds: float) -> Check:
    """Return the check of a finite number; the bounds are those of `check_number`."""
    return lambda value, name, subject: check_number(value, name, subject, **bounds)


def optional(check: Check) -> Check:
    """Return a check that takes None as well."""
    return lambda value, name, subject: None if value is None else check(value, name, subject)


def listing(length: int, check: Check) -> Check:
    """Return the check of a list of so many entries that all pass another check."""

    def check_all(value: object, name: str, subject: str) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f"{subject}: {name} must be a list; got {value!r:.200}")
        if len(value) != length:
            raise ValueError(f"{subject}: {name} must have {length} entries; got {len(value)}")
        return [check(entry, name, subject) for entry in value]

    return check_all


def floats(shape: tuple[int, ...], least: float | None = None) -> Check:
    """Return the check of an array of this very shape whose numbers are finite as float32, none below ``least``."""

    def check(value: object, name: str, subject: str) -> Float32:
        array = as_array(value, f"{subject}: {name}")
        if array.shape != shape:
            raise ValueError(f"{subject}: {name} must be {shape}; got {array.shape}")
        numbers: Float32 = in_order(array, np.float32)
        if problem := bad_numbers(numbers, least):
            raise ValueError(f"{subject}: {name} {problem}")
        return numbers

    return check


def bad_numbers(array: Float32, least: float | None = None) -> str:
    """Return what an error message says of numbers that are not finite or too small; nothing if all are good."""
    if not np.isfinite(array).all():
        return f"must be finite; got {array[~np.isfinite(array)][0]}"
    if least is not None and array.size and array.min() < least:
        return f"must not be {'negative' if least == 0 else f'below {least:g}'}; got {array.min()}"
    return ""


def least_of(name: str) -> float | None:
    """Return the least value that a parameter or buffer of this name may have; None where any will do."""
    return 0.0 if name.endswith("running_var") else None
