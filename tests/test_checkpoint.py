"""A training that is killed and resumed has the bits of one that was not."""

import copy
import errno
import functools
import os
import re

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import files, storage
from fastdigits.checkpoint import newest


class Killed(BaseException):
    """What stands for the end of the process."""


class KillAfter(fd.Callback):
    """End the training at the given step of a run, whatever epoch it is in."""

    def __init__(self, images: int) -> None:
        self.left = images

    def on_progress(self, done, total):
        self.left -= 1
        if self.left == 0:
            raise Killed


def examples(n=210, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, 10, 10), dtype=np.uint8)
    x[rng.random(x.shape) < 0.7] = 0
    return x, rng.integers(0, 3, n)


class Wrapped(fd.ReLU):
    """A layer that is not one of the package's, which makes training eager."""


def network(kind="lowered"):
    relu = Wrapped() if kind == "eager" else fd.ReLU()
    layers = [fd.Dense(100, 16), fd.BatchNorm(16), relu, fd.Dropout(0.2), fd.Dense(16, 3)]
    return fd.NeuralNetwork(layers, seed=7)


def arguments(**changes):
    """A training with all that has a state; each object a new one."""
    usual = {
        "epochs": 5,
        "batch_size": 16,
        "optimizer": fd.AdamW(0.01),
        "schedule": fd.OneCycle(),
        "loss": fd.SoftmaxCrossEntropy(label_smoothing=0.1),
        "augment": fd.Augmentation(rotation=10, shift=1, fade=0.5),
        "clip_norm": 1.0,
        "average": fd.EMA(0.9),
        "validation_split": 0.2,
    }
    return usual | changes


def bits(net):
    return net.values.tobytes() + b"".join(array.tobytes() for array in net.buffers().values())


def figures(history):
    timed = ("seconds", "images_per_second")
    return {name: value for name, value in vars(history).items() if name not in timed}


VARIANTS = {
    "all": {},
    "plain": {"augment": None, "average": None, "clip_norm": None, "validation_split": 0.0},
    "swa": {"average": fd.SWA(0.5), "optimizer": fd.Momentum(0.05)},
    "weights": {"sample_weight": np.linspace(0, 2, 210), "validation_split": 0.0},
}


@functools.cache
def uninterrupted(kind, variant):
    """Return the network and the history of a whole training."""
    whole = network(kind)
    return whole, whole.fit(*examples(), **arguments(**copy.deepcopy(VARIANTS[variant])))


@pytest.mark.parametrize("kind", ["lowered", "eager"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "looks", [1, 14, *(pytest.param(looks, marks=pytest.mark.exhaustive) for looks in (2, 3, 9, 20))]
)
def test_a_resumed_training_has_the_bits_of_an_uninterrupted_one(tmp_path, kind, variant, looks, recwarn):
    x, y = examples()
    given = VARIANTS[variant]
    whole, expected = uninterrupted(kind, variant)
    killed = network(kind)
    save = [fd.Checkpoint(tmp_path, every=3), KillAfter(looks)]
    with pytest.raises(Killed):
        killed.fit(x, y, **arguments(**copy.deepcopy(given)), callbacks=save)
    resumed = network(kind)
    again = [fd.Checkpoint(tmp_path, every=3), KillAfter(10**9)]
    history = resumed.fit(x, y, **arguments(**copy.deepcopy(given)), callbacks=again, resume=tmp_path)
    assert bits(resumed) == bits(whole)
    assert figures(history) == figures(expected)
    assert resumed.epochs_trained == whole.epochs_trained


def test_a_training_may_be_killed_again_and_again(tmp_path):
    x, y = examples()
    whole = network()
    whole.fit(x, y, **arguments())
    kills = 0
    while True:
        net = network()
        try:
            save = [fd.Checkpoint(tmp_path, every=2), KillAfter(4)]
            net.fit(x, y, **arguments(), callbacks=save, resume=tmp_path)
            break
        except Killed:
            kills += 1
    assert kills > 3
    assert bits(net) == bits(whole)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_may_change(tmp_path, threads):
    x, y = examples(600)
    whole = network()
    whole.fit(x, y, **arguments(threads=3 - threads))
    with pytest.raises(Killed):
        network().fit(
            x, y, **arguments(threads=3 - threads), callbacks=[fd.Checkpoint(tmp_path, every=3), KillAfter(9)]
        )
    resumed = network()
    resumed.fit(
        x,
        y,
        **arguments(threads=threads),
        resume=tmp_path,
        callbacks=[fd.Checkpoint(tmp_path), KillAfter(10**9)],
    )
    assert bits(resumed) == bits(whole)


def test_callbacks_go_on_from_what_they_had_seen(tmp_path):
    x, y = examples()

    def watched():
        optimizer = fd.Adam(0.02)
        plateau = fd.ReduceOnPlateau(optimizer, patience=1)
        stopping = fd.EarlyStopping(patience=3)
        return optimizer, [plateau, stopping]

    def settings(optimizer):
        return arguments(optimizer=optimizer, schedule=None, average=None, epochs=40)

    whole = network()
    optimizer, callbacks = watched()
    saving = [*callbacks, fd.Checkpoint(tmp_path / "whole", seconds=0), KillAfter(10**9)]
    expected = whole.fit(x, y, **settings(optimizer), callbacks=saving)
    assert optimizer.lr < 0.02
    assert len(expected) < 40
    final_rate, best = optimizer.lr, callbacks[1].best_epoch

    optimizer, callbacks = watched()
    looks = len(expected) - 1  # each epoch has one or more
    saving = [*callbacks, fd.Checkpoint(tmp_path / "killed", seconds=0), KillAfter(looks)]
    with pytest.raises(Killed):
        network().fit(x, y, **settings(optimizer), callbacks=saving)

    resumed = network()
    optimizer, callbacks = watched()
    saving = [*callbacks, fd.Checkpoint(tmp_path / "killed", seconds=0), KillAfter(10**9)]
    history = resumed.fit(x, y, **settings(optimizer), callbacks=saving, resume=tmp_path / "killed")
    assert figures(history) == figures(expected)
    assert (optimizer.lr, callbacks[1].best_epoch) == (final_rate, best)
    assert bits(resumed) == bits(whole)


def test_without_a_checkpoint_it_begins_at_the_beginning(tmp_path):
    x, y = examples()
    whole, resumed = network(), network()
    whole.fit(x, y, **arguments())
    resumed.fit(x, y, **arguments(), resume=tmp_path / "nothing")
    assert bits(resumed) == bits(whole)


def test_the_last_two_are_kept_and_leftovers_removed(tmp_path):
    x, y = examples()
    (tmp_path / ".checkpoint-000000000004.safetensors.0badc0de.tmp").write_bytes(b"half")
    network().fit(x, y, **arguments(), callbacks=[fd.Checkpoint(tmp_path, every=4)])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint-000000000048.safetensors", "checkpoint-000000000052.safetensors"]


def test_where_no_steps_are_given_ends_of_epochs_are_written_after_some_seconds(tmp_path):
    x, y = examples()
    network().fit(x, y, **arguments(), callbacks=[fd.Checkpoint(tmp_path)])
    assert list(tmp_path.iterdir()) == []
    network().fit(x, y, **arguments(), callbacks=[fd.Checkpoint(tmp_path, seconds=0)])
    assert sorted(path.name[17:23] for path in tmp_path.iterdir()) == ["000033", "000044"]


@pytest.fixture
def killed(tmp_path):
    """A folder with two checkpoints of a training that was killed."""
    x, y = examples()
    with pytest.raises(Killed):
        network().fit(x, y, **arguments(), callbacks=[fd.Checkpoint(tmp_path, every=3), KillAfter(9)])
    assert len(list(tmp_path.iterdir())) == 2
    return tmp_path


CHANGES = {
    "epochs": {"epochs": 6},
    "batch_size": {"batch_size": 15},
    "optimizer": {"optimizer": fd.AdamW(0.02)},
    "schedule": {"schedule": fd.Cosine()},
    "loss": {"loss": fd.SoftmaxCrossEntropy()},
    "augment": {"augment": fd.Augmentation(rotation=11)},
    "clip_norm": {"clip_norm": 2.0},
    "average": {"average": fd.EMA(0.8)},
    "training images": {"validation_split": 0.1},
    "shuffle": {"shuffle": False},
    "callbacks": {"callbacks": [fd.EarlyStopping()]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_settings_are_refused_with_their_name(killed, name):
    x, y = examples()
    net = network()
    before = bits(net)
    given = {"callbacks": [fd.Checkpoint(killed), KillAfter(10**9)]} | CHANGES[name]
    with pytest.raises(
        ValueError, match=f"fit: resume: {name} must be as in .*checkpoint-.*; got .*: take the same"
    ):
        net.fit(x, y, **arguments(**given), resume=killed)
    assert bits(net) == before
    assert net.epochs_trained == 0


def test_other_images_labels_and_networks_are_refused(killed):
    x, y = examples()
    again = {"callbacks": [fd.Checkpoint(killed), KillAfter(10**9)], "resume": killed}
    other = x.copy()
    other[17, 3, 3] ^= 1
    with pytest.raises(ValueError, match="images must be as in"):
        network().fit(other, y, **arguments(), **again)
    with pytest.raises(ValueError, match="images must be as in"):
        network().fit(x, (y + 1) % 3, **arguments(), **again)
    small = fd.NeuralNetwork([fd.Dense(100, 3)], seed=7)
    with pytest.raises(ValueError, match="parameters must be as in"):
        small.fit(x, y, **arguments(), **again)


def test_a_damaged_newest_one_is_named_and_the_one_before_taken(killed):
    x, y = examples()
    whole = network()
    whole.fit(x, y, **arguments())
    old, new = sorted(killed.iterdir())
    new.write_bytes(new.read_bytes()[:-5])
    net = network()
    again = {"callbacks": [fd.Checkpoint(killed), KillAfter(10**9)], "resume": killed}
    with pytest.warns(UserWarning, match=f"{re.escape(new.name)}.*an older checkpoint is taken"):
        net.fit(x, y, **arguments(), **again)
    assert bits(net) == bits(whole)
    old.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="an older checkpoint is taken"),
        pytest.raises(fd.ModelFileError, match=re.escape(old.name)),
    ):
        network().fit(x, y, **arguments(), **again)


def edited(folder, change):
    """Write the newest checkpoint anew with other content, and remove the older."""
    old, new = sorted(folder.iterdir())
    old.unlink()
    found = newest(folder)
    tensors, state = dict(found.tensors), found.state
    change(tensors, state)
    new.write_bytes(storage.encode(tensors, "fastdigits-checkpoint", state=state))


def set_in(*path, to):
    def change(tensors, state):
        for name in path[:-1]:
            state = state[name]
        state[path[-1]] = to

    return change


LIES = {
    "array of another shape": lambda tensors, state: tensors.update(
        {"network/dense1.bias": np.zeros(3, np.float32)}
    ),
    "moments of NaN": lambda tensors, state: tensors["optimizer/v/dense1.weight"].fill(np.nan),
    "array missing": lambda tensors, state: tensors.pop("optimizer/m/dense1.weight"),
    "unknown array": lambda tensors, state: tensors.update(other=np.zeros(1, np.float32)),
    "no position": lambda tensors, state: state.pop("position"),
    "negative step": set_in("position", "step", to=-1),
    "step beyond the epoch": set_in("position", "step", to=1000),
    "epoch beyond the training": set_in("position", "epoch", to=5),
    "a step that is no number": set_in("position", "step", to="3"),
    "unknown in the position": set_in("position", "other", to=1),
    "tallies of another shape": set_in("position", "tallies", to=[[1.0]]),
    "learning rate of 0": set_in("lr", to=0),
    "epochs below 0": set_in("epochs_trained", to=-2),
    "counts missing": set_in("counts", to={}),
    "history of two lengths": set_in("history", "loss", to=[1.0, 2.0, 3.0, 4.0]),
    "history that is none": set_in("history", to=3),
    "callbacks missing": set_in("callbacks", to=[]),
    "settings that are none": set_in("settings", to=[]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused_before_anything_changes(killed, lie):
    x, y = examples()
    edited(killed, LIES[lie])
    net = network()
    before = bits(net)
    with pytest.raises(
        fd.ModelFileError, match=r"checkpoint-.*: .*remove the file to go on from an older one"
    ):
        net.fit(x, y, **arguments(), callbacks=[fd.Checkpoint(killed), KillAfter(10**9)], resume=killed)
    assert bits(net) == before


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"])
def test_garbage_is_refused(tmp_path, content):
    (tmp_path / "checkpoint-000000000003.safetensors").write_bytes(content)
    with pytest.raises(fd.ModelFileError, match="checkpoint-000000000003"):
        network().fit(*examples(), **arguments(), resume=tmp_path)


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model(killed, tmp_path):
    path = sorted(killed.iterdir())[-1]
    with pytest.raises(
        fd.ModelFileError, match="its format must be 'fastdigits'; got 'fastdigits-checkpoint'"
    ):
        fd.load(path)
    network().save(path)
    sorted(killed.iterdir())[0].unlink()
    with pytest.raises(
        fd.ModelFileError, match="its format must be 'fastdigits-checkpoint'; got 'fastdigits'"
    ):
        newest(killed)


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_is_a_warning_and_the_old_checkpoint_stays(killed, monkeypatch, call):
    x, y = examples()
    names = sorted(path.name for path in killed.iterdir())
    whole = network()
    whole.fit(x, y, **arguments())

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    net = network()
    save = [fd.Checkpoint(killed, every=3), KillAfter(10**9)]
    target = files if call == "open" else os
    monkeypatch.setattr(target, call, full, raising=False)
    with pytest.warns(UserWarning, match="must take a checkpoint; got .*No space left"):
        net.fit(x, y, **arguments(), callbacks=save, resume=killed)
    assert bits(net) == bits(whole)
    assert sorted(path.name for path in killed.iterdir()) == names
    assert newest(killed) is not None


def test_two_checkpoints_of_one_training_are_refused(tmp_path):
    both = [fd.Checkpoint(tmp_path / "a"), fd.Checkpoint(tmp_path / "b")]
    with pytest.raises(ValueError, match="callbacks may hold one Checkpoint; got 2"):
        network().fit(*examples(), **arguments(), callbacks=both)


@pytest.mark.parametrize(("given", "match"), [({"every": 0}, "every"), ({"seconds": -1}, "seconds")])
def test_wrong_arguments_are_refused(tmp_path, given, match):
    with pytest.raises(ValueError, match=f"Checkpoint: {match} must"):
        fd.Checkpoint(tmp_path, **given)
