"""Write a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: str | os.PathLike[str], content: bytes, *, example: str) -> None:
    """Replace the file by one with this content: written beside it, forced to the disk, then renamed.

    Parameters
    ----------
    path : str or path-like
        The file. One that exists is replaced in one go, or stays as it is; a link stays a link.
    content : bytes
        All of it.
    example : str
        A name that such a file may have, for the error message.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    target = Path(path).resolve()  # where a link points to, so that the link stays
    if target.is_dir():
        raise IsADirectoryError(f"{path}: must be a file; got a folder: add a name such as {example}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{path}: its folder must exist; got {target.parent}: make it first")
    beside = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.tmp")
    leftover = os.fsencode(beside)  # where memory has run out, the name cannot be made into this any more
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
        _sync_folder(target.parent)
    except BaseException:
        try:  # noqa: SIM105 (contextlib.suppress would take memory)
            os.unlink(leftover)
        except FileNotFoundError:
            pass
        raise


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk as well, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
