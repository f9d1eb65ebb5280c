"""When memory runs out: MemoryError, a network of a whole step, and nothing left behind.

``scripts/robustness/out_of_memory.py`` refuses each allocation. These tests refuse some, and repeat each fault that it
found once.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT, script

import fastdigits as fd
from fastdigits import backend
from fastdigits.backend import aligned
from fastdigits.core import atomic
from fastdigits.nn.layers import BatchNorm
from fastdigits.optim import averaging
from fastdigits.optim.optimizers import State
from fastdigits.training import checkpoint, loop

SCRIPT = ROOT / "scripts/robustness/out_of_memory.py"
OUT_OF_MEMORY = script("robustness/out_of_memory")
X = np.random.default_rng(0).integers(0, 256, (64, 49)).astype(np.uint8)
Y = np.arange(64) % 4

needs_testcapi = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python has no _testcapi, which refuses memory"
)
needs_shim = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


def run(*words):
    return subprocess.run(
        [sys.executable, SCRIPT, *words], capture_output=True, text=True, timeout=300, check=False
    )


@needs_testcapi
@pytest.mark.skipif(
    sys.version_info >= (3, 12),
    reason="CPython 3.12 itself crashes, in plain functions, where memory runs out",
)
@pytest.mark.parametrize(
    ("job", "every"),
    [("fit", 997), ("save", 499)]
    + [
        pytest.param(job, 149, marks=pytest.mark.exhaustive)
        for job in ("fit", "resume", "predict", "predict_proba", "load", "save")
    ],
)
def test_an_allocation_of_python_that_fails_leaves_a_network_of_a_whole_step(job, every):
    ended = run("--by", "Python", "--every", str(every), job)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.search("'MemoryError': [1-9]", ended.stdout)


@needs_testcapi
@needs_shim
@pytest.mark.parametrize(
    "jobs", [["predict"], pytest.param(["fit", "predict", "load", "save"], marks=pytest.mark.exhaustive)]
)
def test_an_allocation_of_the_c_library_that_fails_does_so_too(jobs):
    ended = run("--by", "C", "--every", "19", *jobs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(re.findall("'MemoryError': [1-9]", ended.stdout)) == len(jobs)
    assert ended.stdout.count("'kept': 0") == len(jobs)


def test_the_count_of_allocations_leaves_out_where_a_process_crashed(capsys):
    """CPython's context variables crash at some of them."""
    tried = []

    class Refuser:
        def refuse(self, first, burst):
            tried.append(first)

        def allow(self):
            pass

    def call():
        if tried[-1] < 100:
            raise MemoryError

    job = OUT_OF_MEMORY.Job(call, lambda result, failed: "")
    assert OUT_OF_MEMORY.allocations(lambda: job, Refuser(), [64, 96]) == 100
    assert not {64, 96} & {*tried}
    assert [json.loads(line)["counting"] for line in capsys.readouterr().out.splitlines()] == tried


WITHOUT_THREADS = """
import ctypes, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import out_of_memory
import fastdigits as fd
from fastdigits import backend

def threads():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("Threads"))

fd.set_num_threads(2)
first = threads()  # NumPy may have some
refuse = ctypes.c_int.in_dll(ctypes.CDLL(None), "shim_no_threads")
refuse.value = 1
with tempfile.TemporaryDirectory() as folder:
    jobs = out_of_memory.Jobs(Path(folder))
    refused, before = jobs.final, threads()
    probs = jobs.net.predict_proba(jobs.x)
    refuse.value = 0
    if hasattr(backend.kernels, "forget_habits"):
        backend.kernels.forget_habits()  # that sharing did not pay
    again = out_of_memory.Jobs(Path(folder))
    print(refused == again.final, (probs == again.net.predict_proba(jobs.x)).all(), before - first, threads() - first)
"""


@needs_shim
def test_threads_that_are_not_to_be_had_are_done_without_and_asked_for_again(tmp_path):
    shim = tmp_path / "shim.so"
    subprocess.run([sys.executable, SCRIPT, "--shim", shim], check=True, timeout=60)
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS, SCRIPT.parent],
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["True", "True", "0", "1"]


# -- each fault that was found ------------------------------------------------------------------------------


def network():
    layers = [fd.Dense(49, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dropout(0.1), fd.Dense(8, 4)]
    return fd.NeuralNetwork(layers, seed=1)


def no_memory(*_, **__):
    raise MemoryError


def after(function, times):
    """Return a function that does as this one does so many times, and then finds no memory."""
    left = iter(range(times))

    def once_more(*arguments, **named):
        return no_memory() if next(left, None) is None else function(*arguments, **named)

    return once_more


def counts(net, optimizer):
    steps = {state.step for state in optimizer.states(net.parameters())}
    return steps, optimizer.step_count, net.layers[3].step


@pytest.mark.skipif(not hasattr(backend.kernels, "Program"), reason="NumPy records nothing")
@pytest.mark.parametrize(("owner", "name", "times"), [(fd.Adam, "_update", 2), (fd.EMA, "update", 0)])
def test_a_step_that_cannot_be_recorded_is_not_counted(monkeypatch, owner, name, times):
    net, optimizer = network(), fd.Adam()
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, after(getattr(owner, name), times))
        with pytest.raises(MemoryError):
            net.fit(X, Y, epochs=1, batch_size=32, optimizer=optimizer, average=fd.EMA(0.9))
    assert counts(net, optimizer) == ({0}, 0, 0)
    net.fit(X, Y, epochs=1, batch_size=32, optimizer=optimizer, average=fd.EMA(0.9))
    other = network()
    other.fit(X, Y, epochs=1, batch_size=32, optimizer=fd.Adam(), average=fd.EMA(0.9))
    np.testing.assert_array_equal(net.values, other.values)


def test_an_average_is_taken_over_with_statistics_or_not_at_all(monkeypatch):
    net, values = network(), []

    class Watch(fd.Callback):
        def on_progress(self, done, total):
            values[:] = [net.values.copy(), net.layers[1].running_var.copy()]

    monkeypatch.setattr(loop, "_renew", no_memory)
    with pytest.raises(MemoryError):
        net.fit(X, Y, epochs=1, batch_size=32, average=fd.EMA(0.5), callbacks=[Watch()])
    np.testing.assert_array_equal(net.values, values[0])
    np.testing.assert_array_equal(net.layers[1].running_var, values[1])


def test_statistics_that_cannot_be_renewed_leave_momentum_and_masks_as_they_were(monkeypatch):
    net = network()
    monkeypatch.setattr(BatchNorm, "forward", after(BatchNorm.forward, 1))
    with pytest.raises(MemoryError):
        net.renew_statistics(X, batch_size=16)
    assert (net.layers[1].momentum, net.layers[3].step) == (0.1, 0)


def test_a_checkpoint_is_taken_over_whole_or_not_at_all(tmp_path, monkeypatch):
    def fit(net, optimizer, **more):
        net.fit(X, Y, epochs=2, batch_size=16, optimizer=optimizer, average=fd.EMA(0.9), **more)

    fit(network(), fd.Adam(), callbacks=[fd.Checkpoint(tmp_path, every=3)])
    net, optimizer = network(), fd.Adam()
    before = net.values.copy(), {name: array.copy() for name, array in net.buffers().items()}
    with monkeypatch.context() as patch:
        patch.setattr(averaging.WeightAverage, "load_state_dict", no_memory)
        with pytest.raises(MemoryError):
            fit(net, optimizer, callbacks=[fd.Checkpoint(tmp_path, every=3)], resume=tmp_path)
    np.testing.assert_array_equal(net.values, before[0])
    for name, array in net.buffers().items():
        np.testing.assert_array_equal(array, before[1][name])
    assert counts(net, optimizer) == ({0}, 0, 0)
    assert not any(array.any() for state in optimizer.states(net.parameters()) for array in state.arrays)
    assert checkpoint.newest(tmp_path) is not None


def test_a_state_that_cannot_be_made_leaves_the_optimizer_as_it_was(monkeypatch):
    net, optimizer = network(), fd.Adam()
    content = optimizer.state_dict(net.parameters()) | {"step": 7}
    states = optimizer.states(net.parameters())
    monkeypatch.setattr(fd.Adam, "_loaded", after(fd.Adam._loaded, 3))
    with pytest.raises(MemoryError):
        optimizer.load_state_dict(net.parameters(), content)
    assert all(isinstance(state, State) and state.step == 0 for state in states)


def test_predictions_stay_lowered_where_their_preparation_failed_once(monkeypatch):
    net = network()
    expected = network().predict_proba(X)
    with monkeypatch.context() as patch:
        patch.setattr("fastdigits.nn.predictor.assembly.BUILT_IN", None)
        with pytest.raises(AttributeError):
            net.predict(X)
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    assert net._predictor._lowers == hasattr(backend.kernels, "Program")


def test_what_a_failed_save_leaves_is_removed_without_a_path_being_made(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", no_memory)
    monkeypatch.setattr(Path, "unlink", no_memory)
    with pytest.raises(MemoryError):
        network().save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_numpys_error_for_an_address_without_memory_is_a_memory_error(monkeypatch):
    class Array:
        @property
        def ctypes(self):
            raise SystemError("NULL object passed to Py_BuildValue")

    monkeypatch.setattr("fastdigits.backend.aligned.np.empty", lambda *_, **__: Array())
    with pytest.raises(MemoryError, match="no memory for an array's address"):
        aligned.empty(3)
