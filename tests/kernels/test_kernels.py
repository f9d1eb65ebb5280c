"""Every compiled kernel agrees with its NumPy twin, on every instruction set of this processor.

The twin, run in float64 on the same numbers, is the oracle. A sum of k products of float32 numbers has an error of at
most k · ε · Σ |a| · |b|, ε = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). Tolerances
below are that bound, or a few ε for elementwise operations.
"""

import functools
import inspect
import itertools
import math
import platform
import re
from collections.abc import Callable

import numpy as np
import pytest
from any_arrays import LAYOUTS, OTHER, REAL, shapes
from doors import DOORS, FREE, IN_PLACE, OUTPUTS, argument_names, arguments, called, changed, places
from hypothesis import given
from hypothesis import strategies as st
from sampled import fastest_kernels, sampled

from fastdigits import _reference as twin

EPS = 2.0**-23
ROWS = [0, 1, 2, 5, 6, 7, 33, 64, 300]
WIDTHS = [(1, 1), (5, 3), (63, 10), (64, 17), (65, 33), (784, 64), (100, 100), (129, 130), (20, 300)]


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def pixels(rows: int, columns: int, density: float) -> np.ndarray:
    rng = np.random.default_rng([rows, columns])
    values = rng.integers(1, 256, (rows, columns))
    return np.where(rng.random((rows, columns)) < density, values, 0).astype(np.uint8)


def blank(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, dtype=np.float32)


def run(kernels, name: str, outputs: list[np.ndarray], *inputs):
    """Call a door twice on read-only inputs: it must fill its outputs, keep its inputs and give the same bits."""
    arrays = [value.copy() if isinstance(value, np.ndarray) else value for value in inputs]
    for value in arrays:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    again = [output.copy() for output in outputs]
    door = getattr(kernels, name)
    door(*outputs, *arrays)
    door(*again, *arrays)
    for first, second in zip(outputs, again, strict=True):
        assert not np.isnan(first).any()
        assert first.tobytes() == second.tobytes()
    for value, original in zip(arrays, inputs, strict=True):
        if isinstance(value, np.ndarray):
            assert value.tobytes() == original.tobytes()


def exact(name: str, outputs: list[np.ndarray], *inputs) -> list[np.ndarray]:
    """Return the outputs of the twin for the same numbers in float64."""
    wide = [value.astype(np.float64) if _is_float(value) else value for value in inputs]
    results = [output.astype(np.float64) for output in outputs]
    getattr(twin, name)(*results, *wide)
    return results


def _is_float(value) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def check(kernels, name: str, outputs: list[np.ndarray], *inputs, ulps: float = 4, bound=None):
    wanted = exact(name, [np.nan_to_num(output) for output in outputs], *inputs)
    run(kernels, name, outputs, *inputs)
    for index, (found, right) in enumerate(zip(outputs, wanted, strict=True)):
        limit = ulps * EPS * (1 + np.abs(right)) if bound is None else bound[index]
        assert np.all(np.abs(found - right) <= limit), (name, np.abs(found - right).max())


# -- dense ---------------------------------------------------------------------------------------------------


def check_dense(kernels, n, n_in, n_out):
    x, weight, bias, dy = floats(n, n_in), floats(n_in, n_out), floats(n_out), floats(n, n_out, seed=1)
    wide = [np.abs(array).astype(np.float64) for array in (x, weight, bias, dy)]
    limit = (n_in + 1) * EPS * (wide[0] @ wide[1] + wide[2])
    check(kernels, "dense_forward", [blank(n, n_out)], x, weight, bias, bound=[limit])
    limit = n_out * EPS * (wide[3] @ wide[1].T)
    check(kernels, "dense_backward_input", [blank(n, n_in)], dy, weight, bound=[limit])
    limits = [n * EPS * (wide[0].T @ wide[3]), 2 * EPS * wide[3].sum(axis=0)]
    check(kernels, "dense_backward_weight", [blank(n_in, n_out), blank(n_out)], dy, x, bound=limits)


def on_a_diagonal(n, n_in, n_out):
    """Select each number of rows and each width twice."""
    return (ROWS.index(n) - WIDTHS.index((n_in, n_out))) % len(ROWS) in (0, 4)


@pytest.mark.parametrize(
    ("n", "n_in", "n_out"), sampled([(n, *width) for n in ROWS for width in WIDTHS], on_a_diagonal)
)
def test_dense_agrees_with_its_twin(kernels, n, n_in, n_out):
    check_dense(kernels, n, n_in, n_out)


@fastest_kernels
@given(n=st.integers(0, 70), n_in=st.integers(1, 700), n_out=st.integers(1, 300))
def test_dense_agrees_with_its_twin_at_any_size(kernels, n, n_in, n_out):
    check_dense(kernels, n, n_in, n_out)


@fastest_kernels
@given(n=st.integers(0, 70), n_in=st.integers(1, 900), n_out=st.integers(1, 100), density=st.floats(0, 1))
def test_dense_on_pixels_agrees_with_its_twin_at_any_size(kernels, n, n_in, n_out, density):
    x, weight, bias, dy = pixels(n, n_in, density), floats(n_in, n_out), floats(n_out), floats(n, n_out)
    unit = x / 255
    limit = (n_in + 2) * EPS * (unit @ np.abs(weight) + np.abs(bias))  # + 1 for the division
    check(kernels, "dense_forward_uint8", [blank(n, n_out)], x, weight, bias, bound=[limit])
    limits = [(n + 1) * EPS * (unit.T @ np.abs(dy)), 2 * EPS * np.abs(dy).sum(axis=0, dtype=float)]
    outputs = [blank(n_in, n_out), blank(n_out)]
    check(kernels, "dense_backward_weight_uint8", outputs, dy, x, bound=limits)


PIXELS = [
    *((1, 784, 64), (2, 784, 64), (7, 5, 3), (33, 65, 17), (64, 784, 64)),
    *((96, 100, 33), (127, 63, 130), (300, 129, 10), (31, 784, 128), (257, 64, 96)),
    # two halves of one block each; unequal halves; a last block shorter and longer than a chunk
    *((33, 384, 17), (20, 1000, 33), (17, 640, 10), (300, 641, 9)),
    # products that copy both factors: more rows than are copied at once, a last tile of one row and few columns
    (271, 397, 270),
    # a narrow layer takes four rows at once, and some rows remain; few rows of a wide one read its weights in order
    *((66, 784, 8), (23, 300, 13), (5, 397, 270), (3, 130, 1100)),
]
DENSITIES = [0.0, 0.02, 0.2, 0.6, 1.0]


@pytest.mark.parametrize(
    ("n", "n_in", "n_out", "density"),
    sampled(
        [(*sizes, density) for sizes in PIXELS for density in DENSITIES],
        lambda *case: case[3] == 0.2 or case[:3] == (64, 784, 64),
    ),
)
def test_pixels_give_the_same_bits_as_their_floats(kernels, n, n_in, n_out, density):
    # zero products change nothing, whether omitted or not, and the others are added in the same order
    x, weight, bias, dy = (
        pixels(n, n_in, density),
        floats(n_in, n_out),
        floats(n_out),
        floats(n, n_out, seed=1),
    )
    divided = x / np.float32(255)
    found, wanted = blank(n, n_out), blank(n, n_out)
    run(kernels, "dense_forward_uint8", [found], x, weight, bias)
    kernels.dense_forward(wanted, divided, weight, bias)
    assert found.tobytes() == wanted.tobytes()
    outputs, wanteds = [blank(n_in, n_out), blank(n_out)], [blank(n_in, n_out), blank(n_out)]
    run(kernels, "dense_backward_weight_uint8", outputs, dy, x)
    kernels.dense_backward_weight(*wanteds, dy, divided)
    for found, wanted in zip(outputs, wanteds, strict=True):
        np.testing.assert_array_equal(found, wanted)  # 0 and -0 are equal


def test_no_kernel_reads_beyond_its_arrays(kernels):
    # NaN follows each array: a product with it shows, even if the other factor is zero
    for n, n_in, n_out in [(96, 784, 64), (33, 70, 17), (1, 65, 64), (3, 1, 64), (6, 65, 9), (3, 70, 1030)]:
        around = blank(n_in + 80, n_out)
        weight = around[:n_in]
        weight[...] = floats(n_in, n_out)
        y = blank(n, n_out)
        kernels.dense_forward_uint8(y, pixels(n, n_in, 0.2), weight, floats(n_out))
        assert np.isfinite(y).all()
        around = blank(n + 300, n_out)
        dy = around[:n]
        dy[...] = floats(n, n_out)
        outputs = [blank(n_in, n_out), blank(n_out)]
        kernels.dense_backward_weight_uint8(*outputs, dy, pixels(n, n_in, 0.2))
        assert all(np.isfinite(output).all() for output in outputs)


# a wide layer copies both factors; few rows read its weights in order, where they are not multiplied by zero
@pytest.mark.parametrize("n_out", [64, 270, 1100])
def test_a_row_gives_the_same_bits_in_any_batch(kernels, n_out):
    x, weight, bias = floats(300, 784), floats(784, n_out), floats(n_out)
    x[x < 0] = 0
    whole = blank(300, n_out)
    kernels.dense_forward(whole, x, weight, bias)
    for rows in (slice(0, 1), slice(17, 19), slice(30, 38), slice(100, 163)):
        some = blank(rows.stop - rows.start, n_out)
        kernels.dense_forward(some, x[rows], weight, bias)
        assert some.tobytes() == whole[rows].tobytes()


# -- activations, batch normalisation, loss ------------------------------------------------------------------

SHAPES = [(0, 3), (1, 1), (1, 10), (7, 17), (64, 64), (33, 100)]


@pytest.mark.parametrize("shape", SHAPES)
def test_activations_agree_with_their_twins(kernels, shape):
    x, dy = floats(*shape), floats(*shape, seed=1)
    x[..., 0] = 0
    check(kernels, "relu_forward", [blank(*shape)], x, ulps=0)
    check(kernels, "relu_backward", [blank(*shape)], dy, x, ulps=0)
    check(kernels, "leaky_relu_forward", [blank(*shape)], x, 0.1, ulps=1)
    check(kernels, "leaky_relu_backward", [blank(*shape)], dy, x, 0.1, ulps=1)
    check(kernels, "softmax_forward", [blank(*shape)], 5 * x, ulps=8)
    probs = exact("softmax_forward", [np.zeros(shape, np.float32)], x)[0].astype(np.float32)
    check(kernels, "softmax_backward", [blank(*shape)], dy, probs)
    check(kernels, "dropout_forward", [blank(*shape)], x, np.array([6]), 0.3, 7)
    check(kernels, "dropout_backward", [blank(*shape)], dy, np.array([6]), 0.3, 7)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_perturbed_sample_moves_by_the_length_along_its_gradient(kernels, shape):
    x, dx = floats(*shape), floats(*shape, seed=1) * np.float32(1e-25)  # squares are below float32
    dx[1::3] = 0
    found, wanted = x.copy(), x.astype(np.float64)
    kernels.perturb(found, dx, 1.5)
    twin.perturb(wanted, dx.astype(np.float64), 1.5)
    np.testing.assert_allclose(found, wanted, rtol=EPS, atol=EPS)  # rounded once
    np.testing.assert_array_equal(found[1::3], x[1::3])
    moved = np.delete(wanted - x, np.s_[1::3], axis=0)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1.5, rtol=1e-12)


def test_activations_propagate_nan(kernels):
    x = np.array([[np.nan, 1.0]], np.float32)
    for name, *rest in [("relu_forward",), ("leaky_relu_forward", 0.1), ("softmax_forward",)]:
        y = np.zeros_like(x)
        getattr(kernels, name)(y, x, *rest)
        assert np.isnan(y[0, 0])


@pytest.mark.parametrize(
    ("name", "scalars"),
    [
        ("relu_forward", ()),
        ("relu_backward", ()),
        ("leaky_relu_forward", (0.1,)),
        ("leaky_relu_backward", (0.1,)),
        ("softmax_forward", ()),
        ("softmax_backward", ()),
        ("dropout_forward", (np.array([2]), 0.4, 1)),
        ("dropout_backward", (np.array([2]), 0.4, 1)),
    ],
)
def test_activations_work_in_place(kernels, name, scalars):
    rest = (floats(9, 20, seed=1), *scalars) if name in WITH_A_SECOND_INPUT else scalars
    for which in (kernels, twin):
        x, y = floats(9, 20), blank(9, 20)
        getattr(which, name)(y, x, *rest)
        getattr(which, name)(x, x, *rest)
        np.testing.assert_array_equal(x, y)


WITH_A_SECOND_INPUT = {"relu_backward", "leaky_relu_backward", "softmax_backward"}


@pytest.mark.parametrize("shift", [0.0, 80.0, -1e4, 1e30])
def test_softmax_of_large_logits_sums_to_one(kernels, shift):
    logits = np.array([[shift, shift - 1, shift - 200]], np.float32)
    probs = blank(1, 3)
    kernels.softmax_forward(probs, logits)
    assert probs.sum() == pytest.approx(1, abs=4 * EPS)
    assert probs[0, 2] < 1e-37 or shift == 1e30


def test_the_exponential_is_within_five_units_in_the_last_place(kernels):
    x = np.linspace(-87, 0, 200_001, dtype=np.float32).reshape(-1, 1)
    logits = np.hstack([np.zeros_like(x), x])
    probs = np.empty_like(logits)
    kernels.softmax_forward(probs, logits)
    ratio = probs[:, 1].astype(np.float64) / probs[:, 0]
    error = np.abs(ratio / np.exp(x[:, 0].astype(np.float64)) - 1)
    assert error.max() < 5 * EPS / 2


def test_dropout_drops_its_rate_and_depends_on_seed_and_step(kernels):
    x = np.ones((500, 400), np.float32)
    masks = {}
    for seed, step in [(1, 1), (1, 2), (2, 1), (2**64 - 1, 2**40)]:
        y = blank(500, 400)
        kernels.dropout_forward(y, x, np.array([step]), 0.25, seed)
        assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
        share = (y == 0).mean()
        assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / x.size)  # five standard deviations
        masks[seed, step] = (y == 0).tobytes()
    assert len(set(masks.values())) == 4


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999, 15705581 / 2**24])  # the last equals the first u
def test_dropout_gives_the_same_bits_as_its_twin(kernels, rate):
    x, step = floats(33, 65), np.array([2**40 + 1])
    for name in ("dropout_forward", "dropout_backward"):
        found, wanted = blank(33, 65), blank(33, 65)
        getattr(kernels, name)(found, x, step, rate, 2**64 - 1)
        getattr(twin, name)(wanted, x, step, rate, 2**64 - 1)
        np.testing.assert_array_equal(found, wanted)
        assert rate > 0 or found.tobytes() == x.tobytes()
        assert (found[0, 0] == 0) == (rate == 0.999)  # u equal to the rate is kept


def check_batchnorm_forward(kernels, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare with the twin, and return x_hat and inv_std."""
    n, d = x.shape
    gamma, beta = floats(d), floats(d, seed=1)
    given = [blank(n, d), blank(n, d), blank(d), floats(d, seed=2), np.abs(floats(d, seed=3))]
    wanted = exact("batchnorm_forward", given, x, gamma, beta, 0.1, 1e-5)
    found = [array.copy() for array in given]
    kernels.batchnorm_forward(*found, x, gamma, beta, 0.1, 1e-5)
    _, x_hat, inv_std, mean, var = wanted
    # Rounding the mean to a float loses up to |x| ε. Times inv_std that is an error of x_hat; its square is one of the
    # variance. Up to four more operations follow.
    lost = EPS * np.abs(x).max(axis=0) * inv_std
    limit_x_hat = lost + 4 * EPS * np.abs(x_hat)
    limit_y = np.abs(gamma) * limit_x_hat + 2 * EPS * (np.abs(gamma * x_hat) + np.abs(beta))
    limits = [limit_y, limit_x_hat, (4 * EPS + lost**2) * inv_std]
    # the running mean and its momentum are rounded once each
    moved = 0.1 * (np.abs(x).max(axis=0) + np.abs(given[3]))
    limits += [EPS * (np.abs(mean) + moved), (4 * EPS + lost**2) * (1 + var)]
    for one, right, limit in zip(found, wanted, limits, strict=True):
        assert np.all(np.abs(one - right) <= limit)
    return found[1], found[2]


def check_batchnorm_backward(kernels, dy: np.ndarray, x_hat: np.ndarray, inv_std: np.ndarray) -> None:
    n, d = dy.shape
    gamma = floats(d)
    size, product = np.abs(dy), np.abs(dy * x_hat)
    limits = [4 * EPS * product.sum(axis=0, dtype=float), 4 * EPS * size.sum(axis=0, dtype=float)]
    parts = size + size.mean(axis=0) + np.abs(x_hat) * product.mean(axis=0)  # terms of dx, before they cancel
    outputs = [blank(n, d), blank(d), blank(d)]
    bound = [8 * EPS * np.abs(gamma) * inv_std * parts, *limits]
    check(kernels, "batchnorm_backward", outputs, dy, x_hat, gamma, inv_std, bound=bound)


# blocks have 16 rows and 64 columns: sizes at, below and above both
@pytest.mark.parametrize(
    ("n", "d"),
    sampled(
        itertools.product([2, 3, 15, 16, 17, 32, 33, 300], [1, 7, 63, 64, 65, 130]),
        lambda n, d: n == 17 or d == 65,
    ),
)
def test_batch_normalisation_agrees_with_its_twin(kernels, n, d):
    x = floats(n, d) * 3 + 5
    x_hat, inv_std = check_batchnorm_forward(kernels, x)
    check_batchnorm_backward(kernels, floats(n, d, seed=1), x_hat, inv_std)
    statistics = [floats(d), floats(d, seed=1), floats(d, seed=2), np.abs(floats(d, seed=3))]
    gamma, beta, mean, var = (array.astype(float) for array in statistics)
    scale = np.abs(gamma) / np.sqrt(var + 1e-5)
    limit = (
        4 * EPS * (scale * (np.abs(x) + np.abs(mean)) + np.abs(beta))
    )  # x · scale and mean · scale may cancel
    check(kernels, "batchnorm_inference", [blank(n, d)], x, *statistics, 1e-5, bound=[limit])


@fastest_kernels
@given(n=st.integers(2, 70), d=st.integers(1, 140))
def test_batch_normalisation_agrees_with_its_twin_at_any_size(kernels, n, d):
    x_hat, inv_std = check_batchnorm_forward(kernels, floats(n, d))
    check_batchnorm_backward(kernels, floats(n, d, seed=1), x_hat, inv_std)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_the_variance_is_accurate_for_a_large_mean(kernels, offset):
    # mean of squares - square of mean has an error of offset² ε: 0.1 for the first, 1e5 for the second
    x = (floats(100, 20) + np.float32(offset)).astype(np.float32)
    check_batchnorm_forward(kernels, x)


def test_a_constant_column_is_normalised_to_zero(kernels):
    x = np.full((20, 3), 7.25, np.float32)
    y, x_hat, inv_std, mean, var = blank(20, 3), blank(20, 3), blank(3), np.zeros(3, "f4"), np.ones(3, "f4")
    kernels.batchnorm_forward(
        y, x_hat, inv_std, mean, var, x, np.ones(3, "f4"), np.full(3, 2, "f4"), 0.5, 1e-4
    )
    np.testing.assert_array_equal(x_hat, 0)
    np.testing.assert_array_equal(y, 2)
    np.testing.assert_allclose(inv_std, 100, rtol=4 * EPS)
    np.testing.assert_array_equal(mean, 3.625)
    np.testing.assert_array_equal(var, 0.5)


@pytest.mark.parametrize("n", [0, 1])
def test_a_batch_of_fewer_than_two_rows_is_rejected(kernels, n):
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=f"x must have at least 2 rows to have a variance; got {n}"):
            which.batchnorm_forward(
                blank(n, 3),
                blank(n, 3),
                *(blank(3) for _ in range(3)),
                blank(n, 3),
                blank(3),
                blank(3),
                0.1,
                1e-5,
            )


def check_loss(kernels, n, c, smoothing):
    logits, weights = 4 * floats(n, c), np.abs(floats(n)) / max(n, 1)
    labels = np.random.default_rng(0).integers(0, c, n)
    check(
        kernels,
        "softmax_cross_entropy_forward",
        [blank(n), blank(n, c)],
        logits,
        labels,
        weights,
        smoothing,
        ulps=16,
    )
    probs = blank(n, c)
    kernels.softmax_forward(probs, logits)
    check(kernels, "softmax_cross_entropy_backward", [blank(n, c)], probs, labels, weights, smoothing)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("n", "c"), [(0, 3), (1, 1), (1, 2), (7, 10), (64, 10), (33, 100)])
def test_the_loss_agrees_with_its_twin(kernels, n, c, smoothing):
    check_loss(kernels, n, c, smoothing)


@fastest_kernels
@given(n=st.integers(0, 40), c=st.integers(1, 120), smoothing=st.sampled_from([0.0, 0.05, 0.5, 0.99]))
def test_the_loss_agrees_with_its_twin_at_any_size(kernels, n, c, smoothing):
    check_loss(kernels, n, c, smoothing)


@pytest.mark.parametrize(
    ("logits", "loss"),
    [
        ([0, 1e4], 1e4),  # in float32 the probability is 0
        ([1e4, 0], 0),
        ([0, -np.inf], 0),  # an impossible class adds 0, not 0 · ∞
        ([-np.inf, 0], np.inf),
        ([np.nan, 0], np.nan),
        ([0, np.nan], np.nan),
    ],
)
def test_the_loss_of_extreme_logits_is_exact(kernels, logits, loss):
    for which in (kernels, twin):
        losses, probs = blank(1), blank(1, 2)
        which.softmax_cross_entropy_forward(
            losses, probs, np.array([logits], np.float32), np.array([0]), np.ones(1, np.float32), 0.0
        )
        np.testing.assert_array_equal(losses[0], np.float32(loss))


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_labels_out_of_range_are_rejected(kernels, label):
    labels = np.array([0, label])
    for call in (
        lambda k: k.softmax_cross_entropy_forward(blank(2), blank(2, 3), floats(2, 3), labels, blank(2), 0.0),
        lambda k: k.softmax_cross_entropy_backward(blank(2, 3), floats(2, 3), labels, blank(2), 0.0),
    ):
        for which in (kernels, twin):
            with pytest.raises(ValueError, match=f"labels must lie in 0 … 2; got {label} at row 1"):
                call(which)


# -- gathering and sums ----------------------------------------------------------------------------------


def test_gather_copies_the_rows(kernels):
    rows = np.array([3, 0, 3, 9])
    x, images, labels, weights = floats(10, 7), pixels(10, 7, 0.5), np.arange(10) * 11, np.abs(floats(10))
    for which in (kernels, twin):
        for name, y, source in [
            ("gather", blank(4, 7), x),
            ("gather_uint8", np.zeros((4, 7), np.uint8), images),
            ("gather_labels", np.zeros(4, np.int64), labels),
        ]:
            getattr(which, name)(y, source, rows)
            np.testing.assert_array_equal(y, source[rows])
        y, total = blank(4), np.zeros(1)
        which.gather_weights(y, total, weights, rows)
        assert total[0] == pytest.approx(weights[rows].sum())
        np.testing.assert_allclose(y, weights[rows] / weights[rows].sum(), rtol=4 * EPS)
        y = blank(4, 7)
        which.gather_pixels(y, images, rows)
        np.testing.assert_array_equal(y, images[rows] / np.float32(255))


@pytest.mark.parametrize("row", [-1, 9, 2**40])
@pytest.mark.parametrize(
    "name", ["gather", "gather_uint8", "gather_pixels", "gather_labels", "gather_weights"]
)
def test_rows_out_of_range_are_rejected(kernels, name, row):
    given = arguments(name)
    given[-1][-1] = row
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=f"{name}: rows must lie in 0 … 8; got {row}"):
            getattr(which, name)(*given)


# -- packing -----------------------------------------------------------------------------------------------

PACKED = np.arange(256, dtype=np.uint8)
PARTS = PACKED.astype(np.float32) / np.float32(255)


def packed(kernels, x: np.ndarray, *scalars: float) -> tuple[np.ndarray, np.ndarray]:
    """Return y and fits of the door for the dtype of x, whose bits the twin must give, too."""
    name, given = "pack_integers", x.view(np.uint8)
    if x.dtype.kind == "f":
        name, given = f"pack_{x.dtype}", x
    found, wanted = ([np.full(x.shape, 9, np.uint8), np.full(len(x), 9, np.uint8)] for _ in range(2))
    run(kernels, name, found, given, *scalars)
    getattr(twin, name)(*wanted, given, *scalars)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    return found[0], found[1]


@pytest.mark.parametrize("columns", [1, 7, 8, 33, 256, 784, 2500])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_packing_gives_each_pixel_of_its_255th_part(kernels, dtype, columns):
    wanted = np.resize(PACKED, (5, columns))
    for white, x in ((255, wanted / dtype(255)), (1, wanted.astype(dtype))):
        y, fits = packed(kernels, x.astype(dtype), white)
        assert fits.tolist() == [1] * 5
        np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("at", [0, 300, 1499])
def test_a_row_with_any_other_number_is_not_packed(kernels, dtype, at):
    tiny = [2.0**-126, 1e-40, 2.0**-149]  # not zero in float32
    others = [-1 / 255, -1e-45, 1.5 / 255, 256 / 255, 2.0, 1e30, np.inf, -np.inf, np.nan, -np.nan, *tiny]
    others += [float(np.nextafter(part, np.float32(to))) for part in PARTS[1:] for to in (0, 2)]
    x = np.zeros((len(others) + 2, 1500), dtype)
    x[1:-1, at] = others
    x[0], x[-1] = PARTS[7], PARTS[255]
    y, fits = packed(kernels, x, 255)
    assert fits.tolist() == [1, *[0] * len(others), 1]
    assert y[0].tolist() == [7] * 1500
    assert y[-1].tolist() == [255] * 1500
    assert not y[1:-1].any()
    x[1:-1, at] = np.array(others, dtype) * 255
    assert packed(kernels, x[1:-1], 1)[1].sum() == np.sum(np.isin(x[1:-1, at], PACKED))


def test_packing_takes_zeros_of_both_signs_and_what_float32_rounds_to_a_part(kernels):
    assert [one.tolist() for one in packed(kernels, -np.zeros((1, 9), np.float32), 255)] == [[[0] * 9], [1]]
    x = np.array([[0.2, 0.2 * (1 + 1e-12), -0.0, 1e-50, -1e-300, 2.0**-150, 51 / 255, 1 - 1e-10]])
    assert [one.tolist() for one in packed(kernels, x, 255)] == [[[51, 51, 0, 0, 0, 0, 51, 255]], [1]]


@pytest.mark.parametrize("size", [2, 4, 8])
def test_packing_takes_integers_of_any_width_and_byte_order(kernels, size):
    whole = np.resize(PACKED, (6, 300))
    for order, shift in (("=", 0), ("S", 8 * size - 8)):
        for kind in "iu":
            x = whole.astype(np.dtype(f"{kind}{size}").newbyteorder(order))
            y, fits = packed(kernels, x, size, shift)
            assert fits.tolist() == [1] * 6
            np.testing.assert_array_equal(y, whole)
        for row, value in enumerate([256, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1))]):
            x = whole.astype(np.dtype(f"i{size}").newbyteorder(order))
            x[row, 299 - row] = value
            y, fits = packed(kernels, x, size, shift)
            assert fits.tolist() == [int(other != row) for other in range(6)]
            assert not y[row].any()


@pytest.mark.parametrize(("size", "shift"), [(1, 0), (3, 0), (16, 0), (2, 16), (4, 8), (8, -8)])
def test_packing_refuses_other_widths(kernels, size, shift):
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=f"size must be 2, 4 or 8, shift 0 or .*; got {size}, {shift}"):
            which.pack_integers(*arguments("pack_integers")[:3], size, shift)


@pytest.mark.parametrize("columns", [1, 7, 8, 33, 784])
def test_the_range_of_each_row(kernels, columns):
    odd = [0.0, -0.0, 1e-40, -1e-45, 3e38, -3e38, np.inf, -np.inf, np.nan, -np.nan]
    x = np.repeat(floats(1, columns), len(odd) + 1, axis=0)
    x[:-1, columns // 2] = odd
    for which in (kernels, twin):
        low, high = blank(len(x)), blank(len(x))
        which.row_ranges(low, high, x)
        np.testing.assert_array_equal(low, x.min(axis=1))
        np.testing.assert_array_equal(high, x.max(axis=1))
        assert np.isnan(low).sum() == 2
        with pytest.raises(ValueError, match=r"row_ranges: x must be .* got no columns"):
            which.row_ranges(low, high, x[:, :0].copy())


@pytest.mark.parametrize("size", [0.001, 1.0, 1000.0])
def test_weights_of_any_size_are_normalised(kernels, size):
    weights, probs = np.array([1, 2, 5], np.float32) * np.float32(size), np.eye(3, dtype=np.float32)
    for which in (kernels, twin):
        y, total, totals = blank(2), np.zeros(1), np.zeros(3)
        which.gather_weights(y, total, weights, np.array([0, 2]))
        np.testing.assert_allclose(total, 6 * size, rtol=4 * EPS)
        np.testing.assert_allclose(y, [1 / 6, 5 / 6], rtol=4 * EPS)
        which.accumulate(totals, weights, probs, np.array([0, 2, 2]), weights, np.array([2.0]))
        np.testing.assert_allclose(totals, [2 * 8 * size, 2 * 6 / 8, 2], rtol=4 * EPS)


def test_sums_over_a_large_batch_are_accurate(kernels):
    # summed in float32, 2²⁰ + 1 tenths give 105,892 instead of 104,858
    n, tenth = 2**20 + 1, np.float32(0.1)
    whole = n * float(tenth)
    tenths, table, ones = np.full(n, tenth), np.full((n, 2), tenth), np.ones(2, np.float32)
    rows, labels = np.arange(n), np.zeros(n, np.int64)
    alternating = table.copy()
    alternating[1::2] *= 2
    for which in (kernels, twin):
        dgamma, dbeta, total, totals = blank(2), blank(2), np.zeros(1), np.zeros(3)
        which.dense_backward_weight(np.empty((2, 2), np.float32), dbeta, table, table)
        np.testing.assert_allclose(dbeta, whole, rtol=EPS)
        which.batchnorm_backward(np.empty_like(table), dgamma, dbeta, table, table, ones, ones)
        np.testing.assert_allclose(dbeta, whole, rtol=EPS)
        np.testing.assert_allclose(dgamma, whole * float(tenth), rtol=2 * EPS)
        which.gather_weights(np.empty(n, np.float32), total, tenths, rows)
        which.accumulate(totals, tenths, table, labels, tenths, np.ones(1))
        np.testing.assert_allclose([total[0], *totals], [whole, whole, 1, 1], rtol=1e-12)
        mean, var = np.zeros(2, np.float32), np.zeros(2, np.float32)
        y, x_hat = np.empty_like(table), np.empty_like(table)
        which.batchnorm_forward(y, x_hat, blank(2), mean, var, alternating, ones, ones, 1.0, 0.0)
        # one more row of 0.1 than of 0.2: that and rounding change less than a millionth
        np.testing.assert_allclose(mean, 1.5 * float(tenth), rtol=1e-6)
        np.testing.assert_allclose(var, (0.5 * float(tenth)) ** 2, rtol=1e-6)


def test_weights_that_are_all_zero_give_zeros(kernels):
    for which in (kernels, twin):
        y, total, totals = blank(2), np.full(1, np.nan), np.ones(3)
        which.gather_weights(y, total, np.zeros(3, np.float32), np.array([0, 2]))
        assert (y.tolist(), total.tolist()) == ([0, 0], [0])
        which.accumulate(totals, y, np.ones((2, 2), np.float32), np.zeros(2, np.int64), y, np.array([4.0]))
        assert totals.tolist() == [1, 1, 5]


def test_accumulate_adds_losses_and_accuracy(kernels):
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32)
    for which in (kernels, twin):
        totals = np.array([1.0, 2.0, 3.0])
        weights = np.array([0.5, 0.25, 0.25], np.float32)
        which.accumulate(totals, weights, probs, np.array([0, 1, 1]), weights, np.array([8.0]))
        np.testing.assert_allclose(totals, [1 + 8 * 1.0, 2 + 8 * 0.75, 3 + 8])


def test_accumulate_without_classes_is_rejected(kernels):
    given = arguments("accumulate")
    given[2] = given[2][:, :0].copy()
    for which in (kernels, twin):
        with pytest.raises(ValueError, match="accumulate: probs must have at least 1 column, a class; got 0"):
            which.accumulate(*given)


# -- optimizers ----------------------------------------------------------------------------------------------

SIZES = [0, 1, 3, 16, 17, 1000]


def adam(value, m, v, grad, lr, beta1, beta2, eps, decay, step):
    """Return one step of Adam (Kingma and Ba 2015, algorithm 1; decay: Loshchilov and Hutter 2019, algorithm 2)."""
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return value - lr * decay * value - lr * m_hat / (math.sqrt(v_hat) + eps), m, v


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_agrees_with_the_paper(kernels, size, decay):
    for which in (kernels, twin):
        value, m, v = floats(size), np.zeros(size, np.float32), np.zeros(size, np.float32)
        wanted = [(float(number), 0.0, 0.0) for number in value]
        for step in range(1, 8):
            grad = floats(size, seed=step) * 10.0 ** (step - 4)
            which.adam_update(value, m, v, grad, np.array([step]), 0.01 * step, 0.9, 0.999, 1e-8, decay)
            wanted = [
                adam(*one, float(g), 0.01 * step, 0.9, 0.999, 1e-8, decay, step)
                for one, g in zip(wanted, grad, strict=True)
            ]
        np.testing.assert_allclose(
            value, [one[0] for one in wanted], rtol=2e-5, atol=2e-6
        )  # 7 steps of ~ 0.05


@pytest.mark.parametrize("size", SIZES)
def test_sgd_momentum_and_rmsprop_agree_with_their_rules(kernels, size):
    for which in (kernels, twin):
        start = floats(size)
        values = {name: start.copy() for name in ("sgd", "momentum", "nesterov", "rmsprop")}
        state = {name: np.zeros(size, np.float32) for name in values}
        wanted = {name: start.astype(np.float64) for name in values}
        memory = {name: np.zeros(size) for name in values}
        for step in range(6):
            grad = floats(size, seed=step)
            wide = grad.astype(np.float64)
            which.sgd_update(values["sgd"], grad, 0.1)
            which.momentum_update(values["momentum"], state["momentum"], grad, 0.1, 0.9, False)
            which.momentum_update(values["nesterov"], state["nesterov"], grad, 0.1, 0.9, True)
            which.rmsprop_update(values["rmsprop"], state["rmsprop"], grad, 0.01, 0.9, 1e-8)
            wanted["sgd"] -= 0.1 * wide
            for name in ("momentum", "nesterov"):
                memory[name] = 0.9 * memory[name] + wide
            wanted["momentum"] -= 0.1 * memory["momentum"]
            wanted["nesterov"] -= 0.1 * (wide + 0.9 * memory["nesterov"])
            memory["rmsprop"] = 0.9 * memory["rmsprop"] + 0.1 * wide**2
            wanted["rmsprop"] -= 0.01 * wide / (np.sqrt(memory["rmsprop"]) + 1e-8)
        for name, value in values.items():
            np.testing.assert_allclose(value, wanted[name], rtol=1e-5, atol=3e-6, err_msg=name)


def test_adam_rejects_step_zero(kernels):
    for which in (kernels, twin):
        with pytest.raises(ValueError, match="step must be at least 1, the first update; got 0"):
            which.adam_update(*(blank(2) for _ in range(4)), np.array([0]), 0.1, 0.9, 0.999, 1e-8, 0.0)


# -- moment normalisation ------------------------------------------------------------------------------------

MOMENT_NORM = ("moment_norm", "moment_norm_uint8")


def strokes(n: int, height: int, width: int) -> np.ndarray:
    """Return images of bytes: noise, lines in both directions, dots, blank and full ones."""
    rng = np.random.default_rng([n, height, width])
    images = np.zeros((n, height, width), np.uint8)
    for k, image in enumerate(images):
        i, j = rng.integers(height), rng.integers(width)
        part = [(slice(None), slice(None)), (i, slice(None)), (slice(None), j), (i, j), (slice(i), slice(j))][
            k % 5
        ]
        image[part] = rng.integers(0, 256, image[part].shape)
    images[-1] = 255
    return images.reshape(n, -1)


@pytest.mark.parametrize(
    ("height", "width"), [(28, 28), (1, 1), (1, 64), (64, 1), (64, 64), (5, 40), (40, 5), (31, 29)]
)
def test_normalised_images_have_the_bits_of_the_twin(kernels, height, width):
    x = strokes(11, height, width)
    sizes = height, width, 0.19 * height, 0.15 * width
    found, wanted = np.full_like(x, 7), np.full_like(x, 8)
    run(kernels, "moment_norm_uint8", [found], x, *sizes)
    twin.moment_norm_uint8(wanted, x, *sizes)
    assert found.tobytes() == wanted.tobytes()
    floats = blank(*x.shape)
    run(kernels, "moment_norm", [floats], x / np.float32(255), *sizes)
    assert floats.tobytes() == (found / np.float32(255)).tobytes()
    run(kernels, "moment_norm", [floats], x.astype(np.float32) + np.float32(0.5), *sizes)
    twin.moment_norm(wanted := blank(*x.shape), x + np.float32(0.5), *sizes)
    # where a sum of moments is rounded, a weight of 1 / 256 of a pixel may be the next one
    assert np.abs(floats - wanted).max() <= 1.1


def test_a_normalised_image_by_hand(kernels):
    # two pixels in one row, 100 and 200: their centre is column 5 / 3, which becomes column 2; their variance is 2 / 9,
    # as wanted, so columns keep their scale: column 2 is 100 / 3 + 2 · 200 / 3. The line is stretched to two rows each
    x = np.zeros((1, 5, 5), np.uint8)
    x[0, 0, 1:3] = 100, 200
    y = np.empty((1, 25), np.uint8)
    for which in (kernels, twin):
        which.moment_norm_uint8(y, x.reshape(1, 25), 5, 5, 1.0, math.sqrt(2 / 9))
        np.testing.assert_allclose(y.reshape(5, 5)[2], [0, 67, 167, 67, 0], atol=1)
        np.testing.assert_allclose(y.reshape(5, 5)[1], y.reshape(5, 5)[2] / 2, atol=1)
        assert not y.reshape(5, 5)[[0, 4]].any()


def test_normalising_deslants_centres_and_scales(kernels):
    upright = np.zeros((28, 28), np.uint8)
    upright[4:24, 12:16] = 200
    slanted = np.stack([np.roll(row, (14 - i) // 3 + 2) for i, row in enumerate(upright)])
    x = np.stack([upright, slanted, np.roll(upright, (3, -4), (0, 1))]).reshape(3, -1)
    y = np.empty_like(x)
    kernels.moment_norm_uint8(y, x, 28, 28, 5.0, 4.0)
    assert y[0].tobytes() == y[2].tobytes()
    assert np.abs(y[1].astype(int) - y[0]).mean() < 0.15 * y[0].mean()


def test_images_without_a_pixel_above_zero_stay_as_they_are(kernels):
    x = np.array([[0.0, 0.0, 0.0, 0.0], [-1.0, -2.0, 0.0, -3.0]], np.float32)
    for which in (kernels, twin):
        y = blank(2, 4)
        which.moment_norm(y, x, 2, 2, 1.0, 1.0)
        np.testing.assert_array_equal(y, x)
        black = np.ones((2, 4), np.uint8)
        which.moment_norm_uint8(black, np.zeros((2, 4), np.uint8), 2, 2, 1.0, 1.0)
        assert not black.any()


def test_numbers_that_are_not_finite_are_normalised_without_harm(kernels):
    x = np.tile(floats(1, 784), (4, 1))
    x[np.arange(4), [0, 300, 783, 5]] = np.nan, np.inf, -np.inf, 3e38
    y = np.empty_like(x)
    kernels.moment_norm(y, x, 28, 28, 5.0, 4.0)


@pytest.mark.parametrize("name", MOMENT_NORM)
def test_sizes_of_normalised_images_are_checked(kernels, name):
    x = np.zeros((1, 65), np.uint8 if name.endswith("uint8") else np.float32)
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=rf"{name}: images must be at most \(64, 64\); got \(65, 1\)"):
            getattr(which, name)(x.copy(), x, 65, 1, 1.0, 1.0)
        for sigma in (0.0, -1.0, 65.0, math.nan):
            with pytest.raises(
                ValueError, match=f"{name}: sigmas must be above 0 and at most 64; got 1, {sigma:g}"
            ):
                getattr(which, name)(x.copy(), x, 5, 13, 1.0, sigma)


# -- all doors ------------------------------------------------------------------------------------


def refusal(door: Callable[..., object], given: list, index: int, match: str) -> str:
    """Return the message of the ValueError of a call; ``index`` is the wrong argument."""
    said = ""
    try:
        door(*given)
    except ValueError as error:
        said = str(error)
    assert re.search(match, said), f"argument {index}: {said or 'no error'}"
    return said


def test_every_door_is_tested_here():
    assert {name for name, _ in inspect.getmembers(twin, inspect.isfunction) if name[0] != "_"} == set(DOORS)


@pytest.mark.parametrize("name", DOORS)
def test_a_door_accepts_arguments_by_position_and_by_name(kernels, name):
    for which in (kernels, twin):
        placed, named = arguments(name), arguments(name)
        getattr(which, name)(*placed)
        getattr(which, name)(**dict(zip(argument_names(name), named, strict=True)))
        for one, other in zip(placed, named, strict=True):
            np.testing.assert_array_equal(one, other)


def grown(array: np.ndarray, axis: int) -> np.ndarray:
    return np.concatenate([array, np.take(array, [-1], axis)], axis)


def shrunk(array: np.ndarray, axis: int) -> np.ndarray:
    return np.delete(array, -1, axis)


@pytest.mark.parametrize("name", DOORS)
def test_a_wrong_size_is_rejected_with_the_same_message_by_door_and_twin(kernels, name):
    for index in places(name):
        for axis, change in itertools.product(range(len(DOORS[name][index][1])), (grown, shrunk)):
            if FREE.get((name, index)) == axis:
                continue
            given = changed(name, index, functools.partial(change, axis=axis))
            said = refusal(getattr(kernels, name), given, index, r": .* must be ")
            assert said.startswith(f"{name}: ")
            assert said == refusal(getattr(twin, name), given, index, r": .* must be ")


def fenced(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a copy that is aligned to no vector, inside an array of NaN (or 255), and that array."""
    fence = np.nan if array.dtype.kind == "f" else 255
    whole = np.full(array.size + 161, fence, array.dtype)
    inside = whole[81 : 81 + array.size].reshape(array.shape)
    inside[...] = array
    return inside, whole


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize(
    "sizes",
    [
        (5, 17, 3, 33),
        *(
            pytest.param(sizes, marks=pytest.mark.exhaustive)
            for sizes in [(2, 1, 1, 1), (17, 65, 70, 100), (40, 300, 9, 1000)]
        ),
    ],
)
def test_a_door_accesses_only_its_arrays_at_any_alignment(kernels, name, sizes):
    # reading a NaN shows in the result, writing over one is found; alignment must not change a bit
    given = arguments(name, **dict(zip("ndmp", sizes, strict=True)))
    plain = [item.copy() if isinstance(item, np.ndarray) else item for item in given]
    getattr(kernels, name)(*plain)
    inside, wholes = zip(
        *(fenced(item) if isinstance(item, np.ndarray) else (item, None) for item in given), strict=True
    )
    for place, item in enumerate(inside):
        if isinstance(item, np.ndarray):
            item.flags.writeable = place < OUTPUTS[name]
    getattr(kernels, name)(*inside)
    for place, (found, wanted, whole) in enumerate(zip(inside, plain, wholes, strict=True)):
        if whole is not None:
            assert found.tobytes() == wanted.tobytes(), argument_names(name)[place]
            around = np.concatenate([whole[:81], whole[81 + found.size :]])
            assert np.all(np.isnan(around) if found.dtype.kind == "f" else around == 255)
            if place >= OUTPUTS[name]:
                np.testing.assert_array_equal(found, given[place])


@pytest.mark.parametrize("name", [name for name in DOORS if name != "batchnorm_forward"])
def test_a_batch_without_rows_fills_every_output(kernels, name):
    given = arguments(name, n=0, p=0)
    for argument, item in zip(argument_names(name)[: OUTPUTS[name]], given, strict=False):
        if argument not in IN_PLACE and item.dtype.kind == "f":
            item[...] = np.nan
    wanted = [item.copy() if isinstance(item, np.ndarray) else item for item in given]
    getattr(kernels, name)(*given)
    getattr(twin, name)(*wanted)
    for found, right in zip(given[: OUTPUTS[name]], wanted, strict=False):
        assert not np.isnan(right).any()
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("name", DOORS)
def test_a_twin_accepts_read_only_inputs_and_keeps_them(name):
    given = arguments(name)
    copies = [item.copy() if isinstance(item, np.ndarray) else item for item in given]
    for item in given[OUTPUTS[name] :]:
        if isinstance(item, np.ndarray):
            item.flags.writeable = False
    getattr(twin, name)(*given)
    for found, wanted in zip(given[OUTPUTS[name] :], copies[OUTPUTS[name] :], strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", DOORS)
def test_strided_arrays_are_rejected(kernels, name):
    def spread(array):
        return np.repeat(array, 2, axis=-1)[..., ::2]

    for index in places(name):
        if DOORS[name][index][1] != (1,):  # a single element has no stride
            refusal(
                getattr(kernels, name), changed(name, index, spread), index, "ndarray is not C-contiguous"
            )


@pytest.mark.parametrize("name", DOORS)
def test_another_dtype_is_rejected(kernels, name):
    for index in places(name):
        given = changed(name, index, lambda array: array.astype(np.int16))
        refusal(getattr(kernels, name), given, index, "Buffer dtype mismatch")


@pytest.mark.parametrize("name", DOORS)
def test_a_read_only_output_is_rejected(kernels, name):
    for index, which in itertools.product(range(OUTPUTS[name]), (kernels, twin)):
        given = arguments(name)
        given[index].flags.writeable = False
        refusal(getattr(which, name), given, index, "read-only")


@st.composite
def disturbed(draw, name):
    """Draw arguments of a door; up to two have another shape, dtype or layout, or values out of range."""
    given = arguments(name)
    arrays = [place for place, item in enumerate(given) if isinstance(item, np.ndarray)]
    for place in draw(st.lists(st.sampled_from(arrays), max_size=2, unique=True)):
        array = given[place]
        way = draw(st.sampled_from(["shape", "dtype", "layout", "values", "none"]))
        if way == "shape":
            given[place] = np.resize(array, draw(shapes(array.shape)))
        elif way == "dtype":
            given[place] = np.zeros(array.shape, draw(st.sampled_from(REAL + OTHER)))
        elif way == "layout":  # doors require aligned arrays: see the stub
            aligned = sorted(key for key in LAYOUTS if "misaligned" not in key)
            given[place] = LAYOUTS[draw(st.sampled_from(aligned))](array)
        elif way == "values" and array.size:
            strange = (
                [-1, 2**40, 9, 300] if array.dtype.kind in "ui" else [np.nan, np.inf, -np.inf, 1e38, 1e-45]
            )
            with np.errstate(over="ignore", under="ignore"):
                array.flat[draw(st.integers(0, array.size - 1))] = np.array(
                    draw(st.sampled_from(strange))
                ).astype(array.dtype)
        elif way == "none":
            given[place] = None
    return given


@fastest_kernels
@pytest.mark.parametrize("name", sampled(DOORS, lambda name: list(DOORS).index(name) % 6 == 5))
@given(data=st.data())
def test_a_door_rejects_any_array_or_agrees_with_its_twin(kernels, name, data):
    given = data.draw(disturbed(name))
    found = called(getattr(kernels, name), given)
    if found is None or any(item is None for item in given):  # doors accept None as an empty array
        return
    again = called(getattr(kernels, name), given)
    assert [item.tobytes() for item in again] == [item.tobytes() for item in found]
    arrays = [np.array(item) for item in given if isinstance(item, np.ndarray)]
    for before, after in list(zip(arrays, found, strict=True))[OUTPUTS[name] :]:
        assert after.tobytes() == before.tobytes()
    sizes = np.abs(np.concatenate([item.ravel() for item in arrays if item.dtype.kind == "f"] or [[0.0]]))
    if ((sizes == 0) | ((sizes > 1e-30) & (sizes < 1e6))).all():  # kernels treat denormals as zero
        plain = [np.array(item) if isinstance(item, np.ndarray) else item for item in given]
        right = called(getattr(twin, name), plain)
        assert right is not None
        for one, other in zip(found, right, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_door_restores_the_float_state_of_the_thread(kernels):
    # denormals are zero inside a door only
    tiny = np.full((1, 1), 1e-41, np.float32)
    y = blank(1, 1)
    kernels.leaky_relu_forward(y, tiny, 0.5)
    assert y[0, 0] == 0 or platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64")
    assert float(tiny[0, 0]) * 1.0 > 0
    assert (tiny * np.float32(0.5))[0, 0] > 0
