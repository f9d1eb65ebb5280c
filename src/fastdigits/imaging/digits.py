"""Turn photographs and scans of digits into 28 × 28 images like those of MNIST.

This module is not named ``prepare``: importing it would replace the function ``fd.prepare``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..core.arrays import Array, Float32, as_array
from ..errors import DataError
from .binarization import Foreground, find_foreground
from .components import around
from .cutting import cut_touching
from .opening import open_image, stretch_hint
from .page import find_sheet
from .rows import MOST, CrowdedError, Segment, TiltedError, are_mixed, check_rows, find_rows, slope
from .segmentation import Writing, find_writing

SIDE = 28  # pixels: the image
BOX = 20  # pixels: the box of the digit in it (LeCun, Cortes, Burges: The MNIST database)
FAINT = 0.3  # of full ink: fainter pixels may be noise of the paper
MARGIN = 2  # pixels around a stroke that belong to its edge
# Shares of the image's height or width that digits span: in a tight crop, the digits fill it, and where the shades of
# the paper are measured on ink they are found in part.
LARGE, FILLED, FULL = 0.5, 0.85, 0.95
STEEP = 10.0  # degrees: rows that slope more are rotated
TURNED = 4.5  # the logarithm of how much likelier another direction is that is preferred
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}

UInt8 = npt.NDArray[np.uint8]
Confidence = Callable[[UInt8], Array]  # images (n, 28, 28) → (n, classes): the probabilities of the digits
_Segmented = tuple[Foreground, list[list[Segment]], tuple[int, int]]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes
    ----------
    image : ndarray, (28, 28) uint8
        The input of a network.
    box : tuple of int
        Left, top, right, bottom in the upright picture, in pixels.
    sign : str
        One of ``. , - + /``, or ``?`` for another; empty for a digit.
    sure : float
        The probability that it is cut from its neighbours where it should be.
    """

    image: UInt8
    box: tuple[int, int, int, int]
    sign: str
    sure: float


@dataclass(frozen=True)
class Page:
    """The digits of a picture.

    Attributes
    ----------
    picture : PIL.Image.Image
        The picture, rotated such that the rows are level and the digits upright.
    rows : list of list of Digit
        From top to bottom, from left to right.
    evidence : float
        Sum of the logarithms of the confidences of the digits.
    turned : float
        Degrees by which the picture was rotated counterclockwise.
    pieces : int
        Digits and signs before those that touch were cut.
    mixed : bool
        Whether some digits may belong to another row.
    """

    picture: Image.Image
    rows: list[list[Digit]]
    evidence: float
    turned: float
    pieces: int
    mixed: bool


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
    return find_digits(image, single=True, subject="prepare: image").rows[0][0].image


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
        As `prepare`; also if there is more than one row of digits, or a sign between them: ``. , - + /``. A slanted 1
        between digits that is as high as they are may be a slash.
    """
    subject = "cut_digits: image"
    rows = find_digits(image, subject=subject).rows
    if len(rows) > 1:
        raise error_for(
            image,
            subject,
            "must show one row of digits; got several: crop the picture to one of them, or read it with "
            "python -m fastdigits.predict",
        )
    signs = [digit.sign for digit in rows[0] if digit.sign]
    if signs:
        raise error_for(
            image,
            subject,
            f"must show digits and no sign; got {' '.join(signs)}: crop the picture to digits, or read it with "
            "python -m fastdigits.predict",
        )
    return np.stack([digit.image for digit in rows[0]])


def find_digits(
    image: object,
    *,
    single: bool = False,
    subject: str = "find_digits: image",
    opened: Image.Image | None = None,
    confidence: Confidence | None = None,
) -> Page:
    """Return the digits of a picture with their places; `prepare`, `cut_digits` and the command predict call this.

    A caller that has opened ``image`` with `open_image` passes the result as ``opened``. With a ``confidence``, digits
    that touch are cut where the parts are most surely digits, and a page that was turned is found.
    """
    opened = open_image(image, subject) if opened is None else opened
    try:
        page = _upright_page(opened, single, confidence)
        if page is not None and page.mixed:
            raise TiltedError
    except CrowdedError:
        raise error_for(
            image,
            subject,
            f"must show at most {MOST:,} digits; got more marks: crop the picture to the digits",
        ) from None
    except TiltedError:
        raise error_for(
            image, subject, "must show level rows of digits; got digits in diagonal lines: rotate the picture"
        ) from None
    if page is not None:
        return page
    given = isinstance(image, str | os.PathLike | Image.Image) or hasattr(image, "read")
    hint = "" if given else stretch_hint(as_array(image, subject))
    raise error_for(
        image,
        subject,
        "must show a digit; got nothing written on it: "
        + (hint or "take a picture with more contrast, or crop it to the digit"),
    )


def error_for(image: object, subject: str, message: str) -> ValueError:
    """Return the error for a picture: it names the file, if the picture is one."""
    if isinstance(image, str | os.PathLike):
        return DataError(f"{os.fsdecode(image)}: {message}")
    return ValueError(f"{subject}: {message}")


def _upright_page(picture: Image.Image, single: bool, confidence: Confidence | None) -> Page | None:
    """Return the page; turned by a multiple of 90 degrees if its digits are surer then."""
    page = _level_page(picture, single, confidence)
    if page is None or single or confidence is None or page.pieces < 3:
        return page  # one or two pieces have no direction: an N on its side is a Z
    best = page
    if page.evidence < -TURNED:
        for degrees, turn in TURNS.items():
            turned = _level_page(picture.transpose(turn), single, confidence)
            if turned is not None and turned.evidence > max(best.evidence, page.evidence + TURNED):
                best = replace(turned, turned=turned.turned + degrees)
    return best


def _level_page(picture: Image.Image, single: bool, confidence: Confidence | None) -> Page | None:
    """Return the page, rotated if its rows slope; None if nothing is written on it."""
    ink, rows, offset = _segment_sheet(picture, single)
    if not rows:
        return None
    if not single:
        check_rows(rows)
    angle = 0.0 if single else math.degrees(math.atan(slope(rows)))
    if abs(angle) > STEEP:
        picture, ink, offset = _rotated(picture, ink, offset, angle)
        rows = find_rows(find_writing(ink.amount))
    else:
        angle = 0.0

    sure = None
    if confidence is not None:

        def sure(segments: list[Segment]) -> Array:
            return confidence(np.stack([_image(ink, one) for one in segments]))

    pieces, mixed = sum(map(len, rows)), not single and are_mixed(rows)
    if not single:
        rows = [cut_touching(row, ink.amount, sure) for row in rows]
    made = [[_digit(ink, one, offset) for one in row] for row in rows]
    images = [one.image for row in made for one in row if not one.sign]
    if not images:
        return None
    evidence = 0.0
    if confidence is not None:
        evidence = float(np.log(np.maximum(confidence(np.stack(images)).max(axis=1), 1e-3)).sum())
    return Page(picture, made, evidence, angle, pieces, mixed)


def _rotated(
    picture: Image.Image, ink: Foreground, offset: tuple[int, int], degrees: float
) -> tuple[Image.Image, Foreground, tuple[int, int]]:
    """Return the part of a picture that the ink covers, the ink, and its corner, rotated counterclockwise."""
    (x, y), (height, width) = offset, ink.amount.shape
    part = picture.crop((x, y, x + width * ink.factor, y + height * ink.factor))
    part = part.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    amount = Image.fromarray(ink.amount).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return part, replace(ink, amount=np.asarray(amount)), (0, 0)


def _segment_sheet(image: Image.Image, single: bool) -> _Segmented:
    """Return ink, rows and the ink's left upper corner. If the image shows a sheet of paper, use only the sheet."""
    sheet = find_sheet(image)
    if sheet is not None:
        ink, rows, (x, y) = _segment_twice(image.crop(sheet), single)
        if rows:
            return ink, rows, (x + sheet[0], y + sheet[1])
    return _segment_twice(image, single)


def _segment_twice(image: Image.Image, single: bool) -> _Segmented:
    """Return ink, rows and the ink's left upper corner; small writing is cropped and segmented again."""
    ink, rows = _segment(image, single)
    if not rows:
        return ink, [], (0, 0)
    boxes = np.array([one.box for row in rows for one in row]) * ink.factor
    left, top, right, bottom = around(boxes)
    if max(right - left, bottom - top) >= 0.5 * max(image.size):
        return ink, rows, (0, 0)
    margin = max(8, int(0.5 * (boxes[:, 3] - boxes[:, 1]).max()))
    corner = max(0, left - margin), max(0, top - margin)
    part = image.crop((*corner, min(image.width, right + margin), min(image.height, bottom + margin)))
    closer, closer_rows = _segment(part, single)
    if not closer_rows:
        return ink, rows, (0, 0)
    return closer, closer_rows, (int(corner[0]), int(corner[1]))


def _segment(image: Image.Image, single: bool) -> tuple[Foreground, list[list[Segment]]]:
    ink, writing = _writing(image)
    reach = 0.0 if writing is None else max(writing.reach)
    if reach == 0 or reach > LARGE:
        flat, all_of_it = _writing(image, flat=True)
        if all_of_it is not None and (reach == 0 or reach > FILLED or min(all_of_it.reach) > FULL):
            ink, writing = flat, all_of_it
    if ink is None or writing is None:
        return Foreground(np.zeros((1, 1), np.float32), 0.0, 1), []
    if single:
        return ink, [[Segment(*writing.found.part(writing.digits))]]
    return ink, find_rows(writing)


def _writing(image: Image.Image, *, flat: bool = False) -> tuple[Foreground | None, Writing | None]:
    """Return the ink and the writing, None if there are no digits."""
    ink = find_foreground(image, flat=flat)
    writing = None if ink is None else find_writing(ink.amount)
    return ink, writing if writing is not None and writing.digits.size else None


def _digit(ink: Foreground, segment: Segment, offset: tuple[int, int]) -> Digit:
    left, top, right, bottom = (side * ink.factor for side in segment.box)
    x, y = offset
    box = left + x, top + y, right + x, bottom + y
    return Digit(_image(ink, segment), box, segment.sign, segment.sure)


# -- from strokes to an image like MNIST's -----------------------------------------------------------------


def _image(ink: Foreground, segment: Segment) -> UInt8:
    return _centred(_scaled(_strokes(ink, segment)))


def _strokes(ink: Foreground, segment: Segment) -> Float32:
    """Return the ink of one digit, 0 … 1, with a margin."""
    left, top, right, bottom = segment.box
    reach = 2 * MARGIN
    mask = Image.fromarray(np.pad(segment.mask, reach).astype(np.uint8) * 255).filter(
        ImageFilter.BoxBlur(MARGIN)
    )
    height, width = ink.amount.shape
    y0, x0, y1, x1 = max(0, top - reach), max(0, left - reach), bottom + reach, right + reach
    around = (y0 - top + reach, max(0, y1 - height)), (x0 - left + reach, max(0, x1 - width))
    amount = np.pad(ink.amount[y0:y1, x0:x1], around)
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
