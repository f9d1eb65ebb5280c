"""Accuracy and its confidence interval, the confusion matrix, precision, recall and F1, mistakes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ..core.arrays import Array, Int64, as_array
from ..core.validation import check_count, check_number

MOST_CLASSES = 10_000  # their matrix takes 800 MB; larger labels are probably not classes


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of one class.

    Attributes
    ----------
    label : int
    precision : float
        Fraction of the predictions of this class that are correct; 0 if there are none.
    recall : float
        Fraction of the images of this class that are predicted as it; 0 if there are none.
    f1 : float
        Harmonic mean of both; 0 if both are 0.
    support : int
        Number of images of this class.
    """

    label: int
    precision: float
    recall: float
    f1: float
    support: int


def accuracy(labels: object, predicted: object) -> float:
    """Return the fraction of correct predictions.

    Parameters
    ----------
    labels, predicted : array_like of int, (n,)
        Classes from 0; n ≥ 1.

    Raises
    ------
    TypeError
        If one does not hold integers.
    ValueError
        If shapes differ, if they are empty, or if a class is negative.
    """
    right, given = _pair(labels, predicted, "accuracy")
    return float((right == given).mean())


def wilson_interval(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the confidence interval of an accuracy that was measured on ``n`` images.

    With p̂ = hits / n and z the (1 + confidence) / 2 quantile of the normal distribution, 1.96 for 95 %::

        (p̂ + z²/2n ± z √(p̂ (1 - p̂)/n + z²/4n²)) / (1 + z²/n)

    Parameters
    ----------
    hits : int
        Number of correct predictions, 0 … n.
    n : int
        Number of predictions, at least 1.
    confidence : float, default 0.95
        Fraction of samples whose interval contains the true accuracy; above 0 and below 1.

    Returns
    -------
    (low, high) : floats within 0 … 1

    Raises
    ------
    TypeError
        If ``hits`` or ``n`` is not an integer, or ``confidence`` not a number.
    ValueError
        If one is out of range.

    Notes
    -----
    The images are assumed to be independent. The interval does not cover other writers, cameras or seeds.

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
    # With 0 or n hits, the formula gives 0 or 1 except for rounding.
    low = 0.0 if hits == 0 else (centre - half) / widening
    high = 1.0 if hits == n else (centre + half) / widening
    return low, high


def confusion_matrix(labels: object, predicted: object, n_classes: int | None = None) -> Int64:
    """Return how often each class was predicted for each true class.

    Parameters
    ----------
    labels, predicted : array_like of int, (n,)
        Classes from 0; n ≥ 1.
    n_classes : int, optional
        Size of the matrix; default: the largest class plus 1.

    Returns
    -------
    ndarray, (c, c) int64
        Row: true class. Column: predicted class.

    Raises
    ------
    TypeError
        If one does not hold integers.
    ValueError
        If shapes differ, if they are empty, if a class is not within 0 … n_classes - 1, or if there are more than
        10,000 classes.
    """
    right, given = _pair(labels, predicted, "confusion_matrix")
    largest = int(max(right.max(), given.max()))
    size = largest + 1 if n_classes is None else check_count(n_classes, "n_classes", "confusion_matrix")
    if largest >= size:
        raise ValueError(f"confusion_matrix: classes must lie in 0 … {size - 1}; got {largest}")
    if size > MOST_CLASSES:
        raise ValueError(
            f"confusion_matrix: there must be at most {MOST_CLASSES:,} classes; got {size:,}: number them "
            "from 0, np.unique(labels, return_inverse=True)"
        )
    cells = right.astype(np.int64) * size + given.astype(np.int64)
    return np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.int64)


def class_report(labels: object, predicted: object, n_classes: int | None = None) -> list[ClassScore]:
    """Return precision, recall and F1 of each class, from class 0.

    Parameters and errors are those of `confusion_matrix`.
    """
    matrix = confusion_matrix(labels, predicted, n_classes)
    hits, actual, guessed = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        ClassScore(
            label,
            precision=_ratio(hits[label], guessed[label]),
            recall=_ratio(hits[label], actual[label]),
            f1=_ratio(2 * hits[label], actual[label] + guessed[label]),
            support=int(actual[label]),
        )
        for label in range(len(matrix))
    ]


def surest_mistakes(labels: object, probabilities: object, count: int = 25) -> Int64:
    """Return the indices of wrong predictions, highest confidence first.

    Parameters
    ----------
    labels, probabilities
        As for `calibration.reliability_bins`, with the same errors.
    count : int, default 25
        Maximum number of indices.

    Returns
    -------
    ndarray, (m,) int64
        m ≤ count; equal confidences stay in the order of the images.
    """
    truth, probs = check_predictions(labels, probabilities, "surest_mistakes")
    count = check_count(count, "count", "surest_mistakes")
    wrong = np.flatnonzero(probs.argmax(axis=1) != truth)
    order = np.argsort(-probs[wrong].max(axis=1), kind="stable")[:count]
    return wrong[order].astype(np.int64)


def most_confused(matrix: Int64, count: int = 6) -> list[tuple[int, int, int]]:
    """Return the most frequent pairs of true and wrongly predicted class.

    Parameters
    ----------
    matrix : ndarray, (c, c) int64
        Return value of `confusion_matrix`.
    count : int, default 6
        Maximum number of pairs.

    Returns
    -------
    list of (true, predicted, count)
        Each count at least 1; equal counts in the order of the classes.
    """
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    places = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    pairs = [divmod(int(place), len(mistakes)) for place in places]
    return [(true, wrong, int(mistakes[true, wrong])) for true, wrong in pairs if mistakes[true, wrong] > 0]


def _ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def _pair(labels: object, predicted: object, subject: str) -> tuple[Array, Array]:
    right, given = (
        _classes(values, f"{subject}: {name}")
        for name, values in [("labels", labels), ("predicted", predicted)]
    )
    if right.shape != given.shape:
        raise ValueError(
            f"{subject}: labels and predicted must have the same shape; got {right.shape} and {given.shape}"
        )
    return right, given


def check_predictions(labels: object, probabilities: object, subject: str) -> tuple[Array, Array]:
    """Check labels and probabilities and return them as arrays, (n,) and (n, c); errors as in `reliability_bins`."""
    truth = _classes(labels, f"{subject}: labels")
    probs = as_array(probabilities, f"{subject}: probabilities")
    if probs.ndim != 2 or len(probs) != len(truth) or probs.size == 0:
        raise ValueError(
            f"{subject}: probabilities must be (n, c), one row for each of the {len(truth)} labels; got {probs.shape}"
        )
    low, high = probs.min(), probs.max()
    if not (low >= 0 and high <= 1.001):  # in this form, NaN fails too
        raise ValueError(
            f"{subject}: probabilities must lie in 0 … 1; got {low:g} to {high:g}: use predict_proba, not logits"
        )
    if truth.max() >= probs.shape[1]:
        raise ValueError(
            f"{subject}: labels must lie in 0 … {probs.shape[1] - 1}, as there are {probs.shape[1]} probabilities "
            f"per row; got {truth.max()}"
        )
    return truth, probs


def _classes(values: object, subject: str) -> Array:
    array = as_array(values, subject)
    if array.size == 0:  # first, as the dtype of an empty list is float64
        raise ValueError(f"{subject} must be (n,), n ≥ 1; got {array.shape}")
    if array.dtype.kind not in "ui":
        raise TypeError(
            f"{subject} must hold integers; got dtype {array.dtype}: from probabilities, take argmax(axis=1)"
        )
    if array.ndim != 1:
        raise ValueError(f"{subject} must be (n,), n ≥ 1; got {array.shape}")
    if array.min() < 0:
        raise ValueError(f"{subject} must hold classes from 0; got {array.min()}")
    return array
