"""What ``--data`` and ``load_data`` take: the name of a published data set, or a file or folder of the user's own."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ..core import atomic
from ..core.arrays import Array, Int64
from ..core.seeding import TEST_SPLIT, stream
from ..core.validation import check_count
from ..errors import DataError, printable
from .arrays import read_npz
from .idx import exists
from .idx_folder import IDX_NAMES, Pair, load_folder
from .image_folders import class_folders, read_pictures
from .labels import check_pair, plain_number, to_classes, to_pictures
from .mnist import load_mnist
from .published import DIGITS, PUBLISHED, load_published
from .tables import CSV_ENDINGS, read_table

NAMES = ("mnist", *PUBLISHED)
FORMS = "a folder of four IDX files, a folder for each class of images, a .csv or an .npz file"
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
        One per class: the digits, or what the source calls them.
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
    label_column: str | int | None = None,
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
    label_column : str or int, optional
        The column of a CSV that has the labels: its name in the heading, ``"first"``, ``"last"``, or its number, from 0
        on. If it is not given, it is the column named ``label``, else ``target``, ``class``, ``y``, ``labels``,
        ``targets`` or ``digit``; without a heading, the column of words, or the first or the last one, if the values
        leave no doubt which. ``note`` says which was taken.
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
    if label_column is not None and (
        isinstance(label_column, bool) or not isinstance(label_column, str | int)
    ):
        raise TypeError(f"load_data: label_column must be a name or a number; got {label_column!r}")
    data = _load(os.fspath(source), size, seed, label_column, progress)
    if size is not None and data.image_shape != size:
        raise DataError(
            f"{data.source}: must be a folder of pictures for --size (size) {size[0]}x{size[1]}; got other data, of "
            f"{data.image_shape[0]} x {data.image_shape[1]} pixels: omit it"
        )
    return data


def _checked_size(size: object) -> tuple[int, int]:
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise TypeError(f"load_data: size must be (height, width); got {size!r}")
    height, width = (check_count(side, "size", "load_data") for side in size)
    if height * width > MOST_SIZE:
        raise ValueError(f"load_data: size must have at most {MOST_SIZE:,} pixels; got {height} x {width}")
    return height, width


def _load(
    name: str, size: tuple[int, int] | None, seed: int, label_column: str | int | None, progress: bool
) -> Dataset:
    if name in NAMES and label_column is not None:
        raise _no_columns(name)
    if name == "mnist":
        return Dataset(name, *load_mnist(), DIGITS)
    if name in PUBLISHED:
        return Dataset(name, *load_published(name, progress=progress), PUBLISHED[name].class_names)
    path = _path(name)
    try:
        return _own(path, name, size, seed, label_column)
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


def _no_columns(name: str) -> DataError:
    return DataError(
        f"{name}: must be a .csv file, or a folder with train.csv, for --label-column (label_column); got other data: "
        "omit it"
    )


def _own(
    path: Path, name: str, size: tuple[int, int] | None, seed: int, label_column: str | int | None
) -> Dataset:
    """Read what the user has; which of the forms it is shows from the outside."""
    notes: list[str] = []
    table = (
        _csv(path, "train") if path.is_dir() else path if path.name.lower().endswith(CSV_ENDINGS) else None
    )
    if table is None and label_column is not None:
        raise _no_columns(name)
    if path.is_dir():
        idx = None if table and not _has_idx(path) else _idx_folder(path)
        if idx is not None:
            train, test = load_folder(idx)
            classes = int(max(train[1].max(), test[1].max())) + 1
            note = "" if idx == path else f"read from {printable(str(idx.relative_to(path)))}"
            return Dataset(name, train, test, tuple(map(str, range(classes))), note)
        if table is not None:
            given, tested, notes = _tables(table, _csv(path, "test"), label_column)
        elif class_folders(path):
            given, tested, note = read_pictures(path, size)
            notes = [note]
        else:
            raise DataError(f"{path}: must be {FORMS}; got a folder with none of them in it")
    else:
        with atomic.open_regular(path):  # a pipe or a device is told what it is, whatever its name
            pass
        if path.suffix.lower() == ".npz":
            given, tested = read_npz(path)
        elif table is not None:
            given, tested, notes = _tables(path, None, label_column)
        else:
            raise DataError(f"{path}: must be {FORMS}; got a file of another kind")
    return _dataset(name, str(path), given, tested, notes, seed)


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
    return exists(folder, (f"{name}.csv",))


def _tables(
    train: Path, test: Path | None, label_column: str | int | None
) -> tuple[Pair, Pair | None, list[str]]:
    """Read one table or two; a test.csv without labels, such as Kaggle's, is none to test on."""
    table = read_table(train, label_column, needs_labels=True)
    given = table.x, cast(Array, table.y)
    if test is None:
        return given, None, [table.note]
    # What the training table leaves no doubt of decides for the other one, whose values may tell less.
    column = (
        table.label_column if label_column is None and isinstance(table.label_column, int) else label_column
    )
    tested = read_table(test, column, width=given[0].shape[1])
    if tested.y is None:
        return given, None, [table.note, f"{test.name} has no labels"]
    x = tested.x
    if (
        table.names
        and len(set(table.names)) == len(table.names)
        and sorted(table.names) == sorted(tested.names)
    ):
        x = x[:, [tested.names.index(name) for name in table.names]]  # the same columns in another order
    if table.note == tested.note:
        return given, (x, tested.y), [table.note]
    both = [f"{path.name}: {one.note}" for path, one in ((train, table), (test, tested)) if one.note]
    return given, (x, tested.y), both


def _dataset(
    name: str, subject: str, given: Pair, tested: Pair | None, notes: list[str], seed: int
) -> Dataset:
    """Check the parts, number the classes, and set images apart where there are none to test on."""
    parts = [given] if tested is None else [given, tested]
    pictures, scale = to_pictures([x for x, _ in parts], subject)
    for x, (_, y) in zip(pictures, parts, strict=True):
        check_pair(x, y, subject)
    if pictures[0].shape[1:] != pictures[-1].shape[1:]:
        raise DataError(
            f"{subject}: images to test on must be {pictures[0].shape[1:]}, as those to train on; "
            f"got {pictures[-1].shape[1:]}"
        )
    labels, class_names = to_classes([y for _, y in parts], subject)
    numbers = [plain_number(name) is not None for name in class_names]
    if any(numbers) and not all(numbers):
        notes = [*notes, "labels are numbers and words: each is the name of a class"]
    notes = [*notes, scale]
    if tested is not None:
        return Dataset(name, (pictures[0], labels[0]), (pictures[1], labels[1]), class_names, _joined(notes))
    x, y = pictures[0], labels[0]
    train, test = _split(y, seed, subject)
    notes.append(f"no images to test on: {len(test):,} of {len(y):,} are set apart for it, by seed {seed}")
    return Dataset(name, (x[train], y[train]), (x[test], y[test]), class_names, _joined(notes))


def _joined(notes: list[str]) -> str:
    return "; ".join(note for note in notes if note)


def _split(y: Array, seed: int, subject: str) -> tuple[Int64, Int64]:
    """Return which images are for training and which for testing: each class gives its share."""
    if len(y) < _SHARE:
        raise DataError(
            f"{subject}: must hold at least {_SHARE} images, of which one is set apart for testing; got {len(y)}"
        )
    order = stream(seed, TEST_SPLIT).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    chosen = np.zeros(len(y), bool)
    chosen[order[_SHARE - 1 :: _SHARE]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)
