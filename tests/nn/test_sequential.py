"""A network checks what comes in, hands it on unchanged, and survives copies."""

import copy
import pickle
import re

import numpy as np
import pytest

import fastdigits as fd


def small(seed: int = 0, *, batchnorm: bool = True) -> fd.NeuralNetwork:
    middle = [fd.BatchNorm(6), fd.ReLU()] if batchnorm else [fd.ReLU()]
    return fd.NeuralNetwork([fd.Dense(16, 6), *middle, fd.Dense(6, 5), fd.ReLU(), fd.Dense(5, 3)], seed=seed)


def pixels(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4), dtype=np.uint8)


class Square(fd.Layer):
    """A layer of a user: y = scale · x²."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = fd.Parameter("scale", np.array([2.0], dtype=np.float32))

    def forward(self, x, training=False):
        self.x = x
        return self.scale.value * x * np.float64(1.0) * x

    def backward(self, dy):
        self.scale.grad[:] = (dy * self.x * self.x).sum()
        return 2 * self.scale.value * self.x * dy

    def parameters(self):
        return [self.scale]


# -- assembly ----------------------------------------------------------------------------------------------


def test_layers_and_parameters_are_named_by_kind_and_number():
    net = small()
    assert [layer.name for layer in net.layers] == [
        "dense1",
        "batchnorm1",
        "relu1",
        "dense2",
        "relu2",
        "dense3",
    ]
    assert [parameter.name for parameter in net.parameters()] == [
        "dense1.weight",
        "dense1.bias",
        "batchnorm1.gamma",
        "batchnorm1.beta",
        "dense2.weight",
        "dense2.bias",
        "dense3.weight",
        "dense3.bias",
    ]
    assert set(net.buffers()) == {"batchnorm1.running_mean", "batchnorm1.running_var"}


def test_every_parameter_is_a_view_of_the_two_blocks():
    net = small()
    net.values[:] = 7.0
    net.gradients[:] = 3.0
    for parameter in net.parameters():
        assert (parameter.value == 7.0).all()
        assert (parameter.grad == 3.0).all()
        assert parameter.value.ctypes.data % 64 == 0


def test_the_seed_decides_the_initial_weights():
    assert (small(3).values == small(3).values).all()
    assert not (small(3).values == small(4).values).all()


def test_the_repr_rebuilds_the_network():
    net = small()
    space = {"NeuralNetwork": fd.NeuralNetwork, "Dense": fd.Dense, "BatchNorm": fd.BatchNorm, "ReLU": fd.ReLU}
    assert (eval(repr(net), space).values == net.values).all()


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        ([], ValueError, "at least one layer"),
        (5, TypeError, "list of layers; got 5"),
        (fd.Dense(4, 3), TypeError, "list of layers"),
        ([fd.Dense(4, 3), "relu"], TypeError, r"layers\[1\] must be a Layer; got 'relu'"),
        ([fd.Dense(4, 3), fd.ReLU], TypeError, "call it to make one"),
        ([fd.Dense(4, 3), fd.Dense(4, 3)], ValueError, "3"),
        ([fd.ReLU(), fd.Dense(4, 3), fd.BatchNorm(4)], ValueError, "3"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(layers, error, match):
    with pytest.raises(error, match=match):
        fd.NeuralNetwork(layers)


def test_a_layer_stands_in_one_place_of_one_network():
    relu = fd.ReLU()
    with pytest.raises(ValueError, match="second time"):
        fd.NeuralNetwork([fd.Dense(4, 4), relu, fd.Dense(4, 4), relu])
    net = small()
    with pytest.raises(ValueError, match="is dense1 of one"):
        fd.NeuralNetwork([net.layers[0]])


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("a", TypeError)]
)
def test_a_seed_is_an_integer_of_at_least_zero(seed, error):
    with pytest.raises(error, match="seed must be"):
        fd.NeuralNetwork([fd.Dense(4, 3)], seed=seed)


def test_dropout_layers_draw_from_different_seeds():
    def seeds(seed):
        net = fd.NeuralNetwork([fd.Dense(4, 4), fd.Dropout(0.5), fd.Dense(4, 4), fd.Dropout(0.5)], seed=seed)
        return [net.layers[1].seed, net.layers[3].seed]

    assert len({*seeds(0), *seeds(1)}) == 4
    assert seeds(0) == seeds(0)


# -- what comes in -----------------------------------------------------------------------------------------


def test_uint8_means_value_over_255_and_floats_are_taken_as_they_are():
    net = small()
    x = pixels(7)
    # x / 255 and the kernel's scaling differ by one rounding a product at most: 16 products of numbers ≤ 1.
    expected = net.forward(x.reshape(7, 16) / 255)
    np.testing.assert_allclose(net.forward(x), expected, atol=1e-5)
    assert not np.allclose(net.forward(x.astype(np.float32)), expected, atol=1e-2)


def test_a_first_layer_other_than_dense_gets_float_rows():
    x = pixels(5)
    net = fd.NeuralNetwork([fd.BatchNorm(16), fd.Dense(16, 3)])
    np.testing.assert_allclose(net.forward(x), net.forward(x.reshape(5, 16) / np.float32(255)), atol=1e-6)


def test_a_subclass_of_dense_with_a_forward_of_its_own_gets_float_rows():
    class Doubled(fd.Dense):
        def forward(self, x, training=False):
            assert x.dtype == np.float32
            return super().forward(2 * x, training)

    net = fd.NeuralNetwork([Doubled(16, 3)])
    weight = net.parameters()[0].value
    np.testing.assert_allclose(net.forward(pixels(2)), pixels(2).reshape(2, 16) / 127.5 @ weight, atol=1e-5)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float64, np.float16, ">f4", ">f8", np.int64, ">i2", np.int8, bool]
)
def test_every_real_dtype_gives_the_same_rows(dtype):
    net = small()
    values = np.random.default_rng(0).integers(0, 2, (6, 16))
    expected = net.forward(values.astype(np.float32))
    x = values.astype(dtype)
    x.flags.writeable = False
    before = x.copy()
    np.testing.assert_array_equal(net.forward(x), expected)
    np.testing.assert_array_equal(net.forward(np.asfortranarray(x)), expected)
    np.testing.assert_array_equal(net.forward(x.reshape(6, 4, 4)), expected)
    np.testing.assert_array_equal(net.forward(np.repeat(x, 2, axis=1)[:, ::2]), expected)
    np.testing.assert_array_equal(x, before)


def test_uint8_of_any_layout_gives_the_same_logits():
    net = small()
    x = pixels(6)
    x.flags.writeable = False
    expected = net.forward(x)
    for other in (np.asfortranarray(x), np.repeat(x, 2, axis=0)[::2], x[::-1][::-1], x[..., np.newaxis]):
        np.testing.assert_array_equal(net.forward(other), expected)


def test_lists_and_objects_with_array_or_dlpack_are_taken():
    class WithArray:
        def __array__(self, dtype=None, copy=None):
            return np.asarray(pixels(3), dtype)

    class WithDLPack:
        def __dlpack__(self, **options):
            return pixels(3).__dlpack__(**options)

        def __dlpack_device__(self):
            return pixels(3).__dlpack_device__()

    net = small()
    expected = net.forward(pixels(3))
    np.testing.assert_array_equal(net.forward(WithArray()), expected)
    np.testing.assert_array_equal(net.forward(WithDLPack()), expected)
    ones = [[1] * 16, [0] * 16]
    np.testing.assert_array_equal(net.forward(ones), net.forward(np.array(ones, dtype=np.float32)))
    np.testing.assert_array_equal(net.predict(ones), net.predict(np.array(ones, dtype=np.float32)))


BAD_IMAGES = [
    (np.zeros((3, 15)), ValueError, r"must be \(n, 4, 4\) or \(n, 16\); got \(3, 15\)"),
    (np.zeros((4, 4)), ValueError, r"for one image, x\[np.newaxis\]"),
    (np.zeros(16), ValueError, r"got \(16,\): for one image"),
    (np.float32(1), ValueError, r"got \(\)"),
    (np.zeros((0, 16)), ValueError, r"at least one image; got \(0, 16\)"),
    (np.zeros((3, 0)), ValueError, r"at least one image; got \(3, 0\)"),
    (np.full((2, 16), np.nan), ValueError, "finite in float32; got nan at row 0, column 0"),
    (np.array([[0.0] * 16, [0.0] * 15 + [-np.inf]]), ValueError, "got -inf at row 1, column 15"),
    (np.full((2, 16), 1e300), ValueError, r"finite in float32; got 1e\+300"),
    (np.zeros((2, 16), complex), TypeError, "real numbers; got dtype complex128"),
    (np.zeros((2, 16), object), TypeError, "real numbers; got dtype object"),
    ([["a"] * 16], TypeError, "real numbers; got dtype <U1 from list"),
    (np.zeros((2, 16), "m8[s]"), TypeError, "real numbers; got dtype timedelta64"),
    ([[0.0] * 16, [0.0]], ValueError, "rows of equal length; got list"),
    (None, TypeError, "real numbers; got dtype object from NoneType"),
    (np.ma.masked_less(np.zeros((2, 16)), 1), ValueError, "no masked values"),
]


@pytest.mark.parametrize(("x", "error", "match"), BAD_IMAGES)
@pytest.mark.parametrize("method", ["forward", "predict", "predict_proba", "evaluate", "fit"])
def test_bad_images_are_refused_before_anything_changes(method, x, error, match):
    net = small()
    before = net.values.copy()
    rest = (np.zeros(2, dtype=int),) if method in ("evaluate", "fit") else ()
    with pytest.raises(error, match=match) as caught:
        getattr(net, method)(x, *rest)
    assert str(caught.value).startswith(f"{method}: x must")
    np.testing.assert_array_equal(net.values, before)
    assert net.epochs_trained == 0


BAD_LABELS = [
    ([0, 1], ValueError, r"y must be \(3,\), one label per image; got \(2,\)"),
    ([[0], [1], [2]], ValueError, r"got \(3, 1\)"),
    (np.eye(3, dtype=int), ValueError, "argmax"),
    ([0, 1, 3], ValueError, "within 0 … 2, as the network has 3 outputs; got labels from 0 to 3"),
    ([0, -1, 2], ValueError, "got labels from -1 to 2"),
    (np.array([0, 1, 2**64 - 1], dtype=np.uint64), ValueError, "got labels from 0 to 18446744073709551615"),
    ([0.0, 1.0, 2.0], TypeError, "must hold integers; got dtype float64"),
    ([True, False, True], TypeError, "must hold integers; got dtype bool"),
    (["0", "1", "2"], TypeError, "must hold integers; got words, such as"),
]


@pytest.mark.parametrize(("y", "error", "match"), BAD_LABELS)
@pytest.mark.parametrize("method", ["evaluate", "fit"])
def test_bad_labels_are_refused_before_anything_changes(method, y, error, match):
    net = small()
    before = net.values.copy()
    with pytest.raises(error, match=match):
        getattr(net, method)(pixels(3), y)
    np.testing.assert_array_equal(net.values, before)


MENDED = {
    "a column": (np.array([[0], [1], [2]]), "y.ravel()"),
    "a row": (np.array([[0, 1, 2]]), "y.ravel()"),
    "one-hot rows": (np.eye(3, dtype=int), "y.argmax(axis=1)"),
    "words": (np.array(["a", "b", "c"]), "class_names, y = np.unique(y, return_inverse=True)"),
    "words as objects": (
        np.array(["a", "b", "c"], object),
        "class_names, y = np.unique(y, return_inverse=True)",
    ),
    "whole floats": (np.array([0.0, 1.0, 2.0]), "y.astype(np.int64)"),
    "counted from 1": (np.array([1, 2, 3]), "y - 1"),
}


@pytest.mark.parametrize("name", MENDED)
def test_the_hint_about_labels_mends_them(name):
    y, hint = MENDED[name]
    with pytest.raises((TypeError, ValueError), match=rf"{re.escape(hint)}$"):
        small().evaluate(pixels(3), y)
    names = {"np": np, "y": y}
    exec(hint if " = " in hint else f"y = {hint}", names)
    assert small().evaluate(pixels(3), names["y"]) == small().evaluate(pixels(3), [0, 1, 2])


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "must hold integers, one label per image; got None$"),
        ([0.0, np.nan, 2.0], "got nan at row 1: labels are missing, omit those images$"),
        ([0.0, 0.5, 1.0], "got 0.5 at row 1: number the classes 0, 1, 2, …$"),
        (np.array(["a", None, "b"], object), "got None at row 1: omit those images$"),
        (np.array(["a", 1, "b"], object), "must hold real numbers; got dtype object"),
    ],
)
def test_labels_that_are_missing_are_told_by_row(y, match):
    with pytest.raises(TypeError, match=match):
        small().evaluate(pixels(3), y)


def test_labels_that_are_missing_in_pandas_are_told_by_row():
    pd = pytest.importorskip("pandas")
    for y in (pd.array([0, None, 2], dtype="Int64"), np.array([0, pd.NA, 2], object)):
        with pytest.raises(
            TypeError, match=r"must hold integers; got (nan|<NA>) at row 1: .*omit those images$"
        ):
            small().evaluate(pixels(3), y)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, ">i4", np.uint64])
def test_labels_of_any_integer_dtype_are_taken(dtype):
    net = small()
    assert net.evaluate(pixels(3), np.array([0, 1, 2], dtype=dtype)) == net.evaluate(pixels(3), [0, 1, 2])


@pytest.mark.parametrize(
    "weights", [[1, 1], [[1, 1, 1]], [0, 0, 0], [1, -1, 1], [1, np.nan, 1], [1, np.inf, 1]]
)
@pytest.mark.parametrize("method", ["evaluate", "fit"])
def test_bad_sample_weights_are_refused(method, weights):
    with pytest.raises(ValueError, match="sample_weight must be"):
        getattr(small(), method)(pixels(3), [0, 1, 2], sample_weight=weights)


# -- forward and backward ----------------------------------------------------------------------------------


def test_backward_fills_every_gradient_with_the_slope_of_the_loss():
    net = small(batchnorm=False)
    x = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    y = np.arange(8) % 3
    loss = fd.SoftmaxCrossEntropy()
    net.gradients[:] = np.nan
    loss.forward(net.forward(x, training=True), y)
    assert net.backward(loss.backward()) is None
    for parameter in net.parameters():
        direction = parameter.grad / np.linalg.norm(parameter.grad)
        start = parameter.value.copy()
        step = 1e-2
        parameter.value[...] = start + step * direction
        above = loss.forward(net.forward(x), y)
        parameter.value[...] = start - step * direction
        below = loss.forward(net.forward(x), y)
        parameter.value[...] = start
        # float32 losses near 1 are exact to 1e-7, so that their difference over 2e-2 is good to about 1e-5;
        # the third derivative and a ReLU's kink within the step account for the rest.
        assert (above - below) / (2 * step) == pytest.approx(
            np.linalg.norm(parameter.grad), rel=2e-2, abs=1e-4
        )


def test_the_first_layer_gives_an_input_gradient_when_asked():
    net = fd.NeuralNetwork([fd.Dense(4, 3)])
    net.layers[0].needs_input_gradient = True
    net.forward(np.ones((2, 4)), training=True)
    np.testing.assert_allclose(
        net.backward(np.ones((2, 3))), np.tile(net.parameters()[0].value.sum(1), (2, 1)), rtol=1e-5
    )


def test_backward_before_forward_is_refused():
    with pytest.raises(RuntimeError, match="forward"):
        small().backward(np.zeros((2, 3)))


def test_backward_refuses_a_gradient_that_is_no_array_of_numbers():
    net = small()
    net.forward(pixels(3), training=True)
    with pytest.raises(TypeError, match="backward: dlogits must hold real numbers"):
        net.backward("x")


# -- a user's own layer ------------------------------------------------------------------------------------


def test_a_layer_of_the_user_works_and_trains():
    net = fd.NeuralNetwork([fd.Dense(16, 6), Square(), fd.Dense(6, 3)], seed=0)
    assert [parameter.name for parameter in net.parameters()][2] == "square1.scale"
    x, y = pixels(64), np.arange(64) % 3
    before = net.evaluate(x, y)["loss"]
    net.fit(x, y, epochs=20, batch_size=16, optimizer=fd.Adam(lr=0.01))
    assert net.evaluate(x, y)["loss"] < before
    assert net.parameters()[2].value[0] != 2.0
    assert net.forward(x).dtype == np.float32


@pytest.mark.parametrize(
    ("returned", "error", "match"),
    [
        (None, TypeError, r"broken1.forward must return an array of real numbers; got NoneType"),
        (np.zeros((2, 6), complex), TypeError, "array of real numbers"),
        (
            np.zeros((2, 5)),
            ValueError,
            r"broken1.forward must return \(2, 6\); got \(2, 5\): does output_width",
        ),
        (np.zeros(6), ValueError, r"got \(6,\)"),
    ],
)
def test_what_a_layer_of_the_user_returns_is_checked(returned, error, match):
    class Broken(fd.Layer):
        def forward(self, x, training=False):
            return returned

    with pytest.raises(error, match=match):
        fd.NeuralNetwork([fd.Dense(16, 6), Broken(), fd.Dense(6, 3)]).forward(np.zeros((2, 16)))


@pytest.mark.parametrize(
    ("returned", "error", "match"),
    [
        (None, TypeError, "broken1.backward must return dx"),
        (np.zeros((3, 6)), ValueError, r"must return \(2, d\)"),
    ],
)
def test_what_the_backward_of_a_layer_of_the_user_returns_is_checked(returned, error, match):
    class Broken(fd.Layer):
        def forward(self, x, training=False):
            return x

        def backward(self, dy):
            return returned

    net = fd.NeuralNetwork([fd.Dense(16, 6), Broken(), fd.Dense(6, 3)])
    net.forward(np.zeros((2, 16)), training=True)
    with pytest.raises(error, match=match):
        net.backward(np.zeros((2, 3)))


def test_parameters_made_anew_at_each_call_are_refused():
    class Forgetful(Square):
        def parameters(self):
            return [fd.Parameter("scale", np.ones(1, dtype=np.float32))]

    with pytest.raises(TypeError, match=r"forgetful1.parameters must return the same Parameter objects"):
        fd.NeuralNetwork([Forgetful()])


def test_parameters_that_are_no_parameters_or_share_a_name_are_refused():
    class Plain(Square):
        def parameters(self):
            return [self.scale.value]

    class Twice(Square):
        def __init__(self):
            super().__init__()
            self.other = fd.Parameter("scale", np.ones(1, dtype=np.float32))

        def parameters(self):
            return [self.scale, self.other]

    with pytest.raises(TypeError, match=r"plain1.parameters must return Parameter objects"):
        fd.NeuralNetwork([Plain()])
    with pytest.raises(ValueError, match=r"must differ; got twice1.scale 2 times"):
        fd.NeuralNetwork([Twice()])


def test_a_network_whose_layers_name_no_width_takes_any():
    net = fd.NeuralNetwork([Square()])
    assert net.input_width is None
    assert net.forward(np.ones((2, 3))).shape == (2, 3)
    assert net.forward(np.ones((2, 5))).shape == (2, 5)
    assert "?" in net.summary()
    with pytest.raises(ValueError, match=r"must be \(n, d\); got \(3,\)"):
        net.forward(np.ones(3))


def test_a_layer_that_changes_the_width_leaves_the_width_open():
    class Half(fd.Layer):
        def forward(self, x, training=False):
            return x[:, ::2]

        def output_width(self, width):
            return width // 2

    net = fd.NeuralNetwork([Half(), fd.Dense(8, 3)])
    assert net.input_width is None
    assert net.forward(np.ones((2, 16))).shape == (2, 3)
    np.testing.assert_array_equal(net.predict(np.ones((2, 16))), net.predict(np.ones((2, 16))))


# -- use ---------------------------------------------------------------------------------------------------


def test_predictions_agree_with_the_logits_over_pieces_of_rows():
    net = small()
    x = pixels(2500)
    logits = net.forward(x)
    labels, probs = net.predict(x), net.predict_proba(x)
    assert labels.dtype == np.int64
    assert probs.dtype == np.float32
    np.testing.assert_array_equal(labels, probs.argmax(axis=1))
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-6)
    expected = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(probs, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_a_prediction_does_not_depend_on_the_batch():
    net = small()
    net.fit(pixels(64), np.arange(64) % 3, epochs=1, batch_size=16)
    x = pixels(40)
    # A BLAS behind the NumPy twins may add the 16 products in another order for one row than for many.
    np.testing.assert_allclose(net.predict_proba(x[:1]), net.predict_proba(x)[:1], atol=1e-6)


def test_evaluate_gives_mean_loss_and_accuracy_whatever_the_batch_size():
    net = small()
    x, y = pixels(100), np.arange(100) % 3
    whole = net.evaluate(x, y)
    assert whole["accuracy"] == (net.predict(x) == y).mean()
    probs = net.predict_proba(x).astype(np.float64)
    assert whole["loss"] == pytest.approx(-np.log(probs[np.arange(100), y]).mean(), rel=1e-5)
    pieces = net.evaluate(x, y, batch_size=7)
    assert pieces["accuracy"] == whole["accuracy"]
    assert pieces["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert isinstance(whole["loss"], float)


def test_evaluate_counts_an_image_by_its_weight():
    net = small()
    x, y = pixels(30), np.arange(30) % 3
    weights = np.zeros(30)
    weights[20:] = 0.5
    weighted = net.evaluate(x, y, sample_weight=weights, batch_size=10)  # two pieces have no weight at all
    plain = net.evaluate(x[20:], y[20:])
    assert weighted["accuracy"] == pytest.approx(plain["accuracy"])
    assert weighted["loss"] == pytest.approx(plain["loss"], rel=1e-6)


def test_evaluate_takes_the_loss_it_is_given():
    net = small()
    x, y = pixels(30), np.arange(30) % 3
    smoothed = net.evaluate(x, y, loss=fd.SoftmaxCrossEntropy(label_smoothing=0.3))
    assert smoothed["loss"] != pytest.approx(net.evaluate(x, y)["loss"])


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (2.0, TypeError)])
def test_evaluate_refuses_a_batch_size_that_is_no_count(size, error):
    with pytest.raises(error, match="evaluate: batch_size must be"):
        small().evaluate(pixels(3), [0, 1, 2], batch_size=size)


@pytest.mark.parametrize("last", [[fd.Softmax], [fd.Softmax, fd.Dropout]], ids=["softmax", "dropout"])
def test_a_network_that_ends_in_softmax_predicts_but_does_not_train(last):
    net = fd.NeuralNetwork([fd.Dense(16, 3), *(kind() for kind in last)], seed=1)
    plain = fd.NeuralNetwork([fd.Dense(16, 3)], seed=1)
    np.testing.assert_array_equal(net.predict_proba(pixels(5)), net.forward(pixels(5)))
    np.testing.assert_allclose(net.predict_proba(pixels(5)), plain.predict_proba(pixels(5)), atol=1e-6)
    np.testing.assert_array_equal(net.predict(pixels(5)), plain.predict(pixels(5)))
    for method in (net.fit, net.evaluate):
        with pytest.raises(ValueError, match="must end in logits, as the loss applies the softmax itself"):
            method(pixels(3), [0, 1, 2])
    np.testing.assert_array_equal(net.folded().predict_proba(pixels(5)), net.predict_proba(pixels(5)))


def test_the_summary_shows_shapes_parameters_and_operations():
    net = fd.NeuralNetwork(
        [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    )
    *lines, scale = net.summary().splitlines()
    assert max(map(len, lines)) <= 88
    assert scale == "input: unknown; uint8 is divided by 255, other types are used as they are"
    assert len({len(line) for line in lines}) == 1
    first = next(line for line in lines if line.startswith("dense1"))
    assert first.split()[-3:] == ["64)", "50,240", "50,176"]
    total = lines[-1].split()
    assert total[0] == "total"
    assert total[1] == f"{50_240 + 128 + 2_080 + 330:,}"
    assert repr(net.summary()) == net.summary()
    assert net._repr_html_() == net.summary()._repr_html_()
    assert net._repr_html_().count("<tr>") == 8


# -- copies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["deepcopy", "copy", "pickle"],
)
def test_a_copy_is_complete_and_independent(duplicate):
    net = small()
    x, y = pixels(64), np.arange(64) % 3
    net.fit(x, y, epochs=1, batch_size=16)
    other = duplicate(net)
    before = net.forward(x)
    np.testing.assert_array_equal(other.forward(x), before)
    assert other.epochs_trained == 1
    for parameter in other.parameters():
        assert np.shares_memory(parameter.value, other.values)
        assert np.shares_memory(parameter.grad, other.gradients)
        assert parameter.value.ctypes.data % 64 == 0
    other.fit(x, y, epochs=1, batch_size=16)
    np.testing.assert_array_equal(net.forward(x), before)
    assert not (other.forward(x) == before).all()
    net.fit(x, y, epochs=1, batch_size=16)
    np.testing.assert_array_equal(other.forward(x), net.forward(x))


@pytest.mark.filterwarnings(
    "ignore:(overflow|invalid value) encountered:RuntimeWarning"
)  # of NumPy, as a backend
def test_a_row_that_overflows_is_named(backend):
    """Its probabilities were NaN, and its class 0."""
    net = fd.NeuralNetwork([fd.Dense(4, 8), fd.Dense(8, 3)], seed=1)
    x, y = np.random.default_rng(0).normal(size=(5000, 4)), np.arange(5000) % 3
    x[4500] = 3e38
    net.layers[0].weight.value[...] = [[1, -1] * 4] * 4
    calls = (net.predict, net.predict_proba, net.forward, lambda x: net.evaluate(x, y))
    for call in calls:
        with pytest.raises(
            ValueError, match=r"row 4500: its numbers must be small enough.* up to 3e\+38: correct"
        ):
            call(x)
    with pytest.raises(ValueError, match="fit: validation_data: row 4500: its numbers"):
        net.fit(x[:99], y[:99], epochs=1, validation_data=(x, y))
    assert net.epochs_trained == 0
    net.layers[0].weight.value[...] = np.nan  # the row is not the reason
    assert np.isnan(net.predict_proba(x[:3])).all()
