"""Make of any picture of a digit what MNIST's makers made of theirs.

The module is not called ``prepare``: importing it would then put it in the place of the function ``fd.prepare``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..core.arrays import Float32, as_array
from ..errors import DataError
from .binarization import Ink, find_ink
from .opening import open_picture, stretch_hint
from .page import find_sheet
from .segmentation import Piece, SeveralRowsError, cut

SIDE, BOX = 28, 20  # of the image, and of the digit's box in it (LeCun, Cortes, Burges: The MNIST database)
FAINT = 0.3  # of full ink: what is fainter may be the paper's noise
ROOM = 2  # pixels around a stroke that its edge may take

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Digit:
    """One digit of a picture.

    Attributes
    ----------
    image : ndarray, (28, 28) uint8
        As a network takes it.
    box : tuple of int
        Where it is in the picture, upright: left, top, right, bottom in pixels.
    """

    image: UInt8
    box: tuple[int, int, int, int]


def prepare(image: object) -> UInt8:
    """Return a picture of one digit as MNIST's makers made theirs.

    Parameters
    ----------
    image : path, PIL.Image.Image, or array_like, (h, w) or (h, w, 1 … 4)
        PNG, JPEG and what else Pillow opens, at any size, turned as a camera says; grey, colour, transparency on
        white, or on black under light ink; numbers from 0 to 255, 0 … 1, of 16 bits, or a mask of 0 and 1. Dark on
        light and light on dark are told apart, uneven light
        and coloured paper taken away. All that is written counts as one digit.

    Returns
    -------
    ndarray, (28, 28) uint8
        Light on dark: the digit's box fitted into 20 × 20 pixels with its proportions kept, antialiased, its centre
        of mass in the middle.

    Raises
    ------
    DataError
        If ``image`` is a path to something that is no picture, or shows nothing.
    TypeError, ValueError
        If it is something else that is none, or shows nothing.

    References
    ----------
    LeCun, Cortes, Burges, The MNIST database of handwritten digits. Otsu (1979), A Threshold Selection Method from
    Gray-Level Histograms.
    """
    return find_digits(image, single=True, subject="prepare: image")[0].image


def cut_digits(image: object) -> UInt8:
    """Return the digits in a row on a picture, each as `prepare` makes one.

    Parameters
    ----------
    image : path, PIL.Image.Image, or array_like
        As for `prepare`. Digits that touch are parted where little ink joins them; specks, ruled lines, frames and what
        reaches in from outside are left out.

    Returns
    -------
    ndarray, (n, 28, 28) uint8
        From left to right, at least one.

    Raises
    ------
    DataError, TypeError, ValueError
        As `prepare`, and if there is more than one row of digits.
    """
    return np.stack([digit.image for digit in find_digits(image, subject="cut_digits: image")])


def find_digits(
    image: object,
    *,
    single: bool = False,
    subject: str = "find_digits: image",
    picture: Image.Image | None = None,
) -> list[Digit]:
    """Return the digits of a picture from left to right: `prepare` and `cut_digits` with places.

    A caller that has opened ``image`` with `open_picture` passes the result as ``picture``.
    """
    picture = open_picture(image, subject) if picture is None else picture
    kind: type[ValueError] = ValueError
    if isinstance(image, str | os.PathLike):
        subject, kind = os.fsdecode(image), DataError
    try:
        ink, pieces, offset = _look(picture, single)
    except SeveralRowsError:
        raise kind(
            f"{subject}: must show one row of digits; got several: crop the picture to one of them"
        ) from None
    if not pieces:
        given = isinstance(image, str | os.PathLike | Image.Image) or hasattr(image, "read")
        hint = "" if given else stretch_hint(as_array(image, subject))
        raise kind(
            f"{subject}: must show a digit; got nothing written on it: "
            + (hint or "take a picture with more contrast, or crop it to the digit")
        )
    return [_digit(ink, piece, offset) for piece in pieces]


def _look(picture: Image.Image, single: bool) -> tuple[Ink, list[Piece], tuple[int, int]]:
    """Return ink and digits of the picture, or of the sheet in it, and where the ink begins."""
    sheet = find_sheet(picture)
    if sheet is not None:
        ink, pieces, (x, y) = _look_closer(picture.crop(sheet), single)
        if pieces:
            return ink, pieces, (x + sheet[0], y + sheet[1])
    return _look_closer(picture, single)


def _look_closer(picture: Image.Image, single: bool) -> tuple[Ink, list[Piece], tuple[int, int]]:
    """Return ink and digits of the picture, and where the ink begins; look again where they are small in it."""
    ink = find_ink(picture)
    if ink is None:
        return Ink(np.zeros((1, 1), np.float32), 0.0, 1), [], (0, 0)
    pieces = cut(ink.amount, single)
    if not pieces:
        return ink, [], (0, 0)
    boxes = np.array([piece.box for piece in pieces]) * ink.factor
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    if max(right - left, bottom - top) >= 0.5 * max(picture.size):
        return ink, pieces, (0, 0)
    margin = max(8, int(0.5 * (bottom - top)))
    corner = max(0, left - margin), max(0, top - margin)
    part = picture.crop((*corner, min(picture.width, right + margin), min(picture.height, bottom + margin)))
    closer = find_ink(part)
    closer_pieces = [] if closer is None else cut(closer.amount, single)
    if closer is None or not closer_pieces:
        return ink, pieces, (0, 0)
    return closer, closer_pieces, (int(corner[0]), int(corner[1]))


def _digit(ink: Ink, piece: Piece, offset: tuple[int, int]) -> Digit:
    left, top, right, bottom = (side * ink.factor for side in piece.box)
    x, y = offset
    return Digit(_centred(_boxed(_strokes(ink, piece))), (left + x, top + y, right + x, bottom + y))


# -- from strokes to MNIST ---------------------------------------------------------------------------------


def _strokes(ink: Ink, piece: Piece) -> Float32:
    """Return the digit's ink, 0 … 1, all else taken away, with room around."""
    left, top, right, bottom = piece.box
    reach = 2 * ROOM
    mask = Image.fromarray(np.pad(piece.mask, reach).astype(np.uint8)).filter(
        ImageFilter.MaxFilter(2 * ROOM + 1)
    )
    amount = np.pad(ink.amount, reach)[top : bottom + 2 * reach, left : right + 2 * reach]
    faint = min(FAINT, 3 * ink.noise)
    strokes: Float32 = np.clip((amount - faint) / (1 - faint), 0, 1) * (np.asarray(mask) > 0)
    return strokes


def _boxed(strokes: Float32) -> Float32:
    """Return the digit with its longer side 20 pixels long, the middle of its strokes white."""
    strokes = _bounded(strokes)
    scale = BOX / max(strokes.shape)
    if abs(scale - 1) > 0.11:  # one that is as large as MNIST's, or almost, stays as it is
        height, width = strokes.shape
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        strokes = np.clip(np.asarray(Image.fromarray(strokes).resize(sides, kind)), 0, 1)
        if (strokes > 0.1).any():  # however thin they are
            strokes = np.minimum(strokes / np.percentile(strokes[strokes > 0.1], 90), 1).astype(np.float32)
    return strokes


def _bounded(strokes: Float32) -> Float32:
    """Return what is within the box around the ink."""
    inked = strokes > 0.05
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(strokes: Float32) -> UInt8:
    """Return the digit in 28 × 28 pixels, its centre of mass in the middle, as near as whole pixels allow."""
    height, width = strokes.shape
    mass = strokes.sum()
    y = (strokes.sum(axis=1) @ np.arange(height)) / mass
    x = (strokes.sum(axis=0) @ np.arange(width)) / mass
    top = int(np.clip(round(SIDE / 2 - y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - x), 0, SIDE - width))
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * strokes)
    return image
