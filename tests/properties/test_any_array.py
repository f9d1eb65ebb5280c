"""Public functions give the same result for an array of any kind as for its plain copy, or raise a clear error.

Hypothesis draws the arrays: every shape, dtype, byte order and layout of NumPy, and values that no image or label has.
The error is a TypeError or a ValueError that states the requirement, and neither array nor network has changed.
`scripts/robustness/safety.py` draws thousands of arrays per function, these tests a fixed few.
"""

import re
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from any_arrays import LAYOUTS, OTHER, REAL, STRANGE, shapes
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdigits as fd
from fastdigits import backend as backends
from fastdigits.core.validation import check_labels, check_weights
from fastdigits.nn.scales import to_rows

N, WIDTH, CLASSES = 8, 9, 3
_RNG = np.random.default_rng(0)
PIXELS = _RNG.integers(0, 256, (N, WIDTH)).astype(np.uint8)
LABELS = np.arange(N) % CLASSES
LAYERS: dict[str, Callable[[], fd.Layer]] = {
    "Dense": lambda: fd.Dense(WIDTH, CLASSES),
    "BatchNorm": lambda: fd.BatchNorm(WIDTH),
    "ReLU": fd.ReLU,
    "LeakyReLU": lambda: fd.LeakyReLU(0.1),
    "Softmax": fd.Softmax,
    "Dropout": lambda: fd.Dropout(0.5),
    "Standardize": lambda: fd.Standardize(WIDTH),
    "MomentNorm": lambda: fd.MomentNorm(3, 3),
}
OPTIMIZERS = (fd.SGD, fd.Momentum, fd.RMSprop, fd.Adam, fd.AdamW)


def network() -> fd.NeuralNetwork:
    """Return a network after a forward pass in training."""
    net = fd.NeuralNetwork(
        [fd.Dense(WIDTH, 5), fd.BatchNorm(5), fd.ReLU(), fd.Dropout(0.2), fd.Dense(5, CLASSES)], seed=3
    )
    net.forward(PIXELS, training=True)
    return net


# -- arrays --------------------------------------------------------------------------------------------------

RIGHT = {
    "images": (N, WIDTH),
    "labels": (N,),
    "weights": (N,),
    "gradients": (N, CLASSES),
    "vector": (CLASSES,),
}
TOP = {"labels": CLASSES, "images": 256}


@st.composite
def arrays(draw, role):
    """Draw an array for a role and its plain copy; the copy is None where the dtype is not of real numbers."""
    shape = draw(shapes(RIGHT[role]))
    kind = draw(st.sampled_from(REAL * 2 + ["u1", "f4", "f4", "i8"] * 2 + OTHER))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = rng.integers(0, TOP.get(role, 3), shape)
    if np.dtype(kind).kind == "f":
        numbers = rng.random(shape) if role in ("images", "weights") else rng.standard_normal(shape)
    if kind in OTHER:
        values = np.zeros(shape, kind) if "," in kind or kind[0] in "VO" else np.asarray(numbers).astype(kind)
        return draw(st.sampled_from(list(LAYOUTS.values())))(values), None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(numbers).astype(kind)
        if values.size and draw(st.integers(0, 3)) == 0:
            values.flat[draw(st.integers(0, values.size - 1))] = np.array(
                draw(st.sampled_from(STRANGE)), np.longdouble
            ).astype(kind)
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](values), values


# The share of the examples of Hypothesis's profile that a test draws
SHARES = pytest.mark.parametrize("share", [0.25, pytest.param(1, marks=pytest.mark.exhaustive)])


def with_drawn_data(share: float) -> Callable[[Callable[[Any], None]], None]:
    """Return a decorator that calls a function with data of Hypothesis, once per example."""
    count = round(share * settings.default.max_examples)
    return lambda check: settings(max_examples=count)(given(data=st.data())(check))()


# -- public functions and methods ----------------------------------------------------------------------------


def fitted(net, x=PIXELS, y=LABELS, **options):
    history = net.fit(x, y, epochs=1, batch_size=4, **options)
    return [net.values, history.loss]


def stepped(net, grad, optimizer):
    bias = net.layers[-1].bias
    bias.grad = grad
    optimizer(lr=0.1).step([bias])
    return [bias.value]


def loss_of(*arguments):
    loss = fd.SoftmaxCrossEntropy(label_smoothing=0.1)
    return [loss.forward(*arguments), loss.backward()]


def gradient(net, dlogits):
    net.backward(dlogits)
    return [net.gradients]


def taken_over(net, weight):
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = [one.value.T for one in net.parameters()]
    state = {"0.weight": arrays[0], "0.bias": arrays[1], "4.weight": arrays[4]}
    state |= {f"1.{name}": np.ones(5) for name in names}
    net.load_torch_state_dict(state | {"4.bias": weight})
    return [net.values]


def restored(net, array):
    optimizer = fd.Momentum()
    optimizer.load_state_dict([net.layers[-1].bias], {"step": 1, "velocity/dense2.bias": array})
    return list(optimizer.state_dict([net.layers[-1].bias]).values())


Y = LABELS
PROBS = network().predict_proba(PIXELS)
DOORS: dict[str, tuple[str, Callable[[fd.NeuralNetwork, Any], list]]] = {
    "fit: x": ("images", lambda net, a: fitted(net, a)),
    "fit: x, augmented": ("images", lambda net, a: fitted(net, a, augment=fd.Augmentation(alpha=3))),
    "fit: y": ("labels", lambda net, a: fitted(net, y=a)),
    "fit: sample_weight": ("weights", lambda net, a: fitted(net, sample_weight=a)),
    "fit: validation x": ("images", lambda net, a: fitted(net, validation_data=(a, Y))),
    "fit: validation y": ("labels", lambda net, a: fitted(net, validation_data=(PIXELS, a))),
    "fit: validation sample_weight": (
        "weights",
        lambda net, a: fitted(net, validation_data=(PIXELS, Y, a)),
    ),
    "predict": ("images", lambda net, a: [net.predict(a)]),
    "predict_proba": ("images", lambda net, a: [net.predict_proba(a)]),
    "forward": ("images", lambda net, a: [net.forward(a)]),
    "evaluate: x": ("images", lambda net, a: [*net.evaluate(a, Y).values()]),
    "evaluate: y": ("labels", lambda net, a: [*net.evaluate(PIXELS, a).values()]),
    "evaluate: sample_weight": (
        "weights",
        lambda net, a: [*net.evaluate(PIXELS, Y, sample_weight=a).values()],
    ),
    "backward": ("gradients", gradient),
    "find_lr: x": ("images", lambda net, a: [net.find_lr(a, Y, batch_size=4, steps=20).losses]),
    "find_lr: y": ("labels", lambda net, a: [net.find_lr(PIXELS, a, batch_size=4, steps=20).losses]),
    "renew_statistics": ("images", lambda net, a: [net.renew_statistics(a), *net.buffers().values()]),
    "loss: logits": ("gradients", lambda net, a: loss_of(a, Y)),
    "loss: y": ("labels", lambda net, a: loss_of(PIXELS, a)),
    "loss: sample_weight": ("weights", lambda net, a: loss_of(PIXELS, Y, a)),
    "Augmentation": ("images", lambda net, a: [fd.Augmentation(alpha=3).apply(a, seed=1)]),
    "Parameter": ("vector", lambda net, a: [fd.Parameter("a", a).value]),
    "load_torch_state_dict": ("vector", taken_over),
    "load_state_dict": ("vector", restored),
    "accuracy": ("labels", lambda net, a: [fd.accuracy(a, Y)]),
    "confusion_matrix": ("labels", lambda net, a: [fd.confusion_matrix(Y, a, CLASSES)]),
    "reliability_bins": ("gradients", lambda net, a: [repr(fd.reliability_bins(Y, a))]),
    "expected_calibration_error": ("labels", lambda net, a: [fd.expected_calibration_error(a, PROBS)]),
} | {
    f"{kind.__name__}: grad": ("vector", lambda net, a, kind=kind: stepped(net, a, kind))
    for kind in OPTIMIZERS
}


def layer_doors() -> dict[str, tuple[str, Callable]]:
    def made(name):
        layer = LAYERS[name]()
        layer.initialize(np.random.default_rng(1))
        return layer

    def forward(name, training):
        def run(net, x):
            layer = made(name)
            return [layer.forward(x, training), *layer.buffers().values()]

        return run

    def backward(name):
        def run(net, dy):
            layer = made(name)
            layer.forward(PIXELS / np.float32(255), training=True)
            return [layer.backward(dy), *(parameter.grad for parameter in layer.parameters())]

        return run

    found = {}
    for name in LAYERS:
        found[f"{name}.forward"] = "images", forward(name, False)
        found[f"{name}.forward in training"] = "images", forward(name, True)
        found[f"{name}.backward"] = ("gradients" if name == "Dense" else "images"), backward(name)
    return found


STRICT = layer_doors()  # these accept float32 only
OURS = re.compile(r"\b(must|may)\b.*; got |could not|were not", re.DOTALL)


def state(net) -> list:
    arrays = net.values, net.gradients, *net.buffers().values()
    return [*(array.tobytes() for array in arrays), net.epochs_trained, net.scale, net.layers[3].step]


def outcome(door, net, array) -> tuple[str, Any]:
    """Return the result of a call for an array: "done" and its bytes, or "refused" and the error."""
    before = state(net)
    try:
        results = door(net, array)
    except (TypeError, ValueError) as error:
        refusal = error
    except fd.DivergedError:
        return "diverged", None
    else:
        return "done", [one.tobytes() if isinstance(one, np.ndarray) else repr(one) for one in results]
    assert OURS.search(str(refusal)), f"{type(refusal).__name__}: {refusal}"
    assert state(net) == before
    return "refused", type(refusal)


@SHARES
@pytest.mark.parametrize("name", [*DOORS, *STRICT])
def test_an_array_gives_what_its_plain_copy_gives_or_is_refused(name, share):
    role, door = DOORS.get(name) or STRICT[name]

    @with_drawn_data(share)
    def check(data):
        array, plain = data.draw(arrays(role))
        before = array.tobytes(), array.shape, array.dtype, array.flags.writeable
        found = outcome(door, network(), array)
        assert (array.tobytes(), array.shape, array.dtype, array.flags.writeable) == before
        if plain is None:
            assert found == ("refused", TypeError) or (found[0] == "refused" and array.size == 0)
        elif found[0] != "refused" or (name in DOORS and role != "images"):
            assert found == outcome(door, network(), plain)
        elif name in DOORS:
            assert outcome(door, network(), plain)[0] == "refused"


# -- results -------------------------------------------------------------------------------------------------


@SHARES
@pytest.mark.parametrize("door", ["forward", "predict_proba", "backward", "loss: logits", *STRICT])
def test_the_results_are_those_of_the_twin(door, share):
    role, call = DOORS.get(door) or STRICT[door]
    before = backends.backend_name()

    @with_drawn_data(share)
    def check(data):
        kind = data.draw(st.sampled_from(["f4", "f4", "u1"] if door in STRICT else REAL))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        most = 1 if np.dtype(kind).kind == "f" and door not in DOORS else 100  # the network takes pixels
        values = (rng.random(RIGHT[role]) * most).astype(kind)
        array = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))](values)
        results = []
        for backend in ("numpy", data.draw(st.sampled_from(backends.available_backends()))):
            backends.use_backend(backend)
            try:
                results.append(call(network(), array))
            except TypeError as error:  # a layer accepts float32 in native byte order only
                assert door in STRICT
                results.append(str(error))
            finally:
                backends.use_backend(before)
        if isinstance(results[0], str):
            assert results[0] == results[1]
            return
        for found, right in zip(*reversed(results), strict=True):
            if found is None:
                continue
            # Sums of at most 9 products, a softmax, a division by a deviation: some hundred roundings
            np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5 * (1 + np.abs(right).max()))


# -- broadcast arrays ----------------------------------------------------------------------------------------

GIANTS = {
    "images": [
        np.broadcast_to(np.zeros((1, WIDTH), np.uint8), (10**12, WIDTH)),
        np.broadcast_to(np.float32(0), (10**12, WIDTH)),
        np.broadcast_to(np.int64(0), (10**12, 3, 3)),
        np.broadcast_to(np.zeros((3, 1), np.uint8), (10**12, 3, 3)),
        np.broadcast_to(np.uint8(0), (2**31, 2**31)),
    ],
    "labels": [np.broadcast_to(np.int64(0), (10**12,)), np.broadcast_to(np.uint8(0), (2**40,))],
}
GIANTS |= dict.fromkeys(("weights", "gradients", "vector"), GIANTS["images"] + GIANTS["labels"])


@pytest.mark.parametrize("name", [*DOORS, *STRICT])
def test_a_broadcast_array_of_terabytes_is_refused_at_once(name):
    role, door = DOORS.get(name) or STRICT[name]
    tracemalloc.start()
    try:
        for giant in GIANTS[role]:
            assert outcome(door, network(), giant)[0] == "refused", giant.shape
        assert (
            tracemalloc.get_traced_memory()[1] < 2**24
        )  # a copy would take terabytes; imports take one megabyte of these 16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["predict", "fit: x", "Dense.forward"])
def test_the_error_for_a_giant_array_gives_its_size(name):
    _, door = DOORS.get(name) or STRICT[name]
    with pytest.raises(ValueError, match=r"x must fit into memory when copied; got \(10{12}, 9\), 9,000"):
        door(network(), GIANTS["images"][0])


def test_a_broadcast_array_that_fits_into_memory_is_accepted():
    x = np.broadcast_to(PIXELS[:1], (1000, WIDTH))
    np.testing.assert_array_equal(network().predict_proba(x), network().predict_proba(x.copy()))


def test_layers_refuse_masked_arrays():
    x = np.ma.masked_array(np.ones((2, WIDTH), np.float32), np.eye(2, WIDTH) > 0)
    with pytest.raises(ValueError, match=r"ReLU\(\): x must have no masked values; got a masked array"):
        fd.ReLU().forward(x)


def test_kernels_get_aligned_arrays_only():
    odd = LAYOUTS["misaligned"]
    for seen in (
        to_rows(odd(np.ones((2, WIDTH), np.float32)), None, "x"),
        check_labels(odd(LABELS), N, CLASSES, "y"),
        check_weights(odd(np.ones(N, np.float32)), N, "sample_weight"),
        fd.Dropout().forward(odd(np.ones((2, WIDTH), np.float32))),
    ):
        assert seen.flags.aligned


# -- scikit-learn --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.filterwarnings(
    "ignore:invalid value encountered in cast"
)  # scikit-learn's, of labels such as 1e30
@SHARES
@pytest.mark.parametrize("role", ["images", "labels", "weights"])
def test_the_estimator_accepts_any_array_or_refuses_it(role, share):
    FastDigitsClassifier = pytest.importorskip("fastdigits.sklearn").FastDigitsClassifier

    @with_drawn_data(share)
    def check(data):
        array, plain = data.draw(arrays(role))
        before = array.tobytes()
        found = []
        for one in (array, array if plain is None else plain):
            given = {"images": PIXELS, "labels": LABELS, "weights": None, role: one}
            model = FastDigitsClassifier(
                hidden_layer_sizes=(4,), max_iter=1, tol=None, batch_size=4, random_state=0
            )
            try:
                model.fit(given["images"], given["labels"], given["weights"])
                found.append(model.predict_proba(PIXELS).tobytes())
            except (TypeError, ValueError):
                found.append(b"refused")
            except fd.DivergedError:
                found.append(b"diverged")
        assert array.tobytes() == before
        assert found[0] in (found[1], b"refused")
