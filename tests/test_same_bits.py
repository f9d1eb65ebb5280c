"""One seed gives one network, with all that a training may have, in whatever circumstances."""

import os

import pytest
from documents import script

from fastdigits import backend

SAME_BITS = script("same_bits")


@pytest.mark.filterwarnings("ignore:fit. .* is written in Python")
def test_threads_repetition_load_and_way_leave_the_bits_as_they_are():
    """All that scripts/same_bits.py tries, on fewer images."""
    hashes = set()
    try:
        for busy in (0, 2 * (os.cpu_count() or 1)):
            with SAME_BITS.load(busy):
                for activation in (SAME_BITS.fd.ReLU, SAME_BITS.Eager):
                    for threads in SAME_BITS.THREADS[busy > 0 :]:
                        hashes.add(SAME_BITS.train(threads, activation, 1000))
    finally:
        backend.kernels.set_threads(1)
    assert len(hashes) == 1
