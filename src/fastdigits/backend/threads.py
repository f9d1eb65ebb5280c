"""How many threads to use: what the caller or the environment says, else what this process may really run on."""

from __future__ import annotations

import os

from ..core.validation import check_count

VARIABLE = "FASTDIGITS_NUM_THREADS"
OPENMP = (
    "OMP_NUM_THREADS"  # what joblib, Dask and batch systems set in the processes that they start side by side
)
MOST = 1024  # more count as so many; the pool makes 64 at most
_chosen: int | None = None


def set_num_threads(n: int | None) -> None:
    """Let every later call use up to ``n`` threads.

    Parameters
    ----------
    n : int or None
        At least 1; more than 1024 count as 1024. None goes back to the default: ``FASTDIGITS_NUM_THREADS``,
        else the processors that this process may run on, by affinity and by the quota of its container, and no
        more than ``OMP_NUM_THREADS``.

    Raises
    ------
    TypeError
        If ``n`` is no integer.
    ValueError
        If it is below 1.

    Notes
    -----
    Results do not depend on it, to the last bit. Work too small to gain from threads is done by one.
    """
    global _chosen
    _chosen = None if n is None else check_threads(n, "n", "set_num_threads")


def check_threads(n: object, name: str, subject: str) -> int:
    """Return a number of threads as the kernels take it; TypeError or ValueError if it is none."""
    return min(check_count(n, name, subject), MOST)


def get_num_threads() -> int:
    """Return how many threads later calls may use.

    ``OMP_NUM_THREADS`` only lowers the default: several processes started side by side, by scikit-learn's
    ``n_jobs`` for instance, share the processors by it. What is no number there is nothing to this package.

    Raises
    ------
    ValueError
        If ``FASTDIGITS_NUM_THREADS`` decides and is no whole number of at least 1.
    """
    if _chosen is not None:
        return _chosen
    text = os.environ.get(VARIABLE, "")
    if not text:
        outermost = os.environ.get(OPENMP, "").partition(",")[0]  # such as 4 in "4,2"
        return min(available_processors(), _whole(outermost.strip()) or MOST)
    count = _whole(text)
    if count is None:
        raise ValueError(
            f"{VARIABLE}: must be a whole number, at least 1; got {text!r}: unset it or correct it"
        )
    return count


def _whole(text: str) -> int | None:
    """Return the number of threads that a variable says, None where it is no whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and float(text) >= 1):
        return None
    return int(min(float(text), MOST))  # int(text) refuses very many digits


def available_processors(root: str | os.PathLike[str] = "/") -> int:
    """Return how many processors this process may keep busy: its affinity, cut to its container's quota.

    A quota of 1.5 processors counts as 1: a thread that is stopped until the next period would keep the
    others waiting.

    Parameters
    ----------
    root : str or path-like
        Where ``proc`` and ``sys`` are looked for; another folder in tests.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # neither macOS nor Windows has it
        count = os.cpu_count() or 1
    top = os.fspath(root)
    quotas = [quota for quota in (_quota_v2(top), _quota_v1(top)) if quota is not None]
    return max(1, min([count, *(int(quota) for quota in quotas)]))


def _quota_v2(root: str) -> float | None:
    """Return the smallest quota of this process's control group (version 2) and of those above it."""
    _, group = _group(root, "")
    quotas = []
    for mount in ("", "unified"):  # the second where version 1 has the first
        for folder in _up_from(group):
            words = _read(root, "sys/fs/cgroup", mount, folder, "cpu.max").split()
            if len(words) == 2:
                quotas.append(_ratio(*words))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v1(root: str) -> float | None:
    """Return the smallest quota of this process's control group (version 1) and of those above it."""
    controllers, group = _group(root, "cpu")
    quotas = []
    for mount in {"cpu", controllers}:  # such as "cpu,cpuacct", to which "cpu" need not be a link
        for folder in _up_from(group):
            quota, period = (
                _read(root, "sys/fs/cgroup", mount, folder, f"cpu.cfs_{name}_us")
                for name in ("quota", "period")
            )
            quotas.append(_ratio(quota, period))
    return min((quota for quota in quotas if quota is not None), default=None)


def _up_from(group: str) -> list[str]:
    """Return the folders of a control group and of all those above it; the last, "", is the root.

    The root counts always: a container may see its own group there, and read of one that it cannot see.
    """
    parts = [part for part in group.split("/") if part not in ("", "..")]
    return ["/".join(parts[:depth]) for depth in range(len(parts), -1, -1)]


def _group(root: str, controller: str) -> tuple[str, str]:
    """Return controllers and path of this process's control group: the line for one of them, "" for version 2."""
    for line in _read(root, "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and controller in parts[1].split(","):
            return parts[1], parts[2]
    return controller, ""


def _ratio(quota: str, period: str) -> float | None:
    """Return quota / period; None where there is no quota (``max``, -1) or no sense in it."""
    try:
        share = int(quota) / int(period)
    except (ValueError, ArithmeticError):
        return None
    return share if share > 0 else None


def _read(*parts: str) -> str:
    """Return what a file says, "" where it cannot be read; bytes that are no text are kept, for names of groups."""
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except (OSError, ValueError):  # a name with a null byte is a ValueError
        return ""
