"""Model files: a network written to safetensors and read back, whole or not at all.

A file holds float32 tensors named like parameters and buffers, such as ``dense1.weight``, and, as metadata,
``format`` "fastdigits", ``version`` "1" and ``architecture``: a JSON object with the layers, their
constructor arguments and the seed. Nothing in a file is ever executed, so that layers from outside this
package cannot be saved.
"""

from __future__ import annotations

import importlib.resources
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .assembly import BUILT_IN
from .errors import ModelFileError
from .inputs import Float32
from .layers import Dropout, Layer
from .network import NeuralNetwork

FORMAT = "fastdigits"
VERSION = "1"
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
    OSError
        If the file cannot be written.
    """
    replace_file(Path(path), encode(_tensors(network), FORMAT, architecture=_architecture(network)))


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
        If the file is missing, damaged, of another format or version, or if its tensors are not exactly those
        of the network it describes: names, shapes, float32, finite.
    """
    file = Path(path)
    metadata, tensors = read(file, FORMAT)
    network = _rebuild(file, metadata, max_values=file.stat().st_size // 4)
    wanted = _tensors(network)
    if wanted.keys() != tensors.keys():
        missing, unknown = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
        raise ModelFileError(
            f"{file}: must hold the tensors of its layers; got {missing or 'none'} missing and "
            f"{unknown or 'none'} unknown"
        )
    for name, target in wanted.items():
        _check_tensor(file, name, tensors[name], target.shape)
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


def _tensors(network: NeuralNetwork) -> dict[str, Float32]:
    return {parameter.name: parameter.value for parameter in network.parameters()} | network.buffers()


def _architecture(network: NeuralNetwork) -> dict[str, Any]:
    layers = []
    for layer in network.layers:
        kind = type(layer).__name__
        if BUILT_IN.get(kind) is not type(layer):
            raise TypeError(
                f"save: only the layers of fastdigits can be saved, {', '.join(BUILT_IN)}; got {layer!r}: "
                "keep the parameters of your own layer with numpy.savez"
            )
        entry: dict[str, Any] = {"kind": kind, "config": layer.config()}
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
    return len(header).to_bytes(8, "little") + header + content[stop:]


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file by one with this content: written beside it, forced to the disk, then renamed."""
    target = path.resolve()  # where a link points to, so that the link stays
    if target.is_dir():
        raise IsADirectoryError(f"{path}: must be a file; got a folder: add a name such as model.safetensors")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder must exist; got {target.parent}: make it first")
    beside = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
        _sync_folder(target.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk as well, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(file: Path, kind: str) -> tuple[dict[str, str], dict[str, Float32]]:
    """Return metadata and tensors of a file of this kind; only those of float32 get so far."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        what = "a folder" if file.is_dir() else "nothing of this name"
        raise ModelFileError(f"{file}: must be a model file; got {what}")
    try:
        with safe_open(file, framework="np") as content:
            metadata = content.metadata() or {}
            _check_format(file, metadata, kind)
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


def _rebuild(file: Path, metadata: dict[str, str], max_values: int) -> NeuralNetwork:
    """Return the network that the metadata describes, with initial values."""
    try:
        architecture = json.loads(metadata["architecture"])
        _check_sizes(architecture["layers"], max_values)
        layers = [_layer(entry) for entry in architecture["layers"]]
        network = NeuralNetwork(layers, seed=architecture["seed"])
        epochs = architecture["epochs_trained"]
        if type(epochs) is not int or epochs < 0:
            raise ValueError(f"epochs_trained must be an integer of at least 0; got {epochs!r}")
        network.epochs_trained = epochs
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"{file}: its architecture must describe a network; got: {what}") from error
    return network


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
    kind = entry["kind"]
    if kind not in BUILT_IN:
        raise ValueError(f"layer kind must be one of {', '.join(BUILT_IN)}; got {kind!r}")
    layer = BUILT_IN[kind](**entry["config"])
    if isinstance(layer, Dropout):
        step = entry["step"]
        if type(step) is not int or not 0 <= step < 2**63:
            raise ValueError(f"step of {kind} must be an integer of at least 0; got {step!r}")
        layer.step = step
    return layer


def _check_tensor(file: Path, name: str, tensor: Float32, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise ModelFileError(f"{file}: {name} must be {shape}; got {tensor.shape}")
    if not np.isfinite(tensor).all():
        raise ModelFileError(f"{file}: {name} must be finite; got {tensor[~np.isfinite(tensor)][0]}")
    if name.endswith(".running_var") and tensor.min() < 0:
        raise ModelFileError(f"{file}: {name} must not be negative; got {tensor.min()}")
