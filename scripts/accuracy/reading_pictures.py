"""Pictures for training and measuring the packaged network: digits as people write them, and what is not a digit.

The functions return images like those of MNIST, (n, 28, 28) uint8. What a person could read as a digit is not among
the pictures of what is not a digit: there is no O, l, Z, S, B, g, q, b, y and no ``/ ( | '``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from own_pictures import smooth
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import fastdigits as fd

Images = np.ndarray  # (n, 28, 28) uint8
Strokes = list[np.ndarray]  # each (points, 2): x, y in a box of 1 by 1, y downward

SIDE, BOX = 28, 20  # pixels: the image, and the box of the digit in it
CANVAS = 84  # pixels: the height on which strokes are drawn; three times the image

# Strokes on a grid 4 wide and 6 high: "20 26" is a line from (2, 0) to (2, 6). More points make a smooth curve, or
# straight lines after a hyphen.
DIGITS = {
    "0": ("20 02 04 26 44 42 20", "30 11 03 15 26 45 43 31 20 10", "10 01 05 16 36 45 41 30 10"),
    "1": ("-20 26", "-02 20 26", "-11 20 26,-06 46", "-30 16", "-12 20 26"),
    "2": ("01 20 42 24 06,-06 46", "01 10 30 42 33 15 06 16 46", "02 10 40 43 06 15 26 46", "-00 40 43 03 06 46"),
    "3": ("01 20 41 23,23 44 26 05", "-00 40 22,22 43 45 26 05", "00 30 42 23 13,23 44 35 16 05"),
    "4": ("-20 04 44,-30 36", "-30 04 44,-30 36", "-00 03 43,-40 46", "-10 03 43,-31 26"),
    "5": ("-40 00 03,03 22 44 26 05", "-40 10 03,03 32 44 35 06", "-00 03,-00 40,03 22 44 26 05",
          "-40 00 03 43 46 06"),
    "6": ("40 11 04 26 44 23 04", "30 02 05 26 45 33 04", "20 03 05 26 46 34 14 05"),
    "7": ("-00 40 16", "-00 40 16,-13 43", "-01 00 40 26", "00 20 40 33 16", "-00 40 36"),
    "8": ("41 20 01 23 45 26 05 23 41", "20 11 23 31 20,23 05 26 45 23", "40 10 02 33 45 26 05 13 31 40"),
    "9": ("42 20 02 23 42,-42 36", "41 20 02 23 42,42 44 26 05", "42 30 11 13 33 42,-42 46"),
}  # fmt: skip
LETTERS = {
    "A": "-06 20 46,-14 34", "C": "41 20 02 04 26 45", "D": "-00 06,00 30 43 36 06", "E": "-40 00 06 46,-03 33",
    "F": "-40 00 06,-03 33", "H": "-00 06,-40 46,-03 43", "J": "30 33 35 16 04,-10 40", "K": "-00 06,-40 03 46",
    "L": "-00 06 46", "M": "-06 00 23 40 46", "N": "-06 00 46 40", "P": "-00 06,00 30 42 33 03",
    "Q": "20 02 04 26 44 42 20,-24 46", "R": "-00 06,00 30 42 33 03,-23 46", "T": "-00 40,-20 26",
    "U": "00 04 26 44 40", "V": "-00 26 40", "W": "-00 16 22 36 40", "X": "-00 46,-40 06", "Y": "-00 23 40,-23 26",
    "a": "42 21 03 04 26 44,-41 46", "d": "43 22 04 26 45,-40 46", "e": "04 44 32 12 04 26 45",
    "f": "41 20 12 16,-03 33", "h": "-00 06,04 23 44 46", "j": "32 35 16 05,-30 30", "k": "-00 06,-32 04 36",
    "m": "-02 06,03 12 23 26,23 32 43 46", "n": "-01 06,03 21 43 46", "r": "-01 06,03 21 41", "t": "10 14 26 46,-02 32",
    "u": "01 04 26 44 41,-41 46",
}  # fmt: skip
SIGNS = {
    "+": "-03 43,-21 25", "-": "-03 43", "=": "-02 42,-04 44", "x": "-01 45,-41 05", "#": "-11 15,-31 35,-02 42,-04 44",
    "*": "-03 43,-11 35,-31 15", "%": "-40 06,00 11 01 00,35 46 36 35", "<": "-40 03 46", ">": "-00 43 06",
    "^": "-03 20 43", "~": "03 12 23 34 43", "tick": "-03 16 40", "sum": "-40 00 23 06 46",
    "pi": "-00 40,-10 16,-30 36", "infinity": "23 11 03 15 23 31 43 35 23", "root": "-03 16 20 40",
    "arrow": "-03 43,-31 43 35", ".": "-23 23", "divided": "-03 43,-21 21,-25 25", ":": "-20 20,-26 26",
}  # fmt: skip
SHAPES = {
    "triangle": "-06 20 46 06", "heart": "26 02 10 22 30 42 26", "face": "20 02 04 26 44 42 20,-12 12,-32 32,14 25 34",
    "house": "-06 02 20 42 46 06,-02 42", "window": "-00 40 46 06 00,-20 26,-03 43",
    "envelope": "-00 40 46 06 00 23 40",
}  # fmt: skip
OTHER_SHAPES = {  # for measuring only
    "star": "-16 20 36 02 42 16", "bolt": "-30 03 33 06", "tree": "-20 02 42 20,-23 05 45 23,-25 26",
    "fish": "46 22 11 03 15 24 40,-40 46", "cup": "-00 05 35 30 00,31 41 43 33", "flag": "-06 00 41 03",
    "umbrella": "03 10 30 43,-03 43,-20 25,25 16 05",
}  # fmt: skip
TYPED = "ACDEFHJKLMNPQRTUVWXYadefhjkmnprtuvwx+-=*#%^~&@?"  # printed letters and signs
FONTS = Path(get_data_path()) / "fonts" / "ttf"
DEJAVU = sorted(FONTS.glob("DejaVuS*[!y].ttf"))  # without the two of mathematics, DejaVuSansDisplay …
OTHER_FONTS = [  # for measuring only
    FONTS / f"{name}.ttf"
    for name in ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10")
]


# -- from ink to an image like MNIST's -----------------------------------------------------------------------


def normalised(ink: np.ndarray) -> np.ndarray:
    """Return ink, (h, w) with 255 for full ink, as `fd.prepare` does: in a box of 20 × 20, its mass in the middle."""
    mask = ink > 25
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    image = np.zeros((SIDE, SIDE), np.uint8)
    if rows.size == 0:
        return image
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * BOX / max(part.shape))) for side in part.shape)
    kind = Image.Resampling.BOX if max(part.shape) > BOX else Image.Resampling.BICUBIC
    small = np.asarray(Image.fromarray(part).resize((width, height), kind), np.float32)
    bright = np.sort(small[small > 25])
    if bright.size:  # thin strokes become as bright as bold ones
        small = np.minimum(small * (255 / max(bright[int(0.9 * bright.size)], 60)), 255)
    mass = small.sum() or 1
    y, x = small.sum(axis=1) @ np.arange(height) / mass, small.sum(axis=0) @ np.arange(width) / mass
    top, left = (int(np.clip(round(SIDE / 2 - c), 0, SIDE - s)) for c, s in ((y, height), (x, width)))
    image[top : top + height, left : left + width] = np.rint(small)
    return image


def worn(ink: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return ink as a photograph has it: blurred, noisy, and fainter than a threshold removed."""
    blurred = Image.fromarray(ink).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    noisy = np.asarray(blurred, np.float32) + rng.normal(0, rng.uniform(0, 25), ink.shape)
    faint = rng.uniform(10, 75)
    kept = np.clip((noisy - faint) * (255 / (255 - faint)), 0, 255).astype(np.uint8)
    return kept * (np.asarray(blurred) > 12)


def _finished(inks: Sequence[np.ndarray], rng: np.random.Generator) -> Images:
    """Return the images of inks, a quarter of which are worn."""
    return np.stack([normalised(worn(ink, rng) if rng.random() < 0.25 else ink) for ink in inks])


# -- MNIST's digits, changed ---------------------------------------------------------------------------------


def varied(images: Images, rng: np.random.Generator) -> Images:
    """Return copies of digits: sheared by up to 0.4, with thinner or thicker strokes, small gaps, blur and noise."""
    seed = int(rng.integers(2**31))
    bent = fd.Augmentation(rotation=12, scale=0.2, shear=0.4, shift=0, alpha=12).apply(images, seed=seed)
    large = np.stack([_enlarged(image) for image in bent])
    change = rng.choice(np.arange(-3, 6), size=len(images))  # in pixels of the canvas, on each side
    for amount in np.unique(change):
        chosen = change == amount
        large[chosen] = _thickened(large[chosen], int(amount))
    for ink in large[rng.random(len(large)) < 0.15]:
        _gap(ink, rng)
    return _finished(large, rng)


def _enlarged(image: np.ndarray) -> np.ndarray:
    """Return an image of MNIST on the canvas."""
    return np.asarray(Image.fromarray(image).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))


def _thickened(ink: np.ndarray, amount: int) -> np.ndarray:
    """Return strokes, (n, h, w), that are wider on each side; a negative amount makes them narrower, but not vanish."""
    extreme = np.maximum if amount > 0 else np.minimum
    for _ in range(abs(amount)):
        new = ink.copy()
        new[:, 1:] = extreme(new[:, 1:], ink[:, :-1])
        new[:, :-1] = extreme(new[:, :-1], ink[:, 1:])
        new[:, :, 1:] = extreme(new[:, :, 1:], ink[:, :, :-1])
        new[:, :, :-1] = extreme(new[:, :, :-1], ink[:, :, 1:])
        if amount < 0:  # keep what would break
            broken = (new > 100).sum(axis=(1, 2)) < 0.45 * (ink > 100).sum(axis=(1, 2))
            new[broken] = ink[broken]
        ink = new
    return ink


def _gap(ink: np.ndarray, rng: np.random.Generator) -> None:
    """Erase a disc about as wide as a stroke from the ink."""
    rows, columns = np.nonzero(ink > 128)
    if rows.size:
        at, radius = rng.integers(rows.size), rng.uniform(2, 5)
        y, x = np.ogrid[: ink.shape[0], : ink.shape[1]]
        ink[(y - rows[at]) ** 2 + (x - columns[at]) ** 2 < radius**2] = 0


# -- strokes -------------------------------------------------------------------------------------------------


def strokes(text: str) -> Strokes:
    """Return the strokes of a form such as those of `DIGITS`."""
    parts = []
    for part in text.split(","):
        points = np.array([[int(x) / 4, int(y) / 6] for x, y in part.lstrip("-").split()])
        parts.append(points if part.startswith("-") else smooth(points, 9, closes=True))
    return parts


def shaken(lines: Strokes, rng: np.random.Generator, narrow: float = 0.45, tremor: float = 0.035) -> Strokes:
    """Return strokes as a hand draws them: of another width, sheared, rotated, and bent a little."""
    low, high = (narrow, -0.35, -0.17), (narrow + 0.5, 0.35, 0.17)
    width, shear, angle = rng.uniform(low, high)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # One smooth field of displacements for the whole picture: what touches goes on touching.
    waves = rng.normal(0, tremor, (4, 2)), rng.uniform(1, 5, (4, 2)), rng.uniform(0, 2 * np.pi, 4)
    moved = []
    for line in lines:
        dense = _dense(line)
        dense = dense + np.sin(dense @ waves[1].T + waves[2]) @ waves[0] + rng.normal(0, tremor / 3, 2)
        dense[:, 0] = (dense[:, 0] - 0.5) * width - shear * (dense[:, 1] - 0.5)
        moved.append(dense @ turn)
    return moved


def _dense(line: np.ndarray) -> np.ndarray:
    """Return a line with a point at least every tenth of the box."""
    parts = int(1 + 10 * np.abs(np.diff(line, axis=0)).max())
    places = np.arange((len(line) - 1) * parts + 1) / parts
    return np.column_stack([np.interp(places, np.arange(len(line)), column) for column in line.T])


def inked(lines: Strokes, pen: float) -> np.ndarray:
    """Return strokes drawn with a round pen, of this width relative to their longer side, as uint8 with 255 for ink."""
    points = np.vstack(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = 2 * CANVAS / max(*(high - low), 0.3)
    width = max(2, pen * 2 * CANVAS)
    size = np.ceil((high - low) * scale + 2 * width).astype(int) + 2
    image = Image.new("L", (int(size[0]), int(size[1])), 0)
    draw = ImageDraw.Draw(image)
    for line in lines:
        path = [tuple(point) for point in (line - low) * scale + width]
        draw.line(path, fill=255, width=round(width))
        for x, y in path:
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return np.asarray(image.reduce(2))


def pen(rng: np.random.Generator) -> float:
    """Return the width of a pen relative to what it draws: from a hairline to a marker."""
    return float(np.exp(rng.uniform(np.log(0.02), np.log(0.2))))


def drawn(
    forms: dict[str, str] | dict[str, tuple[str, ...]],
    count: int,
    rng: np.random.Generator,
    narrow: float = 0.45,
) -> tuple[Images, np.ndarray]:
    """Return pictures of forms that are drawn with tremor, and the place of each one's name in ``forms``."""
    names = list(forms)
    chosen = rng.integers(len(names), size=count)
    inks = []
    for name in chosen:
        form = forms[names[name]]
        text = form if isinstance(form, str) else form[rng.integers(len(form))]
        inks.append(inked(shaken(strokes(text), rng, narrow), pen(rng)))
    return _finished(inks, rng), chosen


def printed(
    characters: str, fonts: Sequence[Path], count: int, rng: np.random.Generator
) -> tuple[Images, np.ndarray]:
    """Return pictures of printed characters, and the place of each in ``characters``."""
    faces = [ImageFont.truetype(str(font), 80) for font in fonts]
    chosen = rng.integers(len(characters), size=count)
    inks = []
    for name in chosen:
        image = Image.new("L", (160, 160), 0)
        ImageDraw.Draw(image).text((40, 30), characters[name], font=faces[rng.integers(len(faces))], fill=255)
        shear = rng.uniform(-0.15, 0.15)
        slanted = 1, shear, -80 * shear, 0, 1, 0
        image = image.transform(image.size, Image.Transform.AFFINE, slanted, Image.Resampling.BILINEAR)
        inks.append(np.asarray(image))
    return _finished(inks, rng), chosen


# -- what is not a digit --------------------------------------------------------------------------------------


def letters(count: int, rng: np.random.Generator) -> Images:
    """Return drawn letters."""
    return drawn(LETTERS, count, rng)[0]


def signs(count: int, rng: np.random.Generator) -> Images:
    """Return drawn signs of arithmetic and others."""
    return drawn(SIGNS, count, rng)[0]


def shapes(count: int, rng: np.random.Generator, forms: dict[str, str] = SHAPES) -> Images:
    """Return drawn figures, as wide as high: narrow outlines could be a 0."""
    return drawn(forms, count, rng, narrow=0.7)[0]


def crossed_out(images: Images, labels: np.ndarray, count: int, rng: np.random.Generator) -> Images:
    """Return digits crossed out by one line, two lines, a cross or a zigzag; no 0, 1, 4 and 7 with a single line."""
    inks = []
    for at in rng.integers(len(images), size=count):
        ink = _enlarged(images[at])
        top, left, bottom, right = _box(ink)
        kind = rng.integers(1 if labels[at] in (0, 1, 4, 7) else 0, 4)
        out = rng.uniform(0.1, 0.35, 4) * (bottom - top)
        left, right = left - out[0], right + out[1]
        heights = rng.uniform(0.3, 0.7, 2) * (bottom - top) + top
        slope = rng.uniform(-0.5, 0.5) * (bottom - top)
        if kind == 0:
            lines = [[(left, heights[0] + slope), (right, heights[0] - slope)]]
        elif kind == 1:
            apart = rng.uniform(0.15, 0.3) * (bottom - top)
            lines = [
                [(left, heights[0] + slope + d), (right, heights[0] - slope + d)] for d in (-apart, apart)
            ]
        elif kind == 2:
            lines = [
                [(left, top + out[2]), (right, bottom - out[3])],
                [(left, bottom - out[2]), (right, top + out[3])],
            ]
        else:
            turns = rng.integers(5, 10)
            xs = np.linspace(left, right, turns)
            ys = np.where(np.arange(turns) % 2, top + out[2] / 2, bottom - out[3] / 2) + rng.normal(
                0, 3, turns
            )
            lines = [list(zip(xs, ys, strict=True))]
        inks.append(_with_lines(ink, lines, rng.uniform(4, 10)))
    return _finished(inks, rng)


def _box(ink: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero((ink > 60).any(axis=1)), np.flatnonzero((ink > 60).any(axis=0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def _with_lines(ink: np.ndarray, lines: list[list[tuple[float, float]]], width: float) -> np.ndarray:
    around = CANVAS // 2
    image = Image.fromarray(np.pad(ink, around))
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw.line([(x + around, y + around) for x, y in line], fill=255, width=round(width), joint="curve")
    return np.asarray(image)


def several(images: Images, count: int, rng: np.random.Generator) -> Images:
    """Return two or three digits side by side, apart, touching or overlapping a little."""
    inks = []
    for _ in range(count):
        row = None
        for at in rng.integers(len(images), size=rng.choice([2, 2, 2, 3])):
            large = _enlarged(images[at])
            top, left, bottom, right = _box(large)
            part = np.zeros((CANVAS + 20, right - left), np.uint8)
            part[top + 10 + (shift := int(rng.integers(-8, 9))) : bottom + 10 + shift] = large[
                top:bottom, left:right
            ]
            row = part if row is None else _beside(row, part, int(rng.integers(-9, 14)))
        inks.append(row)
    return _finished(inks, rng)


def _beside(left: np.ndarray, right: np.ndarray, gap: int) -> np.ndarray:
    gap = max(gap, -min(left.shape[1], right.shape[1]) // 5)
    whole = np.zeros((left.shape[0], left.shape[1] + right.shape[1] + gap), np.uint8)
    whole[:, : left.shape[1]] = left
    whole[:, left.shape[1] + gap :] = np.maximum(whole[:, left.shape[1] + gap :], right)
    return whole


def scribbles(count: int, rng: np.random.Generator) -> Images:
    """Return random curves, zigzags and bundles of lines."""
    inks = []
    for _ in range(count):
        kind = rng.integers(3)
        if kind == 0:
            lines = [smooth(rng.uniform(0, 1, (rng.integers(10, 18), 2)), 9, closes=True)]
        elif kind == 1:
            turns = int(rng.integers(7, 14))
            lines = [
                np.column_stack(
                    [
                        np.linspace(0, 1, turns) + rng.normal(0, 0.03, turns),
                        np.arange(turns) % 2 + rng.normal(0, 0.1, turns),
                    ]
                )
            ]
        else:
            lines = [rng.uniform(0, 1, (2, 2)) for _ in range(rng.integers(6, 12))]
        inks.append(inked(shaken(lines, rng), pen(rng) ** 0.5 * 0.3))
    return _finished(inks, rng)


def textures(count: int, rng: np.random.Generator) -> Images:
    """Return what no pen makes: blots, noise, grids, filled shapes and parts of pictures."""
    y, x = np.mgrid[:CANVAS, :CANVAS] / CANVAS
    inks = []
    for _ in range(count):
        kind = rng.integers(4)
        if kind == 0:  # blots: smooth noise above a threshold
            rough = Image.fromarray(rng.integers(0, 256, (CANVAS, CANVAS), dtype=np.uint8))
            smooth = np.asarray(rough.filter(ImageFilter.GaussianBlur(rng.uniform(3, 9))), np.float32)
            ink = 255 * (smooth > np.quantile(smooth, rng.uniform(0.3, 0.8)))
        elif kind == 1:  # noise
            ink = rng.integers(0, 256, (CANVAS, CANVAS)) * (
                rng.random((CANVAS, CANVAS)) < rng.uniform(0.1, 0.9)
            )
        elif kind == 2:  # grids and stripes
            period, width = rng.uniform(0.15, 0.4, 2), rng.uniform(0.1, 0.5)
            rows, columns = ((c + rng.random()) / p % 1 < width for c, p in ((y, period[0]), (x, period[1])))
            ink = 255 * (rows | columns if rng.random() < 0.6 else rows)
        else:  # filled shapes
            a = rng.uniform(0.2, 0.5)
            b = a * rng.uniform(0.4, 1.2)  # no upright bar, which is a 1
            power = rng.choice([1, 2, 8])
            ink = 255 * (np.abs((x - 0.5) / a) ** power + np.abs((y - 0.5) / b) ** power < 1)
        inks.append(ink.astype(np.uint8))
    return _finished(inks, rng)


def not_digits(
    images: Images, labels: np.ndarray, fonts: Sequence[Path]
) -> dict[str, Callable[[int, np.random.Generator], Images]]:
    """Return the kinds of pictures that are not a digit; each makes as many as asked for."""
    return {
        "letters, drawn": letters,
        "letters and signs, printed": lambda count, rng: printed(TYPED, fonts, count, rng)[0],
        "signs, drawn": signs,
        "shapes, drawn": shapes,
        "digits, crossed out": lambda count, rng: crossed_out(images, labels, count, rng),
        "two or three digits": lambda count, rng: several(images, count, rng),
        "scribbles": scribbles,
        "blots, noise, stripes": textures,
    }
