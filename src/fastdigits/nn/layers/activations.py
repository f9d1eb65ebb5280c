"""Activations: functions without parameters, used between dense layers."""

from __future__ import annotations

from typing import Any

from ... import backend
from ...backend import aligned
from ...core.arrays import Array, Float32
from ...core.validation import check_number
from .base import Layer


class ReLU(Layer):
    """y = max(x, 0), elementwise.

    Backward: dx = dy where y > 0, else 0. At x = 0, which has no derivative, it uses 0.

    References
    ----------
    Nair, Hinton (2010), Rectified Linear Units Improve Restricted Boltzmann Machines.
    """

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return max(x, 0), (n, d), for ``x`` of the same shape."""
        x = self._check_x(x)
        y = aligned.floats(*x.shape)
        (kernels or backend.kernels).relu_forward(y, x)
        if training:
            self._saved = y
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        y = self._cached()
        return self.backward_input(self._check_dy(dy, y.shape), y, y, kernels)

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).relu_backward(dx, dy, y)
        return dx


class LeakyReLU(Layer):
    """y = x where x > 0, else slope · x, elementwise.

    Backward: dx = dy where x > 0, else slope · dy. A unit that is negative for every image still learns.

    Parameters
    ----------
    slope : float, default 0.01
        Slope for negative x, 0 ≤ slope < 1.

    Raises
    ------
    TypeError
        If the slope is not a number.
    ValueError
        If it is out of range.

    References
    ----------
    Maas, Hannun, Ng (2013), Rectifier Nonlinearities Improve Neural Network Acoustic Models.
    """

    def __init__(self, slope: float = 0.01) -> None:
        self.slope = check_number(slope, "slope", "LeakyReLU", least=0, under=1)

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return x or slope · x, (n, d), for ``x`` of the same shape."""
        x = self._check_x(x)
        y = aligned.floats(*x.shape)
        (kernels or backend.kernels).leaky_relu_forward(y, x, self.slope)
        if training:
            self._saved = x
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        x = self._cached()
        return self.backward_input(self._check_dy(dy, x.shape), x, x, kernels)

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).leaky_relu_backward(dx, dy, x, self.slope)
        return dx


class Softmax(Layer):
    """probs = e^x / Σ e^x, row by row: positive numbers that sum to 1.

    Backward: dx = probs · (dy - Σ dy · probs), summed over the row.

    Notes
    -----
    The maximum of each row is subtracted first, which keeps e^x finite and does not change the result.

    For training, omit this layer: `SoftmaxCrossEntropy` takes logits and applies the softmax itself, which is faster
    and keeps small probabilities accurate.
    """

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return the probabilities, (n, d), for ``x`` of the same shape."""
        x = self._check_x(x)
        probs = aligned.floats(*x.shape)
        (kernels or backend.kernels).softmax_forward(probs, x)
        if training:
            self._saved = probs
        return probs

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        probs = self._cached()
        return self.backward_input(self._check_dy(dy, probs.shape), probs, probs, kernels)

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, d)."""
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).softmax_backward(dx, dy, y)
        return dx
