"""Tell ink from paper: how much ink is in each pixel of a picture, whatever the light, the paper and the pen.

Nothing here knows what a digit is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..core.arrays import Array, Float32

WORK_SIDE = 1200  # pixels; a larger picture is looked at reduced. A page's digits are still 30 pixels high
# At each of these scales it is asked which side is ink: pixels along the picture, width of a neighbourhood as a share
# of that, samples along each side of the neighbourhood, of which the median is taken, and how much the answer counts.
# The first is for a bold digit that fills the picture; the last, for small ones among shadows, takes holes of bold ones
# for ink. On 840 pictures of training images, fonts and strokes its weights from 0.5 to 0.9 were never wrong.
SCALES = ((64, 1.5, 19, 1.0), (64, 0.5, 13, 1.0), (200, 0.125, 7, 0.7))
PAPER_SIDE = 240  # for the background
WIDEST_STROKE = 0.3  # of the shorter side: what is wider is paper, or the table that it lies on
LEAST_CONTRAST = 0.06  # of the full range: less is a flaw of the paper or of JPEG
LEAST_SIGNAL = 6.0  # standard deviations of the paper's noise


@dataclass(frozen=True)
class Ink:
    """What is written.

    Attributes
    ----------
    amount : ndarray, (h, w) float32
        0 is paper, 1 is ink; what lies between may be an edge or a faint stroke.
    noise : float
        Standard deviation of ``amount`` on the paper.
    factor : int
        Pixels of the picture for one of ``amount``, along each side.
    """

    amount: Float32
    noise: float
    factor: int


def find_ink(image: Image.Image) -> Ink | None:
    """Return the ink of a picture of mode ``L``, ``RGB`` or ``F``; None where there is nothing but paper.

    Notes
    -----
    1. Which way does ink differ from paper? Paper is what most of a neighbourhood is, its median. The direction in
       which pixels stray from it most (the first principal component) is that of ink; its sign is the one of
       the longer tail. So dark on light, light on dark, and red on green come out alike.
    2. The paper under the ink: a morphological opening along that direction, which takes away all that is
       narrower than `WIDEST_STROKE` and keeps shadows, their edges, and what lies around the paper.
    3. How much darker than this paper, as a share of it: a shadow dims ink and paper alike.
    4. What full ink is: Otsu's threshold on the pixels that stand out from the noise, and the median above it.
    """
    factor = max(1, -(-max(image.size) // WORK_SIDE))
    seen = _reduced(image, factor)
    values, axis = _pixels(seen), _direction(seen)
    signal = (values @ axis).astype(np.float32)
    paper = _paper(signal)
    amount = signal - paper
    if axis.sum() < 0:  # dark ink: what the paper throws back is dimmed by a share
        amount /= np.maximum(-paper, 0.05)
    amount -= np.median(amount)
    noise = _spread(amount)
    level = _full_ink(amount, max(LEAST_SIGNAL * noise, LEAST_CONTRAST))
    if level is None:
        return None
    return Ink(amount / np.float32(level), noise / level, factor)


# -- pixels ------------------------------------------------------------------------------------------------


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    return image if factor == 1 else image.reduce(factor)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    return _reduced(image, max(1, round(max(image.size) / side)))


def _pixels(image: Image.Image) -> Float32:
    """Return the picture as (h, w, channels), 0 … 1."""
    values = np.asarray(image, dtype=np.float32) / np.float32(255)
    return values[:, :, np.newaxis] if values.ndim == 2 else values


# -- which way is ink --------------------------------------------------------------------------------------


def _direction(image: Image.Image) -> Float32:
    """Return the unit vector along which ink differs from paper, (channels,)."""
    found = []
    for side, share, samples, weight in SCALES:
        values = _pixels(_shrunk(image, side))
        if side > SCALES[0][0] and max(values.shape) <= SCALES[0][0]:
            break  # a small picture has no small digits
        skew, axis = _longer_tail(values - _local_median(values, share, samples))
        found.append((weight * skew, axis))
    skew, axis = max(found, key=lambda pair: abs(pair[0]))
    return (axis if skew >= 0 else -axis).astype(np.float32)


def _longer_tail(stray: Float32) -> tuple[float, Array]:
    """Return the direction in which pixels stray most from their neighbourhood, and how skewed they lie along it."""
    flat = stray.reshape(-1, stray.shape[2]).astype(np.float64)
    # Strong pixels decide: weighted by their size once more, noise and faint colour do not count.
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
    padded = _framed(values, reach)
    views: Any = np.lib.stride_tricks.sliding_window_view(padded, (window, window), axis=(0, 1))
    sampled = np.array(views[..., ::step, ::step], order="C").reshape(height, width, channels, -1)
    middle = sampled.shape[-1] // 2
    sampled.partition(middle, axis=-1)
    median: Float32 = sampled[..., middle]
    return median


def _framed(values: Float32, reach: int) -> Float32:
    """Return the values with so many pixels around them as the paper goes on: ink that touches the rim does not.

    A side goes on as the median of it from end to end; towards a corner, as that of its half there.
    """
    for axis in (0, 1):
        ends = []
        for rim in np.moveaxis(values, axis, 0)[[0, -1]]:
            half = rim.shape[0] // 2
            mirrored = np.pad(rim, ((half, half), *[(0, 0)] * (rim.ndim - 1)), mode="symmetric")
            windows: Any = np.lib.stride_tricks.sliding_window_view(mirrored, 2 * half + 1, axis=0)
            ends.append(np.median(windows[..., :: max(1, half // 16)], axis=-1).astype(np.float32))
        first, last = (np.repeat(np.expand_dims(end, axis), reach, axis) for end in ends)
        values = np.concatenate([first, values, last], axis)
    return values


# -- the paper ---------------------------------------------------------------------------------------------


def _paper(signal: Float32) -> Float32:
    """Return what each pixel would be without ink; ink lies above."""
    height, width = signal.shape
    factor = max(1, round(max(height, width) / PAPER_SIDE))
    small = np.asarray(_reduced(Image.fromarray(signal), factor))
    small = _smoothed(small) if min(small.shape) > 60 else small  # noise would pull the minimum down
    window = max(3, round(WIDEST_STROKE * min(small.shape))) | 1
    reach = 2 * (window // 2)
    wide = _framed(small, reach)
    opened = _sliding(np.maximum, _sliding(np.minimum, wide, window), window)[reach:-reach, reach:-reach]
    if factor == 1:
        return opened
    whole = Image.fromarray(opened).resize(
        (width, height), Image.Resampling.BILINEAR, box=(0, 0, width / factor, height / factor)
    )
    return np.asarray(whole)


def _smoothed(values: Float32) -> Float32:
    """Return means of 3 × 3 pixels."""
    padded = np.pad(values, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    smooth: Float32 = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / np.float32(9)
    return smooth


def _sliding(extreme: Any, values: Array, window: int) -> Array:
    """Return the extreme of each window of window × window pixels, windows doubling until they are that wide."""
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


# -- how much is ink ---------------------------------------------------------------------------------------


def _spread(amount: Float32) -> float:
    """Return the noise of the paper, from the half of the pixels that is below the median 0: ink is above."""
    below = amount[amount <= 0]
    return float(1.4826 * np.median(-below)) if below.size else 0.0


def _full_ink(amount: Float32, least: float) -> float | None:
    """Return the amount that is ink through and through; None where nothing stands out."""
    strong = amount[amount > least]
    if strong.size < 3:
        return None
    if np.ptp(strong) < LEAST_CONTRAST:  # drawn by a program: all of it is ink
        return float(np.median(strong))
    return float(np.median(strong[strong >= otsu(strong)]))


def otsu(values: Float32) -> float:
    """Return the threshold that splits the values into two classes farthest apart (Otsu, 1979)."""
    counts, edges = np.histogram(values, bins=128)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sums = np.cumsum(counts * centres)
    mean_below = sums[:-1] / np.maximum(below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(total - below, 1)
    return float(edges[1 + np.argmax(below * (total - below) * (mean_below - mean_above) ** 2)])
