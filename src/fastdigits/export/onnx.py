"""Export a network as an ONNX graph, from images to labels, for onnxruntime and other programs.

The file uses operator set 13 and format version 7 of 2020, which onnxruntime supports since version 1.7 of March 2021.
The same network gives the same bytes.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

try:
    import onnx
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
except ImportError as error:
    raise ImportError(
        f"export_onnx: the package onnx must be installed; got: {error}: pip install 'onnx>=1.16'"
    ) from error

from .._version import __version__
from ..core import atomic
from ..core.arrays import Float32
from ..nn.assembly import ends_in_softmax, require_built_in
from ..nn.folding import folded
from ..nn.layers import BatchNorm, Dense, Layer, LeakyReLU, ReLU, Softmax, Standardize
from ..nn.scales import PIXELS, WHITE
from ..nn.sequential import Sequential
from ..nn.tensors import finite_tensors

OPSET = 13
IR_VERSION = 7
TYPES = {"uint8": onnx.TensorProto.UINT8, "float32": onnx.TensorProto.FLOAT}

# The operator for each layer; for each attribute of the operator, the attribute of the layer
OPERATORS: dict[type[Layer], tuple[str, dict[str, str]]] = {
    Dense: ("Gemm", {}),
    BatchNorm: ("BatchNormalization", {"epsilon": "eps"}),
    Standardize: ("BatchNormalization", {"epsilon": "eps"}),
    ReLU: ("Relu", {}),
    LeakyReLU: ("LeakyRelu", {"alpha": "slope"}),
    Softmax: ("Softmax", {}),
}


def export(network: Sequential, path: str | os.PathLike[str], *, input_dtype: str | None) -> None:
    """Write the file; see `NeuralNetwork.export_onnx`."""
    subject = "export_onnx"
    if input_dtype is None:
        input_dtype = "uint8" if network.scale in (PIXELS, None) else "float32"
    if not isinstance(input_dtype, str) or input_dtype not in TYPES:
        raise ValueError(f"{subject}: input_dtype must be one of {', '.join(TYPES)}; got {input_dtype!r}")
    require_built_in(network.layers, subject, "ONNX has no operator like it")
    width = network.input_width
    if width is None:
        raise ValueError(
            f"{subject}: the network must have a Dense or BatchNorm layer, which fixes the input width; got {network!r}"
        )
    graph = folded(network)
    divides = network.scale == PIXELS or (network.scale is None and input_dtype == "uint8")
    meaning = (
        "pixels 0 to 255, which the graph divides by 255"
        if divides
        else "numbers as they are; divide pixels by 255 first"
        if network.scale is None
        else f"numbers as they are, of scale {network.scale!r}, like the training images"
    )
    model = make_model(
        _graph(graph, finite_tensors(graph, subject), input_dtype, width, divides),
        ir_version=IR_VERSION,
        opset_imports=[make_opsetid("", OPSET)],
        producer_name="fastdigits",
        producer_version=__version__,
        doc_string=f"{network!r}\n"
        f"images, (batch, {width}) {input_dtype}: {meaning}, one row per image\n"
        f"logits and probabilities, (batch, {network.widths(width)[-1]}) float32: one per class\n"
        "label, (batch) int64: the most probable class",
    )
    onnx.checker.check_model(model, full_check=True)
    atomic.write(path, model.SerializeToString(deterministic=True), example="digits.onnx")


def _graph(
    network: Sequential, tensors: dict[str, Float32], input_dtype: str, width: int, divides: bool
) -> Any:
    """Return the graph of a network without dropout, from images to labels."""
    layers = network.layers[:-1] if ends_in_softmax(network.layers) else network.layers
    nodes, last = [], "images"
    if input_dtype == "uint8":
        nodes.append(make_node("Cast", ["images"], ["levels"], name="cast", to=onnx.TensorProto.FLOAT))
        last = "levels"
    if divides:
        nodes.append(make_node("Div", [last, "white"], ["pixels"], name="divide"))
        tensors, last = tensors | {"white": np.array(WHITE, dtype=np.float32)}, "pixels"
    for layer in layers:
        operator, attributes = OPERATORS[type(layer)]
        if isinstance(layer, Standardize):  # the operator of batch normalisation has two more inputs
            ends = {"gamma": np.ones(layer.n, np.float32), "beta": np.zeros(layer.n, np.float32)}
            tensors = {f"{layer.name}.{name}": array for name, array in ends.items()} | tensors
        before, last = last, "logits" if layer is layers[-1] else layer.name
        arrays = [name for name in tensors if name.startswith(f"{layer.name}.")]
        values = {name: getattr(layer, ours) for name, ours in attributes.items()}
        nodes.append(make_node(operator, [before, *arrays], [last], name=layer.name, **values))
    nodes.append(make_node("Softmax", ["logits"], ["probabilities"], name="softmax"))
    nodes.append(make_node("ArgMax", ["probabilities"], ["label"], name="argmax", axis=-1, keepdims=0))
    classes = network.widths(width)[-1]
    numbers = onnx.TensorProto.FLOAT
    return make_graph(
        nodes,
        "fastdigits",
        [make_tensor_value_info("images", TYPES[input_dtype], ["batch", width])],
        [
            make_tensor_value_info("logits", numbers, ["batch", classes]),
            make_tensor_value_info("probabilities", numbers, ["batch", classes]),
            make_tensor_value_info("label", onnx.TensorProto.INT64, ["batch"]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
