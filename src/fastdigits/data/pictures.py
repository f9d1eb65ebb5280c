"""A folder for each class, with the images of that class in it, in any format that Pillow reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..inputs import Array

if TYPE_CHECKING:
    from .datasets import Pair

TRAIN, TEST = ("train", "training"), ("test", "testing")
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".pbm", ".ppm", ".pnm"}


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, hidden ones left out, 2 before 10."""
    found = (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(
        found,
        key=lambda path: [
            part.zfill(20) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)
        ],
    )


def read_pictures(folder: Path) -> tuple[Pair, Pair | None]:
    """Read images from a folder for each class, or from those in ``train`` and ``test``.

    Parameters
    ----------
    folder : Path
        ``folder/CLASS/*.png``, or ``folder/train/CLASS/*.png`` and ``folder/test/CLASS/*.png``; also .jpg, .gif and
        what else Pillow reads. Files of other kinds are passed over.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) or None
        Images (n, height, width) uint8, labels (n,) str: the names of the folders.

    Raises
    ------
    DataError
        If there are no images, if one cannot be read, or if their sizes differ.
    """
    parts = {path.name.lower(): path for path in class_folders(folder)}
    train, test = (next((parts[name] for name in names if name in parts), None) for names in (TRAIN, TEST))
    if train is None:
        return _read(folder, None), None
    x, y = _read(train, None)
    if test is None:
        return (x, y), None
    x_test, y_test = _read(test, x.shape[1:])
    if unknown := sorted(set(y_test.tolist()) - set(y.tolist())):
        raise DataError(
            f"{test}: must have the classes of {train} only; got {', '.join(unknown[:5])} besides"
        )
    return (x, y), (x_test, y_test)


def _read(folder: Path, shape: tuple[int, ...] | None) -> Pair:
    images: list[Array] = []
    labels: list[str] = []
    first = None
    for place in class_folders(folder):
        for file in sorted(place.iterdir()):
            if file.suffix.lower() not in ENDINGS or file.name.startswith("."):
                continue
            image = _grey(file)
            shape = image.shape if shape is None else shape
            first = first or file
            if image.shape != shape:
                raise DataError(
                    f"{file}: all images must have one size, {shape[1]} x {shape[0]} pixels as {first}; got "
                    f"{image.shape[1]} x {image.shape[0]}: bring them to one size first, such as with Pillow's "
                    "ImageOps.pad"
                )
            images.append(image)
            labels.append(place.name)
    if not images:
        raise DataError(
            f"{folder}: must have a folder with images for each class, such as {folder.name}/7/a.png; got none"
        )
    return np.stack(images), np.array(labels)


def _grey(file: Path) -> Array:
    """Return an image as (height, width) uint8."""
    from ..pictures import open_picture  # here, because Pillow takes longer to import than all else

    return np.asarray(open_picture(file, str(file)).convert("L"))
