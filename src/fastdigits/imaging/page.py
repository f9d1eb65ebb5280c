"""Find the sheet of paper in a photograph that also shows the table below it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.arrays import Array
from .binarization import otsu
from .components import connected_components

SIDE = 96  # pixels: the longer side of the reduced image
LEAST = 0.15  # of the image's area: a smaller region may be a bold digit
FILLED = 0.88  # of its smallest bounding box, over all angles: an ellipse such as a bold 0 fills 0.79
ANGLES = np.deg2rad(np.arange(-15, 16))
CONTRAST = 0.15  # of the full range, between the sheet and the table
TABLE = 0.6  # of the image's border is table; another sheet may reach into the image
BORDER = 0.97  # of each side of the cropped sheet is paper; of the image's border is table, if the sheet touches it


def find_sheet(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return left, top, right, bottom of a sheet of paper inside the image, or None.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode ``L``, ``RGB`` or ``F``.

    Notes
    -----
    Otsu's threshold (1979) splits the pixels into two classes. Most of the border belongs to one class. The other class
    has a large component that fills its bounding box, which may be rotated by up to 15 degrees. The sheet may be
    blank.
    """
    factor = max(1, round(max(image.size) / SIDE))
    small = image if factor == 1 else image.reduce(factor)
    grey = np.asarray(small.convert("L"), dtype=np.float32) / np.float32(255)
    if min(grey.shape) < SIDE // 4 or np.ptp(grey) < CONTRAST:
        return None
    light = grey > otsu(grey)
    if grey[light].mean() - grey[~light].mean() < CONTRAST:
        return None
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]]).mean()
    if TABLE > border > 1 - TABLE:
        return None
    found = connected_components(~light if border > 0.5 else light)
    largest = int(found.area.argmax())
    left, top, right, bottom = found.box[largest]
    inside = left > 0 and top > 0 and right < grey.shape[1] and bottom < grey.shape[0]
    if not inside and BORDER > border > 1 - BORDER:
        return None
    sheet = _without_holes(found.mask([largest])[top:bottom, left:right])
    area = np.count_nonzero(sheet)
    if area < LEAST * grey.size or area < FILLED * _bounding_box_area(sheet):
        return None
    inner = _inner_box(sheet)
    width, height = image.size
    return (
        int(left + inner[0]) * factor,
        int(top + inner[1]) * factor,
        min(width, int(left + inner[2]) * factor),
        min(height, int(top + inner[3]) * factor),
    )


def _without_holes(mask: Array) -> Array:
    """Fill the holes of the mask: the ink on the sheet that touches no side of its bounding box."""
    rest = connected_components(~mask)
    left, top, right, bottom = rest.box.T
    height, width = mask.shape
    holes = np.flatnonzero((left > 0) & (top > 0) & (right < width) & (bottom < height))
    filled: Array = mask | rest.mask(holes)
    return filled


def _bounding_box_area(mask: Array) -> float:
    """Return the area of the smallest bounding box of a mask, over all angles."""
    y, x = np.nonzero(mask)
    cos, sin = np.cos(ANGLES)[:, np.newaxis], np.sin(ANGLES)[:, np.newaxis]
    sides = [np.ptp(x * cos + y * sin, axis=1), np.ptp(y * cos - x * sin, axis=1)]
    return float(((sides[0] + 1) * (sides[1] + 1)).min())


def _inner_box(sheet: Array) -> tuple[int, int, int, int]:
    """Return a box inside a rotated sheet: move the side with the least paper inwards until all have enough."""
    left, top, bottom, right = 1, 1, sheet.shape[0] - 1, sheet.shape[1] - 1
    while right - left > sheet.shape[1] // 2 and bottom - top > sheet.shape[0] // 2:
        part = sheet[top:bottom, left:right]
        shares = [part[:, 0].mean(), part[0].mean(), part[:, -1].mean(), part[-1].mean()]
        worst = int(np.argmin(shares))
        if shares[worst] >= BORDER:
            break
        left, top = left + (worst == 0), top + (worst == 1)
        right, bottom = right - (worst == 2), bottom - (worst == 3)
    return left, top, right, bottom
