"""A batch in shards: any number of ranks gives the same bits, and all ranks have the same errors."""

import hashlib
import itertools
import math
import signal

import numpy as np
import pytest
from thread_ranks import run_ranks

import fastdigits as fd
from fastdigits import backend
from fastdigits.training.batch_shards import TreeSum
from fastdigits.training.batches import shards
from fastdigits.training.ranks import Ranks


class OwnReLU(fd.ReLU):
    """Not built in: its training is eager."""


class OwnLoss(fd.SoftmaxCrossEntropy):
    """Not built in, with the values of the one that is."""


def network(activation=fd.ReLU, *, batchnorm=True, dropout=True, seed=3):
    layers = [fd.Dense(16, 8)]
    layers += [fd.BatchNorm(8)] if batchnorm else []
    layers += [activation()]
    layers += [fd.Dropout(0.3)] if dropout else []
    return fd.NeuralNetwork([*layers, fd.Dense(8, 3)], seed=seed)


def examples(n=150, seed=1):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, 100, (n, 16), dtype=np.uint8)
    for label in range(3):
        x[y == label, 5 * label : 5 * label + 5] += 100
    return x, y, rng.random(n)


def digest(net):
    total = hashlib.sha256(net.values)
    for array in net.buffers().values():
        total.update(array)
    return total.hexdigest()


def train(ranks=None, net=None, **options):
    x, y, weights = examples()
    net = network() if net is None else net
    given = {
        "epochs": 2, "batch_size": 40, "batch_shards": 8, "optimizer": fd.Adam(0.01), "validation_split": 0.1,
        "sample_weight": weights,
    } | options  # fmt: skip
    history = net.fit(x, y, ranks=ranks, **given)
    measures = (history.loss, history.accuracy, history.val_loss, history.val_accuracy)
    return digest(net), measures


# -- the tree ----------------------------------------------------------------------------------------------------


def test_shards_differ_by_one_row_at_most_and_cover_the_batch():
    for n in range(1, 40):
        for most in range(1, 9):
            for least in (1, 2):
                parts = shards(n, most, least)
                assert [parts[0].start, parts[-1].stop] == [0, n]
                assert all(one.stop == other.start for one, other in itertools.pairwise(parts))
                sizes = {part.stop - part.start for part in parts}
                assert max(sizes) - min(sizes) <= 1
                assert len(parts) == max(1, min(most, n // least))


def tree(values):
    """Return the sum in the order that `TreeSum` defines."""
    if len(values) == 1:
        return values[0]
    half = 1 << (len(values) - 1).bit_length() - 1
    return tree(values[:half]) + tree(values[half:])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_a_sum_has_the_order_of_the_tree_on_any_number_of_ranks(size):
    def add(ranks):
        total = TreeSum(ranks)
        found = []
        for count in (8, 1, 2, 3, 5, 7, 13, 8):  # fewer shards than ranks, too
            values = np.random.default_rng(count).normal(size=(count, 5)).astype(np.float32)
            first, rest = np.full(3, np.nan, np.float32), np.full(2, np.nan, np.float32)
            computed = []

            def compute(number, values=values, first=first, rest=rest, computed=computed):
                computed.append(number)
                first[...], rest[...] = values[number, :3], values[number, 3:]

            total.add(count, compute, (first, rest))
            assert np.concatenate([first, rest]).tobytes() == tree(list(values)).tobytes()
            found.append(computed)
        return found

    results = run_ranks(size, add)
    for position, count in enumerate((8, 1, 2, 3, 5, 7, 13, 8)):
        assert [number for found in results for number in found[position]] == list(range(count))


# -- the same bits ------------------------------------------------------------------------------------------------

SETTINGS = {
    "plain": {},
    "all": {
        "optimizer": lambda: fd.AdamW(0.02),
        "schedule": fd.OneCycle,
        "loss": lambda: fd.SoftmaxCrossEntropy(label_smoothing=0.1),
        "augment": lambda: fd.Augmentation(rotation=20, shift=1, alpha=2, sigma=2, fade=0.5),
        "clip_norm": lambda: 0.1,
        "average": lambda: fd.EMA(0.9),
    },
    "swa": {"optimizer": lambda: fd.Momentum(0.05, nesterov=True), "average": lambda: fd.SWA(0.5, every=2)},
    "rmsprop": {"optimizer": lambda: fd.RMSprop(0.01), "sample_weight": lambda: None},
    "local": {
        "average_every": lambda: 3,
        "batch_shards": lambda: 4,
        "average": lambda: fd.EMA(0.9),
        "clip_norm": lambda: 0.1,
    },
    "local, momentum": {
        "average_every": lambda: 2,
        "batch_shards": lambda: 5,
        "optimizer": lambda: fd.Momentum(0.05),
        "average": lambda: fd.SWA(0.5),
    },
    "sgd": {"optimizer": lambda: fd.SGD(0.1), "batch_size": lambda: 38, "batch_shards": lambda: 5},
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_any_number_of_ranks_lowered_or_eager_gives_the_same_bits(settings):
    def new():
        return {name: make() for name, make in SETTINGS[settings].items()}

    expected, measures = train(**new())
    assert train(**new(), threads=2)[0] == expected
    for size in (2, 3, 4):
        found = run_ranks(size, lambda ranks: train(ranks, threads=1 + ranks.rank % 2, **new()))
        assert found == [(expected, measures)] * size
    eager = run_ranks(2, lambda ranks: train(ranks, network(OwnReLU), **new()))
    assert [one[0] for one in eager] == [expected] * 2


def test_the_numpy_backend_gives_the_same_bits_on_any_number_of_ranks():
    before = backend.backend_name()
    backend.use_backend("numpy")
    try:
        expected = train()
        assert run_ranks(3, train) == [expected] * 3
    finally:
        backend.use_backend(before)


def test_a_loss_of_ones_own_is_weighted_by_the_share_of_the_shard():
    first, second = network(), network()
    _, (loss, *_) = train(net=first, loss=fd.SoftmaxCrossEntropy(label_smoothing=0.1), optimizer=fd.SGD(0.1))
    _, (own_loss, *_) = train(net=second, loss=OwnLoss(label_smoothing=0.1), optimizer=fd.SGD(0.1))
    np.testing.assert_allclose(loss, own_loss, rtol=1e-4)
    np.testing.assert_allclose(first.values, second.values, atol=1e-3)


def test_without_normalisation_and_dropout_shards_change_rounding_only():
    def trained(batch_shards):
        net = network(batchnorm=False, dropout=False)
        _, (loss, accuracy, *_) = train(net=net, batch_shards=batch_shards, optimizer=fd.SGD(0.1))
        return net.values.copy(), loss, accuracy

    (whole, loss, accuracy), (cut, cut_loss, cut_accuracy) = trained(1), trained(8)
    np.testing.assert_allclose(cut, whole, atol=1e-5)
    np.testing.assert_allclose(cut_loss, loss, rtol=1e-5)
    assert cut_accuracy == pytest.approx(accuracy)


def test_running_statistics_are_the_mean_over_the_shards():
    x, y, _ = examples(24)
    net = fd.NeuralNetwork([fd.BatchNorm(16, momentum=0.25), fd.Dense(16, 3)], seed=0)
    net.fit(x, y, epochs=1, batch_size=24, batch_shards=3, shuffle=False)
    rows = x.reshape(3, 8, 16) / 255
    mean, var = rows.mean(axis=(0, 1)), rows.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(net.layers[0].running_mean, 0.25 * mean, rtol=1e-5)
    np.testing.assert_allclose(net.layers[0].running_var, 0.75 + 0.25 * var, rtol=1e-5)


def test_each_shard_of_each_step_has_its_own_mask():
    net = network()
    train(net=net, epochs=1)
    assert net.layers[3].step == 8 * math.ceil(135 / 40)


# -- local steps -------------------------------------------------------------------------------------------------


def test_an_average_of_weights_after_each_step_is_one_of_gradients():
    """For gradient descent with equal shards; sums are rounded in another order."""

    def trained(**options):
        net = network(batchnorm=False, dropout=False)
        x, y, _ = examples(128)
        history = net.fit(x, y, epochs=2, batch_size=32, batch_shards=4, optimizer=fd.SGD(0.1), **options)
        return net.values.copy(), history.loss, history.accuracy

    (weights, loss, accuracy), (local, local_loss, local_accuracy) = trained(), trained(average_every=1)
    np.testing.assert_allclose(local, weights, atol=1e-5)
    np.testing.assert_allclose(local_loss, loss, rtol=1e-5)
    assert local_accuracy == accuracy


def test_workers_train_on_their_shards_and_are_averaged():
    x, y, _ = examples(64)

    def new():
        return fd.NeuralNetwork([fd.Dense(16, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=4)

    net, optimizer = new(), fd.Adam(0.01)
    net.fit(
        x, y, epochs=1, batch_size=32, batch_shards=2, average_every=2, optimizer=optimizer, shuffle=False
    )
    workers = []
    for rows in (np.r_[0:16, 32:48], np.r_[16:32, 48:64]):  # the worker's shards of both batches
        workers.append(new())
        workers[-1].fit(x[rows], y[rows], epochs=1, batch_size=16, optimizer=fd.Adam(0.01), shuffle=False)
    np.testing.assert_array_equal(net.values, (workers[0].values + workers[1].values) / 2)
    for name, array in net.buffers().items():
        np.testing.assert_array_equal(array, (workers[0].buffers()[name] + workers[1].buffers()[name]) / 2)
    assert optimizer.step_count == 2


def test_a_worker_that_diverges_ends_the_training_and_restores_the_last_epoch():
    def run(ranks):
        net = network()
        before = digest(net)
        with pytest.raises(fd.DivergedError):
            train(ranks, net, average_every=3, batch_shards=4, optimizer=fd.SGD(1e30))
        return digest(net) == before, net.layers[3].step

    assert run_ranks(2, run) == [(True, 0)] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_shards": 1}, "average_every=2 needs batch_shards of 2 or more"),
        (
            {"callbacks": [fd.Checkpoint("x", every=3)]},
            "with average_every, checkpoints are written at ends of epochs",
        ),
        (
            {"batch_size": 130},
            "the last batch of an epoch must hold at least 16 images, 2 for each of batch_shards=8; got 5, as 135 "
            "images come in batches of 130: take fewer shards or another batch_size",
        ),
    ],
)
def test_local_steps_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        train(average_every=2, **options)


def test_local_steps_resume_with_another_number_of_ranks(tmp_path):
    def run(ranks, stop, resume):
        callbacks = [Stop(stop), fd.Checkpoint(tmp_path, seconds=0)]
        return train(ranks, callbacks=callbacks, resume=resume, average_every=2, batch_shards=4, epochs=3)

    expected = run(None, None, None)
    for file in tmp_path.glob("*"):
        file.unlink()
    run_ranks(2, lambda ranks: run(ranks, 1, None))
    assert list(tmp_path.glob("*.safetensors"))
    assert run_ranks(3, lambda ranks: run(ranks, None, tmp_path)) == [expected] * 3


# -- checkpoints -------------------------------------------------------------------------------------------------


class Stop(fd.Callback):
    """Raise an error in the second epoch, when so many images are done."""

    def __init__(self, at=None):
        self.at, self.epochs = at, 0

    def on_epoch_end(self, epoch, network, history):
        self.epochs += 1

    def on_progress(self, done, total):
        if self.at is not None and self.epochs == 1 and done >= self.at:
            raise RuntimeError("stopped")


@pytest.mark.parametrize(("first", "second"), [(1, 2), (4, 3), (2, 1)])
def test_a_training_resumes_with_another_number_of_ranks(tmp_path, first, second):
    options = {"average": lambda: fd.EMA(0.9), "clip_norm": lambda: 0.1, "epochs": lambda: 3}

    def run(ranks, stop, resume):
        made = {name: make() for name, make in options.items()}
        callbacks = [Stop(stop), fd.Checkpoint(tmp_path, every=3), fd.EarlyStopping("val_loss", 10)]
        return train(ranks, callbacks=callbacks, resume=resume, **made)

    expected = run(None, None, None)
    for file in tmp_path.glob("*"):
        file.unlink()
    ended = run_ranks(first, lambda ranks: run(ranks, 120, None))
    assert all(isinstance(error, BaseException) for error in ended)
    assert list(tmp_path.glob("*.safetensors"))
    assert run_ranks(second, lambda ranks: run(ranks, None, tmp_path)) == [expected] * second


def test_the_number_of_shards_is_part_of_a_checkpoint(tmp_path):
    train(callbacks=[fd.Checkpoint(tmp_path, seconds=0)])
    with pytest.raises(fd.ModelFileError, match=r"batch_shards must be as in .*: 8; got 4"):
        train(callbacks=[fd.Checkpoint(tmp_path)], resume=tmp_path, batch_shards=4)


def test_only_rank_0_writes_checkpoints_and_shows_progress(tmp_path, capsys):
    def run(ranks):
        folder = tmp_path / str(ranks.rank)
        return train(ranks, callbacks=[fd.Checkpoint(folder, seconds=0)], progress=True)

    run_ranks(2, run)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]
    assert capsys.readouterr().err.count("epoch 2/2") == 1


# -- errors ------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_the_same_error_on_all_ranks():
    found = run_ranks(2, lambda ranks: train(ranks, validation_data=3, validation_split=0))
    assert [type(error) for error in found] == [TypeError] * 2
    assert all(str(error).startswith("fit: validation_data must be") for error in found)


def test_an_error_of_one_rank_names_it_on_all_ranks():
    def run(ranks):
        return train(ranks, sample_weight=[1.0] if ranks.rank == 1 else None)

    for error in run_ranks(3, run):
        assert isinstance(error, ValueError)
        assert str(error).startswith("rank 1: fit: sample_weight must")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (
            {"optimizer": lambda rank: fd.SGD(0.1 + rank)},
            r"optimizer .* rank 0 has SGD\(lr=0.1\), rank 1 has SGD",
        ),
        ({"net": lambda rank: network(seed=rank)}, "seed"),
        ({"batch_shards": lambda rank: 4 + rank}, "batch_shards"),
        ({"sample_weight": lambda rank: np.arange(1.0, 151) ** rank}, "training images"),
    ],
)
def test_ranks_must_have_the_same_training(options, name):
    found = run_ranks(
        2, lambda ranks: train(ranks, **{one: make(ranks.rank) for one, make in options.items()})
    )
    for error in found:
        with pytest.raises(ValueError, match=f"fit: {name}.* must be the same on all ranks|fit: {name}"):
            raise error


def test_ranks_must_have_the_same_weights():
    def run(ranks):
        net = network()
        net.values[0] += ranks.rank
        return train(ranks, net)

    for error in run_ranks(2, run):
        assert "before the first step, the state of the network must be the same on all ranks" in str(error)


class Apart(fd.Callback):
    """Change something on rank 1 only, after the second epoch."""

    def __init__(self, ranks, change):
        self.ranks, self.change = ranks, change

    def on_epoch_end(self, epoch, network, history):
        if self.ranks.rank == 1 and epoch == 2:
            self.change(network)


@pytest.mark.parametrize("average_every", [0, 2])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda net, adam: setattr(adam, "lr", 0.02),
            r"optimizer .* rank 0 has Adam\(lr=0.01.*rank 1 has Adam\(lr=0.02",
        ),
        (
            lambda net, adam: net.parameters()[0].value.fill(0),
            "the state of the network .* rank 1 has one with",
        ),
        (lambda net, adam: adam.forget(net.parameters()), "the state of the optimizer"),
        (lambda net, adam: setattr(net.layers[3], "rate", 0.1), "layers"),
        (lambda net, adam: setattr(net.layers[3], "step", 9), "the counts of steps"),
    ],
)
def test_ranks_that_part_are_told_at_the_end_of_the_epoch(change, message, average_every):
    def run(ranks):
        adam = fd.Adam(0.01)
        callback = Apart(ranks, lambda net: change(net, adam))
        return train(
            ranks, epochs=3, optimizer=adam, callbacks=[callback], average_every=average_every, batch_shards=4
        )

    found = run_ranks(2, run)
    for error in found:
        with pytest.raises(
            ValueError, match=f"fit: after epoch 2, {message}.*change it in callbacks, on all ranks"
        ):
            raise error


def test_a_training_diverges_on_all_ranks_and_restores_the_last_epoch():
    def run(ranks):
        net = network()
        before = digest(net)
        with pytest.raises(fd.DivergedError, match="step"):
            train(ranks, net, optimizer=fd.SGD(1e30))
        return digest(net) == before, net.layers[3].step

    assert run_ranks(2, run) == [run(None)] * 2


def test_an_error_in_a_callback_of_one_rank_is_raised_on_all():
    class Fail(fd.Callback):
        def __init__(self, rank):
            self.rank = rank

        def on_epoch_end(self, epoch, network, history):
            if self.rank == 1:
                raise OSError("disk full")

    found = run_ranks(2, lambda ranks: train(ranks, callbacks=[Fail(ranks.rank)]))
    assert [(type(one), str(one)) for one in found] == [(OSError, "rank 1: disk full")] * 2


def test_a_callback_of_one_rank_stops_all():
    class Late(fd.Callback):
        def __init__(self, rank):
            self.rank = rank

        def on_epoch_end(self, epoch, network, history):
            return self.rank == 1

    found = run_ranks(2, lambda ranks: train(ranks, epochs=5, callbacks=[Late(ranks.rank)]))
    assert len(found[0][1][0]) == 1
    assert found[0] == found[1]


def test_an_unexpected_error_of_one_rank_ends_all(monkeypatch):
    worlds = []

    def run(ranks):
        worlds.append(ranks.world)
        return train(ranks, callbacks=[Stop(1 if ranks.rank == 1 else None)])

    monkeypatch.setattr("fastdigits.training.ranks.PATIENCE", 0.0)
    ended = run_ranks(2, run)
    assert type(ended[1]).__name__ == "Ended"
    assert 1 in worlds[0].exit_codes
    assert str(worlds[0].reported[0]) == "stopped"


def test_an_interrupt_of_one_rank_ends_all_at_the_same_step():
    class Interrupt(fd.Callback):
        def __init__(self, ranks):
            self.ranks = ranks

        def on_epoch_end(self, epoch, network, history):
            self.ranks.ctrl_c = self.ranks.rank == 1 and epoch == 1

    def run(ranks):
        net = network()
        with pytest.raises(KeyboardInterrupt):
            train(ranks, net, epochs=5, callbacks=[Interrupt(ranks)])
        return net.epochs_trained, digest(net), net.layers[3].step

    first, second = run_ranks(2, run)
    assert first == second
    assert first[0] == 1


ALONE = pytest.mark.parametrize("options", [{"batch_shards": 8}, {"batch_shards": 4, "average_every": 2}])


@ALONE
@pytest.mark.parametrize("hook", ["on_train_begin", "on_progress", "on_epoch_end", "on_train_end"])
def test_in_one_process_ctrl_c_interrupts_a_callback(options, hook):
    went_on = []

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        went_on.append(True)

    callback = fd.Callback()
    setattr(callback, hook, interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[callback], **options)
    assert not went_on


@ALONE
def test_in_one_process_ctrl_c_ends_after_a_whole_step(monkeypatch, options):
    shards, real = [], TreeSum.add

    def add(self, count, compute, parts):
        def interrupting(number):
            signal.raise_signal(signal.SIGINT)
            compute(number)
            shards.append(number)

        real(self, count, interrupting, parts)

    monkeypatch.setattr(TreeSum, "add", add)
    with pytest.raises(KeyboardInterrupt):
        train(**options)
    assert shards == list(range(options["batch_shards"]))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"batch_size": 15},
            "each batch must hold at least 16 images, 2 for each of .*; got 15, as 135 images",
        ),
        ({"batch_size": 200, "validation_split": 0.9}, "got 15, as 15 images come in batches of 15"),
        ({"batch_shards": 0}, "batch_shards must be at least 1"),
        ({"ranks": 3}, r"ranks must be those of fastdigits.distributed.mpi\(\); got 3"),
    ],
)
def test_shards_that_do_not_fit_are_refused(options, message):
    net = network()
    before = digest(net)
    with pytest.raises((TypeError, ValueError), match=message):
        train(net=net, **options)
    assert digest(net) == before


def test_there_must_be_a_shard_for_each_rank():
    for error in run_ranks(3, lambda ranks: train(ranks, batch_shards=2)):
        assert "batch_shards must be at least 3, one per rank; got 2" in str(error)


def test_ranks_mean_eight_shards_and_their_absence_one():
    assert train(batch_shards=None) == train(batch_shards=1)
    assert train(Ranks(), batch_shards=None) == train(batch_shards=8)
