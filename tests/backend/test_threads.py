"""The caller sets the number of threads, else the environment, else the processors that the process may use."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
from documents import ROOT, script

import fastdigits as fd
from fastdigits import backend
from fastdigits.backend import threads


@pytest.fixture(autouse=True)
def _give_back():
    yield
    fd.set_num_threads(None)


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 1, 2, 3}, raising=False)


CONTAINERS = script("robustness/containers")


@pytest.mark.parametrize("case", CONTAINERS.CASES, ids=[case.name[:60] for case in CONTAINERS.CASES])
def test_the_number_of_threads_follows_the_limits_of_a_container(tmp_path, case):
    assert CONTAINERS.threads_of(case, tmp_path) == case.threads


def test_the_page_has_the_table_of_containers():
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    assert [case.name for case in CONTAINERS.CASES if f"| {case.name} | {case.threads} |\n" not in page] == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
def test_a_real_control_group_limits_the_threads():
    with contextlib.ExitStack() as stack:
        try:
            enter = stack.enter_context(CONTAINERS.control_group(100000))
        except OSError as error:
            pytest.skip(f"this process may not make control groups: {error}")
        assert CONTAINERS.threads_after(enter) == 1


def test_the_files_of_control_groups_are_read_once_a_second(monkeypatch):
    now, reads = [5.0], []
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(threads, "_read", lambda *parts: reads.append(parts) or "")
    for _ in range(3):
        fd.get_num_threads()
    once = len(reads)
    assert once > 0
    now[0] = 6.0
    fd.get_num_threads()
    assert len(reads) == 2 * once


def test_without_control_groups_the_affinity_limits_the_threads(tmp_path, four, monkeypatch):
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


def test_set_num_threads_overrides_the_environment(monkeypatch):
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
def test_omp_num_threads_lowers_the_default(monkeypatch, four, text, count):
    monkeypatch.setattr(threads, "_quotas", lambda _root, _second: [])
    monkeypatch.delenv("FASTDIGITS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert fd.get_num_threads() == count
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "5")
    assert fd.get_num_threads() == 5


def test_too_many_threads_are_cut_to_the_maximum_with_the_same_bits(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (600, 400), dtype=np.uint8), rng.integers(0, 10, 600)
    made = []
    for count in (1, 2**70):
        fd.set_num_threads(count)
        net = fd.NeuralNetwork([fd.Dense(400, 300), fd.ReLU(), fd.Dense(300, 10)], seed=0)
        net.fit(x, y, epochs=2, batch_size=300)
        net.fit(x, y, epochs=1, batch_size=300, threads=count)
        made.append(net.predict_proba(x).tobytes())
    assert made[0] == made[1]
    assert fd.get_num_threads() == 1024
    fd.set_num_threads(None)
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "9" * 5000)
    assert fd.get_num_threads() == 1024


@pytest.mark.skipif(sys.platform == "win32", reason="without pthreads there is no pool")
def test_the_pool_gives_the_same_bits_with_its_maximum_of_threads():
    kernels = backend.kernels
    if not hasattr(kernels, "set_threads"):
        pytest.skip("NumPy has no pool")
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal((700, 700)).astype(np.float32) for _ in range(2))
    bias, made = np.zeros(700, np.float32), []
    try:
        for count in (1, threads.MOST):
            kernels.set_threads(count)
            kernels.reset_sharing()
            y = np.empty((700, 700), np.float32)
            kernels.dense_forward(y, x, weight, bias)
            made.append(y.tobytes())
    finally:
        kernels.set_threads(1)
    assert made[0] == made[1]


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " 2", "²"])
def test_an_environment_that_is_not_a_number_raises(monkeypatch, text):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", text)
    with pytest.raises(ValueError, match="FASTDIGITS_NUM_THREADS: must be a whole number, at least 1; got"):
        fd.get_num_threads()


@pytest.mark.parametrize(
    ("n", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError), ("2", TypeError)]
)
def test_a_wrong_number_raises(n, error):
    with pytest.raises(error, match="set_num_threads: n must be"):
        fd.set_num_threads(n)
