"""Read the digits of a picture with a network, as data and as cells of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ..core.arrays import Array, Float32
from .digits import UInt8, find_digits

COLUMNS = ("reads", "confidence", "runner-up")
NOT_A_DIGIT = "not a digit"  # a class of this name means that an image shows none of the others
UNREAD = "?"  # its sign in a number, and that of a doubtful digit
LEAST_SURE = 0.6  # confidence; a digit of a picture with less is doubtful


@dataclass(frozen=True)
class Reading:
    """One picture, and the digits predicted for it, line by line, from left to right.

    Attributes
    ----------
    name : str
        Name of the file, with the number of the image where the file has several.
    picture : array_like, (height, width) or (height, width, 3)
        The input, with its lines level.
    images : ndarray, (n, h, w)
        The images that the network classified.
    boxes : sequence of (left, top, right, bottom), or None
        Their places in the picture; None where the whole picture is the image.
    probabilities : ndarray, (n, classes)
    class_names : sequence of str
    lines : sequence of sequence of int or str
        The numbers of the images in each line, and the signs between them. Empty: all images are one line.
    turned : float
        Degrees by which the picture was turned counterclockwise.
    """

    name: str
    picture: object
    images: Array
    boxes: Sequence[tuple[int, int, int, int]] | None
    probabilities: Float32
    class_names: Sequence[str]
    lines: Sequence[Sequence[int | str]] = field(default=())
    turned: float = 0.0

    @property
    def ranked(self) -> Array:
        """The classes of each digit, the most probable first, (n, classes)."""
        ranked: Array = np.argsort(-self.probabilities, axis=1, kind="stable")
        return ranked

    @property
    def doubtful(self) -> Array:
        """Whether each digit may be another one, or none, (n,) bool."""
        doubtful: Array = self._rejects[self.ranked[:, 0]]
        if self.boxes is not None:
            doubtful = doubtful | (self.probabilities.max(axis=1) < LEAST_SURE)
        return doubtful

    @property
    def reads(self) -> str:
        """The lines, with ``?`` for a doubtful digit, and with spaces if a class has a name of several letters."""
        if self._is_rejected:
            return NOT_A_DIGIT
        return self._written(np.where(self.doubtful, -1, self.ranked[:, 0]))

    @property
    def digits(self) -> str:
        """The lines with the most probable digit wherever `reads` has none."""
        return self._written(np.where(self._rejects, -1, self.probabilities).argmax(axis=1))

    def cells(self) -> tuple[str, str, str]:
        """Return the cells of a table, each with all lines: prediction, confidence and runner-up."""
        first, second = self.ranked[:, 0], self.ranked[:, 1]
        rows = np.arange(len(first))
        sure, less = 100 * self.probabilities[rows, first], 100 * self.probabilities[rows, second]
        if self._is_rejected or (len(first) == 1 and not self.doubtful[0]):
            return self.reads, f"{sure[0]:.1f} %", f"{self.class_names[second[0]]} ({less[0]:.1f} %)"
        others = [
            f"{self._sign(one)}/{self._sign(other)}" if doubtful else self._sign(other)
            for one, other, doubtful in zip(first, second, self.doubtful, strict=True)
        ]
        digits = [[one for one in line if not isinstance(one, str)] for line in self._lines]
        confidences = "\n".join(" ".join(f"{sure[one]:.1f}" for one in line) + " %" for line in digits)
        return self.reads, confidences, "\n".join(" ".join(others[one] for one in line) for line in digits)

    def as_json(self) -> dict[str, Any]:
        """Return the predictions as a JSON object; probabilities are fractions, and the number of no digit is null."""
        digits = []
        rows = zip(self.probabilities, self.ranked, self.doubtful, strict=True)
        for number, (row, ranked, doubtful) in enumerate(rows):
            digits.append(
                {
                    "digit": self._number(ranked[0]),
                    "class": self.class_names[ranked[0]],
                    "confidence": float(row[ranked[0]]),
                    "doubtful": bool(doubtful),
                    "runner_up": self._number(ranked[1]),
                    "runner_up_class": self.class_names[ranked[1]],
                    "runner_up_confidence": float(row[ranked[1]]),
                    "probabilities": [float(value) for value in row],
                    "box": None if self.boxes is None else [int(side) for side in self.boxes[number]],
                }
            )
        signs = [one for line in self._lines for one in line if isinstance(one, str)]
        return {
            "image": self.name,
            "reads": self.reads,
            "lines": self.reads.split("\n"),
            "signs": signs,
            "turned": self.turned,
            "digits": digits,
        }

    @property
    def _rejects(self) -> Array:
        """Whether each class is none of the others, (classes,) bool."""
        return np.array([name == NOT_A_DIGIT for name in self.class_names])

    @property
    def _is_rejected(self) -> bool:
        """Whether the picture is one image, and no digit."""
        return len(self.images) == 1 and len(self._lines[0]) == 1 and bool(self._rejects[self.ranked[0, 0]])

    @property
    def _lines(self) -> Sequence[Sequence[int | str]]:
        return self.lines or [range(len(self.images))]

    def _written(self, labels: Array) -> str:
        """Return the lines with these labels; a negative label is unread."""
        signs = [self._sign(label) for label in range(len(self.class_names))]
        between = "" if max(map(len, signs)) == 1 else " "
        words = [signs[label] if label >= 0 else UNREAD for label in labels]
        lines = [[one if isinstance(one, str) else words[one] for one in line] for line in self._lines]
        return "\n".join(between.join(line) for line in lines)

    def _sign(self, label: int) -> str:
        name = self.class_names[label]
        return UNREAD if name == NOT_A_DIGIT else name

    def _number(self, label: int) -> int | None:
        return None if self.class_names[label] == NOT_A_DIGIT else int(label)


def read_picture(
    image: object,
    predict_proba: Callable[[UInt8], Float32],
    class_names: Sequence[str],
    *,
    name: str,
    single: bool = False,
    opened: Image.Image | None = None,
) -> Reading:
    """Read the digits of a picture.

    Parameters
    ----------
    image : path, PIL.Image.Image, or array_like
        As for `fastdigits.prepare`.
    predict_proba : callable
        Returns the probabilities of the classes, (n, classes), for images, (n, 28, 28) uint8.
    class_names : sequence of str
    name : str
        The beginning of error messages.
    single : bool, default False
        Whether all ink is one digit.
    opened : PIL.Image.Image, optional
        The image, if the caller has opened it with `open_image`.
    """
    is_digit = np.array([one != NOT_A_DIGIT for one in class_names])

    def confidence(images: UInt8) -> Array:
        digits: Array = predict_proba(images)[:, is_digit]
        return digits

    page = find_digits(image, single=single, subject=name, opened=opened, confidence=confidence)
    digits = [one for row in page.rows for one in row if not one.sign]
    numbers = iter(range(len(digits)))
    lines = [[one.sign or next(numbers) for one in row] for row in page.rows]
    images = np.stack([digit.image for digit in digits])
    boxes = [digit.box for digit in digits]
    sure = np.array([[digit.sure] for digit in digits], dtype=np.float32)
    other = is_digit if is_digit.all() else ~is_digit  # what is cut at a wrong place is none, or any class
    probabilities = sure * predict_proba(images) + (1 - sure) * (other / other.sum()).astype(np.float32)
    return Reading(name, page.picture, images, boxes, probabilities, class_names, lines, page.turned)
