"""Measure the accuracy on drawn, printed and photographed digits: one row of a table per kind of picture.

    python scripts/accuracy/own_digits.py              # half an hour; MNIST's test images, DejaVu fonts, drawn strokes
    python scripts/accuracy/own_digits.py --tune       # other seeds, MNIST's training images: for changing fd.prepare
    python scripts/accuracy/own_digits.py --save DIR   # write some pictures, and all that are misread

Choose settings of fd.prepare by the table of --tune only. The plain method is Otsu's threshold, one digit per connected
component, centred as MNIST's, before the same network.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from own_pictures import kinds
from PIL import Image

import fastdigits as fd
from fastdigits.imaging.binarization import otsu
from fastdigits.imaging.components import connected_components
from fastdigits.imaging.reading import NOT_A_DIGIT, read_picture


def read(network: fd.NeuralNetwork, picture: object) -> str:
    """Return what the command predict reads, or "" where it raises an error."""
    names = network.class_names or [str(digit) for digit in range(10)]
    try:
        return read_picture(picture, network.predict_proba, names, name="picture").reads
    except ValueError:
        return ""


def is_held(reading: str) -> bool:
    """Return whether a reading is none, or says that it is doubtful."""
    return reading in ("", NOT_A_DIGIT) or "?" in reading


# -- the plain method --------------------------------------------------------------------------------------


def read_plainly(network: fd.NeuralNetwork, picture: object) -> str:
    """Return the digits that the plain method reads."""
    grey = np.asarray(picture.convert("L") if isinstance(picture, Image.Image) else picture, np.float32)
    light = grey > otsu(grey)
    ink = ~light if light.mean() > 0.5 else light
    low, high = grey[~ink].mean(), grey[ink].mean()
    amount = np.clip((grey - low) / (high - low), 0, 1)
    found = connected_components(ink)
    height = found.box[:, 3] - found.box[:, 1]
    large = np.flatnonzero(height > 0.3 * height.max())
    images = []
    for label in large[np.argsort(found.box[large, 0])]:
        left, top, right, bottom = found.box[label]
        images.append(_centred(amount[top:bottom, left:right]))
    return "".join(map(str, network.predict(np.stack(images))))


def _centred(digit: np.ndarray) -> np.ndarray:
    scale = 20 / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    small = np.asarray(
        Image.fromarray(digit).resize(
            (width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
        )
    )
    mass = small.sum()
    top = np.clip(round(14 - small.sum(axis=1) @ np.arange(height) / mass), 0, 28 - height)
    left = np.clip(round(14 - small.sum(axis=0) @ np.arange(width) / mass), 0, 28 - width)
    image = np.zeros((28, 28), np.uint8)
    image[top : top + height, left : left + width] = np.clip(255 * small, 0, 255)
    return image


# -- the table ---------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tune", action="store_true", help="use training images and other seeds")
    parser.add_argument(
        "--count", type=int, default=300, metavar="N", help="pictures of each kind (default: 300)"
    )
    parser.add_argument(
        "--kind",
        default="",
        metavar="TEXT",
        help="only kinds whose names contain this text, or one of several, with | between",
    )
    parser.add_argument("--model", metavar="FILE", help="a model file (default: the packaged network)")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="write the first three pictures of each kind and all misread ones here",
    )
    options = parser.parse_args()
    network = fd.load_pretrained() if options.model is None else fd.load(options.model)
    print("| pictures | right | refused or marked | wrong | plain method right | time per picture |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for number, (name, pictures) in enumerate(kinds(options.tune).items()):
        if not any(part in name for part in options.kind.split("|")):
            continue
        rng = np.random.default_rng([number, 1 if options.tune else 0])
        right = held = plain = 0
        seconds = 0.0
        for index, (picture, truth) in zip(range(options.count), pictures(rng), strict=False):
            started = time.perf_counter()
            predicted = read(network, picture)
            seconds += time.perf_counter() - started
            right += predicted == truth or (truth == NOT_A_DIGIT and is_held(predicted))
            held += predicted != truth != NOT_A_DIGIT and is_held(predicted)
            plain += read_plainly(network, picture) == truth
            if options.save and (predicted != truth or index < 3):
                options.save.mkdir(exist_ok=True)
                name_of_file = f"{number:02}_{index:03}_{truth}_{predicted or 'refused'}.png"
                shown = (
                    picture if isinstance(picture, Image.Image) else Image.fromarray(np.uint8(15 * picture))
                )
                shown.save(options.save / name_of_file.replace("\n", "|").replace("/", "÷"))
        shares = [
            f"{count / options.count:.1%}" for count in (right, held, options.count - right - held, plain)
        ]
        print(f"| {name} | {' | '.join(shares)} | {1000 * seconds / options.count:.0f} ms |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
