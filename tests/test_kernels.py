"""Every compiled kernel does what its twin does, on every instruction set that this processor has.

The twin runs in float64 on the same numbers and is the oracle. A sum of k products of float32 numbers, added one by
one, is off by at most k · ε · Σ |a| · |b|, ε = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, section
3.1); tolerances below are that bound, or a few ε for what is worked out number by number.
"""

import math
import platform

import numpy as np
import pytest

from fastdigits import _reference as twin
from fastdigits import backend

EPS = 2.0**-23
COMPILED = [name for name in backend.MODULES if name != "numpy"]
ROWS = [0, 1, 2, 5, 6, 7, 33, 64, 300]
WIDTHS = [(1, 1), (5, 3), (63, 10), (64, 17), (65, 33), (784, 64), (100, 100), (129, 130)]


@pytest.fixture(params=COMPILED)
def kernels(request):
    if request.param not in backend.available_backends():
        pytest.skip(f"this processor has no {request.param}")
    return backend.load(request.param)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def pixels(rows: int, columns: int, density: float) -> np.ndarray:
    rng = np.random.default_rng([rows, columns])
    values = rng.integers(1, 256, (rows, columns))
    return np.where(rng.random((rows, columns)) < density, values, 0).astype(np.uint8)


def blank(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan, dtype=np.float32)


def run(kernels, name: str, outputs: list[np.ndarray], *inputs):
    """Call a door on read-only inputs, twice: it must fill its outputs, keep its inputs, and repeat itself."""
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
    """Return what the twin makes of the same numbers in float64."""
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


@pytest.mark.parametrize("n", ROWS)
@pytest.mark.parametrize(("n_in", "n_out"), WIDTHS)
def test_dense_agrees_with_its_twin(kernels, n, n_in, n_out):
    x, weight, bias, dy = floats(n, n_in), floats(n_in, n_out), floats(n_out), floats(n, n_out, seed=1)
    wide = [np.abs(array).astype(np.float64) for array in (x, weight, bias, dy)]
    limit = (n_in + 1) * EPS * (wide[0] @ wide[1] + wide[2])
    check(kernels, "dense_forward", [blank(n, n_out)], x, weight, bias, bound=[limit])
    limit = n_out * EPS * (wide[3] @ wide[1].T)
    check(kernels, "dense_backward_input", [blank(n, n_in)], dy, weight, bound=[limit])
    limits = [n * EPS * (wide[0].T @ wide[3]), 2 * EPS * wide[3].sum(axis=0)]
    check(kernels, "dense_backward_weight", [blank(n_in, n_out), blank(n_out)], dy, x, bound=limits)


@pytest.mark.parametrize("density", [0.0, 0.02, 0.2, 0.6, 1.0])
@pytest.mark.parametrize(
    ("n", "n_in", "n_out"),
    [
        (1, 784, 64),
        (2, 784, 64),
        (7, 5, 3),
        (33, 65, 17),
        (64, 784, 64),
        (96, 100, 33),
        (127, 63, 130),
        (300, 129, 10),
        (31, 784, 128),
        (257, 64, 96),
    ],
)
def test_pixels_give_the_bits_of_their_floats(kernels, n, n_in, n_out, density):
    # skipped or not: zero products change nothing, and the others are added in the same order
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
        np.testing.assert_array_equal(found, wanted)  # 0 and -0 may differ in sign


def test_no_kernel_reads_behind_its_arrays(kernels):
    # the arrays end where NaN begins: a product with what lies behind would show, even times zero
    for n, n_in, n_out in [(96, 784, 64), (33, 70, 17), (1, 65, 64), (3, 1, 64)]:
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


def test_a_row_does_not_depend_on_its_batch(kernels):
    x, weight, bias = floats(300, 784), floats(784, 64), floats(64)
    whole = blank(300, 64)
    kernels.dense_forward(whole, x, weight, bias)
    for rows in (slice(0, 1), slice(17, 19), slice(100, 163)):
        some = blank(rows.stop - rows.start, 64)
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
    check(kernels, "dropout_forward", [blank(*shape)], x, 0.3, 7, 5)
    check(kernels, "dropout_backward", [blank(*shape)], dy, 0.3, 7, 5)


def test_a_nan_stays_one(kernels):
    x = np.array([[np.nan, 1.0]], np.float32)
    for name, *rest in [("relu_forward",), ("leaky_relu_forward", 0.1), ("softmax_forward",)]:
        y = np.zeros_like(x)
        getattr(kernels, name)(y, x, *rest)
        assert np.isnan(y[0, 0])


@pytest.mark.parametrize("name", ["relu_forward", "leaky_relu_forward", "softmax_forward"])
def test_activations_work_in_place(kernels, name):
    x, y = floats(9, 20), blank(9, 20)
    rest = (0.1,) if name.startswith("leaky") else ()
    getattr(kernels, name)(y, x, *rest)
    getattr(kernels, name)(x, x, *rest)
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("shift", [0.0, 80.0, -1e4, 1e30])
def test_softmax_survives_large_logits(kernels, shift):
    logits = np.array([[shift, shift - 1, shift - 200]], np.float32)
    probs = blank(1, 3)
    kernels.softmax_forward(probs, logits)
    assert probs.sum() == pytest.approx(1, abs=4 * EPS)
    assert probs[0, 2] < 1e-37 or shift == 1e30


def test_the_exponential_is_good_to_a_few_units_in_the_last_place(kernels):
    x = np.linspace(-87, 0, 200_001, dtype=np.float32).reshape(-1, 1)
    logits = np.hstack([np.zeros_like(x), x])
    probs = np.empty_like(logits)
    kernels.softmax_forward(probs, logits)
    ratio = probs[:, 1].astype(np.float64) / probs[:, 0]
    error = np.abs(ratio / np.exp(x[:, 0].astype(np.float64)) - 1)
    assert error.max() < 5 * EPS / 2


def test_dropout_keeps_its_share_and_is_a_function_of_its_key(kernels):
    x = np.ones((500, 400), np.float32)
    masks = {}
    for seed, step in [(1, 0), (1, 1), (2, 0), (2**64 - 1, 2**40)]:
        y = blank(500, 400)
        kernels.dropout_forward(y, x, 0.25, seed, step)
        assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
        share = (y == 0).mean()
        assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / x.size)  # five standard deviations
        masks[seed, step] = (y == 0).tobytes()
    assert len(set(masks.values())) == 4


@pytest.mark.parametrize("shape", [(2, 1), (3, 7), (64, 64), (33, 65), (300, 130)])
def test_batch_normalisation_agrees_with_its_twin(kernels, shape):
    n, d = shape
    x, dy, gamma, beta = floats(n, d) * 3 + 5, floats(n, d, seed=1), floats(d), floats(d, seed=1)
    running = [floats(d, seed=2), np.abs(floats(d, seed=3))]
    outputs = [blank(n, d), blank(n, d), blank(d)]
    wanted = exact("batchnorm_forward", [*map(np.nan_to_num, outputs), *running], x, gamma, beta, 0.1, 1e-5)
    found = [*outputs, *(array.copy() for array in running)]
    kernels.batchnorm_forward(*found, x, gamma, beta, 0.1, 1e-5)
    spread = 1 + np.abs(x).max() * float(
        wanted[2].max()
    )  # x - mean cancels; 1/std carries what is lost into x_hat
    for one, right in zip(found, wanted, strict=True):
        assert np.all(np.abs(one - right) <= 16 * EPS * spread * (1 + np.abs(right)))
    check(kernels, "batchnorm_inference", [blank(n, d)], x, gamma, beta, *running, 1e-5, ulps=64)
    x_hat, inv_std = found[1], found[2]
    size = (
        n * np.abs(dy).max() * (1 + np.abs(x_hat).max()) * (1 + np.abs(inv_std).max() * np.abs(gamma).max())
    )
    check(
        kernels,
        "batchnorm_backward",
        [blank(n, d), blank(d), blank(d)],
        dy,
        x_hat,
        gamma,
        inv_std,
        bound=[8 * EPS * size] * 3,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("n", "c"), [(1, 2), (7, 10), (64, 10), (33, 100)])
def test_the_loss_agrees_with_its_twin(kernels, n, c, smoothing):
    logits, weights = 4 * floats(n, c), np.abs(floats(n)) / n
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


def test_the_loss_of_a_hopeless_guess_is_exact(kernels):
    losses, probs = blank(1), blank(1, 2)
    kernels.softmax_cross_entropy_forward(
        losses, probs, np.array([[0, 1e4]], np.float32), np.array([0]), np.ones(1, np.float32), 0.0
    )
    assert losses[0] == 1e4


@pytest.mark.parametrize("label", [-1, 3, 2**40])
def test_labels_out_of_range_are_refused(kernels, label):
    labels = np.array([0, label])
    for call in (
        lambda k: k.softmax_cross_entropy_forward(blank(2), blank(2, 3), floats(2, 3), labels, blank(2), 0.0),
        lambda k: k.softmax_cross_entropy_backward(blank(2, 3), floats(2, 3), labels, blank(2), 0.0),
    ):
        for which in (kernels, twin):
            with pytest.raises(ValueError, match=f"labels must lie in 0 … 2; got {label} at row 1"):
                call(which)


# -- gathering and counting ----------------------------------------------------------------------------------


def test_gathering_takes_the_rows(kernels):
    rows = np.array([3, 0, 3, 9])
    x, images, labels, weights = floats(10, 7), pixels(10, 7, 0.5), np.arange(10) * 11, np.abs(floats(10))
    for name, y, source in [
        ("gather", blank(4, 7), x),
        ("gather_uint8", np.zeros((4, 7), np.uint8), images),
        ("gather_labels", np.zeros(4, np.int64), labels),
    ]:
        getattr(kernels, name)(y, source, rows)
        np.testing.assert_array_equal(y, source[rows])
    y, total = blank(4), np.zeros(1)
    kernels.gather_weights(y, total, weights, rows)
    assert total[0] == pytest.approx(weights[rows].sum())
    np.testing.assert_allclose(y, weights[rows] / weights[rows].sum(), rtol=4 * EPS)
    y = blank(4, 7)
    kernels.gather_pixels(y, images, rows)
    np.testing.assert_array_equal(y, images[rows] / np.float32(255))


@pytest.mark.parametrize("row", [-1, 10])
def test_rows_out_of_range_are_refused(kernels, row):
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=f"gather: rows must lie in 0 … 9; got {row}"):
            which.gather(blank(1, 7), floats(10, 7), np.array([row]))


def test_tally_adds_up_losses_and_hits(kernels):
    probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32)
    for which in (kernels, twin):
        totals = np.array([1.0, 2.0, 3.0])
        weights = np.array([0.5, 0.25, 0.25], np.float32)
        which.tally(totals, weights, probs, np.array([0, 1, 1]), weights, np.array([8.0]))
        np.testing.assert_allclose(totals, [1 + 8 * 1.0, 2 + 8 * 0.75, 3 + 8])


# -- optimizers ----------------------------------------------------------------------------------------------

SIZES = [1, 3, 16, 17, 1000]


def adam(value, m, v, grad, lr, beta1, beta2, eps, decay, step):
    """Kingma and Ba (2015), algorithm 1; the decay as in Loshchilov and Hutter (2019), algorithm 2."""
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad**2
    m_hat, v_hat = m / (1 - beta1**step), v / (1 - beta2**step)
    return value - lr * decay * value - lr * m_hat / (math.sqrt(v_hat) + eps), m, v


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_follows_the_paper(kernels, size, decay):
    for which in (kernels, twin):
        value, m, v = floats(size), np.zeros(size, np.float32), np.zeros(size, np.float32)
        wanted = [(float(number), 0.0, 0.0) for number in value]
        for step in range(1, 8):
            grad = floats(size, seed=step) * 10.0 ** (step - 4)
            which.adam_update(value, m, v, grad, 0.01 * step, 0.9, 0.999, 1e-8, decay, step)
            wanted = [
                adam(*one, float(g), 0.01 * step, 0.9, 0.999, 1e-8, decay, step)
                for one, g in zip(wanted, grad, strict=True)
            ]
        np.testing.assert_allclose(
            value, [one[0] for one in wanted], rtol=2e-5, atol=2e-6
        )  # 7 steps of ~ 0.05


@pytest.mark.parametrize("size", SIZES)
def test_the_simpler_optimizers_follow_their_rules(kernels, size):
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


def test_adam_counts_from_one(kernels):
    for which in (kernels, twin):
        with pytest.raises(ValueError, match="step must be at least 1, the first update; got 0"):
            which.adam_update(*(blank(2) for _ in range(4)), 0.1, 0.9, 0.999, 1e-8, 0.0, 0)


# -- what every door does ------------------------------------------------------------------------------------

F, D, B, L = np.float32, np.float64, np.uint8, np.int64
DOORS = {  # arguments that fit together: (dtype, shape), or a scalar
    "gather": [(F, (3, 4)), (F, (9, 4)), (L, (3,))],
    "gather_uint8": [(B, (3, 4)), (B, (9, 4)), (L, (3,))],
    "gather_pixels": [(F, (3, 4)), (B, (9, 4)), (L, (3,))],
    "gather_labels": [(L, (3,)), (L, (9,)), (L, (3,))],
    "gather_weights": [(F, (3,)), (D, (1,)), (F, (9,)), (L, (3,))],
    "dense_forward": [(F, (3, 5)), (F, (3, 4)), (F, (4, 5)), (F, (5,))],
    "dense_forward_uint8": [(F, (3, 5)), (B, (3, 4)), (F, (4, 5)), (F, (5,))],
    "dense_backward_input": [(F, (3, 4)), (F, (3, 5)), (F, (4, 5))],
    "dense_backward_weight": [(F, (4, 5)), (F, (5,)), (F, (3, 5)), (F, (3, 4))],
    "dense_backward_weight_uint8": [(F, (4, 5)), (F, (5,)), (F, (3, 5)), (B, (3, 4))],
    "relu_forward": [(F, (3, 4))] * 2,
    "relu_backward": [(F, (3, 4))] * 3,
    "leaky_relu_forward": [(F, (3, 4)), (F, (3, 4)), 0.1],
    "leaky_relu_backward": [(F, (3, 4)), (F, (3, 4)), (F, (3, 4)), 0.1],
    "softmax_forward": [(F, (3, 4))] * 2,
    "softmax_backward": [(F, (3, 4))] * 3,
    "dropout_forward": [(F, (3, 4)), (F, (3, 4)), 0.5, 1, 2],
    "dropout_backward": [(F, (3, 4)), (F, (3, 4)), 0.5, 1, 2],
    "batchnorm_forward": [*[(F, (3, 4))] * 2, *[(F, (4,))] * 3, (F, (3, 4)), *[(F, (4,))] * 2, 0.1, 1e-5],
    "batchnorm_inference": [*[(F, (3, 4))] * 2, *[(F, (4,))] * 4, 1e-5],
    "batchnorm_backward": [(F, (3, 4)), *[(F, (4,))] * 2, *[(F, (3, 4))] * 2, *[(F, (4,))] * 2],
    "softmax_cross_entropy_forward": [(F, (3,)), *[(F, (3, 4))] * 2, (L, (3,)), (F, (3,)), 0.1],
    "softmax_cross_entropy_backward": [*[(F, (3, 4))] * 2, (L, (3,)), (F, (3,)), 0.1],
    "tally": [(D, (3,)), (F, (3,)), (F, (3, 4)), (L, (3,)), (F, (3,)), (D, (1,))],
    "sgd_update": [(F, (7,)), (F, (7,)), 0.1],
    "momentum_update": [*[(F, (7,))] * 3, 0.1, 0.9, True],
    "rmsprop_update": [*[(F, (7,))] * 3, 0.1, 0.9, 1e-8],
    "adam_update": [*[(F, (7,))] * 4, 0.1, 0.9, 0.999, 1e-8, 0.0, 1],
}


def arguments(name: str, index: int | None = None, change=lambda array: array) -> list:
    made = [
        np.ones(*reversed(spec)).astype(spec[0]) if isinstance(spec, tuple) else spec for spec in DOORS[name]
    ]
    if index is not None:
        made[index] = change(made[index])
    return made


ARRAYS = [
    (name, i) for name, specs in DOORS.items() for i, spec in enumerate(specs) if isinstance(spec, tuple)
]


@pytest.mark.parametrize("name", DOORS)
def test_every_door_is_tried_here_and_takes_what_fits(kernels, name):
    for which in (kernels, twin):
        getattr(which, name)(*arguments(name))


@pytest.mark.parametrize(("name", "index"), ARRAYS)
def test_a_size_that_does_not_fit_is_refused_by_door_and_twin(kernels, name, index):
    def grow(array):
        return np.concatenate([array, array[-1:]])

    if (name.startswith("gather") and index == len(DOORS[name]) - 2) or (
        index == 3 and name == "gather_weights"
    ):
        pytest.skip("the source of rows may have any length")
    for which in (kernels, twin):
        with pytest.raises(ValueError, match=rf"{name.removesuffix('_uint8')}\w*: \w+ must be"):
            getattr(which, name)(*arguments(name, index, grow))


@pytest.mark.parametrize(("name", "index"), ARRAYS)
def test_strided_memory_is_refused(kernels, name, index):
    def spread(array):
        return np.repeat(array, 2, axis=-1)[..., ::2]

    if DOORS[name][index][1] == (1,):
        pytest.skip("one number has no stride")
    with pytest.raises(ValueError, match="ndarray is not C-contiguous"):
        getattr(kernels, name)(*arguments(name, index, spread))


@pytest.mark.parametrize(("name", "index"), ARRAYS)
def test_another_dtype_is_refused(kernels, name, index):
    with pytest.raises(ValueError, match="Buffer dtype mismatch"):
        getattr(kernels, name)(*arguments(name, index, lambda array: array.astype(np.int16)))


@pytest.mark.parametrize("name", DOORS)
def test_an_output_that_may_not_be_written_is_refused(kernels, name):
    def lock(array):
        array.flags.writeable = False
        return array

    with pytest.raises(ValueError, match="read-only"):
        getattr(kernels, name)(*arguments(name, 0, lock))


def test_the_float_state_of_the_thread_is_given_back(kernels):
    # denormals are zero inside, and must be themselves again outside
    tiny = np.full((1, 1), 1e-41, np.float32)
    y = blank(1, 1)
    kernels.leaky_relu_forward(y, tiny, 0.5)
    assert y[0, 0] == 0 or platform.machine().lower() not in ("x86_64", "amd64", "aarch64", "arm64")
    assert float(tiny[0, 0]) * 1.0 > 0
    assert (tiny * np.float32(0.5))[0, 0] > 0
