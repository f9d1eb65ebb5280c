"""Data sets like MNIST that are downloaded once: their addresses, SHA-256, file formats and class names."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arrays import Array
from ..errors import DataError
from . import cache, downloads
from .downloads import RemoteFile
from .idx import read_idx
from .idx_folder import Pair

DIGITS = tuple("0123456789")
_PARTS = ("train-images", "train-labels", "test-images", "test-labels")


@dataclass(frozen=True)
class Published:
    """A published data set.

    Attributes
    ----------
    folder : str
        Name of its folder in the cache folder.
    files : tuple of RemoteFile
        The files to download.
    arrays : tuple of str
        The four IDX files: training images, training labels, test images, test labels.
    class_names : tuple of str
    archive : str, default ""
        The ZIP archive that holds the four files; if empty, they are among `files`.
    transposed : bool, default False
        Whether an image is stored column by column.
    first_label : int, default 0
        The label of the first class.
    """

    folder: str
    files: tuple[RemoteFile, ...]
    arrays: tuple[str, str, str, str]
    class_names: tuple[str, ...]
    archive: str = ""
    transposed: bool = False
    first_label: int = 0


def load_published(name: str, *, progress: bool = False) -> tuple[Pair, Pair]:
    """Return one of the data sets in `PUBLISHED`; download it if the cache folder does not have it.

    Parameters
    ----------
    name : str
        Such as ``"fashion-mnist"``.
    progress : bool, default False
        Whether to show the download on standard error.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images (n, 28, 28) uint8, light on dark; labels (n,) uint8 from 0 on. Read-only.

    Raises
    ------
    DataError
        If a download fails: the message says which files to put where.
    """
    arrays = [array for part in _PARTS if (array := cache.find(f"{name}-{part}")) is not None]
    if len(arrays) < len(_PARTS):
        arrays = list(_decode(name, progress))
        for part, array in zip(_PARTS, arrays, strict=True):
            cache.keep(f"{name}-{part}", array)
            array.flags.writeable = False
    x_train, y_train, x_test, y_test = arrays
    return (x_train, y_train), (x_test, y_test)


def _decode(name: str, progress: bool) -> tuple[Array, Array, Array, Array]:
    data = PUBLISHED[name]
    root = cache.folder()
    if root is None:
        raise DataError(
            f"{name}: needs a folder for its files; got no home: name one in the variable FASTDIGITS_CACHE"
        )
    folder = root / data.folder
    downloads.fetch(name, data.files, folder, progress=progress)
    if not data.archive:
        x_train, y_train, x_test, y_test = (read_idx(folder / file) for file in data.arrays)
    else:
        with zipfile.ZipFile(folder / data.archive) as archive, tempfile.TemporaryDirectory() as place:
            x_train, y_train, x_test, y_test = (
                read_idx(Path(archive.extract(file, place))) for file in data.arrays
            )
    return _images(data, x_train), _labels(data, y_train), _images(data, x_test), _labels(data, y_test)


def _images(data: Published, x: Array) -> Array:
    return np.ascontiguousarray(x.swapaxes(1, 2)) if data.transposed else x


def _labels(data: Published, y: Array) -> Array:
    """Return the classes; a label of QMNIST is a row of eight numbers, of which the first is the class."""
    return np.ascontiguousarray((y if y.ndim == 1 else y[:, 0]) - data.first_label, dtype=np.uint8)


# -- the published data sets ---------------------------------------------------------------------------------
# Sizes and SHA-256 are those of TensorFlow Datasets (url_checksums/*.txt); torchvision's MD5 and other projects' lists
# agree. docs/data.md says which were compared with files, and which with lists only.

_MNIST_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_QMNIST_NAMES = (
    "qmnist-train-images-idx3-ubyte.gz",
    "qmnist-train-labels-idx2-int.gz",
    "qmnist-test-images-idx3-ubyte.gz",
    "qmnist-test-labels-idx2-int.gz",
)
_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
_KUZUSHIJI = "https://codh.rois.ac.jp/kmnist/dataset/kmnist/"
_QMNIST = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
_EMNIST = RemoteFile(
    "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    561_753_746,
    "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
)


def _files(
    base: str, names: tuple[str, ...], published: tuple[tuple[int, str], ...]
) -> tuple[RemoteFile, ...]:
    """Return files from their sizes and SHA-256."""
    return tuple(
        RemoteFile(base + name, size, sha256) for name, (size, sha256) in zip(names, published, strict=True)
    )


def _emnist(part: str) -> tuple[str, str, str, str]:
    train, test = (f"gzip/emnist-{part}-{half}" for half in ("train", "test"))
    images, labels = "images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"
    return f"{train}-{images}", f"{train}-{labels}", f"{test}-{images}", f"{test}-{labels}"


PUBLISHED = {
    "fashion-mnist": Published(
        "fashion-mnist",
        _files(
            _FASHION,
            _MNIST_NAMES,
            (
                (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
                (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
                (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
                (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
            ),
        ),
        _MNIST_NAMES,
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
    "kmnist": Published(
        "kmnist",
        _files(
            _KUZUSHIJI,
            _MNIST_NAMES,
            (
                (18_165_135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
                (29_497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
                (3_041_136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
                (5_120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
            ),
        ),
        _MNIST_NAMES,
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "emnist-digits": Published(
        "emnist", (_EMNIST,), _emnist("digits"), DIGITS, archive="gzip.zip", transposed=True
    ),
    "emnist-letters": Published(
        "emnist",
        (_EMNIST,),
        _emnist("letters"),
        tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        archive="gzip.zip",
        transposed=True,
        first_label=1,
    ),
    "qmnist": Published(
        "qmnist",
        _files(
            _QMNIST,
            _QMNIST_NAMES,
            (
                (9_704_059, "9e26a7bf1683614e065d7b76460ccd52807165b3f22561fb782bd9f38c52b51d"),
                (463_024, "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f"),
                (9_742_279, "43fc22bf7498b8fc98de98369d72f752d0deabc280a43a7bcc364ab19e57b375"),
                (526_800, "9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06"),
            ),
        ),
        _QMNIST_NAMES,
        DIGITS,
    ),
}
