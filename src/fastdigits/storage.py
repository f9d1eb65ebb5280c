"""Model files: a network written to safetensors and read back, whole or not at all.

A file holds float32 tensors named like parameters and buffers, such as ``dense1.weight``, and, as metadata,
``format`` "fastdigits", ``version`` "1" and ``architecture``: a JSON object with the layers, their
constructor arguments, the seed and the number of epochs. Nothing in a file is ever executed, so that layers from
outside this package cannot be saved. A file with anything else in it, or with something twice, is refused.
"""

from __future__ import annotations

import errno
import functools
import importlib.resources
import inspect
import json
import math
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from . import files
from .assembly import BUILT_IN, need_built_in
from .errors import ModelFileError
from .inputs import Float32
from .layers import Dropout, Layer
from .network import NeuralNetwork

FORMAT = "fastdigits"
VERSION = "1"
MOST_HEADER = 1 << 22  # bytes, which are parsed as a whole: a history of 25,000 epochs
MOST_TENSORS = 10_000
PRETRAINED = "digits.safetensors"


def save(network: NeuralNetwork, path: str | os.PathLike[str]) -> None:
    """Write a network to a safetensors file.

    Parameters
    ----------
    network : NeuralNetwork
        Of built-in layers.
    path : str or path-like
        The file. One that exists is replaced in one go, or stays as it is.

    Raises
    ------
    TypeError
        If a layer is not one of this package: its code cannot be stored.
    ValueError
        If a parameter is not finite: `load` would refuse the file.
    OSError
        If the file cannot be written.
    """
    content = encode(finite_tensors(network, "save"), FORMAT, architecture=_architecture(network))
    files.write(path, content, example="model.safetensors")


def load(path: str | os.PathLike[str]) -> NeuralNetwork:
    """Read a network from a file that `NeuralNetwork.save` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    NeuralNetwork
        It predicts, bit for bit, as the one that was saved.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another format or version; if its metadata hold anything unknown, or
        lack something, down to the arguments of each layer; or if its tensors are not exactly those of the network
        it describes: names, shapes, float32, finite.
    """
    file = Path(path)
    metadata, tensors = read(file, FORMAT)
    network = _rebuild(file, metadata, max_values=file.stat().st_size // 4)
    wanted = _tensors(network)
    if difference := differing_names(tensors, wanted):
        raise ModelFileError(f"{file}: must hold the tensors of its layers; {difference}")
    for name, target in wanted.items():
        if tensors[name].shape != target.shape:
            raise ModelFileError(f"{file}: {name} must be {target.shape}; got {tensors[name].shape}")
        if problem := bad_values(name, tensors[name]):
            raise ModelFileError(f"{file}: {problem}")
        target[...] = tensors[name]
    return network


def load_pretrained() -> NeuralNetwork:
    """Return the network that comes with the package, trained on MNIST: digits 0 to 9 in 28 × 28 pixels.

    Returns
    -------
    NeuralNetwork
        A new one in each call, 784-64-32-10: the preset ``accurate``, of which 99.07 % of MNIST's test images
        come out right. ``models/README.md`` beside its file says how it was made.
    """
    model = importlib.resources.files("fastdigits").joinpath("models", PRETRAINED)
    with importlib.resources.as_file(model) as path:
        return load(path)


def finite_tensors(network: NeuralNetwork, subject: str) -> dict[str, Float32]:
    """Return parameters and buffers by name; ValueError if they are such that the network predicts nothing."""
    tensors = _tensors(network)
    for name, tensor in tensors.items():
        if problem := bad_values(name, tensor):
            raise ValueError(f"{subject}: {problem}: train the network anew")
    return tensors


def differing_names(found: Iterable[str], wanted: Iterable[str]) -> str:
    """Return what an error message says of names that are not the wanted ones; nothing if they are."""
    missing, unknown = sorted({*wanted} - {*found}), sorted({*found} - {*wanted})
    for names in (missing, unknown):
        names[8:] = ["…"] if len(names) > 8 else []
    return f"got {missing or 'none'} missing and {unknown or 'none'} unknown" if missing or unknown else ""


def bad_values(name: str, tensor: Float32) -> str:
    """Return what an error message says of values that no tensor of this name may have; nothing if all are good."""
    if not np.isfinite(tensor).all():
        return f"{name} must be finite; got {tensor[~np.isfinite(tensor)][0]}"
    if name.endswith("running_var") and tensor.min() < 0:
        return f"{name} must not be negative; got {tensor.min()}"
    return ""


def _tensors(network: NeuralNetwork) -> dict[str, Float32]:
    return {parameter.name: parameter.value for parameter in network.parameters()} | network.buffers()


def _architecture(network: NeuralNetwork) -> dict[str, Any]:
    need_built_in(network.layers, "save", "keep the parameters of your own layer with numpy.savez")
    layers = []
    for layer in network.layers:
        entry: dict[str, Any] = {"kind": type(layer).__name__, "config": layer.config()}
        if isinstance(layer, Dropout):
            entry["step"] = layer.step  # training goes on with fresh masks, not with those of the first steps
        layers.append(entry)
    return {"layers": layers, "seed": network.seed, "epochs_trained": network.epochs_trained}


def encode(tensors: dict[str, Float32], kind: str, **facts: object) -> bytes:
    """Return the content of a safetensors file whose metadata hold the kind and each fact as JSON."""
    from safetensors.numpy import save as to_bytes  # here, so that importing fastdigits stays cheap

    metadata = {"format": kind, "version": VERSION} | {name: json.dumps(fact) for name, fact in facts.items()}
    return _sorted(to_bytes(tensors, metadata))


def _sorted(content: bytes) -> bytes:
    """Return a safetensors file with the keys of its header in order: the same network gives the same bytes.

    The library writes metadata in an order that changes from process to process. A file is 8 bytes of length,
    little-endian, that much JSON, then the tensors, whose places are counted from there.
    """
    stop = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:stop]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MOST_HEADER:
        what = f"a header must have at most {MOST_HEADER:,} bytes to be read again; got {len(header):,}"
        raise OSError(errno.EFBIG, what)
    return len(header).to_bytes(8, "little") + header + content[stop:]


def read(file: Path, kind: str) -> tuple[dict[str, str], dict[str, Float32]]:
    """Return metadata and tensors of a file of this kind; only those of float32 get so far."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        what = "a folder" if file.is_dir() else "nothing of this name"
        raise ModelFileError(f"{file}: must be a model file; got {what}")
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
        if MOST_HEADER < length < file.stat().st_size:  # what is beyond the file, the library tells
            raise ModelFileError(
                f"{file}: must have a header of at most {MOST_HEADER:,} bytes; got {length:,}"
            )
        with safe_open(file, framework="np") as content:
            metadata = content.metadata() or {}
            _check_format(file, metadata, kind)
            _check_header(file)
            dtypes = {name: content.get_slice(name).get_dtype() for name in content.keys()}  # noqa: SIM118
            for name, dtype in dtypes.items():
                if dtype != "F32":
                    raise ModelFileError(f"{file}: {name} must be float32; got {dtype}")
            return metadata, {name: content.get_tensor(name) for name in dtypes}
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{file}: must be a readable safetensors file; got {error}") from error


def _check_format(file: Path, metadata: dict[str, str], kind: str) -> None:
    if metadata.get("format") != kind:
        raise ModelFileError(
            f"{file}: its format must be {kind!r}; got {metadata.get('format')!r}: only files that fastdigits "
            "wrote as such can be read"
        )
    if metadata.get("version") != VERSION:
        raise ModelFileError(
            f"{file}: its version must be {VERSION!r}; got {metadata.get('version')!r}: update fastdigits"
        )


def _check_header(file: Path) -> None:
    """Refuse what the library lets pass: a name that comes twice, and more than it knows about a tensor."""
    with open(file, "rb") as opened:
        header = opened.read(int.from_bytes(opened.read(8), "little"))
    try:
        entries = _parse(header)
        if len(entries) > MOST_TENSORS:
            raise ValueError(f"there must be at most {MOST_TENSORS:,} tensors; got {len(entries):,}")
        for name, entry in entries.items():
            difference = differing_names(entry, ["dtype", "shape", "data_offsets"])
            if name != "__metadata__" and difference:
                raise ValueError(f"{name} must have dtype, shape and data_offsets; {difference}")
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{file}: must have a header without surprises; got: {error}") from error


def _parse(text: str | bytes) -> Any:
    """Return what JSON says, if it names nothing twice and all its numbers are some."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            name, times = Counter(name for name, _ in pairs).most_common(1)[0]
            raise ValueError(f"{name!r} must stand there once; got it {times} times")
        return found

    def no_number(name: str) -> None:
        raise ValueError(f"numbers must be finite; got {name}")

    return json.loads(text, object_pairs_hook=once, parse_constant=no_number)


def _rebuild(file: Path, metadata: dict[str, str], max_values: int) -> NeuralNetwork:
    """Return the network that the metadata describes, with initial values."""
    if difference := differing_names(metadata, ["format", "version", "architecture"]):
        raise ModelFileError(f"{file}: its metadata must be format, version and architecture; {difference}")
    try:
        architecture = _object(
            "architecture", _parse(metadata["architecture"]), ["layers", "seed", "epochs_trained"]
        )
        entries, epochs = architecture["layers"], architecture["epochs_trained"]
        if not isinstance(entries, list):
            raise TypeError(f"layers must be a list; got {entries!r}")
        if type(epochs) is not int or epochs < 0:
            raise ValueError(f"epochs_trained must be an integer of at least 0; got {epochs!r}")
        _check_sizes(entries, max_values)
        network = NeuralNetwork([_layer(entry) for entry in entries], seed=architecture["seed"])
        network.epochs_trained = epochs
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{file}: its architecture must describe a network; got: {error}") from error
    return network


def _object(subject: str, value: object, names: Iterable[str]) -> dict[str, Any]:
    """Return a JSON object that has exactly these names."""
    if not isinstance(value, dict):
        raise TypeError(f"{subject} must be an object; got {value!r}")
    if difference := differing_names(value, names):
        raise ValueError(f"{subject} must have {', '.join(names)}; {difference}")
    return value


def _check_sizes(entries: list[dict[str, Any]], max_values: int) -> None:
    """See that the layers, which allocate what their sizes say, stay below what the file can hold."""
    total = 0
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
            raise TypeError(f"each layer must be an object with kind and config; got {entry!r}")
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
