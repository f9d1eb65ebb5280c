"""Augmentation: distort images at random, differently in each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core.arrays import Array, Float32, Int64, as_array
from ..core.validation import check_count, check_number
from ..data.labels import is_table
from ..nn import scales

NO_KEYS: Int64 = np.zeros(0, dtype=np.int64)
SIDE = 64  # largest height and width that the kernel takes
NO_TABLE = "augmentation is for images, omit it for a table"  # the end of an error message
REACH = 3  # standard deviations at which the Gaussian is cut off; 0.3 % of it lies beyond


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random distortions of images, drawn again for each image in each epoch.

    Pixel p of the new image is the old image at M · (p - centre - shift) + centre + alpha · field(p), interpolated
    bilinearly between four pixels and 0 outside the image. M is the inverse of rotation · shear · scale. Each number
    is uniform between minus and plus the maximum given here; horizontal and vertical scale and shift are
    independent. Before this, strokes become thicker or thinner; after it, a square becomes blank.

    Parameters
    ----------
    rotation : float, default 10.0
        Largest angle in degrees, 0 … 180, in both directions.
    scale : float, default 0.1
        Largest change of a side, as a fraction of it, 0 … 0.5.
    shear : float, default 0.1
        Largest shift of a row, in columns per row of distance from the centre, 0 … 1.
    shift : float, default 1.5
        Largest shift in pixels, 0 … 64, in each direction.
    alpha : float, default 0.0
        Size of the elastic distortion, 0 … 10,000; 0 for none. Simard et al. use 34 with sigma 4 for images of
        28 × 28 pixels; displacements then have a standard deviation of 1.4 pixels.
    sigma : float, default 4.0
        Smoothness of the elastic distortion: standard deviation of the Gaussian in pixels, 1 … 64.
    thickness : float, default 0.0
        Pixels by which strokes become thicker or thinner on each side, at most, 0 … 3.
    cutout : float, default 0.0
        Longest side of a square that becomes 0, in pixels, 0 … 64. The side is uniform in 0 … cutout, rounded; the
        centre is anywhere in the image, so that a part of the square may lie outside.
    fade : float, default 0.0
        Last fraction of the epochs of one `NeuralNetwork.fit`, 0 … 1, in which all distortions decrease linearly. The
        last epoch then has the original images.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If an argument is out of range.

    Notes
    -----
    The random numbers depend on (seed, epoch, row of the image) only. Threads, batches and order do not change
    them, and a resumed training continues with the same images.

    The field of Simard, Steinkraus and Platt is noise, uniform in -1 … 1 in each pixel, smoothed by a Gaussian
    whose weights sum to 1. Here the noise is on knots that are sigma pixels apart, and the same Gaussian, scaled by
    sigma, interpolates it. Inside the image, variance and covariances of the field agree to one part in 10⁴ (the sum
    of a Gaussian over this grid differs from its integral by 2 · exp(-π²)), except for the part that `REACH` cuts
    off. The distribution of a single displacement differs: it is a sum of fewer random numbers.

    Strokes become thicker by grey dilations and thinner by grey erosions: the first with a cross of 5 pixels, the
    second with a square of 9, the third with a cross, so that round ends stay round. The last one counts in part, for
    fractions of a pixel. A stroke that is too thin does not disappear: what an erosion removes wholly, so that a
    dilation does not bring it back, keeps half of its grey.

    References
    ----------
    Simard, Steinkraus, Platt (2003), Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis, section 2. Cireşan, Meier, Gambardella, Schmidhuber (2010), Deep, Big, Simple Neural
    Nets for Handwritten Digit Recognition, for the sizes of distortions. DeVries, Taylor (2017), Improved
    Regularization of Convolutional Neural Networks with Cutout; there all squares are equally large.

    Examples
    --------
    >>> import numpy as np
    >>> import fastdigits as fd
    >>> images = np.zeros((2, 28, 28), dtype=np.uint8)
    >>> fd.Augmentation(rotation=15, alpha=34).apply(images, seed=1).shape
    (2, 28, 28)
    """

    rotation: float = 10.0
    scale: float = 0.1
    shear: float = 0.1
    shift: float = 1.5
    alpha: float = 0.0
    sigma: float = 4.0
    thickness: float = 0.0
    cutout: float = 0.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        most = {
            "rotation": 180,
            "scale": 0.5,
            "shear": 1,
            "shift": SIDE,
            "alpha": 10_000,
            "sigma": SIDE,
            "thickness": 3,
            "cutout": SIDE,
            "fade": 1,
        }
        for name, limit in most.items():
            least = 1 if name == "sigma" else 0
            value = check_number(getattr(self, name), name, "Augmentation", least=least, most=limit)
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Return the call that makes an equal one, without arguments that have their defaults."""
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
            With an image's row, they decide the random numbers. At least 0.

        Returns
        -------
        ndarray of uint8
            A new array of the same shape.

        Raises
        ------
        TypeError
            If the images are not real numbers.
        ValueError
            If their shape or their values are not as described.
        """
        array = as_array(images, "Augmentation: images")
        height, width = image_sides(array.shape, "Augmentation: images")
        rows = scales.to_uint8(array.reshape(len(array), height * width), "Augmentation: images")
        seed = check_count(seed, "seed", "Augmentation", least=0) & 0xFFFF_FFFF_FFFF_FFFF
        epoch = check_count(epoch, "epoch", "Augmentation", least=0)
        distorted = aligned.empty(*rows.shape, dtype=np.uint8)
        backend.kernels.augment(
            distorted, rows, np.arange(len(rows)), NO_KEYS, np.array([epoch], dtype=np.int64),
            self.distortion(), self.taps(height, width), height, width, seed,
        )  # fmt: skip
        return distorted.reshape(array.shape)

    def strength(self, number: int, epochs: int) -> float:
        """Return the factor of the distortions in epoch ``number`` of ``epochs``, counted from 0."""
        if self.fade == 0:
            return 1.0
        return min(1.0, (epochs - 1 - number) / (self.fade * epochs))

    # -- for the kernel ------------------------------------------------------------------------------------

    def distortion(self, strength: float = 1.0) -> Array:
        """Return the maximum of each distortion as the kernel takes it, (7,) float64."""
        most = [
            math.radians(self.rotation), self.scale, self.shear, self.shift, self.alpha, self.thickness, self.cutout,
        ]  # fmt: skip
        return strength * np.array(most, dtype=np.float64)

    def taps(self, height: int, width: int) -> Float32:
        """Return the weight of each knot of a field in each pixel of a row or column, (knots, longest side)."""
        longest = max(height, width)
        if self.alpha == 0:
            return np.zeros((0, longest), dtype=np.float32)
        first, last = -REACH, math.ceil((longest - 1) / self.sigma) + REACH
        knots = self.sigma * np.arange(first, last + 1)
        distance = (np.arange(longest) - knots[:, np.newaxis]) / self.sigma
        # √sigma in each direction: knots sigma pixels apart give the variance of noise in each pixel
        weight = np.exp(-(distance**2) / 2) / math.sqrt(2 * math.pi * self.sigma)
        return np.where(np.abs(distance) <= REACH, weight, 0).astype(np.float32)


def image_sides(shape: tuple[int, ...], subject: str) -> tuple[int, int]:
    """Return height and width of images of this shape that can be augmented.

    Raises
    ------
    ValueError
        If they are neither (n, height, width) nor rows of square images, or too large.
    """
    side = math.isqrt(shape[1]) if len(shape) == 2 else 0
    if len(shape) == 3:
        height, width = shape[1:]
    elif len(shape) == 2 and side * side == shape[1]:
        height = width = side
    else:
        raise ValueError(
            f"{subject} must be (n, height, width), or rows of square images, to be augmented; got {shape}: "
            f"{NO_TABLE}"
        )
    if is_table((height, width)):
        raise ValueError(
            f"{subject} must be images to be augmented; got {shape}, rows of a table: {NO_TABLE}"
        )
    if not (1 <= height <= SIDE and 1 <= width <= SIDE):
        raise ValueError(
            f"{subject} must be at most {SIDE} × {SIDE} pixels to be augmented; got {height} × {width}"
        )
    return height, width


class Augmenter:
    """The augmentation of one training: the kernel's arrays, updated in each epoch.

    Parameters
    ----------
    augmentation : Augmentation
    height, width : int
        Sides of the images.
    seed : int
        Of the random numbers.
    keys : ndarray, (n,) int64, optional
        Numbers of the images for the random numbers; by default their rows.
    """

    def __init__(
        self, augmentation: Augmentation, height: int, width: int, seed: int, keys: Int64 | None = None
    ) -> None:
        self.augmentation = augmentation
        self._sides = height, width
        self._seed = seed
        self._keys = NO_KEYS if keys is None else keys
        self._epoch: Int64 = np.zeros(1, dtype=np.int64)
        self._distortion = augmentation.distortion()
        self._taps = augmentation.taps(height, width)

    def begin(self, epoch: int, number: int, epochs: int) -> None:
        """Begin an epoch: ``epoch`` of the network, ``number`` of the ``epochs`` of this training."""
        self._epoch[0] = epoch
        self._distortion[...] = self.augmentation.distortion(self.augmentation.strength(number, epochs))

    def run(self, y: Any, x: Any, rows: Int64, kernels: Any = None) -> None:
        """Write the distorted images of x[rows] into y; a recording passes its own ``kernels``."""
        (kernels or backend.kernels).augment(
            y, x, rows, self._keys, self._epoch, self._distortion, self._taps, *self._sides, self._seed
        )
