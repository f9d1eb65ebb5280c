"""Measure what bounds the kernels on this machine: the figures behind "What limits it" in benchmarks/peers/README.md.

    python scripts/limits.py

Takes a quarter of a minute. What is compared takes turns; figures are medians with the extremes in brackets.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported: one core against one core

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import numpy as np

from fastdigits import backend, bench, load_mnist, memory

ROUNDS = 15


def seconds(call: Callable[[], object], repeat: int = 1) -> float:
    started = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - started) / repeat


def in_turn(calls: list[Callable[[], object]], repeat: int = 1) -> list[list[float]]:
    rounds = [[seconds(call, repeat) for call in calls] for _ in range(ROUNDS)]
    return [list(found) for found in zip(*rounds, strict=True)]


def show(found: list[float], digits: int = 1) -> str:
    return f"{statistics.median(found):.{digits}f} ({min(found):.{digits}f} to {max(found):.{digits}f})"


def lit_pixels() -> None:
    """Time a lit pixel of the first layer's forward pass, its weights in the L1 cache and beyond it."""
    digits = load_mnist()[0][0][:64].reshape(64, 784)
    rng = np.random.default_rng(0)
    near, far = np.zeros((2, 64, 784), np.uint8)
    for row in range(64):  # as many lit pixels in 98 columns, 25 KB of weights, as in all 784, 200 KB
        near[row, rng.choice(98, 60, replace=False)] = 200
        far[row, rng.choice(784, 60, replace=False)] = 200
    y, weight, bias = memory.floats(64, 64), memory.floats(784, 64), memory.zeros(64)
    weight[...] = rng.standard_normal(weight.shape)
    images = [memory.empty(64, 784, dtype=np.uint8) for _ in range(3)]
    for image, made in zip(images, (near, far, digits), strict=True):
        image[...] = made
    for name in ("avx512", "avx2"):
        if name not in backend.available_backends():
            continue
        door = backend.load(name).dense_forward_uint8
        times = in_turn([lambda x=x, door=door: door(y, x, weight, bias) for x in images], 50)
        lit = [np.count_nonzero(x) for x in images]
        each = [[1e9 * t / count for t in found] for found, count in zip(times, lit, strict=True)]
        where = zip(("in 98 columns", "in 784", "digits"), each, strict=True)
        print(
            f"{name}: ns a lit pixel, 64 images: "
            + ", ".join(f"{what} {show(found)}" for what, found in where)
        )
        print(f"{name}: {lit[2]:,} lit pixels of 64 digits: {show([1e6 * t for t in times[2]])} µs")


def scaling() -> None:
    """Let one thread and two run a loop that never leaves the registers."""
    loop, count = backend.kernels.multiply_add, 4_000_000
    found = []
    for _ in range(ROUNDS):
        alone = seconds(lambda: loop(count))
        pair = [threading.Thread(target=loop, args=(count,)) for _ in range(2)]
        started = time.perf_counter()
        for thread in pair:
            thread.start()
        for thread in pair:
            thread.join()
        found.append(2 * alone / (time.perf_counter() - started))
    print(f"two threads over one in registers alone: {show(found, 2)}")


def product() -> None:
    """Compare the dense kernel and NumPy's BLAS with the peak, one core, 256 rows of 1,024 by 1,024."""
    rng = np.random.default_rng(0)
    x, w, y, b = (
        memory.floats(256, 1024),
        memory.floats(1024, 1024),
        memory.floats(256, 1024),
        memory.zeros(1024),
    )
    x[...], w[...] = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
    kernels, shares = backend.kernels, []
    for _ in range(ROUNDS):
        peak = bench.measure_peak(kernels)
        calls = [lambda: kernels.dense_forward(y, x, w, b), lambda: np.matmul(x, w, out=y)]
        shares.append(
            [100 * 256 * 1024 * 1024 / min(seconds(call) for _ in range(5)) / peak for call in calls]
        )
    ours, blas = ([row[i] for row in shares] for i in (0, 1))
    print(f"share of the multiply-add peak: dense_forward {show(ours, 0)} %, NumPy's BLAS {show(blas, 0)} %")


def start() -> None:
    """Time what comes before the first step of the training command."""
    programs = (
        "pass",
        "import numpy",
        "import fastdigits.train",
        "import fastdigits.train as t; t.load_mnist()",
    )
    calls = [
        lambda program=program: subprocess.run([sys.executable, "-c", program], check=True)
        for program in programs
    ]
    for program, found in zip(programs, in_turn(calls), strict=True):
        print(f"python -c {program!r}: {show([1000 * t for t in found], 0)} ms")


if __name__ == "__main__":
    lit_pixels()
    scaling()
    product()
    start()
