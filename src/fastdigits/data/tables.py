"""Read tables: CSV files with one image per line, with labels or without."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import atomic
from ..core.arrays import Array
from ..errors import DataError
from .labels import MOST_CLASSES, TOO_MANY, is_missing, is_number, plain_number, read_label
from .packing import check_packing

CSV_ENDINGS = (".csv", ".csv.gz")
MOST_LINE = 1 << 20  # characters: images of about 500 × 500
PIECE, A_SECONDS_TEXT = 1 << 18, 1 << 22  # bytes
_LABEL_NAMES = (
    "label",
    "target",
    "class",
    "y",
    "labels",
    "targets",
    "digit",
)  # the first that occurs is taken
_INDEX_NAME = re.compile(
    r"|idx?|index|image_?id|row|unnamed: \d+"
)  # what pandas and Kaggle put before the pixels
_SAMPLE = 200  # lines that show the range of the pixels
# The range of pixels tells them from labels only if it is wider than what labels of few classes have
_WIDE, _NEAR = 15, 0.75


@dataclass(frozen=True, eq=False)
class Table:
    """Images of a table, and their labels if it has them.

    Attributes
    ----------
    x : ndarray, (n, d) uint8 or float32
    names : list of str
        The names of its columns; none without a heading.
    y : ndarray, (n,) object, or None
        The labels as text.
    label_column : str, int or None
        Where the labels stand, such as another table of this kind may be asked for.
    note : str
        Which columns and lines were taken for what, where the heading leaves that open.
    """

    x: Array
    names: list[str]
    y: Array | None
    label_column: str | int | None
    note: str


@dataclass(frozen=True)
class _Layout:
    """How the lines of a table are built."""

    delimiter: str
    before: int  # lines before the first image
    names: list[str]  # of the columns; none without a heading
    first: list[str]  # fields of the first image

    @property
    def numbered(self) -> bool:
        """Whether the heading numbers the columns instead of naming them."""
        return bool(self.names) and _counts_up(self.names)


def read_table(
    path: Path, label_column: str | int | None = None, *, width: int | None = None, needs_labels: bool = False
) -> Table:
    """Read one image per line from a CSV, as Kaggle's digit recogniser has it: label, pixel0 … pixel783.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``; commas, semicolons or tabs.
    label_column : str or int, optional
        The column of labels: its name in the heading, ``"first"``, ``"last"``, or its number, from 0 on or from -1
        back. If it is not given, the heading decides: the column named ``label``, else ``target``, ``class``, ``y``,
        ``labels``, ``targets`` or ``digit``. Without such a name the table has no labels. Without a heading, labels are
        words, or stand first or last, if the values leave no doubt which.
    width : int, optional
        Pixels per image. A table that has as many columns has no labels, unless its heading names them.
    needs_labels : bool, default False
        Whether to refuse a table without labels.

    Raises
    ------
    DataError
        If the column of labels is in doubt, if a label is missing, or if a line does not fit.
    """
    layout = _layout(path)
    label, left_out, note = _roles(path, layout, label_column, width, needs_labels)
    count = len(layout.names or layout.first)
    pixels = [place for place in range(count) if place != label and place not in left_out]
    values, words = _values(path, layout, label, left_out)
    if not pixels or values.shape[1] != count:
        raise DataError(
            f"{path}: must have a label and pixels on each line, as many fields as the heading; got "
            f"{count:,} in the heading, {len(pixels):,} of them pixels, and {values.shape[1]:,} on each line"
        )
    x = _columns_of(values, pixels)
    _check_finite(path, layout, x)
    names = [layout.names[place] for place in pixels] if layout.names else []
    if label is None:
        return Table(x, names, None, None, note)
    y = np.array(words, object)[values[:, label].astype(np.int64)]
    return Table(x, names, y, layout.names[label] if layout.names else label, note)


# -- lines ---------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a text, packed or not; DataError where they are longer or more than those of a table.

    ``number`` is that of the line that was given last, the first being 1.
    """

    def __init__(self, path: Path, change: Callable[[str, int], str] | None = None) -> None:
        self.number = 0
        self._path = path
        self._change = change

    def __iter__(self) -> Iterator[str]:
        total = checked = 0
        with atomic.open_regular(self._path) as packed:
            size = os.fstat(packed.fileno()).st_size
            plain = gzip.GzipFile(fileobj=packed) if self._path.suffix.lower() == ".gz" else packed
            file = io.TextIOWrapper(plain, encoding="utf-8-sig")
            while line := file.readline(MOST_LINE + 1):
                total += len(line)
                if len(line) > MOST_LINE:
                    raise DataError(
                        f"{self._path}: a line must have at most {MOST_LINE:,} characters; got more"
                    )
                if total > checked + PIECE:  # not for each line: that takes as long as reading it
                    check_packing(f"{self._path}:", min(size, packed.tell()), total, A_SECONDS_TEXT)
                    checked = total
                self.number += 1
                yield line if self._change is None else self._change(line, self.number)

    def after(self, count: int) -> Iterator[str]:
        """Return the lines behind the first ``count``."""
        lines = iter(self)
        for _ in range(count):
            next(lines, None)
        return lines


def _layout(path: Path) -> _Layout:
    """Return how the table is built, from its first lines."""
    start: list[tuple[int, str]] = []
    marked = ""
    try:
        lines = _Lines(path)
        for line in lines:
            text = line.strip("\r\n")
            if not start and not marked and (found := re.fullmatch(r'"?sep=([,;\t])"?', text)):
                marked = found[1]  # Excel's
            elif text.strip():
                start.append((lines.number, text))
            if len(start) == 2:
                break
        first, second = (start[place][1] if place < len(start) else "" for place in (0, 1))
        delimiter = marked or _delimiter(first, second or first)
        fields, others = _fields(first, delimiter), _fields(second, delimiter)
    except DataError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: must be a text file in UTF-8; got: {error.reason}: save it as CSV in UTF-8"
        ) from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: must be a text file that can be read; got: {reason}") from error
    if len(fields) < 2:
        raise DataError(
            f"{path}: must have a label and pixels on each line, with commas between them; got {first[:40].strip()!r}"
        )
    if _is_heading(fields, others):
        return _Layout(delimiter, start[0][0], fields, others)
    return _Layout(delimiter, start[0][0] - 1, [], fields)


def _delimiter(first: str, second: str) -> str:
    """Return what separates the fields: both lines have as many; a comma may stand within numbers."""
    counts = {one: (len(_fields(first, one)), len(_fields(second, one))) for one in "\t;," if one in first}
    fitting = [one for one, (count, other) in counts.items() if count == other > 1]
    return fitting[0] if fitting else max(counts or ",", key=lambda one: counts.get(one, (0, 0))[0])


def _fields(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]


def _is_heading(fields: list[str], others: list[str]) -> bool:
    """Return whether a line names columns: an image has one word at most, its label."""
    words = _words(fields)
    if len(words) == 1 and fields[words[0]].lower() == "y" and words == _words(others):
        return False  # labels may be y and n
    return (
        len(words) > 1 or any(fields[place].lower() in _LABEL_NAMES for place in words) or _counts_up(fields)
    )


def _words(fields: list[str]) -> list[int]:
    """Return the places of the fields that are words: no numbers, and nothing that stands for a missing one."""
    return [
        place
        for place, field in enumerate(fields)
        if not is_missing(field) and not is_number(field.replace(",", "."))
    ]


def _counts_up(fields: list[str]) -> bool:
    """Return whether a line numbers columns, as pandas writes them if they have no names: 0, 1, 2, …"""
    numbers = [field for field in fields if is_number(field)]
    if len(fields) - len(numbers) > 1 or len(numbers) < 3:
        return False
    # From 1 on, as R and spreadsheets count, only if no image can be meant.
    starts = (0, 1) if len(numbers) >= 10 else (0,)
    return any(numbers == [str(start + place) for place in range(len(numbers))] for start in starts)


# -- what the columns are ------------------------------------------------------------------------------------


def _roles(
    path: Path, layout: _Layout, label_column: str | int | None, width: int | None, needs_labels: bool
) -> tuple[int | None, list[int], str]:
    """Return the column of labels, None without one, the columns that are neither label nor pixel, and a note."""
    columns = layout.names or [""] * len(layout.first)
    left_out = [place for place, name in enumerate(layout.names) if _INDEX_NAME.fullmatch(name.lower())]
    fits = len(columns) - len(left_out) == width
    named = _named(layout.names, path) if label_column is None else None
    note: list[str] = []
    label: int | None
    if label_column is not None:
        label = _asked_for(label_column, layout, path, needs_labels or (width is not None and not fits))
        label = None if fits and label_column not in layout.names else label
        left_out = [place for place in left_out if place != label]
    elif named is not None:
        label = named
        if columns[label].lower() != "label":
            note.append(f"labels: column {_place(label, columns)}")
    elif layout.names and not layout.numbered:
        label = None
        if needs_labels:
            raise DataError(
                f"{path}: must have a column of labels, named label, target, class or y; got {len(columns):,} columns, "
                f"{columns[0]} … {columns[-1]}: name it with --label-column (label_column), or, if the images have no "
                f"labels, read them with: fastdigits predict {path}"
            )
    else:
        if layout.numbered:
            numbers = [name for name in layout.names if name.isdecimal()]
            note.append(f"the first line, {', '.join(numbers[:3])}, …, is a heading")
        label = None
        if not fits:
            label, rows = _found(path, layout, left_out)
            left_out += rows
            note.append(f"labels: column {_place(label, columns)}")
    if left_out:
        note.append(f"left out: column {', '.join(_place(place, columns) for place in left_out)}")
    return label, left_out, "; ".join(note)


def _place(place: int, columns: list[str]) -> str:
    """Return a column as a note names it."""
    if (
        place < len(columns) and columns[place]
    ):  # lines may be longer than the heading, which is refused later
        return repr(columns[place][:40])
    return {0: "0, the first", len(columns) - 1: f"{place}, the last"}.get(place, f"{place}, counted from 0")


def _asked_for(column: str | int, layout: _Layout, path: Path, needs_labels: bool) -> int | None:
    """Return the place of the column that the caller names; None where it may be missing, and is."""
    names, count = layout.names, len(layout.names or layout.first)
    text = str(column).strip()
    for fits in (names, [name.lower() for name in names]):
        wanted = text if fits is names else text.lower()
        if fits.count(wanted) > 1:
            raise DataError(
                f"{path}: the column of labels must have a name of its own; got {wanted!r} several times"
            )
        if wanted in fits:
            return fits.index(wanted)
    place = {"first": 0, "last": count - 1}.get(text.lower())
    if place is None and re.fullmatch("-?[0-9]{1,9}", text):
        place = int(text) + (count if text.startswith("-") else 0)
    if place is None and names and not needs_labels:
        return None
    if place is None or not 0 <= place < count:
        got = f"{', '.join(names[:3])} … {names[-1]}" if names else "no heading"
        raise DataError(
            f"{path}: the column of labels must be a name in the heading, first, last, or a number from 0 to "
            f"{count - 1}; got {text!r} for {count:,} columns, {got}"
        )
    return place


def _named(names: list[str], path: Path) -> int | None:
    """Return the place of the column that its name makes the labels; None if there is none."""
    lower = [name.lower() for name in names]
    found = [name for name in _LABEL_NAMES if name in lower]
    if not found:
        return None
    doubt = found[:2] if found[0] == "y" and "x" in lower and len(found) > 1 else []
    if doubt or lower.count(found[0]) > 1:
        raise DataError(
            f"{path}: must have one column of labels; got {' and '.join(doubt or [found[0]] * 2)}: name it with "
            "--label-column"
        )
    return lower.index(found[0])


def _found(path: Path, layout: _Layout, left_out: list[int]) -> tuple[int, list[int]]:
    """Return the place of the labels where no name tells, and the column of row numbers, if the first is one."""
    word = [place for place in _words(layout.first) if place not in left_out]
    if len(word) == 1:
        return word[0], []
    begin = 1 if left_out == [0] else 0
    last = len(layout.first) - 1
    seen, n, largest, rows = _ends(path, layout, (begin, begin + 1, last))
    counted = [begin] if rows and last > begin + 1 else []
    first = begin + len(counted)
    one, other = (_Column.of(seen[place], n, largest) for place in (first, last))
    if one.possible and one.beside(other):
        return first, counted
    if other.possible and (not one.possible or (one.on_scale and not other.on_scale and other.dense)):
        return last, counted
    what = "both may be it" if one.possible and other.possible else "neither can be it"
    examples = " and ".join(repr(next(iter(seen[place]), "")[:30]) for place in (first, last))
    raise DataError(
        f"{path}: must have its labels in the first or the last column if no heading names them; got values by which "
        f"{what}, such as {examples}: say --label-column first or last, or the column's number from 0 on"
    )


@dataclass(frozen=True)
class _Column:
    """What the values of a column tell of whether it has labels."""

    possible: bool  # words, or whole numbers of which each occurs twice on average
    dense: bool  # from 0 on, most numbers occur
    on_scale: bool  # it reaches as far as the pixels

    @classmethod
    def of(cls, seen: Counter[str], n: int, largest: float) -> _Column:
        present = [text for text in seen if not is_missing(text)]
        if any(not is_number(text) for text in present):
            return cls(True, True, False)
        numbers = {plain_number(text) for text in present}
        known = {number for number in numbers if number is not None and number < MOST_CLASSES}
        most = max(known, default=0)
        possible = known == numbers and 2 <= len(known) <= min(n / 2, MOST_CLASSES)
        on_scale = (largest >= _WIDE and most > _NEAR * largest) or most == largest == 1
        return cls(possible, possible and 2 * len(known) > most, on_scale)

    def beside(self, last: _Column) -> bool:
        """Return whether this, the first column, has the labels and not the last one."""
        if not last.possible or (last.on_scale and not self.on_scale):
            return True
        return self.dense and not last.dense and not self.on_scale


def _ends(
    path: Path, layout: _Layout, places: tuple[int, int, int]
) -> tuple[dict[int, Counter[str]], int, float, bool]:
    """Return how often each text occurs in the columns at the ends, the lines, the largest pixel, and whether the
    first column counts the lines."""
    begin, _, last = places
    seen: dict[int, Counter[str]] = {place: Counter() for place in places}
    n, largest, starts = 0, 0.0, {0, 1}
    for line in _rows(path, layout):
        head = [text.strip(' "\r\n') for text in line.split(layout.delimiter, begin + 2)]
        texts = [*head[begin : begin + 2], line.rpartition(layout.delimiter)[2].strip(' "\r\n')]
        if layout.delimiter != ",":
            texts = [text.replace(",", ".") for text in texts]
        for place, text in zip((begin, begin + 1, last), texts, strict=False):
            if len(seen[place]) <= MOST_CLASSES:
                seen[place][text] += 1
        starts = {start for start in starts if texts[0] == str(n + start)}
        if n < _SAMPLE:
            middle = line.split(layout.delimiter)[begin + 1 : -1]
            numbers = [float(text) for text in middle if is_number(text)]
            largest = max([largest, *numbers])
        n += 1
    return seen, n, largest, bool(starts) and n > 2


def _rows(path: Path, layout: _Layout) -> Iterator[str]:
    """Yield the lines that have images."""
    try:
        yield from (line for line in _Lines(path).after(layout.before) if line.strip())
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: must be a file that can be read; got: {error}") from error


# -- numbers -------------------------------------------------------------------------------------------------


def _values(path: Path, layout: _Layout, label: int | None, left_out: list[int]) -> tuple[Array, list[str]]:
    """Return all fields as numbers, uint8 or where that is too narrow float32, and the labels that are numbered so."""
    words: dict[str, int] = {}
    problems: list[DataError] = []

    def number(text: str) -> int:
        text = text.strip()
        if text not in words:
            try:
                read_label(_plain_label(text, layout), str(path), f" on line {lines.number}")
                if len(words) == MOST_CLASSES:
                    raise DataError(
                        f"{path}: {TOO_MANY} by line {lines.number}: --label-column names another column"
                    )
            except DataError as error:
                problems.append(error)
                raise
        return words.setdefault(text, len(words))

    converters: dict[int | str, Callable[[str], int]] = {place: lambda text: 0 for place in left_out}
    if label is not None:
        converters[label] = number
    ways: list[tuple[type, Callable[[str, int], str] | None]] = [(np.uint8, None), (np.float32, None)]
    if layout.delimiter != ",":
        ways.append((np.float32, lambda line, place: _with_points(line, place, path, layout, label)))
    reasons = []
    for dtype, change in ways:
        lines = _Lines(path, change)
        try:
            with warnings.catch_warnings():  # a file without lines: NumPy warns, the check below tells
                warnings.simplefilter("ignore", UserWarning)
                warnings.simplefilter("error", DeprecationWarning)  # NumPy 2.0 takes 12.5 for 12
                values: Array = np.loadtxt(
                    lines.after(layout.before), dtype, delimiter=layout.delimiter, ndmin=2,
                    comments=None, quotechar='"', converters=converters,
                )  # fmt: skip
        except DataError:
            raise
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: must be a text file in UTF-8; got: {error.reason}") from error
        except (ValueError, OverflowError, DeprecationWarning) as error:
            if problems:
                raise problems[0] from None
            reason = re.sub(
                r"( to [a-z]\w+)? at row \d+", f" on line {lines.number}", str(error).partition(";")[0]
            )
            reasons.append(reason.rstrip("."))
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: must be a file that can be read; got: {error}") from error
        else:
            if values.size == 0:
                raise DataError(f"{path}: must have at least one image; got a heading only")
            return values, [_plain_label(text, layout) for text in words]
    raise DataError(f"{path}: must have a label and pixels on each line, as many on each; got: {reasons[1]}")


def _plain_label(text: str, layout: _Layout) -> str:
    """Return a label with a point for a decimal comma: ``7,0`` is what pandas writes for 7 with ``decimal=","``."""
    return re.sub(r"(?<=\d),(?=0*$)", ".", text) if layout.delimiter != "," else text


def _with_points(line: str, number: int, path: Path, layout: _Layout, label: int | None) -> str:
    """Return a line with points for decimal commas, its label as it is."""
    if number <= layout.before:
        return line
    fields = line.split(layout.delimiter)
    for place, field in enumerate(fields):
        if place == label or "," not in field:
            continue
        if "." in field:
            raise DataError(
                f"{path}: numbers must have a point or a comma before their decimals, and none between thousands; got "
                f"{field.strip()[:40]!r} on line {number}"
            )
        fields[place] = field.replace(",", ".")
    return layout.delimiter.join(fields)


def _check_finite(path: Path, layout: _Layout, x: Array) -> None:
    if x.dtype == np.uint8 or (np.isfinite(x.min()) and np.isfinite(x.max())):
        return
    row, column = np.argwhere(~np.isfinite(x))[0]
    lines = _Lines(path)
    images = (line for line in lines.after(layout.before) if line.strip())
    for _ in range(row + 1):
        next(images)
    raise DataError(
        f"{path}: pixels must be finite; got {x[row, column]} on line {lines.number}: clean the data first"
    )


def _columns_of(values: Array, places: list[int]) -> Array:
    """Return some columns, without a copy where they lie side by side."""
    if places == list(range(places[0], places[-1] + 1)):
        return values[:, places[0] : places[-1] + 1]
    return values[:, places]
