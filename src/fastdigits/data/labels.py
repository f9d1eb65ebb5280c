"""Make what a user's file gives into what a network takes: labels that count from 0, pictures with height and width."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from ..inputs import Array

MOST_CLASSES = 10_000  # beyond, a label is no number of a class: a year, an identifier


def to_classes(parts: Sequence[Array], subject: str) -> tuple[list[Array], tuple[str, ...]]:
    """Return the labels of all parts as numbers from 0 on, and the names of the classes.

    Parameters
    ----------
    parts : sequence of ndarray, each (n,)
        Labels: whole numbers of any kind, or words. Whole numbers stay what they are, so that a digit is its own
        label whichever of them occur; words are numbered in their order.
    subject : str
        What an error message begins with.

    Raises
    ------
    DataError
        If labels are neither numbers of classes nor words, or if all are the same.
    """
    given = np.concatenate(parts)
    numbers = _whole(given)
    if numbers is None:
        if given.dtype.kind not in "US":
            raise DataError(f"{subject}: labels must be whole numbers or words; got {_some(given)}")
        words, numbers = np.unique(given.astype(str), return_inverse=True)
        names = tuple(map(str, words))
    elif numbers.min() < 0 or numbers.max() >= MOST_CLASSES:
        raise DataError(
            f"{subject}: labels must be numbers of classes from 0 to {MOST_CLASSES - 1:,}, or words; got "
            f"{numbers.min()} to {numbers.max()}: number the classes from 0 on"
        )
    else:
        names = tuple(map(str, range(int(numbers.max()) + 1)))
    if numbers.min() == numbers.max():
        raise DataError(f"{subject}: must hold at least two classes; got only {_some(given)}")
    numbers = numbers.astype(np.uint8 if len(names) <= 256 else np.int64)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(numbers, ends), names


def _whole(labels: Array) -> Array | None:
    """Return labels as int64 where each is a whole number, written as text or not."""
    if labels.dtype.kind in "bui":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        fits = np.isfinite(labels).all() and (np.abs(labels) < 1e9).all() and (labels == labels.round()).all()
        return labels.astype(np.int64) if fits else None
    if labels.dtype.kind in "US":
        try:
            return _whole(labels.astype(np.float64))
        except ValueError:
            return None
    return None


def _some(labels: Array) -> str:
    values = sorted({str(label) for label in labels[:1000].tolist()})
    return ", ".join(values[:3]) + (", …" if len(values) > 3 else "")


def to_pictures(x: Array, subject: str) -> Array:
    """Return images as (n, height, width), whole numbers from 0 to 255 as uint8, all else as it is.

    Parameters
    ----------
    x : ndarray, (n, height, width), (n, height, width, 1), (n, 1, height, width) or (n, d)
        A row of d numbers is a square where d is one, else an image of height 1.
    subject : str
        What an error message begins with.

    Raises
    ------
    DataError
        If the shape is another, or if the numbers are no pixels.
    """
    if x.dtype.kind not in "buif":
        raise DataError(f"{subject}: images must hold numbers; got dtype {x.dtype}")
    if x.size == 0 or x.ndim < 2:
        raise DataError(
            f"{subject}: images must be (n, height, width) or (n, d), at least one; got {x.shape}"
        )
    if x.ndim == 4 and 1 in (x.shape[1], x.shape[3]):
        x = x[:, 0] if x.shape[1] == 1 else x[..., 0]
    if x.ndim > 3:
        hint = ": make them grey first, such as by x.mean(axis=-1)" if x.shape[-1] in (3, 4) else ""
        raise DataError(f"{subject}: images must be (n, height, width) or (n, d); got {x.shape}{hint}")
    if x.ndim == 2:
        side = math.isqrt(x.shape[1])
        x = x.reshape(len(x), side, side) if side * side == x.shape[1] else x[:, np.newaxis]
    return _pixels(x, subject)


def _pixels(x: Array, subject: str) -> Array:
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "f":
        if not (np.isfinite(x.min()) and np.isfinite(x.max())):  # the extremes of an array with a NaN are NaN
            raise DataError(f"{subject}: pixels must be finite; got {x[~np.isfinite(x)][0]}")
        return x
    if x.dtype.kind == "b":
        return x * np.uint8(255)
    if x.min() < 0 or x.max() > 255:
        raise DataError(
            f"{subject}: pixels that are whole numbers must lie in 0 … 255; got {x.min()} to {x.max()}: "
            "for numbers of other kinds, store float32"
        )
    return x.astype(np.uint8)


def check_pair(x: Array, y: Array, subject: str) -> None:
    """Raise a DataError unless there is one label an image."""
    if y.ndim != 1 or len(x) != len(y):
        raise DataError(
            f"{subject}: must hold one label an image, ({len(x)},); got labels of shape {y.shape}"
        )
