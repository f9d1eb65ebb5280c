"""Write a data set of three classes that a network learns within a second."""

import struct
from pathlib import Path

import numpy as np


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_dataset(
    folder: Path, n_train: int = 240, n_test: int = 60, test_shape: tuple[int, int] = (6, 5)
) -> None:
    """Write images of 6 × 5 pixels in three classes: two rows of an image are brighter, and which ones is its class."""
    rng = np.random.default_rng(3)
    folder.mkdir()
    for name, n, shape in (("train", n_train, (6, 5)), ("t10k", n_test, test_shape)):
        y = np.arange(n) % 3
        x = rng.integers(0, 90, (n, *shape))
        for label in range(3):
            x[y == label, 2 * label : 2 * label + 2] += 110
        write_idx(folder / f"{name}-images-idx3-ubyte", x)
        write_idx(folder / f"{name}-labels-idx1-ubyte", y)
