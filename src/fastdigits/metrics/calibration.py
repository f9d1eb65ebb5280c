"""Calibration: of all predictions with a confidence of 90 %, 90 % should be correct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.validation import check_count
from .classification import check_predictions


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions of similar confidence, and how many of them are correct.

    Attributes
    ----------
    low, high : float
        The bin has confidences above ``low`` up to ``high``; the first bin also has 0.
    count : int
        Number of predictions.
    confidence, accuracy : float
        Mean confidence, and fraction of correct predictions; 0 for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability_bins(labels: object, probabilities: object, n_bins: int = 15) -> list[CalibrationBin]:
    """Group predictions by their confidence, into bins of equal width.

    The prediction is the most probable class, its confidence the probability of that class.

    Parameters
    ----------
    labels : array_like of int, (n,)
        Classes from 0; n ≥ 1.
    probabilities : array_like, (n, c)
        Return value of `NeuralNetwork.predict_proba`.
    n_bins : int, default 15
        Number of bins between 0 and 1.

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If the shapes do not match, if a label is not within 0 … c - 1, or if a probability is not within 0 … 1.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, ICML 2017, section 2.
    """
    truth, probs = check_predictions(labels, probabilities, "reliability_bins")
    n_bins = check_count(n_bins, "n_bins", "reliability_bins")
    confidence = probs.max(axis=1).astype(np.float64)
    right = probs.argmax(axis=1) == truth
    edges = np.linspace(0, 1, n_bins + 1)
    places = np.minimum(np.searchsorted(edges[1:], confidence), n_bins - 1)  # float32 may sum to 1.0000001
    counts, sure, hits = (
        np.bincount(places, weights, minlength=n_bins) for weights in (None, confidence, right)
    )
    return [
        CalibrationBin(
            float(edges[i]),
            float(edges[i + 1]),
            int(counts[i]),
            *(float(s[i] / max(counts[i], 1)) for s in (sure, hits)),
        )
        for i in range(n_bins)
    ]


def expected_calibration_error(labels: object, probabilities: object, n_bins: int = 15) -> float:
    """Return the mean difference of confidence and accuracy over the predictions.

    Over the bins B of `reliability_bins`::

        ECE = Σ |B| / n · |accuracy(B) - confidence(B)|

    Parameters and errors are those of `reliability_bins`.

    Returns
    -------
    float
        0 … 1; 0 means perfect calibration in these bins.

    References
    ----------
    Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015; equation 3
    of Guo et al., ICML 2017.
    """
    bins = reliability_bins(labels, probabilities, n_bins)
    n = sum(one.count for one in bins)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / n
