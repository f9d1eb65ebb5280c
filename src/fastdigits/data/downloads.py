"""Fetch published files once: over https, checked by SHA-256, resumed where an earlier attempt broke off.

Pooch checks and places the files; what is here goes on with half of one and keeps processes apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core import streams
from ..errors import DataError

if TYPE_CHECKING:
    import requests

SCHEMES: tuple[str, ...] = (
    "https",
)  # what a file may come by; tests against a server of their own allow http
TIMEOUT = 10, 30  # seconds to connect, and without a byte, before an attempt is given up
ATTEMPTS = 3  # in a row for each address, each going on where the one before broke off
PAUSE = 0.5  # seconds before the second attempt, twice as much before the third
PIECE = 1 << 14  # bytes: what a process that is killed loses at most
INSTALL = "pip install 'pooch>=1.8' 'filelock>=3.12'"


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    name : str
        What it is called, there and here.
    size : int
        Its bytes.
    sha256 : str
        Of all of them, as 64 hexadecimal digits.
    urls : tuple of str
        Where it is, the best place first.
    """

    name: str
    size: int
    sha256: str
    urls: tuple[str, ...]

    def is_in(self, folder: Path) -> bool:
        """Return whether the folder has the file, every byte of it as published."""
        path = folder / self.name
        try:
            if not path.is_file() or path.stat().st_size != self.size:
                return False
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def fetch(what: str, files: Sequence[RemoteFile], folder: Path, *, progress: bool = False) -> None:
    """Make sure that the folder has all the files; what is there already, by whatever way it came, is not fetched.

    Parameters
    ----------
    what : str
        What an error message begins with, such as ``"kmnist"``.
    files : sequence of RemoteFile
    folder : Path
        Made where it is missing. Only these files and what is left of unfinished ones should be in it.
    progress : bool, default False
        Whether to show what is going on, on standard error.

    Raises
    ------
    DataError
        If a file cannot be fetched. The message says why, which files are missing, and where to put them.

    Notes
    -----
    A download goes to ``NAME.part`` and stays there when it is interrupted: the next call asks the server for the
    rest. It becomes ``NAME`` in one step, and only after its SHA-256 is right. One process at a time downloads into
    a folder; others wait for it and then find the files.
    """
    missing = [file for file in files if not file.is_in(folder)]
    if not missing:
        return
    try:
        pooch, filelock = _packages()
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"), _quietly(pooch, not progress):
            for rest in folder.glob("tmp*"):  # pooch's, of a process that was killed: nobody else is here
                rest.unlink()
            for file in missing:
                if not file.is_in(folder):  # another process may have been faster
                    _fetch(file, folder, progress)
    except (OSError, _FetchError) as error:
        raise DataError(_advice(what, str(error), missing, folder)) from error


def _advice(what: str, reason: str, missing: Sequence[RemoteFile], folder: Path) -> str:
    missing = [file for file in missing if not file.is_in(folder)] or missing
    names = ", ".join(file.name for file in missing)
    places = ", ".join(sorted({file.urls[0].rpartition("/")[0] + "/" for file in missing}))
    parts = [folder / f"{file.name}.part" for file in missing]
    kept = any(part.exists() and part.stat().st_size > 0 for part in parts)
    again = "run it again, which goes on where it stopped" if kept else "run it again with a network"
    return (
        f"{what}: its files must be downloaded once; got: {reason.rstrip('.')}: {again}, "
        f"or put {names} from {places} into {folder}"
    )


class _FetchError(Exception):
    """Why a file cannot be had."""


def _packages() -> tuple[ModuleType, ModuleType]:
    try:
        import filelock
        import pooch
    except ImportError as error:
        raise _FetchError(f"{error.name} is not installed ({INSTALL})") from error
    return pooch, filelock


@contextlib.contextmanager
def _quietly(pooch: Any, quiet: bool) -> Iterator[None]:
    """Keep pooch from telling of each file on standard error."""
    logger = pooch.get_logger()
    before = logger.level
    if quiet:
        logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _fetch(file: RemoteFile, folder: Path, progress: bool) -> None:
    """Try one address after the other; the message of the last failure names all."""
    reasons: list[str] = []
    for url in file.urls:
        try:
            _from(url, file, folder, progress)
        except _FetchError as error:
            reasons.append(f"{file.name} from {urlsplit(url).netloc}: {error}")
        else:
            return
    raise _FetchError("; ".join(reasons))


def _from(url: str, file: RemoteFile, folder: Path, progress: bool) -> None:
    import pooch
    import requests

    if urlsplit(url).scheme not in SCHEMES:
        raise _FetchError(f"addresses must begin with {SCHEMES[0]}://")
    with requests.Session() as session:
        for scheme in {"http", "https"} - set(SCHEMES):
            del session.adapters[
                f"{scheme}://"
            ]  # a server that sends us on to such an address is refused too
        while True:
            download = _Download(file, folder / f"{file.name}.part", session, progress)
            try:
                pooch.retrieve(
                    url, f"sha256:{file.sha256}", fname=file.name, path=folder, downloader=download
                )
            except ValueError:  # pooch's word for another hash; it has removed the file
                if not download.went_on:
                    raise _FetchError("it sent a file with another SHA-256 than the published one") from None
                # The half from before may have been the wrong one: once more, from the start.
            else:
                return


class _Download:
    """What pooch calls to get a file: asks for the part that is missing.

    Parameters
    ----------
    file : RemoteFile
    part : Path
        What is there so far; it survives an interrupt.
    session : requests.Session
    progress : bool
    """

    def __init__(self, file: RemoteFile, part: Path, session: requests.Session, progress: bool) -> None:
        self.file = file
        self.part = part
        self.session = session
        self.progress = progress
        self.went_on = self._have() > 0  # whether a part of the file is older than this download

    def __call__(self, url: str, output: str, _pooch: object) -> None:
        """Download from ``url``, and give the whole file the name ``output``."""
        from requests.exceptions import InvalidSchema, RequestException
        from urllib3.exceptions import HTTPError

        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE * attempt)
            try:
                self._go_on(url)
                break
            except InvalidSchema as error:
                raise _FetchError("it leads to an address without https") from error
            except (RequestException, HTTPError, _CutOffError) as error:
                if attempt == ATTEMPTS - 1:
                    raise _FetchError(f"{_plain(error)}, in {ATTEMPTS} attempts") from error
        os.replace(self.part, output)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _go_on(self, url: str) -> None:
        """Append what is missing, as far as it comes."""
        start = self._have()
        if start == self.file.size:
            return
        # Without identity, a server may send a .gz file as if it were a page to be decompressed on the way.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            code = response.status_code
            if 400 <= code < 500 and code != 416:
                raise _FetchError(f"it answers {code} {response.reason}")
            if code >= 500:  # may pass
                raise _CutOffError(f"it answers {code} {response.reason}")
            fits = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            if code == 416 or (code == 206 and not fits) or start > self.file.size:
                self.part.unlink(
                    missing_ok=True
                )  # there is no such rest: what is here is no part of that file
                raise _CutOffError("it has nothing that goes on with the part that was here")
            self._write(response, start if code == 206 else 0)

    def _write(self, response: requests.Response, start: int) -> None:
        from tqdm import tqdm

        self.went_on = self.went_on and start > 0
        size = self.file.size
        bar = tqdm(
            desc=self.file.name, initial=start, total=size, unit="B", unit_scale=True, leave=False,
            disable=None if self.progress else True,  # None: only on a terminal
            file=streams.messages(),
        )  # fmt: skip
        with bar, open(self.part, "ab" if start else "wb", buffering=0) as out:
            for piece in response.raw.stream(PIECE, decode_content=False):
                if start + len(piece) > size:
                    out.truncate(0)
                    raise _FetchError(f"it sent more than the {size:,} bytes of the published file")
                out.write(piece)
                start += len(piece)
                bar.update(len(piece))
        if start < size:
            raise _CutOffError(f"it ended after {start:,} of {size:,} bytes")


class _CutOffError(Exception):
    """An answer that is not the rest of the file, which another attempt may give."""


def _plain(error: Exception) -> str:
    """Return what went wrong, without the objects that requests puts around it."""
    from requests.exceptions import ConnectionError, Timeout
    from urllib3.exceptions import ReadTimeoutError

    if isinstance(error, Timeout | ReadTimeoutError) or "timed out" in str(error).lower():
        return f"no answer within {TIMEOUT[1]} seconds"
    if isinstance(error, ConnectionError):
        return "no connection"
    return str(error) if isinstance(error, _CutOffError) else "the connection broke off"
