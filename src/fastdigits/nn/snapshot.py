"""Keep the parameters and running statistics of a network, to restore them later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.arrays import Float32
from ..core.schema import Check, float_array, lower_bound
from .sequential import Sequential


class Snapshot:
    """A copy of a network's parameters and running statistics."""

    def __init__(self, network: Sequential) -> None:
        self._values = network.values.copy()
        self._buffers = {name: array.copy() for name, array in network.buffers().items()}

    def restore(self, network: Sequential) -> None:
        """Copy them back into the same network."""
        network.values[...] = self._values
        for name, array in network.buffers().items():
            array[...] = self._buffers[name]

    @staticmethod
    def checks(network: Sequential) -> dict[str, Check]:
        """Return the schema of `arrays` for a snapshot of this network."""
        buffers = network.buffers().items()
        return {"values": float_array(network.values.shape)} | {
            name: float_array(array.shape, lower_bound(name)) for name, array in buffers
        }

    def arrays(self) -> dict[str, Float32]:
        """Return the arrays by name, for a ``state_dict``."""
        return {"values": self._values} | self._buffers

    @classmethod
    def from_arrays(cls, content: Mapping[str, Any]) -> Snapshot | None:
        """Return the snapshot whose `arrays` are in a ``state_dict``, None if it has none."""
        arrays = {name: array for name, array in content.items() if isinstance(array, np.ndarray)}
        if not arrays:
            return None
        snapshot = cls.__new__(cls)
        snapshot._values = arrays.pop("values")
        snapshot._buffers = arrays
        return snapshot
