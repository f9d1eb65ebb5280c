"""Windows of sorted images are found, whatever their size and the number of classes; random order is not."""

import math

import numpy as np
import pytest

from fastdigits.training.class_shares import ClassShares, _mean_deviation


def found_after(labels: np.ndarray, window: int) -> int | None:
    """Images after which the windows are reported; None if they never are."""
    shares = ClassShares(np.bincount(labels))
    ends = range(window, len(labels) + 1, window)
    return next((end for end in ends if shares.add(labels[end - window : end])), None)


@pytest.mark.parametrize(
    ("n", "p"), [(1, 0.3), (2, 0.1), (7, 0.5), (50, 0.1), (100, 0.999), (10, 0.1), (3, 0), (3, 1)]
)
def test_the_mean_deviation_is_that_of_all_outcomes(n, p):
    outcomes = (math.comb(n, k) * p**k * (1 - p) ** (n - k) * abs(k - n * p) for k in range(n + 1))
    assert _mean_deviation(n, p) == pytest.approx(sum(outcomes), rel=1e-9)


# How many images are needed depends on how far a window of one class is from random ones.
@pytest.mark.parametrize(
    ("classes", "window", "most"),
    [(2, 5, 500), (3, 9, 200), (10, 20, 200), (10, 100, 100), (10, 1000, 1000), (100, 50, 400)],
)
def test_sorted_images_are_found_soon_and_random_ones_never(classes, window, most):
    rng = np.random.default_rng(0)
    y = rng.integers(0, classes, 10_000)
    blocks = np.sort(y).reshape(10, 1000)[rng.permutation(10)].reshape(-1)
    assert (found_after(blocks, window) or 10_000) <= most
    for _ in range(5):
        assert found_after(rng.permutation(y), window) is None


def test_rare_classes_and_a_part_that_is_sorted():
    rng = np.random.default_rng(0)
    y = np.minimum(rng.geometric(0.3, 10_000), 20)
    assert found_after(y, 25) is None
    half = np.concatenate([y[:5000], np.sort(y[5000:])])
    assert 5000 < (found_after(half, 1000) or 0) <= 10_000
