"""Adversarial training: half of each batch moves towards a larger loss before its step.

tests/properties/test_same_bits.py holds that any number of threads, lowered or eager, gives the same bits.
"""

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.nn.input_gradient import input_gradient
from fastdigits.training import adversarial


def network(*first: fd.Layer, seed: int = 0) -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [*first, fd.Dense(784, 32), fd.BatchNorm(32), fd.ReLU(), fd.Dense(32, 10)], seed=seed
    )


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = fd.load_mnist()
    return x[:4000], y[:4000]


@pytest.mark.usefixtures("backend")
def test_the_first_half_of_a_batch_moves_by_the_length_along_its_gradient(digits):
    x, y = digits[0][:7].reshape(7, 784), digits[1][:7].astype(np.int64)
    net, loss = network(), fd.SoftmaxCrossEntropy(label_smoothing=0.1)
    moved = (x / 255).astype(np.float32)
    gradient = input_gradient(net.layers, moved[:4], y[:4], loss).astype(np.float64)
    moved[:4] += 1.5 * gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    wanted = net.run(moved, training=True)
    found = adversarial.forward(network(), x, y, loss, 1.5)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert abs(found - network().run(x, training=True)).max() > 0.01


def test_the_columns_of_a_table_move_in_standard_deviations():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)).astype(np.float32), rng.integers(0, 2, 40)
    units = np.array([1e-6, 1, 1e6], np.float32)

    def fitted(rows: np.ndarray) -> np.ndarray:
        net = fd.NeuralNetwork([fd.Standardize(3).adapt(rows), fd.Dense(3, 5), fd.ReLU(), fd.Dense(5, 2)])
        net.fit(rows, y, epochs=2, batch_size=10, adversarial=0.3, shuffle=False)
        return net.predict_proba(rows)

    np.testing.assert_allclose(fitted(x * units), fitted(x), rtol=1e-3)


def test_it_makes_a_network_that_small_changes_fool_less_often(digits):
    x, y = digits
    right = {}
    for length in (0.0, 1.5):
        net = network()
        net.fit(x[:3000], y[:3000], epochs=4, optimizer=fd.Adam(0.01), adversarial=length)
        moved = (x[3000:] / 255).astype(np.float32)
        gradient = net.input_gradient(x[3000:], y[3000:])
        moved += gradient / np.linalg.norm(gradient, axis=(1, 2), keepdims=True)
        net.scale = "numbers"  # moved pixels leave 0 … 1
        right[length] = net.evaluate(moved, y[3000:])["accuracy"]
    assert right[1.5] > right[0.0] + 0.2  # 0.58 and 0.12


def test_running_statistics_are_those_of_the_images_as_they_are(digits):
    x, y = digits
    net = network()
    net.fit(x, y, epochs=1, adversarial=3.0)
    before = net.layers[1].running_mean.copy()
    net.renew_statistics(x)
    np.testing.assert_allclose(net.layers[1].running_mean, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("length", "error", "match"),
    [
        (-1, ValueError, r"fit: adversarial must be .*0.*; got -1"),
        (float("nan"), ValueError, "fit: adversarial must be"),
        ("far", TypeError, "fit: adversarial must be a number; got 'far'"),
    ],
)
def test_a_wrong_length_is_refused(digits, length, error, match):
    with pytest.raises(error, match=match):
        network().fit(*digits, adversarial=length)


class Doubled(fd.Layer):
    """A first layer of one's own; it says that it prepares the images."""

    prepares_input = True

    def forward(self, x, training=False):
        return 2 * x

    def backward(self, dy):
        return None


@pytest.mark.filterwarnings("ignore:fit. Doubled is written in Python")
def test_a_layer_of_ones_own_may_prepare_the_images(digits):
    x, y = digits[0][:60], digits[1][:60]
    net, plain = network(Doubled()), network()
    net.fit(x, y, epochs=1, adversarial=1.5)
    plain.scale = "numbers"
    plain.fit(2 * (x / np.float32(255)), y, epochs=1, adversarial=1.5)
    np.testing.assert_allclose(net.values, plain.values, rtol=1e-4, atol=1e-5)
