"""The scale of a network's input: what the numbers of an image mean, decided in one place.

A network learns its scale from the images that it is first trained on, keeps it, and reads all later images on it.
Only values decide, never a dtype: the same numbers in any dtype give the same rows.

======== =================================================== ==================================
scale    learned from images that hold                       a network of this scale gets
======== =================================================== ==================================
pixels   whole numbers from 0 to 255, the largest above 16   value / 255
unit     numbers from 0 to 1                                 the values as they are
numbers  anything else                                       the values as they are
None     (not trained yet, or trained before scales existed) uint8 as value / 255, all else as it is
======== =================================================== ==================================

Small whole numbers stay as they are: one-hot columns, counts, pictures of 4 bits. Images that are zero throughout
tell nothing; the scale stays None.

Kernels take rows of uint8, which mean value / 255, or of float32, which are used as they are. Both ways of writing a
pixel give the same bits.
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
    None: "not known; uint8 is divided by 255, all else taken as it is",
}

WHITE = 255
# The largest whole number that may be a count, or a pixel of 4 bits, as in scikit-learn's load_digits
SMALL = 16
# Fractions up to here are images of 0 … 1 or of -1 … 1, or standardised ones, which stay within about 3
NO_PIXELS = 4
# Interpolation and noise overshoot 0 … 255, but not beyond these
BELOW, ABOVE = -255, 510
# More than any image of 0 … 1 has with noise, less than any image of 0 … 255 with ink has
NO_UNIT = 10
_AT_ONCE = 4096  # rows that are looked at together, which bounds the memory


def checked(scale: object, subject: str) -> str | None:
    """Return a scale that somebody sets, or raise a TypeError or a ValueError."""
    if scale is None or (isinstance(scale, str) and scale in SCALES):
        return scale
    kind = ValueError if isinstance(scale, str) else TypeError
    raise kind(f"{subject} must be {', '.join(map(repr, SCALES))} or None; got {scale!r}")


def learned(images: Array, subject: str) -> str | None:
    """Return the scale of the images that a network is first trained on.

    Parameters
    ----------
    images : ndarray, (n, d)
        Checked images, as `fastdigits.inputs.check_images` returns them.
    subject : str
        What an error message begins with.

    Raises
    ------
    ValueError
        If a value is not finite in float32.
    """
    if images.dtype == np.uint8 and images[:_AT_ONCE].max() > SMALL:  # whatever the others are
        return PIXELS
    low, high = _extremes(images, subject)
    if low == high == 0:
        return None
    if high > SMALL and _are_levels(images, low, high):
        return PIXELS
    return UNIT if low >= 0 and high <= 1 else NUMBERS


def to_rows(images: Array, scale: str | None, subject: str) -> Array:
    """Return checked images as rows in C order: uint8, which means value / 255, or finite float32.

    Parameters
    ----------
    images : ndarray, (n, d)
        What `fastdigits.inputs.check_images` returned.
    scale : {"pixels", "unit", "numbers"} or None
        The network's.
    subject : str
        What an error message begins with.

    Raises
    ------
    ValueError
        If a value is not finite in float32, or if the values cannot be meant on this scale.
    """
    if images.dtype.char == "B" and (scale == PIXELS or scale is None):
        return images if images.flags.c_contiguous else np.ascontiguousarray(images)
    return reader(images, scale, subject)(images)


def reader(images: Array, scale: str | None, subject: str) -> Callable[[Array], Array]:
    """Check all images together, as `to_rows` does, and return the function that makes rows of any part of them.

    Parameters and errors are those of `to_rows`. What part an image comes in then changes nothing.
    """
    if scale != PIXELS:
        pixels = scale is None and images.dtype == np.uint8
        if scale == UNIT or images.dtype.kind == "f":
            low, high = _extremes(images, subject)
            if scale == UNIT and high > NO_UNIT:
                raise ValueError(
                    f"{subject} must hold numbers of about 0 … 1, as the images that the network was trained on; got "
                    f"values from {low:g} to {high:g}: pixels 0 … 255 become such by x / 255"
                )
        return functools.partial(in_order, dtype=np.uint8 if pixels else np.float32)
    if images.dtype == np.uint8:
        return in_order
    low, high = _extremes(images, subject)
    if _are_levels(images, low, high):
        return _levels
    if max(high, -low) > NO_PIXELS and low >= BELOW and high <= ABOVE:
        return _divided
    hint = "bring them to the scale of the training images"
    if low >= 0 and high <= 1:
        hint = "images of 0 … 1 become pixels by x * 255"
    elif low >= 0 and high > ABOVE:
        hint = "images of 16 bits become pixels by x / 257"
    raise ValueError(
        f"{subject} must hold pixels 0 … 255, as the images that the network was trained on; got values from "
        f"{low:g} to {high:g}: {hint}"
    )


def levels(images: Array, subject: str) -> Array:
    """Return images that hold whole numbers from 0 to 255 as uint8 in C order; ValueError if they hold others."""
    if images.dtype != np.uint8 and images.size:
        low, high = _extremes(images, subject)
        if not _are_levels(images, low, high):
            hint = "x * 255" if low >= 0 and high <= 1 else "np.rint(x.clip(0, 255))"
            raise ValueError(
                f"{subject} must hold whole numbers from 0 to 255; got {images.dtype} from {low:g} to {high:g}: {hint}"
            )
    return _levels(images)


# -- for the commands, which read pictures -----------------------------------------------------------------


def pictures(images: Array, scale: str | None, subject: str, among: Sequence[Array] = ()) -> Array:
    """Return pictures from a file as a network of this scale takes them.

    Parameters
    ----------
    images : ndarray of real numbers, (n, ...)
        Pixels from 0 to 255, or numbers from 0 to 1: a file of pictures may hold either. For a network of
        "numbers", what it was trained on.
    scale : {"pixels", "unit", "numbers"} or None
        The network's.
    subject : str
        What an error message begins with.
    among : sequence of ndarray
        The whole data set that the images belong to, whose values decide which of these they are.

    Returns
    -------
    ndarray, of the same shape
        Anything else comes back as it is, and the network takes or refuses it; so does everything for a network
        whose scale is not known.

    Raises
    ------
    ValueError
        If a value is not finite, or if these are pixels and the network takes numbers of its own scale.
    """
    if scale is None:
        return images
    everything = [array.reshape(len(array), -1) for array in among or (images,)]
    extremes = [_extremes(array, subject) for array in everything]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    levels = all(_are_levels(array, low, high) for array in everything)
    if scale == NUMBERS and high <= SMALL:
        return images
    if levels and high > 1:
        return pixels(_levels(images), scale, subject)
    if scale == UNIT and low >= 0 and NO_UNIT < high <= WHITE:  # pixels with fractions
        return _divided(images)
    if scale == PIXELS and low >= 0 and high <= 1:
        return _back_to_pixels(images)
    return images


def pixels(images: Array, scale: str | None, subject: str) -> Array:
    """Return pixels, uint8, as a network of this scale takes them; ValueError if it takes numbers of its own."""
    if scale == NUMBERS:
        raise ValueError(
            f"{subject}: the model was trained on numbers of its own scale, not on pixels; got pixels 0 … 255: "
            "give it an array of what it was trained on, or train it on pixels"
        )
    return _divided(images) if scale == UNIT else images


def _back_to_pixels(images: Array) -> Array:
    """Return numbers from 0 to 1 times 255, as uint8 where each was a pixel divided by 255."""
    values = in_order(images, np.float32) * np.float32(WHITE)
    whole = np.rint(values)
    # k / 255 and its product with 255 are rounded to float32: a few parts in 10 million of at most 255
    return whole.astype(np.uint8) if np.abs(values - whole).max() < 1e-4 else values


# -- what values an array has ------------------------------------------------------------------------------


def _parts(images: Array) -> Iterator[tuple[int, Array]]:
    """Yield rows as float32, with the number of the first of them."""
    for start in range(0, len(images), _AT_ONCE):
        yield start, in_order(images[start : start + _AT_ONCE], np.float32)


def _extremes(images: Array, subject: str) -> tuple[float, float]:
    """Return the least and the largest value in float32; ValueError if one is not finite."""
    if images.dtype.kind != "f":
        return float(images.min()), float(images.max())
    low, high = math.inf, -math.inf
    for start, rows in _parts(images):
        least, most = float(rows.min()), float(rows.max())
        # The extremes of an array with a NaN are NaN: two numbers tell for all, without a mask of its size.
        if not (math.isfinite(least) and math.isfinite(most)):
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(
                f"{subject} must be finite in float32; got {images[start + row, column]} at row {start + row}, "
                f"column {column}: clean or scale the data first"
            )
        low, high = min(low, least), max(high, most)
    return low + 0.0, high + 0.0  # -0.0 becomes 0.0, for the messages


def _are_levels(images: Array, low: float, high: float) -> bool:
    """Return whether all values, which lie within ``low`` … ``high``, are whole numbers from 0 to 255."""
    if not 0 <= low <= high <= WHITE:
        return False
    if images.dtype.kind != "f":
        return True
    return all((rows == np.rint(rows)).all() for _, rows in _parts(images))


# -- rows --------------------------------------------------------------------------------------------------


def _levels(images: Array) -> Array:
    """Return whole numbers from 0 to 255 as uint8."""
    if images.dtype.kind == "f":  # 254.99999999 is 255 in float32
        images = in_order(images, np.float32)
    return in_order(images, np.uint8)


def _divided(images: Array) -> Array:
    """Return value / 255: a true division, so that k / 255 has the bits that kernels give to uint8."""
    rows: Array = in_order(images, np.float32) / np.float32(WHITE)
    return rows
