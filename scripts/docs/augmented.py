"""Draw digits of MNIST with each kind of distortion: docs/images/augmented.png.

python scripts/docs/augmented.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastdigits as fd

ONLY = {"rotation": 0, "scale": 0, "shear": 0, "shift": 0}
KINDS = {
    "as it is": fd.Augmentation(**ONLY),
    "rotation=15": fd.Augmentation(**ONLY | {"rotation": 15}),
    "scale=0.2": fd.Augmentation(**ONLY | {"scale": 0.2}),
    "shear=0.3": fd.Augmentation(**ONLY | {"shear": 0.3}),
    "shift=3": fd.Augmentation(**ONLY | {"shift": 3}),
    "alpha=34\nsigma=4": fd.Augmentation(**ONLY | {"alpha": 34}),
    "thickness=1.5": fd.Augmentation(**ONLY | {"thickness": 1.5}),
    "cutout=12": fd.Augmentation(**ONLY | {"cutout": 12}),
    "the usual\nAugmentation()": fd.Augmentation(),
    "all of it, elastic\nalpha=34": fd.Augmentation(alpha=34),
}
DIGITS = (2, 3, 4, 5, 8, 9)


def main() -> None:
    (x, y), _ = fd.load_mnist()
    chosen = np.array([np.flatnonzero(y == digit)[1] for digit in DIGITS])
    figure = Figure(figsize=(1.05 * len(KINDS), 0.97 * len(DIGITS) + 0.5), layout="constrained")
    for axes, (name, kind) in zip(figure.subplots(1, len(KINDS)), KINDS.items(), strict=True):
        axes.imshow(kind.apply(x[chosen], seed=280).reshape(-1, 28), cmap="gray_r", interpolation="nearest")
        axes.set_title(name, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs/images/augmented.png"
    figure.savefig(path, dpi=150, facecolor="white", bbox_inches="tight", pad_inches=0.05)


if __name__ == "__main__":
    main()
