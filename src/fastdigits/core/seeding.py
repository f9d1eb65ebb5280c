"""Random streams: from one seed, an independent stream for each purpose.

All purposes are defined here, so that no two share a stream.
"""

from __future__ import annotations

import numpy as np

# SPLIT takes a validation set from the training data, TEST_SPLIT a test set from data without one; SHARDS orders the
# images of written shards; TRIALS draws the settings of a search.
INITIALIZE, SHUFFLE, SPLIT, DROPOUT, AUGMENT, TEST_SPLIT, SHARDS, TRIALS = range(8)


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the counter-based generator of ``seed`` for one purpose, independent of all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=purpose)))


def key(seed: int, *purpose: int) -> int:
    """Return a 64-bit key for one purpose, for the random numbers of kernels."""
    sequence = np.random.SeedSequence(seed, spawn_key=purpose)
    return int(sequence.generate_state(1, np.uint64)[0])
