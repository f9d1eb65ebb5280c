"""The number of threads is what the caller says, else the environment, else what the process may really use."""

import os
import subprocess
import sys

import pytest

import fastdigits as fd
from fastdigits import threads


@pytest.fixture(autouse=True)
def _give_back():
    yield
    fd.set_num_threads(None)


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3}, raising=False)


def files(root, **contents):
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ("max 100000", 4),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("800000 100000", 4),
        ("", 4),
        ("nonsense", 4),
        ("100000 0", 4),
    ],
)
def test_a_quota_of_version_2_counts(tmp_path, four, limit, count):
    files(tmp_path, **{"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/cpu.max": limit + "\n"})
    assert threads.available_processors(tmp_path) == count


def test_the_smallest_quota_on_the_way_up_counts(tmp_path, four):
    files(
        tmp_path,
        **{
            "proc/self/cgroup": "0::/a/b/c\n",
            "sys/fs/cgroup/a/b/c/cpu.max": "400000 100000",
            "sys/fs/cgroup/a/cpu.max": "200000 100000",
        },
    )
    assert threads.available_processors(tmp_path) == 2


@pytest.mark.parametrize(("quota", "count"), [("-1", 4), ("200000", 2), ("99999", 1), ("x", 4)])
@pytest.mark.parametrize("folder", ["docker/7", ""])
def test_a_quota_of_version_1_counts(tmp_path, four, quota, count, folder):
    files(
        tmp_path,
        **{
            "proc/self/cgroup": "9:memory:/x\n3:cpu,cpuacct:/docker/7\n",
            f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_quota_us": quota,
            f"sys/fs/cgroup/cpu/{folder}/cpu.cfs_period_us": "100000",
        },
    )
    assert threads.available_processors(tmp_path) == count


def test_without_control_groups_the_affinity_counts(tmp_path, four, monkeypatch):
    assert threads.available_processors(tmp_path) == 4
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.available_processors(tmp_path) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_bound_to_one_processor_uses_one():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import fastdigits; print(fastdigits.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != threads.VARIABLE}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout == "1\n"


def test_the_environment_decides_and_the_caller_over_it(monkeypatch):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "5")
    assert fd.get_num_threads() == 5
    fd.set_num_threads(3)
    assert fd.get_num_threads() == 3
    fd.set_num_threads(None)
    assert fd.get_num_threads() == 5


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("3", 3), ("2,1", 2), (" 2 ", 2), ("16", 4), ("", 4), ("0", 4), ("many", 4), ("²", 4)],
)
def test_the_variable_of_openmp_lowers_the_default(monkeypatch, four, text, count):
    monkeypatch.setattr(threads, "_quota_v1", lambda _root: None)
    monkeypatch.setattr(threads, "_quota_v2", lambda _root: None)
    monkeypatch.delenv("FASTDIGITS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert fd.get_num_threads() == count
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "5")
    assert fd.get_num_threads() == 5


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 2", "²"])
def test_an_environment_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", text)
    with pytest.raises(ValueError, match="FASTDIGITS_NUM_THREADS: must be a whole number, at least 1; got"):
        fd.get_num_threads()


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError)]
)
def test_a_wrong_number_is_refused(n, error):
    with pytest.raises(error, match="set_num_threads: n must be"):
        fd.set_num_threads(n)
