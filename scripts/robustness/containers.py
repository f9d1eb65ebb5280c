"""Show the number of threads for every form of container: quota, affinity and environment.

    python scripts/robustness/containers.py        # a table; some seconds

Most rows imitate the files of /proc and /sys in a temporary folder, on a machine with 8 processors; the tests use the
same cases. The last rows are real: a process bound to one processor, and, as root, processes in control groups of
version 1 with a quota. Exit code 1 if a number is wrong.
"""

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from fastdigits.backend import threads

V2, V1 = "0::{}\n", "9:memory:/x\n3:cpu,cpuacct:{}\n"


@dataclass(frozen=True)
class Case:
    """One container: its files (text or bytes; None makes a folder of that name), and the expected threads."""

    name: str
    threads: int
    files: dict[str, str | bytes | None] = field(default_factory=dict)
    processors: int = 8
    environment: dict[str, str] = field(default_factory=dict)


def v2(group: str = "/app", mount: str = "", **limits: str | bytes | None) -> dict[str, str | bytes | None]:
    """Return the files of control groups of version 2: each keyword is a folder ("_" for "/") and its cpu.max."""
    found: dict[str, str | bytes | None] = {"proc/self/cgroup": V2.format(group)}
    for folder, limit in limits.items():
        place = "/".join(["sys/fs/cgroup", *filter(None, [mount, *folder.split("_")]), "cpu.max"])
        found[place] = limit
    return found


def v1(group: str = "/app", mount: str = "cpu", **quotas: object) -> dict[str, str | bytes | None]:
    """Return the files of control groups of version 1: each keyword is a folder ("_" for "/") and its quota,
    or its quota and period."""
    found: dict[str, str | bytes | None] = {"proc/self/cgroup": V1.format(group)}
    for folder, limit in quotas.items():
        quota, period = limit if isinstance(limit, tuple) else (limit, "100000")
        place = "/".join(["sys/fs/cgroup", mount, *filter(None, folder.split("_"))])
        found[f"{place}/cpu.cfs_quota_us"] = str(quota)
        if period is not None:
            found[f"{place}/cpu.cfs_period_us"] = str(period)
    return found


def hybrid(*parts: dict[str, str | bytes | None], lines: str) -> dict[str, str | bytes | None]:
    """Return the files of both versions, and these lines in /proc/self/cgroup."""
    return functools.reduce(lambda a, b: a | b, parts) | {"proc/self/cgroup": lines}


BOTH = "9:memory:/app\n3:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/app\n"
TWO = v2(app="200000 100000")

CASES = [
    Case("no control groups", 8),
    Case("v2, `max 100000`", 8, v2(app="max 100000")),
    Case("v2, 2 processors: `200000 100000`", 2, TWO),
    Case("v2, 2 in another period: `20000 10000`", 2, v2(app="20000 10000")),
    Case("v2, 2.5: `250000 100000`", 2, v2(app="250000 100000")),
    Case("v2, 1.5: `150000 100000`", 1, v2(app="150000 100000")),
    Case("v2, 0.5: `50000 100000`", 1, v2(app="50000 100000")),
    Case("v2, 0.01: `1000 100000`", 1, v2(app="1000 100000")),
    Case("v2, more than there are: `1600000 100000`", 8, v2(app="1600000 100000")),
    Case("v2, own 4, group above it 2", 2, v2("/a/b", a="200000 100000", a_b="400000 100000")),
    Case("v2, own 2, group above it 4", 2, v2("/a/b", a="400000 100000", a_b="200000 100000")),
    Case(
        "v2, own and next `max`, above them 3",
        3,
        v2("/a/b/c", a="300000 100000", a_b="max 100000", a_b_c="max 100000"),
    ),
    Case("v2, own group is all that is seen (namespace), 3", 3, v2("/", **{"": "300000 100000"})),
    Case("v2, group's path is the host's, 3 at the root", 3, v2("/x.slice/y.scope", **{"": "300000 100000"})),
    Case("v2, group outside the namespace: `/../app`, 2", 2, v2("/../app", app="200000 100000")),
    Case("v2, a name with colon, space and umlaut, 2", 2, v2("/a: ü", **{"a: ü": "200000 100000"})),
    Case("v2, no `cpu.max`", 8, v2()),
    Case("v2, `cpu.max` cannot be read", 8, v2(app=None)),
    Case("v2, empty", 8, v2(app="")),
    Case("v2, one word", 8, v2(app="200000")),
    Case("v2, no numbers: `two 100000`", 8, v2(app="two 100000")),
    Case("v2, period 0", 8, v2(app="100000 0")),
    Case("v2, negative", 8, v2(app="-200000 100000")),
    Case("v2, a number of 400 digits", 8, v2(app="9" * 400 + " 1")),
    Case("v2, bytes that are no text", 8, v2(app=b"\xff\xfe\0\x80 \xff")),
    Case("`/proc/self/cgroup` missing, 2 at the root", 2, {"sys/fs/cgroup/cpu.max": "200000 100000"}),
    Case("`/proc/self/cgroup` cannot be read", 8, {"proc/self/cgroup": None}),
    Case("`/proc/self/cgroup` is garbage", 8, {"proc/self/cgroup": b"\0\xff:\n::\n0::/\0\n0:cpu\n"}),
    Case("v1, -1", 8, v1(app=-1)),
    Case("v1, 2: 200000 of 100000", 2, v1(app=200000)),
    Case("v1, 1.5", 1, v1(app=150000)),
    Case("v1, 0.5", 1, v1(app=50000)),
    Case("v1, 2 in another period: 50000 of 25000", 2, v1(app=(50000, 25000))),
    Case("v1, own 4, group above it 2", 2, v1("/a/b", a=200000, a_b=400000)),
    Case("v1, own -1, group above it 2", 2, v1("/a/b", a=200000, a_b=-1)),
    Case("v1, group's path is the host's, 3 at the root", 3, v1("/docker/7", **{"": 300000})),
    Case("v1, mounted as `cpu,cpuacct` alone, 2", 2, v1(mount="cpu,cpuacct", app=200000)),
    Case("v1, no period", 8, v1(app=(200000, None))),
    Case("v1, no numbers", 8, v1(app="x")),
    Case("both, v1 has the processors: 2", 2, hybrid(v1(app=200000), lines=BOTH)),
    Case(
        "both, v2 beside v1 has them: 3",
        3,
        hybrid(v2(mount="unified", app="300000 100000"), lines="0::/app\n"),
    ),
    Case("both, 2 and 3", 2, hybrid(v1(app=300000), TWO, lines=BOTH)),
    Case("bound to 1 processor", 1, processors=1),
    Case("bound to 2 processors, quota of 4", 2, v2(app="400000 100000"), processors=2),
    Case("200 processors (the pool takes up to 64)", 200, processors=200),
    Case("quota of 2, `OMP_NUM_THREADS=4,2`", 2, TWO, environment={"OMP_NUM_THREADS": "4,2"}),
    Case("no quota, `OMP_NUM_THREADS=4,2`", 4, environment={"OMP_NUM_THREADS": "4,2"}),
    Case("no quota, `OMP_NUM_THREADS` of 5,000 digits", 8, environment={"OMP_NUM_THREADS": "9" * 5000}),
    Case("quota of 2, `FASTDIGITS_NUM_THREADS=5`", 5, TWO, environment={"FASTDIGITS_NUM_THREADS": "5"}),
    Case(
        "bound to 1, `FASTDIGITS_NUM_THREADS=5`",
        5,
        processors=1,
        environment={"FASTDIGITS_NUM_THREADS": "5"},
    ),
    Case(
        "`FASTDIGITS_NUM_THREADS=99999999999`",
        threads.MOST,
        environment={"FASTDIGITS_NUM_THREADS": "99999999999"},
    ),
]


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables that set the number of threads."""
    variables = (threads.VARIABLE, threads.OPENMP)
    return {name: value for name, value in os.environ.items() if name not in variables}


def threads_of(case: Case, root: Path) -> int:
    """Return the number of threads for a case; its files are written under ``root``."""
    for name, content in case.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    look = functools.partial(threads.available_processors, root)
    with (
        mock.patch.object(threads, "available_processors", look),
        mock.patch.object(os, "sched_getaffinity", return_value=set(range(case.processors)), create=True),
        mock.patch.dict(os.environ, clean_environment() | case.environment, clear=True),
    ):
        threads.set_num_threads(None)
        return threads.get_num_threads()


def threads_after(statement: str) -> int:
    """Return the number of threads in a new process that first runs a statement."""
    program = f"import os; {statement}; import fastdigits; print(fastdigits.get_num_threads())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=clean_environment()
    )
    return int(done.stdout)


@contextlib.contextmanager
def control_group(quota: int) -> Iterator[str]:
    """Make a control group of version 1; yield the statement with which a process enters it."""
    parent = Path("/sys/fs/cgroup/cpu", f"fastdigits-{os.getpid()}")
    group = parent / "inner"  # the quota is set on the parent of the process's group
    parent.mkdir()
    try:
        group.mkdir()
        try:
            (parent / "cpu.cfs_quota_us").write_text(str(quota))
            yield f"open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
        finally:
            group.rmdir()
    finally:
        parent.rmdir()


def real_rows() -> Iterator[tuple[str, int, int]]:
    """Yield the name, the expected and the actual threads of each case that this machine can run."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    if available > 1:
        yield f"real: {available} processors, nothing else", available, threads_after("pass")
    if available:
        yield (
            "real: bound to 1 processor, as by `taskset`",
            1,
            threads_after("os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"),
        )
    try:
        for quota in (50000, 100000, 150000, 200000):
            with control_group(quota) as enter:
                expected = max(1, min(available, quota // 100000))
                yield f"real: v1, {quota / 100000:g} in the group above", expected, threads_after(enter)
    except OSError as error:
        print(f"containers: this process may not make control groups: {error}", file=sys.stderr)


def main() -> int:
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append((case.name, case.threads, threads_of(case, Path(folder))))
    rows += real_rows()
    print("| container | threads |\n| --- | --- |")
    for name, expected, got in rows:
        print(f"| {name} | {got}{'' if got == expected else f', should be {expected}'} |")
    return int(any(expected != got for _, expected, got in rows))


if __name__ == "__main__":
    sys.exit(main())
