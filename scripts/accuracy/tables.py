"""Measure the default settings of `FastDigitsClassifier` on tables whose columns have any scale.

    git clone https://github.com/renatopp/arff-datasets
    python scripts/accuracy/tables.py arff-datasets/classification                  # the report: 4 minutes
    python scripts/accuracy/tables.py arff-datasets/classification --part choose    # the tables that chose the defaults

It prints the mean test accuracy of each table, for each classifier with its default settings, as a table of Markdown.

Of the folder, all files count that have a hundred rows and four columns of numbers. Every second one, by name, is for
choosing; the others and those of scikit-learn are for the report. Both have generated tables, of different seeds. Words
become a column of 0 and 1 for each word; the mean replaces a missing number. A table has at most 1,500 rows, drawn at
random. A quarter of the rows, with the same share of each class, are for testing.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import arff
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from fastdigits.sklearn import FastDigitsClassifier

MOST_ROWS, LEAST_ROWS, LEAST_NUMBERS = 1500, 100, 4
OF_SCIKIT_LEARN = ("iris", "wine", "breast_cancer", "digits")
CONTENDERS: dict[str, Callable[[int], Any]] = {
    "MLP, raw": lambda seed: MLPClassifier(random_state=seed),
    "not standardised, raw": lambda seed: FastDigitsClassifier(random_state=seed, standardize=False),
    "ours, raw": lambda seed: FastDigitsClassifier(random_state=seed),
    "MLP, scaled": lambda seed: scaled(MLPClassifier(random_state=seed)),
    "not standardised, scaled": lambda seed: scaled(
        FastDigitsClassifier(random_state=seed, standardize=False)
    ),
    "ours, scaled": lambda seed: scaled(FastDigitsClassifier(random_state=seed)),
    "not standardised, 0 … 1": lambda seed: scaled(
        FastDigitsClassifier(random_state=seed, standardize=False), MinMaxScaler
    ),
    "ours, 0 … 1": lambda seed: scaled(FastDigitsClassifier(random_state=seed), MinMaxScaler),
    "logistic regression, scaled": lambda seed: scaled(LogisticRegression(max_iter=1000)),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}


class Table(NamedTuple):
    """Rows (n, d) and labels (n,)."""

    name: str
    x: np.ndarray
    y: np.ndarray


def main() -> None:
    """Print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of .arff files")
    parser.add_argument("--part", choices=("choose", "report"), default="report")
    parser.add_argument(
        "--splits", type=int, default=3, help="splits of each table, each with its seed (default: 3)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of classifiers that stop before they converge
    found, seconds = [], np.zeros(len(CONTENDERS))
    print(f"| table | {' | '.join(CONTENDERS)} |\n| --- |{' ---: |' * len(CONTENDERS)}")
    for table in tables(options.folder, options.part):
        scores = np.array([measure(table, seed) for seed in range(options.splits)])
        accuracies = scores[:, :, 0].mean(axis=0)
        found.append(accuracies)
        seconds += scores[:, :, 1].sum(axis=0)
        print(f"| {table.name}, {len(table.x):,} × {table.x.shape[1]} | {percents(accuracies)} |", flush=True)
    for name, summary in (("mean", np.mean), ("median", np.median), ("worst", np.min)):
        print(f"| **{name}** | {percents(summary(found, axis=0))} |")
    print(f"| seconds to fit all | {' | '.join(f'{one:.1f}' for one in seconds)} |")


def measure(table: Table, seed: int) -> list[tuple[float, float]]:
    """Return test accuracy and seconds of the fit of each contender, on one split."""
    x, x_test, y, y_test = train_test_split(
        table.x, table.y, test_size=0.25, stratify=table.y, random_state=seed
    )
    measures = []
    for make in CONTENDERS.values():
        began = time.perf_counter()
        model = make(seed).fit(x, y)
        measures.append((model.score(x_test, y_test), time.perf_counter() - began))
    return measures


def scaled(model: Any, scaler: Callable[[], Any] = StandardScaler) -> Any:
    """Return a pipeline that scales the columns first."""
    return make_pipeline(scaler(), model)


def percents(accuracies: np.ndarray) -> str:
    """Return accuracies as cells of a table."""
    return " | ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)


# -- tables ------------------------------------------------------------------------------------------------


def tables(folder: Path, part: str) -> list[Table]:
    """Return the tables of a part, "choose" or "report"."""
    read = [table for path in sorted(folder.glob("*.arff")) if (table := read_arff(path)) is not None]
    own = [] if part == "choose" else [of_scikit_learn(name) for name in OF_SCIKIT_LEARN]
    seeds = range(6) if part == "choose" else range(100, 106)
    return [*own, *read[part == "report" :: 2], *map(generated, seeds)]


def of_scikit_learn(name: str) -> Table:
    """Return a table that scikit-learn contains."""
    return few(name, *getattr(datasets, f"load_{name}")(return_X_y=True))


def read_arff(path: Path) -> Table | None:
    """Return the table of a file, or None if it is unsuitable."""
    try:
        content, meta = arff.loadarff(path)
    except ValueError:  # four files have words that their header does not list
        return None
    *columns, label = meta.names()
    numbers = [name for name in columns if meta[name][0] == "numeric"]
    suitable = len(content) >= LEAST_ROWS and len(numbers) >= LEAST_NUMBERS and meta[label][0] == "nominal"
    if not suitable or path.stem in ("iris", "optdigits"):  # scikit-learn has them
        return None
    x = np.column_stack([made for name in columns for made in as_numbers(content[name])])
    return few(path.stem, x, content[label])


def as_numbers(column: np.ndarray) -> list[np.ndarray]:
    """Return a column of numbers without gaps, or a column of 0 and 1 for each word."""
    if column.dtype.kind == "f":
        missing = np.isnan(column)
        return [np.where(missing, column[~missing].mean(), column)] if not missing.all() else []
    return [(column == word).astype(float) for word in np.unique(column) if word != b"?"]


def generated(seed: int) -> Table:
    """Return a table with columns of very different scales: skewed ones, constants and zeros and ones too."""
    rng = np.random.default_rng(seed)
    make: list[Callable[[], tuple[np.ndarray, np.ndarray]]] = [
        lambda: datasets.make_classification(1000, 20, n_informative=8, n_classes=3, random_state=seed),
        lambda: datasets.make_hastie_10_2(1500, random_state=seed),
        lambda: datasets.make_gaussian_quantiles(
            n_samples=1000, n_features=6, n_classes=3, random_state=seed
        ),
        lambda: datasets.make_moons(400, noise=0.25, random_state=seed),
        lambda: datasets.make_classification(1500, 40, n_informative=15, n_classes=6, random_state=seed),
        lambda: datasets.make_circles(500, noise=0.15, factor=0.5, random_state=seed),
    ]
    x, y = make[seed % 6]()
    for column in rng.choice(x.shape[1], x.shape[1] // 3, replace=False):
        x[:, column] = np.exp(x[:, column]) if rng.random() < 0.5 else x[:, column] > 0
    scale = 10 ** rng.uniform(-3, 6, x.shape[1])
    x = scale * (x + rng.normal(0, 10, x.shape[1]))
    return Table(f"generated {seed}", np.column_stack([x, np.full(len(x), 7.0)]), y)


def few(name: str, x: np.ndarray, y: np.ndarray) -> Table:
    """Return a table of at most MOST_ROWS rows, without classes that a split cannot divide."""
    labels, counts = np.unique(y, return_counts=True)
    kept = np.flatnonzero(np.isin(y, labels[counts >= 20 * len(y) / min(len(y), MOST_ROWS) / 4]))
    kept = np.random.default_rng(0).permutation(kept)[:MOST_ROWS]
    return Table(name, x[kept].astype(np.float64), np.unique(y[kept], return_inverse=True)[1])


if __name__ == "__main__":
    main()
