"""Augmentation: digits that are turned, stretched, slanted, moved and bent a little, differently in each epoch.

It makes images out of images; training is the part of others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core.arrays import Array, Float32, Int64, as_array
from ..core.validation import check_count, check_number
from ..nn import scales

SIDE = 64  # largest height and width that the kernel takes
REACH = 3  # standard deviations after which a Gaussian counts as zero; 0.3 % of it lies beyond


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random distortions of images, each drawn again for each image in each epoch.

    A pixel at p of the new image is taken from the old one at
    M · (p - centre - shift) + centre + alpha · field(p), bilinearly between four pixels, blank outside, where
    M is the inverse of rotation · shear · scale. Numbers are drawn uniformly between minus and plus the most
    that is given here; horizontal and vertical scale and shift are drawn by themselves.

    Parameters
    ----------
    rotation : float, default 10.0
        Most degrees, 0 … 180, either way.
    scale : float, default 0.1
        Most by which a side grows or shrinks, as a fraction, 0 … 0.5.
    shear : float, default 0.1
        Most columns that a row moves for each row of distance from the centre, 0 … 1.
    shift : float, default 1.5
        Most pixels, 0 … 64, in each direction.
    alpha : float, default 0.0
        Size of the elastic distortion, 0 … 10,000; 0 leaves it out. Simard and others take 34 with sigma 4
        for images of 28 × 28 pixels: displacements then have a standard deviation of 1.4 pixels.
    sigma : float, default 4.0
        How smooth the elastic distortion is: standard deviation of the Gaussian in pixels, 1 … 64.
    fade : float, default 0.0
        Part of the epochs of one `NeuralNetwork.fit`, its last part, over which all of it shrinks in a
        straight line, 0 … 1. The last epoch then sees the images as they are.

    Raises
    ------
    TypeError
        If an argument is no number.
    ValueError
        If one is out of range.

    Notes
    -----
    What is drawn is a function of (seed, epoch, row of the image) alone: neither threads nor the batch nor the
    order change it, and a training that is continued goes on with the same images.

    The field of Simard, Steinkraus and Platt is noise, uniform in -1 … 1 in each pixel, smoothed by a Gaussian
    whose weights sum to 1. Here noise of the same kind stands on knots that are sigma pixels apart, and the
    same Gaussian, scaled by sigma, spreads it. A Gaussian that wide sees no difference: variance and covariances of the
    field are the same to one part in 10⁴ inside the image (a Gaussian's sum over such a grid differs from its
    integral by 2 · exp(-π²)), except for what `REACH` cuts off. What differs is the distribution of a single
    displacement, a sum of fewer random numbers.

    References
    ----------
    Simard, Steinkraus, Platt (2003), Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis, section 2. Cireşan, Meier, Gambardella, Schmidhuber (2010), Deep, Big, Simple Neural
    Nets for Handwritten Digit Recognition, for the sizes of distortions.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdigits.augment import Augmentation
    >>> images = np.zeros((2, 28, 28), dtype=np.uint8)
    >>> Augmentation(rotation=15, alpha=34).apply(images, seed=1).shape
    (2, 28, 28)
    """

    rotation: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 1.5
    alpha: float = 0.0
    sigma: float = 4.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        most = {
            "rotation": 180,
            "scale": 0.5,
            "shear": 1,
            "shift": SIDE,
            "alpha": 10_000,
            "sigma": SIDE,
            "fade": 1,
        }
        for name, limit in most.items():
            least = 1 if name == "sigma" else 0
            value = check_number(getattr(self, name), name, "Augmentation", least=least, most=limit)
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the call that makes another like it; what has its default is left out."""
        shown = [
            f"{field.name}={getattr(self, field.name):g}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"Augmentation({', '.join(shown)})"

    def apply(self, images: object, *, seed: int = 0, epoch: int = 0) -> Array:
        """Return distorted copies of images.

        Parameters
        ----------
        images : array_like, (n, height, width) or (n, side · side)
            Pixels, whole numbers from 0 (blank) to 255 (full ink) of any dtype. Sides of 64 pixels at most.
        seed, epoch : int, default 0
            Decide what is drawn, with an image's row. At least 0.

        Returns
        -------
        ndarray of uint8
            A new array of the same shape.

        Raises
        ------
        TypeError
            If the images hold no real numbers.
        ValueError
            If their shape or their values are not as described.
        """
        array = as_array(images, "Augmentation: images")
        height, width = image_sides(array, "Augmentation: images")
        rows = scales.to_uint8(array.reshape(len(array), height * width), "Augmentation: images")
        seed = check_count(seed, "seed", "Augmentation", least=0) & 0xFFFF_FFFF_FFFF_FFFF
        epoch = check_count(epoch, "epoch", "Augmentation", least=0)
        distorted = aligned.empty(*rows.shape, dtype=np.uint8)
        backend.kernels.augment(
            distorted, rows, np.arange(len(rows)), np.array([epoch], dtype=np.int64),
            self.distortion(), self.taps(height, width), height, width, seed,
        )  # fmt: skip
        return distorted.reshape(array.shape)

    def strength(self, number: int, epochs: int) -> float:
        """Return what the distortions are multiplied by in epoch ``number``, from 0 on, of ``epochs``."""
        if self.fade == 0:
            return 1.0
        return min(1.0, (epochs - 1 - number) / (self.fade * epochs))

    # -- for the kernel ------------------------------------------------------------------------------------

    def distortion(self, strength: float = 1.0) -> Array:
        """Return the most of each distortion as the kernel takes it, (5,) float64."""
        most = [math.radians(self.rotation), self.scale, self.shear, self.shift, self.alpha]
        return strength * np.array(most, dtype=np.float64)

    def taps(self, height: int, width: int) -> Float32:
        """Return how much each knot of a field counts in each pixel of a row or column, (knots, longest side)."""
        longest = max(height, width)
        if self.alpha == 0:
            return np.zeros((0, longest), dtype=np.float32)
        first, last = -REACH, math.ceil((longest - 1) / self.sigma) + REACH
        knots = self.sigma * np.arange(first, last + 1)
        distance = (np.arange(longest) - knots[:, np.newaxis]) / self.sigma
        # √sigma in each direction: as much variance from knots that are sigma apart as from noise in each pixel
        weight = np.exp(-(distance**2) / 2) / math.sqrt(2 * math.pi * self.sigma)
        return np.where(np.abs(distance) <= REACH, weight, 0).astype(np.float32)


def image_sides(images: Array, subject: str) -> tuple[int, int]:
    """Return height and width of images that can be augmented.

    Raises
    ------
    ValueError
        If they are neither (n, height, width) nor rows of square images, or too large.
    """
    side = math.isqrt(images.shape[1]) if images.ndim == 2 else 0
    if images.ndim == 3:
        height, width = images.shape[1:]
    elif images.ndim == 2 and side * side == images.shape[1]:
        height = width = side
    else:
        raise ValueError(
            f"{subject} must be (n, height, width), or rows of square images, to be augmented; got {images.shape}"
        )
    if not (1 <= height <= SIDE and 1 <= width <= SIDE):
        raise ValueError(
            f"{subject} must be at most {SIDE} × {SIDE} pixels to be augmented; got {height} × {width}"
        )
    return height, width


class Augmenter:
    """The augmentation of one training: the kernel's arrays, and what of them changes from epoch to epoch.

    Parameters
    ----------
    augmentation : Augmentation
    height, width : int
        Sides of the images.
    seed : int
        Decides what is drawn.
    """

    def __init__(self, augmentation: Augmentation, height: int, width: int, seed: int) -> None:
        self.augmentation = augmentation
        self._sides = height, width
        self._seed = seed
        self._epoch: Int64 = np.zeros(1, dtype=np.int64)
        self._distortion = augmentation.distortion()
        self._taps = augmentation.taps(height, width)

    def begin(self, epoch: int, number: int, epochs: int) -> None:
        """Begin an epoch: ``epoch`` over the network's life, ``number`` of ``epochs`` of this training."""
        self._epoch[0] = epoch
        self._distortion[...] = self.augmentation.distortion(self.augmentation.strength(number, epochs))

    def run(self, y: Any, x: Any, rows: Int64, kernels: Any = None) -> None:
        """Write the distorted images of x[rows] into y; a program that records this passes ``kernels``."""
        (kernels or backend.kernels).augment(
            y, x, rows, self._epoch, self._distortion, self._taps, *self._sides, self._seed
        )
