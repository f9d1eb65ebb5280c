"""Images and labels of a user's own in one file: NumPy's ``.npz``, or a CSV with one image a line."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..inputs import Array

if TYPE_CHECKING:
    from .datasets import Pair

CSV_ENDINGS = (".csv", ".csv.gz")
_IMAGES, _LABELS = ("x", "X", "images", "data", "pixels"), ("y", "labels", "label", "targets", "target")
_LABEL_COLUMNS = {"label", "labels", "class", "target", "y", "digit"}
_INDEX_COLUMNS = {"", "id", "index", "unnamed: 0"}  # what pandas and exports put before the pixels


# What zipfile, its decompressors and NumPy raise on what is no archive of arrays; RuntimeError: one with a password
_UNREADABLE = (
    *(
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        MemoryError,
        OverflowError,
        TypeError,
        KeyError,
        SyntaxError,
    ),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
)
MOST_HEADER = (
    1 << 16
)  # bytes that say what an array is: NumPy reads what is announced, then parses 10,000 at most
MOST_LINE = 1 << 20  # characters: images of about 500 × 500
# Digits as text are packed about 8 : 1. What is packed tighter than 100 : 1 keeps a reader busy for hours with a small
# file, and is told so once more has come of it than a second's work.
USUAL_PACKING, A_SECONDS_TEXT = 100, 1 << 22


def read_npz(path: Path) -> tuple[Pair, Pair | None]:
    """Read images and labels from an ``.npz`` file, and those for testing where it has them.

    Parameters
    ----------
    path : Path
        With ``x_train``, ``y_train``, ``x_test`` and ``y_test``, or ``x`` and ``y``; also ``train_images``,
        ``train_labels`` and so on. Nothing in it is ever unpickled.

    Raises
    ------
    DataError
        If it is no such file, or if an array is missing.
    """
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: must be an .npz file; got a single array: np.savez(path, x=…, y=…)")
            with content:
                train, test, whole = (_pair(content, part, path) for part in ("train", "test", ""))
                names = ", ".join(content.files) or "nothing"
    except DataError:
        raise
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: must be an .npz file of numbers; got: {reason}") from error
    found = train or whole
    if found is None:
        raise DataError(
            f"{path}: must hold x_train and y_train, and x_test and y_test if any, or x and y; got {names}"
        )
    return found, test


def _pair(content: np.lib.npyio.NpzFile, part: str, path: Path) -> Pair | None:
    images, labels = (_named(content, part, names) for names in (_IMAGES, _LABELS))
    if (images is None) != (labels is None):
        has, lacks = ("images", "labels") if labels is None else ("labels", "images")
        raise DataError(
            f"{path}: must hold images and labels; got {part} {has} without {part} {lacks}".replace("  ", " ")
        )
    if images is None or labels is None:
        return None
    for name in (images, labels):
        _check_header(path, name)
    x, y = content[images], content[labels]
    if not (isinstance(x, np.ndarray) and isinstance(y, np.ndarray)):  # a ZIP archive of something else
        raise DataError(f"{path}: {images} and {labels} must be arrays; got other files in a ZIP archive")
    return x, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _check_header(path: Path, name: str) -> None:
    """Raise a DataError if NumPy would read an endless header; what else is wrong with it, NumPy tells."""
    with zipfile.ZipFile(path) as archive:
        member = name if name in archive.namelist() else f"{name}.npy"
        with archive.open(member) as opened:
            start = opened.read(12)
    if start[:6] == b"\x93NUMPY" and start[6:7] > b"\1":
        length = int.from_bytes(start[8:12], "little")
        if length > MOST_HEADER:
            raise DataError(
                f"{path}: {name} must have a header of at most {MOST_HEADER:,} bytes; got {length:,}"
            )


def _named(content: np.lib.npyio.NpzFile, part: str, names: tuple[str, ...]) -> str | None:
    ways = [way for name in names for way in ((f"{name}_{part}", f"{part}_{name}") if part else (name,))]
    return next((way for way in ways if way in content.files), None)


def read_csv(path: Path) -> Pair:
    """Read one image a line from a CSV, as Kaggle's digit recogniser has it: label, pixel0 … pixel783.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``; commas, semicolons or tabs. With a heading, the column ``label`` may be anywhere;
        without one it is the first. Labels are whole numbers or words. A column ``id`` is passed over.

    Returns
    -------
    x : ndarray, (n, d) uint8 or float32
        uint8 where all are whole numbers from 0 to 255.
    y : ndarray, (n,) str

    Raises
    ------
    DataError
        If there is no column of labels, or if a line does not fit.
    """
    columns, delimiter, heading = _columns(path)
    label = columns.index("label") if "label" in columns else None
    if label is None:
        raise DataError(
            f"{path}: must have a column of labels, named label; got {len(columns):,} columns, "
            f"{columns[0]} … {columns[-1]}: a file without labels is for predictions"
        )
    words: dict[str, int] = {}
    converters: dict[int | str, Callable[[str], int]] = {
        place: lambda text: 0 for place, name in enumerate(columns) if name in _INDEX_COLUMNS
    }
    converters[label] = lambda text: words.setdefault(text.strip(), len(words))
    values = _numbers(path, delimiter, heading, converters)
    pixels = [place for place, name in enumerate(columns) if place != label and name not in _INDEX_COLUMNS]
    if not pixels or values.shape[1] != len(columns):
        raise DataError(
            f"{path}: must have a label and pixels on each line, as many fields as the heading; got "
            f"{len(columns):,} in the heading, {len(pixels):,} of them pixels, and {values.shape[1]:,} on each line"
        )
    return _columns_of(values, pixels), np.array(list(words))[values[:, label].astype(np.int64)]


def _numbers(
    path: Path, delimiter: str, heading: bool, converters: dict[int | str, Callable[[str], int]]
) -> Array:
    """Return the lines as uint8, or as float32 where that is too narrow; converters number what is no number."""
    reason = ""
    for dtype in (np.dtype(np.uint8), np.dtype(np.float32)):
        try:
            with warnings.catch_warnings():  # a file without lines: NumPy warns, the check below tells
                warnings.simplefilter("ignore", UserWarning)
                values: Array = np.loadtxt(
                    _lines(path), dtype, delimiter=delimiter, skiprows=int(heading), ndmin=2,
                    comments=None, quotechar='"', converters=converters,
                )  # fmt: skip
        except DataError:
            raise
        except (ValueError, OverflowError) as error:
            reason = _on_line(str(error), heading)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: must be a file that can be read; got: {error}") from error
        else:
            if values.size == 0:
                raise DataError(f"{path}: must have at least one image; got a heading only")
            return values
    raise DataError(f"{path}: must have a label and pixels on each line, as many on each; got: {reason}")


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text, packed or not; DataError where they are longer or more than a table's."""
    total = 0
    with open(path, "rb") as packed:
        plain = gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed
        file = io.TextIOWrapper(plain, encoding="utf-8-sig")
        while line := file.readline(MOST_LINE + 1):
            total += len(line)
            if len(line) > MOST_LINE:
                raise DataError(f"{path}: a line must have at most {MOST_LINE:,} characters; got more")
            if total > A_SECONDS_TEXT and total > USUAL_PACKING * packed.tell():
                raise DataError(
                    f"{path}: must be packed at most {USUAL_PACKING} : 1, as no table of digits is packed tighter; "
                    "got more text than that: unpack it first"
                )
            yield line


def _on_line(reason: str, heading: bool) -> str:
    """Return NumPy's reason with the number of the line in the file, the first being 1."""
    reason = re.sub(r" to [a-z]\w+ at row", " at row", reason.partition(";")[0].rstrip("."))
    first = heading + (0 if "number of columns" in reason else 1)  # NumPy counts from 1 there, else from 0
    return re.sub(r"at row (\d+)", lambda found: f"on line {int(found[1]) + first}", reason)


def _columns_of(values: Array, places: list[int]) -> Array:
    """Return some columns, without a copy where they lie side by side."""
    if places == list(range(places[0], places[-1] + 1)):
        return values[:, places[0] : places[-1] + 1]
    return values[:, places]


def _columns(path: Path) -> tuple[list[str], str, bool]:
    """Return the columns' names, what separates them, and whether the first line is a heading."""
    try:
        line = next(_lines(path), "")
        delimiter = max(",;\t", key=line.count)
        fields = [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: must be a text file that can be read; got: {error}") from error
    if len(fields) < 2:
        raise DataError(
            f"{path}: must have a label and pixels on each line, with commas between them; "
            f"got {line[:40].strip()!r}"
        )
    lower = [field.lower() for field in fields]
    if not (set(lower) & _LABEL_COLUMNS or not any(map(_is_number, fields))):
        return ["label", *(f"pixel{place}" for place in range(len(fields) - 1))], delimiter, False
    return ["label" if name in _LABEL_COLUMNS else name for name in lower], delimiter, True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
