"""Let memory run out in training, prediction, saving and loading; see what holds afterwards.

    python scripts/robustness/out_of_memory.py                      # each allocation: a minute
    python scripts/robustness/out_of_memory.py --every 50 predict   # one in 50, of some jobs

Refused are allocations of 512 bytes and more from the C library, by a small library that is compiled and loaded first:
there NumPy has the memory of its arrays from, and the kernels that of their programs. Smaller ones, Python's own
objects, are not: where they fail is up to the interpreter, and it crashes at some of them. One allocation is refused
while all others are granted; then 30 in a row, so that what is done about the first failure fails too.

Each time the job must end with MemoryError, or with the right result. Network and optimizer must belong together, those
of a whole step, bit for bit, and go on to predict and to train. A job runs in a process of its own, which must not
crash. What NumPy and the system make of a MemoryError is listed and allowed: a SystemError, where C code forgot to say
that memory is short, and an OSError that says so. Linux with a C compiler only.
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
LONGEST = 3000  # seconds after which a process is taken to hang
ERRORS = (MemoryError, fd.ModelFileError)
FOREIGN = "of NumPy or the system:"
BATCH = 64
VALUES = 784 * 16 * 4  # bytes of a network's weights, which lie in memory twice with their gradients


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

static int refused(size_t size) {
    if (!armed || size < 512) return 0;
    long number = __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
    return number >= first && number < stop;
}
void shim_refuse(long from, long burst) { seen = 0, first = from, stop = from + burst, armed = 1; }
long shim_allow(void) { return armed = 0, seen; }

#define ANSWER(size, call) do { if (refused(size)) return errno = ENOMEM, NULL; return call; } while (0)
void *malloc(size_t n) { ANSWER(n, __libc_malloc(n)); }
void *calloc(size_t n, size_t size) { ANSWER(n * size, __libc_calloc(n, size)); }
void *realloc(void *old, size_t n) { ANSWER(n, __libc_realloc(old, n)); }
void *aligned_alloc(size_t line, size_t n) { ANSWER(n, __libc_memalign(line, n)); }
int posix_memalign(void **p, size_t line, size_t n) {
    if (refused(n)) return ENOMEM;
    return (*p = __libc_memalign(line, n)) ? 0 : ENOMEM;
}
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *with) {
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = dlsym(RTLD_NEXT, "pthread_create");
    return shim_no_threads ? EAGAIN : real(thread, how, work, with);
}
"""


def compile_shim(target: Path) -> Path:
    """Compile what stands between the process and its C library."""
    words = ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(target), "-ldl", "-pthread"]
    subprocess.run(words, input=SHIM, text=True, check=True)
    return target


@dataclass
class Job:
    """What is called, and a function of its result that says what is wrong: "" for nothing."""

    call: Callable[[], Any]
    wrong: Callable[[Any, bool], str]  # takes result and whether it was an error


def network(seed: int = 1) -> fd.NeuralNetwork:
    layers = [fd.Dense(784, 16), fd.BatchNorm(16), fd.ReLU(), fd.Dropout(0.1), fd.Dense(16, 10)]
    return fd.NeuralNetwork(layers, seed=seed)


def state(net: fd.NeuralNetwork, optimizer: fd.Adam | None = None) -> str:
    """Return a digest of all that training changes."""
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
    """The jobs by name; each call of one makes it again, without an allocation refused."""

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
        """Return the states at the beginning, after each step, and at the end."""
        net, optimizer, seen = network(), fd.Adam(0.01), set()

        class Watch(fd.Callback):
            def on_progress(self, done: int, total: int) -> None:
                seen.add(state(net, optimizer))

        seen.add(state(net, optimizer))
        with tempfile.TemporaryDirectory() as folder:
            self._fit(net, optimizer, [Watch(), fd.Checkpoint(folder, every=1)])()
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
                return "another result without an error"
            net.fit(self.x[:BATCH], self.y[:BATCH], epochs=1, batch_size=BATCH, optimizer=optimizer)
            if not np.isfinite(net.predict_proba(self.x)).all():
                return "no prediction afterwards"
            return ""

        return Job(call, wrong)

    def _steady(self, call: Callable[[], Any], same: Callable[[Any], bool]) -> Job:
        def wrong(result: Any, failed: bool) -> str:
            if not failed and not same(result):
                return "another result without an error"
            if state(self.net) != self.before or not np.array_equal(
                self.net.predict_proba(self.x), self.probs
            ):
                return "another network"
            if (self.folder / "model.safetensors").read_bytes() != self.content:
                return "another file"
            return f"left {left[0].name}" if (left := list(self.folder.glob(".*"))) else ""

        return Job(call, wrong)

    def predict(self) -> Job:
        labels = self.probs.argmax(axis=1)
        fresh = fd.load(self.folder / "model.safetensors")  # its programs are still to be made
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


class Refuser:
    """Refuses allocations of the C library, whoever asks for them."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._refuse, self.allow = library.shim_refuse, library.shim_allow
        self._refuse.argtypes = [ctypes.c_long, ctypes.c_long]

    def attempt(self, job: Job, first: int, burst: int) -> BaseException | None:
        """Call the job with ``burst`` allocations refused, from number ``first`` on; return its error."""
        result = error = None
        self._refuse(first, burst)
        try:
            result = job.call()
        except BaseException as raised:  # whatever it is
            error = raised
        finally:
            self.allow()
        if problem := job.wrong(result, error is not None):
            return AssertionError(problem)
        return error

    def allocations(self, make: Callable[[], Job]) -> int:
        """Return how many allocations the job has: where the next ones are refused, nothing happens."""
        low, high = 0, 1

        def fails(first: int) -> bool:
            return self.attempt(make(), first, BURSTS[-1]) is not None

        while fails(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fails(middle) else (low, middle)
        return high


def kind_of(error: BaseException | None) -> str:
    """Return what came of a failure; where it is none of the errors that are promised, also in which line."""
    if error is None:
        return "the right result"
    if isinstance(error, ERRORS):
        return type(error).__name__
    if error.__traceback__ is None:  # what `attempt` found wrong
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
    """Return the C library's bytes in use (0 where it does not tell)."""
    gc.collect()
    try:
        tell = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return 0
    tell.restype = _Statistics
    return int(tell().used + tell().h)


def child(name: str, every: int, folder: Path) -> None:
    """Let each allocation of a job fail; print what came of it, as a line of JSON."""
    faulthandler.enable()
    warnings.simplefilter("error")
    make, refuser = getattr(Jobs(folder), name), Refuser()
    for _ in range(3):
        job = make()
        job.wrong(job.call(), False)
    points = range(0, refuser.allocations(make), every)
    outcomes = Counter(kind_of(refuser.attempt(make(), first, burst)) for burst in BURSTS for first in points)
    kept = 0
    for first in points[:: max(1, len(points) // 100)]:  # memory as large as a network
        refuser.attempt(make(), first, 1)  # caches fill
        before = used()
        for _ in range(3):
            refuser.attempt(make(), first, 1)
        kept += used() - before > 2 * VALUES
    print(json.dumps({"allocations refused": len(points), "memory kept at": kept, "outcomes": outcomes}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, help="refuse one in so many (default: 1)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--shim", type=Path, help="only compile what refuses memory, into this file")
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"of {', '.join(NAMES)} (default: all)")
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
