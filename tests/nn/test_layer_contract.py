"""What every layer promises, held for each of them on both backends."""

import copy
import pickle

import numpy as np
import pytest

import fastdigits.nn.layers
from fastdigits.nn.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    LeakyReLU,
    MomentNorm,
    ReLU,
    Softmax,
    Standardize,
)

WIDTH, ROWS = 5, 7


def dense() -> Dense:
    layer = Dense(WIDTH, 3)
    layer.initialize(np.random.default_rng(1))
    layer.bias.value = [0.1, -0.2, 0.3]
    return layer


def batchnorm() -> BatchNorm:
    layer = BatchNorm(WIDTH)
    layer.gamma.value = np.linspace(0.5, 1.5, WIDTH)
    layer.beta.value = np.linspace(-1, 1, WIDTH)
    layer.running_mean[:] = 0.3
    layer.running_var[:] = 2.0
    return layer


def standardize() -> Standardize:
    layer = Standardize(WIDTH)
    layer.mean, layer.var = np.linspace(-1, 1, WIDTH), np.linspace(0.5, 4, WIDTH)
    return layer


MAKERS = [
    *(dense, batchnorm, ReLU, lambda: LeakyReLU(0.1), Softmax, lambda: Dropout(0.4), standardize),
    lambda: MomentNorm(1, WIDTH),
]

on_every_backend = pytest.mark.usefixtures(
    "backend"
)  # what is refused is refused in Python, before any kernel
every_layer = pytest.mark.parametrize("make", MAKERS, ids=lambda make: type(make()).__name__)


def batch(rows: int = ROWS, seed: int = 2) -> np.ndarray:
    """Return numbers at least 0.2 away from zero, where ReLU and LeakyReLU have a kink."""
    x = np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)
    return x + np.sign(x) * np.float32(0.2)


def like_output(layer: Layer, rows: int = ROWS, seed: int = 4) -> np.ndarray:
    shape = (rows, layer.output_width(WIDTH))
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_the_contract_covers_every_layer():
    assert {type(make()).__name__ for make in MAKERS} == set(fastdigits.nn.layers.__all__) - {"Layer"}


# -- forward -----------------------------------------------------------------------------------------------


@on_every_backend
@every_layer
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("rows", [2, 7, 65])
def test_the_output_is_float32_in_c_order_of_the_width_that_was_said(make, training, rows):
    layer = make()
    y = layer.forward(batch(rows), training)
    assert type(y) is np.ndarray
    assert y.dtype == np.float32
    assert y.shape == (rows, layer.output_width(WIDTH))
    assert y.flags.c_contiguous


@on_every_backend
@every_layer
@pytest.mark.parametrize("training", [False, True])
def test_the_input_is_not_changed_and_may_be_read_only(make, training):
    layer, x = make(), batch()
    before = x.copy()
    x.flags.writeable = False
    layer.forward(x, training)
    np.testing.assert_array_equal(x, before)


@on_every_backend
@every_layer
@pytest.mark.parametrize("training", [False, True])
def test_any_memory_layout_gives_the_same_bits(make, training):
    x = batch()
    expected = make().forward(x, training)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1].copy()[::-1]):
        np.testing.assert_array_equal(make().forward(other, training), expected)


@on_every_backend
@every_layer
def test_evaluation_gives_the_same_bits_again_and_leaves_the_layer_as_it_is(make):
    layer = make()
    before = pickle.dumps(layer)
    first = layer.forward(batch()).copy()
    np.testing.assert_array_equal(layer.forward(batch()), first)
    if not isinstance(layer, Dense):  # it notes that its weight has been looked at
        assert pickle.dumps(layer) == before


@on_every_backend
@every_layer
def test_in_evaluation_a_row_does_not_depend_on_the_others(make):
    layer, x = make(), batch()
    whole = layer.forward(x)
    for i in range(ROWS):
        # A BLAS behind the NumPy twins may add the five products in another order for one row.
        np.testing.assert_allclose(layer.forward(x[i : i + 1])[0], whole[i], rtol=1e-6, atol=1e-6)


@every_layer
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (batch().astype(np.float64), TypeError, r"x must be an array of float32.*; got float64: x.astype"),
        (batch().astype(">f4"), TypeError, "x must be an array of float32"),
        (batch().tolist(), TypeError, "got list"),
        (batch()[0], ValueError, r"x must be \(n, (5|d)\); got \(5,\): for one image, x\[np.newaxis\]"),
        (
            np.zeros((2, 5, 5), np.float32),
            ValueError,
            r"got \(2, 5, 5\): flatten each image to one row first",
        ),
        (batch()[:0], ValueError, r"got \(0, 5\): at least one image is needed"),
        (np.zeros((4, 0), np.float32), ValueError, r"got \(4, 0\)"),
    ],
    ids=["float64", "byte order", "list", "one row", "images", "no rows", "no columns"],
)
def test_a_wrong_input_is_refused_and_changes_nothing(make, training, x, error, match):
    layer = make()
    before = pickle.dumps(layer)
    with pytest.raises(error, match=match) as caught:
        layer.forward(x, training)
    assert str(caught.value).startswith(f"{type(layer).__name__}(")
    assert pickle.dumps(layer) == before


@every_layer
def test_an_error_names_the_layer_once_it_has_a_name(make):
    layer = make()
    layer.name = "third7"
    with pytest.raises(TypeError, match=rf"^third7, {type(layer).__name__}\("):
        layer.forward(None)


# -- backward ----------------------------------------------------------------------------------------------


def slope(layer: Layer, x: np.ndarray, weights: np.ndarray, array: np.ndarray, way: np.ndarray) -> float:
    """Return the derivative of Σ weights · y along ``way`` in ``array``, by central differences."""
    start, size, sums = array.copy(), 1e-2, []
    for sign in (1, -1):
        array[...] = start + sign * size * way
        if isinstance(layer, Dropout):
            layer.step = 0  # the mask that the backward pass uses
        sums.append((layer.forward(x, training=True).astype(np.float64) * weights).sum())
    array[...] = start
    return (sums[0] - sums[1]) / (2 * size)


@on_every_backend
@every_layer
def test_backward_agrees_with_central_differences(make):
    layer, x = make(), batch()
    dy = like_output(layer)
    layer.forward(x, training=True)
    dx = layer.backward(dy)
    rng = np.random.default_rng(8)
    pairs = [] if dx is None else [(x, dx)]  # pixels have no gradient
    pairs += ((parameter.value, parameter.grad.copy()) for parameter in layer.parameters())
    for array, gradient in pairs:
        for _ in range(3):
            way = rng.normal(size=array.shape)
            way /= np.linalg.norm(way)
            # float32 outputs near 1 are good to 1e-7, their difference over 2e-2 to about 1e-5 each; the
            # third derivative, at most about 10 here, adds 1e-2² / 6 · 10 = 2e-4.
            assert slope(layer, x, dy, array, way) == pytest.approx((gradient * way).sum(), abs=1e-3)


@on_every_backend
@every_layer
def test_the_gradient_of_the_input_agrees_with_central_differences_and_changes_nothing(make):
    layer, x, size = make(), batch(), 1e-2
    dy, y = like_output(layer), layer.forward(x)
    before = pickle.dumps(layer)
    dx = layer.backward_input(dy, x, y)
    if dx is None:  # pixels have no gradient
        return
    assert pickle.dumps(layer) == before
    way = np.random.default_rng(8).normal(size=x.shape).astype(np.float32)
    way /= np.linalg.norm(way)
    low, high = (layer.forward(x + step * way).astype(np.float64) for step in (-size, size))
    # as in the test above; evaluation needs no batch statistics
    assert ((high - low) * dy).sum() / (2 * size) == pytest.approx((dx * way).sum(), abs=1e-3)


@on_every_backend
@every_layer
def test_backward_overwrites_gradients_and_gives_the_same_bits_again(make):
    layer = make()
    dy = like_output(layer)
    layer.forward(batch(), training=True)
    results = []
    for _ in range(2):
        for parameter in layer.parameters():
            parameter.grad[...] = np.nan
        results.append([layer.backward(dy), *(parameter.grad.copy() for parameter in layer.parameters())])
    for first, second in zip(*results, strict=True):
        assert first is None or np.isfinite(first).all()
        np.testing.assert_array_equal(first, second)


@on_every_backend
@every_layer
def test_backward_belongs_to_the_last_forward_in_training(make):
    layer, dy = make(), like_output(make())
    layer.forward(batch(seed=9), training=True)
    layer.forward(batch(), training=True)
    expected = layer.backward(dy)
    layer.forward(batch(3, seed=10))  # an evaluation in between
    np.testing.assert_array_equal(layer.backward(dy), expected)


@on_every_backend
@every_layer
def test_backward_does_not_change_its_input_which_may_be_read_only_and_of_any_layout(make):
    layer = make()
    dy = like_output(layer)
    layer.forward(batch(), training=True)
    expected = layer.backward(dy)
    before = dy.copy()
    dy.flags.writeable = False
    for other in (dy, np.asfortranarray(dy), np.repeat(dy, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(layer.backward(other), expected)
    np.testing.assert_array_equal(dy, before)


@every_layer
def test_backward_before_a_forward_in_training_is_refused(make):
    layer = make()
    layer.forward(batch())
    with pytest.raises(RuntimeError, match=r"backward needs a forward in training.*training=True"):
        layer.backward(like_output(layer))


@every_layer
def test_a_wrong_output_gradient_is_refused(make):
    layer = make()
    layer.forward(batch(), training=True)
    width = layer.output_width(WIDTH)
    with pytest.raises(TypeError, match=r"dy must be an array of float32; got float64: dy\.astype"):
        layer.backward(like_output(layer).astype(np.float64))
    with pytest.raises(TypeError, match="dy must be an array of float32; got NoneType"):
        layer.backward(None)
    with pytest.raises(ValueError, match=rf"dy must be \(7, {width}\), like the output; got \(6, {width}\)"):
        layer.backward(like_output(layer, 6))


# -- what a network asks for -------------------------------------------------------------------------------


@every_layer
def test_the_configuration_and_the_repr_make_another_one_like_it(make):
    layer = make()
    for other in (type(layer)(**layer.config()), eval(repr(layer), vars(fastdigits.nn.layers).copy())):
        assert type(other) is type(layer)
        assert other.config() == layer.config()


@every_layer
def test_parameters_and_buffers_are_the_same_objects_at_each_call(make):
    layer = make()
    assert all(a is b for a, b in zip(layer.parameters(), layer.parameters(), strict=True))
    assert all(layer.buffers()[name] is array for name, array in layer.buffers().items())
    assert all(array.dtype == np.float32 for array in layer.buffers().values())


@every_layer
def test_operations_are_a_count(make):
    operations = make().operations(WIDTH)
    assert type(operations) is int
    assert operations >= 0


@on_every_backend
@every_layer
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deepcopy", "pickle"]
)
def test_a_copy_computes_the_same_and_leaves_the_batch_behind(make, duplicate):
    layer = make()
    layer.forward(batch(), training=True)
    other = duplicate(layer)
    np.testing.assert_array_equal(other.forward(batch()), layer.forward(batch()))
    with pytest.raises(RuntimeError, match="backward needs a forward"):
        other.backward(like_output(layer))
    layer.backward(like_output(layer))
