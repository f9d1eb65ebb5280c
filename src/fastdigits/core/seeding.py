"""Streams of random numbers: one seed, and an independent stream for each purpose.

All purposes stand here, so that no two of them share a stream.
"""

from __future__ import annotations

import numpy as np

# The purposes: a validation set is SPLIT off the training data, and a test set off data that come without one.
INITIALIZE, SHUFFLE, SPLIT, DROPOUT, AUGMENT, TEST_SPLIT = range(6)


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the counter-based generator of ``seed`` for one purpose, independent of those for all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=purpose)))


def key(seed: int, *purpose: int) -> int:
    """Return 64 bits of ``seed`` for one purpose, for generators that kernels draw from."""
    sequence = np.random.SeedSequence(seed, spawn_key=purpose)
    return int(sequence.generate_state(1, np.uint64)[0])
