"""How many threads to use: what the caller or the environment says, else what this process may really run on."""

from __future__ import annotations

import math
import os

from .inputs import check_count

VARIABLE = "FASTDIGITS_NUM_THREADS"
OPENMP = (
    "OMP_NUM_THREADS"  # what joblib, Dask and batch systems set in the processes that they start side by side
)
_chosen: int | None = None


def set_num_threads(n: int | None) -> None:
    """Let every later call use up to ``n`` threads.

    Parameters
    ----------
    n : int or None
        At least 1. None goes back to the default: ``FASTDIGITS_NUM_THREADS``, else the processors that this
        process may run on, by affinity and by the quota of its container, and no more than ``OMP_NUM_THREADS``.

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
    _chosen = None if n is None else check_count(n, "n", "set_num_threads")


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
        return int(min(available_processors(), _openmp_limit()))
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ValueError(
            f"{VARIABLE}: must be a whole number, at least 1; got {text!r}: unset it or correct it"
        )
    return int(text)


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


def _openmp_limit() -> float:
    """Return the threads of the outermost level in ``OMP_NUM_THREADS``, such as 4 in "4,2"; infinity for none."""
    text = os.environ.get(OPENMP, "").partition(",")[0].strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) >= 1 else math.inf


def _quota_v2(root: str) -> float | None:
    """Return the smallest quota of this process's control group (version 2) and of those above it."""
    group = _group(root, "")
    if group is None:
        return None
    parts = group.strip("/").split("/")
    quotas = []
    for depth in range(len(parts) + 1):
        words = _read(root, "sys/fs/cgroup", *parts[:depth], "cpu.max").split()
        if len(words) == 2:
            quotas.append(_ratio(*words))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_v1(root: str) -> float | None:
    """Return the quota of this process's control group (version 1), or of the one mounted as its root."""
    group = _group(root, "cpu") or ""
    for folder in (group.strip("/"), ""):
        quota, period = (
            _read(root, "sys/fs/cgroup/cpu", folder, f"cpu.cfs_{name}_us") for name in ("quota", "period")
        )
        ratio = _ratio(quota, period)
        if ratio is not None:
            return ratio
    return None


def _group(root: str, controller: str) -> str | None:
    """Return the path of this process's control group: the line for a controller, or that of version 2."""
    for line in _read(root, "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and controller in parts[1].split(","):
            return parts[2]
    return None


def _ratio(quota: str, period: str) -> float | None:
    """Return quota / period; None where there is no quota (``max``, -1) or no sense in it."""
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return share if share > 0 else None


def _read(*parts: str) -> str:
    try:
        with open(os.path.join(*parts), encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
