"""Training on shards: the order, the ring and its reading thread, checkpoints, and what is refused."""

import itertools
import os
import signal
import threading
import types
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_folders import CLASSES, examples, make

import fastdigits as fd
from fastdigits.core.blocks import Blocks, Reading
from fastdigits.training import streaming
from fastdigits.training.batches import Batches
from fastdigits.training.streaming import StreamedImages


def network(seed: int = 0) -> fd.NeuralNetwork:
    layers = [fd.Dense(16, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dropout(0.1), fd.Dense(8, CLASSES)]
    return fd.NeuralNetwork(layers, seed=seed)


def state(net: fd.NeuralNetwork) -> bytes:
    return net.values.tobytes() + b"".join(array.tobytes() for array in net.buffers().values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("shards"), *examples(), rows=37)


class Numbered(Blocks):
    """Blocks in memory: the pixel of image i is i % 256, its label i % 3."""

    def __init__(self, rows, window):
        self.rows, self.window, self.image_shape, self.dtype = tuple(rows), window, (1, 1), np.dtype(np.uint8)
        self.range, self.class_counts, self.digest = (0.0, 255.0, True), np.array([1, 1, 1]), "-"
        self.opened = []

    def open(self, block):
        self.opened.append(block)
        return _Numbers(sum(self.rows[:block]))

    def check_files(self):
        pass


class _Numbers:
    def __init__(self, next_):
        self.next = next_

    def read(self, x, y):
        numbers = np.arange(self.next, self.next + len(y))
        x[:, 0], y[:], self.next = numbers % 256, numbers % 3, self.next + len(y)

    def close(self):
        pass


def epoch_of(blocks, batch_size, seed, epoch=0, first=0):
    """Return the numbers of the images of each batch of an epoch, as steps would see them."""
    images = StreamedImages(blocks, "pixels", batch_size)
    parts, found, step = Batches(len(blocks), batch_size), [], 0
    assert not images.keys.any()
    while parts[step].start < first:
        step += 1
    with images.epoch(seed, epoch, parts[step].start) as order:
        while step < len(parts):
            stop = images.last_step(parts, step, len(parts))
            assert step < stop <= len(parts)
            rows = order[parts[step].start : parts[stop - 1].stop]
            numbers = images.keys[rows]
            np.testing.assert_array_equal(images.rows[rows, 0], numbers % 256)
            np.testing.assert_array_equal(images.labels[rows], numbers % 3)
            found += np.split(numbers, [part.stop - parts[step].start for part in parts[step : stop - 1]])
            step = stop
    assert not any(thread.name == "fastdigits-read" for thread in threading.enumerate())
    return found


# -- the order -------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.integers(1, 60),
    st.integers(1, 50),
    st.none() | st.integers(0, 5),
    st.data(),
)
def test_an_epoch_has_each_image_once_and_can_begin_anywhere(rows, window, batch_size, seed, data):
    blocks = Numbered(rows, window)
    batches = epoch_of(blocks, batch_size, seed)
    numbers = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(len(blocks)))
    if seed is None:
        np.testing.assert_array_equal(numbers, np.arange(len(blocks)))
    at = data.draw(st.integers(0, len(batches) - 1))
    start = sum(map(len, batches[:at]))
    resumed = epoch_of(Numbered(rows, window), batch_size, seed, first=start)
    np.testing.assert_array_equal(np.concatenate(resumed), numbers[start:])


def test_the_order_depends_on_seed_and_epoch_and_mixes_only_within_windows():
    orders = {
        (seed, epoch): np.concatenate(epoch_of(Numbered([10] * 10, 20), 7, seed, epoch))
        for seed, epoch in itertools.product((0, 1), (0, 1))
    }
    assert len({order.tobytes() for order in orders.values()}) == 4
    for order in orders.values():
        shards = [set((order[start : start + 20] // 10).tolist()) for start in range(0, 100, 20)]
        assert all(len(one) == 2 for one in shards)  # two whole shards
        assert (np.diff(order.reshape(5, 20), axis=1) != 1).any(axis=1).all()
    assert any(order[:20].max() > 40 for order in orders.values())  # the shards too are in random order


def test_the_ring_holds_two_windows_or_what_a_batch_needs():
    for window, batch_size, rows in (
        (100, 10, 200),
        (100, 100, 300),
        (10, 64, 80),
        (1000, 64, 1000),
        (1, 2, 4),
    ):
        assert len(StreamedImages(Numbered([1000], window), "pixels", batch_size).rows) == rows


# -- the same bits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_shards", [1, 3])
@pytest.mark.parametrize("backend", ["numpy", None])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_without_shuffling_it_is_the_training_in_memory_bit_by_bit(dtype, backend, batch_shards, tmp_path):
    x, y = examples(dtype=dtype)
    augment = fd.Augmentation() if dtype == "uint8" else None
    shards = fd.Shards(make(tmp_path, x, y, rows=37), window=45)
    options = {"epochs": 2, "batch_size": 16, "shuffle": False, "augment": augment, "clip_norm": 1.0}
    options["batch_shards"] = batch_shards
    before = fd.backend_name()
    if backend is not None:
        fd.use_backend(backend)
    try:
        nets = [network(), network()]
        histories = [
            net.fit(*data, **options, average=fd.EMA(0.9), validation_data=held_out)
            for net, data, held_out in zip(nets, ((x, y), (shards,)), ((x, y), shards), strict=True)
        ]
        assert state(nets[0]) == state(nets[1])
        assert nets[0].scale == nets[1].scale
        assert histories[0].val_loss == pytest.approx(histories[1].val_loss, rel=1e-6)
        assert histories[0].accuracy == histories[1].accuracy
        np.testing.assert_array_equal(nets[0].predict(shards), nets[0].predict(x))
        np.testing.assert_array_equal(nets[0].predict_proba(shards), nets[0].predict_proba(x))
        for weight in (None, y + 1):
            wanted, found = (
                nets[0].evaluate(x, y, sample_weight=weight),
                nets[0].evaluate(shards, sample_weight=weight),
            )
            assert found == wanted
        for net, data in zip(nets, (x, shards), strict=True):
            net.renew_statistics(data, batch_size=30)
        assert state(nets[0]) == state(nets[1])
    finally:
        fd.use_backend(before)


@pytest.mark.parametrize(("window", "batch_size"), [(50, 16), (7, 16), (200, 200), (3, 8), (10_000, 33)])
def test_neither_threads_nor_the_time_of_reading_change_a_bit(window, batch_size, folder, monkeypatch):
    def trained(threads):
        net = network()
        shards = fd.Shards(folder, window=window)
        net.fit(shards, epochs=2, batch_size=batch_size, threads=threads, augment=fd.Augmentation())
        return state(net)

    whole = trained(1)
    assert trained(3) == whole
    read, pauses = Reading.read, itertools.cycle((0, 0.002, 0, 0.001))
    monkeypatch.setattr(
        Reading, "read", lambda self, x, y: (threading.Event().wait(next(pauses)), read(self, x, y))[1]
    )
    assert trained(1) == whole


class Stop(fd.Callback):
    """Raise KeyboardInterrupt at a step."""

    def __init__(self, at):
        self.at, self.seen = at, 0

    def on_progress(self, done, total):
        self.seen += 1
        if self.seen == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [2, 5, 9, 14])
def test_a_training_that_was_stopped_within_an_epoch_continues_with_the_same_bits(at, folder, tmp_path):
    options = {"epochs": 2, "batch_size": 16, "augment": fd.Augmentation(), "schedule": fd.OneCycle()}

    def shards():
        return fd.Shards(folder, window=45)

    whole = network()
    whole.fit(shards(), **options, validation_data=shards())
    checkpoint = fd.Checkpoint(tmp_path, every=3)
    with pytest.raises(KeyboardInterrupt):
        network().fit(shards(), **options, validation_data=shards(), callbacks=[Stop(at), checkpoint])
    again = network()
    again.fit(
        shards(), **options, validation_data=shards(), callbacks=[Stop(-1), checkpoint], resume=tmp_path
    )
    assert state(again) == state(whole)


def test_a_checkpoint_is_refused_for_other_shards_or_another_window(folder, tmp_path):
    checkpoint = fd.Checkpoint(tmp_path / "saved", every=2)
    with pytest.raises(KeyboardInterrupt):
        network().fit(fd.Shards(folder), epochs=2, batch_size=16, callbacks=[Stop(6), checkpoint])
    other = make(tmp_path / "other", *examples(201), rows=37)
    for shards in (fd.Shards(folder, window=50), fd.Shards(other)):
        with pytest.raises(fd.ModelFileError, match="resume: training images must be as in"):
            network().fit(
                shards, epochs=2, batch_size=16, callbacks=[Stop(-1), checkpoint], resume=tmp_path / "saved"
            )


# -- faults ----------------------------------------------------------------------------------------------------


def test_a_changed_shard_stops_after_a_whole_step_and_training_resumes_after_its_repair(tmp_path):
    x, y = examples(400)
    folder, saved = make(tmp_path / "shards", x, y, rows=50), tmp_path / "saved"
    options = {"epochs": 2, "batch_size": 16, "callbacks": [fd.Checkpoint(saved, every=4)]}
    whole = network()
    whole.fit(fd.Shards(folder, window=50), **options)
    for path in saved.iterdir():
        path.unlink()
    shards, net = fd.Shards(folder, window=50), network()
    file = folder / "images-00003.npy"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(fd.DataError, match=r"images-00003.npy: must be as described, with the checksum"):
        net.fit(shards, **options)
    assert not any(thread.name == "fastdigits-read" for thread in threading.enumerate())
    file.write_bytes(good)
    assert list(saved.iterdir()) or net.epochs_trained == 0
    net.fit(fd.Shards(folder, window=50), **options, resume=saved)
    assert state(net) == state(whole)


def test_a_missing_shard_is_an_error_before_anything_changes(folder, tmp_path):
    other = make(tmp_path, *examples(), rows=37)
    shards, net = fd.Shards(other), network()
    (other / "labels-00002.npy").unlink()
    before = state(net)
    for work in (net.fit, net.evaluate, net.predict, net.find_lr, net.renew_statistics):
        with pytest.raises(fd.DataError, match=r"labels-00002.npy: must be a file that can be read"):
            work(shards)
    with pytest.raises(fd.DataError, match=r"labels-00002.npy"):
        net.fit(fd.Shards(folder), validation_data=shards)
    assert state(net) == before
    assert net.scale is None


@pytest.fixture
def python_answers_ctrl_c():
    """Give Ctrl-C the handler of a new process: one that an interrupted command left ignores it for seconds."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_the_wait_for_a_slow_disk(folder, monkeypatch, python_answers_ctrl_c):
    blocked = threading.Event()
    monkeypatch.setattr(Reading, "read", lambda self, x, y: blocked.wait(30))
    monkeypatch.setattr(streaming, "PATIENCE", 0.01)
    interrupts = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupts.start()
    net = network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(fd.Shards(folder))
    blocked.set()
    interrupts.join()
    monkeypatch.undo()
    net.fit(fd.Shards(folder), epochs=1)


def test_without_a_thread_windows_are_read_all_the_same(folder, monkeypatch):
    nets = [network(), network()]
    nets[0].fit(fd.Shards(folder, window=64), epochs=1)
    monkeypatch.setattr(streaming, "threading", types.SimpleNamespace(Thread=_NoThread))
    nets[1].fit(fd.Shards(folder, window=64), epochs=1, threads=1)
    assert state(nets[0]) == state(nets[1])


class _NoThread(threading.Thread):
    def start(self):
        raise RuntimeError("can't start new thread")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_continues_with_files_of_its_own(folder):
    whole = network()
    whole.fit(fd.Shards(folder, window=20), epochs=1, batch_size=8)

    class Fork(fd.Callback):
        child = None

        def on_progress(self, done, total):
            if self.child is None:
                self.child = os.fork()

    net, fork = network(), Fork()
    net.fit(fd.Shards(folder, window=20), epochs=1, batch_size=8, callbacks=[fork])
    equal = state(net) == state(whole)
    if fork.child == 0:
        os._exit(0 if equal else 1)
    assert equal
    assert os.waitstatus_to_exitcode(os.waitpid(fork.child, 0)[1]) == 0


REFUSED = {
    "fit: y must be omitted with Shards, which hold their labels; got list": {"y": [1]},
    "fit: sample_weight must be None with Shards; got ndarray": {"sample_weight": np.ones(200)},
    "fit: validation_split must be 0 with Shards; got 0.1: pass validation_data=": {"validation_split": 0.1},
    "fit: average_every must be 0 with Shards, .* got 2: omit it": {"average_every": 2, "batch_shards": 2},
}


@pytest.mark.parametrize("match", REFUSED)
def test_arguments_that_shards_do_not_take_are_refused(match, folder):
    with pytest.raises((TypeError, ValueError), match=match):
        network().fit(fd.Shards(folder), **REFUSED[match])


def test_shards_that_do_not_fit_the_network_are_refused(folder):
    shards = fd.Shards(folder)
    wide = fd.NeuralNetwork([fd.Dense(15, 3)])
    few = fd.NeuralNetwork([fd.Dense(16, 2)])
    unit = fd.NeuralNetwork([fd.Dense(16, 3)])
    unit.scale = "unit"
    for name in ("fit", "evaluate", "predict", "predict_proba", "find_lr", "renew_statistics"):
        with pytest.raises(ValueError, match=f"{name}: x must be images of 15 numbers; got 16: Shards"):
            getattr(wide, name)(shards)
        with pytest.raises(
            ValueError, match=f"{name}: x must have labels within 0 … 1, as the network has 2 outputs"
        ):
            getattr(few, name)(shards)
        with pytest.raises(ValueError, match=f"{name}: x must hold numbers of about 0 … 1"):
            getattr(unit, name)(shards)
    with pytest.raises(TypeError, match="evaluate: y must be omitted with Shards"):
        network().evaluate(shards, [1])
    with pytest.raises(ValueError, match=r"evaluate: sample_weight must be \(200,\)"):
        network().evaluate(shards, sample_weight=[1])
    numbers = network()
    numbers.scale = "numbers"
    with pytest.raises(ValueError, match="to be augmented"):
        numbers.fit(shards, augment=fd.Augmentation())


def test_what_takes_arrays_only_says_how_to_read_shards(folder):
    shards = fd.Shards(folder)
    for work in (network().forward, fd.Augmentation().apply):
        with pytest.raises(
            TypeError, match=r"got dtype object from Shards: x, y = shards.load\(\) reads them"
        ):
            work(shards)


def test_a_learning_rate_is_found_on_the_first_window(folder):
    x, y = examples()
    whole, some = fd.Shards(folder), fd.Shards(folder, window=60)
    assert network().find_lr(whole, steps=20).lr == network().find_lr(x, y, steps=20).lr
    np.testing.assert_array_equal(
        network().find_lr(some, steps=20).losses, network().find_lr(x[:60], y[:60], steps=20).losses
    )


# -- sorted images ---------------------------------------------------------------------------------------------


def test_sorted_images_are_a_warning_unless_a_window_holds_all_of_them(tmp_path):
    x, y = examples(1200)
    order = np.argsort(y, kind="stable")
    folder = make(tmp_path, x[order], y[order], rows=100)
    with pytest.warns(
        UserWarning, match=r"each window of 300 images must have about the classes .* fastdigits shard"
    ):
        network().fit(fd.Shards(folder, window=300), epochs=1)
    with pytest.warns(UserWarning, match="each window of 20 images"):
        network().fit(fd.Shards(folder, window=20), epochs=1)
    mixed = make(tmp_path / "mixed", x, y, rows=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network().fit(fd.Shards(folder), epochs=1)
        network().fit(fd.Shards(mixed, window=300), epochs=1)
        network().fit(fd.Shards(mixed, window=20), epochs=1)
        network().fit(fd.Shards(folder, window=300), epochs=1, shuffle=False)
