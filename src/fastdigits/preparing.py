"""Make of any picture of a digit what MNIST's makers made of theirs.

The module is not called ``prepare``: importing it would then put it in the place of the function ``fd.prepare``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from .cutting import Piece, SeveralRowsError, cut
from .errors import DataError
from .ink import Ink, find_ink
from .inputs import Float32
from .pictures import open_picture

SIDE, BOX = 28, 20  # of the image, and of the digit's box in it (LeCun, Cortes, Burges: The MNIST database)
THINNEST = 2.0  # pixels of a stroke in the box: thinner ones than MNIST's are made that thick

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
    return find_digits(image, single=True, subject="prepare: image")[0].image


def cut_digits(image: object) -> UInt8:
    return np.stack([digit.image for digit in find_digits(image, subject="cut_digits: image")])


def find_digits(image: object, *, single: bool = False, subject: str = "find_digits: image") -> list[Digit]:
    """Return the digits of a picture from left to right: `prepare` and `cut_digits` with places."""
    picture = open_picture(image, subject)
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
        raise kind(
            f"{subject}: must show a digit; got nothing written on it: take a picture with more contrast, "
            "or crop it to the digit"
        )
    return [_digit(ink, piece, offset) for piece in pieces]


def _look(picture: Image.Image, single: bool) -> tuple[Ink, list[Piece], tuple[int, int]]:
    """Return ink and digits of the picture, and where the ink begins; look closer where they are small in it."""
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
    room = 2
    mask = np.asarray(
        Image.fromarray(np.pad(piece.mask, 2 * room).astype(np.uint8)).filter(ImageFilter.MaxFilter(5))
    )
    height, width = ink.amount.shape
    amount = np.zeros(mask.shape, np.float32)
    t, l = max(0, top - 2 * room), max(0, left - 2 * room)
    b, r = min(height, bottom + 2 * room), min(width, right + 2 * room)
    amount[t - top + 2 * room : b - top + 2 * room, l - left + 2 * room : r - left + 2 * room] = ink.amount[
        t:b, l:r
    ]
    size = max(bottom - top, right - left)
    steep = np.clip((size - BOX) / (2 * BOX), 0, 1)
    low = min(0.3, 3 * ink.noise) * (1 - steep) + LOW * steep
    high = 1 - (1 - HIGH) * steep
    return np.clip((amount - low) / (high - low), 0, 1) * (mask > 0)


LOW, HIGH = 0.3, 0.7
FILTER = Image.Resampling.BOX
BRIGHT = True


def thickness(strokes):
    inside = strokes > 0.5
    p = np.pad(inside, 1)
    edges = (p[1:, :] != p[:-1, :]).sum() + (p[:, 1:] != p[:, :-1]).sum()
    # crofton: perimeter ~ pi/4 * edge count
    return 2 * strokes.sum() / max(1.0, np.pi / 4 * edges)


def _boxed(strokes: Float32) -> Float32:
    """Return the digit with its longer side 20 pixels long."""
    strokes = _bounded(strokes)
    size = max(strokes.shape)
    scale = BOX / size
    thick = thickness(strokes) * scale
    if THINNEST and thick < THINNEST and size > 1.5 * BOX:
        radius = int(round((THINNEST - thick) / 2 / scale))
        if radius:
            strokes = np.pad(strokes, radius)
            strokes = np.asarray(Image.fromarray(strokes).filter(ImageFilter.MaxFilter(2 * radius + 1)))
            scale = BOX / max(strokes.shape)
    if abs(scale - 1) > 0.11:
        h, w = strokes.shape
        size_ = max(1, round(w * scale)), max(1, round(h * scale))
        strokes = np.asarray(
            Image.fromarray(strokes).resize(size_, FILTER if scale < 1 else Image.Resampling.BICUBIC)
        )
        strokes = np.clip(strokes, 0, 1)
        if BRIGHT:
            strokes = (
                np.minimum(strokes / np.percentile(strokes[strokes > 0.1], 90), 1)
                if (strokes > 0.1).any()
                else strokes
            )
    return strokes


def _bounded(strokes: Float32) -> Float32:
    rows, columns = np.flatnonzero((strokes > 0.05).any(axis=1)), np.flatnonzero((strokes > 0.05).any(axis=0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(strokes: Float32) -> UInt8:
    """Return the digit in 28 × 28 pixels, its centre of mass in the middle."""
    height, width = strokes.shape
    mass = strokes.sum()
    y = (strokes.sum(axis=1) @ np.arange(height)) / mass
    x = (strokes.sum(axis=0) @ np.arange(width)) / mass
    top = int(np.clip(round(SIDE / 2 - y), 0, SIDE - height))
    left = int(np.clip(round(SIDE / 2 - x), 0, SIDE - width))
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * strokes)
    return image
