"""A training that leaves the finite numbers says so, and leaves a network and an optimizer that can be used."""

import re

import numpy as np
import pytest
from documents import script

import fastdigits as fd

DIVERGENCE = script("robustness/divergence")


@pytest.mark.filterwarnings("ignore:fit. .* is written in Python")
@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_whatever_is_trained_on_however_it_ends_finite_or_says_that_it_diverged(capsys, every):
    """The 3,203 trainings of scripts/robustness/divergence.py, or one in so many of them."""
    assert DIVERGENCE.main(every) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{-(-3200 // every) + 3:d} trainings: ")
    assert re.search(r"[1-9]\d* diverged, [1-9]\d* finite, 3 refused, 0 failed\n$", told)


def examples():
    return DIVERGENCE.data_sets()["digits"]


def network():
    return DIVERGENCE.network(fd.ReLU, batchnorm=False)


class Faster(fd.Callback):
    """Raise the learning rate beyond reason after an epoch."""

    def __init__(self, optimizer, after):
        self.optimizer, self.after = optimizer, after

    def on_epoch_end(self, epoch, network, history):
        if epoch == self.after:
            self.optimizer.lr = 1e30


@pytest.mark.parametrize("kind", [fd.Momentum, fd.Adam])
def test_a_training_goes_on_from_the_last_whole_epoch_with_a_smaller_rate(kind):
    x, y = examples()
    expected, optimizer = network(), kind(0.001)
    expected.fit(x, y, epochs=3, optimizer=optimizer)
    expected.fit(x, y, epochs=2, optimizer=kind(0.001))
    net, optimizer = network(), kind(0.001)
    with pytest.raises(fd.DivergedError, match=r"in epoch 4, step \d of 2, at learning rate 1e\+30"):
        net.fit(x, y, epochs=9, optimizer=optimizer, callbacks=[Faster(optimizer, 3)])
    assert net.epochs_trained == 3
    optimizer.lr = 0.001
    net.fit(x, y, epochs=2, optimizer=optimizer)
    assert net.values.tobytes() == expected.values.tobytes()


def test_early_stopping_leaves_the_best_epoch_of_a_training_that_diverges():
    x, y = examples()
    net, optimizer, stopping = network(), fd.SGD(0.1), fd.EarlyStopping("loss", patience=50)
    seen = {}

    class Keep(fd.Callback):
        def on_epoch_end(self, epoch, network, history):
            seen[epoch] = network.values.copy()

    with pytest.raises(fd.DivergedError):
        net.fit(x, y, epochs=9, optimizer=optimizer, callbacks=[stopping, Keep(), Faster(optimizer, 4)])
    np.testing.assert_array_equal(net.values, seen[stopping.best_epoch])


@pytest.mark.parametrize("split", [0.0, 0.2])
def test_a_last_step_that_leads_to_nothing_is_noticed(split):
    x, y = examples()
    net = network()
    with pytest.raises(fd.DivergedError, match="in epoch 1, step 1 of 1, at learning rate 1e"):
        net.fit(x, y, epochs=1, batch_size=200, optimizer=fd.SGD(1e17), validation_split=split)
    assert net.epochs_trained == 0


def test_images_with_a_statistic_beyond_float32_are_noticed():
    x, y = DIVERGENCE.data_sets()["pixels of 1e+30"]
    net = DIVERGENCE.network(fd.ReLU, batchnorm=True)
    with pytest.raises(
        fd.DivergedError, match=r"smaller one, or scale the images, whose largest number is 1e\+30"
    ):
        net.fit(x, y, epochs=1, optimizer=fd.SGD(1e-9))
    assert all(np.isfinite(array).all() for array in net.buffers().values())


def test_an_optimizer_that_forgets_begins_again():
    def steps(optimizer, parameter, count):
        for _ in range(count):
            parameter.grad = np.array([1.0, -2.0])
            optimizer.step([parameter])

    one, other = (fd.Parameter("weight", [0.0, 0.0]) for _ in range(2))
    optimizer = fd.Adam(0.1)
    steps(optimizer, one, 5)
    steps(optimizer, other, 2)
    optimizer.forget([one])
    assert optimizer.state_dict([one])["step"] == 0
    assert optimizer.state_dict([other])["step"] == 2
    optimizer.forget([one])  # which has nothing now
