"""Choose the number of threads: the caller's, the environment's, or that of the processors available."""

from __future__ import annotations

import functools
import os
import time

from ..core.validation import check_count

VARIABLE = "FASTDIGITS_NUM_THREADS"
OPENMP = "OMP_NUM_THREADS"  # joblib, Dask and batch systems set it in parallel processes
MOST = 1024  # larger numbers count as this; the pool makes at most 64 threads
_chosen: int | None = None
_share: int | None = None  # of the processors, for a process that shares the machine with others like it


def set_num_threads(n: int | None) -> None:
    """Use at most ``n`` threads from now on.

    Parameters
    ----------
    n : int or None
        At least 1; more than 1024 count as 1024. None restores the default: ``FASTDIGITS_NUM_THREADS``, or else the
        number of processors available to this process (affinity, quota of its container), limited by
        ``OMP_NUM_THREADS``.

    Raises
    ------
    TypeError
        If ``n`` is not an integer.
    ValueError
        If it is below 1.

    Notes
    -----
    Results are the same to the last bit for any number. Work too small to gain from threads uses one.
    """
    global _chosen
    _chosen = None if n is None else check_threads(n, "n", "set_num_threads")


def set_share(n: int | None) -> None:
    """Count ``n`` processors as available, as other processes of the same program use the rest; None: all of them."""
    global _share
    _share = n


def check_threads(n: object, name: str, subject: str) -> int:
    """Return a valid number of threads, at most 1024; TypeError or ValueError if ``n`` is not one."""
    return min(check_count(n, name, subject), MOST)


def get_num_threads() -> int:
    """Return the largest number of threads that calls may use.

    ``OMP_NUM_THREADS`` only lowers the default: parallel processes, such as those of scikit-learn's ``n_jobs``, share
    the processors by it. It is ignored if it is not a number.

    Raises
    ------
    ValueError
        If ``FASTDIGITS_NUM_THREADS`` is used and is not an integer of at least 1.
    """
    if _chosen is not None:
        return _chosen
    text = os.environ.get(VARIABLE, "")
    if not text:
        outermost = os.environ.get(OPENMP, "").partition(",")[0]  # such as 4 in "4,2"
        return min(_share or available_processors(), _parse(outermost.strip()) or MOST)
    count = _parse(text)
    if count is None:
        raise ValueError(
            f"{VARIABLE}: must be a whole number, at least 1; got {text!r}: unset it or correct it"
        )
    return count


def _parse(text: str) -> int | None:
    """Return the number of threads in a variable, None if it is not an integer of at least 1."""
    if not (text.isascii() and text.isdigit() and float(text) >= 1):
        return None
    return int(min(float(text), MOST))  # int(text) limits the number of digits


def available_processors(root: str | os.PathLike[str] = "/") -> int:
    """Return how many processors this process can use: its affinity, limited by its container's quota.

    A quota of 1.5 processors counts as 1: with two threads, one would often wait for the next quota period, and the
    other for that thread. A change of the quota counts within a second.

    Parameters
    ----------
    root : str or path-like
        The folder of ``proc`` and ``sys``; tests pass another.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        count = os.cpu_count() or 1
    return max(1, min([count, *_quotas(os.fspath(root), int(time.monotonic()))]))


@functools.lru_cache(maxsize=1)  # reading the files takes 0.2 ms, as long as predicting 300 images
def _quotas(root: str, second: int) -> list[int]:
    """Return the whole processors of each quota that there is; read again in each ``second``."""
    return [int(quota) for quota in (_quota_v2(root), _quota_v1(root)) if quota is not None]


def _quota_v2(root: str) -> float | None:
    """Return the smallest quota of this process's control group (version 2) and its parents."""
    _, group = _group(root, "")
    quotas = []
    for mount in ("", "unified"):  # "unified" where version 1 is mounted beside it
        for folder in _up_from(group):
            words = _read(root, "sys/fs/cgroup", mount, folder, "cpu.max").split()
            if len(words) == 2:
                quotas.append(_ratio(*words))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v1(root: str) -> float | None:
    """Return the smallest quota of this process's control group (version 1) and its parents."""
    controllers, group = _group(root, "cpu")
    quotas = []
    for mount in {"cpu", controllers}:  # such as "cpu,cpuacct"; "cpu" may not exist then
        for folder in _up_from(group):
            quota, period = (
                _read(root, "sys/fs/cgroup", mount, folder, f"cpu.cfs_{name}_us")
                for name in ("quota", "period")
            )
            quotas.append(_ratio(quota, period))
    return min((quota for quota in quotas if quota is not None), default=None)


def _up_from(group: str) -> list[str]:
    """Return the folders of a control group and its parents; the last, "", is the root.

    The root always counts: in a container it may be the container's own group, under a path that does not exist there.
    """
    parts = [part for part in group.split("/") if part not in ("", "..")]
    return ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]


def _group(root: str, controller: str) -> tuple[str, str]:
    """Return controllers and path of this process's control group for a controller, "" for version 2."""
    for line in _read(root, "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and controller in parts[1].split(","):
            return parts[1], parts[2]
    return controller, ""


def _ratio(quota: str, period: str) -> float | None:
    """Return quota / period, None if there is no quota (``max``, -1) or it is invalid."""
    try:
        share = int(quota) / int(period)
    except (ValueError, ArithmeticError):
        return None
    return share if share > 0 else None


def _read(*parts: str) -> str:
    """Return the text of a file, "" if it cannot be read; undecodable bytes are kept, for names of groups."""
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return ""
