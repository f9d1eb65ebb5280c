"""The gradient of the loss with respect to the input of a network, in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.arrays import Array, Float32, Int64
from . import assembly
from .layers import Layer
from .losses import SoftmaxCrossEntropy


def input_gradient(
    layers: Sequence[Layer], rows: Array, labels: Int64, loss: SoftmaxCrossEntropy, kernels: Any = None
) -> Float32:
    """Return the gradient of each row's own loss with respect to the row, (n, d).

    Rows are (n, d), float32 or uint8. Layers of this package and their parameters stay unchanged. A program that
    records the call passes its own ``kernels``.

    Raises
    ------
    TypeError
        If a layer returns no gradient.
    """
    steps: list[tuple[Layer, Array, Float32]] = []
    x = rows
    for layer in layers:
        x = assembly.readable(layer, x, kernels)
        y = assembly.forward(layer, x, kernels=kernels)
        steps.append((layer, x, y))
        x = y
    x = assembly.as_floats(x, kernels)
    if type(loss) is SoftmaxCrossEntropy:
        loss.run(x, labels, np.ones(labels.size, np.float32), kernels)
        gradient = loss.backward(kernels)
    else:  # it returns the mean over the rows
        loss.forward(x, labels)
        gradient = loss.backward() * np.float32(labels.size)
    for layer, x, y in reversed(steps):
        gradient = assembly.backward_input(layer, gradient, x, y, kernels)
    return gradient
