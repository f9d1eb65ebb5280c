"""A learning rate is found on a copy: it serves, it is the same each time, and nothing changes."""

import numpy as np
import pytest
from sampled import fastest_backend

import fastdigits as fd


def network(seed: int = 0) -> fd.NeuralNetwork:
    return fd.NeuralNetwork([fd.Dense(16, 12), fd.BatchNorm(12), fd.ReLU(), fd.Dense(12, 3)], seed=seed)


def examples(n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Images whose brightest third tells the class."""
    rng = np.random.default_rng(1)
    y = np.arange(n) % 3
    x = rng.integers(0, 100, (n, 16), dtype=np.uint8)
    for label in range(3):
        x[y == label, 5 * label : 5 * label + 5] += 60
    return x, y


OPTIMIZERS = [fd.SGD, fd.Momentum, fd.RMSprop, fd.Adam, fd.AdamW]


@fastest_backend
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_the_rate_that_is_found_serves(make, backend):
    x, y = examples()
    found = network().find_lr(x, y, optimizer=make(), batch_size=32)
    losses = {}
    for lr in (found.lr / 100, found.lr, 100 * found.lr):
        net = network()
        try:
            net.fit(x, y, epochs=2, batch_size=32, optimizer=make(lr), schedule=fd.OneCycle())
            losses[lr] = net.evaluate(x, y)["loss"]
        except fd.DivergedError:
            losses[lr] = np.inf
    assert min(losses, key=losses.__getitem__) == found.lr


def test_the_curve_is_that_of_the_search():
    x, y = examples()
    found = network().find_lr(x, y, batch_size=32, lowest=1e-4, highest=100, steps=60)
    assert found.lrs[0] == pytest.approx(1e-4)
    assert found.lrs[1] / found.lrs[0] == pytest.approx(1e6 ** (1 / 59))
    assert found.lrs.shape == found.losses.shape == found.smoothed.shape
    assert found.lr == pytest.approx(found.lrs[found.smoothed.argmin()] / 2)
    assert repr(found) == f"LearningRates(lr={found.lr!r})"
    # the running mean, written as the sum that it is
    weights = 0.9 ** np.arange(5)[::-1]
    assert found.smoothed[4] == pytest.approx(weights @ found.losses[:5] / weights.sum())
    # the losses are those before the steps of a training at these rates
    assert found.losses[0] == pytest.approx(np.log(3), abs=0.8)
    assert found.losses.size < 60  # at 100 the loss has gone up long ago
    assert found.smoothed[-1] > 4 * found.smoothed.min()


def test_the_same_seed_finds_the_same_rate_and_nothing_changes(backend):
    x, y = examples()
    net, optimizer = network(), fd.Adam()
    net.fit(x, y, epochs=1, batch_size=32, optimizer=optimizer)
    before = [net.values.copy(), *(buffer.copy() for buffer in net.buffers().values())]
    moments = optimizer.state_dict(net.parameters())
    first, second = (net.find_lr(x, y, optimizer=optimizer, batch_size=32) for _ in range(2))
    assert first.losses.tobytes() == second.losses.tobytes()
    assert first.lr == second.lr
    for old, new in zip(before, [net.values, *net.buffers().values()], strict=True):
        assert old.tobytes() == new.tobytes()
    after = optimizer.state_dict(net.parameters())
    assert all(np.array_equal(moments[name], after[name]) for name in moments)
    assert net.epochs_trained == 1


def test_few_images_are_gone_through_more_than_once():
    x, y = examples(30)
    found = network().find_lr(x, y, batch_size=128, steps=20, highest=0.1)
    assert found.losses.size == 20


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 9}, ValueError, "find_lr: steps must be at least 10; got 9"),
        ({"lowest": 0}, ValueError, "find_lr: lowest must be .* 0 < lowest"),
        ({"highest": 1e-6}, ValueError, "find_lr: highest must be .* 1e-05 < highest"),
        ({"batch_size": 1}, ValueError, "find_lr: batch_size must be at least 2"),
        ({"y": examples()[1][:-1]}, ValueError, r"find_lr: y must be \(600,\)"),
    ],
)
def test_wrong_arguments_are_refused(change, error, message):
    x, y = examples()
    with pytest.raises(error, match=message):
        network().find_lr(**{"x": x, "y": y} | change)


def test_one_image_is_not_enough():
    x, y = examples()
    with pytest.raises(ValueError, match="find_lr: x must hold at least 2 images; got 1"):
        network().find_lr(x[:1], y[:1])


def test_a_network_that_has_diverged_is_told_of():
    x, y = examples()
    net = network()
    net.values[...] = np.nan
    with pytest.raises(ValueError, match="the loss must be finite before the first step"):
        net.find_lr(x, y)
