"""Averages of weights over the steps of a training: they are often better than the weights of any one step."""

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
    """A running average of every parameter, kept beside the training; `EMA` and `SWA` are two of them.

    At the steps s = start + k · every: average ← average + rate · (value - average), with
    rate = max(1 - decay, 1 / (k + 1)). So it is the plain mean of the values at first, and stays that if the
    decay is 1.

    `NeuralNetwork.fit` takes one as ``average``: it starts again, is updated after each step, and becomes the
    network's weights at the end. Statistics of batch normalisation do not belong to averaged weights and are
    computed again then, `NeuralNetwork.renew_statistics`. It serves one training at a time.

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
        """Start again with these parameters, for a training of ``steps`` steps."""
        steps = check_count(steps, "steps", type(self).__name__)
        self.step = 0
        self._first = min(int(self.start * steps), steps - 1)
        self._averages = [(one, aligned.zeros(one.value.size)) for one in parameters]

    def update(self, kernels: Any = None) -> None:
        """Count a step and take the parameters' values in; a program that records this passes ``kernels``.

        Raises
        ------
        RuntimeError
            If `begin` has not come before.
        """
        self._need_begin()
        kernels = kernels or backend.kernels
        kernels.advance(self._step)
        for parameter, average in self._averages:
            kernels.average_update(
                average, parameter.flat()[0], self._step, 1 - self.decay, self._first, self.every
            )

    def apply(self) -> bool:
        """Give the parameters their averages; return False, and leave them, if there is nothing to average yet.

        Raises
        ------
        RuntimeError
            If `begin` has not come before.
        """
        self._need_begin()
        if self.step <= self._first:
            return False
        for parameter, average in self._averages:
            parameter.flat()[0][...] = average
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return ``"step"`` and, by the name of its parameter, a copy of each average, flat."""
        self._need_begin()
        return {"step": self.step} | {one.name: average.copy() for one, average in self._averages}

    def check_state_dict(self, parameters: Iterable[Parameter], content: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state that `load_state_dict` can take for these parameters; nothing changes.

        Raises
        ------
        TypeError
            If the step is no integer, or if an average holds no real numbers.
        ValueError
            If an average is missing, unknown, of another shape or not finite.
        """
        checks: dict[str, Check] = {one.name: float_array((one.value.size,)) for one in parameters}
        return validate(content, checks | {"step": integer()}, type(self).__name__)

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was taken, in a training that has begun with the same parameters.

        Raises
        ------
        RuntimeError
            If `begin` has not come before.
        TypeError, ValueError
            As `check_state_dict`. Nothing has changed then.
        """
        self._need_begin()
        content = self.check_state_dict([parameter for parameter, _ in self._averages], content)
        for parameter, average in self._averages:
            average[...] = content[parameter.name]
        self.step = content["step"]

    def _need_begin(self) -> None:
        if not self._averages:
            raise RuntimeError(f"{type(self).__name__}: begin(parameters, steps) must come first; it has not")


class EMA(WeightAverage):
    """Exponential moving average: each value counts ``decay`` times as much as the next.

    Parameters
    ----------
    decay : float, default 0.999
        0 ≤ decay < 1; about 1 / (1 - decay) updates are averaged.
    every : int, default 1
        Steps between two updates.

    Raises
    ------
    TypeError
        If an argument is no number of its kind.
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
    """Stochastic weight averaging: the plain mean over the last part of the training.

    Parameters
    ----------
    start : float, default 0.75
        Part of the training that is left out of the mean, 0 ≤ start < 1.
    every : int, default 1
        Steps between two values that are taken in.

    Raises
    ------
    TypeError
        If an argument is no number of its kind.
    ValueError
        If one is out of range.

    References
    ----------
    Izmailov, Podoprikhin, Garipov, Vetrov, Wilson (2018), Averaging Weights Leads to Wider Optima and Better
    Generalization, algorithm 1; there once an epoch.
    """

    def __init__(self, start: float = 0.75, *, every: int = 1) -> None:
        super().__init__()
        self.start = check_number(start, "start", "SWA", least=0, under=1)
        self.every = check_count(every, "every", "SWA")
