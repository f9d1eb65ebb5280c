"""The scale of a network's input: whether the numbers of an image are pixels 0 … 255, 0 … 1, or anything else.

A network infers its scale from its first training images, keeps it, and applies it to all later images.
Values decide, not the dtype: the same numbers in any dtype give the same rows.

======== =================================================== ==================================
scale    inferred from images that hold                      the layers get
======== =================================================== ==================================
pixels   whole numbers from 0 to 255, the largest above 16   value / 255
unit     numbers from 0 to 1                                 the values as they are
numbers  anything else                                       the values as they are
None     (not trained yet, or trained before scales existed) uint8 as value / 255, all else as it is
======== =================================================== ==================================

Small whole numbers stay as they are: one-hot columns, counts, images of 4 bits. If all images are zero, the scale
stays None.

Kernels accept rows of uint8, which mean value / 255, or of float32. A pixel gives the same bits in both.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..core.arrays import Array, in_order

PIXELS, UNIT, NUMBERS = SCALES = ("pixels", "unit", "numbers")
MEANING = {
    PIXELS: "pixels 0 … 255, divided by 255",
    UNIT: "numbers 0 … 1, as they are",
    NUMBERS: "numbers as they are",
    None: "unknown; uint8 is divided by 255, other types are used as they are",
}

WHITE = 255
# Whole numbers up to this may be counts or pixels of 4 bits, as in scikit-learn's load_digits
SMALL = 16
# Fractions up to this are images of 0 … 1 or -1 … 1, or standardised ones, which stay within about 3
MAX_FRACTION = 4
# Interpolation and noise overshoot 0 … 255, but not beyond these
MIN_PIXEL, MAX_PIXEL = -255, 510
# Above any image of 0 … 1 with noise, below the largest pixel of any image of 0 … 255 with ink
MAX_UNIT = 10
_CHUNK = 4096  # rows per pass, to bound the memory


def check_scale(scale: object, subject: str) -> str | None:
    """Return a valid scale, or raise a TypeError or a ValueError."""
    if scale is None or (isinstance(scale, str) and scale in SCALES):
        return scale
    kind = ValueError if isinstance(scale, str) else TypeError
    raise kind(f"{subject} must be {', '.join(map(repr, SCALES))} or None; got {scale!r}")


def infer_scale(images: Array, subject: str) -> str | None:
    """Return the scale of a network's first training images.

    Parameters
    ----------
    images : ndarray, (n, d)
        Images from `check_images`.
    subject : str
        Start of an error message.

    Raises
    ------
    ValueError
        If a value is not finite in float32.
    """
    if images.dtype == np.uint8 and images[:_CHUNK].max() > SMALL:  # the rest cannot change the result
        return PIXELS
    low, high = _range(images, subject)
    if low == high == 0:
        return None
    if high > SMALL and _are_pixels(images, low, high):
        return PIXELS
    return UNIT if low >= 0 and high <= 1 else NUMBERS


def to_rows(images: Array, scale: str | None, subject: str) -> Array:
    """Return checked images as rows in C order: uint8, which means value / 255, or finite float32.

    Parameters
    ----------
    images : ndarray, (n, d)
        Images from `check_images`.
    scale : {"pixels", "unit", "numbers"} or None
        Scale of the network.
    subject : str
        Start of an error message.

    Raises
    ------
    ValueError
        If a value is not finite in float32, or if the values do not fit the scale.
    """
    if images.dtype.char == "B" and (scale == PIXELS or scale is None):
        return images if images.flags.c_contiguous else np.ascontiguousarray(images)
    return row_converter(images, scale, subject)(images)


def row_converter(images: Array, scale: str | None, subject: str) -> Callable[[Array], Array]:
    """Check all images, as `to_rows` does, and return a function that converts any part of them to rows.

    Parameters and errors are those of `to_rows`. An image gives the same row in any part.
    """
    if scale != PIXELS:
        pixels = scale is None and images.dtype == np.uint8
        if scale == UNIT or images.dtype.kind == "f":
            low, high = _range(images, subject)
            if scale == UNIT and high > MAX_UNIT:
                raise ValueError(
                    f"{subject} must hold numbers of about 0 … 1, like the network's training images; got "
                    f"values from {low:g} to {high:g}: divide pixels 0 … 255 by 255, x / 255"
                )
        return functools.partial(in_order, dtype=np.uint8 if pixels else np.float32)
    if images.dtype == np.uint8:
        return in_order
    low, high = _range(images, subject)
    if _are_pixels(images, low, high):
        return _to_uint8
    if max(high, -low) > MAX_FRACTION and low >= MIN_PIXEL and high <= MAX_PIXEL:
        return _divided
    hint = "bring them to the scale of the training images"
    if low >= 0 and high <= 1:
        hint = "images of 0 … 1 become pixels by x * 255"
    elif low >= 0 and high > MAX_PIXEL:
        hint = "images of 16 bits become pixels by x / 257"
    raise ValueError(
        f"{subject} must hold pixels 0 … 255, like the network's training images; got values from "
        f"{low:g} to {high:g}: {hint}"
    )


def to_uint8(images: Array, subject: str) -> Array:
    """Return whole numbers from 0 to 255 as uint8 in C order; ValueError if there are others."""
    if images.dtype != np.uint8 and images.size:
        low, high = _range(images, subject)
        if not _are_pixels(images, low, high):
            hint = "x * 255" if low >= 0 and high <= 1 else "np.rint(x.clip(0, 255))"
            raise ValueError(
                f"{subject} must hold whole numbers from 0 to 255; got {images.dtype} from {low:g} to {high:g}: {hint}"
            )
    return _to_uint8(images)


# -- for the commands, which read files of images ----------------------------------------------------------


def rescale(images: Array, scale: str | None, subject: str, among: Sequence[Array] = ()) -> Array:
    """Convert images from a file to the scale of a network.

    Parameters
    ----------
    images : ndarray of real numbers, (n, ...)
        Pixels 0 … 255 or numbers 0 … 1, as a file may hold either; for a network of scale "numbers", the
        numbers that it was trained on.
    scale : {"pixels", "unit", "numbers"} or None
        Scale of the network.
    subject : str
        Start of an error message.
    among : sequence of ndarray
        The whole data set of the images, whose values decide between pixels and numbers.

    Returns
    -------
    ndarray, of the same shape
        Other values are returned as they are, for the network to check, and so are all values if ``scale`` is None.

    Raises
    ------
    ValueError
        If a value is not finite, or if these are pixels and the scale is "numbers".
    """
    if scale is None:
        return images
    everything = [array.reshape(len(array), -1) for array in among or (images,)]
    ranges = [_range(array, subject) for array in everything]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if scale == NUMBERS and high <= SMALL:
        return images
    if high > 1 and all(_are_pixels(array, low, high) for array in everything):
        return rescale_pixels(_to_uint8(images), scale, subject)
    if scale == UNIT and low >= 0 and MAX_UNIT < high <= WHITE:  # pixels with fractions
        return _divided(images)
    if scale == PIXELS and low >= 0 and high <= 1:
        return _multiplied(images)
    return images


def rescale_pixels(images: Array, scale: str | None, subject: str) -> Array:
    """Convert pixels, uint8, to the scale of a network; ValueError if that is "numbers"."""
    if scale == NUMBERS:
        raise ValueError(
            f"{subject}: the model was trained on numbers of its own scale, not on pixels; got pixels 0 … 255: "
            "pass an array of such numbers, or train a model on pixels"
        )
    return _divided(images) if scale == UNIT else images


def _multiplied(images: Array) -> Array:
    """Return numbers from 0 to 1 times 255, as uint8 if all of them are k / 255."""
    values = in_order(images, np.float32) * np.float32(WHITE)
    whole = np.rint(values)
    # k / 255 and its product with 255 are rounded to float32: a few parts in 10 million of at most 255
    return whole.astype(np.uint8) if np.abs(values - whole).max() < 1e-4 else values


# -- the values of an array --------------------------------------------------------------------------------


def _chunks(images: Array) -> Iterator[tuple[int, Array]]:
    """Yield rows as float32, each time with the index of the first."""
    for start in range(0, len(images), _CHUNK):
        yield start, in_order(images[start : start + _CHUNK], np.float32)


def _range(images: Array, subject: str) -> tuple[float, float]:
    """Return the smallest and the largest value in float32; ValueError if a value is not finite."""
    if images.dtype.kind != "f":
        return float(images.min()), float(images.max())
    low, high = math.inf, -math.inf
    for start, rows in _chunks(images):
        least, most = float(rows.min()), float(rows.max())
        # Minimum and maximum are NaN if any value is: checking these two needs no mask of the array's size.
        if not (math.isfinite(least) and math.isfinite(most)):
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(
                f"{subject} must be finite in float32; got {images[start + row, column]} at row {start + row}, "
                f"column {column}: clean or scale the data first"
            )
        low, high = min(low, least), max(high, most)
    return low + 0.0, high + 0.0  # -0.0 becomes 0.0, for the messages


def _are_pixels(images: Array, low: float, high: float) -> bool:
    """Return whether all values, whose range is ``low`` … ``high``, are whole numbers from 0 to 255."""
    if not 0 <= low <= high <= WHITE:
        return False
    if images.dtype.kind != "f":
        return True
    return all((rows == np.rint(rows)).all() for _, rows in _chunks(images))


# -- rows --------------------------------------------------------------------------------------------------


def _to_uint8(images: Array) -> Array:
    """Return whole numbers from 0 to 255 as uint8."""
    if images.dtype.kind == "f":  # 254.99999999 is 255 in float32
        images = in_order(images, np.float32)
    return in_order(images, np.uint8)


def _divided(images: Array) -> Array:
    """Return value / 255; a division, not a product with 1 / 255, gives the same bits as the kernels for uint8."""
    rows: Array = in_order(images, np.float32) / np.float32(WHITE)
    return rows
