"""One seed gives one network, with every option of a training, in all circumstances."""

import os

import pytest
from documents import script

from fastdigits import backend

SAME_BITS = script("robustness/same_bits")


@pytest.mark.filterwarnings("ignore:fit. .* is written in Python")
@pytest.mark.parametrize(
    ("images", "threads"),
    [(300, [1, 3]), pytest.param(1000, SAME_BITS.THREADS, marks=pytest.mark.exhaustive)],
)
def test_the_bits_do_not_depend_on_threads_repetition_load_or_lowering(images, threads):
    """Train as scripts/robustness/same_bits.py does, on fewer images."""
    hashes = set()
    try:
        for busy in (0, 2 * (os.cpu_count() or 1)):
            with SAME_BITS.load(busy):
                for activation in (SAME_BITS.fd.ReLU, SAME_BITS.Eager):
                    for count in threads[busy > 0 :]:
                        hashes.add(SAME_BITS.train(count, activation, images))
    finally:
        backend.kernels.set_threads(1)
    assert len(hashes) == 1
