"""Read NumPy files: ``.npz`` with images and labels, and ``.npy`` with one array.

No object is unpickled, and a file cannot cause an allocation that its size does not justify.
"""

from __future__ import annotations

import collections
import contextlib
import lzma
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ..core import atomic
from ..core.arrays import Array
from ..errors import DataError
from .packing import check_packing

if TYPE_CHECKING:
    from .idx_folder import Pair

_IMAGES, _LABELS = ("x", "X", "images", "data", "pixels"), ("y", "labels", "label", "targets", "target")
MOST_HEADER = 1 << 16  # bytes; NumPy itself reads as many as the file announces
_HEADERS: dict[tuple[int, int], Callable[[IO[bytes]], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

# Exceptions of zipfile, its decompressors and NumPy on damaged files; RuntimeError: an archive with a password
_UNREADABLE = (
    *(OSError, ValueError, EOFError, RuntimeError, MemoryError, OverflowError, TypeError, KeyError),
    *(SyntaxError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
)


def read_npz(path: Path) -> tuple[Pair, Pair | None]:
    """Read training images and labels from an ``.npz`` file, and test images and labels if it has them.

    Parameters
    ----------
    path : Path
        With ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or ``x`` and ``y``; also ``train_images``,
        ``train_labels`` and so on. An array may have at most 100 times its compressed size, or 64 MB.

    Raises
    ------
    DataError
        If the file has another format or is damaged, or if an array is missing.
    """
    try:
        with atomic.open_regular(path) as file, _quiet():
            if file.read(6) == b"\x93NUMPY":
                raise DataError(f"{path}: must be an .npz file; got a single array: np.savez(path, x=…, y=…)")
            with zipfile.ZipFile(file) as archive:
                members = _members(archive, path)
                size = os.fstat(file.fileno()).st_size
                train, test, whole = (
                    _pair(archive, members, part, path, size) for part in ("train", "test", "")
                )
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{path}: must be an .npz file of numbers; got: {_reason(error)}") from error
    found = train or whole
    if found is None:
        raise DataError(
            f"{path}: must hold x_train and y_train, and x_test and y_test if any, or x and y; got "
            f"{', '.join(members) or 'nothing'}"
        )
    return found, test


def read_npy(path: Path) -> Array:
    """Read an array of numbers from an ``.npy`` file.

    Raises
    ------
    DataError
        If the file has another format or is damaged.
    """
    try:
        with atomic.open_regular(path) as file, _quiet():
            size = os.fstat(file.fileno()).st_size
            _check_header(file, size, f"{path}")
            file.seek(0)
            return _read(file)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(
            f"{path}: must be a whole NPY file of numbers; got: {_reason(error)}: write it again with numpy.save"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ignore NumPy's warnings, such as about a header that Python 2 wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the members of the archive by the names of their arrays."""
    names = [member.filename.removesuffix(".npy") for member in archive.infolist()]
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{path}: must hold each array once; got several named {twice[0]}: write it again")
    return dict(zip(names, archive.infolist(), strict=True))


def _pair(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], part: str, path: Path, size: int
) -> Pair | None:
    images, labels = (_named(members, part, names) for names in (_IMAGES, _LABELS))
    if (images is None) != (labels is None):
        has, lacks = ("images", "labels") if labels is None else ("labels", "images")
        raise DataError(
            f"{path}: must hold images and labels; got {part} {has} without {part} {lacks}".replace("  ", " ")
        )
    if images is None or labels is None:
        return None
    x, y = (_member(archive, members[name], size, f"{path}: {name}") for name in (images, labels))
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _named(members: dict[str, zipfile.ZipInfo], part: str, names: tuple[str, ...]) -> str | None:
    ways = [way for name in names for way in ((f"{name}_{part}", f"{part}_{name}") if part else (name,))]
    return next((way for way in ways if way in members), None)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, archive_size: int, subject: str) -> Array:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others have no bounded ratio
        raise DataError(f"{subject} must be stored or deflated, as NumPy writes it; got another compression")
    with archive.open(member) as file:
        need = _check_header(file, member.file_size, subject)
    check_packing(subject, min(member.compress_size, archive_size), need)
    with archive.open(member) as file:
        return _read(file)


def _check_header(file: IO[bytes], size: int, subject: str) -> int:
    """Return the bytes of elements that the header announces; a file of ``size`` bytes must have exactly these."""
    dtype, shape, _ = npy_header(file, size, subject)
    return int(math.prod(shape) * dtype.itemsize)


def npy_header(file: IO[bytes], size: int, subject: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Return dtype, shape and whether the order is Fortran's; the file, of ``size`` bytes, must hold all elements.

    The file is then at the first element.

    Raises
    ------
    DataError
        If the header is not one of an array of numbers or text, or if the file is longer or shorter.
    """
    start = file.read(12)
    if start[:6] != b"\x93NUMPY":
        raise DataError(f"{subject} must be an array, as numpy.save writes it; got something else")
    if start[6:7] > b"\1" and (length := int.from_bytes(start[8:12], "little")) > MOST_HEADER:
        raise DataError(f"{subject} must have a header of at most {MOST_HEADER:,} bytes; got {length:,}")
    file.seek(0)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise DataError(f"{subject} must be of NumPy's format 1.0 or 2.0; got {version[0]}.{version[1]}")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.kind not in "buifcUS":
        raise DataError(
            f"{subject} must hold numbers or text; got dtype {dtype}: save it as numbers, or words by astype(str)"
        )
    need, rest = int(math.prod(shape) * dtype.itemsize), size - file.tell()
    if need != rest or min(shape, default=0) < 0:
        raise DataError(
            f"{subject} announces {dtype} of shape {shape}, {need:,} bytes; got {rest:,}: it is cut off, or its header "
            "is wrong"
        )
    return dtype, shape, fortran


def _read(file: IO[bytes]) -> Array:
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array
