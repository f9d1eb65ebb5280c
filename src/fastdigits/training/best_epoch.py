"""The best epoch of a training by one measure: its number, its measure and its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.schema import integer, number, optional, validate
from ..nn.sequential import Sequential
from ..nn.snapshot import Snapshot
from .history import History


def improvement(monitor: str, value: float, best: float | None) -> float:
    """Return by how much a measure is better than the best so far: an accuracy improves upward, a loss downward."""
    if math.isnan(value):
        return -math.inf
    if best is None:
        return math.inf
    return value - best if monitor.endswith("accuracy") else best - value


@dataclass
class BestEpoch:
    """The best epoch so far; number, measure and weights are None before the first one."""

    monitor: str  # the measure of the history that decides
    min_delta: float = 0.0  # an improvement must be greater
    keep_weights: bool = True
    names: tuple[str, str] = ("epoch", "value")  # of number and measure in a saved state
    epoch: int | None = None
    value: float | None = None
    weights: Snapshot | None = None

    def update(self, network: Sequential, history: History) -> None:
        """Take the last epoch of the history if it is better."""
        if improvement(self.monitor, getattr(history, self.monitor)[-1], self.value) > self.min_delta:
            self.take(network, history)

    def take(self, network: Sequential, history: History) -> None:
        """Take the last epoch of the history, better or not."""
        self.epoch, self.value = history.epoch[-1], getattr(history, self.monitor)[-1]
        if self.keep_weights:
            self.weights = Snapshot(network)

    def restore(self, network: Sequential) -> None:
        """Restore the kept weights; without any, change nothing."""
        if self.weights is not None:
            self.weights.restore(network)

    def state_dict(self) -> dict[str, Any]:
        """Return number, measure and weights, for a checkpoint."""
        arrays = {} if self.weights is None else self.weights.arrays()
        return dict(zip(self.names, (self.epoch, self.value), strict=True)) | arrays

    def check_state_dict(
        self, content: Mapping[str, Any], network: Sequential, history: History, subject: str
    ) -> None:
        """Raise a TypeError or a ValueError unless a state is that of an epoch of the history.

        Its weights, where they are kept, must fit the network. ``subject`` is the beginning of the message.
        """
        epoch_name, value_name = self.names
        checks = {epoch_name: optional(integer(1)), value_name: optional(number())}
        if self.keep_weights and len(history) > 0:
            checks |= Snapshot.checks(network)
        state = validate(content, checks, subject)
        epoch, value = state[epoch_name], state[value_name]
        if (epoch is None) != (len(history) == 0) or (epoch is not None and epoch not in history.epoch):
            raise ValueError(f"{subject}: {epoch_name} must be an epoch of the history; got {epoch}")
        wanted = None if epoch is None else getattr(history, self.monitor)[history.epoch.index(epoch)]
        if value != wanted:
            raise ValueError(
                f"{subject}: {value_name} must be the {self.monitor} of epoch {epoch}, {wanted}; got {value}"
            )

    def loaded(self, content: Mapping[str, Any]) -> BestEpoch:
        """Return a new one of the same settings, with a checked state."""
        epoch, value = (content[name] for name in self.names)
        return replace(self, epoch=epoch, value=value, weights=Snapshot.from_arrays(content))
