"""Convert a network's tensors to and from the state dictionary of a ``torch.nn.Sequential``.

Only `to_state` imports PyTorch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.arrays import Float32, as_array
from ..core.validation import differing_names
from ..nn.assembly import require_built_in
from ..nn.layers import BatchNorm, Dense, Standardize
from ..nn.sequential import Sequential
from ..nn.tensors import bad_values

COUNTER = "num_batches_tracked"  # PyTorch uses it only if momentum is None, which no layer here has


def to_state(network: Sequential) -> OrderedDict[str, Any]:
    """Return the state dictionary; see `NeuralNetwork.to_torch_state_dict`."""
    subject = "to_torch_state_dict"
    views = _views(network, subject)
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{subject}: PyTorch must be installed; got: {error}: pip install torch") from error
    state: OrderedDict[str, Any] = OrderedDict()
    for name, view in views.items():
        state[name] = torch.from_numpy(view.copy(order="C"))
        if name.endswith("running_var"):
            state[name.replace("running_var", COUNTER)] = torch.tensor(0)
    return state


def load_state(network: Sequential, state: Mapping[str, object]) -> None:
    """Copy the tensors into the network; see `NeuralNetwork.load_torch_state_dict`."""
    subject = "load_torch_state_dict"
    views = _views(network, subject)
    if not isinstance(state, Mapping):
        hint = ": module.state_dict()" if hasattr(state, "state_dict") else ""
        raise TypeError(f"{subject}: state must be a mapping; got {type(state).__name__}{hint}")
    counters = {name.replace("running_var", COUNTER) for name in views if name.endswith("running_var")}
    if difference := differing_names({str(name) for name in state} - counters, views):
        raise ValueError(
            f"{subject}: state must have the tensors of {network!r}; {difference}: each name begins with the "
            "position of its layer, where layers without tensors count too"
        )
    arrays = {name: _checked(state[name], name, view.shape, subject) for name, view in views.items()}
    for name, view in views.items():
        view[...] = arrays[name]


def _views(network: Sequential, subject: str) -> dict[str, Float32]:
    """Return views of a network's arrays with PyTorch's names and shapes."""
    require_built_in(network.layers, subject, "PyTorch has no layer like yours, copy its parameters yourself")
    views = {}
    for position, layer in enumerate(network.layers):
        if isinstance(layer, Dense):
            views[f"{position}.weight"] = layer.weight.value.T  # (out, in)
            views[f"{position}.bias"] = layer.bias.value
        elif isinstance(layer, BatchNorm):
            views[f"{position}.weight"] = layer.gamma.value
            views[f"{position}.bias"] = layer.beta.value
            views[f"{position}.running_mean"] = layer.running_mean
            views[f"{position}.running_var"] = layer.running_var
        elif isinstance(layer, Standardize):
            views[f"{position}.running_mean"] = layer.mean
            views[f"{position}.running_var"] = layer.var
    return views


def _checked(value: Any, name: str, shape: tuple[int, ...], subject: str) -> Float32:
    """Check a tensor or an array for this name and shape; return it as float32."""
    if hasattr(value, "detach"):  # a tensor, perhaps with a gradient or on another device
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value  # NumPy has no bfloat16
    array = as_array(value, f"{subject}: {name}")
    if array.dtype.kind != "f":
        raise TypeError(f"{subject}: {name} must hold floating-point numbers; got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{subject}: {name} must be {shape}; got {array.shape}")
    with np.errstate(over="ignore"):
        tensor = array.astype(np.float32)
    if problem := bad_values(name, tensor):
        raise ValueError(f"{subject}: {problem}")
    return tensor
