"""Model files: save a network to a safetensors file and load it.

A file has float32 tensors, named like parameters and buffers (``dense1.weight``), and metadata: ``format``
"fastdigits", ``version`` "1", and ``architecture``, a JSON object with the layers, their constructor arguments, the
seed and the number of epochs. Optional are ``class_names`` and ``column_names``, JSON lists, ``scale``, a JSON string,
and ``picture_size``, a JSON list of height and width; without ``scale``, the scale of the network is unknown. Other or
duplicate entries are an error. Loading runs no code from a file, so only built-in layers can be saved.
"""

from __future__ import annotations

import functools
import inspect
import io
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from ..core import atomic
from ..core.schema import parse
from ..core.validation import check_count, differing_names
from ..errors import ModelFileError
from ..nn.assembly import BUILT_IN, require_built_in
from ..nn.layers import Dropout, Layer, MomentNorm
from ..nn.sequential import Sequential
from ..nn.tensors import bad_values, finite_tensors, named_tensors
from . import foreign
from .safetensors import encode, opened, read_opened

_Network = TypeVar("_Network", bound=Sequential)

FORMAT = "fastdigits"
# Optional metadata
_CLASS_NAMES, _COLUMN_NAMES, _SCALE, _PICTURE_SIZE = "class_names", "column_names", "scale", "picture_size"


def save(network: Sequential, path: str | os.PathLike[str] | IO[bytes]) -> None:
    """Write a network to a safetensors file.

    Parameters
    ----------
    network : Sequential
        Of built-in layers.
    path : str, path-like or binary file
        The file. An existing one is replaced atomically. An open binary file is written from its current position.

    Raises
    ------
    TypeError
        If a layer is not built-in, or if ``path`` is not a path or a binary file.
    ValueError
        If a parameter is not finite, or a hyperparameter is out of range: `load` would refuse the file.
    OSError
        If the file cannot be written.
    """
    _check_file(path, "save", "write")
    facts: dict[str, object] = {"architecture": _architecture(network)}
    if network.class_names:
        facts[_CLASS_NAMES] = network.class_names
    if network.column_names:
        facts[_COLUMN_NAMES] = network.column_names
    if network.scale is not None:
        facts[_SCALE] = network.scale
    if network.picture_size is not None:
        facts[_PICTURE_SIZE] = network.picture_size
    content = encode(finite_tensors(network, "save"), FORMAT, **facts)
    if isinstance(path, str | os.PathLike):
        atomic.write(path, content, example="model.safetensors")
        return
    rest = memoryview(content)
    while rest:  # an unbuffered file may write only a part
        written = path.write(rest)
        rest = rest[len(rest) if written is None else written :]


def load(
    path: str | os.PathLike[str] | IO[bytes] | bytes | bytearray | memoryview, kind: type[_Network]
) -> _Network:
    """Load a network of class ``kind`` from a file that `save` wrote; see `fastdigits.load`."""
    if isinstance(path, str | os.PathLike):
        file = Path(path)
        if file.is_dir() and (file / "model.safetensors").is_file():
            raise ModelFileError(
                f"{file}: must be a model file; got a folder: name {file / 'model.safetensors'}"
            )
        with opened(file) as content:
            return _load(content, str(file), kind)
    if isinstance(path, bytes | bytearray | memoryview):
        return _load(io.BytesIO(path), "bytes", kind)
    _check_file(path, "load", "read")
    read = path.read()
    if not isinstance(read, bytes):
        raise _path_error(path, "load", "rb")
    name = getattr(path, "name", None)
    return _load(io.BytesIO(read), name if isinstance(name, str) else type(path).__name__, kind)


def _check_file(path: object, subject: str, method: str) -> None:
    """Raise a TypeError if this is neither a path nor an open binary file."""
    if isinstance(path, io.TextIOBase) or not (isinstance(path, str | os.PathLike) or hasattr(path, method)):
        raise _path_error(path, subject, "rb" if method == "read" else "wb")


def _path_error(path: object, subject: str, mode: str) -> TypeError:
    return TypeError(
        f"{subject}: path must be a path or an open binary file; got {type(path).__name__}: open(name, {mode!r})"
    )


def _load(content: BinaryIO, file: str, kind: type[_Network]) -> _Network:
    if found := foreign.identify(content):
        raise ModelFileError(f"{file}: must be a model file that net.save wrote; got {found}")
    metadata, tensors = read_opened(content, file, FORMAT)
    network = _rebuild(file, kind, metadata, max_values=content.seek(0, os.SEEK_END) // 4)
    wanted = named_tensors(network)
    if difference := differing_names(tensors, wanted):
        raise ModelFileError(f"{file}: must hold the tensors of its layers; {difference}")
    for name, target in wanted.items():
        if tensors[name].shape != target.shape:
            raise ModelFileError(f"{file}: {name} must be {target.shape}; got {tensors[name].shape}")
        if problem := bad_values(name, tensors[name]):
            raise ModelFileError(f"{file}: {problem}")
        target[...] = tensors[name]
    return network


def _architecture(network: Sequential) -> dict[str, Any]:
    require_built_in(network.layers, "save", "keep the parameters of your own layer with numpy.savez")
    layers = []
    for layer in network.layers:
        try:
            config = type(layer)(**layer.config()).config()  # checked, and numbers of Python
        except (TypeError, ValueError) as error:
            raise type(error)(f"save: {layer.name}: {error}") from None
        entry: dict[str, Any] = {"kind": type(layer).__name__, "config": config}
        if isinstance(layer, Dropout):
            # further training then uses new masks, not those of the first steps
            entry["step"] = check_count(layer.step, "step", f"save: {layer.name}", least=0)
        layers.append(entry)
    counts = {
        name: check_count(getattr(network, name), name, "save", least=0)
        for name in ("seed", "epochs_trained")
    }
    return {"layers": layers} | counts


def _rebuild(file: str, kind: type[_Network], metadata: dict[str, str], max_values: int) -> _Network:
    """Return the network that the metadata describes, with initial values."""
    optional = {_CLASS_NAMES, _COLUMN_NAMES, _SCALE, _PICTURE_SIZE}
    if difference := differing_names(metadata.keys() - optional, ["format", "version", "architecture"]):
        raise ModelFileError(
            f"{file}: its metadata must be format, version, architecture and perhaps {_CLASS_NAMES}, {_COLUMN_NAMES}, "
            f"{_SCALE} and {_PICTURE_SIZE}; {difference}"
        )
    try:
        architecture = _object(
            "architecture", parse(metadata["architecture"]), ["layers", "seed", "epochs_trained"]
        )
        entries, epochs = architecture["layers"], architecture["epochs_trained"]
        if not isinstance(entries, list):
            raise TypeError(f"layers must be a list; got {entries!r}")
        if type(epochs) is not int or epochs < 0:
            raise ValueError(f"epochs_trained must be an integer of at least 0; got {epochs!r}")
        _check_sizes(entries, max_values)
        network = kind([_layer(entry) for entry in entries], seed=architecture["seed"])
        network.epochs_trained = epochs
        for entry in (_CLASS_NAMES, _COLUMN_NAMES):
            if entry in metadata:
                names = parse(metadata[entry])
                if not isinstance(names, list) or not names:
                    raise TypeError(f"{entry} must be a list of strings; got {names!r}")
                setattr(network, entry, names)
        if _SCALE in metadata:
            network.scale = parse(metadata[_SCALE])
            if network.scale is None:
                raise ValueError(f"{_SCALE} must be absent if it is unknown; got null")
        if _PICTURE_SIZE in metadata:
            size = parse(metadata[_PICTURE_SIZE])
            if not isinstance(size, list) or len(size) != 2:
                raise TypeError(f"{_PICTURE_SIZE} must be a list of height and width; got {size!r}")
            network.picture_size = size[0], size[1]
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{file}: its metadata must describe a network; got: {error}") from error
    return network


def _object(subject: str, value: object, names: Iterable[str]) -> dict[str, Any]:
    """Check that a value is a JSON object with exactly these names, and return it."""
    if not isinstance(value, dict):
        raise TypeError(f"{subject} must be an object; got {value!r}")
    if difference := differing_names(value, names):
        raise ValueError(f"{subject} must have {', '.join(names)}; {difference}")
    return value


def _check_sizes(entries: list[dict[str, Any]], max_values: int) -> None:
    """Check, before layers allocate memory, that their sizes fit the size of the file."""
    total = 0
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            raise TypeError(f"each layer must be an object with kind and config; got {entry!r}")
        if entry.get("kind") == MomentNorm.__name__:  # without arrays
            continue
        total += abs(math.prod(value for value in entry["config"].values() if type(value) is int))
    if total > max_values:
        raise ValueError(f"the layers must fit a file of {max_values} values; they would have {total}")


def _layer(entry: dict[str, Any]) -> Layer:
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in BUILT_IN:
        raise ValueError(f"layer kind must be one of {', '.join(BUILT_IN)}; got {kind!r}")
    _object(f"layer {kind}", entry, ["kind", "config", *(["step"] if kind == "Dropout" else [])])
    config = _object(f"config of {kind}", entry["config"], _argument_names(kind))
    layer = BUILT_IN[kind](**config)
    if isinstance(layer, Dropout):
        step = entry["step"]
        if type(step) is not int or not 0 <= step < 2**63:
            raise ValueError(f"step of {kind} must be an integer of at least 0; got {step!r}")
        layer.step = step
    return layer


@functools.cache
def _argument_names(kind: str) -> tuple[str, ...]:
    return tuple(inspect.signature(BUILT_IN[kind]).parameters)
