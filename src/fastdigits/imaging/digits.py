"""Turn photographs and scans of digits into 28 × 28 images like those of MNIST.

This module is not named ``prepare``: importing it would replace the function ``fd.prepare``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..core.arrays import Float32, as_array
from ..errors import DataError
from .binarization import Foreground, find_foreground
from .opening import open_image, stretch_hint
from .page import find_sheet
from .segmentation import Segment, SeveralRowsError, segment_digits

SIDE = 28  # pixels: the image
BOX = 20  # pixels: the box of the digit in it (LeCun, Cortes, Burges: The MNIST database)
FAINT = 0.3  # of full ink: fainter pixels may be noise of the paper
MARGIN = 2  # pixels around a stroke that belong to its edge

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes
    ----------
    image : ndarray, (28, 28) uint8
        The input of a network.
    box : tuple of int
        Left, top, right, bottom in the upright picture, in pixels.
    """

    image: UInt8
    box: tuple[int, int, int, int]


def prepare(image: object) -> UInt8:
    """Turn a picture of one digit into an image like those of MNIST.

    Parameters
    ----------
    image : path, PIL.Image.Image, or array_like, (h, w) or (h, w, 1 … 4)
        A file that Pillow opens, such as PNG or JPEG, of any size; its EXIF orientation is applied. Grey, colour or
        transparent. An array has values within 0 … 255, 0 … 1 or 16 bits, or is a mask of 0 and 1. Ink may be dark
        or light; uneven light and coloured paper are removed. All ink counts as one digit.

    Returns
    -------
    ndarray, (28, 28) uint8
        Light on dark. The digit's bounding box is scaled into 20 × 20 pixels, antialiased, with its proportions kept;
        its centre of mass is in the middle.

    Raises
    ------
    DataError
        If ``image`` is a path, and the file is not a picture or shows no ink.
    TypeError, ValueError
        If ``image`` is something else, and is not a picture or shows no ink.

    References
    ----------
    LeCun, Cortes, Burges, The MNIST database of handwritten digits. Otsu (1979), A Threshold Selection Method from
    Gray-Level Histograms.
    """
    return find_digits(image, single=True, subject="prepare: image")[0].image


def cut_digits(image: object) -> UInt8:
    """Cut a row of digits into images, each like the image that `prepare` returns.

    Parameters
    ----------
    image : path, PIL.Image.Image, or array_like
        As for `prepare`. Touching digits are split where little ink joins them. Specks, ruled lines, frames and
        objects that cross the border are omitted.

    Returns
    -------
    ndarray, (n, 28, 28) uint8
        From left to right, at least one.

    Raises
    ------
    DataError, TypeError, ValueError
        As `prepare`; also if there is more than one row of digits.
    """
    return np.stack([digit.image for digit in find_digits(image, subject="cut_digits: image")])


def find_digits(
    image: object,
    *,
    single: bool = False,
    subject: str = "find_digits: image",
    opened: Image.Image | None = None,
) -> list[Digit]:
    """Return the digits of a picture from left to right, with their places; `prepare` and `cut_digits` call this.

    A caller that has opened ``image`` with `open_image` passes the result as ``opened``.
    """
    opened = open_image(image, subject) if opened is None else opened
    kind: type[ValueError] = ValueError
    if isinstance(image, str | os.PathLike):
        subject, kind = os.fsdecode(image), DataError
    try:
        ink, segments, offset = _segment_sheet(opened, single)
    except SeveralRowsError:
        raise kind(
            f"{subject}: must show one row of digits; got several: crop the picture to one of them"
        ) from None
    if not segments:
        given = isinstance(image, str | os.PathLike | Image.Image) or hasattr(image, "read")
        hint = "" if given else stretch_hint(as_array(image, subject))
        raise kind(
            f"{subject}: must show a digit; got nothing written on it: "
            + (hint or "take a picture with more contrast, or crop it to the digit")
        )
    return [_digit(ink, segment, offset) for segment in segments]


def _segment_sheet(image: Image.Image, single: bool) -> tuple[Foreground, list[Segment], tuple[int, int]]:
    """Return ink, digits and the ink's left upper corner. If the image shows a sheet of paper, use only the sheet."""
    sheet = find_sheet(image)
    if sheet is not None:
        ink, segments, (x, y) = _segment_twice(image.crop(sheet), single)
        if segments:
            return ink, segments, (x + sheet[0], y + sheet[1])
    return _segment_twice(image, single)


def _segment_twice(image: Image.Image, single: bool) -> tuple[Foreground, list[Segment], tuple[int, int]]:
    """Return ink, digits and the ink's left upper corner; small digits are cropped and segmented again."""
    ink = find_foreground(image)
    if ink is None:
        return Foreground(np.zeros((1, 1), np.float32), 0.0, 1), [], (0, 0)
    segments = segment_digits(ink.amount, single)
    if not segments:
        return ink, [], (0, 0)
    boxes = np.array([segment.box for segment in segments]) * ink.factor
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    if max(right - left, bottom - top) >= 0.5 * max(image.size):
        return ink, segments, (0, 0)
    margin = max(8, int(0.5 * (bottom - top)))
    corner = max(0, left - margin), max(0, top - margin)
    part = image.crop((*corner, min(image.width, right + margin), min(image.height, bottom + margin)))
    closer = find_foreground(part)
    closer_segments = [] if closer is None else segment_digits(closer.amount, single)
    if closer is None or not closer_segments:
        return ink, segments, (0, 0)
    return closer, closer_segments, (int(corner[0]), int(corner[1]))


def _digit(ink: Foreground, segment: Segment, offset: tuple[int, int]) -> Digit:
    left, top, right, bottom = (side * ink.factor for side in segment.box)
    x, y = offset
    return Digit(_centred(_scaled(_strokes(ink, segment))), (left + x, top + y, right + x, bottom + y))


# -- from strokes to an image like MNIST's -----------------------------------------------------------------


def _strokes(ink: Foreground, segment: Segment) -> Float32:
    """Return the ink of one digit, 0 … 1, with a margin."""
    left, top, right, bottom = segment.box
    reach = 2 * MARGIN
    mask = Image.fromarray(np.pad(segment.mask, reach).astype(np.uint8)).filter(
        ImageFilter.MaxFilter(2 * MARGIN + 1)
    )
    amount = np.pad(ink.amount, reach)[top : bottom + 2 * reach, left : right + 2 * reach]
    faint = min(FAINT, 3 * ink.noise)
    strokes: Float32 = np.clip((amount - faint) / (1 - faint), 0, 1) * (np.asarray(mask) > 0)
    return strokes


def _scaled(strokes: Float32) -> Float32:
    """Scale the digit's longer side to 20 pixels and the middle of its strokes to white."""
    strokes = _cropped(strokes)
    scale = BOX / max(strokes.shape)
    if abs(scale - 1) > 0.11:  # an image of about the right size, such as one of MNIST's, is not scaled again
        height, width = strokes.shape
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        strokes = np.clip(np.asarray(Image.fromarray(strokes).resize(sides, kind)), 0, 1)
        if (strokes > 0.1).any():  # thin strokes become as bright as bold ones
            strokes = np.minimum(strokes / np.percentile(strokes[strokes > 0.1], 90), 1).astype(np.float32)
    return strokes


def _cropped(strokes: Float32) -> Float32:
    """Crop to the bounding box of the ink."""
    mask = strokes > 0.05
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(strokes: Float32) -> UInt8:
    """Place the digit in 28 × 28 pixels, its centre of mass within half a pixel of the middle."""
    height, width = strokes.shape
    mass = strokes.sum()
    y = (strokes.sum(axis=1) @ np.arange(height)) / mass
    x = (strokes.sum(axis=0) @ np.arange(width)) / mass
    top = int(np.clip(round(SIDE / 2 - y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - x), 0, SIDE - width))
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * strokes)
    return image
