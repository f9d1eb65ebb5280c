"""Measure the accuracy on drawn, printed and photographed digits: one row of a table per kind of picture.

    python scripts/accuracy/own_digits.py              # two minutes; MNIST's test images, DejaVu fonts, drawn strokes
    python scripts/accuracy/own_digits.py --tune       # other seeds, MNIST's training images: for changing fd.prepare
    python scripts/accuracy/own_digits.py --save DIR   # write some pictures, and all that are misread

Choose settings of fd.prepare by the table of --tune only.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import fastdigits as fd

Labelled = tuple[Image.Image, str]  # a picture and its digits

# Strokes of each digit in a box 1 wide and 1.5 high, y downward; some digits have two forms.
STROKES = {
    "0": [[[(0.5, 0), (0.1, 0.3), (0, 0.8), (0.2, 1.35), (0.5, 1.5), (0.85, 1.3), (1, 0.75), (0.85, 0.2), (0.5, 0)]]],
    "1": [[[(0.5, 0), (0.5, 1.5)]], [[(0.2, 0.4), (0.6, 0), (0.6, 1.5)]]],
    "2": [[[(0.05, 0.35), (0.25, 0.05), (0.6, 0), (0.9, 0.2), (0.85, 0.6), (0.4, 1.1), (0, 1.5), (1, 1.45)]]],
    "3": [[[(0.05, 0.15), (0.5, 0), (0.9, 0.2), (0.8, 0.55), (0.4, 0.7), (0.85, 0.85), (0.95, 1.2), (0.6, 1.5),
            (0, 1.35)]]],
    "4": [[[(0.3, 0), (0.05, 0.85), (1, 0.85)], [(0.75, 0.35), (0.7, 1.5)]],
          [[(0.65, 0), (0, 1), (1, 1)], [(0.7, 0), (0.7, 1.5)]]],
    "5": [[[(0.9, 0), (0.2, 0.05), (0.15, 0.65), (0.6, 0.6), (0.95, 0.9), (0.85, 1.3), (0.5, 1.5), (0, 1.4)]]],
    "6": [[[(0.75, 0), (0.3, 0.4), (0.05, 0.95), (0.2, 1.4), (0.6, 1.5), (0.9, 1.2), (0.75, 0.85), (0.4, 0.8),
            (0.1, 1.1)]]],
    "7": [[[(0, 0.05), (1, 0), (0.55, 0.75), (0.35, 1.5)]],
          [[(0, 0.05), (1, 0), (0.5, 0.8), (0.35, 1.5)], [(0.2, 0.75), (0.8, 0.72)]]],
    "8": [[[(0.85, 0.15), (0.45, 0), (0.15, 0.25), (0.35, 0.6), (0.8, 0.95), (0.85, 1.3), (0.45, 1.5), (0.1, 1.25),
            (0.25, 0.9), (0.7, 0.6), (0.9, 0.3), (0.75, 0.05)]]],
    "9": [[[(0.85, 0.3), (0.55, 0), (0.15, 0.15), (0.1, 0.5), (0.4, 0.7), (0.8, 0.5), (0.85, 0.25), (0.85, 0.8),
            (0.7, 1.5)]]],
}  # fmt: skip


# -- digits as masks: 255 is ink ---------------------------------------------------------------------------


def drawn(digit: str, rng: np.random.Generator, height: int = 300, pen: float = 0.1) -> Image.Image:
    """Return a digit drawn with a round pen and random deviations; ``pen`` is its width, relative to ``height``."""
    slant, width = rng.uniform(-0.2, 0.25), rng.uniform(0.8, 1.15)
    forms = STROKES[digit]
    radius = pen * height / 2
    scale = (height - 2 * radius) / 1.5
    margin = round(0.4 * height)
    image = Image.new("L", (round(scale * 1.2) + 2 * margin, height + 2 * margin), 0)
    draw = ImageDraw.Draw(image)
    for stroke in forms[rng.integers(len(forms))]:
        points = np.array(stroke) + rng.normal(0, 0.025, (len(stroke), 2))
        points[:, 0] = points[:, 0] * width - slant * (points[:, 1] - 0.75)
        for x, y in _curve(points) * scale + margin:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image


def _curve(points: np.ndarray) -> np.ndarray:
    """Return points of a smooth curve through the given ones (Catmull and Rom, 1974)."""
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    t = np.linspace(0, 1, 40)[:, np.newaxis]
    parts = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        parts.append(
            0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        )
    return np.vstack(parts)


def printed(text: str, font: str, size: int = 200) -> Image.Image:
    """Return a text in a font, white on black."""
    face = ImageFont.truetype(font, size)
    left, top, right, bottom = face.getbbox(text)
    margin = size // 3
    image = Image.new("L", (int(right - left) + 2 * margin, int(bottom - top) + 2 * margin), 0)
    ImageDraw.Draw(image).text((margin - left, margin - top), text, font=face, fill=255)
    return image


def enlarged(digit: np.ndarray, side: int) -> Image.Image:
    """Return an image of MNIST enlarged to the size of a photographed digit."""
    return Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)


def in_a_row(masks: list[Image.Image], gap: int) -> Image.Image:
    """Return digits in one row, ``gap`` pixels between their bounding boxes; a negative gap lets them overlap."""
    cut = [mask.crop(mask.point(lambda value: 255 * (value > 60)).getbbox()) for mask in masks]
    margin, height = 60, max(mask.height for mask in cut)
    row = Image.new(
        "L", (sum(mask.width for mask in cut) + gap * (len(cut) - 1) + 2 * margin, height + 2 * margin), 0
    )
    x = margin
    for mask in cut:
        part = Image.new("L", row.size, 0)
        part.paste(mask, (x, margin + (height - mask.height) // 2))
        row = Image.fromarray(np.maximum(np.asarray(row), np.asarray(part)))
        x += mask.width + gap
    return row


# -- digits on paper ---------------------------------------------------------------------------------------


def inked(mask: Image.Image, paper: object = (255, 255, 255), ink: object = (0, 0, 0)) -> Image.Image:
    """Return a mask drawn in ink on paper; each is a colour, or an array of colours."""
    share = np.asarray(mask, dtype=np.float32)[:, :, np.newaxis] / 255
    values = np.asarray(paper, np.float32) * (1 - share) + np.asarray(ink, np.float32) * share
    return Image.fromarray(np.rint(values).astype(np.uint8))


def off_centre(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the mask at a random place of a sheet three times as large."""
    sheet = Image.new("L", (3 * mask.width, 3 * mask.height), 0)
    sheet.paste(mask, (int(rng.integers(2 * mask.width)), int(rng.integers(2 * mask.height))))
    return sheet


def on_a_table(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a mask on a sheet of paper that is slightly rotated on a darker table."""
    sheet = inked(
        mask, (rng.uniform(215, 255),) * 3, (rng.uniform(0, 80), rng.uniform(0, 80), rng.uniform(0, 120))
    )
    table = tuple(int(value) for value in rng.uniform(20, 150, 3))
    around = rng.uniform(0.15, 0.5, 4)
    width, height = sheet.size
    picture = Image.new(
        "RGB", (int(width * (1 + around[0] + around[1])), int(height * (1 + around[2] + around[3]))), table
    )
    picture.paste(sheet, (int(width * around[0]), int(height * around[2])))
    picture = picture.rotate(rng.uniform(-8, 8), Image.Resampling.BICUBIC, fillcolor=table)
    noisy = np.asarray(picture) + rng.normal(0, 4, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))


def photographed(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photograph of a mask on a page: uneven light, the edge of a shadow, blur and noise."""
    width, height = 900, 700
    page = Image.new("L", (width, height), 0)
    page.paste(
        mask,
        (int(rng.integers(60, width - mask.width - 59)), int(rng.integers(60, height - mask.height - 59))),
    )
    page = page.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC)
    y, x = np.mgrid[:height, :width].astype(np.float32) / width
    light = 1 - rng.uniform(0.1, 0.45) * ((x - rng.uniform(0, 1)) ** 2 + (y - rng.uniform(0, 0.8)) ** 2)
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.3)
    across = (x - 0.5) * np.cos(angle) + (y - 0.4) * np.sin(angle) - place
    light *= 1 - rng.uniform(0.2, 0.5) / (1 + np.exp(-across / rng.uniform(0.004, 0.05)))
    paper = np.array([rng.uniform(180, 235), rng.uniform(180, 235), rng.uniform(160, 225)])
    ink = np.array([rng.uniform(10, 90), rng.uniform(10, 90), rng.uniform(20, 130)])
    share = np.asarray(page, dtype=np.float32)[:, :, np.newaxis] / 255 * rng.uniform(0.85, 1)
    values = (paper * (1 - share) + ink * share) * light[:, :, np.newaxis]
    values += rng.normal(0, rng.uniform(2, 8), values.shape)
    picture = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.8)))


# -- kinds of pictures -------------------------------------------------------------------------------------

COLOURS = [  # paper, ink
    ((255, 240, 120), (30, 40, 160)),
    ((250, 190, 200), (60, 60, 60)),
    ((140, 200, 255), (200, 20, 30)),
    ((40, 60, 50), (240, 240, 235)),
    ((20, 30, 90), (255, 230, 90)),
    ((120, 180, 90), (190, 60, 60)),
]


def kinds(tune: bool) -> dict[str, Callable[[np.random.Generator], Iterator[Labelled]]]:
    """Return the kinds of pictures by name; each yields pictures without end."""
    train, test = fd.load_mnist()
    images, labels = train if tune else test

    def any_digit(rng: np.random.Generator) -> str:
        return str(rng.integers(10))

    def forever(make: Callable[[np.random.Generator], Labelled]):
        def pictures(rng: np.random.Generator) -> Iterator[Labelled]:
            while True:
                yield make(rng)

        return pictures

    def stroke(low: float, high: float, after: Callable[..., Image.Image] = lambda mask, rng: inked(mask)):
        def make(rng: np.random.Generator) -> Labelled:
            digit = any_digit(rng)
            return after(drawn(digit, rng, int(rng.integers(120, 400)), rng.uniform(low, high)), rng), digit

        return forever(make)

    def font(names: list[str], after: Callable[..., Image.Image] = lambda mask, rng: inked(mask)):
        def make(rng: np.random.Generator) -> Labelled:
            digit = any_digit(rng)
            face = names[rng.integers(len(names))]
            return after(printed(digit, face, int(rng.integers(60, 400))), rng), digit

        return forever(make)

    def coloured(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
        return inked(mask, *COLOURS[rng.integers(len(COLOURS))])

    def mnist(after: Callable[..., Image.Image], low: int = 120, high: int = 400):
        def make(rng: np.random.Generator) -> Labelled:
            at = rng.integers(len(labels))
            return after(enlarged(images[at], int(rng.integers(low, high))), rng), str(labels[at])

        return forever(make)

    def number(gap: tuple[int, int], after: Callable[..., Image.Image]):
        def make(rng: np.random.Generator) -> Labelled:
            chosen = rng.integers(len(labels), size=rng.integers(2, 6))
            masks = [enlarged(images[at], int(rng.integers(130, 160))) for at in chosen]
            row = in_a_row(masks, int(rng.integers(*gap)))
            return after(row, rng), "".join(str(labels[at]) for at in chosen)

        return forever(make)

    sans = ["DejaVuSans.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Italic.ttf",
            "DejaVuSansMono.ttf", "DejaVuSansMono-Oblique.ttf"]  # fmt: skip
    bold = ["DejaVuSans-Bold.ttf", "DejaVuSans-BoldOblique.ttf", "DejaVuSerif-Bold.ttf",
            "DejaVuSerif-BoldItalic.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSansMono-BoldOblique.ttf"]  # fmt: skip
    folder = Path(font_manager.findfont("DejaVu Sans")).parent
    plain, thick = [[str(folder / name) for name in names] for names in (sans, bold)]
    return {
        "MNIST's, enlarged": mnist(lambda mask, rng: inked(mask)),
        "MNIST's, photographed": mnist(photographed),
        "MNIST's, small in a photograph": mnist(photographed, 40, 100),
        "MNIST's, coloured paper, off centre": mnist(lambda mask, rng: coloured(off_centre(mask, rng), rng)),
        "drawn, thin pen (2 to 4 % of the height)": stroke(0.02, 0.04),
        "drawn, usual pen (6 to 12 %)": stroke(0.06, 0.12),
        "drawn, thick pen (16 to 24 %)": stroke(0.16, 0.24),
        "drawn, coloured paper, light on dark too": stroke(0.05, 0.15, coloured),
        "drawn, off centre on a large sheet": stroke(
            0.05, 0.15, lambda mask, rng: inked(off_centre(mask, rng))
        ),
        "drawn, photographed": stroke(0.05, 0.15, photographed_any),
        "DejaVu fonts, regular and slanted": font(plain),
        "DejaVu fonts, bold": font(thick),
        "numbers of 2 to 5 of MNIST's digits": number((10, 40), lambda mask, rng: inked(mask)),
        "… photographed": number((10, 40), photographed_any),
        "… whose digits touch": number((-8, -2), lambda mask, rng: inked(mask)),
        "MNIST's, on a sheet on a table": mnist(on_a_table),
    }


def photographed_any(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return `photographed` for a mask that may be too large for the page."""
    mask.thumbnail((700, 500))
    return photographed(mask, rng)


# -- the table ---------------------------------------------------------------------------------------------


def read(network: fd.NeuralNetwork, picture: Image.Image) -> str:
    """Return the predicted digits, or "" where `fd.cut_digits` raises an error."""
    try:
        digits = fd.cut_digits(picture)
    except ValueError:
        return ""
    return "".join(map(str, network.predict(digits)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tune", action="store_true", help="use training images and other seeds")
    parser.add_argument(
        "--count", type=int, default=500, metavar="N", help="pictures of each kind (default: 500)"
    )
    parser.add_argument("--kind", default="", metavar="TEXT", help="only kinds whose names contain this text")
    parser.add_argument("--model", metavar="FILE", help="a model file (default: the packaged network)")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write the first three pictures of each kind and all misread ones here",
    )
    options = parser.parse_args()
    network = fd.load_pretrained() if options.model is None else fd.load(options.model)
    print("| pictures | accuracy | time per picture |\n| --- | ---: | ---: |", flush=True)
    for number, (name, pictures) in enumerate(kinds(options.tune).items()):
        if options.kind not in name:
            continue
        rng = np.random.default_rng([number, 1 if options.tune else 0])
        right, seconds = 0, 0.0
        for index, (picture, truth) in zip(range(options.count), pictures(rng), strict=False):
            started = time.perf_counter()
            predicted = read(network, picture)
            seconds += time.perf_counter() - started
            right += predicted == truth
            if options.save and (predicted != truth or index < 3):
                options.save.mkdir(exist_ok=True)
                picture.save(options.save / f"{number:02}_{index:03}_{truth}_{predicted or 'refused'}.png")
        print(
            f"| {name} | {right / options.count:.1%} | {1000 * seconds / options.count:.0f} ms |", flush=True
        )


if __name__ == "__main__":
    sys.exit(main())
