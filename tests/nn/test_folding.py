"""A folded network predicts like the one that it was made from, with fewer layers, and shares nothing with it."""

import copy

import numpy as np
import pytest

import fastdigits as fd

# Folding rounds each weight and bias once more, by 2⁻²⁴ of it, and leaves out the roundings of the normalisation. The
# sums here have up to 64 terms and are a few units in size, so that a probability moves by less than 1e-6 (measured:
# 5e-7 at most, over four backends); ten times that is allowed. Without beta it would be 0.08.
CLOSE = {"rtol": 0, "atol": 5e-6}


def pixels(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def trained() -> fd.NeuralNetwork:
    """Return a network whose gamma, beta and running statistics are far from where they began."""
    layers = [
        fd.Dropout(0.1), fd.Dense(64, 24), fd.BatchNorm(24, eps=1e-2), fd.ReLU(),
        fd.Dense(24, 16), fd.Dropout(0.2), fd.BatchNorm(16), fd.LeakyReLU(0.1), fd.BatchNorm(16),
        fd.Dropout(0.3), fd.Dense(16, 5),
    ]  # fmt: skip
    net = fd.NeuralNetwork(layers, seed=3)
    net.fit(pixels(256), np.arange(256) % 5, epochs=2, batch_size=32, optimizer=fd.Adam(lr=0.01))
    rng = np.random.default_rng(4)
    for layer in net.layers:
        if isinstance(layer, fd.Dense):
            layer.bias.value = rng.normal(0, 0.3, layer.n_out)
        if isinstance(layer, fd.BatchNorm):
            layer.gamma.value = rng.uniform(-1.5, 1.5, layer.n)
            layer.beta.value = rng.normal(0, 0.5, layer.n)
            layer.running_mean += rng.normal(0, 0.3, layer.n).astype(np.float32)
            layer.running_var *= rng.uniform(0.5, 2.0, layer.n).astype(np.float32)
    return net


def everything(net: fd.NeuralNetwork) -> dict[str, bytes]:
    arrays = {one.name: one.value for one in net.parameters()} | net.buffers()
    return {name: array.tobytes() for name, array in arrays.items()}


def test_the_probabilities_agree_to_rounding(backend):
    net = trained()
    folded = net.folded()
    for n in (1, 7, 300):
        x = pixels(n, seed=n)
        for images in (x, x + 0.5, x.reshape(n, 64).astype(np.float32)):
            np.testing.assert_allclose(folded.predict_proba(images), net.predict_proba(images), **CLOSE)
    assert net.predict_proba(pixels(300)).std(axis=0).min() > 0.01  # there is something to agree on
    x, y = pixels(300), np.arange(300) % 5
    assert folded.evaluate(x, y)["loss"] == pytest.approx(net.evaluate(x, y)["loss"], rel=1e-5)


def test_weight_and_bias_are_those_of_the_formula():
    net = fd.NeuralNetwork([fd.Dense(2, 2), fd.BatchNorm(2, eps=0.25)])
    dense, norm = net.layers
    dense.weight.value, dense.bias.value = [[1, 2], [3, 4]], [5, 6]
    norm.gamma.value, norm.beta.value = [2, 6], [-1, 1]
    norm.running_mean[:], norm.running_var[:] = [1, 2], [0.75, 2]
    (only,) = net.folded().layers
    np.testing.assert_array_equal(only.weight.value, [[2, 8], [6, 16]])  # scales 2 / √1 and 6 / √2.25
    np.testing.assert_array_equal(only.bias.value, [7, 17])


def test_what_follows_a_dense_is_folded_dropout_is_left_out_all_else_stays():
    net = trained()
    folded = net.folded()
    assert repr(folded) == (
        "NeuralNetwork([Dense(64, 24), ReLU(), Dense(24, 16), LeakyReLU(slope=0.1), BatchNorm(16), "
        "Dense(16, 5)], seed=3)"
    )
    assert [parameter.name for parameter in folded.parameters()] == [
        *("dense1.weight", "dense1.bias", "dense2.weight", "dense2.bias"),
        *("batchnorm1.gamma", "batchnorm1.beta", "dense3.weight", "dense3.bias"),
    ]
    assert everything(folded)["batchnorm1.running_var"] == everything(net)["batchnorm3.running_var"]
    assert everything(folded)["dense3.weight"] == everything(net)["dense3.weight"]
    assert (folded.epochs_trained, folded.seed, folded.input_width) == (2, 3, 64)


def test_a_normalisation_of_the_images_stays():
    net = fd.NeuralNetwork([fd.BatchNorm(64), fd.Dense(64, 5), fd.Softmax()])
    net.layers[0].running_mean[:] = 0.5
    folded = net.folded()
    assert repr(folded) == repr(net)
    np.testing.assert_array_equal(folded.predict_proba(pixels(9)), net.predict_proba(pixels(9)))


def test_two_normalisations_in_a_row_are_both_folded():
    net = fd.NeuralNetwork([fd.Dense(64, 5), fd.BatchNorm(5), fd.BatchNorm(5)], seed=2)
    net.layers[1].gamma.value, net.layers[2].running_var[:] = [1, 2, 3, 4, 5], 0.3
    folded = net.folded()
    assert len(folded.layers) == 1
    np.testing.assert_allclose(folded.predict_proba(pixels(9)), net.predict_proba(pixels(9)), **CLOSE)


def test_an_untrained_network_folds():
    net = fd.NeuralNetwork([fd.Dense(64, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 5)], seed=1)
    np.testing.assert_allclose(net.folded().predict_proba(pixels(9)), net.predict_proba(pixels(9)), **CLOSE)


def test_the_original_stays_as_it_is_and_shares_nothing():
    net = trained()
    before, probs = everything(net), net.predict_proba(pixels(9))
    names = [layer.name for layer in net.layers]
    folded = net.folded()
    apart = folded.predict_proba(pixels(9))
    assert everything(net) == before
    assert [layer.name for layer in net.layers] == names
    folded.values[:] = 0.0
    folded.gradients[:] = 1.0
    for parameter in folded.parameters():
        assert (parameter.value == 0).all()
        assert (parameter.grad == 1).all()
    for array in folded.buffers().values():
        array[:] = 7.0
    assert everything(net) == before
    np.testing.assert_array_equal(net.predict_proba(pixels(9)), probs)
    folded = net.folded()
    net.values[:] = 0.0
    for array in net.buffers().values():
        array[:] = 7.0
    np.testing.assert_array_equal(folded.predict_proba(pixels(9)), apart)


def test_a_folded_network_is_saved_and_loaded(tmp_path):
    folded = trained().folded()
    folded.save(tmp_path / "folded.safetensors")
    loaded = fd.load(tmp_path / "folded.safetensors")
    assert everything(loaded) == everything(folded)
    np.testing.assert_array_equal(loaded.predict_proba(pixels(9)), folded.predict_proba(pixels(9)))


def test_a_folded_network_trains_like_its_copy(backend):
    folded = trained().folded()
    again = copy.deepcopy(folded)
    x, y = pixels(64), np.arange(64) % 5
    before = everything(folded)
    for net in (folded, again):
        net.fit(x, y, epochs=1, batch_size=16)
    assert folded.epochs_trained == 3
    assert everything(folded) == everything(again)
    assert all(everything(folded)[name] != before[name] for name in before)


def test_the_first_layer_that_is_left_works_out_no_input_gradient():
    folded = trained().folded()
    logits = folded.forward(pixels(9) + 0.5, training=True)  # uint8 has no gradient anyhow
    assert folded.backward(np.ones_like(logits)) is None
    net = fd.NeuralNetwork([fd.Dense(64, 5), fd.Dropout()])
    net.layers[0].needs_input_gradient = True
    assert net.folded().layers[0].needs_input_gradient


def test_layers_of_the_user_are_copied_and_never_folded():
    class Doubled(fd.Dense):
        """y = 2 · (x · weight + bias): not what a fold takes a dense layer for."""

        def forward(self, x, training=False):
            return 2 * super().forward(x, training)

    class Scale(fd.Layer):
        def __init__(self):
            self.factor = fd.Parameter("scale1.factor", [1.5])

        def forward(self, x, training=False):
            return x * self.factor.value

        def parameters(self):
            return [self.factor]

    net = fd.NeuralNetwork([Doubled(64, 8), fd.BatchNorm(8), Scale(), fd.Dropout(), fd.Dense(8, 5)], seed=1)
    net.layers[1].running_var[:] = 3.0
    folded = net.folded()
    assert [type(layer) for layer in folded.layers] == [Doubled, fd.BatchNorm, Scale, fd.Dense]
    assert [one.name for one in folded.parameters()] == [one.name for one in net.parameters()]
    np.testing.assert_array_equal(folded.predict_proba(pixels(9)), net.predict_proba(pixels(9)))
    assert not np.shares_memory(folded.layers[2].factor.value, net.layers[2].factor.value)


def test_nothing_but_dropout_is_refused():
    with pytest.raises(ValueError, match="folded: the network must have a layer besides dropout; got Neur"):
        fd.NeuralNetwork([fd.Dropout(), fd.Dropout(0.2)]).folded()
