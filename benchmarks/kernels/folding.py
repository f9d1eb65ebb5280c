"""Measure what batch normalisation costs a prediction: a trained network beside the same one `folded`.

    python benchmarks/kernels/folding.py [--rounds N]

The network is the original's, on one thread; all times are medians of rounds in which the two take turns.
"""

import argparse
import statistics
import time

import numpy as np

import fastdigits as fd

CALLS = {1: 2000, 10_000: 2}  # how many of so many images a round


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100, help="rounds to take medians of (default: 100)")
    options = parser.parse_args()
    fd.set_num_threads(1)
    (x, y), (test, _) = fd.load_mnist()
    net = fd.recipes.ORIGINAL.network()
    net.fit(x, y, epochs=1, threads=1)
    networks = {"as trained": net, "folded": net.folded()}
    print(f"backend {fd.backend_name()}, one thread, microseconds for predict_proba")
    for n, calls in CALLS.items():
        images = test[:n].copy()
        times: dict[str, list[float]] = {name: [] for name in networks}
        for turn in range(options.rounds):  # who goes first changes, too
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
    apart = np.abs(net.predict_proba(test) - networks["folded"].predict_proba(test)).max()
    print(f"probabilities at most {apart:.0e} apart")


if __name__ == "__main__":
    main()
