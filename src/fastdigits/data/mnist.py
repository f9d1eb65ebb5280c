"""Load MNIST, which is part of the package."""

from __future__ import annotations

from pathlib import Path

from ..core.arrays import Array
from . import cache
from .idx import read_idx
from .idx_folder import Pair

_INSIDE = Path(__file__).parent / "mnist"
# Name, shape, and CRC-32 of the elements of each file. The check takes 10 ms for the 47 MB of training images, a fifth
# of the time of SHA-256. It finds damage, not malice.
_MNIST = {
    "train-images-idx3-ubyte": ((60000, 28, 28), 0xF3639B56),
    "train-labels-idx1-ubyte": ((60000,), 0xBA07E8EF),
    "t10k-images-idx3-ubyte": ((10000, 28, 28), 0xE4CA5F57),
    "t10k-labels-idx1-ubyte": ((10000,), 0xEE8604D9),
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
    The files in the package are compressed. The first call writes their contents to the user's cache folder
    (``FASTDIGITS_CACHE``, or by default the system's folder, such as ``~/.cache/fastdigits``). Later calls map those
    files into memory within milliseconds. If the cache is missing, damaged or read-only, each call decompresses again.

    The arrays are read-only; copy an array to change it.

    References
    ----------
    LeCun, Cortes, Burges, The MNIST database of handwritten digits; CC BY-SA 3.0.
    """
    x_train, y_train, x_test, y_test = (_cached(name) for name in _MNIST)
    return (x_train, y_train), (x_test, y_test)


def _cached(name: str) -> Array:
    shape, crc = _MNIST[name]
    folder = cache.folder()
    path = None if folder is None else folder / f"mnist-{name}-{crc:08x}.npy"
    array = None if path is None else cache.mapped(path, shape, crc)
    if array is None:
        array = read_idx(_INSIDE / f"{name}.gz")
        if path is not None:
            cache.store(path, array)
        array.flags.writeable = False
    return array
