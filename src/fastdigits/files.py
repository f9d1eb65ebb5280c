"""Write a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_writing: set[Path] = set()  # what this process has not renamed yet


def write(path: str | os.PathLike[str], content: bytes, *, example: str, sync: bool = True) -> None:
    """Replace the file by one with this content: written beside it, forced to the disk, then renamed.

    What an earlier process that was killed left beside the file is removed.

    Parameters
    ----------
    path : str or path-like
        The file. One that exists is replaced in one go, or stays as it is; a link stays a link.
    content : bytes
        All of it.
    example : str
        A name that such a file may have, for the error message.
    sync : bool, default True
        Whether to wait until the disk has it, for what a failure of the power must not undo.

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
    start = f".{os.fsencode(target.name)[:150].decode('utf-8', 'ignore')}."  # names have 255 bytes at most
    _remove_leftovers(target.parent, start)
    beside = target.with_name(f"{start}{os.getpid()}-{os.urandom(4).hex()}.tmp")
    _writing.add(beside)
    leftover = os.fsencode(beside)  # where memory has run out, the name cannot be made into this any more
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(beside, target)
        if sync:
            _sync_folder(target.parent)
    except BaseException:
        try:  # noqa: SIM105 (contextlib.suppress would take memory)
            os.unlink(leftover)
        except FileNotFoundError:
            pass
        raise
    finally:
        _writing.discard(beside)


def _remove_leftovers(folder: Path, start: str) -> None:
    """Remove what was not renamed by processes that are gone; who still writes keeps what it has."""
    names = re.compile(re.escape(start) + r"(\d+)-[0-9a-f]{8}\.tmp")
    with contextlib.suppress(OSError):  # a folder may be such that it can be written to and not be listed
        for left in folder.iterdir():
            found = names.fullmatch(left.name)
            if found and left not in _writing and not _runs(int(found[1])):
                with contextlib.suppress(OSError):
                    left.unlink()


def _runs(process: int) -> bool:
    """Return whether there is another process of this number; on Windows never: it keeps files that are open."""
    if os.name != "posix" or process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk as well, where the system lets folders be opened."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
