"""Kernels treat denormal numbers as zero, and restore the processor's float state of each thread.

A helper in C reads and writes the control register: MXCSR on x86, with the exception flags, and FPCR on aarch64.
Unusual states distinguish a door that restores the state from one that writes the default.
"""

import contextlib
import ctypes
import itertools
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from doors import ARRAYS, DOORS, arguments, changed
from sampled import fastest_kernels, sampled

import fastdigits as fd
from fastdigits import backend

MACHINE = platform.machine().lower()
X86 = MACHINE in ("x86_64", "amd64")
COMPILER = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
SOURCE = str(Path(fd.__file__).parents[1])

pytestmark = [
    pytest.mark.skipif(not X86 and MACHINE not in ("aarch64", "arm64"), reason="neither x86 nor ARM"),
    pytest.mark.skipif(sys.platform == "win32" or COMPILER is None, reason="no Unix C compiler"),
]

HELPER = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
uint64_t get_state(void) { return _mm_getcsr(); }
void set_state(uint64_t state) { _mm_setcsr((unsigned)state); }
#else
uint64_t get_state(void) { uint64_t s; __asm__ volatile("mrs %0, fpcr" : "=r"(s)); return s; }
void set_state(uint64_t s) { __asm__ volatile("msr fpcr, %0" : : "r"(s)); }
#endif

#if defined(__linux__)
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
static volatile int64_t answer;
static void tell(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
#if defined(__x86_64__)
    answer = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
#else
    struct _aarch64_ctx *record = (void *)((ucontext_t *)context)->uc_mcontext.__reserved;
    for (; record->magic != 0; record = (void *)((char *)record + record->size))
        if (record->magic == FPSIMD_MAGIC) answer = ((struct fpsimd_context *)record)->fpcr;
#endif
}
/* The register of another thread of this process when a signal interrupts it; -1 if there is no answer. */
int64_t state_of(int thread) {
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_RESTART};
    answer = -1;
    sigaction(SIGUSR1, &action, 0);
    syscall(SYS_tgkill, getpid(), thread, SIGUSR1);
    for (int i = 0; i < 5000 && answer == -1; i++) nanosleep(&(struct timespec){0, 1000000}, 0);
    return answer;
}
#endif
"""

if X86:  # bits 0 to 5: flags; 6 and 15: denormals are zero; 7 to 12: no traps; 13 and 14: rounding
    DEFAULT, CONTROL = 0x1F80, 0xFFC0
    STATES = {
        "default": DEFAULT,
        "rounding up": DEFAULT | 0x4000,
        "denormals are zero": DEFAULT | 0x8040,
        "all flags raised": DEFAULT | 0x3F,
        "rounding down, to zero, flags": DEFAULT | 0x2000 | 0x8000 | 0x3F,
    }
else:  # bits 22 and 23: rounding; 24: denormals are zero; 25: default NaN
    DEFAULT, CONTROL = 0, 2**64 - 1
    STATES = {
        "default": DEFAULT,
        "rounding up": 1 << 22,
        "denormals are zero": 1 << 24,
        "rounding down, default NaN": 1 << 23 | 1 << 25,
    }


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("float")
    (folder / "helper.c").write_text(HELPER)
    command = [COMPILER, "-O1", "-shared", "-fPIC", "helper.c", "-o", "helper.so"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "helper.so"


@pytest.fixture(scope="module")
def helper(library):
    return loaded(library)


def loaded(library):
    made = ctypes.CDLL(str(library))
    made.get_state.restype, made.set_state.argtypes = ctypes.c_uint64, [ctypes.c_uint64]
    made.get_state()  # resolves the symbol now
    return made


@contextlib.contextmanager
def state(helper, wanted):
    """Set the state of the calling thread; restore the default at the end."""
    helper.set_state(wanted)
    try:
        yield
    finally:
        helper.set_state(DEFAULT)


def test_the_helper_sets_and_reads_every_state(helper):
    for wanted in STATES.values():
        with state(helper, wanted):
            found = helper.get_state()
        assert found == wanted
    assert helper.get_state() == DEFAULT


@pytest.mark.parametrize("name", DOORS)
def test_every_door_restores_the_state(kernels, helper, name):
    given, door = arguments(name), getattr(kernels, name)
    # converting a scalar argument to float32 may set the inexact flag before the kernel starts
    mask = CONTROL if any(isinstance(one, float) for one in given) else ~0
    for wanted in STATES.values():
        with state(helper, wanted):
            door(*given)
            found = helper.get_state()
        assert found & mask == wanted & mask


@pytest.mark.parametrize("name", DOORS)
def test_a_door_that_rejects_its_arguments_restores_it(kernels, helper, name):
    door = getattr(kernels, name)
    index = next(i for found, i in ARRAYS if found == name)
    of_another_dtype = changed(name, index, lambda array: array.astype(np.int16))
    too_long = arguments(name)
    too_long[index] = np.zeros([side + 20 for side in too_long[index].shape], too_long[index].dtype)
    for given, wanted in itertools.product((of_another_dtype, too_long), STATES.values()):
        with state(helper, wanted):
            try:
                door(*given)
            except ValueError:
                refused = True
            else:
                refused = False
            found = helper.get_state()
        assert refused or (given is too_long and name in ("clip", "sum_squares"))  # of any length
        assert found & CONTROL == wanted & CONTROL


@fastest_kernels
@pytest.mark.parametrize("wanted", STATES.values(), ids=STATES)
@pytest.mark.parametrize("threads", [1, 3])
def test_a_program_restores_it(kernels, helper, threads, wanted):
    rng = np.random.default_rng(0)
    x, weight = (rng.standard_normal(shape).astype(np.float32) for shape in [(256, 784), (784, 256)])
    y, bias, lrs = np.empty((256, 256), np.float32), np.zeros(256, np.float32), np.zeros(20)
    program = kernels.Program(np.empty(0, np.int64))
    with program as doors:
        doors.dense_forward(y, x, weight, bias)
    program.bind_io(y, x)
    kernels.reset_sharing()  # so the first steps are parallel
    with state(helper, wanted):
        program.run(np.empty(0, np.int64), lrs, threads)
        ran = helper.get_state()
        program.predict(y, x, threads, 20)
        answered = helper.get_state()
        with contextlib.suppress(ValueError):
            program.run(np.empty(1, np.int64), lrs, threads)
        refused = helper.get_state()
        kernels.multiply_add(10)
        measured = helper.get_state()
    assert {ran, answered} == {wanted}
    assert refused & CONTROL == measured & CONTROL == wanted & CONTROL


def network():
    layers = [fd.Dense(784, 200), fd.BatchNorm(200), fd.ReLU(), fd.Dropout(0.2), fd.Dense(200, 10)]
    return fd.NeuralNetwork(layers, seed=3)


class InPython(fd.ReLU):
    """A layer written in Python: training is eager."""


def eager():
    return fd.NeuralNetwork([fd.Dense(784, 20), InPython(), fd.Dense(20, 10)], seed=3)


def diverge(x, y):
    with contextlib.suppress(fd.DivergedError):
        network().fit(x, y, epochs=3, optimizer=fd.SGD(1e30), augment=fd.Augmentation(rotation=10))
        raise AssertionError("training did not diverge")


def refuse(x, y):
    with contextlib.suppress(ValueError):
        network().fit(x.astype(np.float32) * np.nan, y)
        raise AssertionError("fit accepted NaN")


def forward_and_back(net, x):
    net.backward(np.ones_like(net.forward(x, training=True)))


CALLS = {
    "fit": lambda x, y: network().fit(
        x,
        y,
        epochs=2,
        augment=fd.Augmentation(rotation=10, alpha=8),
        clip_norm=1,
        average=fd.EMA(0.9),
        schedule=fd.OneCycle(),
        validation_split=0.2,
        threads=3,
    ),
    "fit, eager": lambda x, y: eager().fit(x[:200], y[:200], epochs=1),
    "fit that diverges": diverge,
    "fit that rejects x": refuse,
    "predict": lambda x, y: (network().predict(x), network().predict_proba(x[:1])),
    "evaluate": lambda x, y: network().evaluate(x, y),
    "forward, backward": lambda x, y: forward_and_back(network(), x),
    "find_lr": lambda x, y: network().find_lr(x, y),
    "augmentation": lambda x, y: fd.Augmentation(rotation=10, alpha=8).apply(x, seed=1),
    "load": lambda x, y: fd.load_pretrained().folded().predict(x[:3]),
}


def denormals_work():
    tiny = np.array([1e-41, 1e-45], np.float32)
    return bool(((tiny * np.float32(1)) > 0).all() and ((tiny + tiny).view(np.int32) > 0).all())


@pytest.mark.filterwarnings("ignore:fit. .*InPython.* is written in Python")
@pytest.mark.parametrize("call", CALLS)
def test_the_public_functions_restore_it(helper, call):
    (x, y), _ = fd.load_mnist()
    for wanted in {one & CONTROL for one in STATES.values()}:  # NumPy clears the flags
        with state(helper, wanted):
            CALLS[call](x[:1000], y[:1000])
            found = helper.get_state()
        assert found & CONTROL == wanted
        assert denormals_work()


def test_the_rounding_mode_of_the_caller_does_not_change_the_result(helper):
    """Threads of the pool may have started under another mode."""
    (x, y), _ = fd.load_mnist()
    rounding = next(value for name, value in STATES.items() if name == "rounding up")
    made = []
    for threads in (1, 3):
        backend.kernels.reset_sharing()  # so the first steps are parallel
        net = network()
        with state(helper, rounding):
            net.fit(x[:2000], y[:2000], epochs=1, threads=threads)
        made.append(net.values.tobytes())
    assert made[0] == made[1]


def run(program, *words):
    command = [sys.executable, "-c", PRELUDE + program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


PRELUDE = f"""
import ctypes, os, sys, time
sys.path.insert(0, {SOURCE!r})
helper = ctypes.CDLL(sys.argv[1])
helper.get_state.restype, helper.set_state.argtypes = ctypes.c_uint64, [ctypes.c_uint64]
"""

IMPORTS = """
import numpy as np
before = helper.get_state()
import importlib, pkgutil, threading, fastdigits
for module in pkgutil.walk_packages(fastdigits.__path__, "fastdigits."):
    if not module.name.endswith(("__main__", "sklearn", "onnx")):
        try:
            importlib.import_module(module.name)
        except ImportError as error:  # a twin for another processor
            print("not here:", error)
after = [helper.get_state()]
thread = threading.Thread(target=lambda: after.append(helper.get_state()))
thread.start()
thread.join()
tiny = np.array([1e-41], np.float32)
assert (tiny * np.float32(1))[0] > 0, "denormals are gone"
mask = int(sys.argv[2])
assert {one & mask for one in after} == {before & mask}, (before, after)
"""


def test_an_import_keeps_the_state(library):
    done = run(IMPORTS, library, CONTROL)
    assert done.returncode == 0, done.stderr


WORKERS = """
import numpy as np
import fastdigits as fd
from fastdigits import backend
helper.state_of.restype = ctypes.c_int64
threads = lambda: set(map(int, os.listdir("/proc/self/task")))
wanted, others = int(sys.argv[2]), threads()
(x, y), _ = fd.load_mnist()
rng = np.random.default_rng(0)
a, b = (rng.standard_normal(shape).astype(np.float32) for shape in [(784, 784), (784, 784)])
c, bias = np.empty((784, 784), np.float32), np.zeros(784, np.float32)
kernels = backend.kernels
kernels.set_threads(4)
kernels.reset_sharing()
helper.set_state(wanted)
kernels.dense_forward(c, a, b, bias)  # starts the pool; its threads inherit this state
helper.set_state(int(sys.argv[3]))
workers = threads() - others
assert len(workers) == 3, workers
for _ in range(2):
    layers = [fd.Dense(784, 200), fd.BatchNorm(200), fd.ReLU(), fd.Dropout(0.2), fd.Dense(200, 10)]
    net = fd.NeuralNetwork(layers, seed=3)
    kernels.reset_sharing()
    net.fit(x[:2000], y[:2000], epochs=1, threads=4, augment=fd.Augmentation(rotation=9))
    net.predict(x[:5000])
    kernels.dense_forward(c, a, b, bias)
    try:
        net.fit(x[:2000], y[:2000], epochs=1, threads=4, optimizer=fd.SGD(1e30))
    except fd.DivergedError:
        pass
    else:
        raise AssertionError("training did not diverge")
    states = [helper.state_of(worker) for worker in workers]
    assert set(states) == {wanted}, (hex(wanted), [hex(one) for one in states])
print(len(states), "threads")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads other threads from the signal frame of Linux")
@pytest.mark.parametrize(
    "wanted",
    sampled(
        [state for state in STATES.values() if not X86 or state & 0x3F or state == DEFAULT],
        lambda state: state == list(STATES.values())[-1],
    ),
)
def test_each_thread_of_the_pool_restores_its_own(library, wanted):
    done = run(WORKERS, library, wanted, DEFAULT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 threads\n"


TRAPS = """
import numpy as np
from fastdigits import backend
wanted = 0x1F80 & ~0x0680  # trap invalid operations, divisions by zero and overflows
x = np.array([[np.inf, -np.inf, np.nan, 3e38, 0]], np.float32)
y, big = np.empty_like(x), np.full((1, 5), 3e38, np.float32)
for name in sys.argv[2:]:
    kernels = backend.load(name)
    weight, bias = np.full((5, 5), 3e38, np.float32), np.zeros(5, np.float32)
    helper.set_state(wanted)
    kernels.dense_forward(y, x, weight, bias)
    kernels.dense_forward(y, big, weight, bias)
    kernels.softmax_forward(y, x)
    kernels.softmax_forward(y, big)
    found = helper.get_state()
    helper.set_state(0x1F80)
    assert found == wanted, hex(found)
print("no trap")
"""


@pytest.mark.skipif(not X86, reason="most ARM processors have no traps")
def test_traps_of_the_caller_do_not_fire_inside_kernels(library):
    names = [name for name in fd.available_backends() if name != "numpy"]
    done = run(TRAPS, library, *names)
    assert (done.returncode, done.stdout) == (0, "no trap\n"), done.stderr
