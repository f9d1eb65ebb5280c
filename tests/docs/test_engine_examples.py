"""The programs of examples/engines/ run, each on the engine that it is for, and print what their comments say."""

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from documents import ROOT

import fastdigits as fd
from fastdigits.backend.threads import available_processors

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


@pytest.fixture
def folder():
    """Return a new folder with a short name: Ray makes sockets in it, whose names have at most 107 bytes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield name


def run(program, *words, folder):
    """Return the lines that a program prints; its workers import the package that is tested here."""
    environment = {**os.environ, "PYTHONPATH": str(Path(fd.__file__).parents[1]), "TMPDIR": folder}
    command = [sys.executable, program, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_program_is_tested():
    assert {name.partition(" ")[0] for name in PROGRAMS} == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(*needed)) for name, needed in PROGRAMS.items()]
)
def test_an_example_prints_what_its_comments_say(name, folder):
    stem, *words = name.split()
    program = EXAMPLES / f"{stem}.py"
    lines = run(program, *words, folder=folder)
    for comment in re.findall(r"^ *print\(.*\)  # (.+)$", program.read_text("utf-8"), re.MULTILINE):
        pattern = ".*".join(map(re.escape, comment.split("…")))
        assert any(re.fullmatch(pattern, line) for line in lines), f"{comment!r}: it printed {lines}"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("loky", marks=pytest.mark.needs("joblib")),
        pytest.param("dask", marks=pytest.mark.needs("distributed")),
        pytest.param("ray", marks=pytest.mark.needs("ray")),
    ],
)
def test_a_worker_has_as_many_threads_as_its_engine_says(engine, folder):
    given = max(1, available_processors() // 2) if engine == "loky" else 1
    found = ast.literal_eval(run(ROOT / "tests" / "helpers" / "worker_threads.py", engine, folder=folder)[-1])
    assert len(found) == 2
    for threads, started in found:
        assert threads == given
        assert started < given
