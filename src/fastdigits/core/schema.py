"""Check a saved state before anything is changed: a schema has one check per entry.

A check takes a value, its name and the start of an error message. It returns the value to use, or raises a TypeError
or a ValueError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import DataError
from . import atomic
from .arrays import Float32, as_array, in_order
from .validation import check_count, check_number, differing_names

Check: TypeAlias = Callable[[object, str, str], Any]

MAX_COUNT = 1 << 53  # below it, every integer is exact as a float


def parse(text: str | bytes, *, finite: bool = True) -> Any:
    """Parse JSON; reject duplicate keys and, unless ``finite`` is False, NaN and infinities by name."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                times = sum(other == name for other, _ in pairs)
                raise ValueError(f"{name!r} must appear once; got it {times} times")
            found[name] = value
        return found

    def reject(name: str) -> None:
        raise ValueError(f"numbers must be finite; got {name}")

    return json.loads(text, object_pairs_hook=unique, parse_constant=reject if finite else None)


def read_object(file: Path, most: int) -> dict[str, Any]:
    """Return the JSON object in a file of at most ``most`` bytes.

    Raises
    ------
    DataError
        If the file cannot be read or holds anything else. The message names it.
    """
    try:
        with atomic.open_regular(file) as opened:
            content = opened.read(most + 1)
        if len(content) > most:
            raise ValueError(f"more than {most:,} bytes")
        found = parse(content.decode())
        if not isinstance(found, dict):
            raise ValueError(f"a value of type {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, FileNotFoundError):
            reason = "nothing of this name"
        raise DataError(f"{file}: must be a file with a JSON object; got: {reason}") from error
    return found


def validate(content: object, schema: Mapping[str, Check], subject: str) -> dict[str, Any]:
    """Return the entries of a saved state as their checks return them.

    Raises
    ------
    TypeError, ValueError
        If an entry is missing or unknown, or if its check fails.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{subject}: a state must have entries by name; got {content!r:.200}")
    if difference := differing_names(content, schema):
        names = [*[*schema][:8], "…"] if len(schema) > 8 else schema
        raise ValueError(f"{subject} must have {', '.join(names) or 'no entries'}; {difference}")
    return {name: check(content[name], name, subject) for name, check in schema.items()}


# -- checks ------------------------------------------------------------------------------------------------


def integer(least: int = 0, most: int = MAX_COUNT) -> Check:
    """Return a check for integers; it rejects True and 1.0."""

    def check(value: object, name: str, subject: str) -> int:
        number = check_count(value, name, subject, least=least)
        if number > most:
            shown = f"{number}" if number < 1 << 200 else f"a number of {number.bit_length()} bits"
            raise ValueError(f"{subject}: {name} must be at most {most}; got {shown}")
        return number

    return check


def boolean(value: object, name: str, subject: str) -> bool:
    """Check a truth value; it rejects 0, 1 and texts."""
    if not isinstance(value, bool):
        raise TypeError(f"{subject}: {name} must be true or false; got {value!r:.200}")
    return value


def number(**bounds: float) -> Check:
    """Return a check for finite numbers, with the bounds of `check_number`."""
    return lambda value, name, subject: check_number(value, name, subject, **bounds)


def optional(check: Check) -> Check:
    """Return a check that also accepts None."""
    return lambda value, name, subject: None if value is None else check(value, name, subject)


def one_of(names: Collection[str]) -> Check:
    """Return a check for one of these texts."""

    def check(value: object, name: str, subject: str) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"{subject}: {name} must be one of {', '.join(names)}; got {value!r:.200}")
        return value

    return check


def text(value: object, name: str, subject: str) -> str:
    """Check that a value is a text."""
    if not isinstance(value, str):
        raise TypeError(f"{subject}: {name} must be a text; got {value!r:.200}")
    return value


def list_of(length: int, check: Check) -> Check:
    """Return a check for lists of this length whose entries all pass ``check``."""

    def check_all(value: object, name: str, subject: str) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f"{subject}: {name} must be a list; got {value!r:.200}")
        if len(value) != length:
            raise ValueError(f"{subject}: {name} must have {length} entries; got {len(value)}")
        return [check(entry, name, subject) for entry in value]

    return check_all


def float_array(shape: tuple[int, ...], least: float | None = None) -> Check:
    """Return a check for arrays of this shape whose values are finite as float32 and at least ``least``."""

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
    """Return the end of an error message about values that are not finite or too small; "" if all are good."""
    if not np.isfinite(array).all():
        return f"must be finite; got {array[~np.isfinite(array)][0]}"
    if least is not None and array.size and array.min() < least:
        return f"must not be {'negative' if least == 0 else f'below {least:g}'}; got {array.min()}"
    return ""


def lower_bound(name: str) -> float | None:
    """Return the lower bound of a parameter or buffer of this name, None if it has none."""
    if name.endswith(".var"):  # of `Standardize`, which divides by its root
        return float(np.finfo(np.float32).tiny)
    return 0.0 if name.endswith("running_var") else None
