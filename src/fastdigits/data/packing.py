"""Limit the size of decompressed data: a small file must not take hours or all memory to read."""

from __future__ import annotations

from ..errors import DataError

MOST_RATIO = 100  # : 1. Digits are compressed about 5 : 1 as pixels, 8 : 1 as text
ALLOWED = 1 << 26  # bytes that are always allowed: they take a tenth of a second


def check_packing(subject: str, packed: int, unpacked: int, allowed: int = ALLOWED) -> None:
    """Raise a DataError if the compression ratio is too high.

    Parameters
    ----------
    subject : str
        The beginning of the error message, such as ``"a.gz:"``.
    packed, unpacked : int
        Bytes with and without compression.
    allowed : int, default 64 MB
        Fewer decompressed bytes are always allowed.
    """
    if unpacked > allowed and unpacked > MOST_RATIO * packed:
        raise DataError(
            f"{subject} must be compressed at most {MOST_RATIO} : 1, more than any images of digits are; got at least "
            f"{unpacked:,} bytes in {packed:,}: if you trust the file, decompress it first"
        )
