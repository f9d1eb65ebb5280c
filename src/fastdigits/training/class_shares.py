"""Find out whether the images that are shuffled together have other classes than chance would give them."""

from __future__ import annotations

import functools
import math

import numpy as np

from ..core.arrays import Int64

SORTED = 0.3  # share of the way from shuffled images, 0, to windows of one class each, 1
UNLIKELY = 1e-9  # largest probability of a false alarm, per window


class ClassShares:
    """Compare the classes of windows with those of all images.

    The distance of a window is half the sum of the differences of its shares of classes from those of all images. Its
    excess is what it has above the expected distance of as many images drawn at random. `add` reports an excess, of a
    window or of all windows so far, if it is more than ``SORTED`` of the excess of windows of one class each, and more
    than random order gives with probability ``UNLIKELY``.

    Notes
    -----
    The number of images of one class among n that are drawn at random without replacement deviates from its mean by at
    most as much as a binomial one, in expectation [1]_, for which there is a formula [2]_. Let S be the sum of
    n · distance over windows of N images together. Two images that change places in the order change S by at most 2.
    So in random order S exceeds its expectation by t with a probability of at most exp(-t² / 2N), by Azuma's inequality
    [3]_, for any size of window and any number of classes. Windows of one image show nothing.

    References
    ----------
    .. [1] W. Hoeffding, Probability inequalities for sums of bounded random variables, 1963, theorem 4.
    .. [2] A. de Moivre, 1730; P. Diaconis, S. Zabell, Closed form summation for classical distributions, 1991.
    .. [3] C. McDiarmid, On the method of bounded differences, 1989.
    """

    def __init__(self, class_counts: Int64) -> None:
        self._shares = class_counts / class_counts.sum()
        self._excess = self._most = 0.0  # sums over images
        self._images = 0
        self._expected = functools.cache(self._expected_distance)  # windows have two sizes

    def add(self, labels: Int64) -> bool:
        """Add the labels of a window; return whether it, or all windows so far, are far from random order."""
        n = len(labels)
        found = np.bincount(labels, minlength=len(self._shares)) / n
        expected = self._expected(n)
        excess = n * (float(np.abs(found - self._shares).sum()) / 2 - expected)
        most = n * max(0.0, 1 - float(np.square(self._shares).sum()) - expected)
        self._excess, self._most, self._images = self._excess + excess, self._most + most, self._images + n
        return _far(excess, most, n) or _far(self._excess, self._most, self._images)

    def _expected_distance(self, n: int) -> float:
        """Return the expected distance of n images drawn at random."""
        return sum(_mean_deviation(n, share) for share in self._shares.tolist()) / (2 * n)


def _far(excess: float, most: float, images: int) -> bool:
    return excess > max(SORTED * most, math.sqrt(-2 * images * math.log(UNLIKELY)))


def _mean_deviation(n: int, p: float) -> float:
    """Return the mean of |k - np| for a binomial k: 2 m C(n, m) p^m (1 - p)^(n - m + 1), m the integer above np."""
    if not 0 < p < 1:
        return 0.0
    m = min(math.floor(n * p) + 1, n)
    binomial = math.lgamma(n + 1) - math.lgamma(m + 1) - math.lgamma(n - m + 1)
    return 2 * m * math.exp(binomial + m * math.log(p) + (n - m + 1) * math.log1p(-p))
