"""Search a grid on joblib's loky with two workers, beside one process of one thread; fits of about a second each.

python benchmarks/scale/grid_search.py [--rounds N]
"""

import argparse
import os
import statistics
import time
import warnings

import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier

WORKERS, EPOCHS = 2, 24


def search(x: np.ndarray, y: np.ndarray, n_jobs: int | None) -> tuple[float, list[float]]:
    """Return the seconds of a search of 12 fits without the last one, and its scores."""
    settings = {"learning_rate_init": [0.0003, 0.001, 0.003, 0.01]}
    classifier = FastDigitsClassifier((96,), max_iter=EPOCHS, tol=None, random_state=0)
    grid = GridSearchCV(classifier, settings, cv=3, n_jobs=n_jobs, refit=False)
    started = time.perf_counter()
    grid.fit(x, y)
    return time.perf_counter() - started, grid.cv_results_["mean_test_score"].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    fd.set_num_threads(1)  # of this process; joblib tells the workers their share of the processors
    (x, y), _ = fd.load_mnist()
    x, y = x.reshape(len(x), -1)[:40_000], y[:40_000]
    joblib.Parallel(WORKERS)(joblib.delayed(os.getpid)() for _ in range(WORKERS))  # start the workers
    times: dict[int, list[float]] = {1: [], WORKERS: []}
    scores = []
    for _ in range(options.rounds):
        for workers in times:
            seconds, found = search(x, y, workers)
            times[workers].append(seconds)
            scores.append(found)
    one, two = (statistics.median(times[workers]) for workers in times)
    print(
        f"12 fits: one process {one:.2f} s ({one / 12:.2f} a fit), loky with {WORKERS} {two:.2f} s: {one / two:.2f} ×"
    )
    ratios = [first / second for first, second in zip(*times.values(), strict=True)]
    print(f"in each round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print("scores equal" if all(found == scores[0] for found in scores) else "scores DIFFER")


if __name__ == "__main__":
    main()
