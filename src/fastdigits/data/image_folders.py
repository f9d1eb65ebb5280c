"""A folder for each class, with the images of that class in it, in any format that Pillow reads."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, printable

if TYPE_CHECKING:
    from ..imaging.opening import Grey
    from .idx_folder import Pair

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")  # the first that is there is tested on
HIDDEN = (".", "__MACOSX")  # how names begin of what systems put beside a user's files
WRAPPERS = 3  # folders with nothing but one folder in them that are looked into, as archives have them


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, hidden ones left out, 2 before 10."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(HIDDEN) and entry.is_dir()]
    return sorted(
        (folder / name for name in names),
        key=lambda path: [
            part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)
        ],
    )


def read_pictures(folder: Path, size: tuple[int, int] | None = None) -> tuple[Pair, Pair | None, str]:
    """Read images from a folder for each class, or from those in ``train`` and ``test``.

    Parameters
    ----------
    folder : Path
        ``folder/CLASS/*.png``, or ``folder/train/CLASS/*.png`` and ``folder/test/CLASS/*.png``: every ending of
        `pictures.endings`. Instead of ``test``, ``val``, ``valid`` or ``validation``. A folder that holds nothing but
        one other folder stands for that one.
    size : (int, int), optional
        Height and width that pictures of other sizes are fitted to, by the rule of `pictures.fitted`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) or None
        Images (n, height, width) uint8, labels (n,) str: the names of the folders.
    note : str
        What was left out, and what else a reader should know; else empty.

    Raises
    ------
    DataError
        If there are no images, if one cannot be read, or if their sizes differ and none is asked for.
    """
    from ..imaging.opening import to_uint8  # here, because Pillow takes longer to import than all else

    found = _unwrapped(folder)
    reader = _Reader(size)
    notes = [] if found == folder else [f"read from {printable(str(found.relative_to(folder)))}"]
    if found != folder:
        reader.pass_by(folder, class_folders(folder))
    parts = {path.name.lower(): path for path in class_folders(found) if class_folders(path)}
    train, test = (next((parts[name] for name in names if name in parts), None) for names in (TRAIN, TEST))
    if train is None:
        test, groups = None, [reader.read(found)]
    else:
        used = [part for part in (train, test) if part is not None]
        groups = [reader.read(part) for part in used]
        folders = class_folders(found)
        reader.pass_by(found, folders)
        notes += [f"left out {_folder(path)}" for path in folders if path not in used]
        if test is not None and test.name.lower() not in TEST[:2]:
            notes.append(f"tested on the images in {test.name}")
    if test is not None and (
        unknown := sorted({label for label, _ in groups[1]} - {label for label, _ in groups[0]})
    ):
        raise DataError(
            f"{test}: must have the classes of {train} only; got {', '.join(unknown[:5])} besides"
        )
    values = to_uint8([picture for group in groups for _, picture in group], str(folder))
    first = len(groups[0])
    pairs = [
        (np.stack(some), np.array([label for label, _ in group]))
        for some, group in zip((values[:first], values[first:]), groups, strict=False)
    ]
    return pairs[0], pairs[1] if test is not None else None, "; ".join(notes + reader.notes())


def _unwrapped(folder: Path) -> Path:
    """Return the folder with the classes or the parts: the one within, where there is nothing else."""
    for _ in range(WRAPPERS):
        within = class_folders(folder)
        if len(within) != 1 or not class_folders(within[0]) or within[0].name.lower() in TRAIN:
            break
        folder = within[0]
    return folder


class LeftOut:
    """Finds the pictures in folders, and counts what else is in them: it is not read, and people are told so."""

    def __init__(self) -> None:
        self.endings = Counter[str]()  # of files that are no pictures
        self.hidden = 0  # files and folders
        self.inside = 0  # folders where only pictures are read
        self.beside = 0  # pictures where only folders are read
        self.empty: list[str] = []  # class folders

    def pictures_in(
        self, folder: Path, known: Collection[str] = (), also: Collection[str] = ()
    ) -> list[Path]:
        """Return the pictures in a folder by name, and files that end in ``also``; count all that is not ``known``."""
        from ..imaging.opening import endings

        files = []
        with os.scandir(folder) as entries:
            for entry in entries:
                ending = os.path.splitext(entry.name)[1].lower()
                if entry.name in known:
                    continue
                if entry.name.startswith(HIDDEN):
                    self.hidden += 1
                elif entry.is_dir():
                    self.inside += 1
                elif ending in endings() or ending in also:
                    files.append(folder / entry.name)
                else:
                    self.endings[ending] += 1
        return sorted(files)

    def told(self) -> str:
        """Return what was left out, in words; nothing if all was read."""
        counts = {
            f"{_count(self.beside, 'picture')} outside class folders": self.beside,
            _count(self.inside, "inner folder"): self.inside,
            _count(self.hidden, "hidden file"): self.hidden,
        }
        found = [text for text, count in counts.items() if count]
        if self.endings:
            kinds = [
                f"{count:,} {printable(ending) or 'without'}" for ending, count in self.endings.most_common()
            ]
            found.append(f"{_count(self.endings.total(), 'file')} of other kinds ({_some(kinds)})")
        if self.empty:
            found.append(f"{_count(len(self.empty), 'class folder')} without pictures ({_some(self.empty)})")
        return ", ".join(found)


class _Reader:
    """Reads class folders, and keeps account of what it leaves out and changes."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        self._size = size
        self._first: tuple[Path, tuple[int, ...]] | None = None  # which the others must be like
        self._pictures = self._fitted = self._frames = self._invisible = 0
        self._left = LeftOut()

    def read(self, folder: Path) -> list[tuple[str, Grey]]:
        """Return label and picture of each file in the class folders of a folder."""
        found: list[tuple[str, Grey]] = []
        classes = class_folders(folder)
        self.pass_by(folder, classes)
        for place in classes:
            files = self._left.pictures_in(place)
            if not files:
                self._left.empty.append(place.name)
            found += [(place.name, self._picture(file)) for file in files]
        if not found:
            left = self._left.told()
            raise DataError(
                f"{folder}: must have a folder with images for each class, such as {folder.name}/7/a.png; got none"
                f"{' but ' if left else ''}{left}"
            )
        return found

    def pass_by(self, folder: Path, folders: list[Path]) -> None:
        """Count what is in a folder beside the folders that are looked into."""
        self._left.beside += len(self._left.pictures_in(folder, {path.name for path in folders}))

    def notes(self) -> list[str]:
        """Return what a note says of all that was read."""
        size = "" if self._size is None else f"{self._size[0]} x {self._size[1]}"
        left = self._left.told()
        notes = {
            f"fitted {self._fitted:,} of {_count(self._pictures, 'picture')} to {size} pixels": self._fitted,
            f"took the first frame of {_count(self._frames, 'picture')} with several": self._frames,
            f"{_count(self._invisible, 'transparent picture')} showed nothing on white paper: put light ink on black "
            "paper first": self._invisible,
            f"left out {left}": left,
        }
        return [note for note, said in notes.items() if said]

    def _picture(self, file: Path) -> Grey:
        """Read one, fit it where that is asked for, and see that it has the size of the others."""
        from ..imaging.opening import fitted, read_grey

        picture = read_grey(file)
        values = picture.values
        self._pictures += 1
        self._frames += picture.frames
        self._invisible += picture.hidden
        if self._size is not None:
            self._fitted += values.shape != self._size
            return dataclasses.replace(picture, values=fitted(values, self._size))
        first, shape = self._first = self._first or (file, values.shape)
        if values.shape != shape:
            height, width = shape
            raise DataError(
                f"{file}: all images must have one size, {height} x {width} pixels (height x width) as {first}; got "
                f"{values.shape[0]} x {values.shape[1]}: fit them to one with --size {height}x{width}, or "
                f"load_data(…, size=({height}, {width}))"
            )
        return picture


def _folder(path: Path) -> str:
    """Return the name of a folder and how many pictures are in it and in the folders in it."""
    left = LeftOut()
    pictures = sum(len(left.pictures_in(place)) for place in (path, *class_folders(path)))
    return f"the folder {printable(path.name)} ({_count(pictures, 'picture')})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number == 1 else what + 's'}"


def _some(names: list[str]) -> str:
    return ", ".join(map(printable, names[:5])) + (", …" if len(names) > 5 else "")
