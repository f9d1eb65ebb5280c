"""Assess the predictions of a network: all measures, as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..core.arrays import Array, Float32
from ..core.validation import check_labels
from ..metrics.calibration import expected_calibration_error, reliability_bins
from ..metrics.classification import (
    class_report,
    confusion_matrix,
    most_confused,
    surest_mistakes,
    wilson_interval,
)
from ..network import NeuralNetwork
from ..nn.layers import Softmax

MEANS = ("precision", "recall", "f1")


def assess(
    network: NeuralNetwork, x: Array, y: Array, class_names: Sequence[str] = ()
) -> tuple[Float32, dict[str, Any]]:
    """Return predictions and how good they are.

    Parameters
    ----------
    network : NeuralNetwork
        Its last layer may be `Softmax`.
    x : ndarray, (n, height, width) or (n, d)
    y : ndarray of int, (n,)
        Labels, from 0 to c - 1.
    class_names : sequence of str, default ()
        Names of the classes; a class without a name is called by its number.

    Returns
    -------
    probabilities : ndarray, (n, c) float32
    assessment : dict
        ``images``; ``accuracy`` and its 95 % ``accuracy_interval``; ``loss``; ``precision``, ``recall`` and ``f1``,
        each the mean over the classes in ``y``; ``calibration_error`` over ``calibration_bins``; ``mistakes``, their
        number; ``class_names``, one per output; ``classes``, one `ClassScore` per class; ``confusion_matrix``, one
        row per true class; ``confused_pairs``; ``surest_mistakes``, where ``index`` counts the images from 0.

    Raises
    ------
    TypeError, ValueError
        As `NeuralNetwork.predict_proba` and `NeuralNetwork.evaluate` do.
    """
    probabilities = network.predict_proba(x)
    n, n_classes = probabilities.shape
    labels = check_labels(y, n, n_classes, "assess: y")
    predicted = probabilities.argmax(axis=1)
    hits = int((predicted == labels).sum())
    matrix = confusion_matrix(labels, predicted, n_classes)
    classes = class_report(labels, predicted, n_classes)
    present = [score for score in classes if score.support]
    means = {name: sum(getattr(score, name) for score in present) / len(present) for name in MEANS}
    return probabilities, {
        "images": n,
        "accuracy": hits / n,
        "accuracy_interval": list(wilson_interval(hits, n)),
        "loss": _loss(network, x, labels, probabilities),
        **means,
        "calibration_error": expected_calibration_error(labels, probabilities),
        "mistakes": n - hits,
        "class_names": [*class_names[:n_classes], *map(str, range(len(class_names), n_classes))],
        "classes": [asdict(score) for score in classes],
        "confusion_matrix": matrix.tolist(),
        "calibration_bins": [asdict(each) for each in reliability_bins(labels, probabilities)],
        "confused_pairs": [
            {"label": true, "predicted": wrong, "count": count}
            for true, wrong, count in most_confused(matrix)
        ],
        "surest_mistakes": [
            {
                "index": int(index),
                "label": int(labels[index]),
                "predicted": int(predicted[index]),
                "confidence": float(probabilities[index].max()),
            }
            for index in surest_mistakes(labels, probabilities)
        ],
    }


def _loss(network: NeuralNetwork, x: Array, labels: Array, probabilities: Float32) -> float:
    if not isinstance(network.layers[-1], Softmax):
        return network.evaluate(x, labels)["loss"]
    # Without logits, replace a probability that float32 rounds to 0 by its smallest normal number.
    right = np.maximum(probabilities[np.arange(labels.size), labels], np.finfo(np.float32).tiny)
    return float(-np.log(right.astype(np.float64)).mean())
