"""Adversarial training: move images in the direction in which their loss grows most, and train on them.

Goodfellow, Shlens, Szegedy (2015), Explaining and Harnessing Adversarial Examples, section 5; Miyato, Maeda, Koyama,
Ishii (2019), Virtual Adversarial Training, equations 3 and 4, for steps of a given Euclidean length.
"""

from __future__ import annotations

from typing import Any

from .. import backend
from ..core.arrays import Array, Float32, Int64
from ..nn import assembly
from ..nn.input_gradient import input_gradient
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.sequential import Sequential


def forward(
    network: Sequential,
    rows: Array,
    labels: Int64,
    loss: SoftmaxCrossEntropy,
    length: float,
    kernels: Any = None,
) -> Float32:
    """Return the logits of a forward pass in training, after the first half of the batch has been moved.

    Each of these rows moves by ``length`` along the gradient of its loss in evaluation: in its numbers or, where a
    layer prepares the input, in those after that layer. With a length of 0, nothing moves. A program that records the
    pass gives its own ``kernels``.

    Parameters
    ----------
    network : Sequential
    rows : ndarray, (n, d), uint8 or float32
        The batch; float32 is changed in place.
    labels : ndarray, (n,) int64
    loss : SoftmaxCrossEntropy
    length : float
    kernels : optional

    Returns
    -------
    ndarray, (n, classes) float32
    """
    if length == 0:
        return network.run(rows, training=True, kernels=kernels)
    layers, half = network.layers, -(-labels.size // 2)
    if layers[0].prepares_input:
        first, layers = layers[0], layers[1:]
        rows = assembly.forward(first, assembly.readable(first, rows, kernels), True, kernels)
    moved = assembly.as_floats(rows, kernels)
    gradient = input_gradient(layers, rows[:half], labels[:half], loss, kernels)
    (kernels or backend.kernels).perturb(moved[:half], gradient, length)
    return assembly.run(layers, moved, training=True, kernels=kernels)
