"""What the neurons of the first layer look for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..inputs import as_array, check_count
from .canvas import bare, height_and_width, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def first_layer_weights(
    weight: object, image_shape: tuple[int, int] = (28, 28), *, count: int = 64
) -> Figure:
    """Draw what each neuron of the first layer looks for: its weights, one a pixel, as an image.

    Parameters
    ----------
    weight : array_like, (height · width, n_out)
        Value of the first layer's weight.
    image_shape : (int, int), default (28, 28)
    count : int, default 64
        How many neurons at most, from the first on.

    Raises
    ------
    TypeError
        If ``image_shape`` is no pair of integers.
    ValueError
        If the weight has not one row a pixel or is not finite.
    """
    values = as_array(weight, "first_layer_weights: weight")
    count = check_count(count, "count", "first_layer_weights")
    image_shape = height_and_width(image_shape, "first_layer_weights")
    if values.ndim != 2 or values.size == 0 or values.shape[0] != math.prod(image_shape):
        raise ValueError(
            f"first_layer_weights: weight must be ({math.prod(image_shape)}, n_out), one row a pixel of "
            f"{image_shape}; got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("first_layer_weights: weight must be finite; got NaN or infinity: training diverged")
    neurons = values.T[:count].reshape(-1, *image_shape)
    columns = math.ceil(math.sqrt(len(neurons)))
    rows = math.ceil(len(neurons) / columns)
    figure = new_figure(max(4.2, 0.95 * columns + 1.3), max(3.6, 0.95 * rows + 0.8))  # for the words
    grid = figure.subplots(rows, columns, squeeze=False)
    # Pixels that are never lit keep their random start; the colour's ends are set by the middle 99 %.
    limit = float(np.quantile(np.abs(neurons), 0.99)) or 1.0
    for axes in grid.flat[len(neurons) :]:
        axes.axis("off")
    image = None
    for axes, neuron in zip(grid.flat, neurons, strict=False):
        bare(axes)
        image = axes.imshow(neuron, cmap="RdBu_r", vmin=-limit, vmax=limit)
    if image is not None:
        figure.colorbar(
            image,
            ax=grid,
            shrink=0.9 if rows < 4 else 0.6,
            label="weight: red for ink, blue against it",
            extend="both",
        )
    figure.suptitle(f"First layer: {len(neurons)} of {values.shape[1]} neurons", fontsize=12)
    return figure
