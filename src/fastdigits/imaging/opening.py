"""Open images of any kind: upright, grey or colour, transparent pixels on paper.

`open_image` treats one image by itself. `read_grey` reads one image of a data set: it depends on no property of the
single image, so the same shade has the same value in all of them.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..core import atomic
from ..core.arrays import Array, as_array
from ..errors import DataError

MOST_PIXELS = 100_000_000  # eight times a telephone's photograph; 400 MB as RGBA
FEW = 16  # integers up to this one count the dark pixels of 4 × 4, as in scikit-learn's load_digits
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # modes of Pillow with more than 8 bits per pixel
# Formats that Pillow lists and that are not images of digits: documents and drawings (Pillow starts another program
# for some), films, and formats for which Pillow has no reader of its own.
_NOT_IMAGES = ("EPS", "WMF", "PDF", "MPEG", "BUFR", "GRIB", "HDF5", "IPTC")

# Exceptions of Pillow's readers on damaged files, and of a name with a NUL character
_DAMAGE = (
    *(ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, ArithmeticError),
    *(AttributeError, AssertionError, RuntimeError, struct.error),
)


@functools.cache
def endings() -> frozenset[str]:
    """Return the endings of image files, in lower case: all formats that Pillow opens."""
    registered = Image.registered_extensions()
    return frozenset(
        ending for ending, kind in registered.items() if kind in Image.OPEN and kind not in _NOT_IMAGES
    )


def open_image(source: object, subject: str) -> Image.Image:
    """Return an upright image of mode ``L``, ``RGB`` or ``F``, with values from 0 (black) to 255 (white).

    Parameters
    ----------
    source : str, path-like, binary file, PIL.Image.Image or array_like
        A file that Pillow reads; or an array, (height, width) or (height, width, channels) with 1 (grey), 2 (grey
        and opacity), 3 (RGB) or 4 (RGBA) channels: bool, uint8, uint16, other integers within 0 … 255, or floats
        within 0 … 1 or 0 … 255. Integers within 0 … 16, and floats that are integers, fill this range.
    subject : str
        The beginning of error messages.

    Returns
    -------
    PIL.Image.Image
        Transparent pixels are white under dark ink and black under light ink. If there are several frames, this is the
        first, and ``info["frames"]`` is set.

    Raises
    ------
    DataError
        If a file is missing, damaged, not an image, or larger than `MOST_PIXELS`.
    TypeError, ValueError
        If an array is not as described.
    """
    if isinstance(source, Image.Image):
        return _plain(_upright(source, subject), subject)
    if isinstance(source, str | os.PathLike) or hasattr(source, "read"):
        file = os.fspath(source) if isinstance(source, str | os.PathLike) else source
        with _opened(file) as (image, name):  # type: ignore[arg-type]
            plain = _plain(image, name)
            if has_frames(image):
                plain.info["frames"] = True
            return plain
    return _from_array(as_array(source, subject), subject)


def has_frames(image: Image.Image) -> bool:
    """Return whether an image has several frames or pages, of which only the first is read."""
    return bool(image.info.get("frames") or getattr(image, "is_animated", False))


@dataclass(frozen=True)
class GreyImage:
    """A grey image of a data set.

    Attributes
    ----------
    values : ndarray, (height, width) uint8 or float32
        From 0 (black) to 255 (white), transparent pixels white; as stored if the format does not define white.
    unscaled : bool
        Whether the values are as stored: 32-bit integers and floats. `to_uint8` scales those of a whole data set.
    frames : bool
        Whether the file has further frames or pages.
    invisible : bool
        Whether all opaque pixels are as white as the paper.
    """

    values: Array
    unscaled: bool
    frames: bool
    invisible: bool


def read_grey(file: str | os.PathLike[str]) -> GreyImage:
    """Read a file as a grey image of a data set; the errors are those of `open_image`."""
    with _opened(os.fspath(file)) as (image, name):
        frames = has_frames(image)
        if image.mode in _DEEP:
            values = _deep_values(image)
            if not np.isfinite(values).all():
                raise DataError(f"{name}: must hold finite values; got {values[~np.isfinite(values)][0]}")
            unscaled = values.dtype != np.uint16
            values = values.astype(np.float32) if unscaled else np.rint(values / 257).astype(np.uint8)
            return GreyImage(values, unscaled, frames, False)
        if not image.has_transparency_data:
            return GreyImage(np.asarray(image.convert("L")), False, frames, False)
        opaque = _with_opacity(image)
        values = np.asarray(_laid_on(opaque, "white").convert("L"))
        opacity = np.asarray(opaque.getchannel("A"))
        return GreyImage(values, False, frames, bool(values.min() == 255 and opacity.min() < opacity.max()))


def to_uint8(images: list[GreyImage], subject: str) -> list[Array]:
    """Return the values of all images as uint8, with one scale for all of them.

    The range of unscaled values is 0 … 1, 0 … 255 or 0 … 65,535: the smallest that holds them all. If all other values
    are 0 or 1, they are black and white.

    Raises
    ------
    DataError
        If values are negative, or larger than 65,535.
    """
    unscaled = [image.values for image in images if image.unscaled]
    others = [image.values for image in images if not image.unscaled]
    low = min((float(values.min()) for values in unscaled), default=0.0)
    high = max((float(values.max()) for values in unscaled), default=0.0)
    if low < 0 or high > 65535:
        raise DataError(
            f"{subject}: pictures of floats or 32-bit integers must hold values within 0 … 65535; got {low:g} to "
            f"{high:g}: save them with 8 or 16 bits"
        )
    factor = 255.0 if high <= 1 else 1.0 if high <= 255 else 1 / 257
    mask = 255 if max((float(values.max()) for values in others), default=255.0) <= 1 else 1
    scaled = []
    for image in images:
        scale = factor if image.unscaled else mask
        same = image.values.dtype == np.uint8 and scale == 1
        values = image.values if same else np.rint(image.values * np.float64(scale)).astype(np.uint8)
        scaled.append(values)
    return scaled


def fitted(values: Array, size: tuple[int, int]) -> Array:
    """Scale an image to fit into another size, its proportions kept, and surround it with paper.

    Parameters
    ----------
    values : ndarray, (h, w) uint8 or float32
    size : (int, int)
        Height and width.

    Returns
    -------
    ndarray, (height, width)
        A smaller image is averaged over boxes, a larger one is interpolated by bicubic splines. The paper is the median
        of the border. An image that has this size already is returned as it is.
    """
    if values.shape == size:
        return values
    if values.max() <= 1:  # a mask of 0 and 1: as integers, its edges would be lost
        values = values.astype(np.float32)
    scale = min(size[0] / values.shape[0], size[1] / values.shape[1])
    height, width = (
        max(1, min(most, round(side * scale))) for side, most in zip(values.shape, size, strict=True)
    )
    border = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    resized = np.asarray(Image.fromarray(values).resize((width, height), kind))
    whole = np.full(size, np.median(border), values.dtype)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    whole[top : top + height, left : left + width] = np.clip(resized, values.min(), values.max())
    return whole


@contextlib.contextmanager
def _opened(file: str | bytes | IO[bytes]) -> Iterator[tuple[Image.Image, str]]:
    """Yield the first frame of a file, upright, and the file's name; turn all errors into DataError."""
    name = os.fsdecode(file) if isinstance(file, str | bytes) else str(getattr(file, "name", "picture"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the size, which is checked here, and about metadata
            with contextlib.ExitStack() as stack:
                opened = (
                    stack.enter_context(atomic.open_regular(file)) if isinstance(file, str | bytes) else file
                )
                image = stack.enter_context(Image.open(opened))
                if image.format in _NOT_IMAGES:
                    raise UnidentifiedImageError
                upright = _upright(image, name)
                upright.format = image.format
                if has_frames(image):
                    upright.info["frames"] = True
                yield upright, name
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name}: must be a picture that Pillow reads, such as PNG or JPEG; got something else: "
            "save or export it as PNG, or, if it is a table, in a file that ends in .csv"
        ) from error
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(name, "even more")) from error
    except MemoryError as error:
        raise DataError(
            f"{name}: must fit into memory; got a picture that does not: scale it down"
        ) from error
    except DataError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{name}: must be a file that can be read; got: {error.strerror}") from error
        raise DataError(_damaged(name, error)) from error
    except _DAMAGE as error:
        raise DataError(_damaged(name, error)) from error


def _damaged(name: str, error: Exception) -> str:
    shown = repr(name) if "\0" in name else name
    return f"{shown}: must be a whole picture; got a damaged one ({error}): copy or export it again"


def _too_large(name: str, size: str) -> str:
    return f"{name}: must have at most {MOST_PIXELS:,} pixels; got {size}: scale or crop the picture"


def _upright(image: Image.Image, subject: str) -> Image.Image:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(_too_large(subject, f"{width:,} × {height:,}"))
    if width * height == 0:
        raise DataError(f"{subject}: must have pixels; got {width} × {height}")
    image.load()
    return ImageOps.exif_transpose(image)


def _plain(image: Image.Image, subject: str) -> Image.Image:
    """Return the image without palette and transparency, with 8 bits per channel or as floats."""
    if image.mode in _DEEP:
        values = _deep_values(image)
        if image.mode == "I" and values.max() > 255:
            values = np.clip(values, 0, 65535).astype(np.uint16)
        return _from_array(values, subject)
    if image.has_transparency_data:
        return _on_paper(_with_opacity(image))
    if image.mode == "L" and 1 <= np.asarray(image).max() <= FEW:  # a mask, or few values, as in an array
        return _from_array(np.asarray(image), subject)
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _deep_values(image: Image.Image) -> Array:
    """Return the values of an image with more than 8 bits per pixel: uint16 if the format defines white."""
    values: Array = np.asarray(image)
    if image.mode.startswith("I;16"):
        values = np.array(values, np.uint16)
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            values[values == clear] = 65535
        return values
    if image.mode == "I" and image.format in ("PNG", "PPM"):  # Pillow opens 16 bits in this mode
        return np.clip(values, 0, 65535).astype(np.uint16)
    return values


def _with_opacity(image: Image.Image) -> Image.Image:
    """Return an image with transparency of any form as RGBA."""
    return image.convert("LA" if image.mode == "La" else "RGBA").convert("RGBA")


def _on_paper(image: Image.Image) -> Image.Image:
    """Compose an image with transparency over white, or over black if its opaque pixels are light."""
    opacity = np.asarray(image.getchannel("A"), dtype=np.float32)
    if opacity.min() == 255:
        return image.convert("RGB")
    brightness = np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    total = opacity.sum(dtype=np.float64)
    mean = (brightness * opacity).sum(dtype=np.float64) / total if total else 0.0
    return _laid_on(image, "white" if mean < 128 else "black")


def _laid_on(image: Image.Image, paper: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, paper), image).convert("RGB")


def _from_array(array: Array, subject: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        hint = ": one picture at a time" if array.ndim in (3, 4) else ""
        raise ValueError(
            f"{subject}: must be (height, width) or (height, width, channels), 1 to 4 channels; "
            f"got {array.shape}{hint}"
        )
    if array.size == 0:
        raise ValueError(f"{subject}: must have pixels; got {array.shape}")
    if array.shape[0] * array.shape[1] > MOST_PIXELS:
        raise ValueError(_too_large(subject, f"{array.shape[1]:,} × {array.shape[0]:,}"))
    values = _to_255(array, subject)
    if values.ndim == 2:
        return Image.fromarray(np.ascontiguousarray(values))
    bytes_ = np.ascontiguousarray(values if values.dtype == np.uint8 else np.rint(values).astype(np.uint8))
    image = Image.fromarray(bytes_, {2: "LA", 3: "RGB", 4: "RGBA"}[array.shape[2]])
    return _plain(image, subject)


def _to_255(array: Array, subject: str) -> Array:
    """Return the array as uint8, or as float32 within 0 … 255; integers 0 and 1 are black and white."""
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= 1:
        scaled = array * np.float32(255)
        return scaled.astype(np.float32 if array.dtype.kind == "f" else np.uint8)
    if low >= 0 and high <= FEW and (array.dtype.kind != "f" or (array == np.rint(array)).all()):
        return (array * np.float32(255 / FEW)).astype(np.float32)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array / np.float32(257)).astype(np.float32)
    if not (low >= 0 and high <= 255):  # a NaN as well
        raise ValueError(
            f"{subject}: must hold values within 0 … 1 or 0 … 255; got {low:g} to {high:g}: {_how_to_scale(low, high)}"
        )
    return array.astype(np.float32)


def stretch_hint(array: Array) -> str:
    """Return advice for an array without visible ink whose values have another range; else an empty text."""
    low, high = float(array.min()), float(array.max())
    if low == high:
        return f"all its values are {low:g}; choose an array with a digit"
    most = 65535 if array.dtype == np.uint16 else 1 if array.dtype.kind == "b" or high <= 1 else 255
    if high - low > most / 2:
        return ""
    return (
        f"its values run from {low:g} to {high:g}; if that is their whole range, {_how_to_scale(low, high)}"
    )


def _how_to_scale(low: float, high: float) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "replace values that are not finite, such as by np.nan_to_num"
    return f"scale them, {'image / image.max()' if low >= 0 else '(image - image.min()) / np.ptp(image)'}"
