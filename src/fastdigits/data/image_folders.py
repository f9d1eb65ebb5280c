"""Read folders of image files: one folder per class, any format that Pillow reads."""

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
from .labels import MOST_SIZE

if TYPE_CHECKING:
    from ..imaging.opening import GreyImage
    from .idx_folder import Pair

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")  # the first that exists is used
HIDDEN = (".", "__MACOSX")  # beginnings of names that systems add
FITTED = (28, 28)  # height and width for pictures of several sizes, or very large ones: those of MNIST
WRAPPERS = 3  # outer folders, each with one folder only, that are skipped: archives often have them


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder without hidden ones, in natural order: 2 before 10."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(HIDDEN) and entry.is_dir()]
    return sorted(
        (folder / name for name in names),
        key=lambda path: [
            part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)
        ],
    )


def read_image_folders(folder: Path, size: tuple[int, int] | None = None) -> tuple[Pair, Pair | None, str]:
    """Read images from one folder per class, or from such folders in ``train`` and ``test``.

    Parameters
    ----------
    folder : Path
        ``folder/CLASS/*.png``, or ``folder/train/CLASS/*.png`` and ``folder/test/CLASS/*.png``, with every ending of
        `opening.endings`. ``test`` may be named ``val``, ``valid`` or ``validation``. All of this may lie one or more
        folders deeper, as in archives.
    size : (int, int), optional
        Height and width to which `opening.fitted` scales images of other sizes. If omitted, images of one size keep it,
        and images of several sizes, or of more than 1,000,000 pixels, get 28 × 28.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) or None
        Images (n, height, width) uint8, labels (n,) str: the names of the folders.
    note : str
        Which files were skipped, and other remarks for the user; may be empty.

    Raises
    ------
    DataError
        If there are no images, or if one cannot be read.
    """
    try:
        return _read(folder, _Reader(size))
    except _NeedsSizeError as needs:
        return _read(folder, _Reader(FITTED, needs.sizes))


def _read(folder: Path, reader: _Reader) -> tuple[Pair, Pair | None, str]:
    """Return what `read_image_folders` returns."""
    from ..imaging.opening import to_uint8  # here: Pillow takes longer to import than all else

    root = _unwrapped(folder)
    notes = [] if root == folder else [f"read from {printable(str(root.relative_to(folder)))}"]
    if root != folder:
        reader.skip(folder, class_folders(folder))
    parts = {path.name.lower(): path for path in class_folders(root) if class_folders(path)}
    train, test = (next((parts[name] for name in names if name in parts), None) for names in (TRAIN, TEST))
    if train is None:
        test, groups = None, [reader.read(root)]
    else:
        used = [part for part in (train, test) if part is not None]
        groups = [reader.read(part) for part in used]
        folders = class_folders(root)
        reader.skip(root, folders)
        notes += [f"left out {_folder(path)}" for path in folders if path not in used]
        if test is not None and test.name.lower() not in TEST[:2]:
            notes.append(f"tested on the images in {test.name}")
    if test is not None and (
        unknown := sorted({label for label, _ in groups[1]} - {label for label, _ in groups[0]})
    ):
        raise DataError(
            f"{test}: must have the classes of {train} only; got {', '.join(unknown[:5])} besides"
        )
    values = to_uint8([image for group in groups for _, image in group], str(folder))
    first = len(groups[0])
    pairs = [
        (np.stack(some), np.array([label for label, _ in group]))
        for some, group in zip((values[:first], values[first:]), groups, strict=False)
    ]
    return pairs[0], pairs[1] if test is not None else None, "; ".join(notes + reader.notes())


def _unwrapped(folder: Path) -> Path:
    """Return the inner folder while a folder holds only one; else the folder itself."""
    for _ in range(WRAPPERS):
        within = class_folders(folder)
        if len(within) != 1 or not class_folders(within[0]) or within[0].name.lower() in TRAIN:
            break
        folder = within[0]
    return folder


class SkippedFiles:
    """Finds the images in folders, and counts the files and folders that are skipped."""

    def __init__(self) -> None:
        self.endings = Counter[str]()  # of files that are not images
        self.hidden = 0  # files and folders
        self.inside = 0  # folders inside a class folder
        self.beside = 0  # images beside class folders
        self.empty: list[str] = []  # class folders without images

    def images_in(self, folder: Path, known: Collection[str] = (), also: Collection[str] = ()) -> list[Path]:
        """Return the images in a folder and the files that end in ``also``; count other entries, except ``known``."""
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

    def summary(self) -> str:
        """Return a text about the skipped files; empty if there are none."""
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


class _NeedsSizeError(Exception):
    """Two images have different sizes, or one is too large for a network; ``sizes`` describes them."""

    def __init__(self, *images: tuple[Path, tuple[int, ...]]) -> None:
        shown = (f"{printable(file.name)} has {height} x {width}" for file, (height, width) in images)
        self.sizes = f"{' and '.join(shown)} pixels"


class _Reader:
    """Reads class folders, and counts the images that it skips or changes.

    ``why`` describes images of several sizes, or a very large one, for which the user gave no size.
    """

    def __init__(self, size: tuple[int, int] | None, why: str = "") -> None:
        self._size = size
        self._why = why
        self._first: tuple[Path, tuple[int, ...]] | None = None  # the first image's shape: all must have it
        self._images = self._fitted = self._frames = self._invisible = 0
        self._skipped = SkippedFiles()

    def read(self, folder: Path) -> list[tuple[str, GreyImage]]:
        """Return label and image of each file in the class folders of a folder."""
        images: list[tuple[str, GreyImage]] = []
        classes = class_folders(folder)
        self.skip(folder, classes)
        for place in classes:
            files = self._skipped.images_in(place)
            if not files:
                self._skipped.empty.append(place.name)
            images += [(place.name, self._image(file)) for file in files]
        if not images:
            skipped = self._skipped.summary()
            raise DataError(
                f"{folder}: must have a folder with images for each class, such as {folder.name}/7/a.png; got none"
                f"{' but ' if skipped else ''}{skipped}"
            )
        return images

    def skip(self, folder: Path, folders: list[Path]) -> None:
        """Count the entries of a folder, except ``folders``."""
        self._skipped.beside += len(self._skipped.images_in(folder, {path.name for path in folders}))

    def notes(self) -> list[str]:
        """Return remarks on the images that were read or skipped."""
        size = "" if self._size is None else f"{self._size[0]} x {self._size[1]}"
        why = f", as {self._why}; --size HxW chooses another size" if self._why else ""
        skipped = self._skipped.summary()
        notes = {
            f"fitted {self._fitted:,} of {_count(self._images, 'picture')} to {size} pixels{why}": self._fitted,
            f"took the first frame of {_count(self._frames, 'picture')} with several": self._frames,
            f"{_count(self._invisible, 'transparent picture')} showed nothing on white paper: put light ink on black "
            "paper first": self._invisible,
            f"left out {skipped}": skipped,
        }
        return [note for note, count in notes.items() if count]

    def _image(self, file: Path) -> GreyImage:
        """Read an image; fit it to the size, or raise _NeedsSizeError if it has not the size of the others."""
        from ..imaging.opening import fitted, read_grey

        image = read_grey(file)
        values = image.values
        self._images += 1
        self._frames += image.frames
        self._invisible += image.invisible
        if self._size is not None:
            self._fitted += values.shape != self._size
            return dataclasses.replace(image, values=fitted(values, self._size))
        self._first = self._first or (file, values.shape)
        if values.size > MOST_SIZE:
            raise _NeedsSizeError((file, values.shape))
        if values.shape != self._first[1]:
            raise _NeedsSizeError(self._first, (file, values.shape))
        return image


def _folder(path: Path) -> str:
    """Return the name of a folder and the number of images in it and in its folders."""
    files = SkippedFiles()
    images = sum(len(files.images_in(place)) for place in (path, *class_folders(path)))
    return f"the folder {printable(path.name)} ({_count(images, 'picture')})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number == 1 else what + 's'}"


def _some(names: list[str]) -> str:
    return ", ".join(map(printable, names[:5])) + (", …" if len(names) > 5 else "")
