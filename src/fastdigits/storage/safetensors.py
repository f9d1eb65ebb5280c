"""Read and write named float32 arrays in the safetensors format; every byte is checked.

A file has a length of 8 bytes, little-endian, a JSON header of this length, then the data of the arrays, one after the
other. The safetensors library is not used: if memory runs out, it ends the process, and with it the training that was
to be saved; and it accepts duplicate names.

References
----------
https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core import atomic
from ..core.arrays import Float32
from ..core.schema import parse
from ..core.validation import differing_names
from ..errors import ModelFileError
from .foreign import OTHER_TENSORS

VERSION = "1"
MOST_HEADER = 1 << 22  # bytes; enough for a history of 25,000 epochs
MOST_TENSORS = 10_000
MOST_DIMENSIONS = 32
_ENTRY = ("dtype", "shape", "data_offsets")


def encode(tensors: Mapping[str, Float32], kind: str, **facts: object) -> bytes:
    """Return the content of a file with the kind and each fact, as JSON, in its metadata.

    The same arrays and facts give the same bytes, in any order.

    Raises
    ------
    TypeError
        If an array is not float32.
    OSError
        If the header is too long for `read`.
    """
    header: dict[str, Any] = {"__metadata__": {"format": kind, "version": VERSION}}
    header["__metadata__"] |= {name: json.dumps(fact) for name, fact in facts.items()}
    parts, place = [b"", b""], 0
    for name in sorted(tensors):
        array = tensors[name]
        if array.dtype != np.float32:
            raise TypeError(f"{name}: an array in a file must be float32; got {array.dtype}")
        numbers = array.astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [place, place + len(numbers)],
        }
        parts.append(numbers)
        place += len(numbers)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MOST_HEADER:
        problem = f"a header must have at most {MOST_HEADER:,} bytes to be read again; got {len(text):,}"
        raise OSError(errno.EFBIG, problem)
    parts[:2] = len(text).to_bytes(8, "little"), text
    return b"".join(parts)


def read(file: Path, kind: str) -> tuple[dict[str, str], dict[str, Float32]]:
    """Return metadata and arrays of a file of this kind.

    Raises
    ------
    ModelFileError
        If the file is missing, of another kind or version, or does not follow the format in every byte.
    """
    with opened(file) as content:
        return read_opened(content, str(file), kind)


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """Open a file to read; ModelFileError if that fails."""
    if file.is_dir() or not os.path.lexists(file):
        found = "a folder" if file.is_dir() else "nothing of this name"
        raise ModelFileError(f"{file}: must be a model file; got {found}")
    try:
        with atomic.open_regular(file) as content:
            yield content
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"{file}: must be a readable safetensors file; got: {reason}") from error


def read_opened(content: BinaryIO, name: str, kind: str) -> tuple[dict[str, str], dict[str, Float32]]:
    """Return metadata and arrays of an open file; see `read`."""
    try:
        header, size = _header(content)
        metadata = _checked_metadata(header.pop("__metadata__", {}))
        _check_format(metadata, kind)
        shapes = _checked_shapes(header, size)
        return metadata, {tensor: _array(content, shape) for tensor, shape in shapes.items()}
    except OSError as error:
        raise ModelFileError(f"{name}: must be a readable safetensors file; got: {error}") from error
    except (OverflowError, RecursionError, ValueError) as error:
        raise ModelFileError(f"{name}: {error}") from error


def _header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Return the header, and the number of bytes after it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= size - 8:
        raise ValueError(
            f"must be a readable safetensors file; got a header of {length:,} bytes in a file of {size:,}"
        )
    if length > MOST_HEADER:
        raise ValueError(f"must have a header of at most {MOST_HEADER:,} bytes; got {length:,}")
    text = file.read(length)
    if text[:1] != b"{":
        raise ValueError(
            f"must be a readable safetensors file, whose header begins with {{; got {text[:1]!r}"
        )
    try:
        header: dict[str, Any] = parse(text.decode())
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"must be a readable safetensors file; got: {error}") from error
    if len(header) > MOST_TENSORS:
        raise ValueError(f"there must be at most {MOST_TENSORS:,} tensors; got {len(header):,}")
    return header, size - 8 - length


def _checked_metadata(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its metadata must be strings by name; got {metadata!r:.200}")
    return metadata


def _check_format(metadata: dict[str, str], kind: str) -> None:
    if (found := metadata.get("format")) != kind:
        ours = found is not None and found.startswith("fastdigits")
        hint = f"pass a file of format {kind!r}" if ours else f"for files of other programs, {OTHER_TENSORS}"
        raise ValueError(f"its format must be {kind!r}; got {found!r}: {hint}")
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"its version must be {VERSION!r}; got {metadata.get('version')!r}: update fastdigits"
        )


def _checked_shapes(header: dict[str, Any], size: int) -> dict[str, list[int]]:
    """Return the shapes in the order of the data; check that the arrays fill exactly ``size`` bytes."""
    shapes = {name: _checked_shape(name, entry) for name, entry in header.items()}
    place, ordered = 0, {}
    for name in sorted(header, key=lambda name: header[name]["data_offsets"]):
        wanted = [place, place + 4 * math.prod(shapes[name])]
        if header[name]["data_offsets"] != wanted or wanted[1] > size:
            raise ValueError(
                f"must be a readable safetensors file; got {name} at {header[name]['data_offsets']}: after the "
                f"arrays before it and within {size} bytes, it must be at {wanted}"
            )
        ordered[name] = shapes[name]
        place = wanted[1]
    if place != size:
        raise ValueError(
            f"must be a readable safetensors file; got {size - place} bytes after its last array"
        )
    return ordered


def _array(file: BinaryIO, shape: list[int]) -> Float32:
    """Return the next array of the file."""
    array = np.empty(shape, dtype="<f4")
    if file.readinto(array) != array.nbytes:  # type: ignore[attr-defined]
        raise OSError("it became shorter during reading")
    return array.astype(np.float32, copy=False)


def _checked_shape(name: str, entry: object) -> list[int]:
    """Check an array's entry in the header and return its shape."""
    if not isinstance(entry, dict):
        raise ValueError(f"{name} must be an object; got {entry!r:.200}")
    if difference := differing_names(entry, _ENTRY):
        raise ValueError(f"{name} must have {', '.join(_ENTRY)}; {difference}")
    if entry["dtype"] != "F32":
        raise ValueError(f"{name} must be float32; got {entry['dtype']!s:.200}")
    shape: list[int] = entry["shape"]
    for key in ("shape", "data_offsets"):
        numbers = entry[key]
        if not isinstance(numbers, list) or not all(type(one) is int and one >= 0 for one in numbers):
            raise ValueError(f"{name}: {key} must be whole numbers of at least 0; got {numbers!r:.200}")
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{name} must have {MOST_DIMENSIONS} dimensions at most; got {len(shape)}")
    return shape
