"""Export a network as an ONNX graph, from images to labels, for onnxruntime and other programs.

The file uses operator set 13 and format version 7 of 2020, which onnxruntime supports since version 1.7 of March 2021.
The same network gives the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from ..nn.layers import BatchNorm, Dense, Layer, LeakyReLU, MomentNorm, ReLU, Softmax, Standardize
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
    if isinstance(layers[0], MomentNorm):
        moments = _MomentNorm(layers[0], nodes, tensors)
        pixels = PIXELS if divides else network.scale
        last = moments.normalized(last, input_dtype == "uint8", pixels)
        tensors, layers = moments.tensors, layers[1:]
    if not layers:
        nodes.append(make_node("Identity", [last], ["logits"], name="identity"))
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


class _MomentNorm:
    """The nodes of `MomentNorm`: what the kernels compute, in float64, so that bytes become the same bytes."""

    def __init__(self, layer: MomentNorm, nodes: list[Any], tensors: dict[str, Float32]) -> None:
        self.layer, self.nodes, self.tensors = layer, nodes, dict(tensors)

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; inputs are names, arrays, or numbers of float64. Return the name of its output."""
        return self._add(1, operator, inputs, attributes)[0]

    def _add(
        self, outputs: int, operator: str, inputs: Sequence[Any], attributes: dict[str, Any]
    ) -> list[str]:
        place = f"{self.layer.name}.{len(self.nodes)}"
        names = []
        for number, value in enumerate(inputs):
            if not isinstance(value, str):
                name = f"{place}.input{number}"
                self.tensors[name] = np.asarray(value, dtype=getattr(value, "dtype", np.float64))
                value = name
            names.append(value)
        made = [f"{place}.{number}" for number in range(outputs)]
        self.nodes.append(make_node(operator, names, made, name=place, **attributes))
        return made

    def normalized(self, x: str, are_bytes: bool, scale: str | None) -> str:
        """Add the nodes for ``x``, float32, as a network of this scale sees them; return the name of the output.

        A network rounds the result for an image of bytes: whole numbers for the scale "pixels", else fractions k / 255.
        """
        if are_bytes:
            return self._rounded(self._images(x))
        white = np.float32(1 if scale == PIXELS else WHITE)
        levels = self.add("Mul", x, white)
        whole = self.add("Clip", self.add("Round", levels), np.float32(0), np.float32(WHITE))
        difference = self.add("Abs", self.add("Sub", self.add("Div", whole, white), x))
        fits = self.add("Equal", self.add("ReduceMax", difference, axes=[1], keepdims=1), np.float32(0))
        images = self._images(self.add("Where", fits, whole, levels))
        return self.add("Div", self.add("Where", fits, self._rounded(images), images), white)

    def _rounded(self, x: str) -> str:
        return self.add("Floor", self.add("Add", x, np.float32(0.5)))

    def _nearest(self, x: str) -> str:
        return self.add("Floor", self.add("Add", x, 0.5))

    def _images(self, x: str) -> str:
        """Normalise images: see `_reference.moment_norm`, whose names these are."""
        add, layer = self.add, self.layer
        height, width = layer.height, layer.width
        r = (np.arange(layer.n) // width - height // 2).astype(np.float64)
        c = (np.arange(layer.n) % width - width // 2).astype(np.float64)
        sums = add(
            "MatMul",
            add("Cast", add("Relu", x), to=onnx.TensorProto.DOUBLE),
            np.stack([np.ones(layer.n), r, c, r * r, r * c, c * c], axis=1),
        )
        m, mr, mc, mrr, mrc, mcc = self._add(6, "Split", [sums], {"axis": 1})
        some = add("Greater", m, 0.0)
        m = add("Where", some, m, 1.0)

        def variance(moment: str, y: str, x: str) -> str:
            difference = add("Sub", add("Mul", m, moment), add("Mul", y, x))
            return self._nearest(add("Div", add("Mul", difference, 1024.0), add("Mul", m, m)))

        v_rr, v_rc, v_cc = variance(mrr, mr, mr), variance(mrc, mr, mc), variance(mcc, mc, mc)
        slant = self._nearest(add("Div", add("Mul", v_rc, 4096.0), add("Max", v_rr, 1.0)))
        slant = add("Div", add("Clip", slant, -4096.0, 4096.0), 4096.0)
        slant = add("Where", add("Greater", v_rr, 0.0), slant, 0.0)
        across = add("Sub", add("Mul", v_rc, 2.0), add("Mul", slant, v_rr))
        across = add("Sub", v_cc, add("Mul", slant, across))

        def size(v: str, sigma: float) -> str:
            sigma = float(np.float32(sigma))
            ratio = add("Clip", add("Div", v, 1024 * sigma * sigma), 1 / 16, 16.0)
            return self._nearest(add("Mul", add("Sqrt", add("Sqrt", ratio)), 2.0**16))

        sigma_y, sigma_x = layer.sigmas
        high, wide = size(v_rr, sigma_y), size(across, sigma_x)

        def middle(moment: str, side: int) -> str:
            return add("Add", self._nearest(add("Div", add("Mul", moment, 2.0**16), m)), side // 2 * 2.0**16)

        i = add("Mul", high, np.arange(height) - (height - 1) / 2)  # (n, height)
        v = self._nearest(add("Add", i, middle(mr, height)))
        start = add("Sub", middle(mc, width), add("Mul", wide, (width - 1) / 2))
        u = self._nearest(add("Add", add("Mul", slant, i), start))
        columns = add("Unsqueeze", add("Mul", wide, np.arange(width, dtype=np.float64)), np.array([1]))
        v = add("Unsqueeze", v, np.array([2]))  # (n, height, 1)
        u = add("Add", add("Unsqueeze", u, np.array([2])), columns)  # (n, height, width)
        v = add("Add", v, np.zeros((1, 1, width)))

        def split(place: str, side: int) -> tuple[str, str]:
            """Return the pixel before a place, in the image with its border, and the weight of the next, of 256."""
            place = add("Clip", add("Add", place, 2.0**16 + 128), 0.0, (side + 1) * 2.0**16)
            place = add("Floor", add("Div", place, 256.0))
            whole = add("Floor", add("Div", place, 256.0))
            weight = add("Cast", add("Sub", place, add("Mul", whole, 256.0)), to=onnx.TensorProto.FLOAT)
            return whole, add("Reshape", weight, np.array([-1, layer.n]))

        (row, below), (column, right) = split(v, height), split(u, width)
        at = add("Cast", add("Add", add("Mul", row, width + 3.0), column), to=onnx.TensorProto.INT64)
        at = add("Reshape", at, np.array([-1, layer.n]))
        image = add("Pad", add("Reshape", x, np.array([-1, height, width])), np.array([0, 1, 1, 0, 2, 2]))
        image = add("Reshape", image, np.array([-1, (height + 3) * (width + 3)]))

        def between(one: str, other: str, weight: str) -> str:
            kept = add("Mul", one, add("Sub", np.float32(256), weight))
            return add("Add", kept, add("Mul", other, weight))

        corners = [
            add("GatherElements", image, add("Add", at, np.array(step)), axis=1)
            for step in (0, width + 3, 1, width + 4)
        ]
        mixed = between(between(corners[0], corners[1], below), between(corners[2], corners[3], below), right)
        return add("Where", some, add("Mul", mixed, np.float32(2**-16)), x)
