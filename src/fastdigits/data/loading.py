"""Load a data set by the name of a published one, or from a file or folder: ``load_data`` and ``--data``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from ..core import atomic, notebook
from ..core.arrays import Array, Int64
from ..core.seeding import TEST_SPLIT, stream
from ..core.splitting import split
from ..core.validation import check_count, checked_names
from ..errors import DataError, printable
from .arrays import read_npz
from .idx import find_file
from .idx_folder import IDX_NAMES, Pair, load_folder
from .image_folders import SkippedFiles, class_folders, read_image_folders
from .labels import (
    MOST_SIZE,
    check_pair,
    is_table,
    numbered,
    plain_number,
    shape_text,
    to_classes,
    to_images,
    unit_of,
)
from .mnist import load_mnist
from .published import DIGITS, PUBLISHED, load_published
from .shard_description import DESCRIPTION, holds_part
from .shards import parts_of
from .tables import CSV_ENDINGS, has_labels, read_table

NAMES = ("mnist", *PUBLISHED)
FORMS = "a folder of four IDX files, a folder for each class of images, a .csv or an .npz file"
_TO_PARTS = (
    "put them into a folder train and others into test beside it, each with fastdigits shard --describe, and name the "
    "folder of both"
)
HOLD_OUT = 6  # one of so many images is for testing if the source has no test images


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels for training and testing; ``(x, y), (x_test, y_test) = dataset`` unpacks them.

    Attributes
    ----------
    source : str
        The name or path that was loaded.
    train, test : (ndarray, ndarray)
        Images (n, height, width), uint8 or floats; labels (n,), whole numbers from 0 on. Rows of a table of other
        numbers than pixels are images of height 1, (n, 1, columns).
    class_names : tuple of str
        One per class: the digits, or the names in the source.
    note : str
        Remarks for the user, such as that test images were held out; may be empty.
    pictures : bool
        Whether the images are picture files, which were read unchanged, not prepared like MNIST's digits.
    column_names : tuple of str
        One per column of a CSV, without the labels; empty if the columns have no names, or if two have the same.
    """

    source: str
    train: Pair
    test: Pair
    class_names: tuple[str, ...]
    note: str = ""
    pictures: bool = False
    column_names: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Pair]:
        """Yield the pair for training and the pair for testing."""
        yield from (self.train, self.test)

    def __repr__(self) -> str:
        shape, (train, test) = self.image_shape, (len(y) for _, y in self)
        size = shape_text(shape) if is_table(shape) else f"{shape[0]} x {shape[1]}"
        return (
            f"<Dataset {printable(self.source)}: {train:,} training and {test:,} test {unit_of(shape)} of {size}, "
            f"{self.classes} classes>"
        )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def named(self) -> bool:
        """Whether the classes have names other than their numbers."""
        return self.class_names != numbered(self.classes)

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
    column_names: Sequence[str] = (),
    progress: bool | None = None,
) -> Dataset:
    """Load images and labels by the name of a published data set, or from a file or folder.

    Parameters
    ----------
    source : str or path-like
        ``mnist``, ``fashion-mnist``, ``kmnist``, ``emnist-digits``, ``emnist-letters`` or ``qmnist``; a folder with
        four IDX files, itself or in ``MNIST/raw``; a folder with one folder of images per class, or with ``train`` and
        ``test`` (or ``val``) that hold such folders; a folder with ``train.csv`` and ``test.csv``; a ``.csv`` file in
        the format of Kaggle's digit recogniser; an ``.npz`` file with ``x_train`` and so on, or ``x`` and ``y``.
    size : (int, int), optional
        Height and width of the images from folders. They are scaled with their proportions kept, antialiased, and
        centred on paper of their own colour (the median of their border). If omitted, images of several sizes, or
        of more than 1,000,000 pixels, get 28 × 28, and ``note`` says so.
    seed : int, default 0
        Selects the sixth of the images that is held out for testing if the source has no test images. The commands
        always use 0, so that all runs and evaluations hold out the same images, and networks of different seeds can be
        compared.
    label_column : str or int, optional
        The column of labels in a CSV: its name in the heading, ``"first"``, ``"last"``, or its number, from 0. If
        omitted, it is the column named ``label``, else ``target``, ``class``, ``y``, ``labels``, ``targets`` or
        ``digit``; without a heading, the column of words, or the first or last column if the values leave no doubt.
        ``note`` names the column.
    column_names : sequence of str, default ()
        The columns to load from a CSV, in this order, such as ``net.column_names``. All others but the labels are left
        out, and ``note`` names them. A CSV without names, and all other data, are loaded as they are.
    progress : bool, optional
        Whether to show the progress of a download: in the output of a notebook, else on standard error. Default: in a
        notebook.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the source is missing, unreadable or of another format, or if a CSV has not all of ``column_names``: the
        message says what to do.
    TypeError, ValueError
        If ``size`` is not a pair of whole numbers, each at least 1, or if ``column_names`` are no different strings.

    Notes
    -----
    All data sets except MNIST are downloaded once, which needs ``pip install 'pooch>=1.8' 'filelock>=3.12'``;
    ``docs/data.md`` lists their sizes and licences.
    """
    seed = check_count(seed, "seed", "load_data", least=0)
    size = None if size is None else _checked_size(size)
    if label_column is not None and (
        isinstance(label_column, bool) or not isinstance(label_column, str | int)
    ):
        raise TypeError(f"load_data: label_column must be a name or a number; got {label_column!r}")
    column_names = checked_names(column_names, None, "column", "load_data: column_names")
    shows = notebook.in_notebook() if progress is None else progress
    data = _load(os.fspath(source), size, seed, label_column, column_names, shows)
    if size is not None and data.image_shape != size:
        raise DataError(
            f"{data.source}: must be a folder of pictures for --size (size) {size[0]}x{size[1]}; got other data, of "
            f"{shape_text(data.image_shape)}: omit it"
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
    name: str,
    size: tuple[int, int] | None,
    seed: int,
    label_column: str | int | None,
    column_names: Sequence[str],
    progress: bool,
) -> Dataset:
    if name in NAMES and label_column is not None:
        raise _no_label_column(name)
    if name == "mnist":
        return Dataset(name, *load_mnist(), DIGITS)
    if name in PUBLISHED:
        return Dataset(name, *load_published(name, progress=progress), PUBLISHED[name].class_names)
    path = _path(name)
    if parts_of(path):
        raise DataError(
            f"{path}: must be images that fit into memory; got shards: fastdigits.Shards takes each of its parts"
        )
    if (path / DESCRIPTION).is_file():
        parent = path.parent if path.name else path.resolve().parent
        both = len(parts_of(parent)) == 2
        raise DataError(
            f"{path}: must hold images to train on and others to test on; got shards of one part: "
            + (f"name {parent}, which has both" if both else f"{_TO_PARTS}; fastdigits.Shards takes one part")
        )
    try:
        return _load_path(path, name, size, seed, label_column, column_names)
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


def _no_label_column(name: str) -> DataError:
    return DataError(
        f"{name}: must be a .csv file, or a folder with train.csv, for --label-column (label_column); got other data: "
        "omit it"
    )


def _load_path(
    path: Path,
    name: str,
    size: tuple[int, int] | None,
    seed: int,
    label_column: str | int | None,
    column_names: Sequence[str],
) -> Dataset:
    """Read a file or folder; names and endings tell its format."""
    notes: list[str] = []
    columns: list[str] = []
    is_csv = path.name.lower().endswith(CSV_ENDINGS)
    csv = _csv(path, "train") if path.is_dir() else path if is_csv else None
    if csv is None and label_column is not None:
        raise _no_label_column(name)
    if path.is_dir():
        idx = None if csv and not _has_idx(path) else _idx_folder(path)
        if idx is not None:
            train, test = load_folder(idx)
            classes = int(max(train[1].max(), test[1].max())) + 1
            note = "" if idx == path else f"read from {printable(str(idx.relative_to(path)))}"
            return Dataset(name, train, test, numbered(classes), note)
        if csv is not None:
            given, tested, notes, columns = _read_csv_files(
                csv, _csv(path, "test"), label_column, column_names
            )
        elif parts := [part for part in (path / "train", path / "test") if _waits(part)]:
            raise DataError(
                f"{path}: must have shards with {DESCRIPTION} in its parts; got none in {parts[0].name}: write it with "
                f"fastdigits shard --describe {parts[0]}"
            )
        elif class_folders(path):
            given, tested, note = read_image_folders(path, size)
            data = _dataset(name, str(path), given, tested, [note], seed, ())
            return replace(data, pictures=True)
        else:
            got = "a folder with none of them in it"
            if holds_part(path):
                got = f"files of shards, which are one part: {_TO_PARTS}"
            elif pictures := SkippedFiles().images_in(path):
                got = (
                    f"pictures without class folders, such as {pictures[0].name}: put those of each class into a "
                    "folder named like the class"
                )
            raise DataError(f"{path}: must be {FORMS}; got {got}")
    else:
        with atomic.open_regular(path):  # refuses a pipe or a device, whatever its name
            pass
        if path.suffix.lower() == ".npz":
            given, tested = read_npz(path)
        elif csv is not None:
            given, tested, notes, columns = _read_csv_files(csv, None, label_column, column_names)
        else:
            raise DataError(
                f"{path}: must be {FORMS}; got a file of another kind: save a table as .csv, and arrays by "
                "np.savez(path, x=x, y=y)"
            )
    return _dataset(name, str(path), given, tested, notes, seed, columns)


def holds_pictures(source: str) -> bool:
    """Return whether `load_data` reads folders of picture files here, which take the size that it is given."""
    folder = Path(source)
    if source in NAMES or not folder.is_dir() or _csv(folder, "train"):
        return False
    return bool(class_folders(folder)) and _idx_folder(folder) is None


def _waits(folder: Path) -> bool:
    """Return whether a folder holds files of shards that are not described."""
    return holds_part(folder) and not (folder / DESCRIPTION).is_file() and not class_folders(folder)


def _has_idx(folder: Path) -> bool:
    return any(find_file(folder, names) for names in IDX_NAMES.values())


def _idx_folder(folder: Path) -> Path | None:
    """Return the folder with IDX files: this one, or an inner one such as torchvision's ``MNIST/raw``."""
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
    return find_file(folder, (f"{name}.csv",))


def _read_csv_files(
    train: Path, test: Path | None, label_column: str | int | None, column_names: Sequence[str]
) -> tuple[Pair, Pair | None, list[str], list[str]]:
    """Read one or two CSV files, with notes and the names of the columns; a test.csv without labels is ignored."""
    table = read_table(train, label_column, needs_labels=True, column_names=column_names)
    given = table.x, cast(Array, table.y)
    if test is None:
        return given, None, [table.note], table.names
    # The test table uses the label column of the training table: its own values may leave a doubt.
    column = (
        table.label_column if label_column is None and isinstance(table.label_column, int) else label_column
    )
    width, names = given[0].shape[1], column_names or _distinct(table.names)
    if not has_labels(test, column, width=width, column_names=names):
        return given, None, [table.note, f"{test.name} has no labels"], table.names
    tested = read_table(test, column, width=width, column_names=names)
    pair = tested.x, cast(Array, tested.y)
    if table.note == tested.note:
        return given, pair, [table.note], table.names
    both = [f"{path.name}: {one.note}" for path, one in ((train, table), (test, tested)) if one.note]
    return given, pair, both, table.names


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns if they tell them apart, else none."""
    return tuple(names) if len({*names}) == len(names) else ()


def _dataset(
    name: str,
    subject: str,
    given: Pair,
    tested: Pair | None,
    notes: list[str],
    seed: int,
    columns: Sequence[str],
) -> Dataset:
    """Check the parts, number the classes, and hold images out if there are no test images."""
    parts = [given] if tested is None else [given, tested]
    images, scale = to_images([x for x, _ in parts], subject, columns)
    for x, (_, y) in zip(images, parts, strict=True):
        check_pair(x, y, subject)
    shape, tested_shape = images[0].shape[1:], images[-1].shape[1:]
    if shape != tested_shape:
        raise DataError(
            f"{subject}: {unit_of(shape)} to test on must have {shape_text(shape)}, as those to train on; got "
            f"{shape_text(tested_shape)}"
        )
    labels, class_names = to_classes([y for _, y in parts], subject, by_value=is_table(shape))
    numbers = [plain_number(name) is not None for name in class_names]
    if any(numbers) and not all(numbers):
        notes = [*notes, "labels are numbers and words: each is the name of a class"]
    notes = notes if is_table(shape) else [*notes, scale]
    names = _distinct(columns)
    if columns and not names:
        twice = next(one for one in columns if columns.count(one) > 1)
        notes = [*notes, f"columns are known by their order, as several are named {twice[:40]!r}"]
    if tested is not None:
        return Dataset(
            name,
            (images[0], labels[0]),
            (images[1], labels[1]),
            class_names,
            _joined(notes),
            column_names=names,
        )
    x, y = images[0], labels[0]
    train, test = _split(y, seed, subject, unit_of(shape))
    notes.append(
        f"no {unit_of(shape)} to test on: {len(test):,} of {len(y):,} are set apart for it, by seed {seed}"
    )
    return Dataset(
        name, (x[train], y[train]), (x[test], y[test]), class_names, _joined(notes), column_names=names
    )


def _joined(notes: list[str]) -> str:
    return "; ".join(note for note in notes if note)


def _split(y: Array, seed: int, subject: str, unit: str) -> tuple[Int64, Int64]:
    """Return the indices of the images for training and for testing, stratified by class."""
    if len(y) < HOLD_OUT:
        raise DataError(
            f"{subject}: must hold at least {HOLD_OUT} {unit}, of which one is set apart for testing; got {len(y)}"
        )
    return split(stream(seed, TEST_SPLIT), len(y), slice(HOLD_OUT - 1, None, HOLD_OUT), y)
