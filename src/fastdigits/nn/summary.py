"""Describe a network as a table of its layers."""

from __future__ import annotations

from ..core.text import Table, cut
from . import scales
from .sequential import Sequential


def summary(network: Sequential) -> Table:
    """Return a table of the layers, their output and the numbers of parameters and operations."""
    widths: list[int | None] = [None] * (len(network.layers) + 1)
    if network.input_width is not None:
        widths = list(network.widths(network.input_width))
    rows = [("layer", "kind", "output", "parameters", "operations")]
    parameters = operations = 0
    for layer, before, after in zip(network.layers, widths[:-1], widths[1:], strict=True):
        size = sum(parameter.value.size for parameter in layer.parameters())
        work = 0 if before is None else layer.operations(before)
        shape = f"(n, {'?' if after is None else after})"
        rows.append((layer.name, cut(repr(layer), 34), shape, f"{size:,}", f"{work:,}"))
        parameters, operations = parameters + size, operations + work
    rows.append(("total", "", "", f"{parameters:,}", f"{operations:,}"))
    return Table(rows, "<<>", ruled=True, caption=f"input: {scales.MEANING[network.scale]}")
