"""Notice changes of what a program was recorded from: hyperparameters, arrays, layers, the state of an optimizer.

A recorded program is a cache. It holds numbers such as a slope, and arrays such as running statistics, as they were
when it was recorded. Whoever keeps a program keeps the `fingerprint` of what it was recorded from, and records it again
when that differs. A fingerprint takes some 10 µs; a look at `version` tells in a hundredth of it that nothing changed.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

version = 0  # differs after each change, of whatever network
_versions = itertools.count(1)

# The learning rate comes with each run; what a forward leaves for backward, and the squares of `ClipNorm`, are recorded
# with it; names are for people.
_IGNORED = frozenset(("lr", "name", "_saved", "_squares", "_states"))


def note() -> None:
    """Note that something changed which a program may have been recorded from. Call it after the change."""
    global version
    version = next(_versions)


class Watched:
    """Something with attributes that programs are recorded from: to assign to one is a change."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name not in _IGNORED:
            note()

    def watched(self) -> Iterable[tuple[str, Any]]:
        """Return names and values of what programs depend on."""
        now = list(vars(self).items())  # at once: another thread may add an attribute
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
    """Return what decides which kernels the parts call, with which numbers and on which arrays; see `same`.

    Parameters
    ----------
    *parts
        Layers, losses, optimizers, parameters, arrays and the like, and lists and tuples of these.
    """
    found: list[Any] = []
    seen: dict[int, Any] = {}  # parts may hold each other
    todo = [*reversed(parts)]
    while todo:
        value = todo.pop()
        if value is None or isinstance(value, str | float | np.generic):
            found.append(repr(value))  # tells 0.0 from -0.0, and takes a NaN for a NaN
        elif isinstance(value, int):
            found.append(hex(value))  # Python writes no longer ones in decimals
        elif not isinstance(value, list | tuple | Watched):
            found.append(value)
        else:
            found.append(str(len(value)) if isinstance(value, list | tuple) else value)
            if id(value) not in seen:
                seen[id(value)] = value
                todo.extend(reversed(_inside(value)))
    return found


def same(first: list[Any], second: list[Any]) -> bool:
    """Return whether two fingerprints hold equal numbers and the very same arrays and objects."""
    return len(first) == len(second) and all(
        one is other or (type(one) is str and one == other) for one, other in zip(first, second, strict=True)
    )


def _inside(value: Any) -> Any:
    """Return what a list, or something watched, holds: names too, as two attributes may change places."""
    return value if isinstance(value, list | tuple) else [one for pair in value.watched() for one in pair]
