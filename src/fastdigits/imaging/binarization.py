"""Separate ink from paper: measure the ink in each pixel, for any light, paper and pen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..core.arrays import Array, Float32

WORK_SIDE = 1200  # pixels; a larger image is reduced first. The digits of a page are still 30 pixels high
DIRECTION_SIDE = 64  # pixels: the longer side of the image in which the direction of the ink is estimated
# The width of a neighbourhood as a share of that side, and samples along each side of it for its median. The first
# serves a bold digit that fills the image, the second digits among shadows.
NEIGHBOURHOODS = ((1.5, 19), (0.5, 13))
PAPER_SIDE = 240  # pixels: the longer side of the image from which the background is estimated
WIDEST_STROKE = 0.3  # of the shorter side: wider regions are paper or table
LEAST_CONTRAST = 0.06  # of the full range: less is a flaw of the paper or of JPEG
BIMODAL = 0.8  # of the variance, explained by two classes; those of Gaussian noise explain 0.64
NOISY = 0.1  # of full ink: the standard deviation of noise that makes the image smaller, down to this side in pixels
LEAST_SIDE = 60
LEAST_SIGNAL = 6.0  # standard deviations of the paper's noise


@dataclass(frozen=True)
class Foreground:
    """The ink of an image.

    Attributes
    ----------
    amount : ndarray, (h, w) float32
        0 is paper, 1 is ink; values between are edges or faint strokes.
    noise : float
        Standard deviation of ``amount`` on the paper.
    factor : int
        Pixels of the image per element of ``amount``, along each side.
    """

    amount: Float32
    noise: float
    factor: int


def find_foreground(image: Image.Image, *, flat: bool = False) -> Foreground | None:
    """Return the ink of an image of mode ``L``, ``RGB`` or ``F``; None if the paper is blank.

    Parameters
    ----------
    image : PIL.Image.Image
    flat : bool, default False
        Whether the paper has one shade, as in a tight crop of a digit, where too little paper is left to measure more.
        Also None then if two shades do not describe the image.

    Notes
    -----
    1. Direction of the ink in colour space. The median of a neighbourhood is paper. Ink is the direction of the
       largest deviation from it (the first principal component), with the sign of the longer tail. This serves dark
       on light, light on dark, and red on green.
    2. Background under the ink: a morphological opening along that direction. It removes all regions narrower than
       `WIDEST_STROKE` and keeps shadows, their edges, and the surroundings of the paper.
    3. Difference from the background, relative to it, because a shadow dims ink and paper by the same factor.
    4. Level of full ink: Otsu's threshold on the pixels above the noise, then the median above it.
    5. If the paper is noisy, or no ink exceeds the noise, the same at half the scale: means of pixels have less noise.
    """
    factor = max(1, -(-max(image.size) // WORK_SIDE))
    found = None
    while found is None or found.noise > NOISY:
        found = _measured(image, factor, flat) or found
        factor *= 2
        if max(image.size) < LEAST_SIDE * factor:
            break
    return found


def _measured(image: Image.Image, factor: int, flat: bool) -> Foreground | None:
    """Return the ink at a scale."""
    reduced = _reduced(image, factor)
    values, axis = _pixels(reduced), _direction(reduced)
    signal = (values @ axis).astype(np.float32)
    paper = _flat_background(signal) if flat else _background(signal)
    if paper is None:
        return None
    amount = signal - paper
    if axis.sum() < 0:  # dark ink absorbs a share of the light that the paper reflects
        amount /= np.maximum(-paper, 0.05)
    blank = amount if (dark := _lower_class(amount)) is None else amount[dark]
    amount -= np.median(blank)
    noise = _noise(blank - np.median(blank))
    level = _foreground_level(amount, max(LEAST_SIGNAL * noise, LEAST_CONTRAST))
    if level is None:
        return None
    return Foreground(amount / np.float32(level), noise / level, factor)


# -- pixels ------------------------------------------------------------------------------------------------


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    return image if factor == 1 else image.reduce(factor)


def _reduced_to(image: Image.Image, side: int) -> Image.Image:
    return _reduced(image, max(1, round(max(image.size) / side)))


def _pixels(image: Image.Image) -> Float32:
    """Return the image as (h, w, channels), 0 … 1."""
    values = np.asarray(image, dtype=np.float32) / np.float32(255)
    return values[:, :, np.newaxis] if values.ndim == 2 else values


# -- direction of the ink ----------------------------------------------------------------------------------


def _direction(image: Image.Image) -> Float32:
    """Return the unit vector along which ink differs from paper, (channels,)."""
    values = _pixels(_reduced_to(image, DIRECTION_SIDE))
    estimates = [_principal_direction(values - _local_median(values, *each)) for each in NEIGHBOURHOODS]
    skew, axis = max(estimates, key=lambda pair: abs(pair[0]))
    return (axis if skew >= 0 else -axis).astype(np.float32)


def _principal_direction(deviations: Float32) -> tuple[float, Array]:
    """Return the skewness along the direction of the largest deviations, and that direction."""
    flat = deviations.reshape(-1, deviations.shape[2]).astype(np.float64)
    # Weights by size: noise and faint colour have no influence.
    weighted = flat * np.abs(flat).max(axis=1, keepdims=True)
    axis = np.linalg.eigh(weighted.T @ weighted)[1][:, -1]
    along = flat @ axis
    spread = np.sqrt(np.mean(along**2))
    return (float(np.mean(along**3) / spread**3) if spread > 0 else 0.0), axis


def _local_median(values: Float32, share: float, samples: int) -> Float32:
    height, width, channels = values.shape
    if channels > 1 and (values == values[:, :, :1]).all():  # grey: one median serves for all channels
        return np.repeat(_local_median(values[:, :, :1], share, samples), channels, axis=2)
    reach = max(1, round(share * max(height, width) / 2))
    step = max(1, 2 * reach // samples)
    window = 2 * reach + 1
    padded = _extended(values, reach)
    views: Any = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(0, 1))
    coarse = views[::step, ::step, :, ::step, ::step]  # the median of the next pixel is nearly the same
    median = np.median(coarse.reshape(*coarse.shape[:3], -1), axis=-1).astype(np.float32)
    whole: Float32 = np.repeat(np.repeat(median, step, axis=0), step, axis=1)[:height, :width]
    return whole


def _extended(values: Float32, reach: int) -> Float32:
    """Return the values with a border of paper, ``reach`` pixels wide, in which ink at the edge does not continue.

    The border is a running median along each edge, over the whole edge in its middle and over half of it at a corner.
    """
    for axis in (0, 1):
        ends = []
        for edge in np.moveaxis(values, axis, 0)[[0, -1]]:
            half = edge.shape[0] // 2
            mirrored = np.pad(edge, ((half, half), *[(0, 0)] * (edge.ndim - 1)), mode="symmetric")
            windows: Any = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * half + 1, axis=0)
            ends.append(np.median(windows[..., :: max(1, half // 16)], axis=-1).astype(np.float32))
        first, last = (np.repeat(np.expand_dims(end, axis), reach, axis) for end in ends)
        values = np.concatenate([first, values, last], axis)
    return values


# -- the background ----------------------------------------------------------------------------------------


def _background(signal: Float32) -> Float32:
    """Return the signal of the paper at each pixel; that of ink is higher."""
    height, width = signal.shape
    factor = max(1, round(max(height, width) / PAPER_SIDE))
    small = np.asarray(_reduced(Image.fromarray(signal), factor))
    window = (
        max(5, round(WIDEST_STROKE * min(small.shape)), round(WIDEST_STROKE / 1.5 * max(small.shape))) | 1
    )
    reach = 2 * (window // 2)
    wide = _extended(small, reach)
    opened = _sliding_extreme(np.maximum, _sliding_extreme(np.minimum, wide, window), window)[
        reach:-reach, reach:-reach
    ]
    if factor == 1:
        return opened
    whole = Image.fromarray(opened).resize(
        (width, height), Image.Resampling.BILINEAR, box=(0, 0, width / factor, height / factor)
    )
    return np.asarray(whole)


def _flat_background(signal: Float32) -> Float32 | None:
    """Return the median of the paper at each pixel; None if the signal has no two classes."""
    paper = _lower_class(signal)
    return None if paper is None else np.full_like(signal, np.median(signal[paper]))


def _sliding_extreme(extreme: Any, values: Array, window: int) -> Array:
    """Return the extreme of each window of window × window pixels, from windows that double in width."""
    reach = window // 2
    for axis in (0, 1):
        moved = np.moveaxis(
            np.pad(values, [(reach, reach) if axis == at else (0, 0) for at in (0, 1)], "edge"), axis, 0
        )
        width = 1
        while 2 * width <= window:
            moved, width = extreme(moved[:-width], moved[width:]), 2 * width
        if rest := window - width:
            moved = extreme(moved[:-rest], moved[rest:])
        values = np.moveaxis(moved, 0, axis)
    return values


# -- the level of full ink ---------------------------------------------------------------------------------


def _lower_class(values: Float32) -> Array | None:
    """Return which values are below Otsu's threshold; None if this does not divide them into two classes."""
    below: Array = values <= otsu(values)
    share = float(below.mean())
    if not 0 < share < 1:
        return None
    between = share * (1 - share) * float(values[~below].mean() - values[below].mean()) ** 2
    return below if between > BIMODAL * float(values.var()) else None


def _noise(amount: Float32) -> float:
    """Return the standard deviation of the paper's noise, from the pixels below the median 0, which are free of ink."""
    below = amount[amount <= 0]
    return float(1.4826 * np.median(-below)) if below.size else 0.0


def _foreground_level(amount: Float32, least: float) -> float | None:
    """Return the amount of full ink; None if no pixel exceeds ``least``."""
    strong = amount[amount > least]
    if strong.size < 3:
        return None
    if np.ptp(strong) < LEAST_CONTRAST:  # drawn by a program: all these pixels are ink
        return float(np.median(strong))
    return float(np.median(strong[strong >= otsu(strong)]))


def otsu(values: Float32) -> float:
    """Return the threshold that maximizes the variance between two classes of values (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins=128)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sums = np.cumsum(counts * centres)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(total - below, 1)
    return float(edges[1 + np.argmax(below * (total - below) * (mean_below - mean_above) ** 2)])
