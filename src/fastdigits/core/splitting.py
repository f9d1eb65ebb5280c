"""Split rows in two at random: the rows to keep, and the rows to hold out."""

from __future__ import annotations

import numpy as np

from .arrays import Array, Int64
from .seeding import SPLIT, stream


def split(
    generator: np.random.Generator, n: int, chosen: slice | Array, labels: Array | None = None
) -> tuple[Int64, Int64]:
    """Return the rows to keep and the rows to hold out, both in ascending order.

    Parameters
    ----------
    generator : Generator
        Shuffles the rows.
    n : int
        Number of rows.
    chosen : slice, or ndarray of bool, (n,)
        Places in the shuffled order of the rows to hold out.
    labels : ndarray, (n,), optional
        With labels, the shuffled order goes class by class, and is random within each class.
    """
    order = generator.permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    held_out = np.zeros(n, bool)
    held_out[order[chosen]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def split_validation(n: int, fraction: float, seed: int, subject: str) -> tuple[Int64, Int64]:
    """Return the rows to train on, and a fraction of the rows to validate on.

    Raises
    ------
    ValueError
        If one side would be empty; ``subject`` is the beginning of the message.
    """
    count = round(fraction * n)
    if not 0 < count < n:
        raise ValueError(f"{subject} must leave images on both sides; got {fraction:g} of {n:,} images")
    return split(stream(seed, SPLIT), n, slice(count))
