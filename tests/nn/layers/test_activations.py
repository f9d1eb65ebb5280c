"""ReLU, LeakyReLU and Softmax on numbers worked by hand and at the edges of float32."""

import numpy as np
import pytest

from fastdigits.nn.layers import LeakyReLU, ReLU, Softmax

pytestmark = pytest.mark.usefixtures("backend")

X = np.array([[-2, 0, 3], [0.5, -1, -0.0]], dtype=np.float32)
DY = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)


def test_relu_keeps_what_is_positive():
    layer = ReLU()
    np.testing.assert_array_equal(layer.forward(X, training=True), [[0, 0, 3], [0.5, 0, 0]])
    np.testing.assert_array_equal(layer.backward(DY), [[0, 0, 3], [4, 0, 0]])
    assert repr(layer) == "ReLU()"


def test_leaky_relu_lets_a_part_of_the_negative_through():
    layer = LeakyReLU(0.25)
    np.testing.assert_array_equal(layer.forward(X, training=True), [[-0.5, 0, 3], [0.5, -0.25, 0]])
    np.testing.assert_array_equal(layer.backward(DY), [[0.25, 0.5, 3], [4, 1.25, 1.5]])
    assert repr(layer) == "LeakyReLU(slope=0.25)"


def test_leaky_relu_of_slope_zero_is_relu():
    np.testing.assert_array_equal(LeakyReLU(0).forward(X), ReLU().forward(X))


@pytest.mark.parametrize("slope", [-0.1, 1.0, float("nan")])
def test_a_slope_out_of_range_is_refused(slope):
    with pytest.raises(ValueError, match=r"LeakyReLU: slope must be .* 0 ≤ slope < 1; got"):
        LeakyReLU(slope)


def test_a_slope_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match=r"LeakyReLU: slope must be a number; got None"):
        LeakyReLU(None)


def test_softmax_of_logarithms_gives_their_shares():
    layer = Softmax()
    x = np.log(np.array([[1, 2, 5], [1, 1, 2]], dtype=np.float32))
    # A few units in the last place of float32.
    np.testing.assert_allclose(
        layer.forward(x, training=True), [[1 / 8, 2 / 8, 5 / 8], [0.25, 0.25, 0.5]], 1e-6
    )
    # Second row: probs · (dy - Σ dy · probs), the sum being 1 + 1.25 + 3 = 5.25.
    np.testing.assert_allclose(layer.backward(DY)[1], [0.25 * -1.25, 0.25 * -0.25, 0.5 * 0.75], rtol=1e-5)


def test_softmax_of_large_numbers_neither_overflows_nor_loses_its_sum():
    probs = Softmax().forward(np.array([[1e4, 1e4, -1e4], [-1e38, 0, 1e38]], dtype=np.float32))
    np.testing.assert_allclose(probs, [[0.5, 0.5, 0], [0, 0, 1]], atol=1e-30)


def test_softmax_does_not_change_when_a_row_is_shifted():
    x = np.array([[1, 2, 4]], dtype=np.float32)
    np.testing.assert_array_equal(Softmax().forward(x), Softmax().forward(x + 64))
