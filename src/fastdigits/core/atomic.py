"""Write a file whole or not at all; open only regular files to read."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_writing: set[Path] = set()  # temporary files of this process


def write(
    path: str | os.PathLike[str], *content: bytes | memoryview, example: str, sync: bool = True
) -> None:
    """Write a new file beside the old one, force it to the disk, then rename it: readers see the old or the new one.

    Temporary files of processes that were killed are removed.

    Parameters
    ----------
    path : str or path-like
        The file. If it exists, it is replaced as a whole or not changed.
    *content : bytes or memoryview
        The whole content, in one part or several.
    example : str
        A file name to suggest in error messages.
    sync : bool, default True
        Whether to force the file to the disk, so that it survives a power failure.

    Raises
    ------
    OSError
        If the file cannot be written; if `check` refuses the path, before anything is written.

    Notes
    -----
    The new file keeps the permissions of the old one, and its owner and group if the system allows it (only root may
    set the owner); if it cannot keep the group, it has no group permissions. A symbolic link stays, and its target is
    replaced or created. Other hard links keep the old content. A read-only file is replaced as well: only its folder
    must be writable.
    """
    target, old = _target_of(path, f"choose a name such as {example}")
    remove_leftovers(target)
    beside = target.with_name(f"{_prefix(target)}{os.getpid()}-{os.urandom(4).hex()}.tmp")
    _writing.add(beside)
    try:
        with open(beside, "xb", opener=_open_private if old else None) as file:
            if old:
                _copy_permissions(file.fileno(), old)
            for part in content:
                file.write(part)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(beside, target)
        if sync:
            _sync_folder(target.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    finally:
        _writing.discard(beside)


def check(path: str | os.PathLike[str], *, hint: str) -> None:
    """Check that `write` may write the file: that it is a regular file, or a new one in an existing folder.

    Parameters
    ----------
    path : str or path-like
        The file.
    hint : str
        The next step for the user, at the end of the message.

    Raises
    ------
    OSError
        If it is a folder, a device, a pipe, a socket, a loop of links, or the name of an open stream such as
        ``/dev/stdout``: renaming would replace the device itself, or the file that a shell has open.
    """
    _target_of(path, hint)


def _target_of(path: str | os.PathLike[str], hint: str) -> tuple[Path, os.stat_result | None]:
    """Return the path behind symbolic links, and the status of the old file, None if there is none."""
    name = os.fspath(path)
    shown = repr(name) if not name or "\0" in name else name
    if not name or "\0" in name:
        raise FileNotFoundError(f"{shown}: must be the name of a file; got none: {hint}")
    try:
        old = os.stat(name)
    except FileNotFoundError:  # a new file, or a link without a target
        old = None
    except OSError as error:
        reason = "a loop of symbolic links" if error.errno == errno.ELOOP else error.strerror
        raise type(error)(
            f"{name}: must be a file, or the name of a new one; got {reason}: {hint}"
        ) from error
    if old is not None and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(f"{name}: must be a file; got a folder: {hint}")
    kind = None if old is None else _KINDS.get(stat.S_IFMT(old.st_mode))
    if kind is None and _is_stream(name):
        kind = "a stream that is open"
    if kind is not None:
        raise OSError(f"{name}: must be a file; got {kind}: {hint}")
    target = Path(os.path.realpath(name))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{name}: its folder must exist; got {target.parent}: make it first")
    return target, old


def _is_stream(name: str) -> bool:
    """Return whether a name is or links to an open stream, such as ``/dev/stdout`` or ``/proc/self/fd/1``."""
    for _ in range(40):  # the number of links that Linux follows
        folder = os.path.realpath(os.path.dirname(name))
        if folder == "/dev/fd" or (folder.startswith("/proc/") and folder.endswith("/fd")):
            return True
        try:
            name = os.path.join(folder, os.readlink(name))
        except OSError:  # not a link
            return False
    return False


def _open_private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)  # other users must not read it before the permissions are set


def _copy_permissions(file: int, old: os.stat_result) -> None:
    """Copy the permissions of the old file, and its owner and group if the system allows it."""
    if os.name != "posix":
        return
    mode = stat.S_IMODE(old.st_mode) & 0o777
    with contextlib.suppress(OSError):
        os.fchown(file, -1, old.st_gid)
    with contextlib.suppress(OSError):
        os.fchown(file, old.st_uid, -1)
    if os.fstat(file).st_gid != old.st_gid:  # the permissions were for another group
        mode &= ~0o070
    with contextlib.suppress(OSError):  # file systems without permissions
        os.fchmod(file, mode)


def _prefix(target: Path) -> str:
    """Return the beginning of the names of a file's temporary files; a name has at most 255 bytes."""
    return f".{os.fsencode(target.name)[:150].decode('utf-8', 'ignore')}."


def remove_leftovers(target: Path) -> None:
    """Remove the temporary files of processes that ended; those of running processes stay."""
    names = re.compile(re.escape(_prefix(target)) + r"(\d+)-[0-9a-f]{8}\.tmp")
    with contextlib.suppress(OSError):  # a folder may be writable and not readable
        for path in target.parent.iterdir():
            found = names.fullmatch(path.name)
            if found and path not in _writing and not runs(int(found[1])):
                with contextlib.suppress(OSError):
                    path.unlink()


def runs(process: int) -> bool:
    """Return whether another process has this number; on Windows False, which protects open files itself."""
    if os.name != "posix" or process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's process
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Force the folder to the disk, and with it the new name, if the system can open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- reading -------------------------------------------------------------------------------------------------


def open_regular(path: str | bytes | os.PathLike[str]) -> BinaryIO:
    """Open a regular file to read its bytes.

    All readers of the package open files here: reading a pipe may block forever, and a device may have no end.

    Raises
    ------
    OSError
        If the file is missing, or is a folder, a pipe, a socket or a device: ``strerror`` says which, and what to do.
    """
    _check_regular(
        os.stat(path)
    )  # first: opening a pipe waits for its other end, and opening starts some devices
    return io.open(path, "rb")  # noqa: UP020 (write_faults.py makes this module's `open` fail, which is for writing)


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder: name a file in it")
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
    raise OSError(errno.EINVAL, f"{kind}, not a regular file: write its content to one first")
