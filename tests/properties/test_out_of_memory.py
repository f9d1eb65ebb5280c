"""A failed allocation raises MemoryError; network and optimizer stay those of the same step, and no file is left.

`scripts/robustness/out_of_memory.py` makes each allocation of arrays and kernels fail; these tests take a sample of
them, and each fault that the script has found.
"""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from documents import ROOT, script

import fastdigits as fd
from fastdigits import backend
from fastdigits.core import atomic
from fastdigits.nn.layers import BatchNorm
from fastdigits.optim import averaging
from fastdigits.optim.optimizers import State
from fastdigits.training import checkpoint, loop

SCRIPT = ROOT / "scripts/robustness/out_of_memory.py"
OUT_OF_MEMORY = script("robustness/out_of_memory")
X = np.random.default_rng(0).integers(0, 256, (64, 49)).astype(np.uint8)
Y = np.arange(64) % 4

needs_shim = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)


@needs_shim
@pytest.mark.parametrize(
    ("jobs", "every"),
    [(["predict"], 19), pytest.param(OUT_OF_MEMORY.NAMES, 1, marks=pytest.mark.exhaustive)],
)
def test_a_failed_allocation_leaves_network_and_optimizer_at_the_same_step(jobs, every):
    ended = subprocess.run(
        [sys.executable, SCRIPT, "--every", str(every), *jobs],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(re.findall("[1-9][0-9]* × MemoryError", ended.stdout)) == len(jobs)
    assert ended.stdout.count("'memory kept at': 0") == len(jobs)


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
first = threads()  # NumPy may have started some
refuse = ctypes.c_int.in_dll(ctypes.CDLL(None), "shim_no_threads")
refuse.value = 1
with tempfile.TemporaryDirectory() as folder:
    jobs = out_of_memory.Jobs(Path(folder))
    refused, before = jobs.final, threads()
    probs = jobs.net.predict_proba(jobs.x)
    refuse.value = 0
    if hasattr(backend.kernels, "reset_sharing"):
        backend.kernels.reset_sharing()  # which say that one thread is faster
    again = out_of_memory.Jobs(Path(folder))
    print(refused == again.final, (probs == again.net.predict_proba(jobs.x)).all(), before - first, threads() - first)
"""


@needs_shim
def test_without_new_threads_one_thread_computes_and_threads_are_tried_again(tmp_path):
    shim = tmp_path / "shim.so"
    subprocess.run([sys.executable, SCRIPT, "--shim", shim], check=True, timeout=60)
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS, SCRIPT.parent],
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["True", "True", "0", "1"]


# -- faults that the script has found ------------------------------------------------------------------------


def network():
    layers = [fd.Dense(49, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dropout(0.1), fd.Dense(8, 4)]
    return fd.NeuralNetwork(layers, seed=1)


def no_memory(*_, **__):
    raise MemoryError


def after(function, times):
    """Return a function that calls this one ``times`` times, and then raises MemoryError."""
    left = iter(range(times))

    def once_more(*arguments, **named):
        return no_memory() if next(left, None) is None else function(*arguments, **named)

    return once_more


def counts(net, optimizer):
    steps = {state.step for state in optimizer.states(net.parameters())}
    return steps, optimizer.step_count, net.layers[3].step


@pytest.mark.skipif(not hasattr(backend.kernels, "Program"), reason="the NumPy backend records no program")
@pytest.mark.parametrize(("owner", "name", "times"), [(fd.Adam, "_update", 2), (fd.EMA, "update", 0)])
def test_a_step_that_could_not_be_recorded_is_not_counted(monkeypatch, owner, name, times):
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


def test_an_average_is_applied_with_its_batch_statistics_or_not_at_all(monkeypatch):
    net, values = network(), []

    class Record(fd.Callback):
        def on_progress(self, done, total):
            values[:] = [net.values.copy(), net.layers[1].running_var.copy()]

    monkeypatch.setattr(loop, "_renew", no_memory)
    with pytest.raises(MemoryError):
        net.fit(X, Y, epochs=1, batch_size=32, average=fd.EMA(0.5), callbacks=[Record()])
    np.testing.assert_array_equal(net.values, values[0])
    np.testing.assert_array_equal(net.layers[1].running_var, values[1])


def test_a_failed_update_of_batch_statistics_keeps_momentum_and_dropout_step(monkeypatch):
    net = network()
    monkeypatch.setattr(BatchNorm, "forward", after(BatchNorm.forward, 1))
    with pytest.raises(MemoryError):
        net.renew_statistics(X, batch_size=16)
    assert (net.layers[1].momentum, net.layers[3].step) == (0.1, 0)


def test_a_checkpoint_is_restored_whole_or_not_at_all(tmp_path, monkeypatch):
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


def test_a_failed_load_state_dict_leaves_the_optimizer_unchanged(monkeypatch):
    net, optimizer = network(), fd.Adam()
    content = optimizer.state_dict(net.parameters()) | {"step": 7}
    states = optimizer.states(net.parameters())
    monkeypatch.setattr(fd.Adam, "_loaded", after(fd.Adam._loaded, 3))
    with pytest.raises(MemoryError):
        optimizer.load_state_dict(net.parameters(), content)
    assert all(isinstance(state, State) and state.step == 0 for state in states)


def test_predictions_are_lowered_again_after_one_failed_preparation(monkeypatch):
    net = network()
    expected = network().predict_proba(X)
    with monkeypatch.context() as patch:
        patch.setattr("fastdigits.nn.predictor.assembly.BUILT_IN", None)
        with pytest.raises(AttributeError):
            net.predict(X)
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    assert net._predictor._lowers == hasattr(backend.kernels, "Program")


def test_a_failed_save_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic.os, "fsync", no_memory)
    with pytest.raises(MemoryError):
        network().save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
