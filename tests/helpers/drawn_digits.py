"""Digits as strokes of a pen, in hundredths of the pad's side."""

import numpy as np


def curve(x, y, width, height, start, stop):
    """Part of an ellipse; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 25))
    return [*zip(x + width * np.cos(angles), y + height * np.sin(angles), strict=True)]


DIGITS = {
    "0": [curve(50, 50, 22, 32, -90, 280)],
    "1": [[(50, 15), (48, 50), (46, 85)]],
    "2": [[*curve(50, 34, 20, 18, -160, 40), (32, 82), (72, 80)]],
    "3": [curve(48, 33, 17, 16, -160, 90), curve(48, 66, 20, 18, -90, 150)],
    "4": [[(42, 16), (30, 54), (74, 54)], [(62, 20), (58, 86)]],
    "5": [[(66, 18), (40, 18), (37, 46), *curve(48, 62, 20, 20, -110, 140)]],
    "6": [[(60, 15), (42, 38), (34, 62), *curve(50, 66, 16, 17, 180, -180)]],
    "7": [[(30, 20), (70, 20), (50, 84)]],
    "8": [curve(50, 33, 15, 16, -60, -400), curve(50, 67, 18, 18, -90, 270)],
    "9": [[*curve(50, 34, 16, 17, 0, -360), (65, 50), (60, 84)]],
}


def placed(strokes, scale=1.0, right=0, down=0):
    """Return strokes that are scaled about the middle of the pad and moved."""
    return [
        [(50 + right + scale * (x - 50), 50 + down + scale * (y - 50)) for x, y in line] for line in strokes
    ]
