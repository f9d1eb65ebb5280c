"""The programs of examples/engines/ run, each on the engine that it is for, and print what their comments say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT

import fastdigits as fd

pytestmark = pytest.mark.exhaustive
EXAMPLES = ROOT / "examples" / "engines"
PROGRAMS = {
    "search_joblib loky": ["sklearn"],
    "search_joblib dask": ["sklearn", "distributed"],
    "search_joblib ray": ["sklearn", "ray"],
    "search_halving": ["sklearn"],
    "search_optuna": ["sklearn", "optuna"],
    "search_ray_tune": ["ray"],
    "predict_arrow": ["pyarrow"],
    "predict_dask": ["distributed"],
    "predict_ray": ["ray"],
    "predict_spark": ["pyspark", "java"],
}


def test_each_program_is_tested():
    assert {name.partition(" ")[0] for name in PROGRAMS} == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(*needed)) for name, needed in PROGRAMS.items()]
)
def test_an_example_prints_what_its_comments_say(name, tmp_path):
    stem, *words = name.split()
    program = EXAMPLES / f"{stem}.py"
    # the workers import the package that is tested here
    environment = {**os.environ, "PYTHONPATH": str(Path(fd.__file__).parents[1]), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, program, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for comment in re.findall(r"^ *print\(.*\)  # (.+)$", program.read_text("utf-8"), re.MULTILINE):
        pattern = ".*".join(map(re.escape, comment.split("…")))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{comment!r}: it printed {lines}"


def threads_of_a_worker():
    """Return how many threads the package may use here, and how many a training has started."""
    before = len(os.listdir("/proc/self/task"))
    net = fd.NeuralNetwork([fd.Dense(784, 512), fd.ReLU(), fd.Dense(512, 10)], seed=0)
    rows = np.random.default_rng(0).random((2048, 784), np.float32)
    net.fit(rows, np.arange(2048) % 10, epochs=2, batch_size=1024)
    return fd.get_num_threads(), len(os.listdir("/proc/self/task")) - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.needs("joblib")
def test_loky_workers_share_the_processors():
    import joblib

    processors = joblib.cpu_count()
    with joblib.parallel_config("loky"):
        found = joblib.Parallel(2)(joblib.delayed(threads_of_a_worker)() for _ in range(2))
    for threads, started in found:
        assert threads == max(1, processors // 2)
        assert started <= threads - 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.needs("distributed")
def test_dask_workers_have_one_thread_each():
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        futures = [client.submit(threads_of_a_worker, pure=False) for _ in range(2)]
        assert client.gather(futures) == [(1, 0), (1, 0)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.needs("ray")
def test_ray_workers_have_as_many_threads_as_processors_are_asked_for():
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        task = ray.remote(num_cpus=1)(threads_of_a_worker)
        assert ray.get([task.remote(), task.remote()]) == [(1, 0), (1, 0)]
    finally:
        ray.shutdown()
