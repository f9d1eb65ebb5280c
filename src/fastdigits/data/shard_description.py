"""Describe shards: what is known of their files without reading them, from `shards.json` or by reading them once."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..core import atomic
from ..core.arrays import Int64
from ..core.schema import integer, number, parse, validate
from ..core.validation import checked_class_names, checked_names
from ..errors import DataError
from .idx_folder import IDX_NAMES
from .labels import MOST_CLASSES, MOST_SIZE, Numbers
from .shard_files import TABLES, ArrayRows, TableRows, array_header, check_shape, checksum, status, unreadable

DESCRIPTION = "shards.json"
FORMAT, VERSION = "fastdigits-shards", 1
MOST_DESCRIPTION = 1 << 28  # bytes: a million shards
# How the name of a file of labels follows from that of its images
_PARTNERS = (("images", "labels"), ("idx3", "idx1"))
# Endings of names that differ for the same content, and words in names that say which part of the data a file holds
_ENDINGS = re.compile(r"([-.]idx3-ubyte|\.(npy|parquet|arrows?|feather))?(\.gz)?$", re.IGNORECASE)
_PARTS = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev"},
    "test": {"test", "testing", "t10k"},
}


@dataclass(frozen=True)
class ShardFile:
    """A file of a shard, as it was when it was described."""

    name: str
    size: int
    checksum: str


@dataclass(frozen=True)
class Shard:
    """Some of the images: a file of images and a file of labels, or one table of both."""

    rows: int
    files: tuple[ShardFile, ...]


@dataclass(frozen=True)
class Description:
    """What `shards.json` holds: everything that is known of the shards without reading them."""

    image_shape: tuple[int, int]
    dtype: str
    low: float
    high: float
    whole: bool
    class_counts: tuple[int, ...]
    class_names: tuple[str, ...]
    shards: tuple[Shard, ...]
    column_names: tuple[str, ...] = ()  # of a table; in the file only if they are known

    def to_json(self) -> bytes:
        """Return the content of the file."""
        content = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        if not self.column_names:
            del content["column_names"]
        return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


# -- the file --------------------------------------------------------------------------------------------------


def read_description(folder: Path) -> Description:
    """Read and check the description of a folder of shards.

    Raises
    ------
    DataError
        If it cannot be read, or if an entry is not as `Shards.save` writes it.
    """
    path = folder / DESCRIPTION
    try:
        with atomic.open_regular(path) as file:
            text = file.read(MOST_DESCRIPTION + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        if len(text) > MOST_DESCRIPTION:
            raise ValueError(f"at most {MOST_DESCRIPTION:,} bytes; got more")
        return _checked(parse(text.decode()))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: must describe shards; got: {error}: write it again with fastdigits shard --describe {folder}"
        ) from error


def write_description(folder: Path, description: Description) -> Path:
    """Write the description of a folder of shards; return the path of the file."""
    path = folder / DESCRIPTION
    atomic.write(path, description.to_json(), example=DESCRIPTION)
    return path


def _checked(content: object) -> Description:
    plain = dict.fromkeys(("format", "version", "dtype", "whole", "class_names"), _same)
    lists = dict.fromkeys(("image_shape", "class_counts", "shards", "column_names"), _list)
    if isinstance(content, dict):
        content = {"column_names": [], **content}
    found = validate(content, {**plain, **lists, "low": number(), "high": number()}, "shards.json")
    if found["format"] != FORMAT or (found["version"] is not VERSION and found["version"] != VERSION):
        raise ValueError(f"format and version must be {FORMAT!r} and {VERSION}; got {found['format']!r:.80} and "
                         f"{found['version']!r:.80}: update fastdigits")  # fmt: skip
    if found["dtype"] not in ("uint8", "float32"):
        raise ValueError(f"dtype must be 'uint8' or 'float32'; got {found['dtype']!r:.80}")
    if not isinstance(found["whole"], bool):
        raise TypeError(f"whole must be true or false; got {found['whole']!r:.80}")
    if not found["low"] <= found["high"]:
        raise ValueError(f"low must be at most high; got {found['low']} and {found['high']}")
    if found["whole"] and not 0 <= found["low"] <= found["high"] <= 255:
        raise ValueError(f"whole numbers must lie within 0 … 255; got {found['low']} to {found['high']}")
    shape = tuple(integer(1)(side, "image_shape", "shards.json") for side in found["image_shape"])
    counts = tuple(integer()(count, "class_counts", "shards.json") for count in found["class_counts"])
    height, width = checked_shape(shape, "image_shape")
    if not 1 <= len(counts) <= MOST_CLASSES:
        raise ValueError(f"class_counts must have 1 to {MOST_CLASSES:,} entries; got {len(counts):,}")
    names = checked_class_names(_list(found["class_names"], "class_names", ""), len(counts), "class_names")
    columns = checked_names(found["column_names"], height * width, "column", "column_names")
    shards = tuple(_checked_shard(one) for one in found["shards"])
    total = sum(shard.rows for shard in shards)
    if total != sum(counts) or not shards:
        raise ValueError(
            f"class_counts must add up to the images of all shards, {total:,}; got {sum(counts):,}"
        )
    return Description(
        (height, width),
        found["dtype"],
        found["low"],
        found["high"],
        found["whole"],
        counts,
        names,
        shards,
        columns,
    )


def checked_shape(shape: tuple[int, ...], subject: str) -> tuple[int, int]:
    """Return the shape of images; DataError unless it is height and width of as many pixels as an image may have."""
    if len(shape) != 2 or not 1 <= math.prod(shape) <= MOST_SIZE:
        raise DataError(
            f"{subject}: images must have height and width of 1 to {MOST_SIZE:,} pixels; got {shape!s:.80}"
        )
    return shape[0], shape[1]


def _checked_shard(content: object) -> Shard:
    shard = validate(content, {"rows": integer(1), "files": _list}, "a shard")
    files = tuple(
        ShardFile(**validate(one, {"name": _file_name, "size": integer(), "checksum": _checksum}, "a file"))
        for one in shard["files"]
    )
    if len(files) not in (1, 2):
        raise ValueError(f"a shard must have one or two files; got {len(files)}")
    if len(files) == 1 and Path(files[0].name).suffix.lower() not in TABLES:
        raise ValueError(f"a shard of one file must be a table; got {files[0].name!r:.80}")
    return Shard(shard["rows"], files)


def _checksum(value: object, name: str, subject: str) -> str:
    if not isinstance(value, str) or len(value) != 8 or not {*value} <= {*"0123456789abcdef"}:
        raise ValueError(f"a checksum must be 8 hexadecimal digits; got {value!r:.80}")
    return value


def _same(value: object, name: str, subject: str) -> Any:
    return value


def _list(value: object, name: str, subject: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list; got {value!r:.80}")
    return value


def _file_name(value: object, name: str, subject: str) -> str:
    """Return the name of a file inside the folder of the description."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"the name of a file must be a text; got {value!r:.80}")
    parts = value.replace("\\", "/").split("/")
    if Path(value).is_absolute() or Path(value).drive or not all(parts) or {".", ".."} & {*parts}:
        raise ValueError(f"the name of a file must lead to a file inside the folder; got {value!r:.80}")
    return value


# -- files without a description ---------------------------------------------------------------------------


def find_files(folder: Path) -> list[tuple[Path, ...]]:
    """Return the files of each shard in a folder, in the order of their names."""
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from error
    found = [
        Path(name)
        for name in names
        if Path(name).suffix.lower() in TABLES or _labels_of(Path(name)) is not None
    ]
    if not found:
        raise DataError(
            f"{folder}: must hold {DESCRIPTION}, or files of images: names with 'images' in them and others with "
            "'labels', .parquet or .arrow; got none of them: make shards with fastdigits shard"
        )
    _check_names(folder, [path.name for path in found])
    return pairs(found, folder)


def holds_part(folder: Path) -> bool:
    """Return whether a folder holds shards of one part, with or without a description.

    IDX files with MNIST's names do not count: they are a whole data set.
    """
    if not folder.is_dir():
        return False
    names = os.listdir(folder)
    tables = any(Path(name).suffix.lower() in TABLES for name in names)
    whole = {name for known in IDX_NAMES.values() for name in known}
    arrays = (
        name for name in names if cast(re.Match[str], _ENDINGS.search(name))[1] and _labels_of(Path(name))
    )
    return DESCRIPTION in names or tables or any(name.removesuffix(".gz") not in whole for name in arrays)


def _check_names(folder: Path, names: list[str]) -> None:
    """Raise a DataError if the names of files show that they hold the same images twice, or images of two parts."""
    stems: dict[str, str] = {}
    parts: dict[str, str] = {}
    for name in names:
        other = stems.setdefault(_ENDINGS.sub("", name), name)
        if other != name:
            raise DataError(
                f"{folder}: must hold each image once; got {other} and {name}, the same but for their endings: remove "
                "one of them, or pass the paths of the files to use"
            )
        words = re.split(r"[^a-z0-9]+", name.lower())
        parts.setdefault(next((part for part, known in _PARTS.items() if known & {*words}), ""), name)
    parts.pop("", None)
    if len(parts) > 1:
        raise DataError(
            f"{folder}: must hold the files of one part of the data; got those of {' and '.join(parts)}, such as "
            f"{' and '.join(parts.values())}: move them into a folder for each part, or pass the paths of one part"
        )


def _labels_of(images: Path) -> Path | None:
    """Return the path of the labels that belong to a file of images; None if its name does not tell."""
    name = images.name
    if _PARTNERS[0][0] not in name:
        return None
    for of_images, of_labels in _PARTNERS:
        name = name.replace(of_images, of_labels)
    return images.with_name(name)


def pairs(source: Iterable[Any], folder: Path = Path()) -> list[tuple[Path, ...]]:
    """Return the files of each shard for paths, or pairs of paths."""
    if not isinstance(source, Iterable):
        raise TypeError(f"Shards: source must be a folder or paths; got {source!r:.80}")
    found: list[tuple[Path, ...]] = []
    for one in source:
        if isinstance(one, tuple | list) and len(one) == 2:
            found.append(tuple(map(Path, one)))
        elif not isinstance(one, str | os.PathLike):
            raise TypeError(f"Shards: each source must be a path, or a pair of paths; got {one!r:.80}")
        elif Path(one).suffix.lower() in TABLES:
            found.append((Path(one),))
        elif (labels := _labels_of(Path(one))) is not None:
            found.append((Path(one), labels))
        else:
            raise DataError(
                f"{one}: must be a Parquet or Arrow file, or have 'images' in its name, so that its labels can be "
                "found: pass a pair of paths, (images, labels)"
            )
    if not found:
        raise ValueError("Shards: source must name at least one file; got none")
    for files in found:
        for path in files:
            try:
                os.fspath(path).encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{os.fspath(path)!a}: must be a name in UTF-8, for {DESCRIPTION}; got other bytes: rename it"
                ) from error
            status(folder / path)
    return found


def describe(folder: Path, files: Sequence[tuple[Path, ...]], names: tuple[str, ...] = ()) -> Description:
    """Read all files and describe them."""
    numbers, counts = Numbers(), np.zeros(0, np.int64)
    shards, shape, first = [], None, ""
    for paths in files:
        whole = tuple(folder / path for path in paths)
        own_shape, dtype, rows = _kind(whole)
        if rows == 0:
            raise DataError(f"{whole[0]}: must hold at least one image; got none: omit the file")
        shape = shape or own_shape
        first = first or dtype
        if own_shape != shape or dtype != first:
            raise DataError(
                f"{whole[0]}: images must be {first} of shape {shape}, as in the files before; "
                f"got {dtype} of shape {own_shape}: write the shards again"
            )
        counts = _read_through(whole, rows, own_shape, dtype, numbers, counts)
        files_of = (
            ShardFile(path.as_posix(), status(at)[2], checksum(at))
            for path, at in zip(paths, whole, strict=True)
        )
        shards.append(Shard(rows, tuple(files_of)))
    return Description(
        cast(tuple[int, int], shape), first, numbers.low, numbers.high, numbers.whole,
        tuple(counts.tolist()), names, tuple(shards),
    )  # fmt: skip


def _kind(paths: tuple[Path, ...]) -> tuple[tuple[int, ...], str, int]:
    """Return image shape, dtype and rows of a shard."""
    if len(paths) == 1:
        table = TableRows(paths[0])
        try:
            batch = table.next_batch()
            if batch is None:
                return (0,), "uint8", 0
            return (
                image_shape(table.shape(batch[0].shape[1]), paths[0]),
                stored_dtype(batch[0].dtype, paths[0]),
                table.rows,
            )
        finally:
            table.close()
    dtype, shape, _, _ = array_header(paths[0])
    if len(shape) not in (2, 3):
        raise DataError(f"{paths[0]}: images must be (n, height, width) or (n, d); got {shape}")
    labels = check_shape(paths[1], shape[:1])
    if labels.kind not in "ui":
        raise DataError(f"{paths[1]}: labels must be integers; got {labels}: y.astype(np.int64)")
    return image_shape(shape[1:], paths[0]), stored_dtype(dtype, paths[0]), shape[0]


def stored_dtype(dtype: np.dtype[Any], path: Path) -> str:
    """Return in which dtype images of a file are read: "uint8" or "float32"."""
    if dtype.kind not in "uif":
        raise DataError(f"{path}: images must be numbers; got {dtype}")
    return "uint8" if dtype == np.uint8 else "float32"


def image_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int]:
    """Return height and width; a row is a square image, or one of height 1."""
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        shape = (side, side) if side * side == shape[0] else (1, shape[0])
    return checked_shape(shape, f"{path}")


def _read_through(
    paths: tuple[Path, ...], rows: int, shape: tuple[int, ...], dtype: str, numbers: Numbers, counts: Int64
) -> Int64:
    """Read a shard; return the images of each class so far."""
    sources: list[Any] = [TableRows(*paths)] if len(paths) == 1 else [ArrayRows(path) for path in paths]
    x, y = np.empty((min(rows, 4096), math.prod(shape)), dtype), np.empty(min(rows, 4096), np.int64)
    try:
        for start in range(0, rows, len(y)):
            count = min(len(y), rows - start)
            if len(sources) == 1:
                sources[0].read(x[:count], y[:count])
            else:
                sources[0].read(x[:count])
                sources[1].read(y[:count])
            numbers.add(x[:count], f"{paths[0]}")
            if y[:count].min() < 0 or y[:count].max() >= MOST_CLASSES:
                raise DataError(
                    f"{paths[-1]}: labels must lie within 0 … {MOST_CLASSES - 1:,}; got {y[:count].min()} to "
                    f"{y[:count].max()}: number the classes from 0 on"
                )
            found = np.bincount(y[:count], minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        if len(sources) == 2:
            for source in sources:
                source.finish()
        return counts
    finally:
        for source in sources:
            source.close()
