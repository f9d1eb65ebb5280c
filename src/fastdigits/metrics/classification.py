"""How good predictions are: accuracy and its interval, the confusion matrix, precision, recall and F1, mistakes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..core.arrays import Array, Int64, as_array
from ..core.validation import check_count, check_number

MOST_CLASSES = 10_000  # their matrix takes 800 MB; larger numbers are hardly classes


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognised.

    Attributes
    ----------
    label : int
    precision : float
        Share of those predicted as this class that are of it; 0 where none was predicted.
    recall : float
        Share of those of this class that were predicted as it; 0 where there are none.
    f1 : float
        Harmonic mean of both; 0 where both are 0.
    support : int
        How many are of this class.
    """

    label: int
    precision: float
    recall: float
    f1: float
    support: int


def accuracy(labels: object, predicted: object) -> float:
    """Return the share of predictions that are right.

    Parameters
    ----------
    labels, predicted : array_like of int, (n,)
        Classes from 0 on; n ≥ 1.

    Raises
    ------
    TypeError
        If one holds no integers.
    ValueError
        If shapes differ, if there are none, or if a class is negative.
    """
    right, given = _pair(labels, predicted, "accuracy")
    return float((right == given).mean())


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval in which an accuracy may lie of which ``n`` images show only a sample.

    With p̂ = hits / n and z the (1 + confidence) / 2 quantile of the normal distribution, 1.96 for 95 %::

        (p̂ + z²/2n ± z √(p̂ (1 - p̂)/n + z²/4n²)) / (1 + z²/n)

    Parameters
    ----------
    hits : int
        Predictions that are right, 0 … n.
    n : int
        Predictions, at least 1.
    confidence : float, default 0.95
        Share of samples whose interval covers the accuracy over all images there could be; above 0 and below 1.

    Returns
    -------
    (low, high) : floats within 0 … 1

    Raises
    ------
    TypeError
        If ``hits`` or ``n`` is no integer, or ``confidence`` no number.
    ValueError
        If one is out of its range.

    Notes
    -----
    It takes the images for independent of each other, and tells nothing of other writers, cameras or seeds.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), pp. 209–212.
    """
    n = check_count(n, "n", "wilson_interval")
    hits = check_count(hits, "hits", "wilson_interval", least=0)
    if hits > n:
        raise ValueError(f"wilson_interval: hits must be at most n = {n}; got {hits}")
    confidence = check_number(confidence, "confidence", "wilson_interval", over=0, under=1)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, widening = hits / n, 1 + z * z / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # With no hit, or none but hits, the formula gives 0 or 1 up to rounding.
    low = 0.0 if hits == 0 else (centre - half) / widening
    high = 1.0 if hits == n else (centre + half) / widening
    return low, high


def confusion_matrix(labels: object, predicted: object, n_classes: int | None = None) -> Int64:
    """Count which class was taken for which.

    Parameters
    ----------
    labels, predicted : array_like of int, (n,)
        Classes from 0 on; n ≥ 1.
    n_classes : int, optional
        Size of the matrix; without it, one more than the largest class that occurs.

    Returns
    -------
    ndarray, (c, c) int64
        Row: true class. Column: predicted class.

    Raises
    ------
    TypeError
        If one holds no integers.
    ValueError
        If shapes differ, if there are none, if a class is negative or beyond ``n_classes``, or if there would be
        more than 10,000 classes.
    """
    right, given = _pair(labels, predicted, "confusion_matrix")
    largest = int(max(right.max(), given.max()))
    size = largest + 1 if n_classes is None else check_count(n_classes, "n_classes", "confusion_matrix")
    if largest >= size:
        raise ValueError(f"confusion_matrix: classes must lie in 0 … {size - 1}; got {largest}")
    if size > MOST_CLASSES:
        raise ValueError(
            f"confusion_matrix: there must be at most {MOST_CLASSES:,} classes; got {size:,}: number them "
            "from 0 on, np.unique(labels, return_inverse=True)"
        )
    cells = right.astype(np.int64) * size + given.astype(np.int64)
    return np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.int64)


def class_report(labels: object, predicted: object, n_classes: int | None = None) -> list[ClassScore]:
    """Return precision, recall and F1 of each class, in the order of their numbers.

    Parameters and errors are those of `confusion_matrix`.
    """
    matrix = confusion_matrix(labels, predicted, n_classes)
    hits, of_it, as_it = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        ClassScore(
            label,
            precision=_share(hits[label], as_it[label]),
            recall=_share(hits[label], of_it[label]),
            f1=_share(2 * hits[label], of_it[label] + as_it[label]),
            support=int(of_it[label]),
        )
        for label in range(len(matrix))
    ]


def surest_mistakes(labels: object, probabilities: object, count: int = 25) -> Int64:
    """Return which images were mistaken, the surest mistakes first.

    Parameters
    ----------
    labels, probabilities
        As for `reliability_bins` of `calibration`, with the same errors.
    count : int, default 25
        How many at most.

    Returns
    -------
    ndarray, (m,) int64
        Their numbers, from 0 on; m ≤ count. Those that are equally sure come in their order.
    """
    truth, probs = check_predictions(labels, probabilities, "surest_mistakes")
    count = check_count(count, "count", "surest_mistakes")
    wrong = np.flatnonzero(probs.argmax(axis=1) != truth)
    order = np.argsort(-probs[wrong].max(axis=1), kind="stable")[:count]
    return wrong[order].astype(np.int64)


def most_confused(matrix: Int64, count: int = 6) -> list[tuple[int, int, int]]:
    """Return the pairs of classes that are taken for each other most often.

    Parameters
    ----------
    matrix : ndarray, (c, c) int64
        What `confusion_matrix` returned.
    count : int, default 6
        How many pairs at most.

    Returns
    -------
    list of (true, predicted, how often)
        Each at least once; as frequent ones in the order of their classes.
    """
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    places = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(mistakes)) for place in places]
    return [(true, said, int(mistakes[true, said])) for true, said in pairs if mistakes[true, said] > 0]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _pair(labels: object, predicted: object, subject: str) -> tuple[Array, Array]:
    right, given = (
        _classes(values, f"{subject}: {name}")
        for name, values in [("labels", labels), ("predicted", predicted)]
    )
    if right.shape != given.shape:
        raise ValueError(
            f"{subject}: labels and predicted must have one shape; got {right.shape} and {given.shape}"
        )
    return right, given


def check_predictions(labels: object, probabilities: object, subject: str) -> tuple[Array, Array]:
    """Return labels, (n,), and probabilities, (n, c), that belong together; see `reliability_bins` for the errors."""
    truth = _classes(labels, f"{subject}: labels")
    probs = as_array(probabilities, f"{subject}: probabilities")
    if probs.ndim != 2 or len(probs) != len(truth) or probs.size == 0:
        raise ValueError(
            f"{subject}: probabilities must be (n, c), a row for each of the {len(truth)} labels; got {probs.shape}"
        )
    low, high = probs.min(), probs.max()
    if not (low >= 0 and high <= 1.001):  # not for NaN either
        raise ValueError(
            f"{subject}: probabilities must lie in 0 … 1; got {low:g} to {high:g}: take predict_proba, not logits"
        )
    if truth.max() >= probs.shape[1]:
        raise ValueError(
            f"{subject}: labels must lie in 0 … {probs.shape[1] - 1}, as there are so many probabilities; "
            f"got {truth.max()}"
        )
    return truth, probs


def _classes(values: object, subject: str) -> Array:
    array = as_array(values, subject)
    if array.size == 0:  # before its dtype: that of an empty list is float64
        raise ValueError(f"{subject} must be (n,), n ≥ 1; got {array.shape}")
    if array.dtype.kind not in "ui":
        raise TypeError(
            f"{subject} must hold integers; got dtype {array.dtype}: probabilities become classes "
            "by argmax(axis=1)"
        )
    if array.ndim != 1:
        raise ValueError(f"{subject} must be (n,), n ≥ 1; got {array.shape}")
    if array.min() < 0:
        raise ValueError(f"{subject} must hold classes from 0 on; got {array.min()}")
    return array
