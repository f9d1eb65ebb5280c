"""Compare FastDigitsClassifier with scikit-learn's MLPClassifier: the same network, batch, epochs and rows, in turn.

    python benchmarks/sklearn_comparison.py                                  # digits, breast_cancer, wine, MNIST
    python benchmarks/sklearn_comparison.py --fashion-mnist FOLDER           # and four IDX files
    python benchmarks/sklearn_comparison.py --only wine digits --seeds 5
    python benchmarks/sklearn_comparison.py --initial-weights --seeds 10     # compare initial weights on training rows

Each contender runs with one thread and with all; the table has the faster of the two. It is Markdown, for
docs/sklearn.md.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier, parameters

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from machine import describe

Rows = tuple[
    np.ndarray, np.ndarray, np.ndarray, np.ndarray
]  # training and test rows, training and test labels


@dataclass(frozen=True)
class Job:
    """A data set, and the network and settings to train on it."""

    name: str
    load: Callable[[int], Rows]  # its argument is the seed of the split, for data without test rows
    hidden: tuple[int, ...]
    batch: int
    epochs: int


def split(x: np.ndarray, y: np.ndarray, seed: int) -> Rows:
    return tuple(train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed))


def digits(seed: int) -> Rows:
    x, y = datasets.load_digits(return_X_y=True)
    return split((x / 16).astype(np.float32), y, seed)


def table(load: Callable[..., Any]) -> Callable[[int], Rows]:
    def scaled(seed: int) -> Rows:
        x_train, x_test, y_train, y_test = split(*load(return_X_y=True), seed)
        scaler = StandardScaler().fit(x_train)
        return *(scaler.transform(x).astype(np.float32) for x in (x_train, x_test)), y_train, y_test

    return scaled


def images(load: Callable[[], Any]) -> Callable[[int], Rows]:
    def rows(_seed: int) -> Rows:
        (x_train, y_train), (x_test, y_test) = load()
        return *(np.array(x).reshape(len(x), -1) for x in (x_train, x_test)), y_train, y_test

    return rows


def contenders(job: Job, seed: int) -> dict[str, Any]:
    """Return the classifiers: two with equal settings, and one with settings that MLPClassifier lacks."""
    same = {"batch_size": job.batch, "max_iter": job.epochs, "random_state": seed}
    all_epochs = {"tol": 0.0, "n_iter_no_change": job.epochs}
    return {
        "MLPClassifier": MLPClassifier(job.hidden, alpha=0.0, **same, **all_epochs),
        "FastDigitsClassifier": FastDigitsClassifier(job.hidden, tol=None, **same),
        "… batchnorm, one-cycle": FastDigitsClassifier(
            job.hidden, tol=None, batchnorm="all", learning_rate="one-cycle", learning_rate_init=0.01, **same
        ),
    }


@dataclass(frozen=True)
class Result:
    """The times of one fit and its predictions in seconds, and its accuracy."""

    contender: str
    threads: int
    fit: float
    predict: float
    one: float
    accuracy: float


def run(job: Job, seeds: int, thread_counts: list[int]) -> Iterator[Result]:
    """Run the contenders in turn; the first one changes with the seed."""
    for seed in range(seeds):
        x_train, x_test, y_train, y_test = job.load(seed)
        pairs = [(name, threads) for name in contenders(job, seed) for threads in thread_counts]
        for name, threads in pairs[seed % len(pairs) :] + pairs[: seed % len(pairs)]:
            model = contenders(job, seed)[name]
            # FastDigitsClassifier reads uint8 pixels; MLPClassifier is fastest with float32.
            floats = name == "MLPClassifier" and x_train.dtype == np.uint8
            train, test = (x / np.float32(255) if floats else x for x in (x_train, x_test))
            fd.set_num_threads(threads)
            with threadpool_limits(threads):
                fit = seconds(lambda: model.fit(train, y_train))  # noqa: B023
                predict = min(seconds(lambda: model.predict_proba(test)) for _ in range(5))  # noqa: B023
                one = min(seconds(lambda: model.predict_proba(test[:1])) for _ in range(50))  # noqa: B023
            yield Result(name, threads, fit, predict, one, float(np.mean(model.predict(test) == y_test)))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def lines(job: Job, results: list[Result]) -> Iterator[str]:
    """Yield the row of each contender with its faster number of threads."""
    base = None
    for name in dict.fromkeys(result.contender for result in results):
        own = [result for result in results if result.contender == name]
        median = {
            threads: statistics.median(result.fit for result in own if result.threads == threads)
            for threads in {result.threads for result in own}
        }
        threads = min(median, key=median.__getitem__)
        best = [result for result in own if result.threads == threads]
        base = base or median[threads]
        scores = [100 * result.accuracy for result in best]
        predict, one = (
            statistics.median(getattr(result, what) for result in best) for what in ("predict", "one")
        )
        yield (
            f"| {job.name} | {name} | {median[threads]:.3g} s | {base / median[threads]:.1f} × | {threads} | "
            f"{1000 * predict:.3g} ms | {1e6 * one:.0f} µs | {statistics.mean(scores):.2f} % | "
            f"{min(scores):.2f} to {max(scores):.2f} % |"
        )


INITIALIZERS = ("he_normal", "glorot_uniform")  # of `fastdigits.Dense`, and of MLPClassifier
INNER = 3  # splits of the training rows per seed


def initial_weights(job: Job, seeds: int) -> str:
    """Return the row that compares initial weights, by splits of the training rows."""
    accuracies = np.empty((seeds, INNER, len(INITIALIZERS)))
    before = parameters.INITIALIZER
    for seed in range(seeds):
        x, _, y, _ = job.load(seed)
        for inner in range(INNER):
            rows = split(x, y, inner)
            for column, name in enumerate(INITIALIZERS):
                parameters.INITIALIZER = name
                model = contenders(job, seed)["FastDigitsClassifier"].fit(rows[0], rows[2])
                accuracies[seed, inner, column] = model.score(rows[1], rows[3])
    parameters.INITIALIZER = before
    means = accuracies.mean(axis=1)
    gain = means[:, 1] - means[:, 0]
    error = gain.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
    scores = " | ".join(f"{100 * mean:.2f} %" for mean in means.mean(axis=0))
    counts = " | ".join(str(np.sum(np.sign(gain) == sign)) for sign in (1, 0, -1))
    return f"| {job.name} | {scores} | {100 * gain.mean():+.2f} ± {100 * error:.2f} | {counts} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fashion-mnist", metavar="FOLDER", help="four IDX files named like MNIST's")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of data sets (default: all)")
    parser.add_argument(
        "--initial-weights",
        action="store_true",
        help="compare the initial weights of FastDigitsClassifier instead",
    )
    options = parser.parse_args()
    jobs = [
        Job("digits", digits, (64, 32), 64, 50),
        Job("breast_cancer", table(datasets.load_breast_cancer), (64, 32), 32, 30),
        Job("wine", table(datasets.load_wine), (64, 32), 32, 30),
        Job("MNIST", images(fd.load_mnist), (64, 32), 200, 10),
    ]
    if options.fashion_mnist:
        jobs.append(
            Job("Fashion-MNIST", images(lambda: fd.load_folder(options.fashion_mnist)), (64, 32), 200, 10)
        )
    names = [job.name for job in jobs]
    if unknown := set(options.only or []) - set(names):
        parser.error(f"--only takes {', '.join(names)}; got {', '.join(sorted(unknown))}")
    warnings.simplefilter("ignore", ConvergenceWarning)

    if options.initial_weights:
        head = ("data", *INITIALIZERS, "gain, points", "splits with a gain", "equal", "with a loss")
        print(f"| {' | '.join(head)} |\n| --- |{' ---: |' * (len(head) - 1)}")
        for job in jobs:
            if job.name in (options.only or names):
                print(initial_weights(job, options.seeds), flush=True)
        return

    machine = describe()
    most = fd.get_num_threads()
    load = "unknown" if machine["load"] is None else f"{machine['load'][0]:.1f}"
    print(
        f"{machine['processor']}, {machine['cores']} cores, load {load} at the start, kernels {fd.backend_name()}; "
        f"{machine['when']}, commit {machine['commit']}; scikit-learn {sklearn.__version__}, NumPy {np.__version__}; "
        f"{options.seeds} seeds.\n\n"
        "| data | contender | fit, median | | threads | predict_proba of the test rows | of one row | "
        "test accuracy, mean | range |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for job in jobs:
        if job.name in (options.only or names):
            for line in lines(job, list(run(job, options.seeds, sorted({1, most})))):
                print(line, flush=True)
    print("\n| data | hidden layers | batch | epochs |\n| --- | --- | ---: | ---: |")
    for job in jobs:
        if job.name in (options.only or names):
            print(f"| {job.name} | {'-'.join(map(str, job.hidden))} | {job.batch} | {job.epochs} |")


if __name__ == "__main__":
    main()
