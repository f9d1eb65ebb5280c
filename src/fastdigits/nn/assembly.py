"""Assemble layers into a network: check them, name them and their parameters, run them one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core.arrays import Array, Float32
from .layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, MomentNorm, ReLU, Softmax, Standardize
from .parameters import Parameter

BUILT_IN: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (Dense, BatchNorm, ReLU, LeakyReLU, Softmax, Dropout, Standardize, MomentNorm)
}


def checked_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers: at least one, all different objects, none of them part of a network yet."""
    if isinstance(layers, Layer) or not isinstance(layers, Iterable):
        raise TypeError(f"NeuralNetwork: layers must be a list of layers; got {layers!r}")
    row = tuple(layers)
    if not row:
        raise ValueError("NeuralNetwork: layers must hold at least one layer; got none")
    seen: set[int] = set()
    for position, layer in enumerate(row):
        subject = f"NeuralNetwork: layers[{position}]"
        if not isinstance(layer, Layer):
            hint = ": call it to make one" if isinstance(layer, type) else ": subclass fastdigits.Layer"
            raise TypeError(f"{subject} must be a Layer; got {layer!r}{hint}")
        if id(layer) in seen:
            raise ValueError(f"{subject} must be a different object; got {layer!r} for the second time")
        seen.add(id(layer))
        if isinstance(layer, MomentNorm) and position > 0:
            raise ValueError(f"{subject} must not be {layer!r}, which takes images: put it first")
        if layer.name:
            raise ValueError(
                f"{subject} must not belong to a network yet; got {layer!r}, which is {layer.name} of one: "
                "make a new layer, or copy the whole network with copy.deepcopy"
            )
    return row


def input_width(layers: Sequence[Layer]) -> int | None:
    """Return the width of the first layer that has one, None if a layer before it changes the width."""
    for layer in layers:
        if isinstance(layer, Dense):
            return layer.n_in
        if isinstance(layer, BatchNorm | Standardize | MomentNorm):
            return layer.n
        if type(layer).output_width is not Layer.output_width:
            return None
    return None


def name_layers(layers: tuple[Layer, ...]) -> None:
    """Name each layer: its class in lower case and a number, such as ``dense1``."""
    numbers: Counter[str] = Counter()
    for layer in layers:
        kind = type(layer).__name__.lower()
        numbers[kind] += 1
        layer.name = f"{kind}{numbers[kind]}"


def named_parameters(layers: tuple[Layer, ...]) -> list[Parameter]:
    """Return the parameters of all layers, each prefixed with the layer's name."""
    found: list[Parameter] = []
    for layer in layers:
        own = layer.parameters()
        again = layer.parameters()
        if len(own) != len(again) or any(a is not b for a, b in zip(own, again, strict=True)):
            raise TypeError(
                f"{layer.name}.parameters must return the same Parameter objects at each call; "
                "got new ones: make them in __init__ or initialize"
            )
        for parameter in own:
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{layer.name}.parameters must return Parameter objects; got {parameter!r}")
            parameter.name = f"{layer.name}.{parameter.name}"
        found += own
    names = Counter(parameter.name for parameter in found)
    for name, times in names.items():
        if times > 1:
            raise ValueError(f"NeuralNetwork: names of parameters must differ; got {name} {times} times")
    return found


def require_built_in(layers: Sequence[Layer], subject: str, hint: str) -> None:
    """Raise a TypeError if a layer is not one of this package: a file cannot describe its code."""
    for layer in layers:
        if type(layer) not in BUILT_IN.values():
            raise TypeError(
                f"{subject}: all layers must be built-in, {', '.join(BUILT_IN)}; got {layer!r}: {hint}"
            )


def ends_in_softmax(layers: Sequence[Layer]) -> bool:
    """Return whether the output is probabilities: the last layer, apart from dropout, is a `Softmax`."""
    active = [layer for layer in layers if not isinstance(layer, Dropout)]
    return bool(active) and isinstance(active[-1], Softmax)


def accepts_uint8(layer: Layer) -> bool:
    """Return whether the layer takes uint8: `Dense` divides by 255 itself, `MomentNorm` returns uint8."""
    return any(
        isinstance(layer, kind) and type(layer).forward is kind.forward for kind in (Dense, MomentNorm)
    )


def first_trained(layers: Sequence[Layer]) -> Layer:
    """Return the first layer that does more than prepare the input; the first one if none does."""
    return next((layer for layer in layers if not layer.prepares_input), layers[0])


def backward_input(layer: Layer, dy: Float32, x: Array, y: Float32, kernels: Any = None) -> Float32:
    """Return what `Layer.backward_input` returns, checked if the layer is a user's."""
    if type(layer) in BUILT_IN.values():
        dx = layer.backward_input(dy, x, y) if kernels is None else layer.backward_input(dy, x, y, kernels)  # type: ignore[call-arg]
    else:
        dx = layer.backward_input(dy, x, y)
        if dx is not None:
            dx = check_output(dx, f"{layer.name}.backward", x.shape)
    if dx is None:
        raise TypeError(f"{layer.name}.backward must return dx for the gradient of the input; got None")
    return dx


def check_output(array: object, subject: str, shape: tuple[int, int | None]) -> Float32:
    """Check and convert the return value of a user's layer."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise TypeError(f"{subject} must return an array of real numbers; got {type(array).__name__}")
    if array.ndim != 2 or array.shape[0] != shape[0] or shape[1] not in (None, array.shape[1]):
        wanted = f"({shape[0]}, {'d' if shape[1] is None else shape[1]})"
        raise ValueError(f"{subject} must return {wanted}; got {array.shape}: does output_width match?")
    return np.ascontiguousarray(array, dtype=np.float32)


def widths(layers: Sequence[Layer], width: int) -> list[int]:
    """Return the width of the input and of each layer's output; ValueError if they do not match."""
    found = [width]
    for layer in layers:
        found.append(layer.output_width(found[-1]))
    return found


def run(layers: Sequence[Layer], rows: Array, training: bool = False, kernels: Any = None) -> Float32:
    """Return the output of the last layer for checked rows, (n, d), C order, uint8 or finite float32.

    To record the layers, a program passes its own ``kernels``; see `training.lowering`.
    """
    y = rows
    for layer in layers:
        y = forward(layer, readable(layer, y, kernels), training, kernels)
    return as_floats(y, kernels)


def readable(layer: Layer, x: Array, kernels: Any = None) -> Array:
    """Return x, or float32 divided by 255 if it is uint8 and the layer does not take that."""
    return x if accepts_uint8(layer) else as_floats(x, kernels)


def as_floats(x: Array, kernels: Any = None) -> Float32:
    """Return x, or float32 divided by 255 if it is uint8."""
    if x.dtype != np.uint8:
        return x
    y = aligned.floats(*x.shape)
    (kernels or backend.kernels).gather_pixels(y, x, np.arange(len(x)))
    return y


def forward(layer: Layer, x: Array, training: bool = False, kernels: Any = None) -> Float32:
    """Return the output of one layer, checked if the layer is a user's."""
    if type(layer) in BUILT_IN.values():
        return layer.forward(x, training) if kernels is None else layer.forward(x, training, kernels)  # type: ignore[call-arg]
    shape = (x.shape[0], layer.output_width(x.shape[1]))
    return check_output(layer.forward(x, training), f"{layer.name}.forward", shape)
