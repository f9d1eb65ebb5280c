"""Make allocations fail in training, prediction, saving and loading; check the state afterwards.

    python scripts/robustness/out_of_memory.py                      # each allocation: a minute
    python scripts/robustness/out_of_memory.py --every 50 predict   # one in 50, of one job

A small library, compiled and loaded first, makes allocations of 512 bytes and more from the C library fail. NumPy's
arrays and the programs of the kernels come from there. Smaller allocations, Python's own objects, succeed: the
interpreter itself crashes at some of them. The script fails one allocation at a time, then 30 in a row, so that the
handling of the first failure fails too.

Each job must end with MemoryError or with the right result. Network and optimizer must then be in the state after the
same whole step, bit for bit, and must be able to predict and train. A job runs in a child process, which must not
crash. Two errors of NumPy and the system are allowed and listed: a SystemError, where C code sets no exception, and an
OSError that says that memory is short. Linux with a C compiler only.
"""

import argparse
import ctypes
import faulthandler
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastdigits as fd
from fastdigits.nn.layers import Dropout

BURSTS = (1, 30)
LONGEST = 3000  # seconds; a process that takes longer counts as a deadlock
ERRORS = (MemoryError, fd.ModelFileError)
FOREIGN = "of NumPy or the system:"
BATCH = 64
VALUES = 784 * 16 * 4  # bytes of a network's weights; the gradients take as much again


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
static long seen, first, stop;
static int armed;
int shim_no_threads;

static int fails(size_t size) {
    if (!armed || size < 512) return 0;
    long number = __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
    return number >= first && number < stop;
}
void shim_refuse(long from, long burst) { seen = 0, first = from, stop = from + burst, armed = 1; }
long shim_allow(void) { return armed = 0, seen; }

#define ANSWER(size, call) do { if (fails(size)) return errno = ENOMEM, NULL; return call; } while (0)
void *malloc(size_t n) { ANSWER(n, __libc_malloc(n)); }
void *calloc(size_t n, size_t size) { ANSWER(n * size, __libc_calloc(n, size)); }
void *realloc(void *old, size_t n) { ANSWER(n, __libc_realloc(old, n)); }
void *aligned_alloc(size_t line, size_t n) { ANSWER(n, __libc_memalign(line, n)); }
int posix_memalign(void **p, size_t line, size_t n) {
    if (fails(n)) return ENOMEM;
    return (*p = __libc_memalign(line, n)) ? 0 : ENOMEM;
}
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *with) {
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return shim_no_threads ? EAGAIN : real(thread, how, work, with);
}
"""


def compile_shim(target: Path) -> Path:
    """Compile the library that makes allocations fail."""
    words = ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(target), "-ldl", "-pthread"]
    subprocess.run(words, input=SHIM, text=True, check=True)
    return target


@dataclass
class Job:
    """A call, and a function that returns what is wrong afterwards ("" for nothing)."""

    call: Callable[[], Any]
    wrong: Callable[[Any, bool], str]  # its arguments: the result, and whether the call raised


def network(seed: int = 1) -> fd.NeuralNetwork:
    layers = [fd.Dense(784, 16), fd.BatchNorm(16), fd.ReLU(), fd.Dropout(0.1), fd.Dense(16, 10)]
    return fd.NeuralNetwork(layers, seed=seed)


def state(net: fd.NeuralNetwork, optimizer: fd.Adam | None = None) -> str:
    """Return a digest of everything that a training changes."""
    total = hashlib.sha256(net.values)
    for array in net.buffers().values():
        total.update(array)
    total.update(str([layer.step for layer in net.layers if isinstance(layer, Dropout)]).encode())
    if optimizer is not None:
        content = optimizer.state_dict(net.parameters())
        total.update(f"{content.pop('step')} {optimizer.step_count}".encode())
        for array in content.values():
            total.update(array)
    return total.hexdigest()


class Jobs:
    """The jobs by name; each call prepares a new job while allocations succeed."""

    def __init__(self, folder: Path) -> None:
        (x, y), _ = fd.load_mnist()
        self.x, self.y = x[: 4 * BATCH].copy(), y[: 4 * BATCH].copy()
        self.folder = folder
        self.net = network()
        self.net.fit(self.x, self.y, epochs=2, threads=2)
        self.net.save(folder / "model.safetensors")
        self.probs, self.before = self.net.predict_proba(self.x), state(self.net)
        self.content = (folder / "model.safetensors").read_bytes()
        self.final = ""
        self.steps = self._whole_steps()
        self._fit(network(), fd.Adam(0.01), [fd.Checkpoint(folder / "resume", every=5)])()

    def _fit(
        self, net: fd.NeuralNetwork, optimizer: fd.Adam, callbacks: Any = (), **more: Any
    ) -> Callable[[], Any]:
        return lambda: net.fit(
            self.x, self.y, epochs=2, batch_size=BATCH, optimizer=optimizer, schedule=fd.OneCycle(),
            augment=fd.Augmentation(rotation=5, alpha=10), average=fd.EMA(0.9), callbacks=callbacks, threads=2,
            **more,
        )  # fmt: skip

    def _whole_steps(self) -> set[str]:
        """Return the states before the training, after each step, and at the end."""
        net, optimizer, seen = network(), fd.Adam(0.01), set()

        class Record(fd.Callback):
            def on_progress(self, done: int, total: int) -> None:
                seen.add(state(net, optimizer))

        seen.add(state(net, optimizer))
        with tempfile.TemporaryDirectory() as folder:
            self._fit(net, optimizer, [Record(), fd.Checkpoint(folder, every=1)])()
        self.final = state(net, optimizer)
        return seen | {self.final}

    def fit(self) -> Job:
        net, optimizer = network(), fd.Adam(0.01)
        return self._training(net, optimizer, self._fit(net, optimizer))

    def resume(self) -> Job:
        net, optimizer = network(), fd.Adam(0.01)
        save = fd.Checkpoint(self.folder / "resume", every=5)
        return self._training(
            net, optimizer, self._fit(net, optimizer, [save], resume=self.folder / "resume")
        )

    def _training(self, net: fd.NeuralNetwork, optimizer: fd.Adam, call: Callable[[], Any]) -> Job:
        def wrong(result: Any, failed: bool) -> str:
            now = state(net, optimizer)
            if now not in self.steps:
                return "not the network of a whole step"
            if not failed and now != self.final:
                return "a wrong result without an error"
            net.fit(self.x[:BATCH], self.y[:BATCH], epochs=1, batch_size=BATCH, optimizer=optimizer)
            if not np.isfinite(net.predict_proba(self.x)).all():
                return "no prediction afterwards"
            return ""

        return Job(call, wrong)

    def _steady(self, call: Callable[[], Any], same: Callable[[Any], bool]) -> Job:
        def wrong(result: Any, failed: bool) -> str:
            if not failed and not same(result):
                return "a wrong result without an error"
            if state(self.net) != self.before or not np.array_equal(
                self.net.predict_proba(self.x), self.probs
            ):
                return "a changed network"
            if (self.folder / "model.safetensors").read_bytes() != self.content:
                return "a changed file"
            return f"left {left[0].name}" if (left := list(self.folder.glob(".*"))) else ""

        return Job(call, wrong)

    def predict(self) -> Job:
        labels = self.probs.argmax(axis=1)
        fresh = fd.load(self.folder / "model.safetensors")  # it has recorded no program yet
        return self._steady(lambda: fresh.predict(self.x), lambda got: np.array_equal(got, labels))

    def predict_proba(self) -> Job:
        return self._steady(
            lambda: self.net.predict_proba(self.x), lambda got: np.array_equal(got, self.probs)
        )

    def load(self) -> Job:
        return self._steady(
            lambda: fd.load(self.folder / "model.safetensors"), lambda got: state(got) == self.before
        )

    def save(self) -> Job:
        return self._steady(lambda: self.net.save(self.folder / "model.safetensors"), lambda got: True)


NAMES = ("fit", "resume", "predict", "predict_proba", "load", "save")


class Failures:
    """Makes allocations of the C library fail."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._refuse, self.allow = library.shim_refuse, library.shim_allow
        self._refuse.argtypes = [ctypes.c_long, ctypes.c_long]

    def attempt(self, job: Job, first: int, burst: int) -> BaseException | None:
        """Call the job while ``burst`` allocations fail, from number ``first``; return its error."""
        result = error = None
        self._refuse(first, burst)
        try:
            result = job.call()
        except BaseException as raised:
            error = raised
        finally:
            self.allow()
        if problem := job.wrong(result, error is not None):
            return AssertionError(problem)
        return error

    def allocations(self, make: Callable[[], Job]) -> int:
        """Return the number of allocations of the job: failures after the last one have no effect."""
        low, high = 0, 1

        def has_effect(first: int) -> bool:
            return self.attempt(make(), first, BURSTS[-1]) is not None

        while has_effect(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if has_effect(middle) else (low, middle)
        return high


def kind_of(error: BaseException | None) -> str:
    """Return the kind of outcome; for an error that is not documented, also its line."""
    if error is None:
        return "the right result"
    if isinstance(error, ERRORS):
        return type(error).__name__
    if error.__traceback__ is None:  # from `attempt`
        return f"{type(error).__name__}: {error}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    foreign = isinstance(error, SystemError) or "Cannot allocate memory" in str(error)
    kind = f"{type(error).__name__}: {error} ({Path(frame.filename).name}: {frame.line})"
    return f"{FOREIGN} {kind}" if foreign else kind


class _Statistics(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t) for name in (*"abcdhfg", "used", *"ij")
    ]  # of size_t each, mallinfo2(3)


def used() -> int:
    """Return the C library's bytes in use, or 0 where it has no mallinfo2."""
    gc.collect()
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    mallinfo.restype = _Statistics
    return int(mallinfo().used + mallinfo().h)


def child(name: str, every: int, folder: Path) -> None:
    """Make each allocation of a job fail; print the outcomes as a line of JSON."""
    faulthandler.enable()
    warnings.simplefilter("error")
    make, failures = getattr(Jobs(folder), name), Failures()
    for _ in range(3):
        job = make()
        job.wrong(job.call(), False)
    points = range(0, failures.allocations(make), every)
    outcomes = Counter(
        kind_of(failures.attempt(make(), first, burst)) for burst in BURSTS for first in points
    )
    kept = 0
    for first in points[:: max(1, len(points) // 100)]:  # look for leaks as large as a network
        failures.attempt(make(), first, 1)  # fills caches
        grown = []
        for _ in range(2):  # a leak grows each time; the allocator of the system may keep some pages once
            before = used()
            for _ in range(3):
                failures.attempt(make(), first, 1)
            grown.append(used() - before > 2 * VALUES)
        kept += all(grown)
    print(json.dumps({"allocations refused": len(points), "memory kept at": kept, "outcomes": outcomes}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="fail one allocation in N (default: 1)"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shim", type=Path, help="only compile the library, into this file")
    parser.add_argument(
        "jobs", nargs="*", metavar="JOB", help=f"one or more of {', '.join(NAMES)} (default: all)"
    )
    options = parser.parse_args()
    if options.shim:
        compile_shim(options.shim)
        return
    if unknown := set(options.jobs) - {*NAMES}:
        parser.error(f"a job must be one of {', '.join(NAMES)}; got {', '.join(sorted(unknown))}")
    if options.child:
        child(options.jobs[0], options.every, options.child)
        return
    good = ("the right result", *(kind.__name__ for kind in ERRORS))
    failed = False
    for name in options.jobs or NAMES:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            ended = subprocess.run(
                [sys.executable, __file__, "--child", folder, "--every", str(options.every), name],
                env=os.environ | {"LD_PRELOAD": str(compile_shim(Path(folder, "shim.so")))},
                capture_output=True, text=True, timeout=LONGEST, check=False,
            )  # fmt: skip
        if ended.returncode:
            print(f"{name} ended with {ended.returncode}: {ended.stderr[-3000:]}")
            failed = True
            continue
        figures = json.loads(ended.stdout)
        print(f"{name}, {time.perf_counter() - started:.0f} s")
        for kind, count in figures.pop("outcomes").items():
            print(f"    {count} × {kind}")
            failed |= kind not in good and not kind.startswith(FOREIGN)
        print(f"    {figures}", flush=True)
        failed |= figures["memory kept at"] > 0
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
