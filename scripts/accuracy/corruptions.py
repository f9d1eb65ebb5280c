"""Print how accurate networks are on corrupted images.

    python scripts/accuracy/corruptions.py                                   # every preset, seeds 0 to 4: an hour
    python scripts/accuracy/corruptions.py fast default --seeds 0,1          # half a minute
    python scripts/accuracy/corruptions.py best mine.json --held-out         # to choose settings by
    python scripts/accuracy/corruptions.py default --results kept            # networks of presets.py --results kept
    python scripts/accuracy/corruptions.py runs/mine/model.safetensors       # a network, without any training
    python scripts/accuracy/corruptions.py --picture corruptions.png         # one image of each kind, nothing else

The table has a row per corruption and a column per preset or network file: the mean accuracy over the seeds. The last
two rows are the images as they are, and the mean over the corruptions. The images are the test images. With
--held-out they are the last 10,000 training images, and the presets are trained on the others: choose settings by
those, with another folder for --results, and with network files that were not trained on them.

The kinds are in the manner of MNIST-C (Mu and Gilmer, MNIST-C: A Robustness Benchmark for Computer Vision,
arXiv:1906.02337, 2019). Each has one strength; the docstring of its function states it, for images of 28 × 28. They
are for measuring: train no network on them.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from presets import draw_tiles, line, load_network, origin, read_options, recipe_of, results_folder, trained

import fastdigits as fd
from fastdigits import recipes

Pixels = np.ndarray  # (height, width) uint8
Rng = np.random.Generator

HELD_OUT = 10_000  # images
FINE = 3  # pixels of an enlarged image per pixel
SHOWN = 1  # the test image in the picture, a 2


# -- the kinds, each from one image to another ----------------------------------------------------------------


def shifted(image: Pixels, rng: Rng) -> Pixels:
    """Shift by 4 pixels in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    return _mapped(image, np.eye(2), 4 * np.array([math.cos(angle), math.sin(angle)]))


def turned(image: Pixels, rng: Rng) -> Pixels:
    """Turn by 30 degrees either way."""
    angle = _sign(rng) * math.radians(30)
    return _mapped(image, np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]))


def sheared(image: Pixels, rng: Rng) -> Pixels:
    """Slant by 0.6 pixels per row either way."""
    return _mapped(image, np.array([[1, _sign(rng) * 0.6], [0, 1]]))


def scaled(image: Pixels, rng: Rng) -> Pixels:
    """Scale to 0.6 or 1.4 times the size."""
    return _mapped(image, np.eye(2) * (1 + _sign(rng) * 0.4))


def thickened(image: Pixels, rng: Rng) -> Pixels:
    """Widen strokes by 1 pixel on each side."""
    return _filtered(image, ImageFilter.MaxFilter(2 * FINE + 1))


def thinned(image: Pixels, rng: Rng) -> Pixels:
    """Narrow strokes by 2/3 of a pixel on each side."""
    return _filtered(image, ImageFilter.MinFilter(2 * FINE - 1))


def noisy(image: Pixels, rng: Rng) -> Pixels:
    """Add Gaussian noise with a standard deviation of 80 to each pixel."""
    return np.clip(image + rng.normal(0, 80, image.shape), 0, 255).astype(np.uint8)


def speckled(image: Pixels, rng: Rng) -> Pixels:
    """Set 20 % of the pixels to 0 or 255: salt and pepper."""
    salt = 255 * rng.integers(2, size=image.shape, dtype=np.uint8)
    return np.where(rng.random(image.shape) < 0.2, salt, image)


def blurred(image: Pixels, rng: Rng) -> Pixels:
    """Blur by a Gaussian with a standard deviation of 2 pixels."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(2)))


def cropped(image: Pixels, rng: Rng) -> Pixels:
    """Erase the 9 rows or columns at one side: a quarter of a digit whose box has 20 pixels."""
    side = rng.integers(4)
    changed = np.rot90(image, side).copy()
    changed[:9] = 0
    return np.rot90(changed, -side)


def covered(image: Pixels, rng: Rng) -> Pixels:
    """Erase a square of 8 × 8 pixels in the middle 20 × 20."""
    top, left = rng.integers(4, 17, size=2)
    changed = image.copy()
    changed[top : top + 8, left : left + 8] = 0
    return changed


def striped(image: Pixels, rng: Rng) -> Pixels:
    """Invert a stripe of 4 rows or columns in the middle 20."""
    changed = image.copy()
    stripe = (changed if rng.integers(2) else changed.T)[rng.integers(4, 21) :][:4]
    stripe[:] = 255 - stripe
    return changed


def pale(image: Pixels, rng: Rng) -> Pixels:
    """Map pixels of 0 … 255 to 80 … 182: a brighter background, 0.4 times the contrast."""
    return (80 + 0.4 * image).astype(np.uint8)


def spattered(image: Pixels, rng: Rng) -> Pixels:
    """Set about a tenth of the image to 255, in drops: where noise, blurred by 1.5 pixels, is highest."""
    noise = Image.fromarray(rng.integers(256, size=image.shape, dtype=np.uint8))
    wet = np.asarray(noise.filter(ImageFilter.GaussianBlur(1.5)))
    return np.where(wet >= np.quantile(wet, 0.9), np.uint8(255), image)


def crossed(image: Pixels, rng: Rng) -> Pixels:
    """Draw a zigzag of four lines from side to side, 1.5 pixels wide, its corners 3 to 10 pixels off the middle."""
    height, width = image.shape
    canvas = Image.new("L", (4 * width, 4 * height))
    offsets = _sign(rng) * np.array([1, -1, 1, -1, 1]) * rng.uniform(3, 10, 5)
    corners = zip(np.linspace(0, 4 * width, 5), 4 * (height / 2 + offsets), strict=True)
    ImageDraw.Draw(canvas).line(list(corners), fill=255, width=6)
    return np.maximum(image, np.asarray(canvas.reduce(4)))


KINDS: dict[str, Callable[[Pixels, Rng], Pixels]] = {
    kind.__name__: kind
    for kind in (
        shifted, turned, sheared, scaled, thickened, thinned, noisy, speckled, blurred, cropped, covered, striped,
        pale, spattered, crossed,
    )
}  # fmt: skip


def corrupted(images: np.ndarray, kind: str, *, seed: int = 0) -> np.ndarray:
    """Return copies of images with a corruption; the same for the same seed, also if other kinds are added.

    Parameters
    ----------
    images : ndarray, (n, height, width) uint8
    kind : str
        One of `KINDS`.
    seed : int, default 0

    Raises
    ------
    TypeError
        If the images are not uint8.
    """
    if images.dtype != np.uint8:
        raise TypeError(f"corrupted: images must be uint8; got {images.dtype}")
    rng = np.random.default_rng([seed, *kind.encode()])
    return np.stack([KINDS[kind](image, rng) for image in images])


def _sign(rng: Rng) -> int:
    return int(rng.choice((-1, 1)))


def _mapped(image: Pixels, matrix: np.ndarray, shift: np.ndarray | float = 0.0) -> Pixels:
    """Move what lies at p, from the middle of the image, to ``matrix @ p + shift``; points are (x, y), y downward."""
    inverse = np.linalg.inv(matrix)
    middle = np.array(image.shape[::-1]) / 2
    offset = middle - inverse @ (middle + shift)
    wanted = (*inverse[0], offset[0], *inverse[1], offset[1])  # for each pixel, the place where it comes from
    picture = Image.fromarray(image)
    kind = Image.Transform.AFFINE
    return np.asarray(picture.transform(picture.size, kind, wanted, Image.Resampling.BILINEAR))


def _filtered(image: Pixels, kind: ImageFilter.RankFilter) -> Pixels:
    """Filter an enlarged image, so that an edge can move by parts of a pixel."""
    height, width = image.shape
    large = Image.fromarray(image).resize((FINE * width, FINE * height), Image.Resampling.BICUBIC)
    return np.asarray(large.filter(kind).reduce(FINE))


# -- the command ---------------------------------------------------------------------------------------------


def accuracies(
    columns: dict[str, list[fd.NeuralNetwork]], images: np.ndarray, labels: np.ndarray
) -> list[float]:
    """Return the mean accuracy of the networks of each column on images, in percent."""
    return [
        100 * float(np.mean([network.predict(images) == labels for network in networks]))
        for networks in columns.values()
    ]


def table_row(name: str, percent: list[float]) -> str:
    """Return a line of the table."""
    return line((name, *(f"{number:.1f} %" for number in percent)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "networks",
        nargs="*",
        metavar="NETWORK",
        help="presets, .json or .safetensors files (default: all presets)",
    )
    parser.add_argument("--held-out", action="store_true", help="use the last 10,000 training images instead")
    parser.add_argument("--picture", metavar="FILE", help="draw one image of each kind, and train nothing")
    options = read_options(parser)
    (x, y), test = fd.load_data(options.data)
    if options.held_out:
        (x, y), test = (x[:-HELD_OUT], y[:-HELD_OUT]), (x[-HELD_OUT:], y[-HELD_OUT:])
    images, labels = test
    if options.picture:
        one = images[SHOWN : SHOWN + 1]
        tiles = np.concatenate([one, *(corrupted(one, kind) for kind in KINDS)])
        draw_tiles(options.picture, tiles, ["as it is", *KINDS], "one image of each corruption", columns=8)
        return
    columns: dict[str, list[fd.NeuralNetwork]] = {}
    trainings = []
    with results_folder(options.results) as folder:
        for name in options.networks or list(recipes.RECIPES):
            if name.endswith(".safetensors"):
                columns[name] = [fd.load(name)]
            else:
                recipe = recipe_of(name)
                trainings += trained(recipe, options.seeds, ((x, y), test), folder)
                columns[name] = [load_network(recipe, seed, folder) for seed in options.seeds]
    if trainings:
        print(origin(trainings), "\n")
    print(
        line(("corruption", *(f"`{name}`" for name in columns))),
        line(("---", *["---:"] * len(columns))),
        sep="\n",
    )
    table = []
    for kind in KINDS:
        table.append(accuracies(columns, corrupted(images, kind), labels))
        print(table_row(kind, table[-1]), flush=True)
    print(table_row("**none**", accuracies(columns, images, labels)))
    print(table_row("**mean over the corruptions**", np.mean(table, axis=0).tolist()))


if __name__ == "__main__":
    main()
