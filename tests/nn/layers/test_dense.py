"""The dense layer: weighted sums of floats or pixels, and gradients that are divided by nothing."""

import numpy as np
import pytest

from fastdigits.nn.layers import Dense
from fastdigits.nn.losses import SoftmaxCrossEntropy

pytestmark = pytest.mark.usefixtures("backend")


def by_hand() -> Dense:
    layer = Dense(2, 2)
    layer.weight.value = [[1, 2], [3, 4]]
    layer.bias.value = [10, 20]
    return layer


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_two_by_two_example_worked_by_hand():
    layer = by_hand()
    x = np.array([[1, -1], [2, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(layer.forward(x, training=True), [[8, 18], [13.5, 26]])
    dx = layer.backward(np.array([[1, 0], [-2, 3]], dtype=np.float32))
    np.testing.assert_array_equal(dx, [[1, 3], [4, 6]])
    np.testing.assert_array_equal(layer.weight.grad, [[-3, 6], [-2, 1.5]])
    np.testing.assert_array_equal(layer.bias.grad, [-1, 3])


def test_trap_of_the_original_the_gradient_is_divided_by_the_batch_once():
    """The original divides in the loss and again in the dense layer: greater batches learn more slowly."""
    x, labels, loss = floats(6, 4), np.arange(6) % 3, SoftmaxCrossEntropy()
    layer = Dense(4, 3)
    layer.initialize(np.random.default_rng(1))

    def gradients(times: int) -> tuple[np.ndarray, np.ndarray]:
        loss.forward(layer.forward(np.tile(x, (times, 1)), training=True), np.tile(labels, times))
        layer.backward(loss.backward())
        return layer.weight.grad.copy(), layer.bias.grad.copy()

    for once, often in zip(gradients(1), gradients(8), strict=True):
        np.testing.assert_allclose(often, once, rtol=1e-4, atol=1e-6)  # sums of 48 float32 products
    dy = floats(6, 3, seed=2)
    layer.forward(x, training=True)
    layer.backward(dy)
    np.testing.assert_allclose(layer.weight.grad, x.T @ dy, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.bias.grad, dy.sum(axis=0), rtol=1e-4, atol=1e-6)


def test_pixels_mean_value_over_255_and_have_no_gradient():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 30), dtype=np.uint8)
    layer = Dense(30, 4)
    layer.initialize(np.random.default_rng(1))
    dy = floats(5, 4)
    expected = layer.forward(pixels / np.float32(255), training=True)
    assert layer.backward(dy).shape == (5, 30)
    gradient = layer.weight.grad.copy()
    layer.weight.grad = np.full((30, 4), np.nan)
    # Scaling before or after a sum of 30 products differs by one rounding each.
    np.testing.assert_allclose(layer.forward(pixels, training=True), expected, rtol=1e-4, atol=1e-5)
    assert layer.backward(dy) is None
    np.testing.assert_allclose(layer.weight.grad, gradient, rtol=1e-4, atol=1e-5)


def test_read_only_pixels_of_any_layout_give_the_same_bits():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2), dtype=np.uint8)
    expected = by_hand().forward(pixels)
    pixels.flags.writeable = False
    for other in (pixels, np.asfortranarray(pixels), np.repeat(pixels, 2, axis=0)[::2]):
        np.testing.assert_array_equal(by_hand().forward(other), expected)


def test_the_input_gradient_is_left_out_when_nobody_needs_it():
    layer, x, dy = by_hand(), floats(3, 2), floats(3, 2, seed=1)
    layer.forward(x, training=True)
    assert layer.backward(dy) is not None
    gradient = layer.weight.grad.copy()
    layer.needs_input_gradient = False
    layer.weight.grad = np.full((2, 2), np.nan)
    assert layer.backward(dy) is None
    np.testing.assert_array_equal(layer.weight.grad, gradient)


def test_a_weight_of_zeros_that_nobody_asked_for_is_refused():
    layer = Dense(2, 3)
    with pytest.raises(RuntimeError, match=r"Dense\(2 → 3\): the weight must be initialized; got zeros"):
        layer.forward(floats(1, 2))
    layer.initialize(np.random.default_rng(0))
    assert layer.forward(floats(1, 2)).any()


def test_zeros_that_were_asked_for_are_fine():
    layer = Dense(2, 3, initializer="zeros")
    layer.initialize(np.random.default_rng(0))
    assert not layer.forward(floats(1, 2)).any()


def test_initialize_draws_the_weight_and_clears_the_bias():
    layer = Dense(300, 200, initializer="glorot_uniform")
    layer.bias.value = np.ones(200)
    layer.initialize(np.random.default_rng(0))
    assert np.abs(layer.weight.value).max() == pytest.approx(np.sqrt(6 / 500), rel=1e-3)
    assert not layer.bias.value.any()


def test_a_dense_layer_knows_its_widths_and_its_work():
    layer = Dense(784, 64)
    assert layer.output_width(784) == 64
    assert layer.operations(784) == 784 * 64
    assert [parameter.name for parameter in layer.parameters()] == ["weight", "bias"]
    assert repr(layer) == "Dense(784, 64)"
    assert repr(Dense(4, 3, initializer="zeros")) == "Dense(4, 3, initializer='zeros')"
    with pytest.raises(ValueError, match=r"Dense\(784 → 64\): the input must have width 784; got 100"):
        layer.output_width(100)


def test_an_image_of_another_width_is_refused():
    layer = Dense(784, 64)
    layer.initialize(np.random.default_rng(0))
    with pytest.raises(
        ValueError,
        match=r"Dense\(784 → 64\): x must be \(n, 784\); got \(32, 28\): flatten each image to one row first",
    ):
        layer.forward(floats(32, 28))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((0, 3), {}, ValueError, "Dense: n_in must be at least 1; got 0"),
        ((3, -1), {}, ValueError, "Dense: n_out must be at least 1; got -1"),
        ((3.0, 3), {}, TypeError, "Dense: n_in must be an integer; got 3.0"),
        ((3, True), {}, TypeError, "Dense: n_out must be an integer; got True"),
        ((3, 3), {"initializer": "he"}, ValueError, "initializer must be one of he_normal, .*; got 'he'"),
        ((3, 3), {"initializer": [1]}, ValueError, r"initializer must be one of .*; got \[1\]"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, error, match):
    with pytest.raises(error, match=match):
        Dense(*arguments, **options)


def test_an_array_does_not_replace_a_parameter():
    layer = Dense(3, 2)
    weight = layer.weight
    with pytest.raises(
        TypeError, match=r"^Dense\(3 → 2\): weight must be a Parameter; got ndarray: .* layer.weight"
    ):
        layer.weight = np.ones((3, 2))
    assert layer.weight is weight
