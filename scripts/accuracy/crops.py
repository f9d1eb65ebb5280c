"""Count the digits that are read right when a picture is cropped to them, as by x[y:y+h, x:x+w], without any margin.

    python scripts/accuracy/crops.py            # two minutes

The first 20 of each digit of MNIST's training set, enlarged to 20 to 2,000 pixels, dark on light and light on dark.
"""

import numpy as np
from PIL import Image

import fastdigits as fd

SIDES = (20, 100, 400, 2000)  # pixels of the longer side
EACH = 20


def crop(image: np.ndarray, side: int) -> np.ndarray:
    """Return the box around the ink, enlarged so that its longer side has this many pixels."""
    picture = Image.fromarray(image)
    cut = picture.crop(picture.getbbox())
    width, height = (max(1, round(length * side / max(cut.size))) for length in cut.size)
    return np.asarray(cut.resize((width, height), Image.Resampling.BICUBIC))


def main() -> None:
    (x, y), _ = fd.load_mnist()
    chosen = np.concatenate([np.flatnonzero(y == digit)[:EACH] for digit in range(10)])
    network = fd.load_pretrained()
    print(f"right of {chosen.size}\n| pixels | dark on light | light on dark |\n| ---: | ---: | ---: |")
    for side in SIDES:
        light = [crop(image, side) for image in x[chosen]]
        counts = []
        for pictures in ([255 - picture for picture in light], light):
            read = network.predict(np.stack([fd.prepare(picture) for picture in pictures]))
            counts.append(int((read == y[chosen]).sum()))
        print(f"| {side:,} | {counts[0]} | {counts[1]} |", flush=True)


if __name__ == "__main__":
    main()
