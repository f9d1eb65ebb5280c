"""The loss: softmax and cross-entropy in one, from logits. Only here is the mean over the batch taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..core.arrays import Float32, Int64, as_array, in_order
from ..core.configured import Configured
from ..core.validation import check_labels, check_number, check_weights


class SoftmaxCrossEntropy(Configured):
    """Mean over the images of -Σ target · log softmax(logits), summed over the c classes.

    With label smoothing ε, target = (1 - ε) · one-hot(label) + ε / c. With sample weights wᵢ, the mean of the images'
    losses lᵢ is Σ wᵢ · lᵢ / Σ wᵢ.

    Backward: dlogits = (wᵢ / Σ wᵢ) · (softmax(logits) - target), row by row; without weights, wᵢ / Σ wᵢ = 1 / n.
    No other place divides the gradient by the batch.

    Parameters
    ----------
    label_smoothing : float, default 0.0
        ε, with 0 ≤ ε < 1. It keeps probabilities away from 0 and 1. With ε > 0, the minimum of the loss is above zero.

    Raises
    ------
    TypeError
        If ε is not a number.
    ValueError
        If it is out of range.

    Notes
    -----
    log softmax is computed as logits - max - log Σ e^(logits - max), which stays accurate where a probability rounds
    to 0. The losses of the images are summed in double precision.

    Logits that are not finite give a loss that is not finite, not an error; `fit` then raises an error that says where
    it happened.

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna (2016), Rethinking the Inception Architecture for Computer
    Vision, section 7, for label smoothing.

    Examples
    --------
    >>> import numpy as np
    >>> import fastdigits as fd
    >>> loss = fd.SoftmaxCrossEntropy()
    >>> round(loss.forward(np.zeros((2, 10)), [3, 7]), 4)  # log 10: all classes are equally probable
    2.3026
    >>> loss.backward().shape
    (2, 10)
    """

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = check_number(
            label_smoothing, "label_smoothing", "SoftmaxCrossEntropy", least=0, under=1
        )
        self._saved: tuple[Float32, Int64, Float32] | None = None  # probabilities, labels, weights

    def forward(self, logits: object, y: object, sample_weight: object = None) -> float:
        """Return the mean loss.

        Parameters
        ----------
        logits : array_like, (n, c)
            One row per image, n ≥ 1; any real numbers.
        y : array_like of int, (n,)
            Labels, 0 … c - 1.
        sample_weight : array_like, (n,), optional
            Weight of each image: finite, none negative, not all zero.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            If logits are not real numbers or labels not integers.
        ValueError
            If shapes do not match, or if a label or a weight is out of range.
        """
        rows = _rows(logits)
        n, classes = rows.shape
        labels = check_labels(y, n, classes, "SoftmaxCrossEntropy: y")
        losses, _ = self.run(rows, labels, _shares(n, sample_weight))
        return float(losses.sum(dtype=np.float64))

    def run(
        self, logits: Float32, labels: Int64, shares: Float32, kernels: Any = None
    ) -> tuple[Float32, Float32]:
        """Return each image's share of the mean loss, (n,), and its probabilities, (n, c).

        Like `forward`, for checked arguments; ``shares`` are weights that sum to 1. To record the loss, a program
        passes its own ``kernels``.
        """
        losses, probs = aligned.floats(logits.shape[0]), aligned.floats(*logits.shape)
        (kernels or backend.kernels).softmax_cross_entropy_forward(
            losses, probs, logits, labels, shares, self.label_smoothing
        )
        self._saved = probs, labels, shares
        return losses, probs

    def backward(self, kernels: Any = None) -> Float32:
        """Return the gradient of the last `forward` with respect to its logits, (n, c).

        Raises
        ------
        RuntimeError
            If there was no `forward` before.
        """
        if self._saved is None:
            raise RuntimeError(
                "SoftmaxCrossEntropy: backward needs a forward before it; got none: call forward(logits, y) first"
            )
        probs, labels, weights = self._saved
        dlogits = aligned.floats(*probs.shape)
        (kernels or backend.kernels).softmax_cross_entropy_backward(
            dlogits, probs, labels, weights, self.label_smoothing
        )
        return dlogits


def _rows(logits: object) -> Float32:
    array = as_array(logits, "SoftmaxCrossEntropy: logits")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"SoftmaxCrossEntropy: logits must be (n, classes), n ≥ 1; got {array.shape}: for one image, "
            "logits[np.newaxis]"
        )
    return in_order(array, np.float32)


def _shares(n: int, sample_weight: object) -> Float32:
    """Return wᵢ / Σ wᵢ."""
    if sample_weight is None:
        return np.full(n, 1 / n, dtype=np.float32)
    weights = check_weights(sample_weight, n, "SoftmaxCrossEntropy: sample_weight").astype(np.float64)
    shares: Float32 = (weights / weights.sum()).astype(np.float32)
    return shares


def total_weight(count: int, weights: Float32 | None) -> float:
    """Return the sum of the weights of ``count`` images, which weigh 1 each if there are none."""
    return float(count if weights is None else weights.sum(dtype=np.float64))
