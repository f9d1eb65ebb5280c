"""What a network read on a picture, as data, as lines of a table, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.arrays import Array, Float32

if TYPE_CHECKING:
    pass

COLUMNS = ("reads", "confidence", "runner-up")


@dataclass(frozen=True)
class Reading:
    """One picture, and the digits on it from left to right.

    Attributes
    ----------
    name : str
        Of the file, with the number of the image where the file has several.
    picture : array_like, (height, width) or (height, width, 3)
        What was given.
    images : ndarray, (n, h, w)
        The digits as the network saw them.
    boxes : sequence of (left, top, right, bottom), or None
        Where they are in the picture; None where it was taken whole.
    probabilities : ndarray, (n, classes)
    class_names : sequence of str
        What the classes are called.
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
        """The digits as one number or word; with spaces between where a class has a name of several letters."""
        between = "" if max(map(len, self.class_names)) == 1 else " "
        return between.join(self.class_names[row[0]] for row in self.ranked)

    def cells(self) -> tuple[str, str, str]:
        """Return what was read, how surely, and what else it could be: the columns of a table."""
        first, second = self.ranked[:, 0], self.ranked[:, 1]
        rows = np.arange(len(first))
        sure, less = 100 * self.probabilities[rows, first], 100 * self.probabilities[rows, second]
        confidence = " ".join(f"{value:.1f}" for value in sure) + " %"
        if len(first) == 1:
            return self.reads, confidence, f"{self.class_names[second[0]]} ({less[0]:.1f} %)"
        return self.reads, confidence, " ".join(self.class_names[label] for label in second)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as numbers and words; probabilities are fractions."""
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
