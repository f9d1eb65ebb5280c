"""What is said of a network's predictions, computed once, in a form that JSON can hold."""

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
    """Predict images and say how good the predictions are.

    Parameters
    ----------
    network : NeuralNetwork
        One that ends in `Softmax` does as well.
    x : ndarray, (n, height, width) or (n, d)
    y : ndarray of int, (n,)
        Labels, within the network's outputs.
    class_names : sequence of str, default ()
        What the classes are called; those without a name go by their number.

    Returns
    -------
    probabilities : ndarray, (n, c) float32
    assessment : dict
        ``images``, ``accuracy`` and its 95 % ``accuracy_interval``, ``loss``; ``precision``, ``recall`` and ``f1``,
        means over the classes that occur; ``calibration_error`` over ``calibration_bins``; ``mistakes``, how many;
        ``class_names``, one for each output; ``classes``, a `ClassScore` each; ``confusion_matrix``, a row a true
        class; ``confused_pairs`` and ``surest_mistakes``, of which ``index`` counts the images from 0.

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
    occurring = [one for one in classes if one.support]
    means = {name: sum(getattr(one, name) for one in occurring) / len(occurring) for name in MEANS}
    return probabilities, {
        "images": n,
        "accuracy": hits / n,
        "accuracy_interval": list(wilson_interval(hits, n)),
        "loss": _loss(network, x, labels, probabilities),
        **means,
        "calibration_error": expected_calibration_error(labels, probabilities),
        "mistakes": n - hits,
        "class_names": [*class_names[:n_classes], *map(str, range(len(class_names), n_classes))],
        "classes": [asdict(one) for one in classes],
        "confusion_matrix": matrix.tolist(),
        "calibration_bins": [asdict(one) for one in reliability_bins(labels, probabilities)],
        "confused_pairs": [
            {"label": true, "predicted": said, "count": count} for true, said, count in most_confused(matrix)
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
    # Without logits, a probability that float32 rounds to 0 counts as its smallest normal number.
    right = np.maximum(probabilities[np.arange(labels.size), labels], np.finfo(np.float32).tiny)
    return float(-np.log(right.astype(np.float64)).mean())
