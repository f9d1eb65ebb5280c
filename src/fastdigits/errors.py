"""The exceptions that a caller may catch, and how messages show text from outside."""

from __future__ import annotations

import unicodedata


class _FileError(ValueError):
    """An error whose message names a file; control characters in the name are escaped."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class DataError(_FileError):
    """A data file is missing, damaged or not in the format that its name or header says."""


class ModelFileError(_FileError):
    """A model file is missing, damaged or describes a network that this version does not support."""


class DivergedError(ArithmeticError):
    """Loss or weights are not finite, so training stopped. The message names epoch, step and learning rate."""


# Categories of Unicode: control, format, surrogate, line separator, paragraph separator
_CONTROL = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"  # format characters that Persian, Indian scripts and emoji need


def printable(text: str, keep: str = "") -> str:
    """Escape control characters as in Python source (``\\n``, ``\\x1b``), except those in ``keep``.

    Also escape invisible characters, those that change the direction of text (U+202E), and surrogates, which stand
    for undecodable bytes in file names.
    """
    if text.isprintable():
        return text
    return "".join(character if character in keep else _escape(character) for character in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _CONTROL or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")
