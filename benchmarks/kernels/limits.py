"""Measure what limits the kernels on this machine: the figures of "What limits it" in benchmarks/peers/README.md.

    python benchmarks/kernels/limits.py

`step_limits.py` makes the table of docs/limits.md.

It takes a minute. Calls that are compared take turns; figures are medians, with minimum and maximum in brackets. The
distance of the cores needs a C compiler. With `pip install mkl`, products are compared with that library too.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported: one core against one core
os.environ["MKL_THREADING_LAYER"] = "SEQUENTIAL"

import contextlib
import ctypes
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastdigits as fd
from fastdigits import backend, load_mnist
from fastdigits.backend import aligned
from fastdigits.commands import bench
from fastdigits.core.arrays import Array
from fastdigits.training.lowering import TrainingStep

ROUNDS = 15
FAR = 350  # ns; a round trip between cores with different third-level caches takes at least as long


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


def nonzero_pixels() -> None:
    """Print the time per nonzero pixel of the first layer's forward pass, with weights in the L1 cache and beyond."""
    digits = load_mnist()[0][0][:64].reshape(64, 784)
    rng = np.random.default_rng(0)
    near, far = np.zeros((2, 64, 784), np.uint8)
    for row in range(64):  # as many nonzero pixels in 98 columns, 25 KB of weights, as in all 784, 200 KB
        near[row, rng.choice(98, 60, replace=False)] = 200
        far[row, rng.choice(784, 60, replace=False)] = 200
    y, weight, bias = aligned.floats(64, 64), aligned.floats(784, 64), aligned.zeros(64)
    weight[...] = rng.standard_normal(weight.shape)
    images = [aligned.empty(64, 784, dtype=np.uint8) for _ in range(3)]
    for image, made in zip(images, (near, far, digits), strict=True):
        image[...] = made
    for name in ("avx512", "avx2"):
        if name not in backend.available_backends():
            continue
        door = backend.load(name).dense_forward_uint8
        times = in_turn([lambda x=x, door=door: door(y, x, weight, bias) for x in images], 50)
        counts = [np.count_nonzero(x) for x in images]
        each = [[1e9 * t / count for t in found] for found, count in zip(times, counts, strict=True)]
        where = zip(("in 98 columns", "in 784", "digits"), each, strict=True)
        print(
            f"{name}: ns per nonzero pixel, 64 images: "
            + ", ".join(f"{what} {show(found)}" for what, found in where)
        )
        print(f"{name}: {counts[2]:,} nonzero pixels of 64 digits: {show([1e6 * t for t in times[2]])} µs")


def step() -> None:
    """Print the time of a training step and of its parts: original network, 64 digits, Adam, one thread and two."""
    whole, order, rates = whole_step(400)
    x = load_mnist()[0][0].reshape(-1, 784)
    parts = {"forward": first_layer(x, forward=True), "gradient and Adam": first_layer(x, forward=False)}
    for threads in (1, 2):
        times = in_turn(
            [
                lambda threads=threads: whole.run(order, rates, threads),
                *(
                    lambda part=part, threads=threads: part.run(order, rates, threads)
                    for part in parts.values()
                ),
            ]
        )
        each = [[1e6 * t / 400 for t in found] for found in times]
        print(
            f"a step of 64 digits, {threads} thread{'s' * (threads > 1)}: {show(each[0])} µs, of which the first "
            "layer's "
            + ", ".join(f"{name} {show(found)}" for name, found in zip(parts, each[1:], strict=True))
        )
    nonzero = np.count_nonzero(x[order]) / 400
    least = 1e6 * nonzero * 64 / bench.measure_peak(backend.kernels)
    print(
        f"multiply-adds of the {nonzero:,.0f} nonzero pixels per step at the peak, forward or gradient: {least:.1f} µs"
    )


def whole_step(count: int, batch: int = 64) -> tuple[TrainingStep, np.ndarray, np.ndarray]:
    """Return a step of the original network, and the order and learning rates of ``count`` steps."""
    x, y = load_mnist()[0]
    x, y = np.ascontiguousarray(x.reshape(-1, 784)), y.astype(np.int64)
    network = fd.recipes.ORIGINAL.network()
    step = TrainingStep(network, x, y, None, batch, fd.SoftmaxCrossEntropy(), fd.Adam(lr=1e-3))
    return step, np.random.default_rng(0).permutation(len(x))[: batch * count], np.full(count, 1e-3)


def first_layer(x: np.ndarray, forward: bool, size: int = 64) -> Any:
    """Record the first layer's part of a step with ``size`` images: forward, or gradient and Adam."""
    kernels = backend.kernels
    batch, rows = aligned.empty(size, 784, dtype=np.uint8), np.zeros(size, np.int64)
    weight, grad, m, v = (aligned.zeros(784, 64) for _ in range(4))
    bias, dbias, y = aligned.zeros(64), aligned.zeros(64), aligned.floats(size, 64)
    weight[...] = np.random.default_rng(1).standard_normal(weight.shape)
    y.fill(1e-3)
    program = kernels.Program(rows)
    with program as doors:
        doors.gather_uint8(batch, x, rows)
        if forward:
            doors.dense_forward_uint8(y, batch, weight, bias)
        else:
            doors.dense_backward_weight_uint8(grad, dbias, y, batch)
            flat = [array.reshape(-1) for array in (weight, m, v, grad)]
            doors.adam_update(*flat, np.array([1]), 1e-3, 0.9, 0.999, 1e-8, 0.0)
    return program


def scaling() -> None:
    """Print how much faster two threads are than one on a loop in registers."""
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


FLAG = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { TURNS = 200000 };
static _Alignas(128) atomic_uint there;
static _Alignas(128) atomic_uint back;

static void on(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    pthread_setaffinity_np(pthread_self(), sizeof(cores), &cores);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void *answer(void *core) {
    on(*(int *)core);
    for (unsigned i = 1; i <= TURNS; i++) {
        while (atomic_load_explicit(&there, memory_order_acquire) != i) {}
        atomic_store_explicit(&back, i, memory_order_release);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int cores[2];
    pthread_t other;
    if (argc != 3 || sscanf(argv[1], "%d", cores) != 1 || sscanf(argv[2], "%d", cores + 1) != 1) return 2;
    on(cores[0]);
    if (pthread_create(&other, NULL, answer, cores + 1) != 0) return 1;
    double begin = now();
    for (unsigned i = 1; i <= TURNS; i++) {
        atomic_store_explicit(&there, i, memory_order_release);
        while (atomic_load_explicit(&back, memory_order_acquire) != i) {}
    }
    printf("%.0f\n", (now() - begin) / TURNS);
    return pthread_join(other, NULL);
}
"""


def _shared(step: TrainingStep, order: np.ndarray, rates: np.ndarray) -> float:
    backend.kernels.reset_sharing()  # share these few steps between threads
    return seconds(lambda: step.run(order, rates, 2))


def _alone(step: TrainingStep, order: np.ndarray, rates: np.ndarray) -> float:
    return seconds(lambda: step.run(order, rates, 1))


def c_compiler() -> str | None:
    """Return the path of the C compiler, if there is one."""
    return shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")


@contextlib.contextmanager
def flag_between_cores() -> Iterator[Callable[[], float] | None]:
    """Compile a program; give a call that measures the ns of a flag there and back between two cores, or None."""
    compiler = c_compiler()
    if compiler is None or sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "flag.c")
        source.write_text(FLAG, encoding="utf-8")
        program = source.with_suffix("")
        subprocess.run([compiler, "-O2", "-pthread", source, "-o", program], check=True)
        command = [program, *map(str, sorted(os.sched_getaffinity(0))[:2])]
        yield lambda: float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def distance() -> None:
    """Print the time of a step on two threads beside the round trip of a flag between two cores."""
    whole, order, rates = whole_step(30)
    found = []
    with flag_between_cores() as round_trip:
        if round_trip is None:
            print("distance of the cores: needs Linux, two cores and a C compiler")
            return
        for _ in range(20):
            before = round_trip()
            pairs = [(_shared(whole, order, rates), _alone(whole, order, rates)) for _ in range(40)]
            shared, alone = (statistics.median(times) for times in zip(*pairs, strict=True))
            after = round_trip()
            if max(before, after) < 2 * min(before, after):  # the two virtual cores did not move meanwhile
                found.append((max(before, after), shared / 30 * 1e6, alone / 30 * 1e6))
            time.sleep(0.5)
    for name, near in (("beside each other", True), ("far apart", False)):
        rows = [row for row in found if (row[0] < FAR) == near]
        if rows:
            flag, shared, alone = (list(column) for column in zip(*rows, strict=True))
            print(
                f"cores {name}, {len(rows)} of {len(found)} times: round trip of a flag {show(flag, 0)} ns, "
                f"a step shared by two threads {show(shared, 0)} µs, by one {show(alone, 0)} µs"
            )


def mkl_product() -> Callable[[Array, Array, Array], None] | None:
    """Return c = a @ b by the BLAS of the wheel `mkl`, on one thread; None if it is not installed."""
    found = sorted(Path(sys.prefix).glob("lib/libmkl_rt.so*"))
    if not found:
        return None
    library = ctypes.CDLL(str(found[0]))

    def product(c: Array, a: Array, b: Array) -> None:
        (m, k), n = a.shape, b.shape[1]
        transposed = a.strides[0] < a.strides[1]
        pointers = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in (a, b, c)]
        library.cblas_sgemm(
            101, 112 if transposed else 111, 111, m, n, k, ctypes.c_float(1), pointers[0], m if transposed else k,
            pointers[1], n, ctypes.c_float(0), pointers[2], n,
        )  # fmt: skip

    return product


def product() -> None:
    """Compare the dense kernels and the BLAS of NumPy and MKL with the peak, one core, 256 rows, 1,024 by 1,024."""
    rng = np.random.default_rng(0)
    x, dy, y = aligned.floats(256, 1024), aligned.floats(256, 1024), aligned.floats(256, 1024)
    w, dw, b = aligned.floats(1024, 1024), aligned.floats(1024, 1024), aligned.zeros(1024)
    for array in (x, dy, w):
        array[...] = rng.standard_normal(array.shape)
    kernels, mkl = backend.kernels, mkl_product()
    for name, kernel, (c, left, right) in (
        ("dense_forward", lambda: kernels.dense_forward(y, x, w, b), (y, x, w)),
        ("dense_backward_weight", lambda: kernels.dense_backward_weight(dw, b, dy, x), (dw, x.T, dy)),
    ):
        calls = {name: kernel, "NumPy's BLAS": lambda c=c, a=left, b=right: np.matmul(a, b, out=c)}
        if mkl is not None:
            calls["MKL"] = lambda c=c, a=left, b=right: mkl(c, a, b)
        shares = []
        for _ in range(ROUNDS):
            peak = bench.measure_peak(kernels)
            fastest = [min(seconds(call) for _ in range(5)) for call in calls.values()]
            shares.append([100 * 256 * 1024 * 1024 / least / peak for least in fastest])
        found = ", ".join(
            f"{who} {show(list(row), 0)} %" for who, row in zip(calls, zip(*shares, strict=True), strict=True)
        )
        print(f"share of the multiply-add peak: {found}")


def start() -> None:
    """Print the times of the training command before its first step."""
    programs = (
        "pass",
        "import numpy",
        "import fastdigits.train",
        "import fastdigits; fastdigits.load_mnist()",
    )
    calls = [
        lambda program=program: subprocess.run([sys.executable, "-c", program], check=True)
        for program in programs
    ]
    for program, found in zip(programs, in_turn(calls), strict=True):
        print(f"python -c {program!r}: {show([1000 * t for t in found], 0)} ms")


if __name__ == "__main__":
    nonzero_pixels()
    step()
    distance()
    scaling()
    product()
    start()
