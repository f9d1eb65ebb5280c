"""Memory as the kernels like it: arrays that begin at a cache line."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..core.arrays import Array, Float32

LINE = 64  # bytes: a cache line, and the widest vector of any processor served


def empty(*shape: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return an array with nothing in particular in it.

    A vector that crosses the border of two cache lines costs two loads, and two threads that write to one line wait
    for each other; NumPy's own memory begins anywhere.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    block = np.empty(size + LINE, dtype=np.uint8)
    skip = -block.ctypes.data % LINE
    return block[skip : skip + size].view(kind).reshape(shape)


def zeros(*shape: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return an array of zeros."""
    array = empty(*shape, dtype=dtype)
    array.fill(0)
    return array


def floats(*shape: int) -> Float32:
    """Return an array of float32 for a kernel to write into."""
    return empty(*shape)
