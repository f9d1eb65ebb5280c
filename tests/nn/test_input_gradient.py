"""The gradient of the loss with respect to images."""

import copy

import numpy as np
import pytest

import fastdigits as fd


def network(*, first=(), width: int = 16) -> fd.NeuralNetwork:
    """Return a network in which batch normalisation and dropout would show in a gradient of training."""
    layers = [
        *first,
        fd.Dense(width, 12),
        fd.BatchNorm(12),
        fd.LeakyReLU(0.1),
        fd.Dropout(0.5),
        fd.Dense(12, 3),
    ]
    net = fd.NeuralNetwork(layers, seed=1)
    norm = next(layer for layer in net.layers if isinstance(layer, fd.BatchNorm))
    norm.running_mean, norm.running_var = np.linspace(-1, 1, 12), np.linspace(0.5, 3, 12)
    norm.gamma.value, norm.beta.value = np.linspace(2, 0.1, 12), np.linspace(-0.3, 0.3, 12)
    return net


def numbers(rows: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.random((rows, 4, 4)).astype(np.float32), rng.integers(0, 3, rows)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("standardized", [False, True])
def test_it_agrees_with_central_differences_of_the_loss_in_evaluation(standardized):
    x, y = numbers()
    net = network(first=[fd.Standardize(16).adapt(x)] if standardized else [])
    loss = fd.SoftmaxCrossEntropy(label_smoothing=0.1)
    gradient = net.input_gradient(x, y, loss=loss)
    assert gradient.shape == x.shape
    assert gradient.dtype == np.float32
    way = np.random.default_rng(3).normal(size=x.shape).astype(np.float32)
    low, high = (net.evaluate(x + step * way, y, loss=loss)["loss"] for step in (-1e-3, 1e-3))
    # of the mean over six images; a loss near 1 is good to 1e-7, its difference over 2e-3 to 1e-4
    assert 6 * (high - low) / 2e-3 == pytest.approx((gradient * way).sum(), rel=0.01, abs=3e-3)


@pytest.mark.needs("torch")
def test_it_agrees_with_pytorch():
    import torch

    x, y = numbers()
    net = network()
    twin = torch.nn.Sequential(
        torch.nn.Linear(16, 12),
        torch.nn.BatchNorm1d(12),
        torch.nn.LeakyReLU(0.1),
        torch.nn.Dropout(),
        torch.nn.Linear(12, 3),
    )
    twin.load_state_dict(net.to_torch_state_dict())
    rows = torch.tensor(x.reshape(6, 16), requires_grad=True)
    torch.nn.functional.cross_entropy(twin.eval()(rows), torch.tensor(y), reduction="sum").backward()
    np.testing.assert_allclose(net.input_gradient(x, y).reshape(6, 16), rows.grad, rtol=1e-4, atol=1e-6)


def test_an_image_has_the_same_gradient_in_any_batch_and_dtype():
    x = (numbers(5000)[0] * 255).astype(np.uint8)
    y = numbers(5000)[1]
    net = network()
    net.scale = "pixels"
    whole = net.input_gradient(x, y)
    np.testing.assert_allclose(net.input_gradient(x[4998:].astype(float), y[4998:]), whole[4998:], rtol=1e-5)


def test_nothing_changes_not_even_the_loss_that_is_passed():
    x, y = numbers()
    net, loss = network(), fd.SoftmaxCrossEntropy()
    logits = net.forward(x, training=True)
    loss.forward(logits, y)
    net.gradients[...] = 7
    before = copy.deepcopy(net)
    wanted = loss.backward()
    net.input_gradient(x[:2], y[:2], loss=loss)
    np.testing.assert_array_equal(loss.backward(), wanted)
    assert (net.gradients == 7).all()
    assert net.values.tobytes() == before.values.tobytes()
    for name, array in net.buffers().items():
        np.testing.assert_array_equal(array, before.buffers()[name])


class Square(fd.Layer):
    def forward(self, x, training=False):
        if training:
            self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * dy


class Silent(Square):
    def backward(self, dy):
        return None


class Doubled(fd.SoftmaxCrossEntropy):
    def forward(self, logits, y, sample_weight=None):
        return 2 * super().forward(logits, y, sample_weight)

    def backward(self, kernels=None):
        return 2 * super().backward()


def test_layers_and_losses_of_ones_own_take_part():
    x, y = numbers()
    net = fd.NeuralNetwork([Square(), fd.Dense(16, 3)])
    plain = fd.NeuralNetwork([fd.Dense(16, 3)])
    wanted = 2 * x * plain.input_gradient(x * x, y)
    np.testing.assert_allclose(net.input_gradient(x, y), wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(net.input_gradient(x, y, loss=Doubled()), 2 * wanted, rtol=1e-5, atol=1e-7)


def test_what_has_no_gradient_is_refused():
    x, y = numbers()
    with pytest.raises(
        TypeError, match=r"silent1\.backward must return dx for the gradient of the input; got None"
    ):
        fd.NeuralNetwork([Silent(), fd.Dense(16, 3)]).input_gradient(x, y)
    with pytest.raises(ValueError, match=r"input_gradient: the network must end in logits.*got Softmax"):
        fd.NeuralNetwork([fd.Dense(16, 3), fd.Softmax()]).input_gradient(x, y)
    with pytest.raises(ValueError, match="input_gradient: y must"):
        network().input_gradient(x, y[:2])
    with pytest.raises(ValueError, match="input_gradient: x must"):
        network().input_gradient(x[:, :3], y)
    for call in (network().input_gradient, network().evaluate):
        with pytest.raises(
            TypeError, match=rf"{call.__name__}: loss must be an instance of .*SoftmaxCrossEntropy; got 'ce'"
        ):
            call(x, y, loss="ce")
