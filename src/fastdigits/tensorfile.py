"""Files of named arrays in the safetensors format: float32 only, and nothing in them that is not looked at.

A file is 8 bytes of length, little-endian, that much JSON, then the numbers of the arrays, one array after the other.
The format is read and written here, not by its library: that ends the process where memory runs out, and with it a
training whose network was to be saved; and it lets names that come twice pass.

References
----------
https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ModelFileError
from .inputs import Float32

VERSION = "1"
LONGEST_HEADER = 100_000_000  # bytes, as the library has it
MOST_DIMENSIONS = 32
_ENTRY = ("dtype", "shape", "data_offsets")


def encode(tensors: Mapping[str, Float32], kind: str, **facts: object) -> bytes:
    """Return the content of a file whose metadata hold the kind and each fact as JSON.

    Names are in order: the same arrays and facts give the same bytes.

    Raises
    ------
    TypeError
        If an array is not float32.
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
    parts[:2] = len(text).to_bytes(8, "little"), text
    return b"".join(parts)


def read(file: Path, kind: str) -> tuple[dict[str, str], dict[str, Float32]]:
    """Return metadata and arrays of a file of this kind.

    Raises
    ------
    ModelFileError
        If the file is missing, of another kind or version, or not in every byte as the format has it.
    """
    if not file.is_file():
        what = "a folder" if file.is_dir() else "nothing of this name"
        raise ModelFileError(f"{file}: must be a model file; got {what}")
    try:
        content = file.read_bytes()
        stop = 8 + int.from_bytes(content[:8], "little")
        if not 8 < stop <= min(len(content), 8 + LONGEST_HEADER):
            raise ValueError(f"its header must lie within its {len(content)} bytes; got an end at {stop}")
        if content[8:9] != b"{":
            raise ValueError(f"its header must begin with {{; got {content[8:9]!r}")
        header = parse(content[8:stop].decode())
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{file}: must be a readable safetensors file; got: {error}") from error
    try:
        metadata = _checked_metadata(header.pop("__metadata__", {}))
        _check_format(metadata, kind)
        return metadata, _arrays(header, memoryview(content)[stop:])
    except (OverflowError, ValueError) as error:
        raise ModelFileError(f"{file}: {error}") from error


def parse(text: str | bytes) -> Any:
    """Return what JSON says, if it names nothing twice and all its numbers are some."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):  # no Counter: CPython 3.11's crashes where memory runs out
            names = [name for name, _ in pairs]
            name = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{name!r} must stand there once; got it {names.count(name)} times")
        return found

    def no_number(name: str) -> None:
        raise ValueError(f"numbers must be finite; got {name}")

    return json.loads(text, object_pairs_hook=once, parse_constant=no_number)


def differing_names(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Return what an error message says of names that are not the wanted ones; nothing if they are."""
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    return f"got {missing or 'none'} missing and {unknown or 'none'} unknown" if missing or unknown else ""


def _checked_metadata(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its metadata must be texts by name; got {metadata!r:.200}")
    return metadata


def _check_format(metadata: dict[str, str], kind: str) -> None:
    if metadata.get("format") != kind:
        raise ValueError(
            f"its format must be {kind!r}; got {metadata.get('format')!r}: only files that fastdigits "
            "wrote as such can be read"
        )
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"its version must be {VERSION!r}; got {metadata.get('version')!r}: update fastdigits"
        )


def _arrays(header: dict[str, Any], numbers: memoryview) -> dict[str, Float32]:
    """Return copies of the arrays, which must lie one after the other and fill the file."""
    shapes = {name: _checked_shape(name, entry) for name, entry in header.items()}
    place, arrays = 0, {}
    for name in sorted(header, key=lambda name: header[name]["data_offsets"]):
        count = math.prod(shapes[name])
        wanted = [place, place + 4 * count]
        if header[name]["data_offsets"] != wanted or wanted[1] > len(numbers):
            raise ValueError(
                f"must be a readable safetensors file; got {name} at {header[name]['data_offsets']}: behind the "
                f"arrays before it and within {len(numbers)} bytes, it would be at {wanted}"
            )
        array = np.frombuffer(numbers, "<f4", count, place) if count else np.zeros(0)
        arrays[name] = array.astype(np.float32).reshape(shapes[name])
        place += 4 * count
    if place != len(numbers):
        raise ValueError(
            f"must be a readable safetensors file; got {len(numbers) - place} bytes behind its last array"
        )
    return arrays


def _checked_shape(name: str, entry: object) -> list[int]:
    """Return the shape that the header has for an array, after a look at all that it says."""
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
