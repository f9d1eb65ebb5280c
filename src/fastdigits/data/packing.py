"""How much a compressed file may hold: a small file must not take hours or all memory to read."""

from __future__ import annotations

from ..errors import DataError

USUAL = 100  # : 1. Digits are packed about 5 : 1 as pixels, 8 : 1 as text
ALLOWED = 1 << 26  # bytes that may come of any file: a tenth of a second's work


def check_packing(subject: str, packed: int, unpacked: int, allowed: int = ALLOWED) -> None:
    """Raise a DataError if more comes of a compressed file than its size lets expect.

    Parameters
    ----------
    subject : str
        What the error message begins with, such as ``"a.gz:"``.
    packed, unpacked : int
        Bytes before and after.
    allowed : int, default 64 MB
        What is never refused.
    """
    if unpacked > allowed and unpacked > USUAL * packed:
        raise DataError(
            f"{subject} must be packed at most {USUAL} : 1, as no digits are packed tighter; got at least "
            f"{unpacked:,} bytes in {packed:,}: if you trust the file, unpack it first"
        )
