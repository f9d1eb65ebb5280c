"""Dtypes, shapes and memory layouts of arrays, from which tests draw."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

REAL = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "g"]
OTHER = ["c8", "c16", "S3", "U2", "M8[s]", "m8[s]", "O", "V4", "i4, f4"]
STRANGE = [np.nan, np.inf, -np.inf, -1, 3, 255, 1e30, 1e300, 2**62, 2**63, -(2**63), 1e-45]


def layouts() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return functions that copy an array to another memory layout."""

    def misaligned(array):
        raw = np.zeros(array.nbytes + 1, np.uint8)
        moved = np.ndarray(array.shape, array.dtype, raw, offset=1)
        moved[...] = array
        return moved

    def spread(array):
        wide = np.zeros([2 * side for side in array.shape], array.dtype)
        wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
        return wide[tuple(slice(None, None, 2) for _ in array.shape)]

    def backwards(array):
        flip = tuple(slice(None, None, -1) for _ in array.shape)
        return np.ascontiguousarray(array[flip]).reshape(array.shape)[flip]

    def read_only(array):
        copy = array.copy()
        copy.flags.writeable = False
        return copy

    return {
        "plain": np.copy,
        "Fortran": lambda array: np.array(array, order="F"),
        "swapped": lambda array: array.astype(array.dtype.newbyteorder()),
        "misaligned": misaligned,
        "swapped and misaligned": lambda array: misaligned(array.astype(array.dtype.newbyteorder())),
        "spread": spread,
        "backwards": backwards,
        "read-only": read_only,
        "masked, nothing hidden": lambda array: np.ma.masked_array(array.copy()),
        "matrix": lambda array: array.copy().view(np.matrix if array.ndim == 2 else np.recarray),
        "memory map's class": lambda array: array.copy().view(np.memmap),
    }


LAYOUTS = layouts()


@st.composite
def shapes(draw, right):
    """Draw a shape; in most cases the right one."""
    if draw(st.integers(0, 9)) < 7:
        return right
    others = [(), (0,), (1,), (*right, 1), (0, *right[1:]), (*right[:-1], 0), (*right[:-1], right[-1] + 1)]
    others += [right[::-1], (right[0] + 1, *right[1:]), (1, *right[1:]), (8, 3, 3), (2, 2, 2, 2, 2)]
    return draw(st.sampled_from(others))
