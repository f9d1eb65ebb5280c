"""Make what a user's file gives into what a network takes: labels that count from 0, pictures with height and width."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ..core.arrays import Array
from ..core.validation import checked_class_names
from ..errors import DataError

MOST_CLASSES = 10_000  # beyond, a label is no number of a class: a year, an identifier
DARKEST_WHITE = (
    16  # whole numbers up to it may be counts or shades of 4 bits; beyond, they are pixels of 0 … 255
)
TOO_MANY = f"labels must have at most {MOST_CLASSES:,} different values, one per class; got more"
_AT_ONCE = 1024  # images: bounds the memory of a comparison
_PLAIN = re.compile(r"[0-9]{1,9}(?:\.0*)?")
# What pandas, R, SQL and the UCI repository write where a label is missing, in lower case
_MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "?"}


def to_classes(parts: Sequence[Array], subject: str) -> tuple[list[Array], tuple[str, ...]]:
    """Return the labels of all parts as numbers from 0 on, and the names of the classes.

    Parameters
    ----------
    parts : sequence of ndarray, each (n,)
        Labels: whole numbers of any kind, or text. Whole numbers stay what they are, so that a digit is its own
        label whichever of them occur. If any text is a word, each class has a name: numbers come first, in their
        order, then words.
    subject : str
        What an error message begins with.

    Raises
    ------
    DataError
        If a label is missing, or neither the number of a class nor a word, or if all are the same.
    """
    if any(part.dtype.kind in "USO" for part in parts):
        names, numbers = _from_text([text for part in parts for text in _texts(part)], subject)
    else:
        names, numbers = (), _from_numbers(np.concatenate(parts), subject)
    low, high = int(numbers.min()), int(numbers.max())
    if not names:
        if low < 0 or high >= MOST_CLASSES:
            raise DataError(
                f"{subject}: labels must be numbers of classes from 0 to {MOST_CLASSES - 1:,}, or words; got "
                f"{low} to {high}: number the classes from 0 on"
            )
        names = tuple(map(str, range(high + 1)))
    if low == high:
        raise DataError(f"{subject}: must hold at least two classes; got only {names[low]}")
    numbers = numbers.astype(np.uint8 if len(names) <= 256 else np.int64)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(numbers, ends), names


def _from_numbers(labels: Array, subject: str) -> Array:
    """Return labels if they are whole numbers, of any integer type."""
    if labels.dtype.kind in "bui":
        return labels
    if labels.dtype.kind == "f":
        missing = np.flatnonzero(np.isnan(labels))
        if missing.size:
            raise DataError(
                f"{subject}: labels must be whole numbers or words; got nan, a missing label, for "
                f"{missing.size:,} images, the first at {missing[0]:,}: omit those images"
            )
        if (np.abs(labels) < 1e9).all() and (labels == labels.round()).all():
            return labels.astype(np.int64)
    raise DataError(f"{subject}: labels must be whole numbers or words; got {_some(labels)}")


def _texts(labels: Array) -> list[str]:
    if labels.dtype.kind == "S":
        return [label.decode("utf-8", "replace") for label in labels.tolist()]
    return list(map(str, labels.tolist()))


def _from_text(texts: list[str], subject: str) -> tuple[tuple[str, ...], Array]:
    """Return the names of the classes, none if all labels are plain numbers, and the labels as int64."""
    meaning: dict[str, int | str] = {}
    for text in texts:
        if text not in meaning:
            meaning[text] = read_label(text, subject)
            if len(meaning) > MOST_CLASSES:
                raise DataError(f"{subject}: {TOO_MANY}")
    if all(isinstance(value, int) for value in meaning.values()):
        return (), np.array([meaning[text] for text in texts], np.int64)
    ordered = sorted(set(meaning.values()), key=lambda value: (isinstance(value, str), value))
    number = {value: place for place, value in enumerate(ordered)}
    return tuple(map(str, ordered)), np.array([number[meaning[text]] for text in texts], np.int64)


def read_label(text: str, subject: str, where: str = "") -> int | str:
    """Return what a label that is text says: the number of a class, or its name.

    Parameters
    ----------
    text : str
        The label; blanks around it do not count.
    subject : str
        What an error message begins with.
    where : str, default ""
        What an error message says behind the label, such as ``" on line 5"``.

    Raises
    ------
    DataError
        If it is missing, a number of another kind, such as ``1e1``, or nothing that can name a class.
    """
    text = text.strip()
    if is_missing(text):
        raise DataError(
            f"{subject}: labels must not be missing; got {text!r}{where}: fill it in, or leave the image out"
        )
    number = plain_number(text)
    if number is not None:
        return number
    if is_number(text):
        raise DataError(
            f"{subject}: labels must be plain whole numbers, such as 7, or words; got {text[:40]!r}{where}: write the "
            "classes as 0, 1, 2, … (numpy.savetxt: fmt='%g')"
        )
    try:
        checked_class_names([text], None, "labels")
    except ValueError as error:
        raise DataError(f"{subject}: {error}{where}: rename the class") from error
    return text


def is_missing(text: str) -> bool:
    """Return whether a label stands for a missing one: nothing, ``NA``, ``nan``, ``null``, ``None``, ``?``."""
    return text.strip().lower() in _MISSING


def plain_number(text: str) -> int | None:
    """Return a number of plain digits: ``7``, or ``7.0``, which pandas writes if a label of its column is missing."""
    return int(text.partition(".")[0]) if _PLAIN.fullmatch(text) else None


def is_number(text: str) -> bool:
    """Return whether Python takes the text for a number; not with an underscore, which joins words."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _some(labels: Array) -> str:
    values = sorted({str(label) for label in labels[:1000].tolist()})
    return ", ".join(values[:3]) + (", …" if len(values) > 3 else "")


def to_pictures(parts: Sequence[Array], subject: str) -> tuple[list[Array], str]:
    """Return the images of all parts as (n, height, width), and a note on what their numbers are.

    The values decide, not their type or spelling, and they decide for all parts together: whole numbers from 0 to 255
    become uint8, any others float32.

    Parameters
    ----------
    parts : sequence of ndarray, each (n, height, width), (n, height, width, 1), (n, 1, height, width) or (n, d)
        A row of d numbers is a square where d is one, else an image of height 1. False and True are 0 and 255, or 0
        and 1 if another part has only these.
    subject : str
        What an error message begins with.

    Raises
    ------
    DataError
        If the shape is another, if a number is not finite, or if one part has pixels from 0 to 255 and another
        fractions from 0 to 1.
    """
    shaped = [_shaped(x, subject) for x in parts]
    if any(x.dtype.kind == "b" for x in shaped):
        ink = 255 if all(x.dtype.kind == "b" or x.max() > 1 for x in shaped) else 1
        shaped = [x * np.uint8(ink) if x.dtype.kind == "b" else x for x in shaped]
    ranges = [_range(x, subject) for x in shaped]
    if all(whole and low >= 0 and high <= 255 for low, high, whole in ranges):
        return [x.astype(np.uint8, copy=False) for x in shaped], ""
    low, high = min(low for low, _, _ in ranges), max(high for _, high, _ in ranges)
    pixels = [whole and low >= 0 and DARKEST_WHITE < high <= 255 for low, high, whole in ranges]
    fractions = [not whole and low >= 0 and high <= 1 for low, high, whole in ranges]
    if any(pixels) and any(fractions):
        raise DataError(
            f"{subject}: images to train and to test on must have one scale; got whole numbers up to "
            f"{high:g} in one part and fractions of 0 … 1 in the other: divide the former by 255"
        )
    return [x.astype(np.float32, copy=False) for x in shaped], (
        f"numbers from {low:g} to {high:g}, not all whole within 0 … 255: taken as they are"
    )


def _shaped(x: Array, subject: str) -> Array:
    """Return images as (n, height, width)."""
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
    return x


def _range(x: Array, subject: str) -> tuple[float, float, bool]:
    """Return the smallest and the largest number, and whether all are whole."""
    low, high = x.min(), x.max()
    if x.dtype.kind != "f":
        return int(low), int(high), True
    if not (np.isfinite(low) and np.isfinite(high)):  # the extremes of an array with a NaN are NaN
        raise DataError(f"{subject}: pixels must be finite; got {x[~np.isfinite(x)][0]}")
    largest = np.finfo(np.float32).max
    if low < -largest or high > largest:
        raise DataError(
            f"{subject}: pixels must lie within the range of float32; got {low:g} to {high:g}: scale them"
        )
    pieces = (x[start : start + _AT_ONCE] for start in range(0, len(x), _AT_ONCE))
    return float(low), float(high), all((piece == np.rint(piece)).all() for piece in pieces)


def check_pair(x: Array, y: Array, subject: str) -> None:
    """Raise a DataError unless there is one label per image."""
    if y.ndim != 1 or len(x) != len(y):
        one_hot = y.ndim == 2 and len(x) == len(y)
        hint = ": one-hot rows become labels by y.argmax(axis=1)" if one_hot else ""
        raise DataError(
            f"{subject}: must hold one label per image, ({len(x)},); got labels of shape {y.shape}{hint}"
        )
