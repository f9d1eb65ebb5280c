"""Batch normalisation: by the batch in training, by the running statistics in evaluation."""

import numpy as np
import pytest

from fastdigits.nn.layers import BatchNorm

pytestmark = pytest.mark.usefixtures("backend")


def batch(rows: int = 64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(loc=[-3, 0, 5], scale=[0.1, 1, 20], size=(rows, 3)).astype(np.float32)


def test_a_two_by_two_example_worked_by_hand():
    layer = BatchNorm(2, momentum=0.25, eps=1.0)
    layer.gamma.value, layer.beta.value = [2, 1], [10, 0]
    # Column by column: mean 3 and 0, biased variance 3 and 0, so that 1 / √(var + eps) is 1/2 and 1.
    x = np.array([[3 + 3**0.5, 0], [3 - 3**0.5, 0]], dtype=np.float32)
    half = 3**0.5 / 2
    y = layer.forward(x, training=True)
    np.testing.assert_allclose(y, [[10 + 2 * half, 0], [10 - 2 * half, 0]], rtol=1e-6)
    np.testing.assert_allclose(layer.running_mean, [0.25 * 3, 0], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var, [0.75 + 0.25 * 6, 0.75], rtol=1e-6)  # unbiased: 6
    # x_hat is ±√3/2: dgamma = √3/2 · (1 - 3), dbeta = 4; dx = 2 · 1/2 · (dy - 2 - x_hat · dgamma / 2).
    dx = layer.backward(np.array([[1, 5], [3, 7]], dtype=np.float32))
    np.testing.assert_allclose(layer.gamma.grad, [-2 * half, 0], rtol=1e-6)
    np.testing.assert_allclose(layer.beta.grad, [4, 12], rtol=1e-6)
    np.testing.assert_allclose(dx, [[-1 + 0.75, -1], [1 - 0.75, 1]], rtol=1e-5)


def test_training_gives_each_feature_mean_zero_and_deviation_one():
    y = BatchNorm(3).forward(batch(), training=True).astype(np.float64)
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-3)  # eps is 1e-3 of the first feature's variance


def test_trap_of_the_original_evaluation_uses_the_running_statistics():
    """The original normalises test images by their own batch: a prediction depends on the others in it."""
    layer = BatchNorm(3, momentum=0.5)
    for seed in range(20):
        layer.forward(batch(seed=seed), training=True)
    mean, var = layer.running_mean.copy(), layer.running_var.copy()
    x = batch(5, seed=99) + np.float32(7)
    y = layer.forward(x)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.forward(x[2:3]), y[2:3])
    np.testing.assert_array_equal(layer.running_mean, mean)
    np.testing.assert_array_equal(layer.running_var, var)
    assert np.abs(y.mean(axis=0)).max() > 1  # the shift is still there; a batch's own mean would hide it


def test_running_statistics_come_to_those_of_the_data():
    layer = BatchNorm(3)
    for seed in range(200):
        layer.forward(batch(seed=seed), training=True)
    # Momentum 0.1 averages about 19 batches of 64: 5 deviations of a mean over 1,200 numbers.
    np.testing.assert_allclose((layer.running_mean - [-3, 0, 5]) / [0.1, 1, 20], 0, atol=0.15)
    np.testing.assert_allclose(layer.running_var / [0.01, 1, 400], 1, atol=0.21)


def test_momentum_one_takes_the_statistics_of_the_last_batch():
    layer, x = BatchNorm(3, momentum=1), batch()
    layer.forward(batch(seed=1), training=True)
    layer.forward(x, training=True)
    np.testing.assert_allclose(layer.running_mean, x.mean(axis=0, dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var, x.var(axis=0, ddof=1, dtype=np.float64), rtol=1e-5)


def test_a_feature_that_never_changes_becomes_its_shift():
    layer = BatchNorm(1)
    layer.beta.value = [4]
    np.testing.assert_allclose(layer.forward(np.full((5, 1), 1e3, np.float32), training=True), 4)


def test_one_row_has_no_variance_to_train_with():
    layer = BatchNorm(3)
    with pytest.raises(
        ValueError, match=r"BatchNorm\(3\): x must have at least 2 rows in training.*\(1, 3\)"
    ):
        layer.forward(batch(1), training=True)
    assert not layer.running_mean.any()
    assert layer.forward(batch(1)).shape == (1, 3)


def test_batch_normalisation_knows_its_width_its_work_and_its_arrays():
    layer = BatchNorm(3)
    assert layer.output_width(3) == 3
    assert layer.operations(3) == 3
    assert [parameter.name for parameter in layer.parameters()] == ["gamma", "beta"]
    assert layer.buffers()["running_mean"] is layer.running_mean
    assert layer.buffers()["running_var"] is layer.running_var
    assert repr(layer) == "BatchNorm(3)"
    assert repr(BatchNorm(3, eps=0.1)) == "BatchNorm(3, eps=0.1)"
    with pytest.raises(ValueError, match=r"BatchNorm\(3\): the input must have width 3; got 4"):
        layer.output_width(4)
    with pytest.raises(ValueError, match=r"BatchNorm\(3\): x must be \(n, 3\); got \(2, 4\)"):
        layer.forward(np.zeros((2, 4), np.float32))


@pytest.mark.parametrize(
    ("n", "options", "error", "match"),
    [
        (0, {}, ValueError, "BatchNorm: n must be at least 1; got 0"),
        ("3", {}, TypeError, "BatchNorm: n must be an integer; got '3'"),
        (3, {"momentum": 0}, ValueError, "BatchNorm: momentum must be .* 0 < momentum ≤ 1; got 0"),
        (3, {"momentum": 1.5}, ValueError, "0 < momentum ≤ 1; got 1.5"),
        (3, {"eps": 0.0}, ValueError, "BatchNorm: eps must be .* 0 < eps; got 0.0"),
        (3, {"eps": "a"}, TypeError, "BatchNorm: eps must be a number; got 'a'"),
    ],
)
def test_bad_arguments_are_refused(n, options, error, match):
    with pytest.raises(error, match=match):
        BatchNorm(n, **options)
