"""Statistics of the columns of a table, whose rows are in memory or in blocks."""

from __future__ import annotations

import math

import numpy as np

from . import streams
from .arrays import Array
from .blocks import Blocks

# Standard deviations whose squares float32 holds
SMALLEST, LARGEST = 1.1e-19, 1.8e19
# Mean over standard deviation; above it, float32 rounds a standardised number by more than 1/16
FARTHEST = 2**20


def check_columns(mean: Array, deviations: Array, subject: str) -> None:
    """Raise a ValueError, or warn, about the first column that float32 cannot standardise, or only roughly.

    Columns of equal numbers have the deviation 1; large ones may have been different before they became float32.
    """
    wrong = np.flatnonzero(~((deviations >= SMALLEST) & (deviations <= LARGEST)))
    if wrong.size and np.isnan(deviations[wrong[0]]):
        raise ValueError(
            f"{subject}: column {wrong[0]}, counted from 0 without labels, must hold finite numbers"
        )
    if wrong.size:
        raise ValueError(
            f"{subject}: column {wrong[0]}, counted from 0 without labels, must have a standard deviation from "
            f"{SMALLEST:g} to {LARGEST:g}; got {deviations[wrong[0]]:.2g}: give it in another unit"
        )
    rough = np.flatnonzero(abs(mean) > FARTHEST * deviations)
    if rough.size:
        streams.warn(
            f"{subject}: column {rough[0]}, counted from 0 without labels, has numbers around {mean[rough[0]]:.3g} "
            "that differ by little, and float32 keeps 7 digits of them: subtract a constant from the column first",
            stacklevel=3,
        )


def mean_and_variance(rows: Array | Blocks) -> tuple[Array, Array]:
    """Return mean and variance of each column, in float64; the variance of equal numbers is 1.

    Pieces are added as by Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for computing
    sample variances".
    """
    parts = (x for x, _ in rows.pieces()) if isinstance(rows, Blocks) else (rows.reshape(len(rows), -1),)
    n = rows.width if isinstance(rows, Blocks) else math.prod(rows.shape[1:])
    count, mean, squares = 0, np.zeros(n), np.zeros(n)
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # the check of the deviations shows it
        for x in parts:
            low, high = np.minimum(low, x.min(axis=0)), np.maximum(high, x.max(axis=0))
            share = len(x) / (count + len(x))
            step = x.mean(axis=0, dtype=np.float64) - mean
            squares += len(x) * x.var(axis=0, dtype=np.float64) + count * share * step * step
            mean += share * step
            count += len(x)
    return mean, np.where(low == high, 1, squares / count)
