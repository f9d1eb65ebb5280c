"""Whatever changes between two calls is seen by the next one: recorded programs are caches that know their origin."""

import copy
import hashlib
import itertools
import pickle
import threading

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.backend import aligned
from fastdigits.core import changes
from fastdigits.nn.parameters import flatten

LAYERS = [
    fd.Dense(16, 8),
    fd.BatchNorm(8),
    fd.LeakyReLU(0.1),
    fd.Dense(8, 8),
    fd.ReLU(),
    fd.Dropout(0.3),
    fd.Dense(8, 3),
]
OPTIMIZERS = [
    lambda: fd.SGD(0.1),
    lambda: fd.Momentum(0.1),
    lambda: fd.RMSprop(0.01),
    lambda: fd.Adam(0.01),
    lambda: fd.AdamW(0.01),
]
AVERAGES = [lambda: fd.EMA(0.9), lambda: fd.SWA(0.1)]


class Same(fd.Layer):
    """Keeps a network from being lowered, and changes nothing."""

    def forward(self, x, training=False):
        return x

    def backward(self, dy):
        return dy


def network(*, eager: bool = False) -> fd.NeuralNetwork:
    layers = [type(layer)(**layer.config()) for layer in LAYERS]
    return fd.NeuralNetwork([*layers, *([Same()] if eager else [])], seed=4)


def digits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.integers(0, 256, (90, 16), dtype=np.uint8), np.arange(90) % 3


def another(value):
    """Return another value of the same kind: a number, an array, a parameter."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 3
    if isinstance(value, float):
        return 0.25 if value == 0 else value / 2
    if isinstance(value, np.ndarray):
        return (value + np.float32(0.5)) * np.float32(2)
    if isinstance(value, fd.Parameter):
        return fd.Parameter(value.name, value.value * 0.5 + 0.01)
    return value


def attributes(thing) -> list[str]:
    counts = [name for name in dir(type(thing)) if isinstance(getattr(type(thing), name), changes.Count)]
    return counts + [name for name in vars(thing) if not name.startswith("_")]


def outcome(change, *, eager, make=OPTIMIZERS[3], average=None, **options) -> str:
    """Train three epochs, with a change after each; return a hash of all that came of it, or the error."""
    net, optimizer, loss = network(eager=eager), make(), fd.SoftmaxCrossEntropy(label_smoothing=0.1)
    averaging = None if average is None else average()

    class Change(fd.Callback):
        def on_epoch_end(self, epoch, network, history):
            change(network, optimizer, loss, averaging)

    try:
        history = net.fit(
            *digits(), epochs=3, batch_size=30, optimizer=optimizer, loss=loss, average=averaging,
            callbacks=[Change()], threads=1, **options,
        )  # fmt: skip
    except Exception as error:  # whatever it is: both ways must agree
        return f"{type(error).__name__}: {error}"
    arrays = [net.values, *net.buffers().values(), np.array(history.loss)]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.mark.filterwarnings("ignore:fit. Same is written in Python")
@pytest.mark.parametrize(
    ("position", "name"),
    [(at, name) for at, layer in enumerate(network().layers) for name in attributes(layer)],
)
def test_each_attribute_of_each_layer_counts_from_its_change_on(position, name):
    def change(net, optimizer, loss, average):
        setattr(net.layers[position], name, another(getattr(net.layers[position], name)))

    assert outcome(change, eager=False) == outcome(change, eager=True)

    net = network()
    x, _ = digits()
    net.predict(x)
    change(net, None, None, None)
    try:
        wanted = net.forward(x)
    except ValueError:
        with pytest.raises(ValueError, match="must"):
            net.predict_proba(x)
        return
    np.testing.assert_array_equal(net.predict(x), wanted.argmax(axis=1))
    exp = np.exp(wanted - wanted.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        net.predict_proba(x), exp / exp.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-7
    )


def test_some_of_these_changes_matter():
    """So that the test above can fail."""
    hashes = {outcome(lambda *_: None, eager=False)}
    for position, name in [
        (1, "eps"),
        (1, "momentum"),
        (1, "running_mean"),
        (2, "slope"),
        (5, "rate"),
        (5, "seed"),
    ]:

        def change(net, *_, position=position, name=name):
            setattr(net.layers[position], name, another(getattr(net.layers[position], name)))

        hashes.add(outcome(change, eager=False))
    assert len(hashes) == 7


@pytest.mark.filterwarnings("ignore:fit. Same is written in Python")
@pytest.mark.parametrize(
    ("number", "name"), [(at, name) for at, make in enumerate(OPTIMIZERS) for name in attributes(make())]
)
def test_each_attribute_of_each_optimizer_counts_from_its_change_on(number, name):
    def change(net, optimizer, loss, average):
        setattr(optimizer, name, another(getattr(optimizer, name)))

    make = OPTIMIZERS[number]
    results = [outcome(change, eager=eager, make=make) for eager in (False, True)]
    assert results[0] == results[1]
    if name != "step_count":
        assert results[0] != outcome(lambda *_: None, eager=False, make=make)


@pytest.mark.filterwarnings("ignore:fit. Same is written in Python")
@pytest.mark.parametrize(
    ("number", "name"), [(at, name) for at, make in enumerate(AVERAGES) for name in attributes(make())]
)
def test_each_attribute_of_each_average_counts_from_its_change_on(number, name):
    def change(net, optimizer, loss, average):
        setattr(average, name, another(getattr(average, name)))

    results = [outcome(change, eager=eager, average=AVERAGES[number]) for eager in (False, True)]
    assert results[0] == results[1]


def of_zeros(optimizer, net):
    content = optimizer.state_dict(net.parameters())
    optimizer.load_state_dict(
        net.parameters(), {name: value if name == "step" else value * 0 for name, value in content.items()}
    )


def turned(net):
    net.layers = (*net.layers[:2], net.layers[4], net.layers[3], net.layers[2], *net.layers[5:])


OTHER_CHANGES = {
    "label smoothing": lambda net, optimizer, loss: setattr(loss, "label_smoothing", 0.4),
    "forget": lambda net, optimizer, loss: optimizer.forget(net.parameters()),
    "load_state_dict": lambda net, optimizer, loss: of_zeros(optimizer, net),
    "state.arrays": lambda net, optimizer, loss: [
        setattr(state, "arrays", [array * 0 for array in state.arrays])
        for state in optimizer.states(net.parameters())
    ],
    "state.step": lambda net, optimizer, loss: setattr(optimizer.states(net.parameters())[0], "step", 1),
    "layers": lambda net, optimizer, loss: turned(net),
    "a step in between": lambda net, optimizer, loss: (
        net.forward(digits()[0][:7], training=True),
        net.backward(np.ones((7, 3), np.float32)),
        optimizer.step(net.parameters()),
    ),
    "values": lambda net, optimizer, loss: [
        setattr(parameter, "value", parameter.value * 0.5) for parameter in net.parameters()
    ],
    "another network of the same layers": lambda net, optimizer, loss: flatten(net.parameters()),
    "predict": lambda net, optimizer, loss: net.predict(digits()[0]),
    "renew_statistics": lambda net, optimizer, loss: net.renew_statistics(digits()[0]),
    "find_lr": lambda net, optimizer, loss: net.find_lr(*digits(), steps=10),
}


@pytest.mark.filterwarnings("ignore:fit. Same is written in Python")
@pytest.mark.filterwarnings("ignore:find_lr. Same is written in Python")
@pytest.mark.parametrize("name", OTHER_CHANGES)
def test_other_changes_count_from_then_on(name):
    def change(net, optimizer, loss, average):
        OTHER_CHANGES[name](net, optimizer, loss)

    assert outcome(change, eager=False) == outcome(change, eager=True)


def test_a_change_amid_an_epoch_loses_no_step_of_its_history():
    """The sums of an epoch go on where the steps are recorded again."""
    net, x, y = network(), *digits()

    class Change(fd.Callback):
        def on_progress(self, done, total):
            net.layers[5].rate = 0.0 if net.layers[5].rate else 0.3

    history = net.fit(
        np.repeat(x, 50, axis=0), np.repeat(y, 50), epochs=1, batch_size=2, callbacks=[Change()]
    )
    assert 0.2 < history.loss[0] < 2.0
    assert 0 < history.accuracy[0] <= 1


def test_layers_that_cannot_be_lowered_are_refused_amid_a_lowered_training():
    def change(net, *_):
        net.layers = (*net.layers, Same())

    found = outcome(change, eager=False)
    if fd.backend_name() == "numpy":
        assert len(found) == 64
    else:
        assert (
            "the layers of a network must stay of this package's own kinds while it trains; got Same" in found
        )


def test_a_parameter_in_place_of_another_is_the_networks_own():
    net = network()
    x, _ = digits()
    weight = fd.Parameter("weight", np.full((16, 8), 0.5))
    net.layers[0].weight = weight
    assert net.parameters()[0] is weight
    assert weight.name == "dense1.weight"
    assert np.shares_memory(net.values, weight.value)
    assert np.shares_memory(net.gradients, weight.grad)
    net.fit(*digits(), epochs=1)
    assert not (weight.value == 0.5).any()
    np.testing.assert_array_equal(net.predict(x), net.forward(x).argmax(axis=1))


def test_numbers_assigned_to_a_network_are_its_parameters():
    net = network()
    values = net.values
    net.values = np.zeros(values.size)
    net.values += 1
    net.gradients = values
    assert net.values is values
    assert {float(parameter.value.min()) for parameter in net.parameters()} == {1.0}
    assert {float(parameter.grad.max()) for parameter in net.parameters()} == {1.0}
    with pytest.raises(ValueError, match="broadcast"):
        net.values = np.zeros(3)


def test_what_a_network_saves_is_what_it_predicts_with(tmp_path):
    net = network()
    x, _ = digits()
    net.predict(x)
    net.layers[1].running_mean = np.full(8, 0.5, np.float32)
    net.layers[1].gamma = fd.Parameter("gamma", np.full(8, 2.0))
    net.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        fd.load(tmp_path / "model.safetensors").predict_proba(x), net.predict_proba(x)
    )


def test_a_fingerprint_tells_what_a_program_depends_on():
    layer = fd.BatchNorm(3)
    first = changes.fingerprint(layer)
    assert changes.same(first, changes.fingerprint(layer))
    for name, value in (
        ("eps", 1e-4),
        ("eps", -0.0),
        ("eps", 0.0),
        ("running_mean", layer.running_mean.copy()),
    ):
        before = changes.fingerprint(layer)
        setattr(layer, name, value)
        assert not changes.same(before, changes.fingerprint(layer))
    version = changes.version
    layer.momentum = 0.5
    assert changes.version != version
    version = changes.version
    layer.running_mean += 1  # where it lies: a program sees that
    layer.name = "norm"
    layer.gamma.value = np.ones(3)
    layer.running_mean = layer.running_mean
    assert changes.version != version  # the last line; it may be the same all the same
    assert changes.same(changes.fingerprint(layer), changes.fingerprint(layer))


def change_amid_recording(monkeypatch, change, back=lambda: None) -> None:
    """Call ``change`` and, some arrays later, ``back`` where a program asks for memory: as another thread may."""
    plain, calls = aligned.floats, itertools.count()

    def floats(*shape):
        {0: change, 8: back}.get(next(calls), lambda: None)()
        return plain(*shape)

    monkeypatch.setattr(aligned, "floats", floats)


def test_a_prediction_recorded_amid_a_change_that_is_taken_back_is_not_kept(monkeypatch):
    net, x = network(), digits()[0]
    net.predict_proba(x)  # another size is recorded below
    right = copy.deepcopy(net).predict_proba(x[:1])
    with monkeypatch.context() as patch:
        change_amid_recording(patch, lambda: setattr(net.layers[1], "eps", 10.0))
        net.predict_proba(x[:1])
    net.layers[1].eps = 1e-5
    np.testing.assert_array_equal(net.predict_proba(x[:1]), right)


def test_a_training_recorded_amid_a_change_that_is_taken_back_is_recorded_again(monkeypatch):
    """The recorded step is wrong, and looks right by all that the network is afterwards."""
    if fd.backend_name() == "numpy":
        pytest.skip("the NumPy backend records nothing")

    def values(eps):
        net = network()
        norm = net.layers[1]
        with monkeypatch.context() as patch:
            change_amid_recording(
                patch, lambda: setattr(norm, "eps", eps), lambda: setattr(norm, "eps", 1e-5)
            )
            net.fit(*digits(), epochs=1, batch_size=30, clip_norm=1.0)
        assert norm.eps == 1e-5
        return net.values

    np.testing.assert_array_equal(values(10.0), values(1e-5))


def test_attributes_may_be_added_while_another_thread_predicts():
    net, x = network(), digits()[0]
    failed, stop = [], threading.Event()

    class Slow(str):
        """A name that hands over to other threads where it is looked up."""

        def __hash__(self):
            stop.wait(1e-5)
            return super().__hash__()

    vars(net.layers[1])[Slow("comment")] = 1

    def predict():
        try:
            while not stop.is_set():
                net.predict(x)
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=predict)
    thread.start()
    for number in range(200):
        setattr(net.layers[1], f"comment{number}", number)
        net.layers[2].slope = 0.1 + number / 1000
    stop.set()
    thread.join()
    assert not failed


def test_layers_may_hold_each_other_and_whole_numbers_of_any_length():
    net, x = network(), digits()[0]
    for layer, other in itertools.pairwise(net.layers):
        layer.after, other.before = other, layer
    net.layers[0].comment = 10**5000
    before = net.predict_proba(x)
    net.layers[1].eps = 1.0
    assert not np.array_equal(net.predict_proba(x), before)
    net.fit(*digits(), epochs=1)
    layers = [fd.ReLU() for _ in range(3000)]
    for layer, other in itertools.pairwise(layers):
        layer.after = other
    assert len(changes.fingerprint(layers)) >= 3000


@pytest.mark.filterwarnings("ignore:fit. Same is written in Python")
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, np.array, int])
def test_a_learning_rate_may_be_a_number_of_any_type(kind):
    def change(net, optimizer, loss, average):
        optimizer.lr = kind(1)

    found = outcome(change, eager=False, make=OPTIMIZERS[0])
    assert len(found) == 64
    assert found == outcome(change, eager=True, make=OPTIMIZERS[0])


@pytest.mark.parametrize("name", ["running_mean", "running_var"])
def test_running_statistics_take_numbers_of_any_kind(name):
    """Zeros of NumPy are float64; a view with steps and a list are no arrays for kernels."""
    x = digits()[0]

    def answer(new):
        net = network()
        net.fit(*digits(), epochs=1)
        setattr(net.layers[1], name, new)
        net.fit(*digits(), epochs=1)
        return net.predict_proba(x)

    numbers = np.arange(1, 9, dtype=np.float32)
    frozen = numbers.copy()
    frozen.flags.writeable = False
    right = answer(numbers)
    for new in (
        numbers.astype(float),
        numbers.tolist(),
        np.repeat(numbers, 2)[::2],
        frozen,
        numbers.astype(">i8"),
    ):
        np.testing.assert_array_equal(answer(new), right)
    np.testing.assert_array_equal(numbers, frozen)  # a training moves its own
    with pytest.raises(ValueError, match=rf"BatchNorm\(8\): {name} must be \(8,\); got \(3,\)"):
        answer(np.zeros(3))
    with pytest.raises(TypeError, match="must hold real numbers"):
        answer(["a"] * 8)


@pytest.mark.parametrize(
    ("make", "counter"),
    [
        *((make, "step_count") for make in OPTIMIZERS),
        *((make, "step") for make in AVERAGES),
        (lambda: fd.Dropout(0.3), "step"),
    ],
)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_counts_steps_by_itself(make, counter, way):
    thing = make()
    setattr(thing, counter, 3)
    other = way(thing)
    setattr(other, counter, 5)
    assert (getattr(thing, counter), getattr(other, counter)) == (3, 5)
