"""Convert the arrays of a user's file: labels to class numbers from 0, images to (n, height, width)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ..core.arrays import Array
from ..core.validation import checked_class_names
from ..errors import DataError

MOST_CLASSES = 10_000  # a larger number is a year or an identifier, not a class
MOST_SIZE = 1_000_000  # pixels of an image: the first layer, of 64 neurons, then has 256 MB
DARKEST_WHITE = 16  # whole numbers up to it may be counts or 4-bit shades; larger ones are pixels of 0 … 255
TOO_MANY = f"labels must have at most {MOST_CLASSES:,} different values, one per class; got more"
LEAST_SIDE = 8  # of images in columns without names: those of scikit-learn's load_digits have 8 × 8 pixels
_PIXEL_NAME = re.compile(r"(pixels?|px|pix)[ _.-]?\d+([ _.,x-]\d+)?|\d+x\d+")  # of Kaggle, pandas and others
_BLOCK = 1024  # images: limits the memory of a comparison
_PLAIN = re.compile(r"[0-9]{1,9}(?:\.0*)?")
# Missing labels as pandas, R, SQL and the UCI repository write them, in lower case
_MISSING = {"", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none", "?"}


def to_classes(
    parts: Sequence[Array], subject: str, *, by_value: bool = False
) -> tuple[list[Array], tuple[str, ...]]:
    """Return the labels of all parts as class numbers from 0, and the names of the classes.

    Parameters
    ----------
    parts : sequence of ndarray, each (n,)
        Labels: whole numbers of any type, or text. Whole numbers do not change, so a digit is its own label even if
        some digits are absent. If any text is a word, the classes have names: numbers in order, then words in order.
    subject : str
        The beginning of error messages.
    by_value : bool, default False
        Whether whole numbers that do not begin at 0, such as 5, 6 and 7, are names of as many classes: in a table.

    Raises
    ------
    DataError
        If a label is missing, or is neither a class number nor a word, or if all labels are equal.
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
        if by_value and low > 0:
            values, numbers = np.unique(numbers, return_inverse=True)
            names = tuple(map(str, values.tolist()))
        else:
            names = numbered(high + 1)
    if low == high:
        raise DataError(f"{subject}: must hold at least two classes; got only {names[int(numbers[0])]}")
    numbers = numbers.astype(np.uint8 if len(names) <= 256 else np.int64)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return np.split(numbers, ends), names


def numbered(classes: int) -> tuple[str, ...]:
    """Return the names of classes that have none: their numbers."""
    return tuple(map(str, range(classes)))


def _from_numbers(labels: Array, subject: str) -> Array:
    """Return labels that are whole numbers, as any integer type."""
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
    """Return the names of the classes (none if all labels are plain numbers) and the labels as int64."""
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
    """Parse a label: return the number of a class, or its name.

    Parameters
    ----------
    text : str
        The label; spaces around it are removed.
    subject : str
        The beginning of error messages.
    where : str, default ""
        The place of the label, for error messages, such as ``" on line 5"``.

    Raises
    ------
    DataError
        If the label is missing, another form of number, such as ``1e1``, or not a valid class name.
    """
    text = text.strip()
    if is_missing(text):
        raise DataError(
            f"{subject}: labels must not be missing; got {text!r}{where}: add it, or omit the image"
        )
    number = plain_number(text)
    if number is not None:
        return number
    if is_number(text):
        whole = float(text).is_integer()
        hint = (
            "write the classes as 0, 1, 2, … (numpy.savetxt: fmt='%g')"
            if whole
            else "measurements are no classes"
        )
        raise DataError(
            f"{subject}: labels must be plain whole numbers, such as 7, or words; got {text[:40]!r}{where}: {hint}"
        )
    try:
        checked_class_names([text], None, "labels")
    except ValueError as error:
        raise DataError(f"{subject}: {error}{where}: rename the class") from error
    return text


def is_missing(text: str) -> bool:
    """Return whether a text marks a missing label: empty, ``NA``, ``nan``, ``null``, ``None``, ``?``."""
    return text.strip().lower() in _MISSING


def plain_number(text: str) -> int | None:
    """Parse ``7``, or ``7.0``, which pandas writes if another label is missing; return None for other texts."""
    return int(text.partition(".")[0]) if _PLAIN.fullmatch(text) else None


def is_number(text: str) -> bool:
    """Return whether Python parses the text as a number; one with an underscore counts as a word."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _some(labels: Array) -> str:
    values = sorted({str(label) for label in labels[:1000].tolist()})
    return ", ".join(values[:3]) + (", …" if len(values) > 3 else "")


def are_pixels(x: Array, names: Sequence[str] = ()) -> bool:
    """Return whether the columns of a table are the pixels of square images: the one rule for CSV, NPZ and NPY files.

    Their number must be a square. Then names such as pixel7, pixel_0_7 or 1x8 decide. Columns without names, or with
    names that differ in their numbers only, such as V7, are pixels if there are at least 64, 8 × 8, and if all numbers
    lie within 0 … 1, or are whole and lie within 0 … 255.

    Parameters
    ----------
    x : ndarray of real numbers, (n, d)
    names : sequence of str, default ()
        The names of the columns; empty if they have none.
    """
    side = math.isqrt(x.shape[1])
    if side * side != x.shape[1]:
        return False
    if names and all(map(names_pixel, names)):
        return True
    if side < LEAST_SIDE or len({re.sub(r"\d+", "", name) for name in names}) > 1:
        return False
    if x.dtype.kind == "b":
        return True
    low, high = x.min(), x.max()
    return bool(low >= 0 and (high <= 1 or (high <= 255 and _whole(x))))


def names_pixel(name: str) -> bool:
    """Return whether a column's name tells the place of a pixel: pixel7, pixel_0_7, 1x8."""
    return _PIXEL_NAME.fullmatch(name.strip().lower()) is not None


def is_table(image_shape: Sequence[int]) -> bool:
    """Return whether images of this height and width are the rows of a table, which have the height 1."""
    return image_shape[0] == 1


def unit_of(image_shape: Sequence[int]) -> str:
    """Return what a message calls the inputs of this height and width: images, or rows of a table."""
    return "rows" if is_table(image_shape) else "images"


def shape_text(image_shape: Sequence[int]) -> str:
    """Return the size of images for a message: 28 x 28 pixels, or 4 columns."""
    if is_table(image_shape):
        return f"{image_shape[1]:,} column{'s' * (image_shape[1] != 1)}"
    return f"{' x '.join(map(str, image_shape))} pixels"


def to_images(parts: Sequence[Array], subject: str, names: Sequence[str] = ()) -> tuple[list[Array], str]:
    """Return the images of all parts as (n, height, width), and a note on their range.

    The values of all parts together decide, not their types: whole numbers from 0 to 255 become uint8, others float32.

    Parameters
    ----------
    parts : sequence of ndarray, each (n, height, width), (n, height, width, 1), (n, 1, height, width) or (n, d)
        Rows of d numbers are square images if `are_pixels` says so, else images of height 1, the rows of a table. False
        and True are 0 and 255; 0 and 1 if another part has only these values.
    subject : str
        The beginning of error messages.
    names : sequence of str, default ()
        The names of the columns, for `are_pixels`.

    Raises
    ------
    DataError
        If an array has another shape, if a number is not finite, or if one part has pixels from 0 to 255 and another
        fractions from 0 to 1.
    """
    shaped = [_shaped(x, subject) for x in parts]
    square = all(x.ndim == 3 or are_pixels(x, names) for x in shaped)
    shaped = [_with_sides(x, square) if x.ndim == 2 else x for x in shaped]
    if any(x.dtype.kind == "b" for x in shaped):
        white = 255 if all(x.dtype.kind == "b" or x.max() > 1 for x in shaped) else 1
        shaped = [x * np.uint8(white) if x.dtype.kind == "b" else x for x in shaped]
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
    """Return images as (n, height, width), or rows as (n, d)."""
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
    return x


def _with_sides(x: Array, square: bool) -> Array:
    """Return rows, (n, d), as square images or as images of height 1."""
    return x.reshape(len(x), math.isqrt(x.shape[1]), -1) if square else x[:, np.newaxis]


def _range(x: Array, subject: str) -> tuple[float, float, bool]:
    """Return the smallest and the largest number, and whether all numbers are whole."""
    low, high = x.min(), x.max()
    if x.dtype.kind != "f":
        return int(low), int(high), True
    if not (np.isfinite(low) and np.isfinite(high)):  # the extremes of an array with a NaN are NaN
        raise DataError(f"{subject}: numbers must be finite; got {x[~np.isfinite(x)][0]}")
    largest = np.finfo(np.float32).max
    if low < -largest or high > largest:
        raise DataError(
            f"{subject}: numbers must lie within the range of float32; got {low:g} to {high:g}: scale them"
        )
    return float(low), float(high), _whole(x)


def _whole(x: Array) -> bool:
    """Return whether all numbers are whole."""
    if x.dtype.kind != "f":
        return True
    blocks = (x[start : start + _BLOCK] for start in range(0, len(x), _BLOCK))
    return all((block == np.rint(block)).all() for block in blocks)


def check_pair(x: Array, y: Array, subject: str) -> None:
    """Raise a DataError unless there is one label per image."""
    if y.ndim != 1 or len(x) != len(y):
        one_hot = y.ndim == 2 and len(x) == len(y)
        hint = ": one-hot rows become labels by y.argmax(axis=1)" if one_hot else ""
        raise DataError(
            f"{subject}: must hold one label per image, ({len(x)},); got labels of shape {y.shape}{hint}"
        )


class Numbers:
    """The range of all numbers in pieces of images.

    Attributes
    ----------
    low, high : float
    whole : bool
        Whether all are whole numbers from 0 to 255.
    """

    def __init__(self) -> None:
        self.low, self.high, self.whole = math.inf, -math.inf, True

    def add(self, x: Array, subject: str) -> None:
        """Add a piece of images; DataError if a number is not finite."""
        low, high, whole = _range(x, subject)
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        self.whole = self.whole and whole and low >= 0 and high <= 255
