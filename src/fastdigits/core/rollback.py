"""Put back what a piece of work has changed, where it fails: also where it fails because memory has run out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .arrays import Array


class Before:
    """What attributes and arrays are at one moment.

    Parameters
    ----------
    attributes : iterable of (object, str)
        Objects, and the names of those of their attributes that may be assigned to.
    arrays : iterable of ndarray
        Arrays that may be written to; they are copied.

    Attributes
    ----------
    attributes : iterator of (object, str, value)
    arrays : iterator of (ndarray, ndarray)

    Notes
    -----
    A method could not put them back: a call takes memory, and so does the beginning of a loop. These iterators have
    begun already, so that their user needs none::

        except BaseException:
            for owner, name, value in before.attributes:
                setattr(owner, name, value)
            for array, copy in before.arrays:
                array[...] = copy
            raise
    """

    def __init__(self, attributes: Iterable[tuple[Any, str]], arrays: Iterable[Array] = ()) -> None:
        self.attributes = iter([(owner, name, getattr(owner, name)) for owner, name in attributes])
        self.arrays = iter([(array, array.copy()) for array in arrays])
