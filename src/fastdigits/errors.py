"""The few exception classes that a caller would catch."""

from __future__ import annotations

from .text import printable


class _FileError(ValueError):
    """An error whose message names a file; control characters in the name are shown escaped."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class DataError(_FileError):
    """A data file is missing, damaged or not of the form that its name or header claims."""


class ModelFileError(_FileError):
    """A model file is missing, damaged or describes a network that this version does not know."""


class DivergedError(ArithmeticError):
    """Loss or weights are no longer finite; training stopped. The message names epoch, step and learning rate."""
