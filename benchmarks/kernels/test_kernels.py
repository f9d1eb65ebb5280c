"""Time each kernel and whole training steps, compiled and on NumPy: ``pytest benchmarks --benchmark-only``."""

import pytest

from fastdigits import backend
from fastdigits.commands import bench

BATCHES = (1, 64, 256, 1024)
BACKENDS = [backend.available_backends()[0], "numpy"]
CASES = [(batch, case) for batch in BATCHES for case in bench.cases(batch)]


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("batch", "case"),
    CASES,
    ids=[f"{batch}-{case.name}-{case.size.replace(' ', '')}" for batch, case in CASES],
)
def test_kernel(benchmark, batch, case, name):
    benchmark.group = f"batch {batch}: {case.name} {case.size}"
    benchmark(case.bind(backend.load(name)))


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("batch", [2, *BATCHES[1:]])
def test_training_steps(benchmark, batch, name):
    before = backend.backend_name()
    backend.use_backend(name)
    try:
        benchmark.group = f"batch {batch}: {bench.STEPS} training steps"
        benchmark(bench.training_steps(batch))
    finally:
        backend.use_backend(before)
