"""Write shards: images in a random order, cut into files, with their description."""

from __future__ import annotations

import contextlib
import functools
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core import atomic
from ..core.arrays import Array, Int64
from ..core.seeding import SHARDS, stream
from .labels import Numbers
from .shard_description import Description, Shard, ShardFile, checked_shape, write_description
from .shard_files import SHAPE, Checksum, arrow, checksum
from .shards import Shards

KINDS = ("npy", "idx", "parquet", "arrow")
ROWS_PER_SHARD = 100_000
MOST_LOADED = 1 << 30  # bytes of shards to load before they are written in another order
_LEFT = ".shards-"  # the beginning of the names of folders that are not complete


@dataclass(frozen=True)
class Source:
    """Images to write, which need not be in memory.

    Attributes
    ----------
    rows : int
        Number of images.
    take : callable
        Returns images, (m, height, width) uint8 or float32, and labels, (m,), for an array of their numbers.
    image_shape : (int, int)
    classes : int
    class_names : tuple of str
        Empty if numbers name the classes.
    column_names : tuple of str
        Of a table; empty if they are unknown.
    """

    rows: int
    take: Callable[[Int64], tuple[Array, Array]]
    image_shape: tuple[int, int]
    classes: int
    class_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()


def from_shards(shards: Shards) -> Source:
    """Return the images of shards; those that are too large to load are read once for each shard to write."""
    rest = shards.image_shape, shards.classes, shards.class_names, shards.column_names
    if len(shards) * shards.width * shards.dtype.itemsize > MOST_LOADED:
        return Source(len(shards), functools.partial(_pick, shards), *rest)
    x, y = shards.load()
    return Source(len(shards), lambda rows: (x[rows], y[rows]), *rest)


def _pick(shards: Shards, rows: Int64) -> tuple[Array, Array]:
    """Read through all shards; return the images and labels of some rows."""
    x, y = np.empty((len(rows), shards.width), shards.dtype), np.empty(len(rows), np.int64)
    places = np.argsort(rows)
    wanted = rows[places]
    first = 0
    for images, labels in shards.pieces():
        start, stop = np.searchsorted(wanted, (first, first + len(labels)))
        here = wanted[start:stop] - first
        x[places[start:stop]], y[places[start:stop]] = images[here], labels[here]
        first += len(labels)
    return x.reshape(len(rows), *shards.image_shape), y


def check_new(path: Path) -> Path:
    """Return a path without links; FileExistsError if it exists and is not an empty folder.

    What an ended process left in the folder, or beside it, does not count, and is removed.
    """
    target = Path(os.path.realpath(path))
    for place, prefix in ((target, _LEFT), (target.parent, f"{_LEFT}{target.name[:100]}.")):
        for left in place.glob(f"{glob.escape(prefix)}*.tmp"):
            process = left.name[len(prefix) :].removesuffix(".tmp")
            if process.isdecimal() and not atomic.runs(int(process)):
                shutil.rmtree(left, ignore_errors=True)
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(
            f"{path}: must be a new folder; got one that exists: choose another name, or remove it"
        )
    return target


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder whose content is at ``path`` when the block has ended without an error, and nowhere else.

    A new folder is made beside ``path`` and gets its name at the end. An empty one stays, also behind a link or as the
    root of a file system: the new folder is made inside, and its content moves up at the end.

    Raises
    ------
    OSError
        If ``path`` exists and is not an empty folder, or if the folder cannot be made.
    """
    target = check_new(path)
    existed = target.exists()
    name = f"{os.getpid()}.tmp"
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target / f"{_LEFT}{name}" if existed else target.with_name(f"{_LEFT}{target.name[:100]}.{name}")
    new.mkdir()
    try:
        yield new
        if existed:
            for one in sorted(new.iterdir()):
                os.rename(one, target / one.name)
            new.rmdir()
        else:
            os.rename(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def write(
    folder: Path,
    source: Source,
    *,
    rows_per_shard: int = ROWS_PER_SHARD,
    kind: str = "npy",
    seed: int | None = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Description:
    """Write shards into a folder, which must exist, and last their description; return it.

    Parameters
    ----------
    folder : Path
    source : Source
    rows_per_shard : int, default 100000
        Images in each shard; the last one has the rest.
    kind : {"npy", "idx", "parquet", "arrow"}, default "npy"
    seed : int or None, default 0
        Of the order of the images; None keeps their order.
    progress : callable, optional
        Called with the images written so far and all images.

    Raises
    ------
    DataError
        If the images have more pixels than shards may have.
    ImportError
        If pyarrow is needed and not installed.
    OSError
        If a file cannot be written.
    """
    shape = checked_shape(source.image_shape, f"{folder.name}")
    order = np.arange(source.rows) if seed is None else stream(seed, SHARDS).permutation(source.rows)
    numbers, counts = Numbers(), np.zeros(source.classes, np.int64)
    shards: list[Shard] = []
    dtype = ""
    for start in range(0, source.rows, rows_per_shard):
        x, y = source.take(order[start : start + rows_per_shard])
        numbers.add(x, "images")
        counts += np.bincount(y, minlength=source.classes)
        shards.append(Shard(len(y), _write_shard(folder, len(shards), x, y, kind, source.classes)))
        dtype = x.dtype.name
        if progress is not None:
            progress(start + len(y), source.rows)
    description = Description(
        shape, dtype, numbers.low, numbers.high, numbers.whole,
        tuple(counts.tolist()), source.class_names, tuple(shards), source.column_names,
    )  # fmt: skip
    write_description(folder, description)
    return description


def _write_shard(
    folder: Path, number: int, x: Array, y: Array, kind: str, classes: int
) -> tuple[ShardFile, ...]:
    y = y.astype(np.uint8 if classes <= 256 else np.int32)
    if kind in ("parquet", "arrow"):
        return (_write_table(folder / f"shard-{number:05d}.{kind}", x, y, kind),)
    suffixes = (".npy", ".npy") if kind == "npy" else ("-idx3-ubyte", "-idx1-ubyte")
    write_array = _write_npy if kind == "npy" else _write_idx
    return tuple(
        _write_file(folder / f"{name}-{number:05d}{suffix}", array, write_array)
        for name, suffix, array in zip(("images", "labels"), suffixes, (x, y), strict=True)
    )


class _Summed:
    """A binary file, and the checksum of what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.checksum, self.size = file, Checksum(), 0

    def write(self, content: Any) -> int:
        """Write bytes."""
        view = memoryview(content).cast("B")
        self.checksum.update(view)
        self.size += len(view)
        return self._file.write(content)


def _write_file(path: Path, array: Array, write_array: Callable[[Any, Array], None]) -> ShardFile:
    with open(path, "xb") as file:
        summed = _Summed(file)
        write_array(summed, array)
    return ShardFile(path.name, summed.size, summed.checksum.digest())


def _write_npy(file: Any, array: Array) -> None:
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _write_idx(file: Any, array: Array) -> None:
    kinds = {"uint8": 0x08, "int32": 0x0C, "float32": 0x0D}
    file.write(bytes((0, 0, kinds[array.dtype.name], array.ndim)) + np.array(array.shape, ">u4").tobytes())
    file.write(np.ascontiguousarray(array, array.dtype.newbyteorder(">")).data.cast("B"))


def _write_table(path: Path, x: Array, y: Array, kind: str) -> ShardFile:
    pa = arrow()
    width = int(np.prod(x.shape[1:]))
    images = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), width)
    table = pa.table({"image": images, "label": pa.array(y)})
    table = table.replace_schema_metadata({SHAPE: ",".join(map(str, x.shape[1:]))})
    if kind == "parquet":
        pa.parquet.write_table(table, path, compression="zstd", row_group_size=1 << 14)
    else:
        with pa.ipc.new_file(os.fspath(path), table.schema) as file:
            file.write_table(table, max_chunksize=1 << 14)
    return ShardFile(path.name, os.stat(path).st_size, checksum(path))
