"""Training checks first, then changes; epochs add up; callbacks watch and stop."""

import contextlib
import copy
import csv
import gc
import math
import os

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.core import validation
from fastdigits.training.batches import Batches
from fastdigits.training.history import epoch_line


def network(seed: int = 0, *, dropout: bool = False, batchnorm: bool = True) -> fd.NeuralNetwork:
    middle = [fd.BatchNorm(8)] if batchnorm else []
    last = [fd.Dropout(0.3)] if dropout else []
    return fd.NeuralNetwork([fd.Dense(16, 8), *middle, fd.ReLU(), *last, fd.Dense(8, 3)], seed=seed)


def examples(n: int = 96, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Images whose brightest third tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.integers(0, 100, (n, 16), dtype=np.uint8)
    for label in range(3):
        x[y == label, 5 * label : 5 * label + 5] += 100
    return x, y


class Recorder(fd.Callback):
    def __init__(self, stop_after: int | None = None) -> None:
        self.calls: list[object] = []
        self.stop_after = stop_after

    def on_train_begin(self, network, history):
        self.calls.append("begin")

    def on_progress(self, done, total):
        self.calls.append((done, total))

    def on_epoch_end(self, epoch, network, history):
        self.calls.append(epoch)
        return epoch == self.stop_after

    def on_train_end(self, network, history):
        self.calls.append("end")


class Interrupt(fd.Callback):
    def on_progress(self, done, total):
        if done > 40:
            raise KeyboardInterrupt


class Change(fd.Callback):
    """Writes a value into labels after each epoch."""

    def __init__(self, y: np.ndarray, value: int) -> None:
        self.y, self.value = y, value

    def on_epoch_end(self, epoch, network, history):
        self.y[:] = self.value


class Fail(fd.Callback):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def on_train_end(self, network, history):
        raise self.error


# -- what the caller may change meanwhile ----------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, 2**40])  # an index before the array, and one beyond it
@pytest.mark.parametrize("part", ["train", "validation"])
def test_labels_that_change_during_fit_are_those_of_its_beginning(value, part):
    (x, y), (x_val, y_val) = examples(), examples(seed=2)
    y, y_val = y.astype(np.int64), y_val.astype(np.int64)  # a dtype that needs no conversion
    as_it_was, changed = network(), network()
    wanted = as_it_was.fit(x, y, epochs=3, batch_size=16, validation_data=(x_val, y_val))
    given = {"train": y, "validation": y_val}[part]
    found = changed.fit(
        x, y, epochs=3, batch_size=16, validation_data=(x_val, y_val), callbacks=[Change(given, value)]
    )
    assert (given == value).all()
    assert changed.values.tobytes() == as_it_was.values.tobytes()
    assert (found.loss, found.val_loss) == (wanted.loss, wanted.val_loss)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_a_callback_that_fails_at_the_end_leaves_the_others_theirs(error):
    x, y = examples()
    first, last = Recorder(), Recorder()
    with pytest.raises(type(error)) as raised:
        network().fit(x, y, epochs=1, callbacks=[first, Fail(error), last])
    assert raised.value is error
    assert (first.calls[-1], last.calls[-1]) == ("end", "end")


# -- epochs and batches ------------------------------------------------------------------------------------


def test_training_learns():
    x, y = examples()
    net = network()
    history = net.fit(x, y, epochs=30, batch_size=16, optimizer=fd.Adam(lr=0.01))
    assert history.loss[-1] < 0.3 * history.loss[0]
    assert net.evaluate(x, y)["accuracy"] > 0.95


OPTIMIZERS = {
    "SGD": lambda: fd.SGD(lr=0.1),
    "Momentum": lambda: fd.Momentum(lr=0.05, nesterov=True),
    "RMSprop": lambda: fd.RMSprop(lr=0.01),
    "Adam": lambda: fd.Adam(lr=0.01),
    "AdamW": lambda: fd.AdamW(lr=0.01),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_two_epochs_and_three_more_give_the_bits_of_five(make):
    x, y = examples(97)
    whole, parts = network(dropout=True), network(dropout=True)
    history = whole.fit(x, y, epochs=5, batch_size=16, optimizer=make())
    optimizer = make()
    first = parts.fit(x, y, epochs=2, batch_size=16, optimizer=optimizer)
    second = parts.fit(x, y, epochs=3, batch_size=16, optimizer=optimizer)
    np.testing.assert_array_equal(parts.values, whole.values)
    for name, buffer in whole.buffers().items():
        np.testing.assert_array_equal(parts.buffers()[name], buffer)
    assert first.epoch + second.epoch == history.epoch == [1, 2, 3, 4, 5]
    assert first.loss + second.loss == history.loss
    assert parts.epochs_trained == 5


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    x, y = examples()
    trained = []
    for seed in (0, 0, 1):
        net = network(seed)
        net.fit(x, y, epochs=2, batch_size=16)
        trained.append(net.values)
    np.testing.assert_array_equal(trained[0], trained[1])
    assert not (trained[0] == trained[2]).all()


def test_each_epoch_sees_every_image_once_in_an_order_of_its_own():
    seen: list[np.ndarray] = []

    class Spy(fd.Layer):
        def forward(self, x, training=False):
            if training:
                seen.append(x[:, 0].copy())
            return x

        def backward(self, dy):
            return dy

    x = np.zeros((50, 3), dtype=np.float32)
    x[:, 0] = np.arange(50)
    net = fd.NeuralNetwork([Spy()])
    net.scale = "numbers"
    y = np.arange(50) % 3
    net.fit(x, y, epochs=2, batch_size=7)
    first, second = np.concatenate(seen[:7]), np.concatenate(seen[7:])
    assert [len(batch) for batch in seen[:7]] == [7, 7, 7, 7, 7, 7, 8]
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    np.testing.assert_array_equal(np.sort(second), np.arange(50))
    assert not (first == second).all()
    seen.clear()
    net.fit(x, y, epochs=1, batch_size=7, shuffle=False)
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(50))


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [
        (9, 4, [4, 5]),
        (10, 4, [4, 4, 2]),
        (8, 4, [4, 4]),
        (1, 4, [1]),
        (5, 4, [5]),
        (3, 1, [1, 1, 1]),
        (3, 100, [3]),
        (3, 2, [3]),
    ],
)
def test_a_last_batch_of_one_row_joins_the_batch_before_it(n, size, lengths):
    parts = Batches(n, size)
    assert [part.stop - part.start for part in parts] == lengths
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(n))


def test_batch_normalisation_trains_where_one_image_is_left_over():
    x, y = examples(33)
    history = network().fit(x, y, epochs=1, batch_size=16)
    assert math.isfinite(history.loss[0])


@pytest.mark.parametrize(("n", "size"), [(1, 16), (10, 1)])
def test_batch_normalisation_refuses_batches_of_one_before_anything_changes(n, size):
    net = network()
    before = net.values.copy()
    with pytest.raises(ValueError, match=r"each batch must hold at least 2 images, as batchnorm1"):
        net.fit(*(part[:n] for part in examples()), batch_size=size)
    np.testing.assert_array_equal(net.values, before)


@pytest.mark.parametrize(("n", "size"), [(1, 16), (10, 1)])
def test_without_batch_normalisation_one_image_is_a_batch(n, size):
    net = network(batchnorm=False)
    net.fit(*(part[:n] for part in examples()), batch_size=size, epochs=1)
    assert net.epochs_trained == 1


def test_the_schedule_multiplies_the_learning_rate_of_every_step():
    class Recording(fd.SGD):
        def step(self, parameters, lr=None):
            used.append(lr)
            super().step(parameters, lr=lr)

    class Half(fd.Schedule):
        def factor(self, step, total_steps):
            asked.append((step, total_steps))
            return 0.5 ** (step + 1)

    used: list[float] = []
    asked: list[tuple[int, int]] = []
    history = network().fit(
        *examples(96), epochs=2, batch_size=32, optimizer=Recording(lr=0.4), schedule=Half()
    )
    assert asked == [(step, 6) for step in range(6)]
    assert used == [0.4 * 0.5 ** (step + 1) for step in range(6)]
    assert history.lr == [used[2], used[5]]


@pytest.mark.parametrize(
    "schedule", [fd.Constant, fd.Step, fd.Cosine, fd.OneCycle, fd.WarmUp], ids=lambda kind: kind.__name__
)
def test_training_runs_with_every_schedule(schedule):
    history = network().fit(*examples(), epochs=3, batch_size=16, schedule=schedule())
    assert np.isfinite(history.loss).all()


# -- what it records ---------------------------------------------------------------------------------------


def test_the_history_is_the_mean_over_the_batches_before_each_step():
    x, y = examples(48)
    net = network(batchnorm=False)
    expected = net.evaluate(x, y)
    # So small a rate leaves the weights as they are: the running figures are then those of the evaluation.
    history = net.fit(x, y, epochs=1, batch_size=10, optimizer=fd.SGD(lr=1e-12))
    assert history.loss[0] == pytest.approx(expected["loss"], rel=1e-5)
    assert history.accuracy == [expected["accuracy"]]
    assert history.epoch == [1]
    assert history.lr == [1e-12]
    assert history.val_loss == history.val_accuracy == []
    assert history.images_per_second[0] == pytest.approx(48 / history.seconds[0])
    assert len(history) == 1


def test_validation_data_is_evaluated_after_each_epoch_with_the_same_loss():
    x, y = examples()
    held_x, held_y = examples(30, seed=9)
    net = network(dropout=True)
    loss = fd.SoftmaxCrossEntropy(label_smoothing=0.1)
    history = net.fit(x, y, epochs=3, batch_size=16, loss=loss, validation_data=(held_x, held_y))
    score = net.evaluate(held_x, held_y, loss=loss)
    assert len(history.val_loss) == len(history.val_accuracy) == 3
    assert (history.val_loss[-1], history.val_accuracy[-1]) == (score["loss"], score["accuracy"])


def test_validation_images_may_have_weights():
    x, y = examples()
    weight = np.arange(len(y)) % 3
    net = network()
    history = net.fit(x, y, epochs=1, batch_size=16, validation_data=(x, y, weight))
    score, plain = net.evaluate(x, y, sample_weight=weight), net.evaluate(x, y)
    assert (history.val_loss, history.val_accuracy) == ([score["loss"]], [score["accuracy"]])
    assert score["loss"] != plain["loss"]


def test_watching_does_not_change_the_training():
    x, y = examples()
    plain, watched = network(dropout=True), network(dropout=True)
    plain.fit(x, y, epochs=2, batch_size=16)
    watched.fit(x, y, epochs=2, batch_size=16, validation_data=(x, y), callbacks=[Recorder()], threads=1)
    np.testing.assert_array_equal(plain.values, watched.values)
    assert watched.threads == 1


def test_a_validation_split_sets_the_same_images_apart_each_time():
    x, y = examples(40)
    seen: set[bytes] = set()

    class Spy(fd.Layer):
        def forward(self, x, training=False):
            if training:
                seen.update(row.tobytes() for row in x)
            return x

        def backward(self, dy):
            return dy

    net = fd.NeuralNetwork([Spy(), fd.Dense(16, 3)], seed=5)
    history = net.fit(x, y, epochs=2, batch_size=8, validation_split=0.25)
    assert len(seen) == 30
    net.fit(x, y, epochs=2, batch_size=8, validation_split=0.25)
    assert len(seen) == 30
    assert len(history.val_loss) == 2


def test_an_image_of_weight_zero_is_as_if_it_were_not_there():
    x, y = examples(48)
    weights = np.ones(48)
    weights[::2] = 0
    weighted, fewer = network(), network()
    first = weighted.fit(x, y, epochs=1, batch_size=8, sample_weight=weights, shuffle=False)
    second = fewer.fit(x[1::2], y[1::2], epochs=1, batch_size=8, shuffle=False)
    # The losses divide by the sum of the weights or by their number: a rounding apart, which Adam amplifies.
    np.testing.assert_allclose(weighted.values, fewer.values, atol=2e-3)
    assert first.loss[0] == pytest.approx(second.loss[0], rel=1e-3)
    assert first.accuracy == second.accuracy


@pytest.mark.parametrize("scale", [2.0**-140, 1e-46, 1e-300, 1e38, 1e300])
def test_only_the_ratios_of_sample_weights_count(scale):
    x, y = examples()
    weights = np.random.default_rng(3).integers(0, 4, len(y)).astype(np.float64)
    wanted, found = network(), network()
    # One epoch: Adam amplifies the rounding of a weight more with each step, on each backend in its own way.
    one = wanted.fit(x, y, epochs=1, batch_size=16, sample_weight=weights)
    other = found.fit(x, y, epochs=1, batch_size=16, sample_weight=weights * scale)
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-5)  # a weight rounds in double, then in single
    np.testing.assert_allclose(found.predict_proba(x), wanted.predict_proba(x), atol=1e-3)
    if math.frexp(scale)[0] == 0.5:  # a power of two: not a bit changes
        assert found.values.tobytes() == wanted.values.tobytes()


def test_no_image_is_dropped_because_its_weight_is_tiny_beside_the_others():
    _, y = examples()
    weights = np.where(y == 0, 1e-50, 1.0)
    checked = validation.check_weights(weights, len(y), "fit: sample_weight")
    assert ((checked > 0) == (weights > 0)).all()
    assert checked[y == 0].max() == 2.0**-126


def test_sample_weights_count_in_the_running_figures():
    x, y = examples(48)
    weights = np.random.default_rng(0).uniform(0.1, 2, 48)
    net = network(batchnorm=False)
    expected = net.evaluate(x, y, sample_weight=weights)
    history = net.fit(x, y, epochs=1, batch_size=8, optimizer=fd.SGD(lr=1e-12), sample_weight=weights)
    assert history.loss[0] == pytest.approx(expected["loss"], rel=1e-5)
    assert history.accuracy[0] == pytest.approx(expected["accuracy"], rel=1e-5)


@pytest.mark.parametrize("validates", [True, False])
def test_the_csv_holds_what_the_history_holds(tmp_path, validates):
    x, y = examples()
    history = network().fit(x, y, epochs=2, batch_size=16, validation_data=(x, y) if validates else None)
    history.write_csv(tmp_path / "history.csv")
    with open(tmp_path / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    for name in ("loss", "accuracy", "lr", "seconds", "images_per_second"):
        assert [float(row[name]) for row in rows] == getattr(history, name)
    assert ("val_loss" in rows[0]) == validates
    if validates:
        assert [float(row["val_accuracy"]) for row in rows] == history.val_accuracy


# -- what is refused ---------------------------------------------------------------------------------------

REFUSED = [
    ({"epochs": 0}, ValueError, "fit: epochs must be at least 1; got 0"),
    ({"epochs": 1.5}, TypeError, "fit: epochs must be an integer; got 1.5"),
    ({"epochs": True}, TypeError, "fit: epochs must be an integer; got True"),
    ({"batch_size": 0}, ValueError, "fit: batch_size must be at least 1"),
    ({"threads": 0}, ValueError, "fit: threads must be at least 1"),
    ({"threads": "2"}, TypeError, "fit: threads must be an integer; got '2'"),
    (
        {"optimizer": "adam"},
        TypeError,
        r"fit: optimizer must be an instance of fastdigits.Optimizer; got 'adam': .* such as fastdigits.Adam\(\)",
    ),
    ({"optimizer": fd.Adam}, TypeError, "call it to make one"),
    ({"schedule": 0.5}, TypeError, r"fit: schedule must be .* such as fastdigits.Constant\(\)"),
    ({"loss": "crossentropy"}, TypeError, r"fit: loss must be .* such as fastdigits.SoftmaxCrossEntropy\(\)"),
    ({"augment": True}, TypeError, r"fit: augment must be .* such as fastdigits.Augmentation\(\)"),
    ({"callbacks": [print]}, TypeError, "fit: each of callbacks must be an instance of fastdigits.Callback"),
    ({"callbacks": fd.Progress()}, TypeError, "fit: callbacks must be a list"),
    ({"callbacks": None}, TypeError, "fit: callbacks must be a list"),
    (
        {"validation_data": np.zeros((3, 16))},
        TypeError,
        r"fit: validation_data must be \(x, y\), \(x, y, sample_weight\) or Shards; got ndarray",
    ),
    (
        {"validation_data": (np.zeros((3, 16)), [0, 1, 2], [1, -1, 1])},
        ValueError,
        "fit: validation sample_weight must be finite, not negative",
    ),
    ({"validation_data": (np.zeros((3, 16)),)}, TypeError, "fit: validation_data must be \\(x, y\\), "),
    ({"validation_data": (np.zeros((3, 15)), [0, 1, 2])}, ValueError, "fit: validation x must be"),
    (
        {"validation_data": (np.full((3, 16), np.nan), [0, 1, 2])},
        ValueError,
        "fit: validation x must be finite",
    ),
    ({"validation_data": (np.zeros((3, 16)), [0, 1, 3])}, ValueError, "fit: validation y must lie within"),
    ({"validation_split": 1.0}, ValueError, "fit: validation_split must be a number with 0 ≤ f < 1; got 1.0"),
    ({"validation_split": -0.1}, ValueError, "fit: validation_split must be"),
    ({"validation_split": math.nan}, ValueError, "fit: validation_split must be"),
    ({"validation_split": "half"}, ValueError, "fit: validation_split must be"),
    ({"validation_split": 0.001}, ValueError, "must leave images on both sides; got 0.001 of 96"),
    ({"validation_split": 0.5, "validation_data": examples()}, ValueError, "only one of validation_data"),
    ({"callbacks": [fd.EarlyStopping()]}, ValueError, "val_loss needs validation data; got none"),
]


@pytest.mark.parametrize(("options", "error", "match"), REFUSED)
def test_a_bad_argument_is_refused_before_anything_changes(options, error, match):
    net = network()
    before = pickle_of(net)
    with pytest.raises(error, match=match):
        net.fit(*examples(), **options)
    assert pickle_of(net) == before


def pickle_of(net: fd.NeuralNetwork) -> tuple[object, ...]:
    return (net.values.tobytes(), net.epochs_trained, *(array.tobytes() for array in net.buffers().values()))


def test_a_loss_that_is_not_finite_stops_with_epoch_step_and_learning_rate():
    net = network(batchnorm=False)
    with pytest.raises(
        fd.DivergedError, match=r"in epoch 1, step \d+ of 6, at learning rate 1e\+30: take a smaller"
    ):
        net.fit(*examples(), epochs=3, batch_size=16, optimizer=fd.SGD(lr=1e30))
    assert np.isfinite(net.values).all()  # as they were before the step that would have spoiled them
    assert issubclass(fd.DivergedError, ArithmeticError)
    assert net.epochs_trained == 0


# -- callbacks ---------------------------------------------------------------------------------------------


def test_callbacks_are_called_in_order_and_one_may_stop():
    first, second = Recorder(stop_after=2), Recorder()
    net = network()
    history = net.fit(*examples(48), epochs=5, batch_size=24, callbacks=[first, second])
    assert first.calls == second.calls
    progress = [call for call in first.calls if isinstance(call, tuple)]
    assert [call for call in first.calls if call not in progress] == ["begin", 1, 2, "end"]
    assert progress.count((48, 48)) == 2  # how often before that is left to the loop
    assert set(progress) <= {(24, 48), (48, 48)}
    assert history.epoch == [1, 2]
    assert net.epochs_trained == 2
    assert history.last_epoch == 5


def test_an_interrupt_leaves_the_network_consistent_and_is_passed_on():
    x, y = examples()
    net = network()
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, y, epochs=3, batch_size=16, callbacks=[recorder, Interrupt()])
    assert recorder.calls[-1] == "end"
    assert net.epochs_trained == 0
    assert np.isfinite(net.values).all()
    net.fit(x, y, epochs=1, batch_size=16)
    assert net.epochs_trained == 1


class Scripted(fd.Callback):
    """Replace the measure of each epoch, and mark the parameters and statistics with the epoch's number."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, network, history):
        getattr(history, self.name)[-1] = self.values[epoch - 1]
        network.values[:] = epoch
        for array in network.buffers().values():
            array[:] = epoch


@pytest.mark.parametrize(
    ("monitor", "options", "values", "stops_at", "best"),
    [
        ("val_loss", {"patience": 2}, [5.0, 4.0, 4.5, 4.0, 3.0], 4, 2),
        ("val_loss", {"patience": 2, "min_delta": 0.5}, [5.0, 4.8, 4.6, 1.0], 3, 1),
        ("val_accuracy", {"patience": 1}, [0.1, 0.2, 0.2, 0.9], 3, 2),
        ("loss", {"patience": 3}, [3.0, 2.0, 1.0, 0.5], 4, 4),
        ("accuracy", {"patience": 2}, [math.nan, math.nan, 0.5], 2, None),
        ("accuracy", {"patience": 2}, [math.nan, 0.5, math.nan, math.nan], 4, 2),
    ],
)
def test_early_stopping_waits_for_its_patience_and_restores_the_best(
    monitor, options, values, stops_at, best
):
    net = network()
    x, y = examples(32)
    stopping = fd.EarlyStopping(monitor, **options)
    callbacks = [Scripted(monitor, values), stopping]
    history = net.fit(x, y, epochs=len(values), batch_size=16, validation_data=(x, y), callbacks=callbacks)
    assert len(history) == stops_at
    assert stopping.best_epoch == best
    kept = stops_at if best is None else best
    assert (net.values == kept).all()
    assert all((array == kept).all() for array in net.buffers().values())
    assert all(np.shares_memory(parameter.value, net.values) for parameter in net.parameters())
    assert stopping.best is None if best is None else stopping.best == values[best - 1]


def test_early_stopping_leaves_the_last_epoch_where_it_is_told_to():
    net = network()
    callbacks = [Scripted("loss", [1.0, 2.0, 3.0]), fd.EarlyStopping("loss", patience=2, restore_best=False)]
    net.fit(*examples(32), epochs=3, batch_size=16, callbacks=callbacks)
    assert (net.values == 3).all()


def test_early_stopping_restores_the_best_after_an_interrupt_and_starts_afresh():
    class Late(fd.Callback):
        def on_progress(self, done, total):
            if self.network.epochs_trained == 2:
                raise KeyboardInterrupt

        def on_train_begin(self, network, history):
            self.network = network

    net = network()
    stopping = fd.EarlyStopping("loss", patience=5)
    with pytest.raises(KeyboardInterrupt):
        net.fit(
            *examples(32), epochs=9, batch_size=16, callbacks=[Scripted("loss", [1.0, 2.0]), stopping, Late()]
        )
    assert (net.values == 1).all()
    other = network()
    other.fit(*examples(32), epochs=1, batch_size=16, callbacks=[Scripted("loss", [7.0]), stopping])
    assert stopping.best == 7.0


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"monitor": "lr"}, ValueError, "monitor must be one of loss, accuracy"),
        ({"patience": 0}, ValueError, "patience must be at least 1"),
        ({"patience": 1.5}, TypeError, "patience must be an integer"),
        (
            {"min_delta": -1},
            ValueError,
            "min_delta must be a finite float32 number with 0 ≤ min_delta; got -1",
        ),
        ({"min_delta": math.nan}, ValueError, "min_delta must be a finite"),
    ],
)
def test_early_stopping_checks_its_arguments(options, error, match):
    with pytest.raises(error, match=match):
        fd.EarlyStopping(**options)


# -- progress ----------------------------------------------------------------------------------------------


def test_progress_prints_a_line_an_epoch_on_standard_error_and_no_bar_without_a_terminal(capsys):
    x, y = examples()
    net = network()
    net.fit(x, y, epochs=9, batch_size=16)
    history = net.fit(x, y, epochs=2, batch_size=16, validation_data=(x, y), progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert [line.split("  loss")[0] for line in lines] == ["epoch 10/11", "epoch 11/11"]
    assert lines[-1] == epoch_line(history)
    assert f"validation {100 * history.val_accuracy[-1]:.2f} %" in lines[-1]
    assert lines[-1].endswith(" ms")


def test_the_line_of_an_epoch_is_as_the_reader_expects():
    history = fd.History([3], [0.07123], [0.97811], [], [], [0.008124], [0.1], [812345.4], last_epoch=10)
    assert epoch_line(history) == "epoch  3/10  loss 0.0712  accuracy 97.81 %  100.0 ms"
    history.validates, history.val_loss, history.val_accuracy = True, [0.1], [0.97]
    history.seconds = [61.26]
    assert epoch_line(history) == "epoch  3/10  loss 0.0712  accuracy 97.81 %  validation 97.00 %  61.3 s"


@pytest.mark.parametrize("seconds", [0.9999, 9999.9])
def test_the_line_of_an_epoch_fits_80_columns(seconds):
    history = fd.History([1000], [99.12345], [1.0], [99.1], [1.0], [1e-06], [seconds], [1e7], 1000, True)
    assert len(epoch_line(history)) <= 80


def test_the_bar_counts_the_images_of_the_epoch_on_a_terminal(monkeypatch, capsys):
    import sys

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    progress = fd.Progress()
    progress.on_train_begin(network(), fd.History(last_epoch=2))
    progress.on_progress(16, 48)
    progress.on_progress(48, 48)
    progress.on_train_end(network(), fd.History())
    err = capsys.readouterr().err
    assert "epoch 1/2" in err
    assert "48" in err


def test_progress_is_silent_unless_asked_for(capsys):
    network().fit(*examples(), epochs=1)
    assert capsys.readouterr() == ("", "")


# -- one call at a time ------------------------------------------------------------------------------------


class During(fd.Callback):
    """Do something while a network is trained, and keep what it raises."""

    def __init__(self, work):
        self.work, self.error = work, None

    def on_epoch_end(self, epoch, network, history):
        try:
            self.work(network)
        except RuntimeError as error:
            self.error = error


def test_a_second_fit_on_a_network_that_is_trained_is_refused_and_harms_nothing():
    alone, both = network(), network()
    alone.fit(*examples(), epochs=3)
    second = During(lambda net: net.fit(*examples(), epochs=1))
    both.fit(*examples(), epochs=3, callbacks=[second])
    assert "must be trained by one call at a time" in str(second.error)
    np.testing.assert_array_equal(both.values, alone.values)
    both.fit(*examples(), epochs=1)


def test_threads_that_train_one_network_get_the_error_but_for_one():
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    net, barrier = network(), Barrier(4)

    def work(_):
        barrier.wait()
        try:
            net.fit(*examples(), epochs=300)
        except RuntimeError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(work, range(4)))
    assert said.count("") >= 1
    assert net.epochs_trained == 300 * said.count("")


def test_a_copy_that_is_taken_during_a_training_can_be_trained():
    copies = []
    net = network()
    net.fit(*examples(), epochs=1, callbacks=[During(lambda net: copies.append(copy.deepcopy(net)))])
    copies[0].fit(*examples(), epochs=1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_a_training_can_train_the_network_itself():
    codes = []

    def fork(net):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                net.fit(*examples(), epochs=1)
                code = 0
            finally:
                os._exit(code)
        codes.append(os.waitpid(child, 0)[1])

    network().fit(*examples(), epochs=2, callbacks=[During(fork)])
    assert codes == [0, 0]


@pytest.mark.parametrize("lr", [1e3, 1e9, 1e30])
@pytest.mark.parametrize("optimizer", [fd.SGD, fd.Momentum, fd.Adam, fd.RMSprop, fd.AdamW])
def test_whatever_the_rate_training_ends_finite_or_says_that_it_diverged(optimizer, lr):
    net = fd.NeuralNetwork([fd.Dense(16, 8), fd.ReLU(), fd.Dense(8, 3)], seed=0)
    with contextlib.suppress(fd.DivergedError):
        net.fit(*examples(), epochs=5, optimizer=optimizer(lr))
        assert np.isfinite(net.values).all()


# -- augmentation ------------------------------------------------------------------------------------------


SOME = fd.Augmentation(rotation=20, shift=1, alpha=8, sigma=2, fade=0.5)


class Wrapped(fd.Layer):
    """ReLU in Python, which makes training eager."""

    def forward(self, x, training=False):
        self.y = np.maximum(x, 0)
        return self.y

    def backward(self, dy):
        return np.where(self.y > 0, dy, 0)


@pytest.mark.parametrize("first", [[], [fd.ReLU()]], ids=["pixels", "floats"])
def test_augmented_training_gives_the_bits_of_eager_steps(first, backend):
    x, y = examples(90)

    def net(activation):
        layers = [type(layer)() for layer in first]
        return fd.NeuralNetwork([*layers, fd.Dense(16, 8), activation, fd.Dense(8, 3)], seed=4)

    lowered, eager = net(fd.ReLU()), net(Wrapped())
    for one in (lowered, eager):
        one.fit(x.reshape(90, 4, 4), y, epochs=4, batch_size=16, optimizer=fd.Adam(0.01), augment=SOME)
    assert lowered.values.tobytes() == eager.values.tobytes()
    plain = net(fd.ReLU())
    plain.fit(x, y, epochs=4, batch_size=16, optimizer=fd.Adam(0.01))
    assert plain.values.tobytes() != lowered.values.tobytes()


def test_an_augmented_training_that_is_continued_goes_on_with_the_same_images():
    x, y = examples(97)
    steady = fd.Augmentation(rotation=20, shift=1)
    whole, parts = network(), network()
    whole.fit(x, y, epochs=5, batch_size=16, optimizer=fd.Adam(), augment=steady)
    optimizer = fd.Adam()
    for epochs in (2, 3):
        parts.fit(x, y, epochs=epochs, batch_size=16, optimizer=optimizer, augment=steady)
    assert whole.values.tobytes() == parts.values.tobytes()


def test_the_images_of_a_training_are_those_that_apply_gives():
    # one step on all images: its loss is that of the distorted images
    x, y = examples(30)
    net, same = network(batchnorm=False), network(batchnorm=False)
    steady = fd.Augmentation(rotation=20, shift=1)
    key = np.random.SeedSequence(0, spawn_key=(4,)).generate_state(1, np.uint64)[0]
    images = steady.apply(x, seed=int(key), epoch=0)
    history = net.fit(x, y, epochs=1, batch_size=30, shuffle=False, augment=steady)
    assert history.loss[0] == pytest.approx(same.evaluate(images, y)["loss"], rel=1e-5)
    assert history.loss[0] != pytest.approx(same.evaluate(x, y)["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"augment": fd.Augmentation}, TypeError, "augment must be an instance of fastdigits.Augmentation"),
        (
            {"x": examples()[0] / 255},
            ValueError,
            r"fit: x must hold pixels, .*; got numbers from 0 to 0\.78\d+, of scale 'unit': take x \* 255",
        ),
        (
            {"x": examples()[0] // 16},
            ValueError,
            "got numbers from 0 to 12, of scale 'numbers': .*= 'pixels'",
        ),
        (
            {"x": examples()[0][:, :15]},
            ValueError,
            "rows of square images, .*: augmentation is for images, omit it",
        ),
        (
            {"x": examples()[0][:, None]},
            ValueError,
            r"got \(\d+, 1, 16\), rows of a table: augmentation is for images",
        ),
        (
            {"x": examples()[0] / 10},
            ValueError,
            "got numbers from 0 to 19.9, of scale 'numbers': augmentation is for images, omit it for a table$",
        ),
    ],
)
def test_what_cannot_be_augmented_is_refused(change, error, message):
    x, y = examples()
    arguments = {"x": x, "y": y, "augment": SOME} | change
    net = fd.NeuralNetwork([fd.Dense(arguments["x"][0].size, 3)])
    before = net.values.copy()
    with pytest.raises(error, match=message):
        net.fit(**arguments, epochs=1)
    assert net.values.tobytes() == before.tobytes()


# -- reducing the learning rate ------------------------------------------------------------------------------


def rates(values: list[float], **options) -> list[float]:
    """Return the learning rate of each epoch of a training whose measure is what the test says."""
    x, y = examples(32)
    optimizer = fd.SGD(lr=1.0)
    plateau = fd.ReduceOnPlateau(optimizer, **{"monitor": "loss", "patience": 2} | options)
    callbacks = [Scripted(plateau.monitor, values), plateau]
    return network().fit(x, y, epochs=len(values), batch_size=16, optimizer=optimizer, callbacks=callbacks).lr


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_plateau_reduces_the_rate_of_every_optimizer(make):
    x, y = examples()
    optimizer = make()
    start = optimizer.lr
    plateau = fd.ReduceOnPlateau(optimizer, 0.5, monitor="loss", patience=1, min_delta=1e9)
    history = network().fit(x, y, epochs=4, optimizer=optimizer, schedule=fd.Constant(), callbacks=[plateau])
    assert history.lr == pytest.approx(
        [start, start, start / 2, start / 4]
    )  # the first epoch is always the best
    assert optimizer.lr == pytest.approx(start / 8)


def test_the_rate_waits_for_its_patience():
    assert rates([5, 4, 4, 3, 3, 3, 3, 3]) == pytest.approx([1, 1, 1, 1, 1, 1, 0.1, 0.1])
    assert rates([1, 2, math.nan, 0.5], factor=0.3) == pytest.approx([1, 1, 1, 0.3])
    assert rates([1, 0.9, 0.8, 0.7], min_delta=0.15) == pytest.approx(
        [1, 1, 1, 1]
    )  # 0.8 is better than 1 by 0.2
    assert rates([1, 0.9, 0.9, 0.7], min_delta=0.15) == pytest.approx([1, 1, 1, 0.1])
    assert rates([0.5, 0.6, 0.6, 0.6], monitor="accuracy") == pytest.approx([1, 1, 1, 1])
    assert rates([0.5, 0.5, 0.4, 0.6], monitor="accuracy") == pytest.approx([1, 1, 1, 0.1])


def test_the_rate_has_a_floor():
    assert rates([1] * 6, patience=1, min_lr=0.05) == pytest.approx([1, 1, 0.1, 0.05, 0.05, 0.05])
    assert rates([1] * 4, patience=1, min_lr=2.0) == pytest.approx([1, 1, 1, 1])  # never up


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"factor": 1.0}, ValueError, "factor must be .* factor < 1"),
        ({"monitor": "speed"}, ValueError, "ReduceOnPlateau: monitor must be one of"),
        ({"patience": 0}, ValueError, "patience must be at least 1"),
        ({"min_delta": -1}, ValueError, "min_delta must be"),
        ({"min_lr": 0}, ValueError, "min_lr must be"),
        ({"optimizer": fd.Adam}, TypeError, "ReduceOnPlateau: optimizer must be an Optimizer"),
    ],
)
def test_a_wrong_plateau_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        fd.ReduceOnPlateau(**{"optimizer": fd.Adam()} | arguments)


def test_a_plateau_of_validation_needs_validation():
    with pytest.raises(ValueError, match="ReduceOnPlateau: val_loss needs validation data; got none"):
        network().fit(*examples(), callbacks=[fd.ReduceOnPlateau(fd.Adam())])


def test_an_error_of_a_callback_within_an_epoch_keeps_the_steps_that_were_done():
    class Fails(fd.Callback):
        def on_progress(self, done, total):
            if done == total:
                raise ValueError("no room left")

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    net = fd.NeuralNetwork([fd.Dense(4, 3)], seed=0)
    before, optimizer = net.values.copy(), fd.Adam(lr=0.01)
    with pytest.raises(ValueError, match="no room left"):
        net.fit(x, y, epochs=2, batch_size=20, optimizer=optimizer, callbacks=[Fails()])
    assert optimizer.step_count == 3
    assert (net.values != before).any()


@pytest.mark.parametrize("options", [{}, {"batch_shards": 2}, {"batch_shards": 2, "average_every": 1}])
def test_the_arrays_of_a_training_are_freed_at_its_end(options):
    """A circle of objects would keep a copy of the images until a garbage collection, perhaps many trainings later."""
    x, y = examples()
    net = network()
    net.fit(x / 255, y, epochs=1, **options)  # imports what it needs
    gc.collect()
    gc.disable()
    try:
        net.fit(x / 255, y, epochs=2, batch_size=32, validation_data=(x / 255, y), **options)
        assert gc.collect() == 0
    finally:
        gc.enable()
