"""Draw the pictures of docs/predict.md: how pictures become images like MNIST's, and what predict --show draws.

python scripts/docs/prepared.py [FOLDER]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import fastdigits as fd
from fastdigits.imaging.binarization import find_foreground
from fastdigits.imaging.digits import find_digits

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "accuracy"))
from own_pictures import drawn, in_a_row, inked, off_centre, photographed_any  # noqa: E402


def pictures() -> dict[str, Image.Image]:
    """Return pictures of digits by what makes them hard to read."""
    rng = np.random.default_rng(5)
    number = in_a_row([drawn(digit, rng, 220, 0.07) for digit in "5039"], 30)
    seven, four = drawn("7", rng, 200, 0.1), drawn("4", rng, 300, 0.2)
    return {
        "a photograph, with a shadow": photographed_any(number, rng),
        "coloured paper, off centre": inked(off_centre(seven, rng), (250, 190, 200), (60, 60, 120)),
        "light on dark, a thick pen": inked(four, (20, 30, 90), (255, 230, 90)),
    }


def draw_steps(examples: dict[str, Image.Image], path: Path) -> None:
    """Draw each picture, its ink and its digits."""
    network = fd.load_pretrained()
    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    grid = figure.subplots(len(examples), 6, width_ratios=[2, 2, 1, 1, 1, 1])
    for row, (name, picture) in zip(grid, examples.items(), strict=True):
        row[0].imshow(picture)
        row[0].set_title(name, fontsize=9)
        row[1].imshow(np.clip(find_foreground(picture).amount, 0, 1), cmap="gray")
        row[1].set_title("ink found", fontsize=9)
        (digits,) = find_digits(picture).rows
        probabilities = network.predict_proba(np.stack([digit.image for digit in digits]))
        for axes, digit, probs in zip(row[2:], digits, probabilities, strict=False):
            axes.imshow(digit.image, cmap="gray")
            axes.set_title(f"{probs.argmax()}, {probs.max():.1%}", fontsize=9)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(bool(axes.images))
    figure.savefig(path, dpi=100, facecolor="white")


def draw_prediction(picture: Image.Image, path: Path) -> None:
    """Write what ``fastdigits predict --show`` opens."""
    with tempfile.TemporaryDirectory() as folder:
        picture.save(Path(folder) / "photo.jpg")
        command = [sys.executable, "-m", "fastdigits.predict", "photo.jpg", "--output", path.resolve()]
        subprocess.run(command, check=True, cwd=folder)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    examples = pictures()
    draw_steps(examples, folder / "prepared.png")
    draw_prediction(next(iter(examples.values())), folder / "predict-show.png")


if __name__ == "__main__":
    main()
