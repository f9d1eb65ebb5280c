"""The exceptions that a caller may catch, and how messages show text from outside."""

from __future__ import annotations

import unicodedata


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


# Categories of Unicode: control, format, surrogate, line separator, paragraph separator
_ACTING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"  # format characters that Persian, the scripts of India and emoji are written with


def printable(text: str, keep: str = "") -> str:
    """Return ``text`` with control characters escaped as in Python source, such as ``\\n`` and ``\\x1b``.

    Also escaped: characters that change the direction of text (U+202E), invisible ones, and surrogates, which stand for
    bytes of a file name that are no text. What is in ``keep`` stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) if character not in keep else character for character in text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _ACTING or character in _JOINERS:
        return character
    return character.encode("unicode_escape").decode("ascii")
