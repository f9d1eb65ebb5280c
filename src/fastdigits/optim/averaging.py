"""Averages of weights over the training steps, which are often better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import backend
from ..backend import aligned
from ..core import changes
from ..core.arrays import Float32, Int64
from ..core.configured import Configured
from ..core.schema import Check, float_array, integer, validate
from ..core.validation import check_count, check_number
from ..nn.parameters import Parameter


class WeightAverage(Configured):
    """A running average of every parameter during training; the base class of `EMA` and `SWA`.

    At the steps s = start + k · every: average ← average + rate · (value - average), with
    rate = max(1 - decay, 1 / (k + 1)). The average is first the mean of the values, and always if the decay is 1.

    Pass it to `NeuralNetwork.fit` as ``average``. `fit` resets it, updates it after each step, and at the end gives the
    network the averaged weights. It then computes the statistics of batch normalisation again for these weights, see
    `NeuralNetwork.renew_statistics`. Use one object for only one training at a time.

    Attributes
    ----------
    step : int
        Updates so far.
    """

    decay = 1.0
    start = 0.0
    every = 1
    step = changes.Count()
    _step: Int64

    def __init__(self) -> None:
        self.step = 0
        self._first = 0
        self._averages: list[tuple[Parameter, Float32]] = []

    def begin(self, parameters: Iterable[Parameter], steps: int) -> None:
        """Reset the averages, for a training of these parameters over ``steps`` steps."""
        steps = check_count(steps, "steps", type(self).__name__)
        self.step = 0
        self._first = min(int(self.start * steps), steps - 1)
        self._averages = [(one, aligned.zeros(one.value.size)) for one in parameters]

    def update(self, kernels: Any = None) -> None:
        """Count a step and update the averages; to record this, a program passes its own ``kernels``.

        Raises
        ------
        RuntimeError
            If `begin` was not called before.
        """
        self._check_begun()
        kernels = kernels or backend.kernels
        kernels.advance(self._step)
        for parameter, average in self._averages:
            kernels.average_update(
                average, parameter.flat()[0], self._step, 1 - self.decay, self._first, self.every
            )

    def arrays(self) -> list[Float32]:
        """Return the average of each parameter, flat: the arrays, not copies."""
        return [average for _, average in self._averages]

    def apply(self) -> bool:
        """Set the parameters to their averages; return False, without a change, if there are none yet.

        Raises
        ------
        RuntimeError
            If `begin` was not called before.
        """
        self._check_begun()
        if self.step <= self._first:
            return False
        for parameter, average in self._averages:
            parameter.flat()[0][...] = average
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return ``"step"`` and a flat copy of each average, under the name of its parameter."""
        self._check_begun()
        return {"step": self.step} | {one.name: average.copy() for one, average in self._averages}

    def check_state_dict(self, parameters: Iterable[Parameter], content: Mapping[str, Any]) -> dict[str, Any]:
        """Check a state for `load_state_dict` and return it; nothing changes.

        Raises
        ------
        TypeError
            If the step is not an integer, or if an average has no real numbers.
        ValueError
            If an average is missing, unknown, of another shape or not finite.
        """
        checks: dict[str, Check] = {one.name: float_array((one.value.size,)) for one in parameters}
        return validate(content, checks | {"step": integer()}, type(self).__name__)

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Restore the state from `state_dict`, after `begin` with the same parameters.

        Raises
        ------
        RuntimeError
            If `begin` was not called before.
        TypeError, ValueError
            As `check_state_dict`, before anything is changed.
        """
        self._check_begun()
        content = self.check_state_dict([parameter for parameter, _ in self._averages], content)
        for parameter, average in self._averages:
            average[...] = content[parameter.name]
        self.step = content["step"]

    def _check_begun(self) -> None:
        if not self._averages:
            raise RuntimeError(f"{type(self).__name__}: call begin(parameters, steps) first")


class EMA(WeightAverage):
    """Exponential moving average: each value has ``decay`` times the weight of the next.

    Parameters
    ----------
    decay : float, default 0.999
        0 ≤ decay < 1; about 1 / (1 - decay) updates are averaged.
    every : int, default 1
        Steps between two updates.

    Raises
    ------
    TypeError
        If ``decay`` is not a number or ``every`` not an integer.
    ValueError
        If one is out of range.

    References
    ----------
    Polyak, Juditsky (1992), Acceleration of Stochastic Approximation by Averaging. Tarvainen, Valpola (2017),
    Mean teachers are better role models, section 2, for the exponential form.
    """

    def __init__(self, decay: float = 0.999, *, every: int = 1) -> None:
        super().__init__()
        self.decay = check_number(decay, "decay", "EMA", least=0, under=1)
        self.every = check_count(every, "every", "EMA")


class SWA(WeightAverage):
    """Stochastic weight averaging: the mean over the last part of the training.

    Parameters
    ----------
    start : float, default 0.75
        Fraction of the training before averaging starts, 0 ≤ start < 1.
    every : int, default 1
        Steps between two updates.

    Raises
    ------
    TypeError
        If ``start`` is not a number or ``every`` not an integer.
    ValueError
        If one is out of range.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), Averaging Weights Leads to Wider Optima and Better
    Generalization, algorithm 1, which updates once per epoch.
    """

    def __init__(self, start: float = 0.75, *, every: int = 1) -> None:
        super().__init__()
        self.start = check_number(start, "start", "SWA", least=0, under=1)
        self.every = check_count(every, "every", "SWA")
