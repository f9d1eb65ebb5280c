"""Small folders of shards for tests."""

from pathlib import Path

import numpy as np

from fastdigits.data.shard_writer import Source, write

CLASSES = 3


def examples(n: int = 200, dtype: str = "uint8", side: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Images of which the brightest row tells the class."""
    rng = np.random.default_rng(n)
    y = rng.integers(0, CLASSES, n)
    x = rng.integers(0, 100, (n, side, side))
    x[np.arange(n), y] += 150
    return (x.astype(np.uint8) if dtype == "uint8" else (x / 255 - 0.3).astype(np.float32)), y


def make(
    folder: Path, x: np.ndarray, y: np.ndarray, rows: int = 50, names: tuple[str, ...] = (), **options
) -> Path:
    """Write shards of ``rows`` images, by default in order; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = max(CLASSES, int(y.max()) + 1)
    source = Source(len(y), lambda rows: (x[rows], y[rows]), x.shape[1:], classes, names)
    write(folder, source, rows_per_shard=rows, **{"seed": None, **options})
    return folder
