"""The twins compute what the textbooks say: worked examples, and every gradient against finite differences."""

import numpy as np
import pytest

from fastdigits import _reference as twin

RNG = np.random.default_rng(0)


def test_a_dense_layer_by_hand():
    y, dx, dweight, dbias = np.empty((2, 2)), np.empty((2, 2)), np.empty((2, 2)), np.empty(2)
    x, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [-1.0, 2.0]])
    dy = np.array([[1.0, 0.0], [0.0, 2.0]])
    twin.dense_forward(y, x, weight, np.array([10.0, 20.0]))
    np.testing.assert_array_equal(y, [[9, 24], [9, 28]])
    twin.dense_backward_input(dx, dy, weight)
    np.testing.assert_array_equal(dx, [[1, -1], [0, 4]])
    twin.dense_backward_weight(dweight, dbias, dy, x)
    np.testing.assert_array_equal(dweight, [[1, 6], [2, 8]])
    np.testing.assert_array_equal(dbias, [1, 2])


def test_batch_normalisation_by_hand():
    y, x_hat, inv_std = np.empty((2, 2)), np.empty((2, 2)), np.empty(2)
    mean, var = np.zeros(2), np.ones(2)
    x = np.array([[1.0, 0.0], [3.0, 8.0]])  # means 2 and 4, biased variances 1 and 16, unbiased 2 and 32
    twin.batchnorm_forward(
        y, x_hat, inv_std, mean, var, x, np.array([1.0, 2.0]), np.array([0.0, 5.0]), 0.1, 0.0
    )
    np.testing.assert_allclose(x_hat, [[-1, -1], [1, 1]])
    np.testing.assert_allclose(y, [[-1, 3], [1, 7]])
    np.testing.assert_allclose(inv_std, [1, 0.25])
    np.testing.assert_allclose(mean, [0.2, 0.4])
    np.testing.assert_allclose(var, [1.1, 4.1])
    twin.batchnorm_inference(
        y, x, np.array([1.0, 2.0]), np.array([0.0, 5.0]), np.array([1.0, 4.0]), np.array([4.0, 16.0]), 0.0
    )
    np.testing.assert_allclose(y, [[0, 3], [1, 7]])


def test_the_loss_by_hand():
    losses, probs = np.empty(2), np.empty((2, 2))
    logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0]]))
    twin.softmax_cross_entropy_forward(losses, probs, logits, np.array([0, 1]), np.array([0.5, 0.5]), 0.0)
    np.testing.assert_allclose(probs, [[0.75, 0.25], [0.5, 0.5]])
    np.testing.assert_allclose(losses, -0.5 * np.log([0.75, 0.5]))
    twin.softmax_cross_entropy_forward(losses, probs, logits, np.array([0, 1]), np.array([0.5, 0.5]), 0.2)
    np.testing.assert_allclose(losses[0], -0.5 * (0.9 * np.log(0.75) + 0.1 * np.log(0.25)))
    dlogits = np.empty((2, 2))
    twin.softmax_cross_entropy_backward(dlogits, probs, np.array([0, 1]), np.array([0.5, 0.5]), 0.2)
    np.testing.assert_allclose(dlogits, 0.5 * (probs - [[0.9, 0.1], [0.1, 0.9]]))


def difference(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return the gradient of a number by central differences, off by about step² and rounding / step."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        old = x[place]
        x[place] = old + step
        above = function()
        x[place] = old - step
        gradient[place] = (above - function()) / (2 * step)
        x[place] = old
    return gradient


def agree(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(
        found, wanted, rtol=1e-6, atol=1e-8
    )  # step² = 1e-12; rounding 1e-16 / 1e-6 = 1e-10


def test_the_gradients_of_a_dense_layer():
    x, weight, bias, dy = (
        RNG.standard_normal((4, 3)),
        RNG.standard_normal((3, 5)),
        RNG.standard_normal(5),
        RNG.standard_normal((4, 5)),
    )
    y = np.empty((4, 5))

    def value():
        twin.dense_forward(y, x, weight, bias)
        return (y * dy).sum()

    dx, dweight, dbias = np.empty_like(x), np.empty_like(weight), np.empty_like(bias)
    twin.dense_backward_input(dx, dy, weight)
    twin.dense_backward_weight(dweight, dbias, dy, x)
    for found, variable in [(dx, x), (dweight, weight), (dbias, bias)]:
        agree(found, difference(value, variable))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "softmax", "dropout"])
def test_the_gradient_of_an_activation(name):
    x, dy = RNG.standard_normal((4, 6)), RNG.standard_normal((4, 6))
    y, dx = np.empty_like(x), np.empty_like(x)
    rest = {"leaky_relu": (0.1,), "dropout": (0.5, 3, 4)}.get(name, ())

    def value():
        getattr(twin, f"{name}_forward")(y, x, *rest)
        return (y * dy).sum()

    wanted = difference(value, x)
    value()
    kept = {"relu": (y,), "leaky_relu": (x,), "softmax": (y,), "dropout": ()}[name]
    getattr(twin, f"{name}_backward")(dx, dy, *kept, *rest)
    agree(dx, wanted)


def test_the_gradients_of_batch_normalisation():
    x, dy, gamma, beta = (
        RNG.standard_normal((5, 3)),
        RNG.standard_normal((5, 3)),
        RNG.standard_normal(3),
        RNG.standard_normal(3),
    )
    y, x_hat, inv_std = np.empty_like(x), np.empty_like(x), np.empty(3)

    def value():
        twin.batchnorm_forward(y, x_hat, inv_std, np.zeros(3), np.ones(3), x, gamma, beta, 0.1, 1e-5)
        return (y * dy).sum()

    wanted = [difference(value, variable) for variable in (x, gamma, beta)]
    value()
    found = [np.empty_like(x), np.empty(3), np.empty(3)]
    twin.batchnorm_backward(*found, dy, x_hat, gamma, inv_std)
    for one, right in zip(found, wanted, strict=True):
        agree(one, right)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_gradient_of_the_loss(smoothing):
    logits, labels, weights = (
        RNG.standard_normal((4, 5)),
        np.array([0, 4, 2, 2]),
        np.array([0.1, 0.2, 0.3, 0.4]),
    )
    losses, probs, dlogits = np.empty(4), np.empty((4, 5)), np.empty((4, 5))

    def value():
        twin.softmax_cross_entropy_forward(losses, probs, logits, labels, weights, smoothing)
        return losses.sum()

    wanted = difference(value, logits)
    value()
    twin.softmax_cross_entropy_backward(dlogits, probs, labels, weights, smoothing)
    agree(dlogits, wanted)


def test_pixels_mean_their_255th():
    y, bias = np.empty((1, 1)), np.zeros(1)
    twin.dense_forward_uint8(y, np.array([[255, 51]], np.uint8), np.ones((2, 1)), bias)
    np.testing.assert_allclose(y, [[1.2]])
    dweight = np.empty((2, 1))
    twin.dense_backward_weight_uint8(dweight, bias, np.array([[2.0]]), np.array([[255, 51]], np.uint8))
    np.testing.assert_allclose(dweight, [[2.0], [0.4]])
