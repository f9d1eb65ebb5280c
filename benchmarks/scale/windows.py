"""Compare the accuracy after shuffling within windows with that after shuffling all images, for several seeds.

    python benchmarks/scale/windows.py [--seeds N] [--copies N] [--epochs N]

50,000 of MNIST's training images, each with distorted copies, are written as shards of 5,000; the other 10,000 are
held out, and the test images are not used. The network is 784-64-32-10 with batch normalisation, the batch 128, the
optimizer Adam with a rate of 0.01 and one cycle.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

import fastdigits as fd
from fastdigits.data.shard_writer import Source, write

HELD_OUT = 10_000
ROWS_PER_SHARD = 5_000


def write_shards(folder: Path, x: np.ndarray, y: np.ndarray, *, in_order: bool) -> None:
    folder.mkdir()
    source = Source(len(y), lambda rows: (x[rows], y[rows]), x.shape[1:], 10)
    write(folder, source, rows_per_shard=ROWS_PER_SHARD, seed=None if in_order else 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=10, help="of each image (default: 10)")
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    (images, labels), _ = fd.load_mnist()
    kept = slice(HELD_OUT, None)
    distorted = [fd.Augmentation().apply(images[kept], epoch=copy) for copy in range(1, options.copies)]
    x = np.concatenate([images[kept], *distorted])
    y = np.tile(labels[kept], options.copies)
    n = len(y)
    with tempfile.TemporaryDirectory() as name:
        write_shards(Path(name, "mixed"), x, y, in_order=False)
        order = np.argsort(y, kind="stable")
        write_shards(Path(name, "sorted"), x[order], y[order], in_order=True)
        ways = {
            f"all {n:,} images": ("mixed", n),
            "windows of 65,536": ("mixed", 1 << 16),
            f"windows of {n // 153:,}": ("mixed", n // 153),  # as 65,536 of 10,000,000
            "windows of 128": ("mixed", 128),
            f"windows of {n // 153:,}, sorted": ("sorted", n // 153),
        }
        accuracies: dict[str, list[float]] = {way: [] for way in ways}
        for seed in range(options.seeds):
            for way, (folder, window) in ways.items():
                net = fd.recipes.ORIGINAL.network(seed=seed)
                shards = fd.Shards(Path(name, folder), window=window)
                net.fit(shards, epochs=options.epochs, optimizer=fd.Adam(lr=0.01), schedule=fd.OneCycle())
                accuracies[way].append(100 * net.evaluate(images[:HELD_OUT], labels[:HELD_OUT])["accuracy"])
    print(
        f"{n:,} images, {options.epochs} epochs; accuracy on {HELD_OUT:,} held-out images over {options.seeds} seeds"
    )
    for way, found in accuracies.items():
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        print(
            f"{way:30} {statistics.mean(found):.2f} % ± {spread:.2f}   {min(found):.2f} to {max(found):.2f}"
        )


if __name__ == "__main__":
    main()
