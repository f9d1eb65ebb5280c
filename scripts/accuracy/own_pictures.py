"""Draw pictures of digits and numbers, as people write and photograph them; `own_digits.py` measures with them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from sklearn.datasets import load_digits

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
        curve = smooth(points) * scale + margin
        draw.line([(x, y) for x, y in curve], fill=255, width=max(1, round(2 * radius)))
        for x, y in curve:
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image


def smooth(points: np.ndarray, steps: int = 40, *, closes: bool = False) -> np.ndarray:
    """Return points of a smooth curve through the given ones (Catmull and Rom, 1974).

    ``steps`` points lead from one to the next. With ``closes``, a curve that ends where it begins has no corner there.
    """
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    if closes and np.array_equal(points[0], points[-1]):
        ends[0], ends[-1] = points[-2], points[1]
    t = np.linspace(0, 1, steps)[:, np.newaxis]
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


def cropped(mask: Image.Image) -> Image.Image:
    """Return the mask without the margin around its ink."""
    return mask.crop(mask.point(lambda value: 255 * (value > 60)).getbbox())


def in_a_row(masks: list[Image.Image], gap: int) -> Image.Image:
    """Return digits in one row, ``gap`` pixels between their bounding boxes; a negative gap lets them overlap."""
    return placed([cropped(mask) for mask in masks], gap)


def placed(cut: list[Image.Image], gap: int) -> Image.Image:
    """Return masks in one row, ``gap`` pixels between them, with a margin."""
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


def sign(kind: str, height: int, rng: np.random.Generator) -> Image.Image:
    """Return one of ``.-/+`` as it stands in a row of digits of this height, drawn with a pen."""
    pen = rng.uniform(0.08, 0.13) * height
    width = {".": 1.3 * pen, "-": rng.uniform(0.35, 0.6) * height, "+": rng.uniform(0.4, 0.6) * height}.get(
        kind, rng.uniform(0.3, 0.55) * height + pen
    )
    tall = round(height * rng.uniform(1.1, 1.45)) if kind == "/" else height
    image = Image.new("L", (round(width), tall), 0)
    draw = ImageDraw.Draw(image)
    left, right, middle = pen / 2, width - pen / 2, tall * rng.uniform(0.42, 0.58)
    slope = rng.uniform(-0.05, 0.05) * height
    if kind == ".":
        draw.ellipse((0, height - width, width, height), fill=255)
    if kind in "-+":
        draw.line((left, middle - slope, right, middle + slope), fill=255, width=round(pen))
    if kind == "+":
        centre, arm = width / 2, (right - left) / 2
        draw.line((centre - slope, middle - arm, centre + slope, middle + arm), fill=255, width=round(pen))
    if kind == "/":
        draw.line((right, pen / 2, left, tall - pen / 2), fill=255, width=round(pen))
    return image.filter(ImageFilter.GaussianBlur(2))


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


def photographed_any(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return `photographed` for a mask that may be too large for the page."""
    mask.thumbnail((700, 500))
    return photographed(mask, rng)


def tight(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a crop with 0 to 3 of 20 pixels of margin, dark on light or light on dark, of 20 to 2,000 pixels."""
    cut = cropped(mask)
    margin = round(int(rng.integers(4)) / 20 * max(cut.size))
    wide = Image.new("L", (cut.width + 2 * margin, cut.height + 2 * margin), 0)
    wide.paste(cut, (margin, margin))
    scale = float(np.exp(rng.uniform(np.log(20), np.log(2000)))) / max(wide.size)
    kind = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    sides = max(1, round(wide.width * scale)), max(1, round(wide.height * scale))
    wide = wide.resize(sides, kind)
    return wide if rng.random() < 0.5 else wide.point(lambda value: 255 - value)


def on_squared_paper(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a mask in grey pencil on squared paper with blue lines, photographed without shadows."""
    width, height = 900, 700
    mask.thumbnail((600, 450))
    page = Image.new("L", (width, height), 0)
    page.paste(mask, (int(rng.integers(40, width - mask.width)), int(rng.integers(40, height - mask.height))))
    lines = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(lines)
    pitch, first = int(rng.integers(30, 70)), int(rng.integers(30))
    for at in range(first, width, pitch):
        draw.line((at, 0, at, height), fill=255, width=2)
        draw.line((0, at, width, at), fill=255, width=2)
    grain = np.clip(
        rng.normal(0.55, 0.15, (height, width)), 0.2, 0.8
    )  # pencil does not cover the paper's grain
    pencil = np.asarray(page, np.float32)[..., np.newaxis] / 255 * grain[..., np.newaxis]
    blue = np.asarray(lines, np.float32)[..., np.newaxis] / 255 * rng.uniform(0.25, 0.5)
    paper = np.full(3, rng.uniform(225, 250))
    values = (paper * (1 - blue) + np.array([120, 150, 215]) * blue) * (1 - pencil) + 60 * pencil
    values += rng.normal(0, rng.uniform(1, 5), values.shape)
    picture = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return picture.rotate(rng.uniform(-3, 3), Image.Resampling.BICUBIC, fillcolor=(235, 235, 235)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0.5, 1.2))
    )


def in_a_box(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photograph of a mask in a printed box of a form, as dark as the pen."""
    form = Image.new("L", (2 * mask.width, 2 * mask.height), 0)
    form.paste(mask, (mask.width // 2, mask.height // 2))
    sides = (0.53 * mask.width, 0.53 * mask.height, 1.47 * mask.width, 1.47 * mask.height)
    ImageDraw.Draw(form).rectangle(sides, outline=255, width=max(2, mask.width // 60))
    return photographed_any(form, rng)


def on_a_line(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photograph of a mask whose ink stands on a ruled line, nearly as dark as the pen."""
    paper = Image.new("L", (3 * mask.width, 2 * mask.height), 0)
    paper.paste(mask, (mask.width, mask.height // 2))
    foot = mask.height // 2 + mask.point(lambda value: 255 * (value > 60)).getbbox()[3]
    ImageDraw.Draw(paper).line((0, foot, paper.width, foot), fill=200, width=3)
    return photographed_any(paper, rng)


def noisy(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a mask in grey ink with the noise of a camera in the dark."""
    paper, ink = rng.uniform(150, 220), rng.uniform(20, 80)
    values = np.asarray(inked(mask, (paper,) * 3, (ink,) * 3).convert("L"), np.float32)
    return Image.fromarray(
        np.clip(values + rng.normal(0, rng.uniform(10, 30), values.shape), 0, 255).astype(np.uint8)
    )


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

    def row(rng: np.random.Generator, least: int = 2, most: int = 5) -> tuple[list[Image.Image], str]:
        chosen = rng.integers(len(labels), size=rng.integers(least, most + 1))
        masks = [cropped(enlarged(images[at], int(rng.integers(130, 160)))) for at in chosen]
        return masks, "".join(str(labels[at]) for at in chosen)

    def wide_zero(rng: np.random.Generator) -> Labelled:
        masks, text = row(rng, 1, 3)
        zero = drawn("0", rng, 110, rng.uniform(0.06, 0.12))
        zero = cropped(zero.resize((int(zero.width * rng.uniform(1.6, 2.2)), zero.height)))
        at = int(rng.integers(len(masks) + 1))
        return inked(placed([*masks[:at], zero, *masks[at:]], int(rng.integers(12, 40)))), text[
            :at
        ] + "0" + text[at:]

    def signed(kind: str):
        def make(rng: np.random.Generator) -> Labelled:
            left, right = row(rng, 0 if kind == "-" else 1, 2), row(rng, 1, 2)
            if kind == "-":
                left = [], ""
            masks = [*left[0], sign(kind, 105, rng), *right[0]]
            after = (lambda mask, rng: inked(mask)) if rng.random() < 0.5 else photographed_any
            return after(placed(masks, int(rng.integers(12, 30))), rng), left[1] + kind + right[1]

        return forever(make)

    def page(rng: np.random.Generator, least: int) -> tuple[Image.Image, str]:
        rows, texts = zip(*(row(rng, least) for _ in range(rng.integers(2, 5))), strict=True)
        strips = [placed(masks, int(rng.integers(15, 40))) for masks in rows]
        gap = int(rng.integers(-90, 0))  # each strip has a margin of 60 above and below
        mask = Image.new(
            "L", (max(strip.width for strip in strips), sum(strip.height + gap for strip in strips) - gap), 0
        )
        top = 0
        for strip in strips:
            mask.paste(
                255, (int(rng.integers(0, 30)), top), strip.crop((0, 0, strip.width - 30, strip.height))
            )
            top += strip.height + gap
        return mask, "\n".join(texts)

    def lines(rng: np.random.Generator) -> Labelled:
        mask, text = page(rng, 1)
        return (inked(mask) if rng.random() < 0.5 else photographed_any(mask, rng)), text

    def turned(rng: np.random.Generator) -> Labelled:
        mask, text = page(rng, 2)
        turn = [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270][
            rng.integers(3)
        ]
        mask = mask.transpose(turn)
        return (inked(mask) if rng.random() < 0.5 else photographed_any(mask, rng)), text

    def tilted(rng: np.random.Generator) -> Labelled:
        mask, text = page(rng, 2)
        mask = mask.rotate(25 * rng.choice([-1, 1]), Image.Resampling.BICUBIC, expand=True)
        return (inked(mask) if rng.random() < 0.5 else photographed_any(mask, rng)), text

    def letter(rng: np.random.Generator) -> Labelled:
        face = plain[rng.integers(len(plain))]
        return inked(
            printed("ACEFHKMNPRTUVWXaehkmnrtuvwx"[rng.integers(27)], face, int(rng.integers(60, 400)))
        ), "not a digit"

    def eight_by_eight(rng: np.random.Generator) -> Iterator[tuple[np.ndarray, str]]:
        digits = load_digits()  # of other writers than MNIST's
        half = slice(None, None, 2) if tune else slice(1, None, 2)
        order = rng.permutation(len(digits.target[half]))
        for at in order:
            yield digits.images[half][at], str(digits.target[half][at])

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
        "MNIST's, cropped: a margin of 0 to 3 of 20 pixels": mnist(tight, 28, 29),
        "drawn, cropped: a margin of 0 to 3 of 20 pixels": stroke(0.06, 0.15, tight),
        "drawn, in pencil on squared paper": stroke(0.04, 0.08, on_squared_paper),
        "MNIST's, with strong noise": mnist(noisy),
        "drawn, a hairline (1 to 2 % of the height)": stroke(0.01, 0.02),
        "scikit-learn's digits, 8 × 8 values of 0 … 16": eight_by_eight,
        "numbers with a wide 0": forever(wide_zero),
        "numbers with a point": signed("."),
        "numbers with a minus": signed("-"),
        "numbers with a slash": signed("/"),
        "sums with a plus": signed("+"),
        "two to four lines of numbers": forever(lines),
        "… turned by 90, 180 or 270 degrees": forever(turned),
        "… tilted by 25 degrees": forever(tilted),
        "a letter": forever(letter),
        "drawn, in a printed box": stroke(0.05, 0.1, in_a_box),
        "drawn, on a ruled line": stroke(0.05, 0.1, on_a_line),
    }
