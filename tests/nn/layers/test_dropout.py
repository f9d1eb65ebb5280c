"""Dropout: the promised part is dropped, the rest is scaled, the mask is a function of seed and step."""

import copy
import pickle

import numpy as np
import pytest

from fastdigits.nn.layers import Dropout

pytestmark = pytest.mark.usefixtures("backend")


def ones(rows: int = 200, width: int = 100) -> np.ndarray:
    return np.ones((rows, width), dtype=np.float32)


def layer_of(seed: int, rate: float = 0.5, step: int = 0) -> Dropout:
    layer = Dropout(rate)
    layer.seed, layer.step = seed, step
    return layer


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_promised_part_is_dropped_and_the_rest_is_scaled(rate):
    y = Dropout(rate).forward(ones(), training=True)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    # 20,000 draws tell the share to 5 deviations: 5 · √(rate · (1 - rate) / 20,000).
    assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / 20_000)


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    x = ones()
    assert Dropout(0.5).forward(x) is x
    layer = Dropout(0)
    np.testing.assert_array_equal(layer.forward(x, training=True), x)
    np.testing.assert_array_equal(layer.backward(x), x)


def test_backward_uses_the_mask_of_the_forward():
    layer = Dropout(0.3)
    y = layer.forward(ones(), training=True)
    np.testing.assert_array_equal(layer.backward(ones()), y)


def test_each_step_has_a_mask_of_its_own():
    layer = Dropout()
    masks = [layer.forward(ones(), training=True) > 0 for _ in range(5)]
    assert layer.step == 5
    for i in range(5):
        for j in range(i):
            # Independent masks of 20,000 agree in half of the places ± 5 · √(1/4 / 20,000) = 0.018.
            assert abs((masks[i] == masks[j]).mean() - 0.5) < 0.018


def test_evaluation_counts_no_step():
    layer = Dropout()
    layer.forward(ones())
    assert layer.step == 0


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_goes_on_with_the_count_and_counts_for_itself(make):
    layer = layer_of(seed=1, step=3)
    other = make(layer)
    np.testing.assert_array_equal(other.forward(ones(), training=True), layer.forward(ones(), training=True))
    other.forward(ones(), training=True)
    assert (layer.step, other.step) == (4, 5)


def test_a_step_is_a_whole_number():
    layer = layer_of(seed=1, step=3)
    with pytest.raises(TypeError):
        layer.step = 2.5
    assert layer.step == 3


@pytest.mark.parametrize("other", [1, 2, 2**64 - 1])
def test_seeds_decide_the_masks(other):
    masks = [layer_of(seed).forward(ones(), training=True) > 0 for seed in (0, 0, other)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert abs((masks[0] == masks[2]).mean() - 0.5) < 0.018


def test_masks_of_consecutive_steps_are_not_shifted_copies():
    first, second = ((layer_of(0, step=step).forward(ones(), training=True) > 0).ravel() for step in (0, 1))
    for shift in range(-50, 51):
        overlap = slice(50, -50)
        assert abs((first[overlap] == np.roll(second, shift)[overlap]).mean() - 0.5) < 0.02


def test_a_run_that_is_taken_up_at_a_step_goes_on_with_its_masks():
    layer = Dropout()
    for _ in range(3):
        layer.forward(ones(), training=True)
    np.testing.assert_array_equal(
        layer_of(0, step=3).forward(ones(), training=True), layer.forward(ones(), training=True)
    )


def test_the_first_mask_is_the_known_one():
    """A change here changes every training run with dropout that a seed once gave."""
    y = layer_of(seed=42).forward(ones(2, 8), training=True)
    assert (y > 0).astype(int).tolist() == KNOWN


@pytest.mark.parametrize("rate", [-0.1, 1.0, 0.999999999, float("nan")])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"Dropout: rate must be .* 0 ≤ rate < 1; got"):
        Dropout(rate)


def test_a_rate_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"Dropout: rate must be a number; got '0.5'"):
        Dropout("0.5")


def splitmix64(state: int, count: int) -> list[int]:
    """Return the first outputs of the generator as its authors write it, one after another."""
    outputs = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & (2**64 - 1)
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        outputs.append(z ^ (z >> 31))
    return outputs


# Seed 42's first output is the key of step 0; its own outputs, above one half, keep a number.
KNOWN = np.reshape([int(z >= 2**63) for z in splitmix64(splitmix64(42, 1)[0], 16)], (2, 8)).tolist()
