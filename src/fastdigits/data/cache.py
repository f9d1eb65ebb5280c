"""Decoded arrays in the user's cache folder: mapped into memory at the next call, checked before they are used."""

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

import numpy as np

from ..core.arrays import Array

PREFIX = "fastdigits-"  # of unfinished files: the folder may be one that others use too
STALE_SECONDS = 3600  # no write takes an hour: what is older was left by a process that was killed


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


def store(path: Path, array: Array) -> None:
    """Write beside and rename: another process sees the old file, the new one, or none."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path.parent)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=PREFIX, suffix=".part", delete=False
        ) as file:
            temporary = file.name
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, path)
        temporary = None
    except OSError:  # a full or read-only disk: the next call decodes again
        pass
    finally:  # also when the user interrupts
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _remove_stale(place: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for part in place.glob(f"{PREFIX}*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()


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
