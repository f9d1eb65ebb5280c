"""Initial weights have the distribution that their papers ask for, and come from the generator alone."""

import math

import numpy as np
import pytest

from fastdigits.nn.initializers import INITIALIZERS

SHAPE = (300, 200)
DEVIATIONS = {
    "he_normal": math.sqrt(2 / 300),
    "he_uniform": math.sqrt(2 / 300),
    "glorot_normal": math.sqrt(2 / 500),
    "glorot_uniform": math.sqrt(2 / 500),
}
every = pytest.mark.parametrize("name", INITIALIZERS)
drawn = pytest.mark.parametrize("name", DEVIATIONS)


@every
def test_weights_are_float32_of_the_shape_and_depend_on_the_generator_alone(name):
    first, again = (INITIALIZERS[name](np.random.default_rng(3), SHAPE) for _ in range(2))
    assert first.shape == SHAPE
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first, again)


@drawn
def test_two_draws_differ(name):
    rng = np.random.default_rng(3)
    assert (INITIALIZERS[name](rng, SHAPE) != INITIALIZERS[name](rng, SHAPE)).any()


@drawn
def test_mean_and_deviation_are_those_of_the_paper(name):
    weights = INITIALIZERS[name](np.random.default_rng(3), SHAPE).astype(np.float64) / DEVIATIONS[name]
    # 60,000 draws: five deviations are 5 / √60,000 = 0.02 for the mean, 5 / √120,000 = 0.0145 for the other.
    assert abs(weights.mean()) < 0.02
    assert abs(weights.std() - 1) < 0.0145


@pytest.mark.parametrize(("name", "bound"), [("he_uniform", 6 / 300), ("glorot_uniform", 6 / 500)])
def test_uniform_weights_fill_their_interval(name, bound):
    weights = INITIALIZERS[name](np.random.default_rng(3), SHAPE)
    bound = math.sqrt(bound)
    assert -bound <= weights.min() < -0.999 * bound
    assert 0.999 * bound < weights.max() <= bound * (1 + 1e-7)


@pytest.mark.parametrize("name", ["he_normal", "glorot_normal"])
def test_normal_weights_have_the_tails_of_a_normal_distribution(name):
    weights = np.abs(INITIALIZERS[name](np.random.default_rng(3), SHAPE)) / DEVIATIONS[name]
    # P(|z| > 2) = 0.0455; 60,000 draws tell it to 5 · √(0.0455 · 0.9545 / 60,000) = 0.0043.
    assert abs((weights > 2).mean() - 0.0455) < 0.0043


def test_zeros_draws_nothing():
    rng = np.random.default_rng(3)
    assert not INITIALIZERS["zeros"](rng, SHAPE).any()
    assert rng.random() == np.random.default_rng(3).random()


@every
@pytest.mark.parametrize(
    ("rng", "shape", "error", "match"),
    [
        (0, SHAPE, TypeError, "rng must be a numpy.random.Generator; got 0"),
        (np.random.default_rng(0), (3,), ValueError, r"shape must be \(in, out\); got \(3,\)"),
        (np.random.default_rng(0), 3, ValueError, r"shape must be \(in, out\); got 3"),
        (np.random.default_rng(0), (0, 3), ValueError, r"shape\[0\] must be at least 1; got 0"),
        (np.random.default_rng(0), (3, 1.5), TypeError, r"shape\[1\] must be an integer; got 1.5"),
    ],
)
def test_bad_arguments_are_refused(name, rng, shape, error, match):
    with pytest.raises(error, match=f"^{name}: {match}"):
        INITIALIZERS[name](rng, shape)
