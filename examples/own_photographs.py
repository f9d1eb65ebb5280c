"""Read the digits in your photographs: python own_photographs.py FOLDER

Each picture shows one digit or one row of digits. Without a folder, the program reads a picture that it draws itself.
"""

import sys
from pathlib import Path

import numpy as np

import fastdigits as fd


def drawn_picture():
    """Return dark blue handwriting on yellow paper, (h, w, 3) uint8; the light comes from the left."""
    _, (images, labels) = fd.load_mnist()
    row = [images[np.argmax(labels == digit)] for digit in (2, 0, 7, 4)]  # the first image of each
    ink = np.hstack(row).repeat(8, axis=0).repeat(8, axis=1)[..., np.newaxis] / 255
    light = np.linspace(1, 0.6, ink.shape[1])[np.newaxis, :, np.newaxis]
    return (light * ((1 - ink) * (250, 240, 190) + ink * (30, 40, 110))).astype(np.uint8)


if len(sys.argv) > 1:
    pictures = {path.name: path for path in sorted(Path(sys.argv[1]).iterdir())}
else:
    pictures = {"drawn": drawn_picture()}

net = fd.load_pretrained()  # comes with the package; your own is fd.load("digits.safetensors")
for name, picture in pictures.items():
    try:
        digits = fd.cut_digits(picture)  # (n, 28, 28), each prepared like the images of MNIST
    except fd.DataError as error:  # no picture, or no digit in it
        print(error)
        continue
    probs = net.predict_proba(digits)
    # The eleventh class of this network is "not a digit".
    number, least = "".join("0123456789?"[label] for label in probs.argmax(axis=1)), probs.max(axis=1).min()
    print(f"{name}: {number}, least certain digit {least:.1%}")  # drawn: 2074, least certain digit …%
