"""A recorded program gives the same bits as eager calls, with any number of threads, and rejects wrong arguments."""

import hashlib
import itertools
import os
import signal
import threading
import time

import numpy as np
import pytest
from sampled import sampled

import fastdigits as fd
from fastdigits import backend
from fastdigits.training.lowering import TrainingStep

pytestmark = pytest.mark.skipif(backend.backend_name() == "numpy", reason="programs are compiled")

OPTIMIZERS = [
    lambda: fd.SGD(0.1),
    lambda: fd.Momentum(0.05),
    lambda: fd.Momentum(0.05, nesterov=True),
    lambda: fd.RMSprop(0.002),
    lambda: fd.Adam(0.01),
    lambda: fd.AdamW(0.01, weight_decay=0.1),
]


def digits(n: int, dtype: str = "uint8", width: int = 100, density: float = 0.2):
    rng = np.random.default_rng(n)
    x = np.where(rng.random((n, width)) < density, rng.integers(1, 256, (n, width)), 0).astype(np.uint8)
    y = rng.integers(0, 10, n)
    return (x if dtype == "uint8" else (x / 255).astype(np.float32)), y


def network(width: int = 100) -> fd.NeuralNetwork:
    layers: list[fd.Layer] = [
        fd.Dense(width, 48),
        fd.BatchNorm(48),
        fd.ReLU(),
        fd.Dense(48, 33),
        fd.LeakyReLU(),
    ]
    return fd.NeuralNetwork([*layers, fd.Dropout(0.2), fd.Dense(33, 10)], seed=3)


def state(net: fd.NeuralNetwork) -> str:
    arrays = [net.values, *net.buffers().values()]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def counts(net: fd.NeuralNetwork, optimizer: fd.Optimizer) -> set[int]:
    """Return the values of all step counters."""
    states = optimizer.states(net.parameters())
    dropouts = [layer for layer in net.layers if isinstance(layer, fd.Dropout)]
    return {optimizer.step_count, *(one.step for one in (*states, *dropouts))}


def eager_step(net, loss, optimizer, x, y, weights=None) -> float:
    value = loss.forward(net.forward(x, training=True), y, weights)
    net.backward(loss.backward())
    optimizer.step(net.parameters())
    return value


@pytest.mark.parametrize(
    ("make", "dtype", "weighted", "width"),
    sampled(
        # one half of inputs, and two
        itertools.product(OPTIMIZERS, ["uint8", "float32"], [False, True], [100, 784]),
        lambda make, dtype, weighted, width: (
            make is OPTIMIZERS[4] or (dtype, weighted, width) == ("uint8", True, 784)
        ),
    ),
)
def test_a_program_gives_the_same_bits_as_eager_steps(make, dtype, weighted, width):
    x, y = digits(90, dtype, width)
    weights = np.random.default_rng(0).random(90).astype(np.float32) if weighted else None
    nets, optimizers, loss = (
        [network(width), network(width)],
        [make(), make()],
        fd.SoftmaxCrossEntropy(label_smoothing=0.1),
    )
    order = np.random.default_rng(1).permutation(90)
    rows = order.reshape(3, 30)
    losses = [
        eager_step(nets[0], loss, optimizers[0], x[i], y[i], None if weights is None else weights[i])
        for i in rows
    ]
    step = TrainingStep(nets[1], x, y, weights, 30, loss, optimizers[1])
    assert step.run(order, np.full(3, optimizers[1].lr), 1) == 3
    assert state(nets[0]) == state(nets[1])
    assert counts(nets[0], optimizers[0]) == counts(nets[1], optimizers[1]) == {3}
    # A run keeps the gradients of its last step only.
    assert nets[0].gradients.tobytes() == nets[1].gradients.tobytes()
    mass = [30.0] * 3 if weights is None else [float(weights[i].sum(dtype=np.float64)) for i in rows]
    assert step.totals[0] == pytest.approx(np.dot(mass, losses), rel=1e-6)
    assert step.totals[2] == pytest.approx(sum(mass), rel=1e-6)


@pytest.mark.parametrize("density", [0.2, 0.9])
def test_a_program_reads_pixels_that_change_between_epochs(density):
    hashes = set()
    for chunk in (
        slice(None, None, -1),
        slice(None),
    ):  # mirrored between epochs, or in a second call of fit
        x, y = digits(90, width=784, density=density)
        net, optimizer = network(784), fd.Adam(0.01)

        class Mirror(fd.Callback):
            def on_epoch_end(self, epoch, network, history, x=x, chunk=chunk):
                x[:] = x[:, chunk].copy()

        if chunk == slice(None):
            net.fit(x, y, epochs=1, optimizer=optimizer)
            net.fit(x[:, ::-1], y, epochs=1, optimizer=optimizer)
        else:
            net.fit(x, y, epochs=2, optimizer=optimizer, callbacks=[Mirror()])
        hashes.add(state(net))
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("dtype", "make", "width", "density"),
    sampled(
        itertools.product(
            ["uint8", "float32"],
            [OPTIMIZERS[1], OPTIMIZERS[4]],
            [300, 784],  # one half; two halves, of which the second ends within a chunk
            [0.2, 0.9],  # zeros omitted; all pixels multiplied
        ),
        lambda dtype, make, width, density: (
            (dtype, make, width, density)
            in [
                ("uint8", OPTIMIZERS[4], 784, 0.2),
                ("uint8", OPTIMIZERS[1], 300, 0.9),
                ("float32", OPTIMIZERS[4], 784, 0.9),
            ]
        ),
    ),
)
def test_any_number_of_threads_gives_the_same_bits(dtype, make, width, density):
    x, y = digits(2000, dtype, width, density)
    hashes = set()
    for threads in (1, 2, 3, 4, 7):
        backend.kernels.reset_sharing()  # so the first steps are parallel
        net = network(width)
        net.fit(
            x, y, epochs=2, batch_size=61, optimizer=make(), threads=threads
        )  # the last batch has 48 rows
        hashes.add(state(net))
    assert len(hashes) == 1


@pytest.mark.parametrize("batch", [1, 8])
def test_few_images_in_a_wide_network_give_the_same_bits_on_any_number_of_threads(batch):
    x, y = digits(24, "uint8", 400, 0.2)
    hashes = set()
    for threads in (1, 2, 3, 5):
        backend.kernels.reset_sharing()
        layers = [fd.Dense(400, 301), fd.ReLU(), fd.Dense(301, 260), fd.ReLU(), fd.Dense(260, 10)]
        net = fd.NeuralNetwork(layers, seed=0)
        net.fit(x, y, epochs=1, batch_size=batch, threads=threads)
        hashes.add(state(net))
    assert len(hashes) == 1


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot bind threads to processors"
)
def test_moving_threads_between_processors_gives_the_same_bits():
    """The pool moves a worker away from the caller's processor if there is another one."""
    x, y = digits(2000, width=300)
    expected = network(300)
    expected.fit(x, y, epochs=1, threads=1)
    allowed = os.sched_getaffinity(0)
    try:
        for processors in [allowed, *({one} for one in sorted(allowed)[:2]), allowed]:
            os.sched_setaffinity(0, processors)
            net = network(300)
            net.fit(x, y, epochs=1, threads=2)
            assert state(net) == state(expected)
    finally:
        os.sched_setaffinity(0, allowed)


def test_eager_doors_with_threads_give_the_same_bits():
    kernels = backend.kernels
    rng = np.random.default_rng(0)
    x, weight, bias = (
        rng.standard_normal(shape).astype(np.float32) for shape in [(257, 500), (500, 130), (130,)]
    )
    results = []
    for threads in (1, 2, 5):
        kernels.set_threads(threads)
        kernels.reset_sharing()
        y = np.empty((257, 130), np.float32)
        kernels.dense_forward(y, x, weight, bias)
        results.append(y.tobytes())
    kernels.set_threads(1)
    assert len(set(results)) == 1
    with pytest.raises(ValueError, match="set_threads: n must be at least 1; got 0"):
        kernels.set_threads(0)


def test_a_step_of_the_original_network_has_five_stages():
    layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    x, y = digits(64, width=784)
    step = TrainingStep(fd.NeuralNetwork(layers), x, y, None, 64, fd.SoftmaxCrossEntropy(), fd.Adam())
    # 1 gather of labels, 9 forward (2 for the first layer and 2 for batch normalisation), loss, sums, loss, 8 backward
    # and 2 updates. Images are not gathered; updates of weights and biases are fused with the ops of their gradients
    assert len(step._program) == 23
    assert step._program.stages == 5


def test_an_update_follows_the_last_op_that_reads_the_old_weight():
    # dx is computed after dweight, so the update must not be fused with the op of dweight
    kernels = backend.kernels

    def arrays():
        made = np.random.default_rng(1)
        return {
            name: made.standard_normal(shape).astype(np.float32)
            for name, shape in [("x", (8, 6)), ("w", (6, 4)), ("dy", (8, 4)), ("m", (24,)), ("b", (4,))]
        }

    results, first = [], np.array([1])
    for lowered in (False, True):
        a = arrays()
        dw, db, dx, v = (
            np.empty((6, 4), np.float32),
            a["b"],
            np.empty((8, 6), np.float32),
            np.ones(24, np.float32),
        )

        def step(doors, a=a, dw=dw, db=db, dx=dx, v=v):
            doors.dense_backward_weight(dw, db, a["dy"], a["x"])
            doors.dense_backward_input(dx, a["dy"], a["w"])
            doors.adam_update(
                a["w"].reshape(-1), a["m"], v, dw.reshape(-1), first, 0.1, 0.9, 0.999, 1e-8, 0.0
            )

        if lowered:
            program = kernels.Program(np.zeros(0, np.int64))
            with program as doors:
                step(doors)
            program.run(np.zeros(0, np.int64), np.array([0.1]))
        else:
            step(kernels)
        results.append((dx.tobytes(), a["w"].tobytes()))
    assert results[0] == results[1]


def test_a_program_counts_its_steps_from_the_number_that_was_set():
    (net, other), (optimizer, another), (x, y) = (network(), network()), (fd.Adam(), fd.Adam()), digits(60)
    loss = fd.SoftmaxCrossEntropy()
    step = TrainingStep(net, x, y, None, 30, loss, optimizer)
    rows = np.arange(60).reshape(2, 30)
    for number, taken in [(5, 0), (2**40, 1)]:
        net.layers[5].step = other.layers[5].step = number
        for one, its in ((net, optimizer), (other, another)):
            its.states(one.parameters())[0].step = number
        eager_step(other, loss, another, x[rows[taken]], y[rows[taken]])
        step.run(rows[taken], np.array([optimizer.lr]), 1)
        assert net.layers[5].step == other.layers[5].step == number + 1
        assert optimizer.states(net.parameters())[0].step == number + 1
        assert optimizer.step_count == another.step_count == taken + 1
        assert state(net) == state(other)


def test_steps_are_counted_before_an_interrupt_after_them(monkeypatch):
    net, optimizer, average, plain, done = network(), fd.Adam(), fd.EMA(0.9), TrainingStep.run, []

    def run(step, *arguments):
        done.append(plain(step, *arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingStep, "run", run)
    with pytest.raises(KeyboardInterrupt):
        net.fit(*digits(300), epochs=1, batch_size=30, optimizer=optimizer, average=average)
    assert counts(net, optimizer) == {average.step} == {*done} != {0}


def test_recording_changes_nothing():
    net, optimizer = network(), fd.Adam()
    x, y = digits(30)
    before = state(net)
    TrainingStep(net, x, y, None, 30, fd.SoftmaxCrossEntropy(), optimizer)
    assert state(net) == before
    assert counts(net, optimizer) == {0}


def test_a_program_is_recorded_once():
    program, y, one = backend.kernels.Program(np.zeros(0, np.int64)), *np.zeros((2, 1, 1), np.float32)
    with program as doors:
        with pytest.raises(RuntimeError, match="this program is recorded already"), program:
            pass
        doors.relu_forward(y, one + 1)
    assert len(program) == 1
    assert y[0, 0] == 0
    with pytest.raises(RuntimeError, match="this program is recorded already"), program:
        pass
    with pytest.raises(RuntimeError, match="this program is recorded already"):
        doors.relu_forward(y, one)
    with pytest.raises(AttributeError, match="name must be that of a door; got relu"):
        _ = doors.relu


def test_a_program_records_only_its_own_doors():
    kernels = backend.kernels
    first, second = (kernels.Program(np.zeros(0, np.int64)) for _ in range(2))
    x, (a, b, c, d) = np.ones((1, 1), np.float32), np.zeros((4, 1, 1), np.float32)
    with first as doors, second as other_doors:
        doors.relu_forward(a, x)
        other_doors.relu_forward(b, x)
        kernels.relu_forward(c, x)  # in the same thread
        thread = threading.Thread(target=kernels.relu_forward, args=(d, x))
        thread.start()
        thread.join()
    assert [a, b, c, d] == [0, 0, 1, 1]
    assert len(first) == len(second) == 1
    first.run(np.zeros(0, np.int64), np.zeros(1))
    assert [a, b] == [1, 0]


def test_a_program_with_a_failed_recording_is_empty():
    kernels = backend.kernels
    program, y, x = (
        kernels.Program(np.zeros(0, np.int64)),
        np.zeros((1, 1), np.float32),
        np.ones((1, 1), np.float32),
    )
    try:
        with program as doors:
            doors.relu_forward(y, x)
            raise KeyError
    except KeyError:
        pass
    assert len(program) == 0
    program.run(np.zeros(0, np.int64), np.zeros(1))
    assert y == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_signal_handler_may_use_another_network_during_recording():
    x, y = digits(60)
    deep = [layer for _ in range(40) for layer in (fd.Dense(24, 24), fd.BatchNorm(24), fd.ReLU())]
    other = network()
    wanted = other.forward(x)
    results = []

    def handler(number, frame):
        results.append(np.array_equal(other.forward(x), wanted))
        results.append(network().predict(x).shape == (60,))  # records another program
        if len(results) < 20:
            signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        net = fd.NeuralNetwork([fd.Dense(100, 24), *deep, fd.Dense(24, 10)])
        while len(results) < 20:
            TrainingStep(net, x, y, None, 30, fd.SoftmaxCrossEntropy(), fd.Adam())
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # one signal may still be pending
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(results)


def test_recording_time_is_linear_in_the_depth():
    """Four times the layers once took 64 times the processor time; the limit, 16, leaves room for noise."""
    seconds = []
    for blocks in (25, 100):
        deep = [layer for _ in range(blocks) for layer in (fd.Dense(8, 8), fd.BatchNorm(8), fd.ReLU())]
        net = fd.NeuralNetwork([fd.Dense(100, 8), *deep, fd.Dense(8, 10)])
        taken = []
        for _ in range(3):
            started = time.process_time()
            TrainingStep(net, *digits(30), None, 30, fd.SoftmaxCrossEntropy(), fd.Adam())
            taken.append(time.process_time() - started)
        seconds.append(min(taken))
    assert seconds[1] < 16 * seconds[0]


def test_an_order_of_the_wrong_length_is_rejected():
    program = backend.kernels.Program(np.zeros(4, np.int64))
    with pytest.raises(ValueError, match=r"order must be \(8,\), 4 rows per step; got \(7,\)"):
        program.run(np.zeros(7, np.int64), np.zeros(2))


@pytest.mark.parametrize("row", [-1, 5, 2**40])
def test_rows_out_of_range_are_rejected_before_they_are_read(row):
    kernels = backend.kernels
    index, y = np.zeros(2, np.int64), np.full((2, 3), np.nan, np.float32)
    labels = np.zeros(2, np.int64)
    program = kernels.Program(index)
    with program as doors:
        doors.gather(y, np.ones((7, 3), np.float32), index)
        doors.gather_labels(labels, np.arange(5), index)  # the shorter of the two
    order = np.array([4, 0, 1, row])
    with pytest.raises(ValueError, match=f"Program.run: order must lie in 0 … 4; got {row}"):
        program.run(order, np.zeros(2))
    assert labels.tolist() == [4, 0]  # the step before is complete
    assert program.run(order[:2], np.zeros(1)) == 1


def softmax_program():
    x, y = np.zeros((3, 4), np.float32), np.zeros((3, 4), np.float32)
    program = backend.kernels.Program(np.zeros(0, np.int64))
    with program as doors:
        doors.softmax_forward(y, x)
    program.bind_io(y, x)
    return program, y, x


def test_predict_uses_other_arrays_in_place_of_the_bound_ones():
    program, recorded, _ = softmax_program()
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    kept = x.copy()
    probs, wanted = np.full((2, 3, 4), np.nan, np.float32)
    backend.kernels.softmax_forward(wanted, x)
    for _ in range(2):
        probs.fill(np.nan)
        program.predict(probs, x)
        assert probs.tobytes() == wanted.tobytes()
    assert not recorded.any()
    assert x.tobytes() == kept.tobytes()


@pytest.mark.parametrize(("rows", "rows_of_x"), [(2, 3), (3, 2), (4, 4)])
def test_predict_rejects_arrays_of_another_size(rows, rows_of_x):
    program, _, _ = softmax_program()
    probs, x = np.zeros((rows, 4), np.float32), np.zeros((rows_of_x, 4), np.float32)
    with pytest.raises(ValueError, match=r"Program.predict: y and x must be of the size of the bound arrays"):
        program.predict(probs, x)
    assert not probs.any()


def test_predict_rejects_arrays_that_are_read_only_or_not_contiguous():
    program, _, x = softmax_program()
    probs = np.zeros((3, 4), np.float32)
    probs.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        program.predict(probs, x)
    with pytest.raises(ValueError, match=r"not C-contiguous|not contiguous"):
        program.predict(np.zeros((3, 4), np.float32), np.zeros((3, 8), np.float32)[:, ::2])
    with pytest.raises(ValueError, match=r"Program.predict: y and x must"):  # no arrays are bound
        backend.kernels.Program(np.zeros(0, np.int64)).predict(
            np.zeros(0, np.float32), np.zeros(0, np.float32)
        )


def test_a_step_with_a_loss_that_is_not_finite_changes_nothing():
    net, optimizer = network(), fd.SGD()
    x, y = digits(60, "float32")
    x[45] = np.nan  # in the second step
    step = TrainingStep(net, x, y, None, 30, fd.SoftmaxCrossEntropy(), optimizer)
    twin_net = network()
    eager_step(twin_net, fd.SoftmaxCrossEntropy(), fd.SGD(), x[:30], y[:30])
    assert step.run(np.arange(60), np.full(2, 0.01), 2) == 1
    assert net.values.tobytes() == twin_net.values.tobytes()
    assert counts(net, optimizer) == {1}


class Shift(fd.Layer):
    def forward(self, x, training=False):
        return x + 1

    def backward(self, dy):
        return dy


def test_a_python_layer_trains_eagerly_with_a_warning():
    net = fd.NeuralNetwork([fd.Dense(100, 8), Shift(), fd.Dense(8, 10)])
    with pytest.warns(UserWarning, match="Shift is written in Python") as caught:
        net.fit(*digits(30), epochs=1)
    assert caught[0].filename == __file__


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains_to_the_same_bits():
    x, y = digits(2000, width=300)
    parent = network(300)
    parent.fit(x, y, epochs=1, threads=2)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        net = network(300)
        net.fit(x, y, epochs=1, threads=2)
        os.write(writer, state(net).encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert os.read(reader, 64).decode() == state(parent)
    os.close(reader)
    os.close(writer)


def test_threads_predict_correctly_while_another_trains():
    x, y = digits(3000, width=300)
    net, other = network(300), network(300)
    wanted = net.predict_proba(x)
    wrong: list[int] = []

    def predict(number: int) -> None:
        for _ in range(5):
            if net.predict_proba(x).tobytes() != wanted.tobytes():
                wrong.append(number)

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(8)]
    threads.append(threading.Thread(target=other.fit, args=(x, y), kwargs={"epochs": 3, "threads": 2}))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
