"""PyTorch takes over a network and gives one back; neither side needs to know the other's code."""

import sys

import numpy as np
import pytest

import fastdigits as fd


def torch_module():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(
        1
    )  # beside other work, its threads wait for each other ten times as long as they compute
    return torch


def ours(seed: int = 0, last: tuple[fd.Layer, ...] = ()) -> fd.NeuralNetwork:
    layers = [
        fd.Dense(784, 24), fd.BatchNorm(24, momentum=0.2, eps=1e-3), fd.ReLU(), fd.Dropout(0.2),
        fd.Dense(24, 16), fd.LeakyReLU(0.1), fd.Dense(16, 10),
    ]  # fmt: skip
    return fd.NeuralNetwork([*layers, *last], seed=seed)


def theirs(*last):
    nn = torch_module().nn
    return nn.Sequential(
        nn.Linear(784, 24), nn.BatchNorm1d(24, momentum=0.2, eps=1e-3), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(24, 16), nn.LeakyReLU(0.1), nn.Linear(16, 10), *last,
    )  # fmt: skip


def answers(module, x: np.ndarray) -> np.ndarray:
    torch = torch_module()
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(x.reshape(len(x), -1).astype(np.float32) / np.float32(255))).numpy()


def train_theirs(module, x: np.ndarray, y: np.ndarray) -> None:
    torch = torch_module()
    torch.manual_seed(1)
    images = torch.from_numpy(x.reshape(len(x), -1).astype(np.float32) / np.float32(255))
    labels = torch.from_numpy(y.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    module.train()
    for part in torch.arange(len(x)).split(64):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(images[part]), labels[part]).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def digits():
    (x, y), (x_test, y_test) = fd.load_mnist()
    return x[:6000], y[:6000], x_test, y_test


def arrays(net: fd.NeuralNetwork) -> dict[str, np.ndarray]:
    return {one.name: one.value.copy() for one in net.parameters()} | {
        name: array.copy() for name, array in net.buffers().items()
    }


def state_of(net: fd.NeuralNetwork) -> dict[str, np.ndarray]:
    """Return the state as arrays of NumPy, spelled out by hand."""
    own = arrays(net)
    state = {f"{place}.weight": own[f"dense{n}.weight"].T for n, place in ((1, 0), (2, 4), (3, 6))}
    state |= {f"{place}.bias": own[f"dense{n}.bias"] for n, place in ((1, 0), (2, 4), (3, 6))}
    state |= {"1.weight": own["batchnorm1.gamma"], "1.bias": own["batchnorm1.beta"]}
    return state | {f"1.{name}": own[f"batchnorm1.{name}"] for name in ("running_mean", "running_var")}


# -- with PyTorch ------------------------------------------------------------------------------------------


def test_pytorch_gives_the_same_logits_after_training_here(digits, logit_tolerance):
    x, y, x_test, y_test = digits
    net, module = ours(), theirs()
    net.fit(x, y, epochs=2, optimizer=fd.Adam(lr=0.01))
    module.load_state_dict(net.to_torch_state_dict())  # strict: every name and shape
    logits = answers(module, x_test)
    assert (abs(logits - net.forward(x_test)) <= logit_tolerance(net, x_test)).all()
    assert (logits.argmax(axis=1) == y_test).mean() > 0.8


def test_the_same_logits_come_back_after_training_in_pytorch(digits, logit_tolerance):
    x, y, x_test, y_test = digits
    net, module = ours(seed=5), theirs()
    module.load_state_dict(net.to_torch_state_dict())
    train_theirs(module, x, y)
    assert module.state_dict()["1.num_batches_tracked"] == 94
    net.load_torch_state_dict(module.state_dict())
    logits = net.forward(x_test)
    assert (abs(logits - answers(module, x_test)) <= logit_tolerance(net, x_test)).all()
    assert net.evaluate(x_test, y_test)["accuracy"] > 0.8
    back = net.to_torch_state_dict()
    for name, tensor in module.state_dict().items():
        assert back[name].equal(tensor) or name == "1.num_batches_tracked"


def test_a_network_that_ends_in_softmax_gives_the_same_probabilities(digits, logit_tolerance):
    x_test = digits[2][:500]
    torch = torch_module()
    net, module = ours(1, (fd.Softmax(),)), theirs(torch.nn.Softmax(dim=1))
    module.load_state_dict(net.to_torch_state_dict())
    # A softmax passes half of its input's error on at most; its own roundings are about ten of numbers below 1.
    close = logit_tolerance(net, x_test).max(axis=1, keepdims=True) / 2 + 1e-6
    assert (abs(answers(module, x_test) - net.predict_proba(x_test)) <= close).all()


def test_the_names_shapes_and_dtypes_are_those_of_pytorch():
    module, state = theirs(), ours().to_torch_state_dict()
    wanted = module.state_dict()
    assert list(state) == list(wanted)
    assert [(one.shape, one.dtype) for one in state.values()] == [
        (one.shape, one.dtype) for one in wanted.values()
    ]
    assert all(tensor.is_contiguous() for tensor in state.values())


def test_the_tensors_are_copies():
    torch_module()
    net = ours()
    before = arrays(net)
    for tensor in net.to_torch_state_dict().values():
        tensor.fill_(7)
    np.testing.assert_equal(arrays(net), before)


def test_tensors_with_a_gradient_and_of_every_floating_point_type_are_taken():
    torch = torch_module()
    source, net = ours(seed=3), ours(seed=4)
    net.load_torch_state_dict(
        {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in state_of(source).items()}
    )
    np.testing.assert_equal(arrays(net), arrays(source))
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        state = {name: torch.from_numpy(array.copy()).to(dtype) for name, array in state_of(source).items()}
        net.load_torch_state_dict(state)
        np.testing.assert_array_equal(net.layers[0].weight.value.T, state["0.weight"].float().numpy())


def test_integer_tensors_are_refused():
    torch = torch_module()
    state = state_of(ours()) | {"0.bias": torch.zeros(24, dtype=torch.int64)}
    with pytest.raises(TypeError, match=r"0.bias must hold floating-point numbers; got dtype int64"):
        ours().load_torch_state_dict(state)


# -- without it --------------------------------------------------------------------------------------------


def test_arrays_of_numpy_are_taken_into_the_same_memory():
    source, net = ours(seed=3), ours(seed=4)
    places = [one.value.ctypes.data for one in net.parameters()]
    net.load_torch_state_dict(state_of(source) | {"1.num_batches_tracked": np.array(94)})
    np.testing.assert_equal(arrays(net), arrays(source))
    assert [one.value.ctypes.data for one in net.parameters()] == places
    x = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(net.predict_proba(x), source.predict_proba(x))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"6.bias": None}, ValueError, r"got \['6.bias'\] missing and none unknown: each name begins"),
        ({"7.bias": np.zeros(10)}, ValueError, r"got none missing and \['7.bias'\] unknown"),
        ({"0.num_batches_tracked": np.array(0)}, ValueError, r"\['0.num_batches_tracked'\] unknown"),
        ({7: np.zeros(10)}, ValueError, r"none missing and \['7'\] unknown"),
        ({"6.weight": np.zeros((16, 10))}, ValueError, r"6.weight must be \(10, 16\); got \(16, 10\)"),
        ({"6.bias": np.zeros(10, np.int32)}, TypeError, "6.bias must hold floating-point numbers; got dtype int32"),
        ({"6.bias": ["a"] * 10}, TypeError, "6.bias must hold real numbers; got dtype"),
        ({"6.bias": np.full(10, np.nan)}, ValueError, "6.bias must be finite; got nan"),
        ({"6.bias": np.full(10, 1e300)}, ValueError, "6.bias must be finite; got inf"),
        ({"1.running_var": np.full(24, -1.0)}, ValueError, "1.running_var must not be negative; got -1"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(change, error, match):
    net = ours(seed=4)
    before = arrays(net)
    state = state_of(ours(seed=3)) | change
    with pytest.raises(error, match=f"^load_torch_state_dict: .*{match}"):
        net.load_torch_state_dict({name: value for name, value in state.items() if value is not None})
    np.testing.assert_equal(arrays(net), before)


def test_a_module_instead_of_its_state_is_refused():
    class Module:
        def state_dict(self):
            return {}

    with pytest.raises(TypeError, match=r"state must be a mapping; got Module: module.state_dict\(\)"):
        ours().load_torch_state_dict(Module())
    with pytest.raises(TypeError, match="state must be a mapping; got list"):
        ours().load_torch_state_dict([])


def test_a_layer_of_the_user_is_refused():
    class Same(fd.Layer):
        def forward(self, x, training=False):
            return x

    net = fd.NeuralNetwork([fd.Dense(4, 3), Same()])
    for call in (net.to_torch_state_dict, lambda: net.load_torch_state_dict({})):
        with pytest.raises(TypeError, match=r"all layers must be built-in, Dense.*PyTorch has no layer like"):
            call()


def test_without_pytorch_there_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ImportError, match=r"to_torch_state_dict: PyTorch must be installed.*pip install torch"
    ):
        ours().to_torch_state_dict()


def test_a_standardised_input_is_batch_normalisation_that_does_not_train():
    torch = torch_module()
    x = np.random.default_rng(0).normal(5, 3, (40, 6)).astype(np.float32)
    net = fd.NeuralNetwork([fd.Standardize(6).adapt(x), fd.Dense(6, 3)])
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(6, eps=0, affine=False), torch.nn.Linear(6, 3)).eval()
    module.load_state_dict(net.to_torch_state_dict())
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), net.forward(x), atol=1e-5)
    other = fd.NeuralNetwork([fd.Standardize(6), fd.Dense(6, 3)], seed=1)
    other.load_torch_state_dict(module.state_dict())
    np.testing.assert_array_equal(other.forward(x), net.forward(x))
