"""Clipped gradients: kernels against their twins, and what a training makes of them."""

import math

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import _reference as twin
from fastdigits import backend as backends


def floats(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, n]).standard_normal(n).astype(np.float32)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 17, 64, 1000])
@pytest.mark.parametrize("most", [0.01, 1.0, 1e6])
def test_clip_agrees_with_its_twin(kernels, n, most):
    parts = [floats(n), floats(33, 1), floats(5, 2)]
    squares, wanted = np.full(3, np.nan), np.full(3, np.nan)
    for k, grad in enumerate(parts):
        kernels.sum_squares(squares, grad, k)
        twin.sum_squares(wanted, grad, k)
    np.testing.assert_allclose(squares, wanted, rtol=1e-13)  # sums in double, in another order
    for grad in parts:
        found, right = grad.copy(), grad.astype(np.float64)
        kernels.clip(found, squares, most)
        twin.clip(right, squares, most)
        np.testing.assert_allclose(found, right, rtol=2**-22)
        if most > 1e3:
            assert found.tobytes() == grad.tobytes()


def test_sums_of_squares_do_not_overflow_where_float32_would(kernels):
    grad, squares = np.array([3e30, 4e30], dtype=np.float32), np.zeros(1)
    kernels.sum_squares(squares, grad, 0)
    kernels.clip(grad, squares, 1.0)
    np.testing.assert_allclose(grad, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("module", fd.available_backends())
def test_a_place_beyond_the_sums_is_refused(module):
    with pytest.raises(ValueError, match="sum_squares: k must lie in 0 … 1; got 2"):
        backends.load(module).sum_squares(np.zeros(2), floats(3), 2)


def test_all_gradients_are_scaled_together(backend):
    first, second = fd.Parameter("first", [[0.0, 0.0]]), fd.Parameter("second", [0.0])
    first.grad, second.grad = [[2.0, 3.0]], [6.0]
    clip = fd.ClipNorm(3.5)
    assert math.isnan(clip.norm)
    clip.apply([first, second])
    assert clip.norm == pytest.approx(7.0)
    np.testing.assert_allclose(first.grad, [[1.0, 1.5]], rtol=1e-6)
    np.testing.assert_allclose(second.grad, [3.0], rtol=1e-6)
    clip.apply([second])
    assert clip.norm == pytest.approx(3.0)
    assert second.grad[0] == 3.0  # within the bound
    assert repr(clip) == "ClipNorm(most=3.5)"


@pytest.mark.parametrize(
    ("most", "error"), [(0, ValueError), (-1.0, ValueError), (math.nan, ValueError), ("1", TypeError)]
)
def test_a_wrong_bound_is_refused(most, error):
    with pytest.raises(error, match="ClipNorm: most must be"):
        fd.ClipNorm(most)
    net = fd.NeuralNetwork([fd.Dense(4, 2)])
    with pytest.raises(error, match="fit: clip_norm must be"):
        net.fit(np.zeros((4, 4), np.uint8), np.array([0, 1, 0, 1]), clip_norm=most)


def examples(n: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (n, 16), dtype=np.uint8), np.arange(n) % 3


def network() -> fd.NeuralNetwork:
    return fd.NeuralNetwork([fd.Dense(16, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=2)


def test_a_clipped_step_is_as_long_as_the_bound_says(backend):
    x, y = examples(32)
    net = network()
    before = net.values.copy()
    net.fit(x, y, epochs=1, batch_size=32, optimizer=fd.SGD(lr=1.0), clip_norm=0.125)
    moved = math.sqrt(np.square(net.values - before, dtype=float).sum())
    assert moved == pytest.approx(0.125, rel=1e-5)


@pytest.mark.parametrize("make", [lambda: fd.SGD(0.5), lambda: fd.Momentum(0.1), lambda: fd.Adam(0.01)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_clipped_training_gives_the_bits_of_eager_steps(make, threads):
    x, y = examples()
    lowered, eager = network(), network()
    lowered.fit(
        x, y, epochs=2, batch_size=32, optimizer=make(), clip_norm=0.2, shuffle=False, threads=threads
    )
    optimizer, loss, clip, norms = make(), fd.SoftmaxCrossEntropy(), fd.ClipNorm(0.2), []
    for start in (0, 32, 64) * 2:
        part = slice(start, start + 32)
        loss.forward(eager.forward(x[part], training=True), y[part])
        eager.backward(loss.backward())
        clip.apply(eager.parameters())
        norms.append(clip.norm)
        optimizer.step(eager.parameters())
    assert min(norms) > 0.2  # each of them was clipped
    assert lowered.values.tobytes() == eager.values.tobytes()
