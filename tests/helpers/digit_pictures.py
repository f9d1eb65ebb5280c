"""Draw pictures of digits that are not from MNIST: with a pen, in a font, and in a photograph of a page."""

from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONTS = Path(get_data_path(), "fonts", "ttf")
PLAIN, BOLD = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSans-Bold.ttf"

# The corners of each digit's strokes in a box 100 wide and 150 high
_CORNERS = {
    "0": [[(50, 0), (15, 25), (5, 75), (15, 125), (50, 150), (85, 125), (95, 75), (85, 25), (50, 0)]],
    "1": [[(50, 0), (50, 150)]],
    "2": [[(5, 30), (30, 5), (70, 5), (90, 30), (80, 65), (5, 148), (98, 148)]],
    "3": [[(10, 10), (50, 0), (85, 20), (80, 55), (45, 70), (85, 85), (92, 120), (55, 150), (5, 135)]],
    "4": [[(35, 0), (5, 90), (98, 90)], [(70, 40), (70, 150)]],
    "5": [[(92, 3), (25, 3), (18, 65), (60, 60), (93, 90), (85, 130), (50, 150), (5, 138)]],
    "6": [[(75, 0), (30, 45), (8, 100), (25, 140), (60, 150), (90, 120), (75, 88), (40, 85), (12, 110)]],
    "7": [[(3, 5), (98, 3), (60, 70), (38, 150)]],
    "8": [[(82, 18), (45, 0), (15, 28), (45, 65), (82, 98), (82, 132), (45, 150), (12, 125), (30, 88), (72, 58),
           (88, 30), (75, 8)]],
    "9": [[(85, 30), (55, 0), (15, 15), (12, 50), (42, 70), (80, 50), (85, 25), (85, 85), (70, 150)]],
}  # fmt: skip


def strokes(digits: str, pen: int = 14, gap: int = 40, room: int = 60) -> Image.Image:
    """Return digits drawn with a round pen, white on black; ``gap`` pixels between their boxes."""
    pitch = 100 + gap
    image = Image.new("L", (pitch * len(digits) - gap + 2 * room, 150 + 2 * room), 0)
    draw = ImageDraw.Draw(image)
    for number, digit in enumerate(digits):
        for corners in _CORNERS[digit]:
            points = [(room + number * pitch + x, room + y) for x, y in corners]
            draw.line(points, fill=255, width=pen, joint="curve")
            for x, y in (points[0], points[-1]):
                draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return image.filter(ImageFilter.GaussianBlur(1))


def printed(text: str, face: Path, size: int = 150) -> Image.Image:
    """Return a text in a font, white on black."""
    image = Image.new("L", (size * (len(text) + 1), 2 * size), 0)
    ImageDraw.Draw(image).text((size // 2, size // 3), text, font=ImageFont.truetype(face, size), fill=255)
    return image


def inked(mask: Image.Image, paper=(255, 255, 255), ink=(0, 0, 0)) -> Image.Image:
    """Return a white-on-black mask in ink on paper."""
    share = np.asarray(mask, dtype=np.float32)[:, :, np.newaxis] / 255
    values = np.asarray(paper, np.float32) * (1 - share) + np.asarray(ink, np.float32) * share
    return Image.fromarray(np.rint(values).astype(np.uint8))


def photographed(mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a photograph of a white-on-black mask on a page: uneven light, a shadow, blur and noise."""
    page = Image.new("L", (640, 480), 0)
    page.paste(mask, (int(rng.integers(60, 400)), int(rng.integers(60, 250))))
    y, x = np.mgrid[:480, :640] / 640
    light = (1 - 0.3 * (x - rng.random()) ** 2) * (
        1 - 0.4 / (1 + np.exp(-(x + y - rng.uniform(0.4, 1)) / 0.03))
    )
    share = np.asarray(page)[:, :, np.newaxis] / 255 * 0.9
    values = (np.array([225, 220, 200]) * (1 - share) + np.array([30, 30, 80]) * share) * light[
        :, :, np.newaxis
    ]
    noisy = np.clip(values + rng.normal(0, 5, values.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(1))
