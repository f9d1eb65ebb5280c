"""Initial weights, drawn from a generator that the caller passes.

A weight is (in, out), so fan_in = shape[0] and fan_out = shape[1]. With these variances, signals keep about the same
variance from layer to layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..core.arrays import Float32
from ..core.validation import check_count

# In quotes: NumPy imports its generators, which takes time, when their name is first evaluated.
Initializer: TypeAlias = "Callable[[np.random.Generator, tuple[int, int]], Float32]"


def he_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Draw from a normal distribution with mean 0 and variance 2 / fan_in, made for ReLU.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers; its state advances.
    shape : (int, int)
        Inputs and outputs, each at least 1.

    Returns
    -------
    ndarray, shape, float32

    Raises
    ------
    TypeError
        If ``rng`` is not a Generator or a size is not an integer.
    ValueError
        If ``shape`` is not two sizes of at least 1.

    References
    ----------
    He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers, section 2.2, equation 10.
    """
    fan_in, _ = _fans("he_normal", rng, shape)
    return _normal(rng, shape, math.sqrt(2 / fan_in))


def he_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Draw uniformly from [-a, a) with a = √(6 / fan_in), which has the variance of `he_normal`.

    Arguments, result, errors and reference are those of `he_normal`.
    """
    fan_in, _ = _fans("he_uniform", rng, shape)
    return _uniform(rng, shape, math.sqrt(6 / fan_in))


def glorot_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Draw from a normal distribution with mean 0 and variance 2 / (fan_in + fan_out).

    Arguments, result and errors are those of `he_normal`.

    References
    ----------
    Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks,
    equation 12.
    """
    fan_in, fan_out = _fans("glorot_normal", rng, shape)
    return _normal(rng, shape, math.sqrt(2 / (fan_in + fan_out)))


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Draw uniformly from [-a, a) with a = √(6 / (fan_in + fan_out)).

    Arguments, result and errors are those of `he_normal`.

    References
    ----------
    Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks,
    equation 16.
    """
    fan_in, fan_out = _fans("glorot_uniform", rng, shape)
    return _uniform(rng, shape, math.sqrt(6 / (fan_in + fan_out)))


def zeros(rng: np.random.Generator, shape: tuple[int, int]) -> Float32:
    """Return zeros and draw nothing. Only for a last layer: in any other, all units would stay equal.

    Arguments, result and errors are those of `he_normal`.
    """
    _fans("zeros", rng, shape)
    return np.zeros(shape, dtype=np.float32)


INITIALIZERS: dict[str, Initializer] = {
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "zeros": zeros,
}


def _fans(subject: str, rng: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{subject}: rng must be a numpy.random.Generator; got {rng!r}: np.random.default_rng(0)"
        )
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise ValueError(f"{subject}: shape must be (in, out); got {shape!r}")
    return check_count(shape[0], "shape[0]", subject), check_count(shape[1], "shape[1]", subject)


def _normal(rng: np.random.Generator, shape: tuple[int, int], deviation: float) -> Float32:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(deviation)


def _uniform(rng: np.random.Generator, shape: tuple[int, int], bound: float) -> Float32:
    return (2 * rng.random(shape, dtype=np.float32) - 1) * np.float32(bound)
