"""Draw digits of MNIST before and after moment normalisation: docs/images/normalized.png.

python scripts/docs/normalized.py [FILE]
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastdigits as fd

DIGITS = (1, 2, 4, 7, 9)
EACH = 4


def main() -> None:
    (x, y), _ = fd.load_mnist()
    chosen = np.concatenate([np.flatnonzero(y == digit)[:EACH] for digit in DIGITS])
    before = x[chosen]
    after = fd.MomentNorm(28, 28).forward(before.reshape(-1, 784)).reshape(before.shape)
    figure = Figure(figsize=(10, 1.4), layout="constrained")
    for axes, name, images in zip(
        figure.subplots(2, 1), ("images", "normalised"), (before, after), strict=True
    ):
        axes.imshow(np.hstack(list(images)), cmap="gray_r", interpolation="nearest")
        axes.set_ylabel(name, fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
    path = (
        Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs/images/normalized.png"
    )
    figure.savefig(path, dpi=150, facecolor="white")


if __name__ == "__main__":
    main()
