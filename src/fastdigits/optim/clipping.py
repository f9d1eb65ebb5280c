"""Gradient clipping: limit the norm of the gradients, so one unusual batch cannot cause a huge step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..core.arrays import Array
from ..core.configured import Configured
from ..core.validation import check_number
from ..nn.parameters import Parameter


class ClipNorm(Configured):
    """Scale all gradients by most / norm if their norm is greater than ``most``.

    norm = √(Σ grad²), summed over all values of all parameters. The direction does not change.

    Parameters
    ----------
    most : float, default 1.0
        Largest norm, above 0.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is out of range.

    Notes
    -----
    The sums use double precision. Values that are not finite stay so.

    References
    ----------
    Pascanu, Mikolov, Bengio (2013), On the difficulty of training recurrent neural networks, algorithm 1.

    Examples
    --------
    >>> import fastdigits as fd
    >>> weight = fd.Parameter("weight", [0.0, 0.0])
    >>> weight.grad = [3.0, 4.0]
    >>> clip = fd.ClipNorm(1.0)
    >>> clip.apply([weight])
    >>> weight.grad
    array([0.6, 0.8], dtype=float32)
    >>> clip.norm
    5.0
    """

    def __init__(self, most: float = 1.0) -> None:
        self.most = check_number(most, "most", "ClipNorm", over=0)
        self._squares: Array = np.zeros(0)

    @property
    def norm(self) -> float:
        """Norm of the gradients at the last `apply`, before the clipping; NaN before the first one."""
        return math.sqrt(self._squares.sum()) if self._squares.size else math.nan

    def apply(self, parameters: Sequence[Parameter], kernels: Any = None) -> None:
        """Scale the gradients in place; to record this, a program passes its own ``kernels``."""
        if self._squares.size != len(parameters):
            self._squares = np.zeros(len(parameters))
        for place, parameter in enumerate(parameters):
            (kernels or backend.kernels).sum_squares(self._squares, parameter.flat()[1], place)
        for parameter in parameters:
            (kernels or backend.kernels).clip(parameter.flat()[1], self._squares, self.most)
