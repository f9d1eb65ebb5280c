"""Open a picture of any kind, and turn it the way it was taken: grey or colour, dark where it is dark.

What is on it is the matter of other rooms.
"""

from __future__ import annotations

import os
import warnings
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import DataError
from .inputs import Array, as_array

MOST_PIXELS = 100_000_000  # eight times a telephone's photograph; 400 MB as a picture with transparency
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # modes of Pillow with more than 8 bits a pixel


def open_picture(source: object, subject: str) -> Image.Image:
    """Return a picture of mode ``L``, ``RGB`` or ``F``, upright, whose values run from 0 (black) to 255 (white).

    Parameters
    ----------
    source : str, path-like, binary file, PIL.Image.Image or array_like
        A file that Pillow reads; or an array, (height, width) or (height, width, channels) with 1 (grey), 2 (grey
        and opacity), 3 (RGB) or 4 (RGBA) channels: bool, uint8, uint16, other integers within 0 … 255, or floats
        within 0 … 1 or 0 … 255.
    subject : str
        What an error message begins with.

    Returns
    -------
    PIL.Image.Image
        What is transparent became paper: white under dark ink, black under light ink.

    Raises
    ------
    DataError
        If a file is missing, damaged, no picture, or larger than `MOST_PIXELS`.
    TypeError, ValueError
        If an array is not as described.
    """
    if isinstance(source, Image.Image):
        return _upright(source, subject)
    if isinstance(source, str | os.PathLike):
        return _read(os.fspath(source))
    if hasattr(source, "read"):
        return _read(source)  # type: ignore[arg-type]
    return _from_array(as_array(source, subject), subject)


def _read(file: str | bytes | IO[bytes]) -> Image.Image:
    name = os.fsdecode(file) if isinstance(file, str | bytes) else str(getattr(file, "name", "picture"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size, which is checked here, and about odd metadata
            with Image.open(file) as image:
                return _upright(image, name)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name}: must be a picture that Pillow reads, such as PNG or JPEG; got something else: "
            "save or export it as PNG"
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
    except (ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, ArithmeticError) as error:
        # what Pillow's readers raise on files that are damaged in their own ways; a NUL in the name as well
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
    turned = ImageOps.exif_transpose(image)
    return _plain(turned, subject)


def _plain(image: Image.Image, subject: str) -> Image.Image:
    """Return the picture without palette, transparency and other depths than 8 bits, or as floats."""
    if image.mode in _DEEP:
        values = np.asarray(image)
        if image.mode.startswith("I;16"):
            values = values.astype(np.uint16)
        elif image.mode == "I" and values.max() > 255:  # how some versions of Pillow open 16 bits
            values = np.clip(values, 0, 65535).astype(np.uint16)
        return _from_array(values, subject)
    if image.has_transparency_data:
        return _on_paper(image.convert("RGBA"))
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _on_paper(image: Image.Image) -> Image.Image:
    """Lay a picture with transparency on white, or on black where what is visible is light."""
    opacity = np.asarray(image.getchannel("A"), dtype=np.float32)
    if opacity.min() == 255:
        return image.convert("RGB")
    brightness = np.asarray(image.convert("RGB").convert("L"), dtype=np.float32)
    total = opacity.sum(dtype=np.float64)
    mean = (brightness * opacity).sum(dtype=np.float64) / total if total else 0.0
    paper = Image.new("RGBA", image.size, "white" if mean < 128 else "black")
    return Image.alpha_composite(paper, image).convert("RGB")


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
    """Return the array as uint8, or as float32 within 0 … 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return (array / np.float32(257)).astype(np.float32)
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # a NaN as well
        raise ValueError(
            f"{subject}: must hold values within 0 … 1 or 0 … 255; got {low:g} to {high:g}: scale them, or "
            "convert to uint8 or uint16"
        )
    factor = 255.0 if array.dtype.kind == "f" and high <= 1 else 1.0
    return (array * factor).astype(np.float32)
