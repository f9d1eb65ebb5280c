"""How good predictions are: accuracy, the confusion matrix, precision, recall and F1 of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .inputs import Array, Int64, as_array, check_count

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
