"""The best epoch is chosen by its measure, in the direction in which that improves."""

import math

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.training.best_epoch import BestEpoch, improvement


@pytest.mark.parametrize(
    ("monitor", "value", "best", "expected"),
    [
        ("val_loss", 1.0, 1.5, 0.5),
        ("val_accuracy", 0.75, 0.5, 0.25),
        ("loss", 2.0, 1.5, -0.5),
        ("accuracy", 0.5, None, math.inf),
        ("loss", math.nan, None, -math.inf),
        ("loss", math.nan, 1.0, -math.inf),
    ],
)
def test_an_accuracy_improves_upward_and_a_loss_downward(monitor, value, best, expected):
    assert improvement(monitor, value, best) == expected


def test_a_worse_epoch_is_not_kept_and_a_loaded_state_leaves_the_old_one():
    net = fd.NeuralNetwork([fd.Dense(2, 2)], seed=0)
    history = fd.History(validates=True)
    best = BestEpoch("val_loss", names=("epoch", "loss"))
    values = []
    for epoch, loss in enumerate([2.0, 1.0, 3.0], 1):
        history.epoch.append(epoch)
        history.val_loss.append(loss)
        net.values = np.full(net.values.shape, epoch)
        values.append(net.values.copy())
        best.update(net, history)
    assert (best.epoch, best.value) == (2, 1.0)
    state = best.state_dict()
    best.check_state_dict(state, net, history, "best")
    best.take(net, history)
    assert (best.epoch, best.value) == (3, 3.0)
    assert best.loaded(state).epoch == 2
    assert best.epoch == 3
    best.loaded(state).restore(net)
    np.testing.assert_array_equal(net.values, values[1])
