"""Download published files once, with pooch: over https, each accepted only with the published SHA-256."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from ..core import notebook
from ..errors import DataError

TIMEOUT = 10, 30  # seconds to connect, and without a byte
RETRIES = 2  # after the first attempt
INSTALL = "pip install 'pooch>=1.8' 'filelock>=3.12'"


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes
    ----------
    url : str
        Its address; the part after the last slash is the name of the local file.
    size : int
        Bytes.
    sha256 : str
        Of all bytes, as 64 hexadecimal digits.
    """

    url: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The name of the local file."""
        return self.url.rpartition("/")[2]

    def is_in(self, folder: Path) -> bool:
        """Return whether the folder has the file, with the published SHA-256."""
        path = folder / self.name
        try:
            if not path.is_file() or path.stat().st_size != self.size:
                return False
            with open(path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def fetch(subject: str, files: Sequence[RemoteFile], folder: Path, *, progress: bool = False) -> None:
    """Download the files that the folder does not have yet.

    Parameters
    ----------
    subject : str
        Begins an error message, such as ``"kmnist"``.
    files : sequence of RemoteFile
    folder : Path
        Created if it is missing. It should hold only these files.
    progress : bool, default False
        Whether to show progress, in the output of a notebook or on standard error.

    Raises
    ------
    DataError
        If a download fails. The message says why, which files are missing, and where to put them.

    Notes
    -----
    Pooch downloads to a temporary file, checks its SHA-256, and only then renames it. It tries three times. One
    process at a time downloads into a folder; the others wait and then find the files.
    """
    missing = [file for file in files if not file.is_in(folder)]
    if not missing:
        return
    current = missing[0]
    try:
        pooch, filelock = _packages()
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"), _logging(pooch, progress):
            for leftover in folder.glob("tmp*"):  # pooch's temporary file, after a killed process
                leftover.unlink()
            for current in missing:
                if not current.is_in(folder):  # another process may have downloaded it
                    _download(pooch, current, folder, progress)
    except (ImportError, OSError, ValueError) as error:
        missing = [file for file in missing if not file.is_in(folder)] or missing
        names = ", ".join(file.name for file in missing)
        places = ", ".join(sorted({file.url.removesuffix(file.name) for file in missing}))
        raise DataError(
            f"{subject}: its files must be downloaded once; got: {_reason(error, current)}: run it again with a "
            f"network, or put {names} from {places} into {folder}"
        ) from error


def _packages() -> tuple[ModuleType, ModuleType]:
    try:
        import filelock
        import pooch
    except ImportError as error:
        raise ImportError(f"{error.name} is not installed ({INSTALL})") from error
    return pooch, filelock


@contextlib.contextmanager
def _logging(pooch: Any, progress: bool) -> Iterator[None]:
    """Let pooch log each file on standard error only if progress is asked for."""
    logger = pooch.get_logger()
    before = logger.level
    if not progress:
        logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def _download(pooch: Any, file: RemoteFile, folder: Path, progress: bool) -> None:
    from tqdm import tqdm

    stream = notebook.progress_stream()

    def attempt(url: str, output: str, cache: object) -> None:
        bar = tqdm(
            desc=file.name, total=file.size, unit="B", unit_scale=True, leave=False,
            disable=None if progress else True,  # None: only on a terminal
            file=stream, position=stream.position,
        )  # fmt: skip
        with bar:
            pooch.HTTPDownloader(
                bar, chunk_size=1 << 14, timeout=TIMEOUT, hooks={"response": _keep_compressed}
            )(url, output, cache)

    cache = pooch.create(
        folder, "", registry={file.name: file.sha256}, urls={file.name: file.url}, retry_if_failed=RETRIES
    )
    try:
        cache.fetch(file.name, downloader=attempt)
    finally:
        stream.end()


def _keep_compressed(response: Any, **_: object) -> None:
    """Prevent requests from decompressing a .gz file: some servers label it as a compressed page."""
    response.raw.headers.pop("Content-Encoding", None)


def _reason(error: Exception, file: RemoteFile) -> str:
    """Return why a download failed, in a few words."""
    if isinstance(error, ImportError):
        return str(error)
    from requests import ConnectionError, RequestException

    subject = f"{file.name} from {urlsplit(file.url).netloc}"
    if not isinstance(error, RequestException):
        return (
            f"{subject}: its SHA-256 is not the published one"
            if isinstance(error, ValueError)
            else str(error)
        )
    if error.response is not None:
        return f"{subject}: it answers {error.response.status_code} {error.response.reason}"
    if "timed out" in str(error).lower():
        return f"{subject}: no answer within {TIMEOUT[1]} seconds"
    return (
        f"{subject}: {'no connection' if isinstance(error, ConnectionError) else 'the connection broke off'}"
    )
