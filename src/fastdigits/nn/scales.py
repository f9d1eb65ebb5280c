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

Kernels accept rows of uint8, which mean value / 255, or of float32. A pixel gives the same bits in both, and uint8 is
faster. So images whose values are all k / 255, k a whole number, become uint8 on the scales "unit" and None, too.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend.threads import get_num_threads
from ..core.arrays import Array, in_order
from ..core.blocks import Blocks

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
_PROBE = 1 << 16  # values that decide whether it pays to read the others
_AT_ONCE = 1 << 20  # values per pass, to bound the memory


def check_scale(scale: object, subject: str) -> str | None:
    """Return a valid scale, or raise a TypeError or a ValueError."""
    if scale is None or (isinstance(scale, str) and scale in SCALES):
        return scale
    kind = ValueError if isinstance(scale, str) else TypeError
    raise kind(f"{subject} must be {', '.join(map(repr, SCALES))} or None; got {scale!r}")


def learn(images: Array, subject: str, pack: bool = True) -> tuple[Array, str | None]:
    """Return the rows of a network's first training images, and the scale that it learns from them.

    Parameters
    ----------
    images : ndarray, (n, d)
        Images from `check_images`.
    subject : str
        Start of an error message.
    pack : bool, default True
        As for `to_rows`.

    Returns
    -------
    rows : ndarray, (n, d)
        As from `to_rows`.
    scale : {"pixels", "unit", "numbers"} or None

    Raises
    ------
    ValueError
        If a value is not finite in float32.
    """
    first = images[: _rows_of(_PROBE, images)].max()
    if images.dtype == np.uint8 and first > SMALL:  # the rest cannot change the result
        return in_order(images), PIXELS
    white = WHITE if first <= 1 else 1
    packed = _packed(images, white)
    if packed is not None:
        decisive = SMALL if white == 1 else 0
        most = packed[: _rows_of(_PROBE, images)].max()
        if most <= decisive:
            most = packed.max()
        if white == 1:
            return (packed, PIXELS) if most > SMALL else (in_order(images, np.float32), NUMBERS)
        return packed if pack else in_order(images, np.float32), UNIT if most > 0 else None
    floats = in_order(images, np.float32) if images.dtype.kind == "f" else images
    low, high = _range(images, subject, floats)
    if white == WHITE and high > SMALL and (packed := _packed(images, 1)) is not None:
        return packed, PIXELS
    return in_order(floats, np.float32), UNIT if low >= 0 and high <= 1 else NUMBERS


def infer_scale(images: Array, subject: str) -> str | None:
    """Return the scale that `learn` returns."""
    return learn(images, subject)[1]


def to_rows(images: Array, scale: str | None, subject: str, pack: bool = True) -> Array:
    """Return checked images as rows in C order: uint8, which means value / 255, or finite float32.

    Parameters
    ----------
    images : ndarray, (n, d)
        Images from `check_images`.
    scale : {"pixels", "unit", "numbers"} or None
        Scale of the network.
    subject : str
        Start of an error message.
    pack : bool, default True
        Whether numbers that are all k / 255 become uint8. A layer returns no gradient for uint8.

    Raises
    ------
    ValueError
        If a value is not finite in float32, or if the values do not fit the scale.
    """
    pixels = divides(images, scale)
    if pixels and images.dtype.char == "B":
        return images if images.flags.c_contiguous else np.ascontiguousarray(images)
    if pixels or (pack and scale != NUMBERS):
        packed = _packed(images, 1 if pixels else WHITE)
        if packed is not None:
            return packed
    floats = in_order(images, np.float32)
    _check(images, scale, subject, floats)
    return floats / np.float32(WHITE) if pixels else floats


def row_converter(images: Array, scale: str | None, subject: str) -> Callable[[Array], Array]:
    """Return a function that converts any part of the images to rows, as `to_rows` does.

    It raises the errors of `to_rows` for all images, at the first part that does not become uint8. An image gives the
    same outputs in any part.
    """
    pixels = divides(images, scale)
    checked = False

    def convert(part: Array) -> Array:
        nonlocal checked
        packed = None if scale == NUMBERS else _packed(part, 1 if pixels else WHITE)
        if packed is not None:
            return packed
        if not checked:
            _check(images, scale, subject, images)
            checked = True
        return _divided(part) if pixels else in_order(part, np.float32)

    return convert


def divides(images: Array | Blocks, scale: str | None) -> bool:
    """Return whether a network of this scale divides images of this dtype by 255."""
    return scale == PIXELS or (scale is None and images.dtype == np.uint8)


def to_uint8(images: Array, subject: str) -> Array:
    """Return whole numbers from 0 to 255, (n, d), as uint8 in C order; ValueError if there are others."""
    packed = _packed(images, 1)
    if packed is None:
        low, high = _range(images, subject)
        hint = "x * 255" if low >= 0 and high <= 1 else "np.rint(x.clip(0, 255))"
        raise ValueError(
            f"{subject} must hold whole numbers from 0 to 255; got {images.dtype} from {low:g} to {high:g}: {hint}"
        )
    return packed


# -- for images in blocks, of which the range is known -------------------------------------------------------


def scale_of(low: float, high: float, whole: bool) -> str | None:
    """Return the scale that `learn` infers from the range of all numbers, and whether they are whole, 0 … 255."""
    if whole and high > 1:
        return PIXELS if high > SMALL else NUMBERS
    if whole and high == 0:
        return None
    return UNIT if low >= 0 and high <= 1 else NUMBERS


def check_blocks(blocks: Blocks, scale: str | None, subject: str) -> None:
    """Raise the errors of `to_rows` for images in blocks."""
    low, high, whole = blocks.range
    if not (whole and divides(blocks, scale)):
        _check_range(low, high, scale, subject)


def block_dtype(blocks: Blocks, scale: str | None) -> np.dtype[Any]:
    """Return the dtype of the rows that `block_rows` returns."""
    return np.dtype(np.uint8 if blocks.dtype == np.uint8 and divides(blocks, scale) else np.float32)


def block_rows(images: Array, scale: str | None) -> Array:
    """Return images of a block, (n, d) uint8 or float32, as rows: uint8, which means value / 255, or float32."""
    if not divides(images, scale):
        return in_order(images, np.float32)
    return images if images.dtype == np.uint8 else _divided(images)


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
    if high > 1 and all(_packed(array, 1) is not None for array in everything):
        pixels = to_uint8(images.reshape(len(images), -1), subject)
        return rescale_pixels(pixels.reshape(images.shape), scale, subject)
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


# -- rows --------------------------------------------------------------------------------------------------


def _rows_of(values: int, images: Array) -> int:
    """Return the number of images that hold about so many values; at least one."""
    width: int = images.shape[1]
    return 1 + values // max(width, 1)


def _packed(images: Array, white: int) -> Array | None:
    """Return images whose values are all k / ``white``, k a whole number from 0 to 255, as k in uint8; else None.

    -0.0 counts as 0. The first values are read first: most images that are no such numbers show it there.
    """
    kind, size = images.dtype.kind, images.dtype.itemsize
    if white == 1 and size == 1:
        return None if kind == "i" and images.min(initial=0) < 0 else in_order(images).view(np.uint8)
    probe = _rows_of(_PROBE, images)
    packed = np.empty(images[:probe].shape, np.uint8)
    if not _pack(packed, images[:probe], white):
        return None
    if probe < len(images):
        packed, first = _room(images), packed
        packed[:probe] = first
        in_place = kind in "iu" if white == 1 and kind != "f" else images.dtype in (np.float32, np.float64)
        step = len(images) if in_place and images.flags.c_contiguous else _rows_of(_AT_ONCE, images)
        for start in range(probe, len(images), step):
            if not _pack(packed[start : start + step], images[start : start + step], white):
                return None
    return packed


# By the id of the array that owns images: memory for their bytes, and the last array that used it
_kept: dict[int, tuple[memoryview, weakref.ref[Array]]] = {}


def _room(images: Array) -> Array:
    """Return an uninitialised array for packed images, of their shape; if possible in the memory of an earlier call.

    The system fills new memory with zeros first, and a virtual machine may have to ask its host for it: 5 to 90 ms for
    the images of MNIST, of which an epoch takes 90. So memory is kept until the array that owns the images is deleted,
    and used again when no array uses it.
    """
    if images.size < _AT_ONCE:
        return np.empty(images.shape, np.uint8)
    owner = images
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    kept = _kept.pop(id(owner), None)  # two threads cannot get the same
    if kept is None:
        weakref.finalize(owner, _kept.pop, id(owner), None).atexit = False
    elif kept[1]() is not None:
        _kept[id(owner)] = kept
        return np.empty(images.shape, np.uint8)
    memory = kept[0] if kept and len(kept[0]) >= images.size else np.empty(images.size, np.uint8).data
    # All views refer to this array, not to the memory, as that is no array
    flat = np.frombuffer(memory, np.uint8, images.size)
    _kept[id(owner)] = memory, weakref.ref(flat)
    return flat.reshape(images.shape)


def _pack(y: Array, x: Array, white: int) -> bool:
    """Write k to ``y`` for the values k / ``white`` of ``x``; return whether all values are such numbers."""
    fits = np.empty(len(x), np.uint8)
    if white == 1 and x.dtype.kind in "iu":
        size = x.dtype.itemsize
        shift = 0 if x.dtype.isnative else 8 * size - 8
        _run("pack_integers", x, y, fits, in_order(x).view(np.uint8), size, shift)
    elif x.dtype == np.float64:
        _run("pack_float64", x, y, fits, in_order(x), white)
    else:
        _run("pack_float32", x, y, fits, in_order(x, np.float32), white)
    return bool(fits.all())


def _run(door: str, x: Array, *arguments: Any) -> None:
    """Call a kernel; if it has much of ``x`` to read, as a program, which runs on several threads."""
    kernels: Any = backend.kernels
    if x.size < _AT_ONCE or not hasattr(kernels, "Program"):
        getattr(kernels, door)(*arguments)
        return
    none = np.empty(0, np.int64)
    program = kernels.Program(none)
    with program as recorded:
        getattr(recorded, door)(*arguments)
    program.run(none, np.zeros(1), get_num_threads())


def _check(images: Array, scale: str | None, subject: str, floats: Array) -> None:
    """Raise the errors of `to_rows` for images that are not all pixels; ``floats`` are the images, or their float32."""
    if scale not in (PIXELS, UNIT) and images.dtype.kind != "f":
        return
    _check_range(*_range(images, subject, floats), scale, subject)


def _check_range(low: float, high: float, scale: str | None, subject: str) -> None:
    """Raise a ValueError if numbers of this range do not fit the scale."""
    if scale == UNIT and high > MAX_UNIT:
        raise ValueError(
            f"{subject} must hold numbers of about 0 … 1, like the network's training images; got "
            f"values from {low:g} to {high:g}: divide pixels 0 … 255 by 255, x / 255"
        )
    fits = max(high, -low) > MAX_FRACTION and low >= MIN_PIXEL and high <= MAX_PIXEL
    if scale != PIXELS or fits:
        return
    hint = "bring them to the scale of the training images"
    if low >= 0 and high <= 1:
        hint = "images of 0 … 1 become pixels by x * 255"
    elif low >= 0 and high > MAX_PIXEL:
        hint = "images of 16 bits become pixels by x / 257"
    raise ValueError(
        f"{subject} must hold pixels 0 … 255, like the network's training images; got values from "
        f"{low:g} to {high:g}: {hint}"
    )


def _divided(images: Array) -> Array:
    """Return value / 255; a division, not a product with 1 / 255, gives the same bits as the kernels for uint8."""
    rows: Array = in_order(images, np.float32) / np.float32(WHITE)
    return rows


def _range(images: Array, subject: str, floats: Array | None = None) -> tuple[float, float]:
    """Return the smallest and the largest value in float32; ValueError if a value is not finite.

    ``floats`` are the images in float32, if there are such.
    """
    if images.dtype.kind != "f":
        return float(images.min()), float(images.max())
    floats = images if floats is None else floats
    low, high = math.inf, -math.inf
    in_place = floats.dtype == np.float32 and floats.flags.c_contiguous
    count = len(images) if in_place else _rows_of(_AT_ONCE, images)
    for start in range(0, len(images), count):
        rows = in_order(floats[start : start + count], np.float32)
        lows = highs = rows
        if rows.size >= _PROBE:  # for one image, NumPy takes 5 µs, and the kernel with its two arrays 8
            lows, highs = np.empty((2, len(rows)), np.float32)
            _run("row_ranges", rows, lows, highs, rows)
        least, most = float(lows.min()), float(highs.max())
        # Minimum and maximum are NaN if any value is: checking these two needs no mask of the array's size.
        if not (math.isfinite(least) and math.isfinite(most)):
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(
                f"{subject} must be finite in float32; got {images[start + row, column]} at row {start + row}, "
                f"column {column}: clean or scale the data first"
            )
        low, high = min(low, least), max(high, most)
    return low + 0.0, high + 0.0  # -0.0 becomes 0.0, for the messages
