"""What NumPy sees in what a caller hands in: any array-like of real numbers in the memory of the CPU."""

from __future__ import annotations

import os
import sys
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Float32: TypeAlias = npt.NDArray[np.float32]
Int64: TypeAlias = npt.NDArray[np.int64]
_REAL_KINDS = "buif"  # bool, unsigned, signed, float
# DLPack's kinds of memory (dlpack.h, DLDeviceType): the CPU's own, and what CUDA and ROCm pin of it
_DLPACK_CPU = (1, 3, 11)
_DLPACK_CUDA = 2
PLENTY = 1 << 32  # bytes: larger arrays are looked at, whether they only repeat what they have
_TO_CPU = {"torch": "x.cpu()", "cupy": "x.get()", "jax": "jax.device_get(x)", "jaxlib": "jax.device_get(x)"}


def as_array(values: object, subject: str) -> Array:
    """Return ``values`` as an array of real numbers, without a copy where that is possible.

    Parameters
    ----------
    values : array_like
        An array, nested lists, or any object in the CPU's memory with ``__array__``, ``__array_interface__``, the
        buffer protocol or ``__dlpack__``: tensors of PyTorch and JAX, memory maps, frames and series of pandas,
        ``array.array``, ``memoryview``.
    subject : str
        What an error message begins with, such as ``"fit: x"``.

    Returns
    -------
    ndarray
        Of any real dtype, byte order and layout.

    Raises
    ------
    TypeError
        If the values are not real numbers (strings, objects, complex numbers, dates), or not in the CPU's memory.
    ValueError
        If lists are ragged, if a masked array hides values, or if an array that repeats its memory, as
        ``np.broadcast_to`` gives one, stands for more than this machine has.

    Notes
    -----
    What comes as an array, a tensor or a buffer is seen where it lies, not copied. `fastdigits.scales.to_rows` then
    makes one copy if it has to change the dtype or the order, as it often has to for a frame of pandas; labels are
    always copied. Nested lists, and frames whose columns have different types, are copied once. A tensor that
    requires a gradient is taken as plain numbers. bfloat16 and the float8 kinds become float32, which holds each of
    their values.
    """
    if type(values) is np.ndarray and values.dtype.kind in _REAL_KINDS and values.nbytes <= PLENTY:
        return values
    if np.ma.is_masked(values):
        raise ValueError(f"{subject} must have no masked values; got a masked array: fill them, x.filled(0)")
    _check_place(values, subject)
    array = _seen(_plain_tensor(values), subject)
    if array.dtype.kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        array = array.astype(np.float32)  # bfloat16, float8 and their like, which come from outside of NumPy
    if array.dtype.kind not in _REAL_KINDS:
        raise TypeError(
            f"{subject} must hold real numbers; got dtype {array.dtype} from {type(values).__name__}"
            f"{_why_no_numbers(values)}"
        )
    if array.nbytes > PLENTY:
        _check_repeats(array, subject)
    return array


def _check_repeats(array: Array, subject: str) -> None:
    """Raise a ValueError if an array that repeats its memory would not fit into the machine's, written out."""
    low, high = np.lib.array_utils.byte_bounds(array)
    if high - low < array.nbytes > _machine_memory():
        raise ValueError(
            f"{subject} must fit into memory, each number by itself; got {array.shape}, {array.nbytes:,} bytes "
            f"that repeat {high - low:,}: take a part of it"
        )


def _machine_memory() -> int:
    """Return the machine's memory in bytes; more than any array has where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, which promises no memory that it has not
        return sys.maxsize


def in_order(array: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the array in C order and aligned, as kernels take it, without a copy where that is possible.

    A view that begins between two numbers, as `numpy.frombuffer` with an odd offset gives one, is in C order, but
    compiled loops may rely on where a number can lie. What is beyond the range of ``dtype`` becomes infinite.
    """
    if dtype is None or array.dtype == dtype:
        ordered = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            ordered = np.ascontiguousarray(array, dtype=dtype)
    return ordered if ordered.flags.aligned else ordered.copy()


def _check_place(values: object, subject: str) -> None:
    """Raise a TypeError if the values lie in the memory of a GPU or the like."""
    try:
        device = int(values.__dlpack_device__()[0])  # type: ignore[attr-defined]
    except (
        AttributeError,
        BufferError,
        RuntimeError,
        TypeError,
        ValueError,
    ):  # what cannot tell is asked otherwise
        device = _DLPACK_CPU[0]
        if hasattr(type(values), "__cuda_array_interface__") and not hasattr(type(values), "__array__"):
            device = _DLPACK_CUDA
    if device in _DLPACK_CPU:
        return
    move = _TO_CPU.get(type(values).__module__.partition(".")[0], "copy it there")
    raise TypeError(
        f"{subject} must lie in the CPU's memory; got {type(values).__name__} on a device of DLPack's kind {device}: "
        f"move it to the CPU first, {move}"
    )


def _plain_tensor(values: Any) -> Any:
    """Return a tensor of PyTorch without its gradient and with narrow floats widened: NumPy refuses both."""
    if not any(kind.__module__.partition(".")[0] == "torch" for kind in type(values).__mro__):
        return values
    plain = values.detach()
    return plain.float() if str(plain.dtype).startswith(("torch.bfloat16", "torch.float8")) else plain


def _plain_frame(values: Any) -> Any:
    """Return a frame of pandas whose columns may lack values, but lack none, as NumPy's numbers: it sees objects."""
    if not hasattr(values, "select_dtypes"):
        return values
    plain = {getattr(dtype, "numpy_dtype", dtype) for dtype in values.dtypes}
    if plain == set(values.dtypes) or not all(getattr(dtype, "kind", "O") in _REAL_KINDS for dtype in plain):
        return values
    try:
        return values.to_numpy(dtype=np.result_type(*plain))
    except (TypeError, ValueError):  # values are missing
        return values


def _seen(values: Any, subject: str) -> Array:
    """Return the array that NumPy sees in the values."""
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        return np.asarray(_plain_frame(values))
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, ValueError) and isinstance(values, list | tuple):
            raise ValueError(
                f"{subject} must be an array with rows of equal length; got {type(values).__name__}: {reason}"
            ) from error
        raise TypeError(
            f"{subject} must be an array that NumPy can see; got {type(values).__name__}: {reason}"
        ) from error


def _why_no_numbers(values: Any) -> str:
    """Return what to do about values that are no real numbers."""
    if hasattr(values, "toarray"):
        return ": it is sparse, x.toarray()"
    if hasattr(values, "select_dtypes"):  # a frame of pandas
        names = [str(name) for name, dtype in values.dtypes.items() if dtype.kind not in _REAL_KINDS]
        if not names:
            return ": values are missing, x.fillna(0)"
        return f": drop or number the columns {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
    if isinstance(values, bytes):
        return ": np.frombuffer(x, np.uint8)"
    return ": convert it to uint8 or float32 first"
