"""Standardisation of the input: fixed numbers from the training rows, and the same network as on scaled rows."""

import numpy as np
import pytest

import fastdigits as fd

SCALES = np.array([1e-3, 1, 1e3, 1e6], np.float32)


def table(n: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows whose columns differ by nine orders of magnitude, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return ((rng.normal(size=(n, 4)) + y[:, np.newaxis] * [1, -1, 2, 0] + 5) * SCALES).astype(np.float32), y


def network(*first: fd.Layer) -> fd.NeuralNetwork:
    return fd.NeuralNetwork([*first, fd.Dense(4, 16), fd.ReLU(), fd.Dense(16, 3)], seed=1)


def trained() -> fd.NeuralNetwork:
    x, y = table()
    net = network(fd.Standardize(4).adapt(x))
    net.fit(x, y, epochs=20, batch_size=16, optimizer=fd.Adam(0.01))
    return net


def test_mean_and_variance_are_those_of_the_columns():
    x, _ = table()
    layer = fd.Standardize(4).adapt(x)
    np.testing.assert_allclose(layer.mean, x.mean(axis=0, dtype=np.float64), rtol=1e-7)
    np.testing.assert_allclose(layer.var, x.var(axis=0, dtype=np.float64), rtol=1e-7)
    same = fd.Standardize(4).adapt(x.reshape(90, 1, 4).tolist())
    np.testing.assert_array_equal([same.mean, same.var], [layer.mean, layer.var])


def test_a_constant_column_becomes_0(backend):
    x = np.full((7, 2), 1e6 + 0.1, np.float32)
    np.testing.assert_array_equal(fd.Standardize(2).adapt(x).forward(x), 0)


@pytest.mark.parametrize("factor", [1e-30, 1e30, 1e300])
def test_a_column_whose_variance_float32_cannot_hold_is_named(factor):
    layer = fd.Standardize(4)
    with pytest.raises(
        ValueError, match=r"Standardize\(4\): x: column 2, counted from 0 .* got .*: give it in"
    ):
        layer.adapt(table()[0] * [1, 1, factor, 1])
    assert (layer.mean.tolist(), layer.var.tolist()) == ([0] * 4, [1] * 4)


def test_whole_numbers_are_not_taken_for_pixels():
    """They were divided by 255 after `adapt` had seen them undivided, so the columns were not standardised."""
    x, y = np.random.default_rng(0).integers(0, 256, (90, 4)), np.arange(90) % 3
    net = network(fd.Standardize(4).adapt(x))
    before = net.predict_proba(x)
    np.testing.assert_array_equal(net.predict_proba(x.astype(np.uint8)), before)
    net.fit(x, y, epochs=1, optimizer=fd.SGD(1e-30))
    assert net.scale == "numbers"
    np.testing.assert_array_equal(net.predict_proba(x), before)


@pytest.mark.parametrize("offset", [1.7e9, -1.7e9])
@pytest.mark.parametrize("spread", [100, 0])  # float32 makes such numbers equal
def test_a_column_whose_differences_float32_rounds_away_is_named(offset, spread):
    x = table()[0].astype(np.float64)
    x[:, 1] = offset + np.linspace(0, spread, 90)
    with pytest.warns(
        UserWarning, match=r"Standardize\(4\): x: column 1, .* around -?1\.7e\+09 .*: subtract a constant"
    ):
        fd.Standardize(4).adapt(x)
    x[:, 1] -= offset
    fd.Standardize(4).adapt(x)


def test_shards_have_the_statistics_of_their_rows(tmp_path):
    x, y = table(9000)  # two pieces of 4096, and the rest
    x[:, 3] = 1e6 + 0.1
    for part in (slice(0, 5000), slice(5000, 9000)):
        np.save(tmp_path / f"images-{part.start}.npy", x[part, np.newaxis])
        np.save(tmp_path / f"labels-{part.start}.npy", y[part])
    found, whole = (fd.Standardize(4).adapt(rows) for rows in (fd.Shards(tmp_path), x))
    np.testing.assert_allclose([found.mean, found.var], [whole.mean, whole.var], rtol=1e-7)
    assert found.var[3] == 1


def test_yes_and_no_are_1_and_0():
    x = table()[0] > 5
    np.testing.assert_array_equal(fd.Standardize(4).adapt(x).mean, fd.Standardize(4).adapt(x * 1.0).mean)


def test_training_is_that_on_scaled_rows(backend):
    """The two round differently, by 2⁻²³ of about 5; twenty epochs make less than a thousand times that of it."""
    x, y = table()
    net, plain = network(fd.Standardize(4).adapt(x)), network()
    scaled = ((x - x.mean(axis=0, dtype=np.float64)) / x.std(axis=0, dtype=np.float64)).astype(np.float32)
    for one, rows in ((net, x), (plain, scaled)):
        one.fit(rows, y, epochs=20, batch_size=16, optimizer=fd.Adam(0.01))
    np.testing.assert_allclose(net.predict_proba(x), plain.predict_proba(scaled), atol=1e-3)
    assert net.evaluate(x, y)["accuracy"] > 0.85  # 0.33 to 0.5 without the layer
    first = net.layers[0]
    np.testing.assert_array_equal(first.mean, fd.Standardize(4).adapt(x).mean)


def test_the_dense_layer_behind_it_computes_no_gradient_of_its_input():
    x, y = table()
    net = network(fd.Standardize(4).adapt(x))
    loss = fd.SoftmaxCrossEntropy()
    loss.forward(net.forward(x, training=True), y)
    assert net.backward(loss.backward()) is None
    net.layers[1].needs_input_gradient = True
    loss.forward(net.forward(x, training=True), y)
    dx = net.backward(loss.backward())
    step = np.zeros_like(x)
    step[3, 2] = 50  # 0.03 standard deviations
    rows = np.stack([x + step, x - step])
    high, low = (loss.forward(net.forward(one), y) for one in rows)
    assert dx[3, 2] == pytest.approx((high - low) / 100, rel=0.02)


def test_files_copies_and_pickles_keep_it(tmp_path):
    net, (x, _) = trained(), table()
    net.save(tmp_path / "a.safetensors")
    loaded = fd.load(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(x), net.predict_proba(x))
    assert loaded.buffers().keys() == {"standardize1.mean", "standardize1.var"}


def test_folding_makes_it_a_part_of_the_dense_layer():
    """Folding rounds weight and bias once more: 2⁻²⁴ of sums of about 5 · 16."""
    net, (x, _) = trained(), table()
    folded = net.folded()
    assert repr(folded.layers[0]) == "Dense(4, 16)"
    np.testing.assert_allclose(folded.predict_proba(x), net.predict_proba(x), atol=1e-5)
    alone = fd.NeuralNetwork([fd.Standardize(4).adapt(x), fd.ReLU(), fd.Dense(4, 3)])
    assert repr(alone.folded().layers) == repr(alone.layers)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("mean", [1, 2], r"Standardize\(4\): mean must be \(4,\); got \(2,\)"),
        ("mean", [1, 2, np.nan, 4], "mean must be finite; got nan"),
        ("var", [1, 2, 0, 4], "var must not be below 1.1.*e-38; got 0.0"),
        ("var", [1, 2, np.inf, 4], "var must be finite; got inf"),
    ],
)
def test_what_it_cannot_divide_by_is_refused(name, value, match):
    layer = fd.Standardize(4)
    with pytest.raises(ValueError, match=match):
        setattr(layer, name, value)
    assert (layer.mean.tolist(), layer.var.tolist()) == ([0] * 4, [1] * 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_that_are_not_finite_are_refused(bad):
    x = table()[0]
    x[5, 2] = bad
    with pytest.raises(ValueError, match=r"Standardize\(4\): x: column 2, .* must hold finite numbers"):
        fd.Standardize(4).adapt(x)


def test_rows_of_another_width_are_refused():
    for x in (np.zeros((3, 5)), np.zeros(4), np.zeros((0, 4))):
        with pytest.raises(ValueError, match=r"Standardize\(4\): x must be \(rows, 4\); got"):
            fd.Standardize(4).adapt(x)
    with pytest.raises(ValueError, match=r"width 4; got 3: use Standardize\(3\)"):
        fd.Standardize(4).output_width(3)
