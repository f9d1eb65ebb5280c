"""The NumPy twins agree with worked examples, and every gradient agrees with finite differences."""

import math

import numpy as np
import pytest

from fastdigits import _reference as twin

RNG = np.random.default_rng(0)


def test_dense_agrees_with_a_worked_example():
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


def test_batch_normalisation_agrees_with_a_worked_example():
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


def test_the_loss_agrees_with_a_worked_example():
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


def test_a_perturbation_agrees_with_a_worked_example():
    samples = np.array([[1.0, 1.0], [2.0, 2.0]])
    twin.perturb(samples, np.array([[3.0, -4.0], [0.0, 0.0]]), 10.0)
    np.testing.assert_allclose(samples, [[7, -7], [2, 2]])


def test_the_loss_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    losses, probs = np.empty(3), np.empty((3, 10))
    for smoothing in (0.0, 0.4):
        twin.softmax_cross_entropy_forward(
            losses, probs, np.full((3, 10), 7.0), np.array([0, 5, 9]), np.array([1.0, 2.0, 0.0]), smoothing
        )
        np.testing.assert_allclose(losses, math.log(10) * np.array([1.0, 2.0, 0.0]))
        np.testing.assert_allclose(probs, 0.1)


def test_rectifiers_agree_with_a_worked_example():
    x, dy, y = np.array([[-2.0, 0.0], [3.0, np.nan]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.empty((2, 2))
    twin.relu_forward(y, x)
    np.testing.assert_array_equal(y, [[0, 0], [3, np.nan]])
    twin.relu_backward(y, dy, np.array([[0.0, 0.0], [3.0, 5.0]]))
    np.testing.assert_array_equal(y, [[0, 0], [3, 4]])
    twin.leaky_relu_forward(y, x, 0.5)
    np.testing.assert_array_equal(y, [[-1, 0], [3, np.nan]])
    twin.leaky_relu_backward(y, dy, np.array([[-2.0, 0.0], [3.0, 5.0]]), 0.5)  # at 0 the slope applies
    np.testing.assert_array_equal(y, [[0.5, 1], [3, 4]])


def test_softmax_agrees_with_a_worked_example():
    probs, dlogits = np.empty((2, 2)), np.empty((2, 2))
    twin.softmax_forward(probs, np.log([[1.0, 3.0], [2.0, 2.0]]) + np.array([[0.0], [1000.0]]))
    np.testing.assert_allclose(probs, [[0.25, 0.75], [0.5, 0.5]])
    twin.softmax_backward(dlogits, np.array([[1.0, 5.0], [2.0, 0.0]]), probs)
    np.testing.assert_allclose(dlogits, [[0.25 * (1 - 4), 0.75 * (5 - 4)], [0.5, -0.5]])


# -- dropout: the generator in Python integers ----------------------------------------------------------

GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def split_mix(z: int) -> int:
    """Return the output of SplitMix64 (Steele, Lea and Flood 2014, figure 17; constants of Vigna's splitmix64.c)."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def test_the_generator_agrees_with_splitmix64_c():
    # the first outputs of splitmix64.c from the seed 1234567
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    places = np.arange(1, 5, dtype=np.uint64)
    state = np.uint64(1234567) + places * np.uint64(GOLDEN)
    assert twin._split_mix(state).tolist() == known
    assert [split_mix(1234567 + place * GOLDEN & MASK) for place in range(1, 5)] == known


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (1234567, 4), (2**64 - 1, 2**40)])
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.9])
def test_dropout_uses_the_numbers_of_its_seed_and_step(seed, step, rate):
    key = split_mix(seed + step * GOLDEN & MASK)
    bits = [split_mix(key + place * GOLDEN & MASK) >> 40 for place in range(1, 29)]
    kept = np.array([draw / 2**24 >= float(np.float32(rate)) for draw in bits]).reshape(4, 7)
    x, y = RNG.standard_normal((4, 7)), np.empty((4, 7))
    for door in (twin.dropout_forward, twin.dropout_backward):
        door(y, x, np.array([step]), rate, seed)
        np.testing.assert_allclose(y, np.where(kept, x / (1 - rate), 0), rtol=1e-6)  # the rate is a float32
        door(y, x, np.array([step]), bits[9] / 2**24, seed)
        assert y[1, 2] != 0  # u equal to the rate is kept
    assert rate > 0 or kept.all()


# -- optimizers: two steps by hand ----------------------------------------------------------------------------


def test_sgd_and_momentum_agree_with_a_worked_example():
    first, second = np.array([1.0, -2.0]), np.array([3.0, 4.0])
    value = np.array([10.0, 20.0])
    twin.sgd_update(value, first, 0.5)
    np.testing.assert_allclose(value, [9.5, 21])
    # velocities are (1, -2), then 0.5 · (1, -2) + (3, 4) = (3.5, 3)
    heavy = [10 - 0.5 * 1 - 0.5 * 3.5, 20 + 0.5 * 2 - 0.5 * 3]
    nesterov_value = [
        10 - 0.5 * (1 + 0.5 * 1) - 0.5 * (3 + 0.5 * 3.5),
        20 + 0.5 * (2 + 0.5 * 2) - 0.5 * (4 + 0.5 * 3),
    ]
    for nesterov, wanted in [(False, heavy), (True, nesterov_value)]:
        value, velocity = np.array([10.0, 20.0]), np.zeros(2)
        twin.momentum_update(value, velocity, first, 0.5, 0.5, nesterov)
        twin.momentum_update(value, velocity, second, 0.5, 0.5, nesterov)
        np.testing.assert_allclose(velocity, [3.5, 3])
        np.testing.assert_allclose(value, wanted)


def test_rmsprop_agrees_with_a_worked_example():
    value, square = np.array([10.0]), np.array([16.0])
    twin.rmsprop_update(value, square, np.array([4.0]), 0.5, 0.75, 1.0)
    np.testing.assert_allclose(square, 16)
    np.testing.assert_allclose(value, 10 - 0.5 * 4 / (4 + 1))  # the root, then eps
    twin.rmsprop_update(value, square, np.array([10.0]), 0.5, 0.75, 0.0)
    np.testing.assert_allclose(square, 0.75 * 16 + 0.25 * 100)
    np.testing.assert_allclose(value, 9.6 - 0.5 * 10 / math.sqrt(37))


def test_adam_agrees_with_a_worked_example():
    value, m, v = np.array([10.0]), np.zeros(1), np.zeros(1)
    twin.adam_update(value, m, v, np.array([4.0]), np.array([1]), 0.5, 0.5, 0.75, 1.0, 0.0)
    np.testing.assert_allclose((m[0], v[0]), (2, 4))
    np.testing.assert_allclose(value, 10 - 0.5 * 4 / (4 + 1))  # bias-corrected: 4 and 16
    twin.adam_update(value, m, v, np.array([0.0]), np.array([2]), 0.5, 0.5, 0.75, 1.0, 0.2)
    np.testing.assert_allclose((m[0], v[0]), (1, 3))
    step = 0.5 * (1 / 0.75) / (math.sqrt(3 / 0.4375) + 1)
    np.testing.assert_allclose(value, 9.6 * (1 - 0.5 * 0.2) - step)  # the decay does not enter m or v


# -- any float dtype ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_the_twins_compute_in_any_float_dtype_with_its_precision(dtype):
    eps = max(np.finfo(dtype).eps, np.finfo(np.float64).eps)
    rng = np.random.default_rng(3)
    x, dy, weight = (rng.uniform(0.5, 1, shape).astype(np.float16) for shape in [(6, 4), (6, 4), (4, 4)])
    row, labels = rng.uniform(0.5, 1, 4).astype(np.float16), np.array([0, 1, 2, 3, 0, 1])
    calls = {
        "dense_forward": ([(6, 4)], [x, weight, row]),
        "dense_backward_input": ([(6, 4)], [dy, weight]),
        "dense_backward_weight": ([(4, 4), (4,)], [dy, x]),
        "leaky_relu_forward": ([(6, 4)], [-x, 0.25]),
        "leaky_relu_backward": ([(6, 4)], [dy, -x, 0.25]),
        "softmax_forward": ([(6, 4)], [x]),
        "softmax_backward": ([(6, 4)], [dy, x]),
        "dropout_forward": ([(6, 4)], [x, np.array([3]), 0.5, 1]),
        "batchnorm_forward": ([(6, 4), (6, 4), (4,), (4,), (4,)], [x, row, row, 0.5, 0.25]),
        "batchnorm_inference": ([(6, 4)], [x, row, row, row, row, 0.25]),
        "batchnorm_backward": ([(6, 4), (4,), (4,)], [dy, x, row, row]),
        "softmax_cross_entropy_forward": ([(6,), (6, 4)], [x, labels, dy[:, 0], 0.25]),
        "softmax_cross_entropy_backward": ([(6, 4)], [x, labels, dy[:, 0], 0.25]),
        "momentum_update": ([(4,), (4,)], [row, 0.25, 0.5, True]),
        "rmsprop_update": ([(4,), (4,)], [row, 0.25, 0.5, 0.125]),
        "adam_update": ([(4,), (4,), (4,)], [row, np.array([2]), 0.25, 0.5, 0.75, 0.125, 0.5]),
    }
    for name, (shapes, inputs) in calls.items():
        found, wanted = ([np.ones(shape, kind) for shape in shapes] for kind in (dtype, np.float64))
        for outputs, kind in ((found, dtype), (wanted, np.float64)):
            given = [_as(item, kind) for item in inputs]
            getattr(twin, name)(*outputs, *given)
        for one, right in zip(found, wanted, strict=True):
            assert one.dtype == dtype
            # sums of at most six numbers of magnitude 1, and a dozen operations in sequence
            np.testing.assert_allclose(one.astype(np.float64), right, rtol=0, atol=32 * eps, err_msg=name)


def _as(item, kind):
    return item.astype(kind) if isinstance(item, np.ndarray) and item.dtype == np.float16 else item


# -- gradients ------------------------------------------------------------------------------------------------


def difference(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return a gradient by central differences; its error is about step² + rounding / step."""
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
    rest = {"leaky_relu": (0.1,), "dropout": (np.array([5]), 0.5, 3)}.get(name, ())

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


def test_uint8_pixels_are_divided_by_255():
    y, bias = np.empty((1, 1)), np.zeros(1)
    twin.dense_forward_uint8(y, np.array([[255, 51]], np.uint8), np.ones((2, 1)), bias)
    np.testing.assert_allclose(y, [[1.2]])
    dweight = np.empty((2, 1))
    twin.dense_backward_weight_uint8(dweight, bias, np.array([[2.0]]), np.array([[255, 51]], np.uint8))
    np.testing.assert_allclose(dweight, [[2.0], [0.4]])
