"""Read CSV files with one image per line, with or without labels."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import operator
import os
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core import atomic
from ..core.arrays import Array
from ..errors import DataError
from .labels import MOST_CLASSES, TOO_MANY, is_missing, is_number, names_pixel, plain_number, read_label
from .packing import check_packing

CSV_ENDINGS = (".csv", ".csv.gz")
MOST_LINE = 1 << 20  # characters: images of about 500 × 500
PIECE, ALWAYS_ALLOWED = 1 << 18, 1 << 22  # bytes
_LABEL_NAMES = ("label", "target", "class", "y", "labels", "targets", "digit")  # in order of preference
_ID_NAME = re.compile(r"idx?|index|image_?id|row")
_INDEX_NAME = re.compile(rf"|{_ID_NAME.pattern}|unnamed: \d+")  # of pandas and Kaggle, before the pixels
_SHOWN = 5  # names in a message
_SAMPLE = 200  # lines from which the range of the pixels is estimated
# Pixels have a wider range than labels of few classes: at least _WIDE. A column whose largest number is above _NEAR
# times the pixels' largest may be pixels.
_WIDE, _NEAR = 15, 0.75


@dataclass(frozen=True, eq=False)
class Table:
    """The images of a table, and their labels if it has a label column.

    Attributes
    ----------
    x : ndarray, (n, d) uint8 or float32
    names : list of str
        The names of the pixel columns; empty without a heading, or if the heading numbers the columns.
    y : ndarray, (n,) object, or None
        The labels as text.
    label_column : str, int or None
        The name or number of the label column.
    note : str
        The roles of columns and lines that the heading does not define; may be empty.
    """

    x: Array
    names: list[str]
    y: Array | None
    label_column: str | int | None
    note: str


@dataclass(frozen=True)
class _Layout:
    """The format of a table's lines."""

    delimiter: str
    before: int  # lines before the first image
    names: list[str]  # of the columns; empty without a heading
    first: list[str]  # fields of the first image

    @property
    def numbered(self) -> bool:
        """Whether the heading numbers the columns instead of naming them."""
        return bool(self.names) and _is_numbering(self.names)

    @property
    def named(self) -> bool:
        """Whether the heading names the columns."""
        return bool(self.names) and not self.numbered


@dataclass(frozen=True)
class _Roles:
    """The positions of the columns by their roles."""

    label: int | None
    pixels: list[int]
    ignored: list[int]  # neither label nor pixel
    missing: list[str]  # names of wanted columns that the table does not have once
    note: str


def read_table(
    path: Path,
    label_column: str | int | None = None,
    *,
    width: int | None = None,
    needs_labels: bool = False,
    column_names: Sequence[str] = (),
) -> Table:
    """Read one image per line from a CSV, in the format of Kaggle's digit recogniser: label, pixel0 … pixel783.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.csv.gz``, with commas, semicolons or tabs.
    label_column : str or int, optional
        The column of labels: its name in the heading, ``"first"``, ``"last"``, or its number, from 0, or from -1 for
        the last one. If omitted, it is the column named ``label``, else ``target``, ``class``, ``y``, ``labels``,
        ``targets`` or ``digit``; a table without any of these names has no labels. Without a heading, it is the column
        of words, or the first or last column if the values leave no doubt.
    width : int, optional
        Pixels per image. A table with this number of columns has no labels, unless its heading names them.
    needs_labels : bool, default False
        Whether to refuse a table without labels.
    column_names : sequence of str, default ()
        The names of the columns to return, in this order, as a model knows them; upper and lower case count only if
        they tell columns apart. All others but the labels are left out. A table without names has its columns in this
        order. So has one whose columns have other names of pixels than these, such as 1x1 … 28x28, or V1 … V784, for
        pixel0 … pixel783.

    Raises
    ------
    DataError
        If the column of labels is ambiguous, if a label is missing, if a line has another number of fields, or if a
        wanted column is missing or occurs twice.
    """
    layout = _layout(path)
    roles = _column_roles(path, layout, label_column, width, needs_labels, column_names)
    label, pixels = roles.label, roles.pixels
    if roles.missing:
        raise _missing_columns(path, layout, roles)
    count = len(layout.names or layout.first)
    values, words = _read_values(path, layout, label, roles.ignored)
    if not pixels or values.shape[1] != count:
        raise DataError(
            f"{path}: must have a label and numbers on each line, as many cells as the heading; got "
            f"{count:,} in the heading, {len(pixels):,} of them numbers, and {values.shape[1]:,} on each line"
        )
    x = _columns_of(values, pixels)
    _check_finite(path, layout, x, pixels, label)
    names = [layout.names[place] for place in pixels] if layout.named else []
    if label is None:
        return Table(x, names, None, None, roles.note)
    y = np.array(words, object)[values[:, label].astype(np.int64)]
    return Table(x, names, y, layout.names[label] if layout.names else label, roles.note)


def has_labels(
    path: Path,
    label_column: str | int | None = None,
    *,
    width: int | None = None,
    column_names: Sequence[str] = (),
) -> bool:
    """Return whether `read_table` returns labels; it reads the first lines only, or all without a heading."""
    return _column_roles(path, _layout(path), label_column, width, False, column_names).label is not None


def read_ids(
    path: Path,
    label_column: str | int | None = None,
    *,
    width: int | None = None,
    column_names: Sequence[str] = (),
) -> tuple[list[str], list[str]] | None:
    """Return the names of the columns of identifiers and of labels, and the identifiers as text.

    None if no column that `read_table` leaves out is named id, idx, index, row or ImageId. The name of the labels is
    "Label" if the table has none.
    """
    layout = _layout(path)
    roles = _column_roles(path, layout, label_column, width, False, column_names)
    places = [
        place for place in roles.ignored if layout.names and _ID_NAME.fullmatch(layout.names[place].lower())
    ]
    if not places:
        return None
    names = [layout.names[places[0]], "Label" if roles.label is None else layout.names[roles.label]]
    return names, [_fields(line, layout.delimiter)[places[0]] for line in _rows(path, layout)]


# -- lines ---------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a text file, compressed or not; raises DataError if it cannot be read, or is too long.

    ``number`` is the number of the last line that was yielded, from 1.
    """

    def __init__(self, path: Path, change: Callable[[str, int], str] | None = None) -> None:
        self.number = 0
        self._path = path
        self._change = change

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._read()
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self._path}: must be a text file in UTF-8; got: {error.reason}: save it as CSV in UTF-8"
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self._path}: must be a text file that can be read; got: {reason}") from error

    def _read(self) -> Iterator[str]:
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
                if total > checked + PIECE:  # a check of each line takes as long as reading it
                    check_packing(f"{self._path}:", min(size, packed.tell()), total, ALWAYS_ALLOWED)
                    checked = total
                self.number += 1
                yield line if self._change is None else self._change(line, self.number)

    def after(self, count: int) -> Iterator[str]:
        """Return the lines after the first ``count``."""
        lines = iter(self)
        for _ in range(count):
            next(lines, None)
        return lines


def _layout(path: Path) -> _Layout:
    """Return the format of a table, from its first lines."""
    start: list[tuple[int, str]] = []
    marked = ""
    try:
        lines = _Lines(path)
        for line in lines:
            text = line.strip("\r\n")
            if not start and not marked and (found := re.fullmatch(r'"?sep=([,;\t])"?', text)):
                marked = found[1]  # written by Excel
            elif text.strip():
                start.append((lines.number, text))
            if len(start) == 2:
                break
        first, second = (start[place][1] if place < len(start) else "" for place in (0, 1))
        delimiter = marked or _delimiter(first, second or first)
        fields, others = _fields(first, delimiter), _fields(second, delimiter)
    except csv.Error as error:
        raise DataError(f"{path}: must be a text file that can be read; got: {error}") from error
    if len(fields) < 2:
        raise DataError(
            f"{path}: must have a label and numbers on each line, with commas between them; got {first[:40].strip()!r}"
        )
    if _is_heading(fields, others):
        return _Layout(delimiter, start[0][0], fields, others)
    return _Layout(delimiter, start[0][0] - 1, [], fields)


def _delimiter(first: str, second: str) -> str:
    """Return the separator that gives both lines the same number of fields; a comma may also be a decimal comma."""
    counts = {one: (len(_fields(first, one)), len(_fields(second, one))) for one in "\t;," if one in first}
    fitting = [one for one, (count, other) in counts.items() if count == other > 1]
    return fitting[0] if fitting else max(counts or ",", key=lambda one: counts.get(one, (0, 0))[0])


def _fields(line: str, delimiter: str) -> list[str]:
    return [field.strip() for field in next(csv.reader([line], delimiter=delimiter), [])]


def _is_heading(fields: list[str], others: list[str]) -> bool:
    """Return whether a line is a heading: it has several words, a label name or a numbering."""
    words = _word_fields(fields)
    if len(words) == 1 and fields[words[0]].lower() == "y" and words == _word_fields(others):
        return False  # labels may be y and n
    return (
        len(words) > 1
        or any(fields[place].lower() in _LABEL_NAMES for place in words)
        or _is_numbering(fields)
    )


def _word_fields(fields: list[str]) -> list[int]:
    """Return the positions of the fields that are neither numbers nor marks of missing values."""
    return [
        place
        for place, field in enumerate(fields)
        if not is_missing(field) and not is_number(field.replace(",", "."))
    ]


def _is_numbering(fields: list[str]) -> bool:
    """Return whether a line is a numbering of columns, which pandas writes if they have no names: 0, 1, 2, …"""
    numbers = [field for field in fields if is_number(field)]
    if len(fields) - len(numbers) > 1 or len(numbers) < 3:
        return False
    # R and spreadsheets count from 1; a short line from 1 may also be an image.
    starts = (0, 1) if len(numbers) >= 10 else (0,)
    return any(numbers == [str(start + place) for place in range(len(numbers))] for start in starts)


# -- the roles of the columns --------------------------------------------------------------------------------


def _column_roles(
    path: Path,
    layout: _Layout,
    label_column: str | int | None,
    width: int | None,
    needs_labels: bool,
    column_names: Sequence[str],
) -> _Roles:
    columns = layout.names or [""] * len(layout.first)
    wanted = _wanted_columns(layout, column_names)
    taken = {place for place in wanted if place is not None}
    label, ignored, note = _label_and_ignored(path, layout, label_column, width, needs_labels, taken)
    if wanted:
        ignored = [place for place in range(len(columns)) if place != label and place not in taken]
    apart = {label, *ignored}
    pixels = [place for place in wanted or range(len(columns)) if place is not None and place not in apart]
    missing = [
        name
        for name, place in zip(column_names, wanted, strict=False)  # wanted may be empty
        if place is None or place == label
    ]
    if pixels != sorted(pixels):
        note.append("columns in another order than in the training: matched by their names")
    names = [layout.names[place] for place in pixels] if layout.named and not wanted else []
    if len(names) == len(column_names) and names != list(column_names):
        note.append(
            f"columns {names[0]} … {names[-1]}: taken as {column_names[0]} … {column_names[-1]}, by their order"
        )
    if ignored:
        note.append(f"left out: column {_some(_described(place, columns) for place in ignored)}")
    return _Roles(label, pixels, ignored, missing, "; ".join(note))


def _label_and_ignored(
    path: Path,
    layout: _Layout,
    label_column: str | int | None,
    width: int | None,
    needs_labels: bool,
    taken: set[int],
) -> tuple[int | None, list[int], list[str]]:
    """Return the label column or None, the columns that are neither label nor pixel, and notes.

    ``taken`` are columns that a model takes, if it knows their names: none of them is chosen for another role.
    """
    columns = layout.names or [""] * len(layout.first)
    others = ["" if place in taken else name for place, name in enumerate(layout.names)]
    ignored = [
        place
        for place, name in enumerate(others)
        if place not in taken and _INDEX_NAME.fullmatch(name.lower())
    ]
    fits = len(columns) - len(ignored) == width
    named = _label_column_by_name(others, path) if label_column is None else None
    note: list[str] = []
    label: int | None
    if label_column is not None:
        must = needs_labels or (not taken and width is not None and not fits)
        label = _given_label_column(label_column, layout, path, must)
        is_pixel = label in taken if taken else fits
        if is_pixel and not needs_labels and label_column not in layout.names:
            label = None
        ignored = [place for place in ignored if place != label]
    elif named is not None:
        label = named
        if columns[label].lower() != "label":
            note.append(f"labels: column {_described(label, columns)}")
    elif layout.named:
        words = [
            place for place in _word_fields(layout.first) if place < len(columns) and place not in ignored
        ]
        label = None
        if words and len(columns) - len(ignored) - len(words) == width:
            ignored += words
        if needs_labels:
            likely = f", such as {columns[words[0]]!r}, which has words" if len(words) == 1 else ""
            raise DataError(
                f"{path}: must have a column of labels, named label, target, class or y; got {len(columns):,} columns, "
                f"{columns[0]} … {columns[-1]}: name it with --label-column (label_column){likely}; or, if none holds "
                f"labels, read them with: fastdigits predict {path}"
            )
    else:
        if layout.numbered:
            numbers = [name for name in layout.names if name.isdecimal()]
            note.append(f"the first line, {', '.join(numbers[:3])}, …, is a heading")
        label = None
        if not fits:
            label, rows = _label_column_by_values(path, layout, ignored)
            ignored += rows
            note.append(f"labels: column {_described(label, columns)}")
    return label, ignored, note


def _wanted_columns(layout: _Layout, column_names: Sequence[str]) -> list[int | None]:
    """Return the position of each wanted column, None if its name does not occur once; empty if the order decides."""
    if not column_names or not layout.named:
        return []
    exact = _positions(column_names, layout.names)
    if None not in exact:
        return exact
    folded = _positions(*([name.casefold() for name in names] for names in (column_names, layout.names)))
    if None not in folded and len({*folded}) == len(folded):
        return folded
    return [] if _other_pixel_names(column_names, layout.names) else exact


def _other_pixel_names(wanted: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether two programs named the same pixels: one as pixel7, and the other so or as V7, as many of each."""
    n = len(wanted)
    as_pixels = [sum(map(names_pixel, row)) == n for row in (wanted, names)]
    as_others = [n in Counter(re.sub(r"\d+", "", name) for name in row).values() for row in (wanted, names)]
    return any(as_pixels) and all(map(operator.or_, as_pixels, as_others))


def _positions(wanted: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """Return the position of each wanted name; None if it does not occur once."""
    counts = Counter(names)
    places = {name: place for place, name in enumerate(names)}
    return [places[name] if counts[name] == 1 else None for name in wanted]


def _some(names: Iterable[str]) -> str:
    """Return the first names for a message."""
    shown = list(names)
    more = f" and {len(shown) - _SHOWN:,} others" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _missing_columns(path: Path, layout: _Layout, roles: _Roles) -> DataError:
    """Return the error about columns that a model was trained on and a table does not have."""
    first, twice = roles.missing[0], layout.names.count(roles.missing[0])
    if twice > 1:
        return DataError(
            f"{path}: must have each column of the training once; got {twice} columns named {first[:40]!r}: rename "
            "all but the right one"
        )
    if roles.label is not None and layout.names[roles.label] == first:
        return DataError(
            f"{path}: must have its labels in a column that the training did not use as a number; got {first[:40]!r}: "
            "name another with --label-column (label_column)"
        )
    others = [
        layout.names[place]
        for place in roles.ignored
        if not _INDEX_NAME.fullmatch(layout.names[place].lower())
    ]
    got = _some(repr(name[:40]) for name in roles.missing)
    if others:
        got += f" but {_some(repr(name[:40]) for name in others)} instead"
    them = "it" if len(roles.missing) == 1 else "them"
    return DataError(
        f"{path}: must have the columns of the training; got none named {got}: rename or add {them}, or, if the "
        "columns are in the order of the training, remove the line of names"
    )


def _described(place: int, columns: list[str]) -> str:
    """Return the name of a column for a note."""
    if place < len(columns) and columns[place]:  # lines longer than the heading are refused later
        return repr(columns[place][:40])
    return {0: "0, the first", len(columns) - 1: f"{place}, the last"}.get(place, f"{place}, counted from 0")


def _given_label_column(column: str | int, layout: _Layout, path: Path, needs_labels: bool) -> int | None:
    """Return the position of the column that the caller names; None if it is missing and not needed."""
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


def _label_column_by_name(names: list[str], path: Path) -> int | None:
    """Return the position of the column with a label name; None if there is none."""
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


def _label_column_by_values(path: Path, layout: _Layout, ignored: list[int]) -> tuple[int, list[int]]:
    """Return the position of the labels from the values, and the column of row numbers if the first is one."""
    word = [place for place in _word_fields(layout.first) if place not in ignored]
    if len(word) == 1:
        return word[0], []
    begin = 1 if ignored == [0] else 0
    last = len(layout.first) - 1
    seen, n, largest, rows = _outer_columns(path, layout, (begin, begin + 1, last))
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
    """Properties of a column's values that tell labels from pixels."""

    possible: bool  # may be labels: words, or whole numbers that each occur twice on average
    dense: bool  # most numbers from 0 to the largest occur
    on_scale: bool  # the largest is about that of the pixels

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
        """Return whether the labels are in this column, the first, and not in the last one."""
        if not last.possible or (last.on_scale and not self.on_scale):
            return True
        return self.dense and not last.dense and not self.on_scale


def _outer_columns(
    path: Path, layout: _Layout, places: tuple[int, int, int]
) -> tuple[dict[int, Counter[str]], int, float, bool]:
    """Return the counts of texts in the first two and the last column, the number of lines, the largest pixel, and
    whether the first column numbers the lines."""
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
    """Return the lines with images."""
    return (line for line in _Lines(path).after(layout.before) if line.strip())


# -- numbers -------------------------------------------------------------------------------------------------


class _LabelNumbers:
    """Numbers the different labels of a column in their order; ``problem`` is the error of a wrong label."""

    def __init__(self, path: Path, layout: _Layout) -> None:
        self.lines = _Lines(path)  # the lines being read; error messages use their number
        self.problem: DataError | None = None
        self._path = path
        self._layout = layout
        self._numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        text = text.strip()
        if text not in self._numbers:
            try:
                self._check(text)
            except DataError as error:
                self.problem = self.problem or error
                raise
        return self._numbers.setdefault(text, len(self._numbers))

    def _check(self, text: str) -> None:
        line = self.lines.number
        read_label(_plain_label(text, self._layout), str(self._path), f" on line {line}")
        if len(self._numbers) == MOST_CLASSES:
            raise DataError(f"{self._path}: {TOO_MANY} by line {line}: --label-column names another column")

    def texts(self) -> list[str]:
        return [_plain_label(text, self._layout) for text in self._numbers]


def _read_values(
    path: Path, layout: _Layout, label: int | None, ignored: list[int]
) -> tuple[Array, list[str]]:
    """Return all fields as numbers, uint8 or else float32, and the labels whose positions stand for them."""
    labels = _LabelNumbers(path, layout)
    converters: dict[int | str, Callable[[str], int]] = {place: lambda text: 0 for place in ignored}
    if label is not None:
        converters[label] = labels
    ways: list[tuple[type, Callable[[str, int], str] | None]] = [(np.uint8, None), (np.float32, None)]
    if layout.delimiter != ",":
        ways.append((np.float32, lambda line, place: _with_decimal_points(line, place, path, layout, label)))
    reasons = []
    for dtype, change in ways:
        lines = labels.lines = _Lines(path, change)
        try:
            values = _parse(lines.after(layout.before), dtype, layout.delimiter, converters)
        except DataError:
            raise
        except (ValueError, OverflowError, DeprecationWarning) as error:
            if labels.problem is not None:
                raise labels.problem from None
            reason = str(error).partition(";")[0]
            reason = re.sub(r"( to [a-z]\w+)? at row \d+", f" on line {lines.number}", reason)
            reasons.append(reason.rstrip("."))
        else:
            if values.size == 0:
                raise DataError(f"{path}: must have at least one image; got a heading only")
            return values, labels.texts()
    raise _cell_error(path, layout, label, ignored) or DataError(
        f"{path}: must have a label and numbers on each line, as many on each; got: {reasons[1]}"
    )


def _cell_error(path: Path, layout: _Layout, label: int | None, ignored: list[int]) -> DataError | None:
    """Return the error about the first cell that holds no number, or the first line with another number of cells."""
    lines, others = _Lines(path), {label, *ignored}
    for line in lines.after(layout.before):
        try:
            fields = _fields(line.strip("\r\n"), layout.delimiter)
        except csv.Error:  # a cell of more than 128 KB
            return None
        if line.strip() and len(fields) != len(layout.first):
            return DataError(
                f"{path}: must have as many cells on each line; got {len(layout.first):,} on the first and "
                f"{len(fields):,} on line {lines.number}: complete the line, or remove it"
            )
        for place, field in enumerate(fields):
            if place not in others and not is_number(field.replace(",", ".")):
                return _bad_cell(path, layout, field, lines.number, place, label)
    return None


def _bad_cell(path: Path, layout: _Layout, text: str, line: int, place: int, label: int | None) -> DataError:
    """Return the error about a cell that holds no finite number: the one place for its words."""
    got, hint = f"the word {text[:40]!r}", "replace the words by numbers, or remove the column"
    if is_missing(text):
        got, hint = (
            f"{text!r}, a missing value" if text else "an empty cell",
            "fill it in, or remove the line",
        )
    elif text.lower() in ("true", "false"):
        got, hint = repr(text), "write True as 1 and False as 0"
    elif is_number(text.replace(",", ".")):
        got, hint = f"{text[:40]}, which is too large for float32", "replace it, or remove the line"
    elif label is None:
        hint += "; if it holds the labels, name it with --label-column (label_column)"
    column = _described(place, layout.names or [""] * len(layout.first))
    return DataError(
        f"{path}: must have finite numbers in all columns except the labels; got {got} on line {line}, "
        f"column {column}: {hint}"
    )


def _parse(
    lines: Iterator[str], dtype: type, delimiter: str, converters: dict[int | str, Callable[[str], int]]
) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a file without lines, which the caller checks
        warnings.simplefilter("error", DeprecationWarning)  # NumPy 2.0 reads 12.5 as 12
        values: Array = np.loadtxt(
            lines, dtype, delimiter=delimiter, ndmin=2, comments=None, quotechar='"', converters=converters
        )
    return values


def _plain_label(text: str, layout: _Layout) -> str:
    """Replace a decimal comma by a point: pandas writes 7 as ``7,0`` with ``decimal=","``."""
    return re.sub(r"(?<=\d),(?=0*$)", ".", text) if layout.delimiter != "," else text


def _with_decimal_points(line: str, number: int, path: Path, layout: _Layout, label: int | None) -> str:
    """Replace decimal commas by points, except in the label."""
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


def _check_finite(path: Path, layout: _Layout, x: Array, places: list[int], label: int | None) -> None:
    if x.dtype == np.uint8 or (np.isfinite(x.min()) and np.isfinite(x.max())):
        return
    row, column = np.argwhere(~np.isfinite(x))[0]
    lines = _Lines(path)
    rows = (line for line in lines.after(layout.before) if line.strip())
    line = next(itertools.islice(rows, row, None))
    text = _fields(line, layout.delimiter)[places[column]]
    raise _bad_cell(path, layout, text, lines.number, places[column], label)


def _columns_of(values: Array, places: list[int]) -> Array:
    """Return some columns, without a copy if they are adjacent."""
    if places == list(range(places[0], places[-1] + 1)):
        return values[:, places[0] : places[-1] + 1]
    return values[:, places]
