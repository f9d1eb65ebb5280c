"""The digits that a network predicts for a picture, as data and as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Array, Float32

COLUMNS = ("reads", "confidence", "runner-up")


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
        between = "" if max(map(len, self.class_names)) == 1 else " "
        return between.join(self.class_names[row[0]] for row in self.ranked)

    def cells(self) -> tuple[str, str, str]:
        """Return the cells of a table: prediction, confidence and runner-up."""
        first, second = self.ranked[:, 0], self.ranked[:, 1]
        rows = np.arange(len(first))
        sure, less = 100 * self.probabilities[rows, first], 100 * self.probabilities[rows, second]
        confidence = " ".join(f"{value:.1f}" for value in sure) + " %"
        if len(first) == 1:
            return self.reads, confidence, f"{self.class_names[second[0]]} ({less[0]:.1f} %)"
        return self.reads, confidence, " ".join(self.class_names[label] for label in second)

    def as_json(self) -> dict[str, Any]:
        """Return the predictions as a JSON object; probabilities are fractions."""
        digits = []
        for number, (row, ranked) in enumerate(zip(self.probabilities, self.ranked, strict=True)):
            digits.append(
                {
                    "digit": int(ranked[0]),
                    "class": self.class_names[ranked[0]],
                    "confidence": float(row[ranked[0]]),
                    "runner_up": int(ranked[1]),
                    "runner_up_class": self.class_names[ranked[1]],
                    "runner_up_confidence": float(row[ranked[1]]),
                    "probabilities": [float(value) for value in row],
                    "box": None if self.boxes is None else [int(side) for side in self.boxes[number]],
                }
            )
        return {"image": self.name, "reads": self.reads, "digits": digits}
