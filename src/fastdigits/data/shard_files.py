"""Read the files of shards in sequence: NPY and IDX files of rows, and tables of Parquet and Arrow.

No reader holds more than a piece of a file.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from ..backend import aligned
from ..core import atomic
from ..core.arrays import Array
from ..errors import DataError
from . import idx
from .arrays import npy_header

ALIGNED = 1 << 12  # bytes from which a copy to an aligned buffer pays
BATCH = 4096  # rows of a table read at a time
PIECE = 1 << 18  # bytes of a file read at a time
TABLES = {".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".arrows": "arrow"}
IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "images", "pixels", "x"), ("label", "labels", "class", "y", "target")
STREAM = b"\xff" * 4  # how an Arrow stream begins
SHAPE = b"image_shape"  # in the metadata of a table


class Checksum:
    """The CRC-32 of bytes that come in parts."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, content: bytes | memoryview) -> None:
        """Add the next bytes."""
        self._value = zlib.crc32(content, self._value)

    def digest(self) -> str:
        """Return 8 hexadecimal digits."""
        return f"{self._value:08x}"


class _File:
    """A file that is read once, from the first byte to the last, into the caller's memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = cast(Any, opened(path)).detach()
        self._aligned: memoryview | None = None

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer at the end."""
        content: bytes = self._file.read(size)
        return content

    def fill(self, target: memoryview) -> None:
        """Fill a buffer of bytes with the next ones; DataError if the file is too short."""
        while target:
            count = self._read_piece(target[:PIECE])
            if not count:
                raise DataError(f"{self.path}: must be as long as its header says; got its end {len(target):,} bytes "
                                "before: copy it again")  # fmt: skip
            target = target[count:]

    def _read_piece(self, target: memoryview) -> int:
        """Read bytes into a buffer; return their number, 0 at the end.

        Linux copies five times as slowly to an address that is no multiple of 64.
        """
        if len(target) < ALIGNED or np.frombuffer(target, np.uint8).ctypes.data % 64 == 0:
            return int(self._file.readinto(target))
        if self._aligned is None:
            self._aligned = memoryview(aligned.empty(PIECE, dtype=np.uint8))  # type: ignore[arg-type]
        count = int(self._file.readinto(self._aligned[: len(target)]))
        target[:count] = self._aligned[:count]
        return count

    def rest(self) -> int:
        """Read to the end; return the number of bytes."""
        count = 0
        while content := self.read(PIECE):
            count += len(content)
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def opened(path: Path) -> BinaryIO:
    """Open a regular file; DataError if that fails."""
    try:
        return atomic.open_regular(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that the system does not read."""
    return DataError(
        f"{path}: must be a file that can be read; got: {error.strerror or error}: bring the file back, or write the "
        "shards again"
    )


def checksum(path: Path) -> str:
    """Return the checksum of a file."""
    total = Checksum()
    with opened(path) as file:
        try:
            while content := file.read(PIECE):
                total.update(content)
        except OSError as error:
            raise unreadable(path, error) from error
    return total.digest()


def status(path: Path) -> tuple[int, ...]:
    """Return device, number, size and time of a file; they differ after a change. DataError if it is missing."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise unreadable(path, error) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def check_size(path: Path, wanted: int) -> None:
    """Raise a DataError unless a file has this size."""
    size = status(path)[2]
    if size != wanted:
        raise DataError(
            f"{path}: must be {wanted:,} bytes, as described; got {size:,}: bring the file back, or write the shards "
            "again"
        )


# -- files of one array ------------------------------------------------------------------------------------


def array_header(path: Path) -> tuple[np.dtype[Any], tuple[int, ...], int, bool]:
    """Return dtype, shape, offset of the elements and whether the file is compressed, of an NPY or IDX file.

    Raises
    ------
    DataError
        If the file is missing, of another format, or not as long as its header says.
    """
    with opened(path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            start = file.read(6)
            file.seek(0)
            if start == b"\x93NUMPY":
                dtype, shape, fortran = npy_header(file, size, f"{path}")
                if fortran and len(shape) > 1:
                    raise DataError(f"{path}: must be in C order; got Fortran order: np.ascontiguousarray(x)")
                return dtype, shape, file.tell(), False
            packed = start[:2] == b"\x1f\x8b"
            head = next(idx.decompressed(file, f"{path}"), b"") if packed else file.read(20)
        except OSError as error:
            raise unreadable(path, error) from error
        except DataError:
            raise
        except (EOFError, SyntaxError, ValueError) as error:  # NumPy's errors about a header
            raise DataError(
                f"{path}: must have the header of an NPY file; got: {error}: copy it again"
            ) from error
        kind, shape = idx.header(head[:20], f"{path}")
        offset = 4 + 4 * len(shape)
        need = offset + math.prod(shape) * kind.itemsize
        if not packed and need != size:
            raise DataError(
                f"{path}: must be {need:,} bytes, as its header says; got {size:,}: copy it again"
            )
        return kind, shape, offset, packed


def check_shape(path: Path, wanted: tuple[int, ...]) -> np.dtype[Any]:
    """Return the dtype of a file; DataError unless its header announces so many rows of this width."""
    dtype, shape, _, _ = array_header(path)
    if shape[:1] != wanted[:1] or math.prod(shape[1:]) != math.prod(wanted[1:]):
        raise DataError(
            f"{path}: must hold an array of {wanted}; got {shape}: bring the file back, or write the shards again"
        )
    return dtype


class ArrayRows:
    """The rows of an NPY or IDX file, read in order."""

    def __init__(self, path: Path) -> None:
        self.dtype, self.shape, offset, packed = array_header(path)
        self._file = _File(path)
        self._pieces = idx.decompressed(self._file, f"{path}") if packed else None
        self._held = memoryview(b"")  # decompressed bytes that are not used yet
        self._fill(memoryview(bytearray(offset)))

    def read(self, rows: Array) -> None:
        """Fill ``rows``, (n, …), with the next rows, converted to its dtype."""
        plain = rows.dtype == self.dtype and self.dtype.isnative and rows.flags.c_contiguous
        raw = rows if plain else np.empty(rows.shape, self.dtype)
        self._fill(raw.reshape(-1).data.cast("B"))
        if not plain:
            rows[...] = raw

    def _fill(self, target: memoryview) -> None:
        try:
            if self._pieces is None:
                self._file.fill(target)
                return
            while target:
                if not self._held:
                    self._held = memoryview(next(self._pieces, b""))
                    if not self._held:
                        raise DataError(
                            f"{self._file.path}: must be as long as its header says; got its end before: copy it again"
                        )
                count = min(len(self._held), len(target))
                target[:count] = self._held[:count]
                target, self._held = target[count:], self._held[count:]
        except OSError as error:
            raise unreadable(self._file.path, error) from error

    def finish(self) -> None:
        """Read to the end of the file, where nothing may follow."""
        try:
            more = len(self._held) + (sum(map(len, self._pieces)) if self._pieces else 0) + self._file.rest()
        except OSError as error:
            raise unreadable(self._file.path, error) from error
        if more:
            raise DataError(
                f"{self._file.path}: must end after its rows; got {more:,} bytes more: copy it again"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()


# -- tables ------------------------------------------------------------------------------------------------


def arrow() -> Any:
    """Return the module pyarrow; ImportError that says how to install it."""
    try:
        import pyarrow
        import pyarrow.feather
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Parquet and Arrow files need pyarrow; got none: pip install 'pyarrow>=15'"
        ) from error
    return pyarrow


def _column(names: list[str], wanted: tuple[str, ...], path: Path, what: str) -> str:
    found = [name for name in names if name.lower() in wanted]
    if len(found) != 1:
        raise DataError(
            f"{path}: must have one column of {what}, named {' or '.join(wanted)}; got {', '.join(names)!s:.200}: "
            "rename it; a table with one number per column must be a .csv file"
        )
    return found[0]


class TableRows:
    """Images and labels of a Parquet, Arrow or Feather file, read in order.

    Images are a column of lists of equal length, or of bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pa = arrow()
        with opened(path):  # refuses what is no regular file
            pass
        with self._errors():
            if TABLES[path.suffix.lower()] == "parquet":
                # Without both arguments, a whole group of rows is read at once.
                self._file = self._pa.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
                self.schema = self._file.schema_arrow
            else:
                self._file = self._open_arrow()
                self.schema = self._file.schema
        names = self.schema.names
        self.columns = [
            _column(names, IMAGE_COLUMNS, path, "images"), _column(names, LABEL_COLUMNS, path, "labels")
        ]  # fmt: skip
        label = self.schema.field(self.columns[1]).type
        if not self._pa.types.is_integer(label):
            raise DataError(f"{path}: labels must be integers; got {label}: number the classes from 0 on")
        self._batches = self._read_batches()
        self._x, self._y = np.empty((0, 0)), np.empty(0)

    def _errors(self) -> Any:
        return _ArrowErrors(self.path, self._pa)

    def _open_arrow(self, columns: Sequence[str] | None = None) -> Any:
        """Open an Arrow file, to read some of its columns, or all."""
        # No memory map: a file that is cut would end the process.
        if columns is None:
            with opened(self.path) as file:
                if file.read(4) == STREAM:
                    raise DataError(
                        f"{self.path}: must be an Arrow file, which ends with a list of its parts; got an Arrow "
                        "stream: convert it with pyarrow.feather.write_feather(pyarrow.ipc.open_stream(path)"
                        ".read_all(), 'x.feather')"
                    )
            return self._pa.ipc.open_file(self._pa.OSFile(os.fspath(self.path)))
        numbers = [self.schema.get_field_index(name) for name in columns]
        options = self._pa.ipc.IpcReadOptions(included_fields=numbers)
        return self._pa.ipc.open_file(self._pa.OSFile(os.fspath(self.path)), options=options)

    @cached_property
    def rows(self) -> int:
        """Number of rows; of an Arrow file, which does not say it, the labels alone are decompressed for it."""
        with self._errors():
            if hasattr(self._file, "iter_batches"):
                return int(self._file.metadata.num_rows)
            file = self._open_arrow(self.columns[1:])
            return sum(file.get_batch(i).num_rows for i in range(file.num_record_batches))

    def shape(self, width: int) -> tuple[int, ...]:
        """Return the shape of images of ``width`` numbers that the metadata name; (width,) if they name none."""
        text = (self.schema.metadata or {}).get(SHAPE, b"").decode("ascii", "replace")
        if not text:
            return (width,)
        sides = text.split(",")
        shape = tuple(map(int, sides)) if all(side.isdecimal() and len(side) < 10 for side in sides) else ()
        if len(shape) != 2 or math.prod(shape) != width:
            raise DataError(
                f"{self.path}: its metadata image_shape must be height,width of its images of {width:,} numbers, such "
                f"as 28,28; got {text!r:.80}: correct or remove it"
            )
        return shape

    def _read_batches(self) -> Iterator[Any]:
        if hasattr(self._file, "iter_batches"):
            yield from self._file.iter_batches(batch_size=BATCH, columns=self.columns, use_threads=False)
        else:
            for i in range(self._file.num_record_batches):
                batch = self._file.get_batch(i)
                batch.validate(full=True)  # offsets of a damaged file would end the process
                yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))

    def next_batch(self) -> tuple[Array, Array] | None:
        """Return images, (n, d), and labels, (n,), of the next rows; None at the end."""
        with self._errors():
            batch = next(self._batches, None)
            if batch is None:
                return None
            x, y = (batch.column(batch.schema.get_field_index(name)) for name in self.columns)
            if x.null_count or y.null_count:
                raise DataError(
                    f"{self.path}: must have no missing images or labels; got missing ones: omit them"
                )
            return self._images(x), y.to_numpy(zero_copy_only=False)

    def _images(self, x: Any) -> Array:
        types = self._pa.types
        n = len(x)
        if n == 0:
            return np.empty((0, 0), np.uint8)
        if types.is_binary(x.type) or types.is_large_binary(x.type) or types.is_fixed_size_binary(x.type):
            content = b"".join(one.as_buffer() for one in x)
            numbers: Array = np.frombuffer(content, np.uint8)
        elif types.is_list(x.type) or types.is_large_list(x.type) or types.is_fixed_size_list(x.type):
            flat = x.flatten()
            if flat.null_count:
                raise DataError(
                    f"{self.path}: images must have no missing numbers; got missing ones: fill them"
                )
            numbers = flat.to_numpy(zero_copy_only=False)
        else:
            raise DataError(f"{self.path}: images must be lists of numbers, or bytes; got {x.type}")
        if numbers.dtype.kind not in "uif" or numbers.size % n:
            raise DataError(
                f"{self.path}: images must be lists of as many numbers each; got {numbers.size:,} of type "
                f"{numbers.dtype} in {n:,} rows"
            )
        if not types.is_fixed_size_list(x.type):
            self._check_lengths(x, numbers.size // n)
        return numbers.reshape(n, -1)

    def _check_lengths(self, x: Any, width: int) -> None:
        import pyarrow.compute

        kind = pyarrow.compute.binary_length if "binary" in str(x.type) else pyarrow.compute.list_value_length
        lengths = kind(x).to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            raise DataError(
                f"{self.path}: images must have as many numbers each; got {lengths.min():,} to {lengths.max():,}"
            )

    def read(self, x: Array, y: Array) -> None:
        """Fill x, (n, d), and y, (n,), with the next images and labels."""
        filled = 0
        while filled < len(y):
            if not len(self._y):
                batch = self.next_batch()
                if batch is None:
                    raise DataError(
                        f"{self.path}: must hold {len(y) - filled:,} rows more; got its end: copy it again"
                    )
                self._x, self._y = batch
                continue
            count = min(len(self._y), len(y) - filled)
            if self._x.shape[1] != x.shape[1]:
                raise DataError(
                    f"{self.path}: images must have {x.shape[1]:,} numbers, as described; got {self._x.shape[1]:,}"
                )
            x[filled : filled + count], y[filled : filled + count] = self._x[:count], self._y[:count]
            self._x, self._y = self._x[count:], self._y[count:]
            filled += count

    def close(self) -> None:
        """Close the file."""
        self._batches.close()  # type: ignore[attr-defined]
        if hasattr(self._file, "close"):
            self._file.close()


def check_rows(path: Path, wanted: int) -> None:
    """Raise a DataError unless a table has so many rows."""
    table = TableRows(path)
    table.close()
    if table.rows != wanted:
        raise DataError(
            f"{path}: must hold {wanted:,} rows, as described; got {table.rows:,}: bring the file back, or write the "
            "shards again"
        )


class _ArrowErrors:
    """Raise pyarrow's errors as DataErrors that name the file."""

    def __init__(self, path: Path, pa: Any) -> None:
        self._path, self._pa = path, pa

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        known = self._pa.ArrowException | OSError | EOFError | UnicodeDecodeError
        if isinstance(error, known) and not isinstance(error, MemoryError):
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{self._path}: must be a whole Parquet or Arrow file; got: {reason}: write it again"
            ) from error
