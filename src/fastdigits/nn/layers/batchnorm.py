"""Batch normalisation: bring each feature to mean 0 and variance 1, then scale and shift it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ... import backend
from ...backend import aligned
from ...core.arrays import Array, Float32, as_array
from ...core.validation import check_count, check_number
from ..parameters import Parameter
from .base import Layer


class BatchNorm(Layer):
    """y = gamma · x_hat + beta, with x_hat = (x - mean) / √(var + eps), for each feature.

    In training, mean and var are those of the batch; var is the biased variance (divided by n). The running statistics
    are updated: running ← (1 - momentum) · running + momentum · batch, with the unbiased variance (divided by n - 1).
    In evaluation, mean and var are the running statistics, so the output for one image never depends on its batch.

    Backward: dgamma = Σ dy · x_hat, dbeta = Σ dy,
    dx = gamma / √(var + eps) · (dy - dbeta / n - x_hat · dgamma / n).

    Parameters
    ----------
    n : int
        Number of features, at least 1.
    momentum : float, default 0.1
        Weight of the new batch in the running statistics, 0 < momentum ≤ 1. Other libraries define momentum as
        1 minus this value.
    eps : float, default 1e-5
        Added to the variance, above 0.

    Attributes
    ----------
    gamma, beta : Parameter, (n,)
        Scale, initially 1, and shift, initially 0.
    running_mean, running_var : ndarray, (n,) float32
        Initially 0 and 1. A forward in training updates them in place. Assigning replaces them by a copy.

    Raises
    ------
    TypeError
        If ``n`` is not an integer, or ``momentum`` or ``eps`` not a number.
    ValueError
        If one is out of range; from `forward` in training, if the batch has fewer than 2 rows.

    References
    ----------
    Ioffe, Szegedy (2015), Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift, algorithms 1 and 2.
    """

    def __init__(self, n: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.n = check_count(n, "n", "BatchNorm")
        self.momentum = check_number(momentum, "momentum", "BatchNorm", over=0, most=1)
        self.eps = check_number(eps, "eps", "BatchNorm", over=0)
        self.gamma = Parameter("gamma", np.ones(self.n, dtype=np.float32))
        self.beta = Parameter("beta", np.zeros(self.n, dtype=np.float32))
        self.running_mean = np.zeros(self.n, dtype=np.float32)
        self.running_var = np.ones(self.n, dtype=np.float32)

    @property
    def running_mean(self) -> Float32:
        """Mean used in evaluation."""
        return cast(Float32, vars(self)["running_mean"])

    @running_mean.setter
    def running_mean(self, new: object) -> None:
        self._put("running_mean", new)

    @property
    def running_var(self) -> Float32:
        """Variance used in evaluation."""
        return cast(Float32, vars(self)["running_var"])

    @running_var.setter
    def running_var(self, new: object) -> None:
        self._put("running_var", new)

    def _put(self, name: str, new: object) -> None:
        """Replace an attribute by a copy of an array; it stays in ``vars(self)``, as in all pickles."""
        array = as_array(new, f"{self._subject}: {name}")
        if array.shape != (self.n,):
            raise ValueError(f"{self._subject}: {name} must be ({self.n},); got {array.shape}")
        with np.errstate(over="ignore"):
            vars(self)[name] = np.array(array, dtype=np.float32, order="C")

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return the normalised batch, (n, features), for ``x`` of the same shape; in training, n ≥ 2."""
        x = self._check_x(x, self.n)
        y = aligned.floats(*x.shape)
        if not training:
            (kernels or backend.kernels).batchnorm_inference(
                y, x, self.gamma.value, self.beta.value, self.running_mean, self.running_var, self.eps
            )
            return y
        if x.shape[0] < 2:
            raise ValueError(
                f"{self._subject}: x must have at least 2 rows in training, to have a variance; "
                f"got {x.shape}: use a batch_size of 2 or more"
            )
        x_hat, inv_std = aligned.floats(*x.shape), aligned.floats(self.n)
        (kernels or backend.kernels).batchnorm_forward(
            y, x_hat, inv_std, self.running_mean, self.running_var,
            x, self.gamma.value, self.beta.value, self.momentum, self.eps,
        )  # fmt: skip
        self._saved = x_hat, inv_std
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, features); overwrite dgamma and dbeta."""
        x_hat, inv_std = self._cached()
        dy = self._check_dy(dy, x_hat.shape)
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).batchnorm_backward(
            dx, self.gamma.grad, self.beta.grad, dy, x_hat, self.gamma.value, inv_std
        )
        return dx

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx = dy · gamma / √(running_var + eps), (n, features)."""
        dx, zeros = aligned.floats(*dy.shape), aligned.zeros(self.n)
        (kernels or backend.kernels).batchnorm_inference(
            dx, dy, self.gamma.value, zeros, zeros, self.running_var, self.eps
        )
        return dx

    def parameters(self) -> list[Parameter]:
        """Return gamma and beta."""
        return [self.gamma, self.beta]

    def buffers(self) -> dict[str, Float32]:
        """Return the running statistics."""
        return {"running_mean": self.running_mean, "running_var": self.running_var}

    def output_width(self, width: int) -> int:
        """Return ``n``; the input must have this width."""
        if width != self.n:
            raise ValueError(
                f"{self._subject}: the input must have width {self.n}; got {width}: use BatchNorm({width})"
            )
        return width

    def operations(self, width: int) -> int:
        """Return ``n``: one multiply-add per feature."""
        return self.n
