"""Check what a caller hands in, once, at the public door: images, labels, sample weights, counts.

Nothing here changes an argument; everything here is called before a network changes.
"""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Float32: TypeAlias = npt.NDArray[np.float32]
Int64: TypeAlias = npt.NDArray[np.int64]

_REAL_KINDS = "buif"  # bool, unsigned, signed, float


def as_array(values: object, subject: str) -> Array:
    """Return ``values`` as an array of real numbers, without a copy where that is possible.

    Parameters
    ----------
    values : array_like
        An array, nested lists, or any object with ``__array__`` or ``__dlpack__``.
    subject : str
        What an error message begins with, such as ``"fit: x"``.

    Returns
    -------
    ndarray
        Of any real dtype, byte order and layout.

    Raises
    ------
    TypeError
        If the values are not real numbers: strings, objects, complex numbers, dates.
    ValueError
        If lists are ragged, or if a masked array hides values.
    """
    if type(values) is np.ndarray and values.dtype.kind in _REAL_KINDS:
        return values
    if np.ma.is_masked(values):
        raise ValueError(f"{subject} must have no masked values; got a masked array: fill them, x.filled(0)")
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        array = np.from_dlpack(values)
    else:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ValueError(
                f"{subject} must be an array with rows of equal length; got {type(values).__name__}: {error}"
            ) from error
    if array.dtype.kind not in _REAL_KINDS:
        raise TypeError(
            f"{subject} must hold real numbers; got dtype {array.dtype} from {type(values).__name__}: "
            "convert it to uint8 or float32 first"
        )
    return array


def check_images(x: object, width: int | None, subject: str) -> Array:
    """Return ``x`` as an array with one image a row, its shape and dtype checked, its values not yet.

    Parameters
    ----------
    x : array_like, (n, d) or (n, height, width)
        Images; at least one.
    width : int or None
        Numbers an image that the network takes; None where the first layer does not say.
    subject : str
        What an error message begins with.

    Returns
    -------
    ndarray, (n, d)
        A view where the layout allows it.
    """
    array = as_array(x, subject)
    shape, size = array.shape, array.size
    columns = size // shape[0] if size and len(shape) > 1 else 0
    if columns and (width == columns or width is None):
        return array if len(shape) == 2 else array.reshape(shape[0], columns)
    wanted = "(n, d)" if width is None else _wanted(width)
    if array.ndim < 2:
        raise ValueError(f"{subject} must be {wanted}; got {shape}: for one image, x[np.newaxis]")
    if size == 0:
        raise ValueError(f"{subject} must hold at least one image; got {shape}")
    hint = ": for one image, x[np.newaxis]" if size == width else ""
    raise ValueError(f"{subject} must be {wanted}; got {shape}{hint}")


def to_rows(array: Array, subject: str) -> Array:
    """Return checked images as C-contiguous rows: uint8 stays uint8, all else becomes finite float32.

    Parameters
    ----------
    array : ndarray, (n, d)
        What `check_images` returned, or some of its rows.
    subject : str
        What an error message begins with.

    Raises
    ------
    ValueError
        If a value is not finite, or beyond the range of float32.
    """
    if array.dtype.char == "B":  # uint8
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.ascontiguousarray(array, dtype=np.float32)
    # The extremes of an array with a NaN are NaN: two numbers tell for all, without a mask of its size.
    if array.dtype.kind == "f" and not (np.isfinite(rows.min()) and np.isfinite(rows.max())):
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"{subject} must be finite in float32; got {array[row, column]} at row {row}, column {column}: "
            "clean or scale the data first"
        )
    return rows


def check_labels(y: object, n: int, n_classes: int, subject: str) -> Int64:
    """Return the labels as int64, (n,), each within 0 … n_classes - 1.

    Parameters
    ----------
    y : array_like of int, (n,)
        One class an image.
    n : int
        Number of images.
    n_classes : int
        Width of the network's output.
    subject : str
        What an error message begins with.

    Raises
    ------
    TypeError
        If the labels are no integers.
    ValueError
        If their number or their shape differs from (n,), or if one is out of range.
    """
    array = as_array(y, subject)
    if array.ndim != 1:
        hint = ": one-hot rows become labels by y.argmax(axis=1)" if array.ndim == 2 else ""
        raise ValueError(f"{subject} must be ({n},), one label an image; got {array.shape}{hint}")
    if array.shape[0] != n:
        raise ValueError(f"{subject} must be ({n},), one label an image; got {array.shape}")
    if array.dtype.kind not in "ui":
        raise TypeError(f"{subject} must hold integers; got dtype {array.dtype}: y.astype(np.int64)")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= n_classes:
        raise ValueError(
            f"{subject} must lie within 0 … {n_classes - 1}, as the network has {n_classes} outputs; "
            f"got labels from {low} to {high}"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_weights(weights: object, n: int, subject: str) -> Float32:
    """Return the sample weights as float32, (n,): finite, none negative, not all zero."""
    array = as_array(weights, subject)
    if array.shape != (n,):
        raise ValueError(f"{subject} must be ({n},), one weight an image; got {array.shape}")
    with np.errstate(over="ignore"):
        checked = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(checked).all() or checked.min() < 0 or checked.max() == 0:
        raise ValueError(
            f"{subject} must be finite, not negative and not all zero; "
            f"got values from {array.min()} to {array.max()}"
        )
    return checked


def check_count(value: object, name: str, subject: str, least: int = 1) -> int:
    """Return a whole number that is at least ``least``.

    Raises
    ------
    TypeError
        If it is no integer (a bool is none either).
    ValueError
        If it is too small.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{subject}: {name} must be an integer; got {value!r}")
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{subject}: {name} must be an integer; got {value!r}") from None
    if count < least:
        raise ValueError(f"{subject}: {name} must be at least {least}; got {count}")
    return count


def _wanted(width: int) -> str:
    side = int(width**0.5)
    return f"(n, {side}, {side}) or (n, {width})" if side * side == width else f"(n, {width})"
