"""Let one process at a time write into a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NAME = ".fastdigits.lock"
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # else a link in a shared folder could create a file somewhere else
_TAKEN = frozenset([errno.EACCES, errno.EAGAIN, errno.EDEADLK])


class Lock:
    """The right to write into a folder, until `release`.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    BlockingIOError
        If another process, or another thread of this one, holds the lock.
    OSError
        If the folder cannot be written to.

    Notes
    -----
    A lock of the operating system on a file of its own, which `release` removes. The lock ends with the process. A
    killed process leaves the empty file, which blocks nothing; the next process removes it. On a file system without
    locks, every process gets the lock.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        while True:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
            try:
                _lock(self._file)
            except BaseException:
                os.close(self._file)
                raise
            if self._exists():
                return
            os.close(self._file)  # another process has removed it in `release`

    def release(self) -> None:
        """Unlock the folder."""
        if sys.platform == "win32":  # an open file cannot be removed
            os.close(self._file)
            self._remove()
        else:
            self._remove()
            os.close(self._file)

    def _remove(self) -> None:
        # It fails if the folder is gone, or, on Windows, if another process has opened the file.
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _exists(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self._path))
        except FileNotFoundError:
            return False


def _lock(file: int) -> None:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            raise BlockingIOError(error.errno, "another process writes into it") from error
