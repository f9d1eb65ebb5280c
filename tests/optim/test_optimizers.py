"""What every optimizer promises, and the way each of them goes, compared with independent calculations."""

import copy
import gc
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

import fastdigits.optim.optimizers
from fastdigits.nn.parameters import Parameter, flatten
from fastdigits.optim.optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop

on_every_backend = pytest.mark.usefixtures(
    "backend"
)  # what is refused is refused in Python, before any kernel

STEPS = 8
LRS = [0.1, 0.1, 0.05, 0.0, 0.2, 0.1, 0.1, 0.1]


def gradients(seed: int = 1) -> np.ndarray:
    """Return a (3, 4) gradient for each step, of changing sign and size; one number is always zero."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(STEPS, 3, 4)) * 10.0 ** rng.integers(-3, 2, size=(STEPS, 1, 1))
    steps[:, 0, 0] = 0
    return steps.astype(np.float32)


def start() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def walk(optimizer: Optimizer, parameter: Parameter, steps: np.ndarray, lrs: list[float]) -> np.ndarray:
    """Return the values after each step."""
    values = []
    for gradient, lr in zip(steps, lrs, strict=True):
        parameter.grad[...] = gradient
        optimizer.step([parameter], lr=lr)
        values.append(parameter.value.copy())
    return np.array(values)


# -- an independent oracle: sums over the whole past, written out in float64, instead of running averages ---


def weighed(past: list[np.ndarray], decay: float) -> np.ndarray:
    """Return Σ decayᵃ · past, where a is the age: 0 for the newest."""
    return sum((decay**age * one for age, one in enumerate(reversed(past))), np.zeros_like(past[0]))


def sgd_move(past):
    return past[-1]


def momentum_move(past):
    return weighed(past, 0.8)


def nesterov_move(past):
    return past[-1] + 0.8 * weighed(past, 0.8)


def rmsprop_move(past):
    return past[-1] / (np.sqrt((1 - 0.95) * weighed([g * g for g in past], 0.95)) + 1e-6)


def adam_move(past):
    # Σ (1 - β) · β^age over t steps is 1 - βᵗ: the corrected mean is an average with these weights.
    total1, total2 = (sum(beta**age for age in range(len(past))) for beta in (0.8, 0.99))
    mean, square = weighed(past, 0.8) / total1, weighed([g * g for g in past], 0.99) / total2
    return mean / (np.sqrt(square) + 1e-6)


def way(move: Callable, decay: float = 0.0) -> np.ndarray:
    value, past, values = start().astype(np.float64), [], []
    for gradient, lr in zip(gradients().astype(np.float64), LRS, strict=True):
        past.append(gradient)
        value = value - lr * (move(past) + decay * value)
        values.append(value)
    return np.array(values)


CASES = {
    "SGD": (lambda: SGD(lr=3.0), sgd_move, 0.0),
    "Momentum": (lambda: Momentum(lr=3.0, momentum=0.8), momentum_move, 0.0),
    "Nesterov": (lambda: Momentum(lr=3.0, momentum=0.8, nesterov=True), nesterov_move, 0.0),
    "RMSprop": (lambda: RMSprop(lr=3.0, decay=0.95, eps=1e-6), rmsprop_move, 0.0),
    "Adam": (lambda: Adam(lr=3.0, beta1=0.8, beta2=0.99, eps=1e-6), adam_move, 0.0),
    "AdamW": (lambda: AdamW(lr=3.0, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.3), adam_move, 0.3),
}
every_optimizer = pytest.mark.parametrize("make", [case[0] for case in CASES.values()], ids=CASES)


def test_the_contract_covers_every_optimizer():
    kinds = {kind for kind in vars(fastdigits.optim.optimizers).values() if isinstance(kind, type)}
    optimizers = {kind for kind in kinds if issubclass(kind, Optimizer)} - {Optimizer}
    assert {type(make()) for make, _, _ in CASES.values()} == optimizers


# -- the way they go ---------------------------------------------------------------------------------------


@on_every_backend
@pytest.mark.parametrize(("make", "move", "decay"), CASES.values(), ids=CASES)
def test_eight_steps_with_changing_gradients_and_rates_follow_the_definition(make, move, decay):
    values = walk(make(), Parameter("weight", start()), gradients(), LRS)
    # Eight steps, each rounded a few times at 6e-8 of values up to about 10.
    np.testing.assert_allclose(values, way(move, decay), rtol=1e-5, atol=1e-5)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("name", CASES)
def test_pytorch_goes_the_same_way(name):
    import torch

    kinds = {
        "SGD": (torch.optim.SGD, {}),
        "Momentum": (torch.optim.SGD, {"momentum": 0.8}),
        "Nesterov": (torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        "RMSprop": (torch.optim.RMSprop, {"alpha": 0.95, "eps": 1e-6}),
        "Adam": (torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-6}),
        "AdamW": (torch.optim.AdamW, {"betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.3}),
    }
    kind, options = kinds[name]
    tensor = torch.tensor(start(), requires_grad=True)
    theirs, expected = kind([tensor], lr=1.0, **options), []
    for gradient, lr in zip(gradients(), LRS, strict=True):
        theirs.param_groups[0]["lr"] = lr
        tensor.grad = torch.tensor(gradient)
        theirs.step()
        expected.append(tensor.detach().numpy().copy())
    values = walk(CASES[name][0](), Parameter("weight", start()), gradients(), LRS)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


@on_every_backend
@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        # Gradients 2, then -1, from 10 at lr 0.1, on paper.
        (SGD(lr=0.1), [9.8, 9.9]),
        (Momentum(lr=0.1, momentum=0.5), [9.8, 9.8]),  # velocities 2, 0
        (Momentum(lr=0.1, momentum=0.5, nesterov=True), [9.7, 9.8]),  # moves 2 + 1, -1 + 0
        (RMSprop(lr=0.1, decay=0.75), [10 - 0.1 * 2 / 1, 9.8 + 0.1 / 1]),  # squares 1, 1
        (Adam(lr=0.1, beta1=0.5, beta2=0.5), [9.9, 9.9]),  # m 1, 0
        (AdamW(lr=0.1, beta1=0.5, beta2=0.5, weight_decay=0.5), [9.4, 8.93]),  # the same after 5 % less
    ],
    ids=repr,
)
def test_two_steps_worked_by_hand(optimizer, expected):
    optimizer, parameter = copy.deepcopy(optimizer), Parameter("weight", [10.0])
    values = []
    for gradient in (2.0, -1.0):
        parameter.grad = [gradient]
        optimizer.step([parameter])
        values.append(parameter.value[0])
    np.testing.assert_allclose(values, expected, rtol=1e-6)


@on_every_backend
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_adams_first_step_is_one_learning_rate_whatever_the_gradient(size):
    parameter = Parameter("weight", [0.0, 0.0])
    parameter.grad = [size, -size]
    Adam(lr=0.01).step([parameter])
    np.testing.assert_allclose(parameter.value, [-0.01, 0.01], rtol=2e-4)  # eps is 1e-4 of the smallest


@on_every_backend
def test_weight_decay_acts_on_the_value_not_on_the_gradient():
    parameter = Parameter("weight", [2.0])
    AdamW(lr=0.1, weight_decay=0.5).step([parameter])
    assert parameter.value[0] == pytest.approx(2.0 * (1 - 0.1 * 0.5))


@on_every_backend
@every_optimizer
def test_trap_of_the_original_no_step_reuses_a_stale_gradient(make):
    """The original's RMSprop can take the gradient of the parameter, or of the step, before."""
    first, second = Parameter("first", start()), Parameter("second", start())
    together, steps, others = make(), gradients(), gradients(seed=5)
    for one, other in zip(steps, others, strict=True):
        first.grad, second.grad = one, other
        together.step([first, second])
        flatten([first, second])  # gradients move to other memory; what they were stays behind
    lrs = [3.0] * STEPS
    alone = (walk(make(), Parameter("weight", start()), each, lrs)[-1] for each in (steps, others))
    for parameter, expected in zip((first, second), alone, strict=True):
        np.testing.assert_array_equal(parameter.value, expected)


# -- what every optimizer promises -------------------------------------------------------------------------


@on_every_backend
@every_optimizer
def test_a_step_moves_values_in_place_and_leaves_gradients_alone(make):
    parameter = Parameter("weight", start())
    value, gradient = parameter.value, gradients()[0]
    parameter.grad = gradient
    make().step([parameter])
    assert parameter.value is value
    assert (value != start()).any()
    np.testing.assert_array_equal(parameter.grad, gradient)


@on_every_backend
@every_optimizer
def test_a_gradient_of_zero_moves_nothing_but_by_decay(make):
    optimizer, parameter = make(), Parameter("weight", start())
    for _ in range(3):
        optimizer.step([parameter], lr=0.1)
    decay = getattr(optimizer, "weight_decay", 0.0)
    np.testing.assert_allclose(parameter.value, start() * (1 - 0.1 * decay) ** 3, rtol=1e-6)


@on_every_backend
@every_optimizer
def test_the_rate_given_to_a_step_counts_for_that_step_alone(make):
    def values(optimizer, *rates):
        parameter = Parameter("weight", start())
        for rate in rates:
            parameter.grad = gradients()[0]
            optimizer.step([parameter], lr=rate)
        return parameter.value

    np.testing.assert_array_equal(values(make(), 0.25, None), values(make(), 0.25, 3.0))
    still = values(make(), 0.0)
    np.testing.assert_array_equal(still, start())


@on_every_backend
@every_optimizer
def test_padding_of_the_blocks_and_scalars_are_fine(make):
    parameters = [Parameter("weight", start()), Parameter("scale", 2.0)]
    values, gradient_block = flatten(parameters)
    gradient_block[:] = 1
    make().step(parameters)
    assert (parameters[0].value != start()).all()
    assert parameters[1].value != 2.0
    assert not values[12:16].any()  # between the two


@on_every_backend
@every_optimizer
def test_another_network_starts_afresh(make):
    optimizer = make()
    expected = walk(make(), Parameter("weight", start()), gradients(), LRS)
    np.testing.assert_array_equal(walk(optimizer, Parameter("weight", start()), gradients(), LRS), expected)
    np.testing.assert_array_equal(walk(optimizer, Parameter("weight", start()), gradients(), LRS), expected)
    assert optimizer.step_count == 2 * STEPS


def test_the_state_of_a_parameter_goes_with_the_parameter():
    optimizer = Adam()
    optimizer.step([Parameter("weight", start()) for _ in range(3)])
    gc.collect()
    assert len(optimizer._states) == 0


@on_every_backend
@every_optimizer
def test_a_run_taken_up_from_its_state_goes_on_with_the_same_bits(make):
    optimizer, parameter = make(), Parameter("dense1.weight", start())
    walk(optimizer, parameter, gradients()[:4], LRS[:4])
    state = optimizer.state_dict([parameter])
    later, copied = make(), Parameter("dense1.weight", parameter.value)
    expected = walk(optimizer, parameter, gradients()[4:], LRS[4:])
    later.load_state_dict([copied], state)
    assert later.step_count == 4
    np.testing.assert_array_equal(walk(later, copied, gradients()[4:], LRS[4:]), expected)


@on_every_backend
@every_optimizer
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["deepcopy", "pickle"]
)
def test_a_copy_with_its_parameters_goes_on_with_the_same_bits(make, duplicate):
    optimizer, parameter = make(), Parameter("weight", start())
    walk(optimizer, parameter, gradients()[:4], LRS[:4])
    other, copied = duplicate((optimizer, parameter))
    expected = walk(optimizer, parameter, gradients()[4:], LRS[4:])
    np.testing.assert_array_equal(walk(other, copied, gradients()[4:], LRS[4:]), expected)
    assert other.step_count == STEPS


@on_every_backend
@every_optimizer
def test_the_state_holds_a_count_and_copies_in_the_shape_of_the_parameters(make):
    optimizer = make()
    parameters = [Parameter("dense1.weight", start()), Parameter("dense1.bias", np.ones(4))]
    assert optimizer.state_dict(parameters)["step"] == 0
    for parameter in parameters:
        parameter.grad = np.ones(parameter.value.shape)
    optimizer.step(parameters)
    state = optimizer.state_dict(parameters)
    assert state.pop("step") == 1
    assert set(state) == {f"{name}/{one.name}" for name in optimizer.state_names for one in parameters}
    for key, array in state.items():
        assert array.shape == {"dense1.weight": (3, 4), "dense1.bias": (4,)}[key.split("/")[1]]
        assert array.dtype == np.float32
        assert array.all()
        array[...] = 0
    assert all(array.all() for key, array in optimizer.state_dict(parameters).items() if key != "step")


@on_every_backend
def test_the_arrays_of_the_state_are_those_of_the_rule():
    parameter = Parameter("bias", [1.0])
    optimizer = Adam(beta1=0.9, beta2=0.99)
    parameter.grad = [2.0]
    optimizer.step([parameter])
    state = optimizer.state_dict([parameter])
    assert state["m/bias"][0] == pytest.approx(0.2)
    assert state["v/bias"][0] == pytest.approx(0.04)


# -- what is refused ---------------------------------------------------------------------------------------

WEIGHT = Parameter("weight", [1.0])
WEIGHT.grad = [1.0]


@every_optimizer
@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        (WEIGHT, "parameters must be a list of Parameter; got Parameter"),
        ([WEIGHT, np.ones(3)], "each of parameters must be a Parameter; got array"),
    ],
)
def test_what_is_no_parameter_is_refused_before_anything_moves(make, parameters, match):
    optimizer = make()
    for method in (optimizer.step, optimizer.state_dict, lambda one: optimizer.load_state_dict(one, {})):
        with pytest.raises(TypeError, match=f"^{type(optimizer).__name__}: {match}"):
            method(parameters)
    assert optimizer.step_count == 0
    assert WEIGHT.value[0] == 1.0


@every_optimizer
@pytest.mark.parametrize(
    ("lr", "error"), [(-0.1, ValueError), (float("nan"), ValueError), (1e39, ValueError), ("a", TypeError)]
)
def test_a_bad_rate_of_a_step_is_refused_before_anything_moves(make, lr, error):
    parameter = Parameter("weight", start())
    parameter.grad = gradients()[0]
    with pytest.raises(error, match="lr must be"):
        make().step([parameter], lr=lr)
    optimizer = make()
    optimizer.lr = lr
    with pytest.raises(error, match="lr must be"):
        optimizer.step([parameter])
    np.testing.assert_array_equal(parameter.value, start())


BAD_RATES = [
    (0.0, ValueError),
    (-1.0, ValueError),
    (math.inf, ValueError),
    (None, TypeError),
    (True, TypeError),
]
BAD_SHARES = [(-0.1, ValueError), (1.0, ValueError), (math.nan, ValueError), ("a", TypeError)]
BAD_EPS = [(0.0, ValueError), (-1e-8, ValueError), (1e-60, ValueError), (None, TypeError)]
BAD = [
    *((kind, "lr", *bad) for kind in (SGD, Momentum, RMSprop, Adam, AdamW) for bad in BAD_RATES),
    *((Momentum, "momentum", *bad) for bad in BAD_SHARES),
    (Momentum, "nesterov", 1, TypeError),
    *((RMSprop, "decay", *bad) for bad in BAD_SHARES),
    *((kind, name, *bad) for kind in (Adam, AdamW) for name in ("beta1", "beta2") for bad in BAD_SHARES),
    *((kind, "eps", *bad) for kind in (RMSprop, Adam, AdamW) for bad in BAD_EPS),
    (AdamW, "weight_decay", -0.1, ValueError),
    (AdamW, "weight_decay", "a", TypeError),
]


@pytest.mark.parametrize(("kind", "name", "value", "error"), BAD)
def test_a_bad_hyperparameter_is_refused(kind, name, value, error):
    with pytest.raises(error, match=f"^{kind.__name__}: {name} must be .*; got"):
        kind(**{name: value})


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    parameter, optimizer = Parameter("weight", start()), Adam()
    parameter.grad = gradients()[0]
    optimizer.step([parameter])
    good = optimizer.state_dict([parameter])
    bad = [
        ({**good, "m/weight": np.zeros(12)}, ValueError, r"Adam: m/weight must be \(3, 4\); got \(12,\)"),
        ({**good, "v/weight": "a"}, TypeError, "Adam: v/weight must hold real numbers"),
        (
            {"step": 1, "m/weight": good["m/weight"]},
            ValueError,
            r"got \['v/weight'\] missing and none unknown",
        ),
        ({**good, "m/bias": 1}, ValueError, r"got none missing and \['m/bias'\] unknown"),
        (
            {**good, "m/weight": np.full((3, 4), 1e300)},
            ValueError,
            "Adam: m/weight must be finite; got inf",
        ),
        (
            {**good, "v/weight": np.full((3, 4), np.nan)},
            ValueError,
            "Adam: v/weight must be finite; got nan",
        ),
        ({**good, "v/weight": -np.ones((3, 4))}, ValueError, "Adam: v/weight must not be negative; got -1"),
        ({**good, "m/weight": 1.0}, ValueError, r"Adam: m/weight must be \(3, 4\); got \(\)"),
        ({**good, "m/weight": [[1.0]]}, ValueError, r"Adam: m/weight must be \(3, 4\); got \(1, 1\)"),
        ({**good, "step": True}, TypeError, "Adam: step must be an integer; got True"),
        ({**good, "step": 10**400}, ValueError, "Adam: step must be at most .*; got a number of 1329 bits"),
        ([], TypeError, r"Adam: a state must have entries by name; got \[\]"),
        ({**good, "step": 1.5}, TypeError, "Adam: step must be an integer; got 1.5"),
        ({**good, "step": -1}, ValueError, "Adam: step must be at least 0; got -1"),
    ]
    for content, error, match in bad:
        with pytest.raises(error, match=match):
            optimizer.load_state_dict([parameter], content)
    after = optimizer.state_dict([parameter])
    assert after["step"] == optimizer.step_count == 1
    np.testing.assert_array_equal(after["m/weight"], good["m/weight"])


def test_a_state_needs_names_that_differ_and_a_common_count():
    optimizer = Momentum()
    twins = [Parameter("weight", start()), Parameter("weight", start())]
    optimizer.step(twins)
    with pytest.raises(
        ValueError, match=r"Momentum: names of parameters must differ; got \['weight', 'weight'\]"
    ):
        optimizer.state_dict(twins)
    optimizer.step(twins[:1])
    with pytest.raises(ValueError, match=r"must have been updated together; got \[1, 2\] updates"):
        optimizer.state_dict(twins)


# -- of one's own ------------------------------------------------------------------------------------------


def test_an_optimizer_of_ones_own_needs_an_update_alone():
    class Sign(Optimizer):
        state_names = ("last",)

        def _update(self, parameter, state, lr):
            value, grad = parameter.flat()
            value -= lr * np.sign(grad)
            state.arrays[0][:] = grad

    parameter = Parameter("bias", [1.0, 1.0])
    parameter.grad = [5.0, -0.1]
    optimizer = Sign(0.5)
    optimizer.step([parameter])
    np.testing.assert_array_equal(parameter.value, [0.5, 1.5])
    np.testing.assert_array_equal(optimizer.state_dict([parameter])["last/bias"], parameter.grad)


def test_an_optimizer_without_an_update_is_refused():
    with pytest.raises(NotImplementedError, match="Optimizer: an optimizer must have an _update"):
        Optimizer(0.1).step([Parameter("bias", [1.0])])


@pytest.mark.parametrize(
    ("optimizer", "shown"),
    [
        (SGD(), "SGD()"),
        (SGD(0.5), "SGD(lr=0.5)"),
        (Momentum(0.1, nesterov=True), "Momentum(lr=0.1, nesterov=True)"),
        (AdamW(weight_decay=0.05), "AdamW(weight_decay=0.05)"),
    ],
)
def test_the_repr_shows_what_is_not_default(optimizer, shown):
    assert repr(optimizer) == shown
    assert type(optimizer)(**optimizer.config()).config() == optimizer.config()


def test_the_defaults_are_the_documented_ones():
    assert SGD().config() == {"lr": 0.01}
    assert Momentum().config() == {"lr": 0.01, "momentum": 0.9, "nesterov": False}
    assert RMSprop().config() == {"lr": 0.001, "decay": 0.9, "eps": 1e-8}
    assert Adam().config() == {"lr": 0.001, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    assert AdamW().config() == {**Adam().config(), "weight_decay": 0.01}


@pytest.mark.parametrize(
    ("optimizer", "negative", "any_sign"),
    [(RMSprop(), ["square"], []), (AdamW(), ["v"], ["m"]), (Momentum(), [], ["velocity"])],
)
def test_only_means_of_squares_may_not_be_negative(optimizer, negative, any_sign):
    parameter = Parameter("weight", start())
    state = optimizer.state_dict([parameter])
    for name in negative:
        with pytest.raises(ValueError, match=f"{name}/weight must not be negative; got -1"):
            optimizer.load_state_dict([parameter], state | {f"{name}/weight": -np.ones((3, 4))})
        assert optimizer.step_count == 0
    for name in any_sign:
        optimizer.load_state_dict([parameter], state | {f"{name}/weight": -np.ones((3, 4))})
        np.testing.assert_array_equal(optimizer.state_dict([parameter])[f"{name}/weight"], -1)
