"""A training that is killed and resumed has the bits of one that was not."""

import copy
import errno
import functools
import itertools
import json
import os
import re
import tempfile

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.core import atomic
from fastdigits.storage import model_file
from fastdigits.training.checkpoint import newest


class Killed(BaseException):
    """What stands for the end of the process."""


class KillAfter(fd.Callback):
    """End the training at the given look of a run, counted from the end of so many epochs on."""

    def __init__(self, looks: int, *, epochs: int = 0) -> None:
        self.left = looks
        self.epochs = epochs

    def on_progress(self, done, total):
        self.left -= self.epochs <= 0
        if self.left == 0:
            raise Killed

    def on_epoch_end(self, epoch, network, history):
        self.epochs -= 1


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


def test_a_file_in_the_place_of_the_folder_is_refused(killed):
    for path in killed.iterdir():
        with pytest.raises(
            fd.ModelFileError, match=r"checkpoint-.*: resume must be a folder of checkpoints; got a"
        ):
            network().fit(*examples(), **arguments(), resume=path)


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
    with pytest.raises(
        ValueError, match=r"parameters must be as in .*: dense1\S+ \S+ \S+; got dense1\S+ \S+ \S+: "
    ):
        small.fit(x, y, **arguments(), **again)


def test_a_damaged_newest_one_is_named_and_the_one_before_taken(killed):
    x, y = examples()
    whole = network()
    whole.fit(x, y, **arguments())
    old, new = sorted(killed.iterdir())
    new.write_bytes(new.read_bytes()[:-5])
    net = network()
    again = {"callbacks": [fd.Checkpoint(killed), KillAfter(10**9)], "resume": killed}
    with pytest.warns(UserWarning, match=f"{re.escape(new.name)}.*using an older checkpoint"):
        net.fit(x, y, **arguments(), **again)
    assert bits(net) == bits(whole)
    old.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="using an older checkpoint"),
        pytest.raises(fd.ModelFileError, match=re.escape(old.name)),
    ):
        network().fit(x, y, **arguments(), **again)


def edited(folder, change):
    """Write the newest checkpoint again with other content, and remove the older."""
    old, new = sorted(folder.iterdir())
    old.unlink()
    found = newest(folder)
    tensors, state = dict(found.tensors), found.state
    change(tensors, state)
    new.write_bytes(model_file.encode(tensors, "fastdigits-checkpoint", state=state))


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
        fd.ModelFileError, match=r"checkpoint-.*: .*remove the file to continue from an older one"
    ):
        net.fit(x, y, **arguments(), callbacks=[fd.Checkpoint(killed), KillAfter(10**9)], resume=killed)
    assert bits(net) == before


class Remembers(fd.Callback):
    """A callback of the user's own: it keeps what JSON cannot always hold, and checks nothing before."""

    def __init__(self):
        self.seen, self.best, self.array = 0, float("inf"), np.zeros(2, np.float32)

    def on_epoch_end(self, epoch, network, history):
        self.seen += 1

    def state_dict(self):
        return {"seen": self.seen, "best": self.best, "array": self.array}

    def load_state_dict(self, content):
        self.array = content["array"]
        self.best = content["best"]
        self.seen = content["seen"] + 0 // len(content["array"])


class Silent(fd.Callback):
    """A callback without a state."""


def watched(folder):
    """Return the arguments of a training whose checkpoints have every part that there is."""
    optimizer = fd.Adam(0.02)
    watching = [
        fd.EarlyStopping("loss", patience=4),
        fd.ReduceOnPlateau(optimizer, monitor="loss", patience=2),
        Remembers(),
        Silent(),
        fd.Checkpoint(folder, every=3),
        KillAfter(10**9),
    ]
    return {
        "optimizer": optimizer,
        "average": fd.EMA(0.9),
        "callbacks": watching,
        "epochs": 5,
        "batch_size": 32,
    }


X, Y = examples()


@functools.cache
def whole_checkpoint():
    """Return arrays and state of a checkpoint within the third epoch of five."""
    with tempfile.TemporaryDirectory() as folder:
        given = watched(folder)
        given["callbacks"][-1] = KillAfter(2, epochs=2)  # each backend has looks of its own length
        with pytest.raises(Killed):
            network().fit(X, Y, **given)
        found = newest(folder)
        assert found.state["position"]["epoch"] == 2
        assert found.state["position"]["step"] > 0
        return found.tensors, found.state


def write_checkpoint(folder, tensors, state, **more):
    state = state if isinstance(state, str) else json.dumps(state)
    content = model_file.encode(tensors, "fastdigits-checkpoint", **more)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["state"] = state
    text = json.dumps(header).encode()
    path = folder / "checkpoint-000000000012.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def everything(net, given):
    """Return all that a lie must not change, in a form that can be compared."""
    optimizer, average = given["optimizer"], given["average"]
    states = [
        (one.step, *(array.tobytes() for array in one.arrays)) for one in optimizer.states(net.parameters())
    ]
    averages = [(one.name, array.tobytes()) for one, array in average._averages]
    return (
        bits(net), net.seed, net.epochs_trained, [layer.step for layer in net.layers if hasattr(layer, "step")],
        optimizer.lr, optimizer.step_count, states, average.step, averages,
        [sorted((name, repr(value)) for name, value in vars(one).items()) for one in given["callbacks"]],
    )  # fmt: skip


def need_refusal(folder):
    """See that the checkpoint in a folder is refused by a network and an optimizer that have a past."""
    net, given = network(), watched(folder)
    net.fit(X[:40], Y[:40], optimizer=given["optimizer"], average=given["average"], epochs=1)
    before = everything(net, given)
    files_before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(fd.ModelFileError, match=r"checkpoint-000000000012\.safetensors: ") as caught:
        net.fit(X, Y, **given, resume=folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500 + len(str(folder))
    assert everything(net, given) == before
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files_before


def leaves(value, path=()):
    """Return the path of every entry of a state, the inner ones too; of a list, that of the first."""
    found = [path] if path else []
    inner = (
        value.items()
        if isinstance(value, dict)
        else list(enumerate(value))[:1]
        if isinstance(value, list)
        else []
    )
    for name, entry in inner:
        found += leaves(entry, (*path, name))
    return found


NO_ENTRIES = [
    None,
    [],
    {},
    "x",
    "1",
    True,
    False,
    -1,
    1.5,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    [[]],
    {"a": 1},
]
MAY_BE = {  # what looks odd, and yet may be true
    ("lr",): (1.5,),
    ("position", "seconds"): (1.5,),
    ("history", "loss", 0): (1.5,),
    ("history", "lr", 0): (1.5,),
    ("history", "seconds", 0): (1.5,),
    ("history", "images_per_second", 0): (1.5,),
    ("position", "tallies", 0, 0): (1.5,),
}  # fmt: skip
FREE = ("callbacks", 2)  # the user's own part


def paths():
    return [path for path in leaves(whole_checkpoint()[1]) if path[:2] != FREE or len(path) == 2]


def test_a_checkpoint_that_is_whole_goes_on(tmp_path):
    write_checkpoint(tmp_path, *whole_checkpoint())
    given, expected = watched(tmp_path), network()
    expected.fit(X, Y, **watched(tmp_path / "other"))
    net = network()
    net.fit(X, Y, **given, resume=tmp_path)
    assert bits(net) == bits(expected)
    assert (given["callbacks"][2].seen, given["callbacks"][2].best) == (5, float("inf"))


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(
    "top", ["settings", "position", "epochs_trained", "lr", "counts", "history", "callbacks"]
)
def test_no_entry_of_a_checkpoint_takes_a_value_that_cannot_be(tmp_path, top, every):
    tensors, state = whole_checkpoint()
    tried = 0
    turns = itertools.count()
    for path in paths():
        if path[0] != top:
            continue
        for value in NO_ENTRIES:
            lie = copy.deepcopy(state)
            inner = lie
            for name in path[:-1]:
                inner = inner[name]
            if value in MAY_BE.get(path, ()) or (
                inner[path[-1]] == value and type(inner[path[-1]]) is type(value)
            ):
                continue
            if next(turns) % every:
                continue
            inner[path[-1]] = value
            write_checkpoint(tmp_path, tensors, lie)
            need_refusal(tmp_path)
            tried += 1
    assert tried > 10 / every


def test_no_entry_of_a_checkpoint_may_be_missing_or_unknown_or_there_twice(tmp_path):
    tensors, state = whole_checkpoint()
    text = json.dumps(state)
    for path in [(), *paths()]:
        inner = lie = copy.deepcopy(state)
        for name in path[:-1]:
            inner = inner[name]
        if path and path != FREE:
            del inner[path[-1]]
            write_checkpoint(tmp_path, tensors, lie)
            need_refusal(tmp_path)
        inner = lie = copy.deepcopy(state)
        for name in path:
            inner = inner[name]
        if isinstance(inner, dict) and path != FREE:
            inner["other"] = None
            write_checkpoint(tmp_path, tensors, lie)
            need_refusal(tmp_path)
    for name in ("epoch", "best", "waited", "step", "lr", "optimizer"):
        write_checkpoint(tmp_path, tensors, text.replace(f'"{name}": ', f'"{name}": 0, "{name}": ', 1))
        need_refusal(tmp_path)
    write_checkpoint(tmp_path, tensors, state, extra=1)
    need_refusal(tmp_path)


ODD = {
    "missing": lambda array: None,
    "a scalar": lambda array: array.reshape(-1)[0],
    "one": lambda array: array.reshape(-1)[:1],
    "flat or deep": lambda array: array.reshape(1, *array.shape),
    "one less": lambda array: array[:-1],
    "NaN": lambda array: array * np.nan,
    "infinity": lambda array: np.full_like(array, -np.inf),
    "negative": lambda array: -np.abs(array) - 1,
}


@pytest.mark.parametrize("odd", ODD)
def test_no_array_of_a_checkpoint_may_be_other_than_it_was_written(tmp_path, odd):
    tensors, state = whole_checkpoint()
    tried = 0
    for name, array in tensors.items():
        may_be_negative = not ("running_var" in name or name.startswith("optimizer/v/"))
        if name.startswith("callback/2/") or (odd == "negative" and may_be_negative):
            continue
        lie = ODD[odd](array)
        rest = {other: found for other, found in tensors.items() if other != name}
        write_checkpoint(
            tmp_path, rest if lie is None else {**rest, name: np.asarray(lie, np.float32)}, state
        )
        need_refusal(tmp_path)
        tried += 1
    assert tried >= 8


@pytest.mark.parametrize(
    "name",
    ["callback/9/x", "callback/1/x", "callback/-1/x", "callback/00/values", "callback/3/x", "callback/x", "callback",
     "callback/0/best", "callback/2/seen", "callback/0/", "average", "average/x", "average/step", "optimizer/m/x",
     "optimizer/step", "network/x", "network/", "x", ""],
)  # fmt: skip
def test_no_array_may_be_unknown(tmp_path, name):
    tensors, state = whole_checkpoint()
    write_checkpoint(tmp_path, {**tensors, name: np.zeros(3, np.float32)}, state)
    need_refusal(tmp_path)


def changed_state(*path, to):
    state = copy.deepcopy(whole_checkpoint()[1])
    set_in(*path, to=to)({}, state)
    return state


def best_of_minus_a_milliard():
    tensors, _ = whole_checkpoint()
    values = {"callback/0/values": tensors["callback/0/values"] * np.nan}
    return tensors | values, changed_state("callbacks", 0, "best", to=-1e9)


TOGETHER = {
    "best of -1e9 with values of NaN": best_of_minus_a_milliard,
    "nothing seen by EarlyStopping": lambda: (
        {name: array for name, array in whole_checkpoint()[0].items() if not name.startswith("callback/0/")},
        changed_state("callbacks", 0, to={"best": None, "best_epoch": None}),
    ),
    "best of another epoch": lambda: (
        whole_checkpoint()[0],
        changed_state("callbacks", 0, "best_epoch", to=1),
    ),
    "callbacks in another order": lambda: (
        whole_checkpoint()[0],
        changed_state("callbacks", to=whole_checkpoint()[1]["callbacks"][::-1]),
    ),
    "a callback more": lambda: (
        whole_checkpoint()[0],
        changed_state("callbacks", to=[*whole_checkpoint()[1]["callbacks"], {}]),
    ),
    "steps of an average that was elsewhere": lambda: (
        whole_checkpoint()[0],
        changed_state("counts", "average", to=3),
    ),
    "tallies without a step": lambda: (whole_checkpoint()[0], changed_state("position", "step", to=0)),
    "steps without tallies": lambda: (whole_checkpoint()[0], changed_state("position", "tallies", to=None)),
    "a whole epoch of steps": lambda: (whole_checkpoint()[0], changed_state("position", "step", to=7)),
    "more hits than images": lambda: (
        whole_checkpoint()[0],
        changed_state("position", "tallies", to=[[1.0, 9.0, 8.0]] * 2),
    ),
    "fewer images than none": lambda: (
        whole_checkpoint()[0],
        changed_state("position", "tallies", to=[[1.0, 0.0, -8.0], [1.0, 0.0, 600.0]]),
    ),
    "epochs that are left out": lambda: (whole_checkpoint()[0], changed_state("history", "epoch", to=[1, 3])),
    "an accuracy above 1": lambda: (whole_checkpoint()[0], changed_state("history", "accuracy", to=[0.5, 2])),
    "a loss of -1e9": lambda: (whole_checkpoint()[0], changed_state("history", "loss", to=[1.0, -1e9])),
    "a negative rate": lambda: (whole_checkpoint()[0], changed_state("history", "lr", to=[0.1, -0.1])),
    "validation that there is not": lambda: (
        whole_checkpoint()[0],
        changed_state("history", "val_loss", to=[1.0, 1.0]),
    ),
    "epochs before the beginning": lambda: (whole_checkpoint()[0], changed_state("epochs_trained", to=1)),
}


@pytest.mark.parametrize("lie", TOGETHER)
def test_entries_that_do_not_go_together_are_refused(tmp_path, lie):
    write_checkpoint(tmp_path, *TOGETHER[lie]())
    need_refusal(tmp_path)


@pytest.mark.parametrize(
    "part", [{}, {"seen": 3, "best": 1.0}, {"seen": "x", "best": 1.0}, {"seen": None, "best": 1.0}]
)
def test_what_a_callback_of_the_users_own_cannot_take_changes_nothing(tmp_path, part):
    tensors, state = copy.deepcopy(whole_checkpoint())
    state["callbacks"][2] = part
    if part == {} or (len(part) == 2 and part["seen"] == 3):
        del tensors["callback/2/array"]
    write_checkpoint(tmp_path, tensors, state)
    net, given = network(), watched(tmp_path)
    before = everything(net, given)
    with pytest.raises(
        fd.ModelFileError, match=r"checkpoint-0+12\.safetensors: the state of Remembers must be"
    ):
        net.fit(X, Y, **given, resume=tmp_path)
    assert everything(net, given)[:-1] == before[:-1]
    assert given["callbacks"][2].seen == 0
    assert given["callbacks"][0].best is None
    assert given["callbacks"][0]._best.weights is None


def test_a_callback_may_check_its_own_state_before_anything_changes(tmp_path):
    class Careful(Remembers):
        def check_state_dict(self, content, network, history):
            raise KeyError("no such thing")

    write_checkpoint(tmp_path, *whole_checkpoint())
    net, given = network(), watched(tmp_path)
    given["callbacks"][2] = Careful()
    type(given["callbacks"][2]).__name__ = "Remembers"
    before = everything(net, given)
    with pytest.raises(fd.ModelFileError, match="no such thing"):
        net.fit(X, Y, **given, resume=tmp_path)
    assert everything(net, given) == before


def test_a_subclass_that_adds_to_a_state_goes_on(tmp_path):
    class Counting(fd.EarlyStopping):
        calls = 0

        def on_epoch_end(self, epoch, network, history):
            self.calls += 1
            return super().on_epoch_end(epoch, network, history)

        def state_dict(self):
            return super().state_dict() | {"calls": self.calls}

        def load_state_dict(self, content):
            super().load_state_dict(content)
            self.calls = content["calls"]

    given = {"epochs": 5, "batch_size": 32}
    with pytest.raises(Killed):
        network().fit(
            X, Y, **given, callbacks=[Counting("loss"), fd.Checkpoint(tmp_path, every=3), KillAfter(9)]
        )
    counting = Counting("loss")
    again = [counting, fd.Checkpoint(tmp_path, every=3), KillAfter(10**9)]
    network().fit(X, Y, **given, callbacks=again, resume=tmp_path)
    assert counting.calls == 5


def test_a_training_that_cannot_begin_leaves_what_it_would_have_taken_over(tmp_path):
    class Fails(Silent):
        def on_train_begin(self, network, history):
            raise RuntimeError("not now")

    write_checkpoint(tmp_path, *whole_checkpoint())
    net, given = network(), watched(tmp_path)
    given["callbacks"][3] = Fails()
    Fails.__name__ = "Silent"
    before = everything(net, given)
    with pytest.raises(RuntimeError, match="not now"):
        net.fit(X, Y, **given, resume=tmp_path)
    assert everything(net, given)[:-1] == before[:-1]


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
    target = atomic if call == "open" else os
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
