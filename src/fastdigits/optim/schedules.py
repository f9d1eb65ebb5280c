"""Schedules: what the learning rate of an optimizer is multiplied by, as a function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..core.configured import Configured
from ..core.validation import check_count, check_number


class Schedule(Configured):
    """A factor for the learning rate; a schedule of your own overrides `factor`.

    Notes
    -----
    Schedules are functions of p = step / total_steps, the part of the run that lies behind: 0 at the first
    step and just below 1 at the last. So the same schedule serves runs of any length. They keep no state,
    so that one object may serve any number of runs.
    """

    def factor(self, step: int, total_steps: int) -> float:
        """Return what the learning rate is multiplied by.

        Parameters
        ----------
        step : int
            Steps before this one: 0 … total_steps - 1.
        total_steps : int
            Steps of the whole run, at least 1.

        Raises
        ------
        TypeError
            If a count is no integer.
        ValueError
            If it is out of range.
        """
        raise NotImplementedError(
            f"{self._subject}: a schedule must have a factor(step, total_steps); got none"
        )

    @property
    def _subject(self) -> str:
        return type(self).__name__

    def _progress(self, step: int, total_steps: int) -> float:
        """Return p, with 0 ≤ p < 1."""
        if type(step) is int and type(total_steps) is int and 0 <= step < total_steps:
            return step / total_steps
        total_steps = check_count(total_steps, "total_steps", self._subject)
        step = check_count(step, "step", self._subject, least=0)
        if step >= total_steps:
            raise ValueError(
                f"{self._subject}: step must be within 0 … {total_steps - 1}; got {step}: steps count from 0"
            )
        return step / total_steps


class Constant(Schedule):
    """The same learning rate all along: factor = 1."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return 1."""
        self._progress(step, total_steps)
        return 1.0


class Step(Schedule):
    """A drop at certain points of the run: factorᵏ, where k points are reached.

    Parameters
    ----------
    at : iterable of float, default (0.5, 0.75)
        Points of the run, each 0 < p < 1, in rising order; at least one.
    factor : float, default 0.1
        What each of them multiplies the learning rate by, 0 < factor ≤ 1.

    References
    ----------
    He, Zhang, Ren, Sun (2016), Deep Residual Learning for Image Recognition, section 4.2, for the defaults
    (there 50 % and 75 % of the steps, a tenth each).
    """

    def __init__(self, at: Iterable[float] = (0.5, 0.75), factor: float = 0.1) -> None:
        if not isinstance(at, Iterable):
            raise TypeError(f"Step: at must be a list of points of the run; got {at!r}: such as (0.5, 0.75)")
        self.at = tuple(check_number(point, "each of at", "Step", over=0, under=1) for point in at)
        if not self.at or any(low >= high for low, high in zip(self.at, self.at[1:], strict=False)):
            raise ValueError(f"Step: at must hold at least one point, in rising order; got {self.at}")
        self._drop = check_number(factor, "factor", "Step", over=0, most=1)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"at": self.at, "factor": self._drop}

    def factor(self, step: int, total_steps: int) -> float:
        """Return factorᵏ; k counts the points with at ≤ p."""
        progress = self._progress(step, total_steps)
        return self._drop ** sum(point <= progress for point in self.at)


class Cosine(Schedule):
    """Half a cosine wave from 1 down to ``final``: final + (1 - final) · (1 + cos πp) / 2.

    Parameters
    ----------
    final : float, default 0.0
        What the factor comes to at the end of the run, 0 ≤ final ≤ 1; the last step lies just before it.

    References
    ----------
    Loshchilov, Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, equation 5; here
    without restarts.
    """

    def __init__(self, final: float = 0.0) -> None:
        self.final = check_number(final, "final", "Cosine", least=0, most=1)

    def factor(self, step: int, total_steps: int) -> float:
        """Return a value between 1, at the first step, and ``final``."""
        return _cosine(1.0, self.final, self._progress(step, total_steps))


class OneCycle(Schedule):
    """Up from ``start`` to 1 in the first part of the run, then down to ``final``, along half cosine waves.

    The optimizer's learning rate is that of the peak. High rates in the middle of a run reach flatter
    minima sooner.

    Parameters
    ----------
    warmup : float, default 0.3
        Part of the run that goes up, 0 ≤ warmup < 1.
    start : float, default 1/25
        Factor of the first step, 0 ≤ start ≤ 1.
    final : float, default 1e-4
        What the factor comes to at the end of the run, 0 ≤ final ≤ 1; the last step lies just before it.

    References
    ----------
    Smith, Topin (2019), Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates. There both ways are straight lines; the cosine is the form that fastai and PyTorch made usual.
    """

    def __init__(self, *, warmup: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> None:
        self.warmup = check_number(warmup, "warmup", "OneCycle", least=0, under=1)
        self.start = check_number(start, "start", "OneCycle", least=0, most=1)
        self.final = check_number(final, "final", "OneCycle", least=0, most=1)

    def factor(self, step: int, total_steps: int) -> float:
        """Return ``start`` at the first step, 1 at the peak, and about ``final`` at the last step."""
        progress = self._progress(step, total_steps)
        if progress < self.warmup:
            return _cosine(self.start, 1.0, progress / self.warmup)
        return _cosine(1.0, self.final, (progress - self.warmup) / (1 - self.warmup))


class WarmUp(Schedule):
    """Up in a straight line within the first steps, then another schedule over those that remain.

    The first w = round(fraction · total_steps) steps take (step + 1) / (w + 1) of the other's first factor.

    Parameters
    ----------
    fraction : float, default 0.05
        Part of the run that goes up, 0 ≤ fraction < 1. At least one step is left to the other schedule.
    then : Schedule, optional
        The other one; `Constant` where none is given.

    References
    ----------
    Goyal et al. (2017), Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour, section 2.2.
    """

    def __init__(self, fraction: float = 0.05, then: Schedule | None = None) -> None:
        self.fraction = check_number(fraction, "fraction", "WarmUp", least=0, under=1)
        if then is not None and not isinstance(then, Schedule):
            hint = ": call it to make one" if isinstance(then, type) else ""
            raise TypeError(f"WarmUp: then must be a Schedule; got {then!r}{hint}")
        self.then = Constant() if then is None else then

    def factor(self, step: int, total_steps: int) -> float:
        """Return a growing part of the other's first factor, then its factors."""
        self._progress(step, total_steps)
        rising = min(round(self.fraction * total_steps), total_steps - 1)
        if step < rising:
            return (step + 1) / (rising + 1) * self.then.factor(0, total_steps - rising)
        return self.then.factor(step - rising, total_steps - rising)


def _cosine(begin: float, end: float, progress: float) -> float:
    """Return the point of half a cosine wave from ``begin``, at 0, to ``end``, at 1."""
    return end + (begin - end) * (1 + math.cos(math.pi * progress)) / 2
