"""Put back what a piece of work has changed, where it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from .arrays import Array


@contextlib.contextmanager
def rollback(attributes: Iterable[tuple[Any, str]], arrays: Iterable[Array] = ()) -> Iterator[None]:
    """Put attributes and arrays back if the block raises anything.

    Parameters
    ----------
    attributes : iterable of (object, str)
        Objects, and the names of those of their attributes that the block may assign to.
    arrays : iterable of ndarray
        Arrays that the block may write to; they are copied.
    """
    values = [(owner, name, getattr(owner, name)) for owner, name in attributes]
    copies = [(array, array.copy()) for array in arrays]
    try:
        yield
    except BaseException:
        for owner, name, value in values:
            setattr(owner, name, value)
        for array, copy in copies:
            array[...] = copy
        raise
