"""Hyperparameters are finite numbers within their bounds, and shown as the call that sets them."""

import numpy as np
import pytest

from fastdigits.core.configured import Configured
from fastdigits.core.validation import check_number


class Thing(Configured):
    def __init__(self, size, *, rate=0.5, mode="a"):
        self.size, self.rate, self.mode = size, rate, mode


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.25), np.float64(0.25), np.int64(1)])
def test_a_real_number_of_any_type_becomes_a_float(value):
    checked = check_number(value, "rate", "Thing", least=0, most=1)
    assert type(checked) is float
    assert checked == value


@pytest.mark.parametrize("value", ["1", None, True, np.True_, 1j, [1.0], np.ones(1)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="Thing: rate must be a number; got "):
        check_number(value, "rate", "Thing")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39, 10**400, -(10**4000)])
def test_what_float32_cannot_hold_is_refused(value):
    with pytest.raises(ValueError, match="Thing: rate must be a finite float32 number; got "):
        check_number(value, "rate", "Thing")


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "shown"),
    [
        ({"least": 0}, 0.0, -1e-9, "0 ≤ rate;"),
        ({"over": 0}, 1e-9, 0.0, "0 < rate;"),
        ({"most": 1}, 1.0, 1.001, " rate ≤ 1;"),
        ({"under": 1}, 0.999, 1.0, " rate < 1;"),
        ({"least": 0, "under": 1}, 0.0, 1.0, "0 ≤ rate < 1;"),
    ],
)
def test_a_bound_belongs_to_the_range_or_does_not(bounds, inside, outside, shown):
    assert check_number(inside, "rate", "Thing", **bounds) == inside
    with pytest.raises(ValueError, match=shown):
        check_number(outside, "rate", "Thing", **bounds)


def test_the_bounds_hold_for_what_kernels_see():
    with pytest.raises(ValueError, match=r"rate < 1; got 0\.999999999"):
        check_number(0.999999999, "rate", "Thing", under=1)
    with pytest.raises(ValueError, match="0 < rate; got 1e-60"):
        check_number(1e-60, "rate", "Thing", over=0)


def test_the_configuration_makes_another_one_like_it():
    thing = Thing(3, rate=0.1)
    assert thing.config() == {"size": 3, "rate": 0.1, "mode": "a"}
    assert vars(Thing(**thing.config())) == vars(thing)


def test_the_repr_is_the_call_without_what_is_default():
    assert repr(Thing(3)) == "Thing(3)"
    assert repr(Thing(3, mode="b")) == "Thing(3, mode='b')"
