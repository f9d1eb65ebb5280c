"""Read a data set from a folder of four IDX files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..core.arrays import Array
from ..errors import DataError
from .idx import find_file, read_idx

Pair: TypeAlias = tuple[Array, Array]

IDX_NAMES = {
    "training images": ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    "training labels": ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    "test images": ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    "test labels": ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


def load_folder(path: str | os.PathLike[str]) -> tuple[Pair, Pair]:
    """Read four IDX files with the names of MNIST's files from a folder, plain or with ``.gz``.

    Parameters
    ----------
    path : str or path-like
        The folder with ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte``.

    Returns
    -------
    (x_train, y_train), (x_test, y_test)
        Images (n, height, width) uint8, labels (n,) uint8.

    Raises
    ------
    DataError
        If a file is missing or damaged, or if the files do not fit together.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise DataError(f"{folder}: must be a folder with four IDX files; got no folder of this name")
    try:
        os.listdir(folder)
    except OSError as error:
        raise DataError(f"{folder}: must be a folder that can be read; got: {error.strerror}") from error
    arrays = {}
    files = {}
    for what, names in IDX_NAMES.items():
        file = find_file(folder, names)
        if file is None:
            raise DataError(f"{folder}: must hold the {what} as {names[0]} or {names[0]}.gz; got neither")
        files[what], arrays[what] = file, read_idx(file)
    for part in ("training", "test"):
        _check_pair(
            arrays[f"{part} images"],
            files[f"{part} images"],
            arrays[f"{part} labels"],
            files[f"{part} labels"],
        )
    train, test = arrays["training images"], arrays["test images"]
    if train.shape[1:] != test.shape[1:]:
        raise DataError(
            f"{files['test images']}: images must be {train.shape[1:]}, as those for training; got {test.shape[1:]}"
        )
    return (train, arrays["training labels"]), (test, arrays["test labels"])


def _check_pair(images: Array, images_file: Path, labels: Array, labels_file: Path) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or images.size == 0:
        raise DataError(
            f"{images_file}: must hold uint8 images, (n, height, width), at least one; "
            f"got {images.dtype} of shape {images.shape}"
        )
    if labels.ndim != 1 or labels.dtype != np.uint8:
        raise DataError(
            f"{labels_file}: must hold uint8 labels, (n,); got {labels.dtype} of shape {labels.shape}"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{labels_file}: must hold one label per image of {images_file.name}, {len(images):,}; got {len(labels):,}"
        )
