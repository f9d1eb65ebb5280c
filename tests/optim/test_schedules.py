"""Schedules: values on paper, ends, and that they depend on the step alone."""

import math
import pickle

import numpy as np
import pytest

import fastdigits.optim.schedules
from fastdigits.optim.schedules import Constant, Cosine, OneCycle, Schedule, Step, WarmUp

SCHEDULES = [
    Constant(),
    Step(),
    Step(at=[0.1, 0.2, 0.9], factor=0.5),
    Cosine(),
    Cosine(final=0.1),
    OneCycle(),
    OneCycle(warmup=0.0),
    WarmUp(),
    WarmUp(0.2, then=Cosine()),
    WarmUp(0.5, then=OneCycle()),
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)


def factors(schedule: Schedule, total: int) -> list[float]:
    return [schedule.factor(step, total) for step in range(total)]


def test_the_contract_covers_every_schedule():
    kinds = {kind for kind in vars(fastdigits.optim.schedules).values() if isinstance(kind, type)}
    assert {type(one) for one in SCHEDULES} == {one for one in kinds if issubclass(one, Schedule)} - {
        Schedule
    }


@every_schedule
@pytest.mark.parametrize("total", [1, 2, 3, 10, 1000])
def test_every_factor_is_a_float_within_zero_and_one(schedule, total):
    for factor in factors(schedule, total):
        assert type(factor) is float
        assert 0 <= factor <= 1


@every_schedule
def test_a_factor_depends_on_nothing_but_the_step(schedule):
    forward = factors(schedule, 50)
    backward = [schedule.factor(step, 50) for step in reversed(range(50))]
    assert forward == backward[::-1]
    assert factors(pickle.loads(pickle.dumps(schedule)), 50) == forward


@every_schedule
def test_no_step_of_a_run_is_wasted(schedule):
    assert min(factors(schedule, 1000)) > 0


@every_schedule
def test_a_long_run_and_a_short_one_have_the_same_shape(schedule):
    # At the same part of the run; a warm-up counts whole steps, and so may be off by one in a short run.
    for step in (15, 35, 60, 80, 99):
        assert schedule.factor(10 * step, 1000) == pytest.approx(schedule.factor(step, 100), abs=0.06)


@every_schedule
@pytest.mark.parametrize(
    ("step", "total", "error", "match"),
    [
        (-1, 10, ValueError, "step must be at least 0; got -1"),
        (10, 10, ValueError, "step must be within 0 … 9; got 10: steps count from 0"),
        (0, 0, ValueError, "total_steps must be at least 1; got 0"),
        (0.5, 10, TypeError, "step must be an integer; got 0.5"),
        (0, "a", TypeError, "total_steps must be an integer; got 'a'"),
    ],
)
def test_a_step_outside_the_run_is_refused(schedule, step, total, error, match):
    with pytest.raises(error, match=f"^{type(schedule).__name__}: {match}"):
        schedule.factor(step, total)


@every_schedule
def test_numpy_integers_are_counts_too(schedule):
    assert schedule.factor(np.int64(3), np.int32(10)) == schedule.factor(3, 10)


@every_schedule
def test_the_configuration_makes_another_one_like_it(schedule):
    assert factors(type(schedule)(**schedule.config()), 20) == factors(schedule, 20)


# -- each of them on paper ---------------------------------------------------------------------------------


def test_constant_is_one():
    assert factors(Constant(), 3) == [1, 1, 1]


def test_step_drops_where_it_says():
    assert factors(Step(), 8) == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert factors(Step(at=(0.3,), factor=0.5), 10) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_cosine_falls_along_half_a_wave():
    assert factors(Cosine(), 4) == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])
    assert factors(Cosine(final=0.2), 2) == pytest.approx([1, 0.6])
    assert factors(Cosine(final=0.2), 10_000)[-1] == pytest.approx(0.2, abs=1e-6)


def test_one_cycle_rises_to_its_peak_and_falls_to_its_end():
    run = factors(OneCycle(), 1000)
    assert run[0] == pytest.approx(1 / 25)
    assert run[150] == pytest.approx((1 / 25 + 1) / 2)
    assert run[300] == 1.0
    assert run[650] == pytest.approx((1 + 1e-4) / 2)
    assert run[999] == pytest.approx(1e-4, abs=1e-5)
    assert np.argmax(run) == 300
    assert (np.diff(run[:301]) > 0).all()
    assert (np.diff(run[300:]) < 0).all()


def test_one_cycle_without_warm_up_begins_at_its_peak():
    assert factors(OneCycle(warmup=0, final=0), 50) == factors(Cosine(), 50)


def test_warm_up_rises_in_a_straight_line_and_hands_over():
    assert factors(WarmUp(0.3), 10) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1])
    rest = factors(Cosine(), 8)
    assert factors(WarmUp(0.2, then=Cosine()), 10) == pytest.approx([1 / 3, 2 / 3, *rest])


def test_warm_up_reaches_the_first_factor_of_what_follows():
    start = OneCycle().factor(0, 100)
    assert factors(WarmUp(0.5, then=OneCycle()), 200)[:101] == pytest.approx(
        [start * (step + 1) / 101 for step in range(101)]
    )


def test_warm_up_leaves_a_step_to_what_follows():
    assert factors(WarmUp(0.99), 2) == [0.5, 1.0]
    assert factors(WarmUp(0.99), 1) == [1.0]


# -- what is refused and shown -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Step(at=()), ValueError, "Step: at must hold at least one point"),
        (lambda: Step(at=(0.5, 0.5)), ValueError, r"in increasing order; got \(0.5, 0.5\)"),
        (lambda: Step(at=(0.0,)), ValueError, "Step: each of at must be .*; got 0.0"),
        (lambda: Step(at=(1.0,)), ValueError, "Step: each of at must be .*; got 1.0"),
        (lambda: Step(at=0.5), TypeError, "Step: at must be a list of points of the run; got 0.5"),
        (lambda: Step(at=("a",)), TypeError, "Step: each of at must be a number; got 'a'"),
        (lambda: Step(factor=0), ValueError, "Step: factor must be .* 0 < factor ≤ 1; got 0"),
        (lambda: Cosine(final=-0.1), ValueError, "Cosine: final must be .* 0 ≤ final ≤ 1; got -0.1"),
        (lambda: Cosine(final="a"), TypeError, "Cosine: final must be a number"),
        (lambda: OneCycle(warmup=1.0), ValueError, "OneCycle: warmup must be .* 0 ≤ warmup < 1; got 1.0"),
        (lambda: OneCycle(start=2), ValueError, "OneCycle: start must be .* 0 ≤ start ≤ 1; got 2"),
        (lambda: OneCycle(final=math.nan), ValueError, "OneCycle: final must be .*; got nan"),
        (lambda: WarmUp(1.0), ValueError, "WarmUp: fraction must be .* 0 ≤ fraction < 1; got 1.0"),
        (lambda: WarmUp(then=0.5), TypeError, "WarmUp: then must be a Schedule; got 0.5"),
        (lambda: WarmUp(then=Cosine), TypeError, "call it to make one"),
    ],
)
def test_bad_arguments_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_the_repr_shows_what_is_not_default():
    assert repr(OneCycle()) == "OneCycle()"
    assert repr(Step(factor=0.5)) == "Step(factor=0.5)"
    assert repr(WarmUp(then=Cosine(0.1))) == "WarmUp(then=Cosine(final=0.1))"


def test_a_schedule_of_ones_own_needs_a_factor():
    with pytest.raises(NotImplementedError, match="Schedule: a schedule must have a factor"):
        Schedule().factor(0, 1)
