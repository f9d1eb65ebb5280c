"""Decoded arrays in the user's cache folder: mapped into memory at the next call, checked before they are used."""

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


def mapped(path: Path, shape: tuple[int, ...], crc: int) -> Array | None:
    """Map a file of uint8; None unless each of its bytes is what it must be.

    Its header is compared, never parsed: on a damaged one ``np.load`` raises half a dozen kinds of error, and warns.
    """
    header = _npy_header(shape)
    size = len(header) + math.prod(shape)
    try:
        with atomic.open_regular(path) as file:
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


def store(path: Path, array: Array) -> None:
    """Write an array of uint8 in C order; do nothing where that is impossible, as on a full or read-only disk."""
    with contextlib.suppress(OSError):  # the next call decodes the array again
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, _npy_header(array.shape), array.data, example="images.npy", sync=False)


# -- arrays that tell their shape and checksum in their name -------------------------------------------------


def find(name: str) -> Array | None:
    """Return the array that `keep` stored under this name; None where there is none, or only a damaged one."""
    place = folder()
    for path in sorted(place.glob(f"{name}-*.npy")) if place is not None else []:
        sizes, _, crc = path.stem.removeprefix(f"{name}-").partition("-")
        try:
            array = mapped(path, tuple(map(int, sizes.split("x"))), int(crc, 16))
        except ValueError:  # a name that is not ours
            continue
        if array is not None:
            return array
    return None


def keep(name: str, array: Array) -> None:
    """Store an array of uint8 in C order, such as ``NAME-60000x28x28-f3639b56.npy``, where a folder can be written."""
    place = folder()
    if place is not None:
        sizes = "x".join(map(str, array.shape))
        store(place / f"{name}-{sizes}-{zlib.crc32(array.data):08x}.npy", array)
