"""Measure how long distortion and normalisation take per image, relative to the training step.

    python benchmarks/kernels/augment_speed.py [--threads N] [--batch-size N]

The network is that of the original project; all times are medians, in microseconds per image.
"""

import argparse
import dataclasses
import statistics
import time

import numpy as np

import fastdigits as fd
from fastdigits import backend
from fastdigits.training.augmentation import Augmenter
from fastdigits.training.lowering import TrainingStep

MOMENTS = "moment normalisation"  # and the more nonzero pixels of its images
KINDS = {
    "no": None,
    "affine": fd.Augmentation(),
    "with alpha=16": fd.Augmentation(alpha=16),
    "with thickness=0.5": fd.Augmentation(thickness=0.5),
    "with cutout=8": fd.Augmentation(cutout=8),
    MOMENTS: None,
}
ROUNDS, STEPS = 15, 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1, help="use at most N threads (default: 1)")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step (default: 64)")
    options = parser.parse_args()
    (x, y), _ = fd.load_mnist()
    rows, labels = x.reshape(len(x), -1), y.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))[: STEPS * options.batch_size]
    steps = {}
    for name, kind in KINDS.items():
        recipe = dataclasses.replace(fd.recipes.ORIGINAL, moment_norm=name == MOMENTS)
        network, loss, optimizer = recipe.network(), fd.SoftmaxCrossEntropy(), fd.Adam()
        augmenter = None if kind is None else Augmenter(kind, 28, 28, seed=0)
        steps[name] = TrainingStep(
            network, rows, labels, None, options.batch_size, loss, optimizer, augmenter=augmenter
        )
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):  # in turn, so that other work on the machine affects all of them
        for name, step in steps.items():
            started = time.perf_counter()
            step.run(order, np.full(STEPS, 1e-3), options.threads)
            times[name].append((time.perf_counter() - started) / order.size * 1e6)
    median = {name: statistics.median(found) for name, found in times.items()}
    print(f"backend {backend.backend_name()}, batch {options.batch_size}, threads {options.threads}")
    print(f"training step        {median['no']:.2f} µs per image")
    for name in list(KINDS)[1:]:
        extra = median[name] - median["no"]
        print(f"{name:<20} {extra:.2f} µs more, {extra / median['no']:.2f} of the step")


if __name__ == "__main__":
    main()
