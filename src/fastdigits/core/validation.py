"""Check arguments of public functions once, before anything changes: images, labels, sample weights, numbers."""

from __future__ import annotations

import math
import numbers
import operator
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from .arrays import Array, Float32, Int64, as_array

_SMALLEST = 2.0**-126  # the smallest normal float32; kernels flush smaller values to 0


def check_images(x: object, width: int | None, subject: str) -> Array:
    """Return ``x`` as an array with one image per row; check its shape and dtype, not its values.

    Parameters
    ----------
    x : array_like, (n, d) or (n, height, width)
        Images; at least one.
    width : int or None
        Values per image, or None if any width is allowed.
    subject : str
        Start of an error message.

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
    wanted = "(n, d)" if width is None else _expected_shape(width)
    if array.ndim < 2:
        raise ValueError(f"{subject} must be {wanted}; got {shape}: for one image, x[np.newaxis]")
    if size == 0:
        raise ValueError(f"{subject} must hold at least one image; got {shape}")
    hint = ": for one image, x[np.newaxis]" if size == width else ""
    raise ValueError(f"{subject} must be {wanted}; got {shape}{hint}")


def check_labels(y: object, n: int, n_classes: int, subject: str) -> Int64:
    """Return the labels as a new array of int64, (n,), each within 0 … n_classes - 1.

    It checks the copy, not ``y``: kernels use labels as indices, and another thread or process may change ``y``.

    Parameters
    ----------
    y : array_like of int, (n,)
        One class per image.
    n : int
        Number of images.
    n_classes : int
        Width of the network's output.
    subject : str
        Start of an error message.

    Raises
    ------
    TypeError
        If the labels are no integers.
    ValueError
        If their number or their shape differs from (n,), or if one is out of range.
    """
    try:
        array = as_array(y, subject)
    except TypeError as error:
        raise TypeError(_label_error(y, subject) or str(error)) from error
    if array.ndim != 1:
        one_hot = ": one-hot rows become labels by y.argmax(axis=1)" if array.ndim == 2 else ""
        hint = ": y.ravel()" if array.size == n else one_hot
        raise ValueError(f"{subject} must be ({n},), one label per image; got {array.shape}{hint}")
    if array.shape[0] != n:
        raise ValueError(f"{subject} must be ({n},), one label per image; got {array.shape}")
    if array.dtype.kind not in "ui":
        raise TypeError(f"{subject} must hold integers; got {_describe_non_integers(array)}")
    labels: Int64 = np.array(array, dtype=np.int64, order="C")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        hint = ": y - 1" if low == 1 and high == n_classes else ""
        raise ValueError(
            f"{subject} must lie within 0 … {n_classes - 1}, as the network has {n_classes} outputs; "
            f"got labels from {int(array.min())} to {int(array.max())}{hint}"
        )
    return labels


def _describe_non_integers(array: Array) -> str:
    """Return what labels of another dtype hold, and how to convert them."""
    if array.dtype.kind == "f" and array.size:
        wrong = np.flatnonzero(~np.isfinite(array))
        if wrong.size:
            return f"{array[wrong[0]]} at row {wrong[0]}: labels are missing, omit those images"
        wrong = np.flatnonzero(array != np.rint(array))
        if wrong.size:
            return f"{array[wrong[0]]} at row {wrong[0]}: number the classes 0, 1, 2, …"
    return f"dtype {array.dtype}: y.astype(np.int64)"


def _label_error(y: object, subject: str) -> str:
    """Return the message about labels that are words or missing, "" for other types."""
    if y is None:
        return f"{subject} must hold integers, one label per image; got None"
    try:
        array = np.asarray(y)
    except (TypeError, ValueError):
        return ""
    if array.dtype.kind not in "USO" or array.size == 0:
        return ""
    values = array.ravel().tolist()
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        return (
            f"{subject} must hold integers; got {values[missing[0]]} at row {missing[0]}: omit those images"
        )
    if all(isinstance(value, str | bytes) for value in values):
        return (
            f"{subject} must hold integers; got words, such as {values[0]!r}: number them, "
            "class_names, y = np.unique(y, return_inverse=True)"
        )
    return ""


def _is_missing(label: Any) -> bool:
    return label is None or type(label).__name__ == "NAType" or bool(label != label)  # pandas.NA has no truth


def check_weights(weights: object, n: int, subject: str) -> Float32:
    """Return the sample weights as a new array of float32, (n,): finite, none negative, not all zero.

    Only their ratios matter. So they are scaled in double precision by a power of two, which brings the largest into
    0.5 … 1 and changes no bit of a result. Positive ones that are then below 2⁻¹²⁶ become 2⁻¹²⁶.
    """
    array = as_array(weights, subject)
    if array.shape != (n,):
        raise ValueError(f"{subject} must be ({n},), one weight per image; got {array.shape}")
    with np.errstate(over="ignore"):  # a long double may overflow
        double = np.array(array, dtype=np.float64)
    largest = double.max()
    if not (np.isfinite(largest) and double.min() >= 0 and largest > 0):  # in this form, NaN fails too
        raise ValueError(
            f"{subject} must be finite, not negative and not all zero; "
            f"got values from {array.min()} to {array.max()}"
        )
    double = np.ldexp(double, -np.frexp(largest)[1])
    double[(double > 0) & (double < _SMALLEST)] = _SMALLEST
    checked: Float32 = double.astype(np.float32)
    return checked


def check_count(value: object, name: str, subject: str, least: int = 1) -> int:
    """Return an integer that is at least ``least``.

    Raises
    ------
    TypeError
        If it is not an integer, or a bool.
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


def _expected_shape(width: int) -> str:
    side = int(width**0.5)
    return f"(n, {side}, {side}) or (n, {width})" if side * side == width else f"(n, {width})"


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
        The argument.
    name, subject : str
        Name of the argument, and start of an error message.
    least, over : float, optional
        Inclusive or exclusive lower bound; at most one of them.
    most, under : float, optional
        Inclusive or exclusive upper bound; at most one of them.

    Raises
    ------
    TypeError
        If it is not a real number, or a bool.
    ValueError
        If it is not finite or out of bounds.

    Notes
    -----
    Kernels compute in float32, so the value rounded to float32 must be finite and within the bounds: a dropout rate
    of 0.999999999 is 1 there.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{subject}: {name} must be a number; got {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        try:
            rounded = float(np.float32(value))
        except OverflowError:  # an integer larger than any float
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
        raise ValueError(f"{subject}: {name} must be a finite float32 number{bounds}; got {_format(value)}")
    return float(value)


def _format(value: object) -> str:
    """Return a number as text; an integer may have more digits than Python prints."""
    if isinstance(value, int) and abs(value) >= 1 << 200:
        return f"a number of {value.bit_length()} bits"
    return repr(value)


def differing_names(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Return the end of an error message about missing and unknown names, "" if there are none."""
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    for names in (missing, unknown):
        names[8:] = ["…"] if len(names) > 8 else []
    return f"got {missing or 'none'} missing and {unknown or 'none'} unknown" if missing or unknown else ""


LONGEST_NAME = 1000  # characters of a class name, so that tables and pages stay readable


def checked_class_names(names: Iterable[str], classes: int | None, subject: str) -> tuple[str, ...]:
    """Return different names of 1 to 1,000 printable characters, one per class; or none at all."""
    row = checked_names(names, classes, "class", subject)
    for name in row:
        control = any(unicodedata.category(character) in ("Cc", "Cs") for character in name)
        if control or not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(
                f"{subject} must have 1 to {LONGEST_NAME:,} characters and no control characters; got {name[:40]!r}"
            )
    return row


def checked_names(names: Iterable[str], count: int | None, what: str, subject: str) -> tuple[str, ...]:
    """Return different names, one per class or column, as ``what`` says; or none at all."""
    row = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else None
    if row is None or not all(isinstance(name, str) for name in row):
        raise TypeError(f"{subject} must be strings, one per {what}; got {names!r}")
    if row and count is not None and len(row) != count:
        raise ValueError(f"{subject} must be {count:,}, one per {what}, or none; got {len(row):,}")
    for name, times in Counter(row).items():
        if times > 1:
            raise ValueError(f"{subject} must differ; got {name[:40]!r} {times:,} times")
    return row
