"""What ``--data`` and ``load_data`` take: the name of a published data set, or a file or folder of the user's own."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..inputs import Array, Int64, check_count
from ..network import stream
from ..text import printable
from .datasets import IDX_NAMES, Pair, load_folder, load_mnist
from .idx import exists
from .labels import check_pair, to_classes, to_pictures
from .pictures import class_folders, read_pictures
from .published import DIGITS, PUBLISHED, load_published
from .tables import CSV_ENDINGS, read_csv, read_npz

NAMES = ("mnist", *PUBLISHED)
FORMS = "a folder of four IDX files, a folder for each class of images, a .csv or an .npz file"
_TEST_SPLIT = 5  # the purpose of the random numbers; network.py has those before it
MOST_SIZE = 1_000_000  # pixels that pictures are fitted to: a first layer of 64 neurons has 256 MB then
_SHARE = 6  # of that many images, one is for testing where a source does not say


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels to train and to test on; ``(x, y), (x_test, y_test) = dataset`` takes them apart.

    Attributes
    ----------
    source : str
        The name or path that it was loaded by.
    train, test : (ndarray, ndarray)
        Images (n, height, width), uint8 or floats; labels (n,), whole numbers from 0 on.
    class_names : tuple of str
        One a class: the digits, or what the source calls them.
    note : str
        What a reader should know, such as that the test images were set apart; else empty.
    """

    source: str
    train: Pair
    test: Pair
    class_names: tuple[str, ...]
    note: str = ""

    def __iter__(self) -> Iterator[Pair]:
        """Yield the pair to train on and the pair to test on."""
        yield from (self.train, self.test)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def named(self) -> bool:
        """Whether the classes have names that are more than their numbers."""
        return self.class_names != tuple(map(str, range(self.classes)))

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.train[0].shape[1:]
        return height, width


def load_data(
    source: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Dataset:
    """Load images and labels by the name of a published data set, or from a file or folder.

    Parameters
    ----------
    source : str or path-like
        ``mnist``, ``fashion-mnist``, ``kmnist``, ``emnist-digits``, ``emnist-letters`` or ``qmnist``; a folder with
        four IDX files, or with ``MNIST/raw`` that holds them; a folder with a folder of images for each class, or with
        ``train`` and ``test`` (or ``val``) that hold such folders; a folder with ``train.csv`` and ``test.csv``; a
        ``.csv`` file as Kaggle's digit recogniser has it; an ``.npz`` file with ``x_train`` and so on, or ``x`` and
        ``y``.
    size : (int, int), optional
        Height and width that pictures in folders are fitted to: scaled with their proportions kept, antialiased, in the
        middle of paper of their own colour (the median of their border). Without it they must have one size.
    seed : int, default 0
        Decides which sixth of the images is set apart for testing where the source has none for it. The commands
        leave it at 0, whatever their own seed: what one run tests on, no other run and no evaluation counts as
        trained on, and networks from different seeds are compared on the same images.
    progress : bool, default False
        Whether to show a download on standard error.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is nothing of that name, or if it is not what it should be: the message says what to do.
    TypeError, ValueError
        If ``size`` is no pair of whole numbers, each at least 1.

    Notes
    -----
    All but MNIST are downloaded once, which needs ``pip install 'pooch>=1.8' 'filelock>=3.12'``; ``docs/data.md``
    lists their sizes and licences.
    """
    seed = check_count(seed, "seed", "load_data", least=0)
    size = None if size is None else _checked_size(size)
    data = _load(os.fspath(source), size, seed, progress)
    if size is not None and data.image_shape != size:
        raise DataError(
            f"{data.source}: size is for pictures in folders, {size[0]} x {size[1]} pixels; got other data, of "
            f"{data.image_shape[0]} x {data.image_shape[1]}: leave size away"
        )
    return data


def _checked_size(size: object) -> tuple[int, int]:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise TypeError(f"load_data: size must be (height, width); got {size!r}")
    height, width = (check_count(side, "size", "load_data") for side in size)
    if height * width > MOST_SIZE:
        raise ValueError(f"load_data: size must have at most {MOST_SIZE:,} pixels; got {height} x {width}")
    return height, width


def _load(name: str, size: tuple[int, int] | None, seed: int, progress: bool) -> Dataset:
    if name == "mnist":
        return Dataset(name, *load_mnist(), DIGITS)
    if name in PUBLISHED:
        return Dataset(name, *load_published(name, progress=progress), PUBLISHED[name].class_names)
    path = _path(name)
    try:
        return _own(path, name, size, seed)
    except OSError as error:
        where = error.filename or path
        raise DataError(
            f"{where}: must be a file or folder that can be read; got: {error.strerror}"
        ) from error


def _path(name: str) -> Path:
    path = Path(name)
    if "\0" in name or not (name and path.exists()):
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f": did you mean {close[0]}?" if close else ""
        raise DataError(
            f"{name!r}: data must be one of {', '.join(NAMES)}, or {FORMS}; got nothing of this name{hint}"
        )
    return path


def _own(path: Path, name: str, size: tuple[int, int] | None, seed: int) -> Dataset:
    """Read what the user has; which of the forms it is shows from the outside."""
    note = ""
    if path.is_dir():
        table = _csv(path, "train")
        idx = None if table and not _has_idx(path) else _idx_folder(path)
        if idx is not None:
            train, test = load_folder(idx)
            classes = int(max(train[1].max(), test[1].max())) + 1
            note = "" if idx == path else f"read from {printable(str(idx.relative_to(path)))}"
            return Dataset(name, train, test, tuple(map(str, range(classes))), note)
        if table:
            given, tested, note = _two_tables(table, _csv(path, "test"))
        elif class_folders(path):
            given, tested, note = read_pictures(path, size)
        else:
            raise DataError(f"{path}: must be {FORMS}; got a folder with none of them in it")
    elif path.suffix.lower() == ".npz":
        given, tested = read_npz(path)
    elif path.name.lower().endswith(CSV_ENDINGS):
        given, tested = read_csv(path), None
    else:
        raise DataError(f"{path}: must be {FORMS}; got a file of another kind")
    return _dataset(name, str(path), given, tested, note, seed)


def _has_idx(folder: Path) -> bool:
    return any(exists(folder, names) for names in IDX_NAMES.values())


def _idx_folder(folder: Path) -> Path | None:
    """Return the folder with IDX files: this one, or the one within, such as ``MNIST/raw``, as torchvision has it."""
    if _has_idx(folder):
        return folder
    folders = [
        folder / "raw",
        *(place for child in class_folders(folder) for place in (child, child / "raw")),
    ]
    found = [place for place in dict.fromkeys(folders) if _has_idx(place)]
    if len(found) > 1:
        names = ", ".join(str(place.relative_to(folder)) for place in found)
        raise DataError(
            f"{folder}: must hold one set of IDX files; got several, in {names}: name one of them"
        )
    return found[0] if found else None


def _csv(folder: Path, name: str) -> Path | None:
    return next((path for end in CSV_ENDINGS if (path := folder / f"{name}{end}").is_file()), None)


def _two_tables(train: Path, test: Path | None) -> tuple[Pair, Pair | None, str]:
    """Read both; a test.csv without labels, such as Kaggle's, is none to test on."""
    given = read_csv(train)
    if test is None:
        return given, None, ""
    try:
        return given, read_csv(test), ""
    except DataError as error:
        if "a column of labels" not in str(error):
            raise
        return given, None, f"{test.name} has no labels"


def _dataset(name: str, subject: str, given: Pair, tested: Pair | None, note: str, seed: int) -> Dataset:
    """Check the parts, number the classes, and set images apart where there are none to test on."""
    parts = [given] if tested is None else [given, tested]
    pictures = [to_pictures(x, subject) for x, _ in parts]
    for x, (_, y) in zip(pictures, parts, strict=True):
        check_pair(x, y, subject)
    if pictures[0].shape[1:] != pictures[-1].shape[1:]:
        raise DataError(
            f"{subject}: images to test on must be {pictures[0].shape[1:]}, as those to train on; "
            f"got {pictures[-1].shape[1:]}"
        )
    labels, class_names = to_classes([y for _, y in parts], subject)
    if tested is not None:
        return Dataset(name, (pictures[0], labels[0]), (pictures[1], labels[1]), class_names, note)
    x, y = pictures[0], labels[0]
    train, test = _split(y, seed, subject)
    apart = f"no images to test on: {len(test):,} of {len(y):,} are set apart for it, by seed {seed}"
    note = "; ".join(filter(None, (note, apart)))
    return Dataset(name, (x[train], y[train]), (x[test], y[test]), class_names, note)


def _split(y: Array, seed: int, subject: str) -> tuple[Int64, Int64]:
    """Return which images are for training and which for testing: each class gives its share."""
    if len(y) < _SHARE:
        raise DataError(
            f"{subject}: must hold at least {_SHARE} images, of which one is set apart for testing; got {len(y)}"
        )
    order = stream(seed, _TEST_SPLIT).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    chosen = np.zeros(len(y), bool)
    chosen[order[_SHARE - 1 :: _SHARE]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
