"""Schedules: factors of the learning rate, as functions of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..core.configured import Configured
from ..core.validation import check_count, check_number


class Schedule(Configured):
    """The base class of schedules; your own overrides `factor`.

    Notes
    -----
    A schedule is a function of the progress p = step / total_steps: 0 at the first step and just below 1 at the last.
    So it works for runs of any length. It has no state, so one object works for any number of runs.
    """

    def factor(self, step: int, total_steps: int) -> float:
        """Return the factor of the learning rate.

        Parameters
        ----------
        step : int
            Steps before this one: 0 … total_steps - 1.
        total_steps : int
            Steps of the whole run, at least 1.

        Raises
        ------
        TypeError
            If a count is not an integer.
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
    """A constant learning rate: factor = 1."""

    def factor(self, step: int, total_steps: int) -> float:
        """Return 1."""
        self._progress(step, total_steps)
        return 1.0


class Step(Schedule):
    """A drop at each given point of the run: factorᵏ after k points.

    Parameters
    ----------
    at : iterable of float, default (0.5, 0.75)
        Points p of the run, each 0 < p < 1, in increasing order; at least one.
    factor : float, default 0.1
        Factor at each point, 0 < factor ≤ 1.

    References
    ----------
    He, Zhang, Ren, Sun (2016), Deep Residual Learning for Image Recognition, section 4.2, for the defaults
    (a tenth at 50 % and at 75 % of the steps).
    """

    def __init__(self, at: Iterable[float] = (0.5, 0.75), factor: float = 0.1) -> None:
        if not isinstance(at, Iterable):
            raise TypeError(f"Step: at must be a list of points of the run; got {at!r}: such as (0.5, 0.75)")
        self.at = tuple(check_number(point, "each of at", "Step", over=0, under=1) for point in at)
        if not self.at or any(low >= high for low, high in zip(self.at, self.at[1:], strict=False)):
            raise ValueError(f"Step: at must hold at least one point, in increasing order; got {self.at}")
        self._drop = check_number(factor, "factor", "Step", over=0, most=1)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"at": self.at, "factor": self._drop}

    def factor(self, step: int, total_steps: int) -> float:
        """Return factorᵏ, with k the number of points ≤ p."""
        progress = self._progress(step, total_steps)
        return self._drop ** sum(point <= progress for point in self.at)


class Cosine(Schedule):
    """Half a cosine wave from 1 down to ``final``: final + (1 - final) · (1 + cos πp) / 2.

    Parameters
    ----------
    final : float, default 0.0
        Factor at the end of the run, just after the last step; 0 ≤ final ≤ 1.

    References
    ----------
    Loshchilov, Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, equation 5, without
    restarts.
    """

    def __init__(self, final: float = 0.0) -> None:
        self.final = check_number(final, "final", "Cosine", least=0, most=1)

    def factor(self, step: int, total_steps: int) -> float:
        """Return a value between 1, at the first step, and ``final``."""
        return _cosine(1.0, self.final, self._progress(step, total_steps))


class OneCycle(Schedule):
    """From ``start`` up to 1 in the first part of the run, then down to ``final``, along half cosine waves.

    The optimizer's learning rate is reached at the peak. High rates in the middle of a run reach flatter minima
    sooner.

    Parameters
    ----------
    warmup : float, default 0.3
        Fraction of the run before the peak, 0 ≤ warmup < 1.
    start : float, default 1/25
        Factor of the first step, 0 ≤ start ≤ 1.
    final : float, default 1e-4
        Factor at the end of the run, just after the last step; 0 ≤ final ≤ 1.

    References
    ----------
    Smith, Topin (2019), Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates. The paper uses straight lines; fastai and PyTorch use the cosine.
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
    """A linear increase over the first steps, then another schedule over the remaining ones.

    The first w = round(fraction · total_steps) steps have (step + 1) / (w + 1) times the other schedule's first factor.

    Parameters
    ----------
    fraction : float, default 0.05
        Fraction of the run that increases, 0 ≤ fraction < 1. At least one step remains for the other schedule.
    then : Schedule, optional
        The other schedule; default `Constant`.

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
        """Return an increasing fraction of the other schedule's first factor, then its factors."""
        self._progress(step, total_steps)
        rising = min(round(self.fraction * total_steps), total_steps - 1)
        if step < rising:
            return (step + 1) / (rising + 1) * self.then.factor(0, total_steps - rising)
        return self.then.factor(step - rising, total_steps - rising)


def _cosine(begin: float, end: float, progress: float) -> float:
    """Return the value at ``progress``, 0 … 1, of half a cosine wave from ``begin`` to ``end``."""
    return end + (begin - end) * (1 + math.cos(math.pi * progress)) / 2
