"""Allocate arrays that begin at a cache line, for fast kernels."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..core.arrays import Array, Float32

LINE = 64  # bytes of a cache line, and of an AVX-512 vector


def empty(*shape: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return an uninitialised array that begins at a cache line.

    A vector across two cache lines costs two loads, and two threads that write to one line slow each other down.
    NumPy's own arrays may begin anywhere.
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
    """Return an uninitialised array of float32, for a kernel to fill."""
    return empty(*shape)
