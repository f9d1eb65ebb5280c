"""Shards: images and labels in many files, which together may be larger than memory."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Array, Int64
from ..core.blocks import BlockReader, Blocks
from ..core.validation import check_count
from ..errors import DataError
from .labels import Numbers
from .shard_description import (
    DESCRIPTION,
    Description,
    Shard,
    ShardFile,
    describe,
    find_files,
    pairs,
    read_description,
    stored_dtype,
    write_description,
)
from .shard_files import ArrayRows, TableRows, check_rows, check_shape, check_size, checksum, status

WINDOW = 1 << 16


class Shards(Blocks):
    """Images and labels in many files, read while a network trains on them or predicts.

    ``net.fit(shards)``, ``net.evaluate(shards)``, ``net.predict(shards)``: wherever a network takes images, it takes
    shards, which hold their labels too. They need not fit into memory.

    Parameters
    ----------
    source : str, path-like, or sequence of these
        A folder that ``fastdigits shard`` wrote; or a folder, or the paths, of files: NPY or IDX files of images, whose
        labels are in a file with ``labels`` in place of ``images`` in its name; Parquet or Arrow (Feather) files with a
        column of images and one of labels. An item may also be a pair of paths, (images, labels).
    window : int, default 65536
        Images that `fit` shuffles together. Memory is needed for two windows.

    Attributes
    ----------
    image_shape : tuple of int
        Height and width.
    dtype : dtype
        uint8 or float32.
    class_names : tuple of str
        Empty if numbers name the classes.
    column_names : tuple of str
        Of a table; empty if they are unknown.
    class_counts : ndarray, (classes,) int64
        Images of each class.
    rows : tuple of int
        Images in each shard.
    window : int
    digest : str
        SHA-256 of the description, the same for the same files in the same order.

    Raises
    ------
    DataError
        If a file is missing, or if its size or header is not as described: the message says which and what to do.
    ImportError
        If pyarrow is needed and not installed.
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    Making one checks that each file is there, with its size and its header. The checksum of a file (CRC-32) is compared
    before its images are used for the first time, and again if its size, time or number has changed since. Files
    without a description, ``shards.json``, are read to describe them; `save` writes what was found.

    An epoch's order depends on the network's seed and the epoch alone: shards in random order, and images shuffled
    within consecutive windows. Shards whose images are sorted by class therefore train badly, and `fit` warns.
    ``fastdigits shard`` shuffles all images once.

    Examples
    --------
    >>> import fastdigits as fd
    >>> shards = fd.Shards("big/train")  # doctest: +SKIP
    >>> net.fit(shards, epochs=2, validation_data=fd.Shards("big/test"))  # doctest: +SKIP
    """

    def __init__(self, source: str | os.PathLike[str] | Iterable[Any], *, window: int = WINDOW) -> None:
        self.window = check_count(window, "window", "Shards")
        self._checked: dict[
            Path, tuple[int, ...]
        ] = {}  # files whose checksum was right, and their status then
        self._lock = threading.Lock()
        self._named = False  # whether the paths of the files were given
        if isinstance(source, str | os.PathLike):
            self.folder, self.described = folder_of(Path(source)), False
            if (self.folder / DESCRIPTION).exists():
                self.description, self.described = read_description(self.folder), True
            else:
                self.description = describe(self.folder, find_files(self.folder))
        else:
            self.folder, self.described = Path(), False
            self._named = True
            self.description = describe(self.folder, pairs(source))
        self._take(self.description)
        if self.described:
            self.check_files()

    def _take(self, found: Description) -> None:
        self.image_shape, self.dtype = found.image_shape, np.dtype(found.dtype)
        self.range = found.low, found.high, found.whole
        self.class_counts = np.array(found.class_counts, np.int64)
        self.class_names = found.class_names
        self.column_names = found.column_names
        self.rows = tuple(shard.rows for shard in found.shards)
        self._n = sum(self.rows)
        self.digest = hashlib.sha256(found.to_json()).hexdigest()

    def __len__(self) -> int:
        """Return the number of images."""
        return self._n

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.image_shape))
        return (
            f"Shards({len(self):,} images of {shape} {self.dtype} in {len(self.rows):,} shards, "
            f"window={self.window})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_counts)

    def load(self) -> tuple[Array, Int64]:
        """Read all images into memory.

        Returns
        -------
        x : ndarray, (n, height, width) uint8 or float32
        y : ndarray, (n,) int64

        Raises
        ------
        DataError
            If a file is missing or not as described.
        """
        x, y = self.first(len(self))
        return x.reshape(len(y), *self.image_shape), y

    def save(self) -> Path:
        """Write the description into the folder of the files, so that they need not be read again to describe them.

        Returns
        -------
        Path
            The file, ``shards.json``.

        Raises
        ------
        ValueError
            If the shards were made from paths: they may be in several folders.
        OSError
            If the file cannot be written.
        """
        if self._named:
            raise ValueError(
                "Shards.save: the shards must be those of a folder; got paths: pass their folder"
            )
        return write_description(self.folder, self.description)

    def check(self) -> None:
        """Read all files and compare them with the description; DataError for the first that differs.

        The images of each class and the range of all numbers are counted again.
        """
        self._checked.clear()
        self.check_files()
        numbers, counts = Numbers(), np.zeros(self.classes, np.int64)
        for x, y in self.pieces():
            numbers.add(x, f"{self.folder}")
            counts += np.bincount(y, minlength=self.classes)
        found = {
            "class_counts": tuple(counts.tolist()), "low": numbers.low, "high": numbers.high, "whole": numbers.whole
        }  # fmt: skip
        for name, value in found.items():
            described = getattr(self.description, name)
            if described != value:
                raise DataError(
                    f"{self.folder / DESCRIPTION}: {name} must be that of the images, {value!s:.200}; got "
                    f"{described!s:.200}: remove it, and write it again with fastdigits shard --describe {self.folder}"
                )

    def check_files(self) -> None:
        """Check that each file is there, with its size and its header; DataError for the first that differs."""
        for shard in self.description.shards:
            for file in shard.files:
                check_size(self.folder / file.name, file.size)
            if len(shard.files) == 1:
                check_rows(self.folder / shard.files[0].name, shard.rows)
            else:
                images, labels = (self.folder / file.name for file in shard.files)
                found = stored_dtype(check_shape(images, (shard.rows, *self.image_shape)), images)
                if found != self.dtype:
                    raise DataError(
                        f"{images}: numbers must be {self.dtype}, as described; got {found}: bring the file back, or "
                        "write the shards again"
                    )
                check_shape(labels, (shard.rows,))

    def open(self, block: int) -> BlockReader:
        """Return a reader of one shard."""
        shard = self.description.shards[block]
        return (_PairReader if len(shard.files) == 2 else _TableReader)(self, shard)

    # -- what readers ask for --------------------------------------------------------------------------

    def is_checked(self, path: Path) -> bool:
        """Return whether a file's checksum was right, and nothing shows a change since."""
        with self._lock:
            return self._checked.get(path) == status(path)

    def compare(self, path: Path, file: ShardFile, found: str, before: tuple[int, ...]) -> None:
        """Compare a file's checksum with that of the description."""
        if found != file.checksum:
            raise DataError(
                f"{path}: must be as described, with the checksum {file.checksum}; got {found}: the file has "
                "changed: bring it back, or write the shards again"
            )
        with self._lock:
            self._checked[path] = before


# -- readers -----------------------------------------------------------------------------------------------


class _Reader(BlockReader):
    """Read a shard. Checksums come first: no step may use images of a file that has changed."""

    def __init__(self, shards: Shards, shard: Shard) -> None:
        self._shards, self._left = shards, shard.rows
        self._paths = [shards.folder / file.name for file in shard.files]
        for path, file in zip(self._paths, shard.files, strict=True):
            check_size(path, file.size)
            if not shards.is_checked(path):
                before = status(path)
                shards.compare(path, file, checksum(path), before)

    def read(self, x: Array, y: Int64) -> None:
        """Fill x, (n, d), and y, (n,), with the next images and labels."""
        self._fill(x, y)
        classes = self._shards.classes
        if y.min() < 0 or y.max() >= classes:
            raise DataError(
                f"{self._paths[-1]}: labels must lie within 0 … {classes - 1}, as described; got {y.min()} to "
                f"{y.max()}: bring the file back, or write the shards again"
            )
        if x.dtype == np.float32:
            low, high, _ = self._shards.range
            if not (low <= x.min() and x.max() <= high):
                raise DataError(
                    f"{self._paths[0]}: numbers must lie within {low:g} … {high:g}, as described; got {x.min():g} to "
                    f"{x.max():g}: bring the file back, or write the shards again"
                )
        self._left -= len(y)
        if self._left == 0:
            self._finish()

    def _fill(self, x: Array, y: Int64) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError


class _PairReader(_Reader):
    """Read a file of images and a file of labels."""

    def __init__(self, shards: Shards, shard: Shard) -> None:
        super().__init__(shards, shard)
        self._sources: list[ArrayRows] = []
        try:
            for path in self._paths:
                self._sources.append(ArrayRows(path))
        except BaseException:
            self.close()
            raise

    def _fill(self, x: Array, y: Int64) -> None:
        for source, rows in zip(self._sources, (x, y), strict=True):
            source.read(rows)

    def _finish(self) -> None:
        for source in self._sources:
            source.finish()

    def close(self) -> None:
        """Close the files."""
        for source in self._sources:
            source.close()


class _TableReader(_Reader):
    """Read a table."""

    def __init__(self, shards: Shards, shard: Shard) -> None:
        super().__init__(shards, shard)
        self._table = TableRows(self._paths[0])

    def _fill(self, x: Array, y: Int64) -> None:
        self._table.read(x, y)

    def _finish(self) -> None:
        if self._table.next_batch() is not None:
            raise DataError(f"{self._paths[0]}: must end after its rows; got more: write the shards again")

    def close(self) -> None:
        """Close the file."""
        self._table.close()


# -- folders ---------------------------------------------------------------------------------------------------


def parts_of(folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the parts that ``fastdigits shard`` wrote into a folder: "train" and "test"; empty if it wrote none."""
    paths = {name: Path(folder, name) for name in ("train", "test")} if "\0" not in os.fspath(folder) else {}
    return {name: path for name, path in paths.items() if (path / DESCRIPTION).is_file()}


def folder_of(path: Path) -> Path:
    """Return a folder of shards; DataError if it is none, or if it holds folders of parts."""
    if not path.is_dir():
        what = "a file" if path.exists() else "nothing of this name"
        raise DataError(f"{path}: must be a folder of shards; got {what}: make one with fastdigits shard")
    if (parts := parts_of(path)) and not (path / DESCRIPTION).exists():
        raise DataError(
            f"{path}: must be a folder of shards; got the folder of {' and '.join(parts)}: name one of them"
        )
    return path
