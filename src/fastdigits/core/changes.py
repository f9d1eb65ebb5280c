"""Detect changes of what a program was recorded from: hyperparameters, arrays, layers, optimizer states.

A recorded program is a cache: it holds numbers, such as a slope, and arrays, such as running statistics. The owner of
a program keeps the `fingerprint` of its sources and records it again when the fingerprint differs. A fingerprint takes
about 10 µs; comparing `version` first takes a hundredth of that.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from .arrays import writable

version = 0  # differs after each change, in any network
_versions = itertools.count(1)

# The learning rate comes with each run. A recording itself makes `_saved`, the cache for backward, and `_squares`.
# Names have no effect.
_IGNORED = frozenset(("lr", "name", "_saved", "_squares", "_states"))


def mark_changed() -> None:
    """Change `version`. Call it after a change of anything that a program may have been recorded from."""
    global version
    version = next(_versions)


class Tracked:
    """Base class of what programs are recorded from: assigning to an attribute changes `version`."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name not in _IGNORED:
            mark_changed()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes of a pickle or a copy; training writes to arrays, so they must be writable."""
        for name, value in state.items():
            vars(self)[name] = writable(value) if isinstance(value, np.ndarray) else value

    def tracked(self) -> Iterable[tuple[str, Any]]:
        """Return names and values of the attributes that programs depend on."""
        now = list(vars(self).items())  # a copy: another thread may add an attribute
        return [(name, value) for name, value in now if name not in _IGNORED]


class Count:
    """An attribute that counts steps, kept in an array of one int64 that a recorded program moves.

    ``step = Count()`` in a class keeps the number in the attribute ``_step``. Set it in the constructor.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._array = f"_{name}"

    def __get__(self, owner: Any, kind: type | None = None) -> int:
        if owner is None:
            return self  # type: ignore[return-value]
        return int(getattr(owner, self._array)[0])

    def __set__(self, owner: Any, value: int) -> None:
        number = operator.index(value)
        if not hasattr(owner, self._array):
            setattr(owner, self._array, np.zeros(1, dtype=np.int64))
        getattr(owner, self._array)[0] = number


def fingerprint(*parts: Any) -> list[Any]:
    """Return the numbers and objects that decide which kernels the parts call, and on what; compare with `same`.

    Parameters
    ----------
    *parts
        Layers, losses, optimizers, parameters, arrays, and lists and tuples of these.
    """
    found: list[Any] = []
    seen: dict[int, Any] = {}  # parts may contain each other
    todo = [*reversed(parts)]
    while todo:
        value = todo.pop()
        if value is None or isinstance(value, str | float | np.generic):
            found.append(repr(value))  # 0.0 and -0.0 differ, two NaN do not
        elif isinstance(value, int):
            found.append(hex(value))  # Python limits the decimal digits of an integer
        elif not isinstance(value, list | tuple | Tracked):
            found.append(value)
        else:
            found.append(str(len(value)) if isinstance(value, list | tuple) else value)
            if id(value) not in seen:
                seen[id(value)] = value
                todo.extend(reversed(_contents(value)))
    return found


def same(first: list[Any], second: list[Any]) -> bool:
    """Return whether two fingerprints have equal numbers and identical arrays and objects."""
    return len(first) == len(second) and all(
        one is other or (type(one) is str and one == other) for one, other in zip(first, second, strict=True)
    )


def _contents(value: Any) -> Any:
    """Return the items of a list, or names and values of attributes; names too, as two may exchange their values."""
    return value if isinstance(value, list | tuple) else [one for pair in value.tracked() for one in pair]
