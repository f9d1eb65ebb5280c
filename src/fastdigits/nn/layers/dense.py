"""The dense layer: each output is a weighted sum of all inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import backend
from ...backend import aligned
from ...core.arrays import Array, Float32
from ...core.validation import check_count
from ..initializers import INITIALIZERS
from ..parameters import Parameter
from .base import Layer


class Dense(Layer):
    """y = x · weight + bias.

    Backward: dweight = xᵀ · dy, dbias = sum of the rows of dy, dx = dy · weightᵀ. The loss takes the mean over the
    batch; the layer does not divide again.

    Parameters
    ----------
    n_in, n_out : int
        Width of input and output, at least 1.
    initializer : {"he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "zeros"}, default "he_normal"
        Distribution of the initial weight; see `fastdigits.nn.initializers`. The bias is initially zero.

    Attributes
    ----------
    weight : Parameter, (n_in, n_out)
    bias : Parameter, (n_out,)
    needs_input_gradient : bool
        Whether `backward` computes dx. A network sets it to False on its first layer, where nothing uses dx.

    Raises
    ------
    TypeError
        If a width is not an integer.
    ValueError
        If a width is below 1, or if no initializer has this name.

    Notes
    -----
    ``x`` may also be uint8: pixels that mean value / 255. They have no gradient: `backward` returns None.

    References
    ----------
    He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers, section 2.2, for the default initializer.
    """

    def __init__(self, n_in: int, n_out: int, *, initializer: str = "he_normal") -> None:
        self.n_in = check_count(n_in, "n_in", "Dense")
        self.n_out = check_count(n_out, "n_out", "Dense")
        if not isinstance(initializer, str) or initializer not in INITIALIZERS:
            raise ValueError(
                f"{self._subject}: initializer must be one of {', '.join(INITIALIZERS)}; got {initializer!r}"
            )
        self.initializer = initializer
        self.weight = Parameter("weight", np.zeros((self.n_in, self.n_out), dtype=np.float32))
        self.bias = Parameter("bias", np.zeros(self.n_out, dtype=np.float32))
        self.needs_input_gradient = True
        self._initialized = False

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw the weight; set the bias to zero."""
        self.weight.value = INITIALIZERS[self.initializer](rng, (self.n_in, self.n_out))
        self.bias.value = np.zeros(self.n_out, dtype=np.float32)
        self._initialized = True

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return x · weight + bias, (n, n_out), for ``x`` of (n, n_in), float32, or uint8 for pixels."""
        x = self._check_x(x, self.n_in, pixels=True)
        self._check_weight()
        y = aligned.floats(x.shape[0], self.n_out)
        if x.dtype == np.uint8:
            (kernels or backend.kernels).dense_forward_uint8(y, x, self.weight.value, self.bias.value)
        else:
            (kernels or backend.kernels).dense_forward(y, x, self.weight.value, self.bias.value)
        if training:
            self._saved = x
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32 | None:
        """Return dx, (n, n_in), or None for pixels or if it is not needed; overwrite dweight and dbias."""
        x = self._cached()
        dy = self._check_dy(dy, (x.shape[0], self.n_out))
        if x.dtype == np.uint8:
            (kernels or backend.kernels).dense_backward_weight_uint8(self.weight.grad, self.bias.grad, dy, x)
            return None
        dx = aligned.floats(x.shape[0], self.n_in) if self.needs_input_gradient else None
        if dx is not None:  # first: a recorded update may follow the gradient at once and change the weight
            (kernels or backend.kernels).dense_backward_input(dx, dy, self.weight.value)
        (kernels or backend.kernels).dense_backward_weight(self.weight.grad, self.bias.grad, dy, x)
        return dx

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, n_in), also for pixels, whose gradient is that of value / 255."""
        dx = aligned.floats(x.shape[0], self.n_in)
        (kernels or backend.kernels).dense_backward_input(dx, dy, self.weight.value)
        return dx

    def parameters(self) -> list[Parameter]:
        """Return weight and bias."""
        return [self.weight, self.bias]

    def output_width(self, width: int) -> int:
        """Return ``n_out``; the input must have width ``n_in``."""
        if width != self.n_in:
            raise ValueError(
                f"{self._subject}: the input must have width {self.n_in}; got {width}: "
                f"use Dense({width}, {self.n_out})"
            )
        return self.n_out

    def operations(self, width: int) -> int:
        """Return ``n_in · n_out``."""
        return self.n_in * self.n_out

    def _check_weight(self) -> None:
        # Nothing can be learned through a weight of zeros. A weight set by hand is as good as a drawn one.
        if self._initialized:
            return
        if not self.weight.value.any():
            raise RuntimeError(
                f"{self._subject}: the weight must be initialized; got zeros: "
                "put the layer into a network, or call initialize(rng) first"
            )
        self._initialized = True

    def _label(self) -> str:
        return f"Dense({self.n_in} → {self.n_out})"
