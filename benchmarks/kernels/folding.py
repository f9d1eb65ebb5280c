"""Measure how long batch normalisation takes in a prediction: a trained network beside its `folded` copy.

    python benchmarks/kernels/folding.py [--rounds N]

The network is that of the original project, on one thread; all times are medians of rounds in which the two take turns.
"""

import argparse
import statistics
import time

import numpy as np

import fastdigits as fd

CALLS = {1: 2000, 10_000: 2}  # calls per round, by the number of images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100, help="number of rounds (default: 100)")
    options = parser.parse_args()
    fd.set_num_threads(1)
    (x, y), (test, _) = fd.load_mnist()
    net = fd.recipes.ORIGINAL.network()
    net.fit(x, y, epochs=1, threads=1)
    networks = {"as trained": net, "folded": net.folded()}
    print(f"backend {fd.backend_name()}, one thread, microseconds per call of predict_proba")
    for n, calls in CALLS.items():
        images = test[:n].copy()
        times: dict[str, list[float]] = {name: [] for name in networks}
        for turn in range(options.rounds):  # the first one changes in each round
            for name in sorted(networks, reverse=turn % 2 == 0):
                started = time.perf_counter()
                for _ in range(calls):
                    networks[name].predict_proba(images)
                times[name].append((time.perf_counter() - started) / calls * 1e6)
        trained, folded = (statistics.median(times[name]) for name in networks)
        print(
            f"{n:>6,} images: as trained {trained:.2f}, folded {folded:.2f}, "
            f"{trained - folded:.2f} less, ratio {trained / folded:.3f}"
        )
    difference = np.abs(net.predict_proba(test) - networks["folded"].predict_proba(test)).max()
    print(f"largest difference of probabilities: {difference:.0e}")


if __name__ == "__main__":
    main()
