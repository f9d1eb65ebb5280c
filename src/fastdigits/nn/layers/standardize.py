"""Standardisation of the input: bring each column of a table to mean 0 and variance 1."""

from __future__ import annotations

import math
from typing import Any, Self, cast

import numpy as np

from ... import backend
from ...backend import aligned
from ...core.arrays import Array, Float32, as_array
from ...core.blocks import Blocks
from ...core.columns import check_columns, mean_and_variance
from ...core.schema import bad_numbers, lower_bound
from ...core.validation import check_count
from .base import Layer


class Standardize(Layer):
    """y = (x - mean) / √var, for each column: a table then trains well, whatever the units of its columns.

    It is the first layer. ``mean`` and ``var`` are those of the training rows, from `adapt`. Training does not change
    them, unlike those of `BatchNorm`: a row has the same output in training and evaluation, alone and in any batch.
    The scale of a network that begins with it is "numbers": it takes numbers as they are, as `adapt` does.

    Backward: dx = dy / √var.

    Parameters
    ----------
    n : int
        Number of columns, at least 1.

    Attributes
    ----------
    mean, var : ndarray, (n,) float32
        Initially 0 and 1. Assigning replaces them by a copy.

    Raises
    ------
    TypeError, ValueError
        If ``n`` is not an integer of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> import fastdigits as fd
    >>> x = np.array([[1.0, 20000.0], [3.0, 60000.0]], dtype=np.float32)
    >>> fd.Standardize(2).adapt(x).forward(x)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    prepares_input = True
    eps = 0.0  # as `BatchNorm` has, for exporters

    def __init__(self, n: int) -> None:
        self.n = check_count(n, "n", "Standardize")
        self._gamma, self._beta = np.ones(self.n, dtype=np.float32), np.zeros(self.n, dtype=np.float32)
        self.mean = np.zeros(self.n, dtype=np.float32)
        self.var = np.ones(self.n, dtype=np.float32)

    @property
    def mean(self) -> Float32:
        """Mean of each column."""
        return cast(Float32, vars(self)["mean"])

    @mean.setter
    def mean(self, new: object) -> None:
        self._put("mean", new)

    @property
    def var(self) -> Float32:
        """Variance of each column, above 0."""
        return cast(Float32, vars(self)["var"])

    @var.setter
    def var(self, new: object) -> None:
        self._put("var", new)

    def _put(self, name: str, new: object) -> None:
        array = as_array(new, f"{self._subject}: {name}")
        if array.shape != (self.n,):
            raise ValueError(f"{self._subject}: {name} must be ({self.n},); got {array.shape}")
        with np.errstate(over="ignore", under="ignore"):
            numbers = np.array(array, dtype=np.float32, order="C")
        if problem := bad_numbers(numbers, lower_bound(f"standardize.{name}")):
            raise ValueError(f"{self._subject}: {name} {problem}")
        vars(self)[name] = numbers

    def adapt(self, x: object) -> Self:
        """Set ``mean`` and ``var`` to those of the columns of ``x``, (n, columns) or `Shards`; return the layer.

        The variance is the biased one. A column whose numbers are all equal gets the variance 1, so it becomes 0.

        Raises
        ------
        TypeError, ValueError
            If ``x`` is not as described, or if the variance of a column cannot be held in float32.

        Warns
        -----
        UserWarning
            If the numbers of a column are so far from 0, such as times in seconds since 1970, that float32 rounds their
            differences away. Subtract a constant first.
        """
        rows = x if isinstance(x, Blocks) else as_array(x, f"{self._subject}: x")
        shape = (len(rows), rows.width) if isinstance(rows, Blocks) else rows.shape
        if len(shape) < 2 or shape[0] == 0 or math.prod(shape[1:]) != self.n:
            raise ValueError(f"{self._subject}: x must be (rows, {self.n}); got {shape}")
        mean, var = mean_and_variance(rows)
        check_columns(mean, np.sqrt(var), f"{self._subject}: x")
        self.mean, self.var = mean, var
        return self

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return (x - mean) / √var, (n, columns), for ``x`` of the same shape."""
        x = self._check_x(x, self.n)
        y = aligned.floats(*x.shape)
        (kernels or backend.kernels).batchnorm_inference(
            y, x, self._gamma, self._beta, self.mean, self.var, self.eps
        )
        if training:
            self._saved = x.shape
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, columns)."""
        dy = self._check_dy(dy, self._cached())
        return self.backward_input(dy, dy, dy, kernels)

    def backward_input(self, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
        """Return dx, (n, columns)."""
        dx = aligned.floats(*dy.shape)
        (kernels or backend.kernels).batchnorm_inference(
            dx, dy, self._gamma, self._beta, self._beta, self.var, self.eps
        )
        return dx

    def buffers(self) -> dict[str, Float32]:
        """Return mean and variance."""
        return {"mean": self.mean, "var": self.var}

    def output_width(self, width: int) -> int:
        """Return ``n``; the input must have this width."""
        if width != self.n:
            raise ValueError(
                f"{self._subject}: the input must have width {self.n}; got {width}: use Standardize({width})"
            )
        return width

    def operations(self, width: int) -> int:
        """Return ``n``: one multiply-add per column."""
        return self.n
