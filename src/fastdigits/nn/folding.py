"""Fold batch normalisation and standardisation into dense layers, for predictions."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np

from . import assembly
from .layers import BatchNorm, Dense, Dropout, Layer, Standardize
from .sequential import Sequential

_Network = TypeVar("_Network", bound=Sequential)


def folded(network: _Network) -> _Network:
    """Return a copy with batch normalisation folded into dense layers; see `NeuralNetwork.folded`."""
    given, network = network, copy.deepcopy(network)
    kept: list[Layer] = []
    for layer in network.layers:
        if type(layer) is BatchNorm and kept and type(kept[-1]) is Dense:
            _fold(kept[-1], layer)
        elif type(layer) is not Dropout:
            if type(layer) is Dense and kept and type(kept[-1]) is Standardize:
                _fold_input(layer, kept.pop())
            kept.append(layer)
            for parameter in layer.parameters():  # the number in the layer's name may change
                parameter.name = parameter.name.removeprefix(f"{layer.name}.")
    if not kept:
        raise ValueError(f"folded: the network must have a layer besides dropout; got {given!r}")
    first = assembly.first_trained(kept)
    if first is not assembly.first_trained(network.layers) and hasattr(first, "needs_input_gradient"):
        first.needs_input_gradient = False  # as in a network that begins with this layer
    layers = tuple(kept)
    assembly.name_layers(layers)
    network.__setstate__({"layers": layers, "_parameters": assembly.named_parameters(layers)})
    return network


def _fold_input(dense: Dense, standardize: Layer) -> None:
    """Scale and shift a dense layer's input as the layer before it does."""
    arrays = {name: array.astype(np.float64) for name, array in standardize.buffers().items()}
    weight = dense.weight.value / np.sqrt(arrays["var"])[:, np.newaxis]
    dense.bias.value = dense.bias.value - arrays["mean"] @ weight
    dense.weight.value = weight


def _fold(dense: Dense, norm: BatchNorm) -> None:
    """Scale and shift a dense layer's output as batch normalisation does in evaluation."""
    scale = norm.gamma.value / np.sqrt(norm.running_var.astype(np.float64) + norm.eps)
    dense.weight.value = dense.weight.value * scale
    dense.bias.value = (dense.bias.value.astype(np.float64) - norm.running_mean) * scale + norm.beta.value
