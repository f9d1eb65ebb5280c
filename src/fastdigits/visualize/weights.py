"""The weights of the first layer as images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..core.arrays import as_array
from ..core.validation import check_count
from .canvas import (
    EDGE,
    HEAD,
    LABEL,
    TITLE,
    add_axes,
    height_and_width,
    new_sheet,
    signed_colours,
    text_width,
    whole,
    write_head,
)
from .mosaic import Grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def first_layer_weights(
    weight: object, image_shape: tuple[int, int] = (28, 28), *, count: int = 64
) -> Figure:
    """Draw the weights of each neuron in the first layer as an image, one weight per pixel.

    Parameters
    ----------
    weight : array_like, (height · width, n_out)
        Value of the first layer's weight.
    image_shape : (int, int), default (28, 28)
    count : int, default 64
        Maximum number of neurons, from the first.

    Raises
    ------
    TypeError
        If ``image_shape`` is not a pair of integers.
    ValueError
        If the weight does not have one row per pixel or is not finite.
    """
    values = as_array(weight, "first_layer_weights: weight")
    count = check_count(count, "count", "first_layer_weights")
    image_shape = height_and_width(image_shape, "first_layer_weights")
    if values.ndim != 2 or values.size == 0 or values.shape[0] != math.prod(image_shape):
        raise ValueError(
            f"first_layer_weights: weight must be ({math.prod(image_shape)}, n_out), one row per pixel of "
            f"{image_shape}; got {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("first_layer_weights: weight must be finite; got NaN or infinity: training diverged")
    neurons = values.T[:count].reshape(-1, *image_shape)
    columns = math.ceil(math.sqrt(len(neurons)))
    rows = math.ceil(len(neurons) / columns)
    # The largest 1 % are ignored for the range of colours: pixels that are always zero keep random weights.
    limit = float(np.quantile(np.abs(neurons), 0.99)) or 1.0
    title = f"First layer: {len(neurons)} of {values.shape[1]} neurons"
    grid = Grid.fitted(image_shape, side=min(1.5, max(0.75, 5 / columns)), gaps=(0.08, 0.08))
    height, width = grid.extent(rows, columns)
    bar = 1.3  # width of the colour bar with its labels
    spare = max(0, text_width([title], TITLE) + 2 * EDGE - width - bar)
    left, top = whole(EDGE + spare / 2), whole(HEAD)
    tall = min(max(height, 2.9), 5.5)  # height of the bar; its label needs 2.6 inches
    figure, axes = new_sheet(left + width + bar + spare / 2, top + max(height, tall) + EDGE)
    image = grid.draw(
        axes,
        neurons,
        [divmod(place, columns) for place in range(len(neurons))],
        (left, whole(top + max(0, tall - height) / 2)),
        cmap=signed_colours(),
        vmin=-limit,
        vmax=limit,
    )
    beside = add_axes(figure, left + width + 0.2, top + max(0, height - tall) / 2, 0.2, tall)
    figure.colorbar(image, cax=beside, extend="both").set_label(
        "weight: blue is positive, orange is negative", size=LABEL
    )
    beside.tick_params(labelsize=LABEL)
    write_head(figure, title)
    return figure
