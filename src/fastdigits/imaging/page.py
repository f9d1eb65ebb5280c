"""Find the sheet of paper in a photograph that shows what it lies on, too."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.arrays import Array
from .binarization import otsu
from .components import connected_components

SIDE = 96  # pixels of the longer side at which it is looked for
LEAST = 0.15  # of the picture: a smaller sheet is as likely something that is written
FILLED = 0.88  # of the least box around it, turned or not: an ellipse such as a bold 0 fills 0.79
TURNS = np.deg2rad(np.arange(-15, 16))
CONTRAST = 0.15  # of the full range, between the sheet and what it lies on
RIM = 0.97  # of the picture's rim must be of the other class, and of the rim of what is cut out of the sheet


def find_sheet(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of a sheet that lies within the picture; None where there is none.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode ``L``, ``RGB`` or ``F``.

    Notes
    -----
    Two classes of brightness (Otsu, 1979): nearly all of the rim is of one, and the other has a part that fills its box
    as a sheet does, turned by a few degrees or not. Whether something is written on it is the caller's question.
    """
    factor = max(1, round(max(image.size) / SIDE))
    small = image if factor == 1 else image.reduce(factor)
    grey = np.asarray(small.convert("L"), dtype=np.float32) / np.float32(255)
    if min(grey.shape) < SIDE // 4 or np.ptp(grey) < CONTRAST:
        return None
    light = grey > otsu(grey)
    if grey[light].mean() - grey[~light].mean() < CONTRAST:
        return None
    rim = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]]).mean()
    if RIM > rim > 1 - RIM:
        return None
    found = connected_components(~light if rim > 0.5 else light)
    largest = int(found.area.argmax())
    left, top, right, bottom = found.box[largest]
    sheet = _without_holes(found.mask([largest])[top:bottom, left:right])
    area = np.count_nonzero(sheet)
    if area < LEAST * grey.size or area < FILLED * _least_box(sheet):
        return None
    within = _within(sheet)
    width, height = image.size
    return (
        int(left + within[0]) * factor,
        int(top + within[1]) * factor,
        min(width, int(left + within[2]) * factor),
        min(height, int(top + within[3]) * factor),
    )


def _without_holes(mask: Array) -> Array:
    """Return the mask with what is written on the sheet, and touches no side of its box, filled."""
    rest = connected_components(~mask)
    left, top, right, bottom = rest.box.T
    height, width = mask.shape
    holes = np.flatnonzero((left > 0) & (top > 0) & (right < width) & (bottom < height))
    filled: Array = mask | rest.mask(holes)
    return filled


def _least_box(mask: Array) -> float:
    """Return the area of the least box around a mask, over some turns."""
    y, x = np.nonzero(mask)
    cos, sin = np.cos(TURNS)[:, np.newaxis], np.sin(TURNS)[:, np.newaxis]
    sides = [np.ptp(x * cos + y * sin, axis=1), np.ptp(y * cos - x * sin, axis=1)]
    return float(((sides[0] + 1) * (sides[1] + 1)).min())


def _within(sheet: Array) -> tuple[int, int, int, int]:
    """Return a box within the mask of a sheet that is turned by some degrees: the worst side moves in until all do."""
    left, top, bottom, right = 1, 1, sheet.shape[0] - 1, sheet.shape[1] - 1
    while right - left > sheet.shape[1] // 2 and bottom - top > sheet.shape[0] // 2:
        part = sheet[top:bottom, left:right]
        shares = [part[:, 0].mean(), part[0].mean(), part[:, -1].mean(), part[-1].mean()]
        worst = int(np.argmin(shares))
        if shares[worst] >= RIM:
            break
        left, top = left + (worst == 0), top + (worst == 1)
        right, bottom = right - (worst == 2), bottom - (worst == 3)
    return left, top, right, bottom
