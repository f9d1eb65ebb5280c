"""The digits that a network predicts for a picture, as data and as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Array, Float32

COLUMNS = ("reads", "confidence", "runner-up")
NOT_A_DIGIT = "not a digit"  # a class of this name means that an image shows none of the others
UNREAD = "?"  # its sign in a number


@dataclass(frozen=True)
class Reading:
    """One picture, and the digits predicted for it from left to right.

    Attributes
    ----------
    name : str
        Name of the file, with the number of the image where the file has several.
    picture : array_like, (height, width) or (height, width, 3)
        The input.
    images : ndarray, (n, h, w)
        The images that the network classified.
    boxes : sequence of (left, top, right, bottom), or None
        Their places in the picture; None where the whole picture is the image.
    probabilities : ndarray, (n, classes)
    class_names : sequence of str
    """

    name: str
    picture: object
    images: Array
    boxes: Sequence[tuple[int, int, int, int]] | None
    probabilities: Float32
    class_names: Sequence[str]

    @property
    def ranked(self) -> Array:
        """The classes of each digit, the most probable first, (n, classes)."""
        ranked: Array = np.argsort(-self.probabilities, axis=1, kind="stable")
        return ranked

    @property
    def reads(self) -> str:
        """The digits as one word, separated by spaces if a class has a name of several letters."""
        return self._joined(self.ranked[:, 0])

    @property
    def digits(self) -> str:
        """The word with the most probable digit wherever `reads` has none."""
        rejects = np.array([name == NOT_A_DIGIT for name in self.class_names])
        return self._joined(np.where(rejects, -1, self.probabilities).argmax(axis=1))

    def cells(self) -> tuple[str, str, str]:
        """Return the cells of a table: prediction, confidence and runner-up."""
        first, second = self.ranked[:, 0], self.ranked[:, 1]
        rows = np.arange(len(first))
        sure, less = 100 * self.probabilities[rows, first], 100 * self.probabilities[rows, second]
        confidence = " ".join(f"{value:.1f}" for value in sure) + " %"
        if len(first) == 1:
            return self.reads, confidence, f"{self.class_names[second[0]]} ({less[0]:.1f} %)"
        return self.reads, confidence, " ".join(self._sign(label) for label in second)

    def as_json(self) -> dict[str, Any]:
        """Return the predictions as a JSON object; probabilities are fractions, and the number of no digit is null."""
        digits = []
        for number, (row, ranked) in enumerate(zip(self.probabilities, self.ranked, strict=True)):
            digits.append(
                {
                    "digit": self._number(ranked[0]),
                    "class": self.class_names[ranked[0]],
                    "confidence": float(row[ranked[0]]),
                    "runner_up": self._number(ranked[1]),
                    "runner_up_class": self.class_names[ranked[1]],
                    "runner_up_confidence": float(row[ranked[1]]),
                    "probabilities": [float(value) for value in row],
                    "box": None if self.boxes is None else [int(side) for side in self.boxes[number]],
                }
            )
        return {"image": self.name, "reads": self.reads, "digits": digits}

    def _joined(self, labels: Array) -> str:
        if len(labels) == 1:
            return str(self.class_names[labels[0]])
        signs = [self._sign(label) for label in range(len(self.class_names))]
        return ("" if max(map(len, signs)) == 1 else " ").join(signs[label] for label in labels)

    def _sign(self, label: int) -> str:
        name = self.class_names[label]
        return UNREAD if name == NOT_A_DIGIT else name

    def _number(self, label: int) -> int | None:
        return None if self.class_names[label] == NOT_A_DIGIT else int(label)
