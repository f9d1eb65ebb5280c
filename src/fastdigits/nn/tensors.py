"""The tensors of a network by name, and checks of their values."""

from __future__ import annotations

from ..core.arrays import Float32
from ..core.schema import bad_numbers, lower_bound
from .sequential import Sequential


def finite_tensors(network: Sequential, subject: str) -> dict[str, Float32]:
    """Return parameters and buffers by name; ValueError if one is not finite or a variance is negative."""
    found = named_tensors(network)
    for name, tensor in found.items():
        if problem := bad_values(name, tensor):
            raise ValueError(f"{subject}: {problem}: train the network again")
    return found


def bad_values(name: str, tensor: Float32) -> str:
    """Return an error message about values that a tensor of this name cannot have, "" if there are none."""
    problem = bad_numbers(tensor, lower_bound(name))
    return f"{name} {problem}" if problem else ""


def named_tensors(network: Sequential) -> dict[str, Float32]:
    """Return parameters and buffers by name, without copies."""
    return {parameter.name: parameter.value for parameter in network.parameters()} | network.buffers()
