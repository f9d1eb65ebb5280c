"""Measure how long it takes to train many small networks one after another, on one thread.

    python benchmarks/scale/many_networks.py [--networks N]

Each has 150 rows of 4 numbers, one hidden layer of 16 and 3 classes, and trains for 100 epochs with Adam. The
arithmetic is a few microseconds per step; the rest is the cost of a step, of an epoch and of a call.
"""

import argparse
import hashlib
import statistics
import time
from collections.abc import Callable

import numpy as np

import fastdigits as fd

EPOCHS = 100


def data() -> tuple[np.ndarray, np.ndarray]:
    """Return three classes of 50 rows, apart but for some of them."""
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    return (rng.normal(size=(150, 4)) + labels[:, np.newaxis]).astype(np.float32), labels


def network(seed: int, x: np.ndarray, y: np.ndarray) -> fd.NeuralNetwork:
    net = fd.NeuralNetwork([fd.Dense(4, 16), fd.ReLU(), fd.Dense(16, 3)], seed=seed)
    net.fit(x, y, epochs=EPOCHS, threads=1)
    return net


def small_batches(seed: int, x: np.ndarray, y: np.ndarray) -> fd.NeuralNetwork:
    net = fd.NeuralNetwork([fd.Dense(4, 16), fd.ReLU(), fd.Dense(16, 3)], seed=seed)
    net.fit(x, y, epochs=EPOCHS, batch_size=16, threads=1)
    return net


def classifier(seed: int, x: np.ndarray, y: np.ndarray) -> fd.NeuralNetwork:
    from fastdigits.sklearn import FastDigitsClassifier

    return FastDigitsClassifier((16,), max_iter=EPOCHS, tol=None, random_state=seed).fit(x, y).network_


CONTENDERS: dict[str, tuple[Callable[..., fd.NeuralNetwork], int]] = {  # with the steps of an epoch
    "NeuralNetwork.fit": (network, 2),
    "NeuralNetwork.fit, batches of 16": (small_batches, 10),
    "FastDigitsClassifier.fit": (classifier, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", type=int, default=1000, help="networks of each kind (default: 1000)")
    options = parser.parse_args()
    fd.set_num_threads(1)
    x, y = data()
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    hashes = {name: hashlib.sha256() for name in CONTENDERS}
    for seed in range(options.networks):  # the contenders take turns
        for name, (train, _) in CONTENDERS.items():
            started = time.perf_counter()
            net = train(seed, x, y)
            times[name].append(time.perf_counter() - started)
            hashes[name].update(net.values)
    print(
        f"backend {fd.backend_name()}, one thread, {options.networks} networks of each kind, {EPOCHS} epochs"
    )
    for name, (_, steps) in CONTENDERS.items():
        median, least = statistics.median(times[name]), min(times[name])
        print(
            f"{name:<33} {1000 * median:6.2f} ms each (least {1000 * least:.2f}), "
            f"{1e6 * median / EPOCHS / steps:5.1f} µs per step; bits {hashes[name].hexdigest()[:12]}"
        )


if __name__ == "__main__":
    main()
