"""Rows to train on, with the numbers of their classes and their weights."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from ..core.arrays import Array, Int64, as_array
from ..core.blocks import Blocks
from ..core.columns import check_columns
from ..core.seeding import SPLIT, stream
from ..core.splitting import split
from ..core.validation import check_number, check_weights
from ..nn.sequential import ROWS_AT_ONCE, pieces
from .parameters import NAME


class WeightedRows(NamedTuple):
    """Rows (n, d), class numbers (n,) from 0 on, and weights (n,), or None where all weights are 1."""

    x: Array
    labels: Int64
    weight: Array | None

    def part(self, chosen: Array) -> WeightedRows:
        """Return some of the rows, chosen by numbers or by a mask."""
        weight = None if self.weight is None else self.weight[chosen]
        return WeightedRows(self.x[chosen], self.labels[chosen], weight)


def as_numpy(values: Any, name: str) -> Any:
    """Return lists of images, and tensors, also those that scikit-learn cannot read, as arrays; others unchanged.

    Raises
    ------
    TypeError
        For shards: scikit-learn needs all rows.
    ValueError
        For images of several sizes.
    """
    tensor = hasattr(values, "__dlpack__") and not isinstance(values, np.ndarray)
    images = isinstance(values, list | tuple) and len(values) > 0 and len(np.shape(values[0])) > 1
    convert = tensor or images or isinstance(values, Blocks)
    return as_array(values, f"{NAME}: {name}") if convert else values


def labels_of(y: Any) -> Any:
    """Return labels as `as_numpy` does.

    Raises
    ------
    ValueError
        If there are several columns of them.
    """
    y = as_numpy(y, "y")
    shape: tuple[int, ...] = np.shape(y) if hasattr(y, "shape") or isinstance(y, list | tuple) else ()
    if len(shape) > 1 and shape[1] > 1:
        raise ValueError(
            f"{NAME}: y must be (n,), one label per row; got {shape}: one-hot rows become labels by "
            "np.argmax(y, axis=1)"
        )
    return y


def flattened(X: Any) -> Any:
    """Return images (n, height, width) as rows, and anything else unchanged.

    Raises
    ------
    ValueError
        If there are more dimensions.
    """
    X = as_numpy(X, "X")
    if getattr(X, "ndim", 0) < 3:
        return X
    images = np.asarray(X)
    if images.ndim > 3:
        raise ValueError(
            f"{NAME}: X must be (n, d), or images (n, height, width); got {images.shape}: make colour images grey "
            "first, such as by X.mean(axis=-1)"
        )
    return images.reshape(images.shape[0], images.shape[1] * images.shape[2])


def check_targets(y: Array) -> None:
    """Raise a ValueError for measurements and for missing labels, a TypeError if some are numbers and others words."""
    try:
        check_classification_targets(y)
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and not any(label is None for label in y.ravel()):
            raise
        kinds = sorted({type(label).__name__ for label in y.tolist()})
        raise type(error)(
            f"{NAME}: y must hold labels of one type, numbers or strings; got {' and '.join(kinds)}: omit rows "
            "without a label, and make all others strings"
        ) from error


def columns_without_numbers(frame: Any) -> list[str]:
    """Return the names of the columns of a data frame that hold words, dates or other things; none for arrays."""
    names = []
    for name in getattr(frame, "columns", ()):
        column = frame[name]
        try:
            np.asarray(column, dtype=np.float64)
            number = np.asarray(column).dtype.kind not in "mM"
        except (TypeError, ValueError):
            number = False
        if not number:
            names.append(repr(name))
    return names


def is_table(X: Any) -> bool:
    """Return whether these may be rows of a table: no images (n, height, width), and no sparse counts or words."""
    return getattr(X, "ndim", None) != 3 and not hasattr(X, "toarray")


def dense(X: Any) -> Array:
    """Return sparse rows as an array, and an array unchanged."""
    rows: Array = X.toarray(order="C") if hasattr(X, "toarray") else X
    return rows


def weighted(x: Array, labels: Int64, sample_weight: object) -> WeightedRows:
    """Return the rows whose weight is not 0."""
    if sample_weight is None:
        return WeightedRows(x, labels, None)
    weight = check_weights(sample_weight, len(labels), f"{NAME}: sample_weight")
    rows = WeightedRows(x, labels, weight)
    return rows if weight.all() else rows.part(weight != 0)


def merged(rows: WeightedRows) -> WeightedRows:
    """Return equal rows once, with the sum of their weights; only their values decide their order."""
    x, labels, weight = rows
    values = np.column_stack([labels, x.astype(np.float64)]) + 0.0  # -0.0 becomes 0.0
    keys = values.view(f"V{values[0].nbytes}")[:, 0]  # compared byte by byte, 20 times as fast as by axis=0
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    sums = np.bincount(group, weights=weight).astype(np.float64)
    return WeightedRows(np.ascontiguousarray(x[first]), labels[first], sums)


def column_statistics(rows: WeightedRows, before: StandardScaler | None = None) -> StandardScaler:
    """Return mean and variance of each column over these rows and those of ``before``, which does not change.

    Raises
    ------
    ValueError
        If the variance of a column cannot be held in float32.
    """
    statistics = StandardScaler() if before is None else copy.deepcopy(before)
    for part in pieces(len(rows.labels), ROWS_AT_ONCE):
        statistics.partial_fit(rows.x[part], sample_weight=None if rows.weight is None else rows.weight[part])
    check_columns(statistics.mean_, statistics.scale_, f"{NAME}: X")
    return statistics


def with_class_weight(rows: WeightedRows, class_weight: Any, classes: Array) -> WeightedRows:
    """Return the rows with their weights multiplied by those of their classes."""
    x, labels, weight = rows
    if class_weight is None:
        return rows
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"{NAME}: class_weight must be a dict, 'balanced' or None; got {class_weight!r}")
        sums = np.bincount(labels, weights=weight, minlength=len(classes))
        factors = sums.sum() / (len(classes) * np.where(sums == 0, 1, sums))
    else:
        factors = compute_class_weight(class_weight, classes=classes, y=classes)
        if not (np.isfinite(factors).all() and factors.min() >= 0 and factors.max() > 0):
            raise ValueError(
                f"{NAME}: class_weight must hold numbers that are finite, not negative and not all zero; got "
                f"{class_weight!r}"
            )
    return WeightedRows(x, labels, factors[labels] if weight is None else weight * factors[labels])


def hold_out(rows: WeightedRows, fraction: object, seed: int) -> tuple[WeightedRows, WeightedRows]:
    """Return the rows to train on and to validate on: a fraction of each class, at least one row of two or more."""
    fraction = check_number(fraction, "validation_fraction", NAME, over=0, under=1)
    labels = rows.labels
    counts = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the class
    held_out_counts = np.minimum(np.maximum(np.rint(fraction * counts), 1), counts - 1)
    chosen = place < np.repeat(held_out_counts, counts)
    kept, held_out = split(stream(seed, SPLIT), len(labels), chosen, labels)
    if not held_out.size:
        raise ValueError(
            f"{NAME}: early_stopping must have a class of at least two different rows, to hold one out; got "
            f"{len(labels)} rows of as many classes: give fit X_val and y_val"
        )
    return rows.part(kept), rows.part(held_out)
