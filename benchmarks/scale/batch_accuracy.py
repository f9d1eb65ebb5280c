"""Show how accuracy depends on the batch, at the same number of passes over the images.

    python benchmarks/scale/batch_accuracy.py            ten epochs, three seeds: six minutes on two cores
    python benchmarks/scale/batch_accuracy.py --quick    one seed

Each batch size gets the learning rate that serves it best on 10,000 held-out training images, with the statistics of
the whole batch and with those of eight shards (ghost batch normalisation). The test images are not read.
"""

import argparse
import statistics

import numpy as np

import fastdigits as fd

BATCHES = (64, 256, 1024, 4096, 16_384)
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
EPOCHS = 10
HELD_OUT = 10_000


def accuracy(batch: int, rate: float, shards: int, seed: int) -> float:
    """Return the accuracy on the held-out images, in percent."""
    (x, y), _ = fd.load_mnist()
    order = np.random.default_rng(0).permutation(len(x))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    net = fd.NeuralNetwork(layers, seed=seed)
    net.fit(
        x[train], y[train], epochs=EPOCHS, batch_size=batch, batch_shards=shards, optimizer=fd.Adam(lr=rate),
        schedule=fd.OneCycle(),
    )  # fmt: skip
    return 100 * net.evaluate(x[held_out], y[held_out])["accuracy"]


def best(batch: int, shards: int, seeds: range) -> tuple[float, float, float]:
    """Return the mean accuracy at the best rate, its standard deviation over the seeds, and that rate."""
    found = {}
    for rate in RATES:
        found[rate] = [accuracy(batch, rate, shards, seed) for seed in seeds]
    rate = max(found, key=lambda one: statistics.mean(found[one]))
    spread = statistics.stdev(found[rate]) if len(seeds) > 1 else 0.0
    return statistics.mean(found[rate]), spread, rate


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed")
    seeds = range(1 if parser.parse_args().quick else 3)
    print("| batch | steps | statistics of the batch | at rate | … of eight shards | at rate |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for batch in BATCHES:
        steps = EPOCHS * -(-(60_000 - HELD_OUT) // batch)
        cells = []
        for shards in (1, 8):
            mean, spread, rate = best(batch, shards, seeds)
            cells.append(f"{mean:.2f} ± {spread:.2f} % | {rate:g}")
        print(f"| {batch:,} | {steps:,} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
