"""Convert what a caller passes, any array-like of real numbers in the CPU's memory, to a NumPy array."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Float32: TypeAlias = npt.NDArray[np.float32]
Int64: TypeAlias = npt.NDArray[np.int64]
_REAL_KINDS = "buif"  # bool, unsigned, signed, float
# DLPack's device types (dlpack.h, DLDeviceType): CPU memory, and CPU memory pinned by CUDA and ROCm
_DLPACK_CPU = (1, 3, 11)
_DLPACK_CUDA = 2
LARGE = 1 << 32  # bytes: above it, check whether an array only repeats its memory
_TO_CPU = {"torch": "x.cpu()", "cupy": "x.get()", "jax": "jax.device_get(x)", "jaxlib": "jax.device_get(x)"}


def as_array(values: object, subject: str) -> Array:
    """Return ``values`` as an array of real numbers, without a copy where possible.

    Parameters
    ----------
    values : array_like
        An array, nested lists, or any object in the CPU's memory with ``__array__``, ``__array_interface__``, the
        buffer protocol or ``__dlpack__``: tensors of PyTorch and JAX, memory maps, pandas frames and series,
        ``array.array``, ``memoryview``.
    subject : str
        Start of an error message, such as ``"fit: x"``.

    Returns
    -------
    ndarray
        Of any real dtype, byte order and layout.

    Raises
    ------
    TypeError
        If the values are not real numbers (strings, objects, complex numbers, dates) or not in the CPU's memory.
    ValueError
        If lists are ragged, if a masked array hides values, or if an array that repeats its memory, as from
        ``np.broadcast_to``, is larger than this machine's memory.

    Notes
    -----
    Arrays, tensors and buffers are not copied here. Nested lists, and frames whose columns have different types, are
    copied once. A tensor loses its gradient. bfloat16 and float8 become float32, which holds each of their values.
    """
    if type(values) is np.ndarray and values.dtype.kind in _REAL_KINDS and values.nbytes <= LARGE:
        return values
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):  # pandas has masks of its own
        raise ValueError(f"{subject} must have no masked values; got a masked array: fill them, x.filled(0)")
    _check_device(values, subject)
    array = _convert(_plain_tensor(values), subject)
    if array.dtype.kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float32):
        array = array.astype(np.float32)  # bfloat16, float8, …: dtypes that NumPy itself does not have
    if array.dtype.kind not in _REAL_KINDS:
        raise TypeError(
            f"{subject} must hold real numbers; got dtype {array.dtype} from {type(values).__name__}"
            f"{_conversion_hint(values)}"
        )
    if array.nbytes > LARGE:
        _check_repeats(array, subject)
    return array


def _check_repeats(array: Array, subject: str) -> None:
    """Raise a ValueError if an array repeats its memory and a full copy exceeds the machine's memory."""
    low, high = np.lib.array_utils.byte_bounds(array)
    if high - low < array.nbytes > _machine_memory():
        raise ValueError(
            f"{subject} must fit into memory when copied; got {array.shape}, {array.nbytes:,} bytes "
            f"that repeat {high - low:,}: pass a part of it"
        )


def _machine_memory() -> int:
    """Return the machine's memory in bytes, or the largest integer where the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, which does not overcommit memory
        return sys.maxsize


def in_order(array: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """Return the array in C order and aligned, as kernels require, without a copy where possible.

    `numpy.frombuffer` with an odd offset returns an array in C order that is not aligned; compiled loops need both.
    Values outside the range of ``dtype`` become infinite.
    """
    if dtype is None or array.dtype == dtype:
        ordered = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            ordered = np.ascontiguousarray(array, dtype=dtype)
    return ordered if ordered.flags.aligned else ordered.copy()


def writable(array: Array) -> Array:
    """Return the array, or a copy of one that is read-only or a memory map, as joblib loads them from files."""
    return np.array(array) if isinstance(array, np.memmap) or not array.flags.writeable else array


def digest_of(arrays: Iterable[Array]) -> str:
    """Return the SHA-256 of arrays, of their dtypes and of their shapes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _check_device(values: object, subject: str) -> None:
    """Raise a TypeError if the values are in the memory of another device, such as a GPU."""
    try:
        device = int(values.__dlpack_device__()[0])  # type: ignore[attr-defined]
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
        device = _DLPACK_CPU[0]
        if hasattr(type(values), "__cuda_array_interface__") and not hasattr(type(values), "__array__"):
            device = _DLPACK_CUDA
    if device in _DLPACK_CPU:
        return
    move = _TO_CPU.get(type(values).__module__.partition(".")[0], "copy it there")
    raise TypeError(
        f"{subject} must be in the CPU's memory; got {type(values).__name__} on a device of DLPack type {device}: "
        f"move it to the CPU first, {move}"
    )


def _plain_tensor(values: Any) -> Any:
    """Detach a PyTorch tensor and widen its narrow floats, as NumPy accepts neither."""
    if not any(kind.__module__.partition(".")[0] == "torch" for kind in type(values).__mro__):
        return values
    plain = values.detach()
    return plain.float() if str(plain.dtype).startswith(("torch.bfloat16", "torch.float8")) else plain


def _plain_frame(values: Any) -> Any:
    """Return a pandas frame of nullable columns without missing values as numbers; NumPy would make objects of it."""
    if not hasattr(values, "select_dtypes"):
        return values
    plain = {getattr(dtype, "numpy_dtype", dtype) for dtype in values.dtypes}
    if plain == set(values.dtypes) or not all(getattr(dtype, "kind", "O") in _REAL_KINDS for dtype in plain):
        return values
    try:
        return values.to_numpy(dtype=np.result_type(*plain))
    except (TypeError, ValueError):  # values are missing
        return values


def _convert(values: Any, subject: str) -> Array:
    """Convert the values with NumPy, with its reason in the error if it cannot."""
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
            f"{subject} must be an array that NumPy can read; got {type(values).__name__}: {reason}"
        ) from error


def _conversion_hint(values: Any) -> str:
    """Return how to convert values that are not real numbers."""
    if hasattr(values, "toarray"):
        return ": it is sparse, x.toarray()"
    if hasattr(values, "select_dtypes"):  # a pandas frame
        names = [str(name) for name, dtype in values.dtypes.items() if dtype.kind not in _REAL_KINDS]
        if not names:
            return ": values are missing, x.fillna(0)"
        return f": drop or number the columns {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
    if hasattr(values, "pieces") and hasattr(values, "load"):  # shards
        return ": x, y = shards.load() reads them into memory"
    if isinstance(values, bytes):
        return ": np.frombuffer(x, np.uint8)"
    return ": convert it to uint8 or float32 first"
