"""The page in a real browser learns as Python does: the same gradients, and the same network after a hundred steps."""

import base64
import re

import numpy as np
import pytest

import fastdigits as fd

pytestmark = [pytest.mark.needs("selenium", "chromium", "chromedriver"), pytest.mark.exhaustive]

BATCH, STEPS = 32, 100
OPTIMIZERS = {
    "SGD": lambda: fd.SGD(0.1),
    "Momentum": lambda: fd.Momentum(0.02),
    "RMSprop": lambda: fd.RMSprop(0.001),
    "Adam": lambda: fd.Adam(0.003),
}


def network():
    """The original's layers and a second batch normalisation, with a slope; no bias, gamma or beta is 0 or 1."""
    layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU()]
    layers += [fd.Dense(64, 32), fd.BatchNorm(32, momentum=0.2), fd.LeakyReLU(0.1), fd.Dense(32, 10)]
    net = fd.NeuralNetwork(layers, seed=1)
    net.scale = "pixels"
    rng = np.random.default_rng(3)
    for parameter in net.parameters():
        if parameter.value.ndim == 1:
            parameter.value = parameter.value + rng.normal(0, 0.1, parameter.value.shape)
    return net


@pytest.fixture(scope="module")
def images():
    (x, y), _ = fd.load_mnist()
    return x[: BATCH * STEPS].reshape(-1, 784), y[: BATCH * STEPS].astype(int)


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "draw.html"
    fd.export_html(network(), path)
    browser.get(path.as_uri())
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


CALL = """
const [name, pixels, labels, options] = arguments;
const result = fastdigits[name](Uint8Array.from(atob(pixels), (c) => c.charCodeAt(0)), labels, options);
const lists = (arrays) => Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, [...array]]));
return Object.fromEntries(Object.entries(result).map(([key, part]) =>
  [key, typeof part === "number" || Array.isArray(part) ? part : lists(part)]));
"""


def call(driver, name, x, y, **options):
    pixels = base64.b64encode(x.tobytes()).decode()
    return driver.execute_script(CALL, name, pixels, y.tolist(), options)


def train(optimizer, x, y):
    """Train in Python; return the losses and all arrays by name."""
    net, loss, losses = network(), fd.SoftmaxCrossEntropy(), []
    for i in range(0, len(x), BATCH):
        part = slice(i, i + BATCH)
        losses.append(loss.forward(net.forward(x[part], training=True), y[part]))
        net.backward(loss.backward())
        optimizer.step(net.parameters())
    arrays = {parameter.name: parameter.value for parameter in net.parameters()}
    for layer in net.layers:
        arrays |= {f"{layer.name}.{name}": array for name, array in layer.buffers().items()}
    return losses, arrays


# Both sides keep float32 and differ in the order of sums. Gradients are sums over 32 images of numbers below 1: their
# rounding, 6e-8 · √32 each, and that of the two layers above move them by less than 1e-6.
def test_gradients_are_those_of_python(page, images):
    x, y = (part[:BATCH] for part in images)
    found = call(page, "gradients", x, y)
    net, loss = network(), fd.SoftmaxCrossEntropy()
    assert found["loss"] == pytest.approx(loss.forward(net.forward(x, training=True), y), abs=1e-6)
    net.backward(loss.backward())
    assert set(found["gradients"]) == {parameter.name for parameter in net.parameters()}
    for parameter in net.parameters():
        grad = np.reshape(found["gradients"][parameter.name], parameter.grad.shape)
        np.testing.assert_allclose(grad, parameter.grad, rtol=0, atol=1e-6, err_msg=parameter.name)


# After 100 steps, rounding has moved weights by less than 1e-5: found 2e-6, and as much between the kernels and their
# NumPy twin; a wrong formula moves most of them by 1e-3 and more.
# Where a gradient is 0 but for rounding, RMSprop and Adam scale what is left to whole steps of the learning rate, to
# and fro. So is it with a bias right before batch normalisation, as the mean is subtracted; the running mean follows
# it. So these arrays are compared after SGD and Momentum alone.
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hundred_steps_are_those_of_python(page, images, name):
    optimizer = OPTIMIZERS[name]()
    found = call(page, "train", *images, optimizer=name, lr=optimizer.lr, batchSize=BATCH)
    losses, expected = train(optimizer, *images)
    assert losses[-1] < 0.5 * losses[0]
    np.testing.assert_allclose(found["losses"], losses, rtol=0, atol=1e-5)
    assert set(found["state"]) == set(expected)
    noise = re.compile(r"dense[12]\.bias|batchnorm\d\.running_mean")
    for key, array in expected.items():
        if name in ("SGD", "Momentum") or not noise.fullmatch(key):
            state = np.reshape(found["state"][key], array.shape)
            np.testing.assert_allclose(state, array, rtol=1e-6, atol=1e-5, err_msg=key)


def test_a_batch_of_one_image_has_no_variance(page, images):
    from selenium.common.exceptions import JavascriptException

    with pytest.raises(
        JavascriptException, match="batch normalisation learns from batches of 2 or more images; got 1"
    ):
        call(page, "gradients", images[0][:1], images[1][:1])
