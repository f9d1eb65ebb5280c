"""Moment normalisation of the input: bring each image to a standard position, slant and size."""

from __future__ import annotations

from typing import Any

from ... import backend
from ...backend import aligned
from ...core.arrays import Array, Float32
from ...core.validation import check_count
from .base import Layer

SIDE = 64  # the largest that the kernels take
# Standard deviations of a normalised image, as fractions of its height and width
SIGMA_Y = 0.186
SIGMA_X = 0.15


class MomentNorm(Layer):
    """Deslant, centre and scale each image by its moments, whatever a writer's slant and size.

    It is the first layer, and has nothing to train. The pixels of an image are weights: they have a centre of mass
    (r̄, c̄), variances v_rr and v_cc and a covariance v_rc. Pixel (r, c) of the new image is the old image at::

        r' = r̄ + k_y (r - (height - 1) / 2)
        c' = c̄ + k_x (c - (width - 1) / 2) + slant (r' - r̄)

        slant = v_rc / v_rr, from -1 to 1
        k_y = √(σ_y / σ_y0), σ_y² = v_rr
        k_x = √(σ_x / σ_x0), σ_x² = v_cc - 2 slant v_rc + slant² v_rr, that of the deslanted image

    interpolated bilinearly between four pixels, and 0 outside the old image. The square root changes a size half of the
    way to the standard one, σ_y0 = 0.186 · height and σ_x0 = 0.15 · width: what is very small or large keeps a part of
    that. k_y and k_x are limited to ½ … 2.

    Backward: the pixels have no gradient; `backward` returns None.

    Parameters
    ----------
    height, width : int
        Sides of the images, from 1 to 64.

    Raises
    ------
    TypeError, ValueError
        If a side is not an integer from 1 to 64.

    Notes
    -----
    An image without a pixel above 0 stays as it is. Pixels below 0 have no weight. An image in one row, such as a dot
    or a horizontal line, has no slant.

    Bytes become bytes, so the layer after this one multiplies them as fast as the images themselves. An image of
    float32 numbers k / 255, k from 0 to 255, becomes what the bytes k become, divided by 255. Coordinates are rounded
    to 1 / 256 of a pixel, and the results for bytes have the same bits on all processors.

    References
    ----------
    Casey (1970), Moment Normalization of Handprinted Characters, IBM Journal of Research and Development 14. LeCun,
    Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to Document Recognition, section III.A, for
    deslanting the digits of MNIST.

    Examples
    --------
    >>> import numpy as np
    >>> import fastdigits as fd
    >>> net = fd.NeuralNetwork([fd.MomentNorm(28, 28), fd.Dense(784, 10)], seed=0)
    >>> image = np.zeros((1, 28, 28), np.uint8)
    >>> image[0, 4:20, 3:6] = 255
    >>> moved = np.roll(image, (2, 9), axis=(1, 2))
    >>> bool((net.predict_proba(image) == net.predict_proba(moved)).all())
    True
    """

    prepares_input = True

    def __init__(self, height: int, width: int) -> None:
        self.height = self._checked_side(height, "height")
        self.width = self._checked_side(width, "width")

    @staticmethod
    def _checked_side(side: object, name: str) -> int:
        count = check_count(side, name, "MomentNorm")
        if count > SIDE:
            raise ValueError(f"MomentNorm: {name} must be at most {SIDE}; got {count}")
        return count

    @property
    def n(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def sigmas(self) -> tuple[float, float]:
        """The standard deviations to which images are brought, in rows and in columns."""
        return SIGMA_Y * self.height, SIGMA_X * self.width

    def forward(self, x: Array, training: bool = False, kernels: Any = None) -> Array:
        """Return the normalised images, (n, height · width), for ``x`` of the same shape and dtype.

        ``x`` is float32, or uint8 for pixels.
        """
        x = self._check_x(x, self.n, pixels=True)
        y = aligned.empty(*x.shape, dtype=x.dtype)
        kernels = kernels or backend.kernels
        door = kernels.moment_norm_uint8 if x.dtype.kind == "u" else kernels.moment_norm
        door(y, x, self.height, self.width, *self.sigmas)
        if training:
            self._saved = x.shape
        return y

    def backward(self, dy: Float32, kernels: Any = None) -> None:
        """Return None: pixels have no gradient."""
        self._check_dy(dy, self._cached())

    def output_width(self, width: int) -> int:
        """Return the number of pixels; the input must have this width."""
        if width != self.n:
            raise ValueError(
                f"{self._subject}: the input must have width {self.n}; got {width}: give height and width of the images"
            )
        return width

    def operations(self, width: int) -> int:
        """Return six multiply-adds per pixel: two for the moments, four between pixels."""
        return 6 * self.n
