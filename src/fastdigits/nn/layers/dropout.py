"""Dropout: in training, set random values to zero."""

from __future__ import annotations

from typing import Any

from ... import backend
from ...backend import aligned
from ...core import changes
from ...core.arrays import Array, Float32, Int64
from ...core.validation import check_number
from .base import Layer


class Dropout(Layer):
    """In training y = x / (1 - rate) with probability 1 - rate, else 0; in evaluation y = x.

    Backward: dx = dy / (1 - rate) where x was kept, else 0. The division keeps the expected value (inverted dropout),
    so evaluation needs no correction.

    Parameters
    ----------
    rate : float, default 0.5
        Probability of a zero, 0 ≤ rate < 1.

    Attributes
    ----------
    seed : int
        Determines the masks, with ``step``. A network sets it from its own seed and the layer's position.
    step : int
        Number of forwards in training so far; each has a different mask.

    Raises
    ------
    TypeError
        If the rate is not a number.
    ValueError
        If it is out of range.

    Notes
    -----
    A mask is not stored: it is a function of (seed, step, position), and `backward` computes it again. So it does not
    depend on threads or on other random numbers.

    In evaluation, the output is the same array as the input.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting. Steele, Lea, Flood (2014), Fast Splittable Pseudorandom Number Generators,
    for the keys.
    """

    step = changes.Count()
    _step: Int64

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_number(rate, "rate", "Dropout", least=0, under=1)
        self.seed = 0
        self.step = 0

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return ``x``, (n, d), after dropout, and count the step; in evaluation, return ``x`` itself."""
        x = self._check_x(x)
        if not training:
            return x
        y = aligned.floats(*x.shape)
        kernels = kernels or backend.kernels
        kernels.advance(self._step)
        kernels.dropout_forward(y, x, self._step, self.rate, self.seed)
        self._saved = x.shape
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d), with the mask of the last forward in training."""
        dy = self._check_dy(dy, self._cached())
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).dropout_backward(dx, dy, self._step, self.rate, self.seed)
        return dx

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return ``dy`` itself, (n, d)."""
        return dy
