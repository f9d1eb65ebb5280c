"""Show text from outside, such as names of files and classes, so that it cannot act on a terminal or a page."""

from __future__ import annotations

import unicodedata

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
