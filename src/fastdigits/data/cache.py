"""Keep decoded arrays in the user's cache folder; later calls check them and map them into memory."""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
import zlib
from pathlib import Path

import numpy as np

from ..core import atomic
from ..core.arrays import Array


def folder() -> Path | None:
    """Return the path of the cache folder, which may not exist yet; None if the user has no home folder."""
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
    except RuntimeError:  # no home: for example, a container's user without an entry in passwd
        return None
    return Path(base) / "fastdigits"


def mapped(path: Path, shape: tuple[int, ...], crc: int) -> Array | None:
    """Map a file of uint8 into memory; return None if header, size or CRC-32 differ from the expected ones.

    The header is compared, not parsed: ``np.load`` raises many kinds of errors and warnings on a damaged one.
    """
    header = _npy_header(shape)
    size = len(header) + math.prod(shape)
    try:
        with atomic.open_regular(path) as file:
            if os.fstat(file.fileno()).st_size != size or file.read(len(header)) != header:
                return None
            array = np.memmap(file, np.uint8, mode="r", offset=len(header), shape=shape)
    except (OSError, ValueError):  # ValueError: the file was truncated after the check of its size
        return None
    return np.asarray(array) if zlib.crc32(array.data) == crc else None


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the header that ``np.save`` writes before the elements."""
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return start.getvalue()


def store(path: Path, array: Array) -> None:
    """Write an array of uint8 in C order; do nothing where that is impossible, as on a full or read-only disk."""
    with contextlib.suppress(OSError):  # the next call decodes the array again
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, _npy_header(array.shape), array.data, example="images.npy", sync=False)


# -- arrays with shape and checksum in their name ------------------------------------------------------------


def find(name: str) -> Array | None:
    """Return the array that `keep` stored under this name; None if it is missing or damaged."""
    place = folder()
    for path in sorted(place.glob(f"{name}-*.npy")) if place is not None else []:
        sizes, _, crc = path.stem.removeprefix(f"{name}-").partition("-")
        try:
            array = mapped(path, tuple(map(int, sizes.split("x"))), int(crc, 16))
        except ValueError:  # another program's file
            continue
        if array is not None:
            return array
    return None


def keep(name: str, array: Array) -> None:
    """Store an array of uint8 in C order as ``NAME-60000x28x28-f3639b56.npy``, if the folder can be written."""
    place = folder()
    if place is not None:
        sizes = "x".join(map(str, array.shape))
        store(place / f"{name}-{sizes}-{zlib.crc32(array.data):08x}.npy", array)
