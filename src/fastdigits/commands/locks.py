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
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # else a stranger's folder could make a file somewhere else
_TAKEN = frozenset([errno.EACCES, errno.EAGAIN, errno.EDEADLK])


class Lock:
    """A folder that this process writes into, until `release`.

    Parameters
    ----------
    folder : Path
        A folder that exists.

    Raises
    ------
    BlockingIOError
        If another process, or another thread of this one, has the folder.
    OSError
        If the folder cannot be written to.

    Notes
    -----
    The system's lock on a file of its own, which `release` removes. It ends with the process, also with one that is
    killed: then the empty file stays and hinders nobody, and the next one removes it. Where a file system has no
    locks, nobody is kept out.
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
            if self._is_there():
                return
            os.close(self._file)  # another process removed it when it was done

    def release(self) -> None:
        """Let others have the folder."""
        if sys.platform == "win32":  # which removes no file that is open
            os.close(self._file)
            self._remove()
        else:
            self._remove()
            os.close(self._file)

    def _remove(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # the folder is gone; on Windows, another process has the file already
            self._path.unlink()

    def _is_there(self) -> bool:
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
