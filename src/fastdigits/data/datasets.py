"""Load whole data sets: MNIST, which lies inside the package, and folders of four IDX files."""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..errors import DataError
from ..inputs import Array
from .idx import exists, read_idx

Pair: TypeAlias = tuple[Array, Array]

_INSIDE = Path(__file__).parent / "mnist"
# The files' names, shapes, and the CRC-32 of their elements. The check costs 10 ms for the 47 MB of training images,
# a fifth of what SHA-256 takes; it is there to find damage, not malice.
_MNIST = {
    "train-images-idx3-ubyte": ((60000, 28, 28), 0xF3639B56),
    "train-labels-idx1-ubyte": ((60000,), 0xBA07E8EF),
    "t10k-images-idx3-ubyte": ((10000, 28, 28), 0xE4CA5F57),
    "t10k-labels-idx1-ubyte": ((10000,), 0xEE8604D9),
}
_FOLDER = {
    "training images": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "training labels": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "test images": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "test labels": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


def load_mnist() -> tuple[Pair, Pair]:
    """Return MNIST: ``(x_train, y_train), (x_test, y_test)``, offline.

    Returns
    -------
    x_train : ndarray, (60000, 28, 28) uint8
        0 is background, 255 is ink.
    y_train : ndarray, (60000,) uint8
        0 … 9.
    x_test, y_test : ndarray, (10000, 28, 28) and (10000,) uint8

    Notes
    -----
    The files inside the package are compressed. The first call writes their contents to the user's cache folder
    (``FASTDIGITS_CACHE``, else the system's own place, such as ``~/.cache/fastdigits``); later calls map those files
    into memory within milliseconds. A cache that is missing, damaged or cannot be written costs time, nothing else.

    The arrays are read-only; copy what you want to change.

    References
    ----------
    LeCun, Cortes, Burges, The MNIST database of handwritten digits; CC BY-SA 3.0.
    """
    x_train, y_train, x_test, y_test = (_cached(name) for name in _MNIST)
    return (x_train, y_train), (x_test, y_test)


def load_data(source: str | os.PathLike[str]) -> tuple[Pair, Pair]:
    """Return what a command's ``--data`` names: MNIST for ``"mnist"``, else the folder, see `load_folder`."""
    return load_mnist() if source == "mnist" else load_folder(source)


def load_folder(path: str | os.PathLike[str]) -> tuple[Pair, Pair]:
    """Read four IDX files named like MNIST's from a folder, plain or with ``.gz``.

    Parameters
    ----------
    path : str or path-like
        The folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images (n, height, width) uint8, labels (n,) uint8.

    Raises
    ------
    DataError
        If a file is missing or damaged, or if they do not belong together.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: must be a folder with four IDX files; got no folder of this name")
    try:
        os.listdir(folder)
    except OSError as error:
        raise DataError(f"{folder}: must be a folder that can be read; got: {error.strerror}") from error
    arrays = {}
    files = {}
    for what, names in _FOLDER.items():
        file = exists(folder, names)
        if file is None:
            raise DataError(f"{folder}: must hold the {what} as {names[0]} or {names[0]}.gz; got neither")
        files[what], arrays[what] = file, read_idx(file)
    for part in ("training", "test"):
        _check_pair(
            arrays[f"{part} images"],
            files[f"{part} images"],
            arrays[f"{part} labels"],
            files[f"{part} labels"],
        )
    train, test = arrays["training images"], arrays["test images"]
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{files['test images']}: images must be {train.shape[1:]}, as those for training; got {test.shape[1:]}"
        )
    return (train, arrays["training labels"]), (test, arrays["test labels"])


def _check_pair(images: Array, images_file: Path, labels: Array, labels_file: Path) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or images.size == 0:
        raise DataError(
            f"{images_file}: must hold uint8 images, (n, height, width), at least one; "
            f"got {images.dtype} of shape {images.shape}"
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(
            f"{labels_file}: must hold uint8 labels, (n,); got {labels.dtype} of shape {labels.shape}"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{labels_file}: must hold a label for each of the {len(images):,} images in {images_file.name}; "
            f"got {len(labels):,}"
        )


# -- the cache -----------------------------------------------------------------------------------------------


_PREFIX = "fastdigits-"  # of unfinished files: the folder may be one that others use too
_STALE_SECONDS = 3600  # no write takes an hour: what is older was left by a process that was killed


def _cached(name: str) -> Array:
    shape, crc = _MNIST[name]
    folder = _cache_folder()
    path = None if folder is None else folder / f"mnist-{name}-{crc:08x}.npy"
    array = None if path is None else _mapped(path, shape, crc)
    if array is None:
        array = read_idx(_INSIDE / f"{name}.gz")
        if path is not None:
            _store(path, array)
        array.flags.writeable = False
    return array


def _mapped(path: Path, shape: tuple[int, ...], crc: int) -> Array | None:
    """Map a file of the cache; None unless each of its bytes is what it must be.

    Its header is compared, never parsed: on a damaged one ``np.load`` raises half a dozen kinds of error, and warns.
    """
    header = _npy_header(shape)
    size = len(header) + math.prod(shape)
    try:
        if not path.is_file():  # a pipe would keep the caller waiting
            return None
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != size or file.read(len(header)) != header:
                return None
            array = np.memmap(file, np.uint8, mode="r", offset=len(header), shape=shape)
    except (OSError, ValueError):  # ValueError: cut since its size was asked for
        return None
    return np.asarray(array) if zlib.crc32(array.data) == crc else None


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """Return what ``np.save`` writes before the elements."""
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return start.getvalue()


def _store(path: Path, array: Array) -> None:
    """Write beside and rename: another process sees the old file, the new one, or none."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=_PREFIX, suffix=".part", delete=False
        ) as file:
            temporary = file.name
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, path)
        temporary = None
    except OSError:  # a full or read-only disk: the next call decompresses again
        pass
    finally:  # also when the user interrupts
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _remove_stale(folder: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for part in folder.glob(f"{_PREFIX}*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()


def _cache_folder() -> Path | None:
    """Return the folder, which need not exist; None where the user has no home."""
    chosen = os.environ.get("FASTDIGITS_CACHE")
    if chosen:
        return Path(chosen)
    base: str | Path
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME", "")
            if not os.path.isabs(base):  # the XDG specification: ignore a relative one
                base = Path.home() / ".cache"
    except RuntimeError:  # such as a container's user without an entry in passwd
        return None
    return Path(base) / "fastdigits"
