"""Training as a whole gives known numbers, on either backend, and the backends agree on a whole epoch."""

from collections.abc import Iterator

import numpy as np
import pytest

import fastdigits as fd

# Loss before each of ten steps of the experiment below, calculated in float64 by scripts/robustness/trajectory.py,
# which writes the formulas out, shares no code with the package, and passes central differences.
LOSSES = [2.743298, 1.727318, 1.715283, 1.397359, 1.314944, 1.197765, 1.064921, 1.304713, 1.176569, 1.391493]


def network(seed: int = 0) -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)],
        seed=seed,
    )


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    (x_train, y_train), _ = fd.load_mnist()
    return x_train, y_train


@pytest.fixture
def backends() -> Iterator[None]:
    """Let a test choose backends; give back the one that served."""
    pytest.importorskip("fastdigits._kernels", reason="the compiled kernels are not built")
    before = fd.backend_name()
    yield
    fd.use_backend(before)


def waves(net: fd.NeuralNetwork) -> None:
    """Set the weights to values that need no generator, on the scale of He's initial weights."""
    for parameter in net.parameters():
        if parameter.name.endswith("weight"):
            index = np.arange(parameter.value.size, dtype=np.float64).reshape(parameter.value.shape)
            parameter.value[...] = np.sin(index * index) * 2 / np.sqrt(parameter.value.shape[0])


@pytest.mark.parametrize("backend", ["generic", "numpy"])
def test_ten_steps_give_the_known_losses(digits, backends, backend):
    fd.use_backend(backend)
    x, y = digits
    net = network()
    waves(net)
    loss, optimizer = fd.SoftmaxCrossEntropy(label_smoothing=0.1), fd.Adam(lr=0.01)
    losses = []
    for step in range(10):
        part = slice(64 * step, 64 * (step + 1))
        losses.append(loss.forward(net.forward(x[part], training=True), y[part]))
        net.backward(loss.backward())
        optimizer.step(net.parameters())
    # Ten steps carry the rounding of float32, 6e-8 an operation, through sums of 784 terms.
    np.testing.assert_allclose(losses, LOSSES, rtol=1e-4)


def epoch_of(
    backend: str, x: np.ndarray, y: np.ndarray, optimizer: fd.Optimizer, seed: int = 0
) -> tuple[float, np.ndarray]:
    """Train one epoch; return its mean loss and the probabilities of 2,000 images afterwards."""
    fd.use_backend(backend)
    net = network(seed)
    history = net.fit(x, y, epochs=1, batch_size=64, optimizer=optimizer)
    return history.loss[0], net.predict_proba(x[:2000])


@pytest.mark.parametrize("images", [100 * 64, pytest.param(60_000, marks=pytest.mark.exhaustive)])
def test_compiled_and_numpy_kernels_agree_on_an_epoch(digits, backends, images):
    """Probabilities differ by less than 1e-5 in the mean, after 938 steps over 60,000 images, for one seed of five.

    Both backends round to float32, 6e-8 of a number, but add in different orders. A step of
    Momentum is linear in the gradient and passes such differences on without making more of them:
    1.4e-8 in the mean was measured, as much as training makes of moving the first weights to the
    next float32. But for about half of the seeds (which ones depends on the order of the sums, and
    so on the processor's BLAS too) some unit's input once comes so near to zero that its ReLU is on
    in one backend and off in the other, and 1e-6 to 1.5e-3 is what that one step makes. A mistake is
    in every seed: the smallest one tried, a running variance that is biased, makes 1.5e-4; a
    learning rate wrong by a thousandth, a bias without gradient or pixels over 256 make 1.2e-3 and
    more.
    """
    x, y = (part[:images] for part in digits)
    differences = []
    for seed in range(5):
        loss, compiled = epoch_of("generic", x, y, fd.Momentum(lr=0.01), seed)
        other_loss, plain = epoch_of("numpy", x, y, fd.Momentum(lr=0.01), seed)
        differences.append(max(np.abs(compiled - plain).mean(), abs(loss / other_loss - 1)))
        if differences[-1] < 1e-5:
            break
    assert min(differences) < 1e-5


@pytest.mark.parametrize("steps", [60, pytest.param(200, marks=pytest.mark.exhaustive)])
def test_compiled_and_numpy_kernels_agree_on_some_steps_of_adam(digits, backends, steps):
    """The mean loss differs by less than two thousandths, and nearly all predictions are the same.

    Adam divides a gradient by its own size. Where the true gradient is zero, as that of a bias in
    front of batch normalisation, it makes whole steps of mere rounding, so that single
    probabilities soon differ and only the loss as a whole can be compared: 8e-4 of it was measured
    after 938 steps at ten times this learning rate.
    """
    x, y = (part[: steps * 64] for part in digits)
    loss, compiled = epoch_of("generic", x, y, fd.Adam(lr=0.001))
    other_loss, plain = epoch_of("numpy", x, y, fd.Adam(lr=0.001))
    assert loss == pytest.approx(other_loss, rel=2e-3)
    assert (compiled.argmax(axis=1) == plain.argmax(axis=1)).mean() > 0.98
