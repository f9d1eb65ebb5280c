"""Parameters own their numbers until a network moves them, side by side, into two blocks."""

import copy
import pickle

import numpy as np
import pytest

from fastdigits.nn.parameters import Parameter, flatten


def three() -> list[Parameter]:
    return [
        Parameter("weight", np.arange(1, 13).reshape(3, 4)),
        Parameter("bias", np.arange(1, 18)),
        Parameter("scale", 5.0),
    ]


def test_a_parameter_copies_its_value_to_float32_in_c_order():
    source = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    parameter = Parameter("weight", source)
    source[...] = 9
    np.testing.assert_array_equal(parameter.value, [[0, 1, 2], [3, 4, 5]])
    assert parameter.value.dtype == parameter.grad.dtype == np.float32
    assert parameter.value.flags.c_contiguous
    assert parameter.grad.shape == (2, 3)
    assert not parameter.grad.any()
    assert repr(parameter) == "Parameter('weight', (2, 3))"


@pytest.mark.parametrize("attribute", ["value", "grad"])
def test_assigning_copies_into_the_array_that_is_there(attribute):
    parameter = three()[0]
    before = getattr(parameter, attribute)
    new = np.full((4, 3), 7.0).T
    setattr(parameter, attribute, new)
    assert getattr(parameter, attribute) is before
    np.testing.assert_array_equal(before, 7)
    parameter.value -= 1  # in place, then assigned to itself
    assert parameter.value.shape == (3, 4)


@pytest.mark.parametrize("attribute", ["value", "grad"])
def test_assigning_another_shape_or_kind_is_refused(attribute):
    parameter = three()[0]
    with pytest.raises(ValueError, match=rf"weight: {attribute} must be \(3, 4\); got \(4,\)"):
        setattr(parameter, attribute, np.ones(4))
    with pytest.raises(TypeError, match=f"weight: {attribute} must hold real numbers"):
        setattr(parameter, attribute, "no")


@pytest.mark.parametrize(
    ("name", "value", "error", "match"),
    [
        (3, [1.0], TypeError, "name must be a string; got 3"),
        ("bias", ["a"], TypeError, "bias: value must hold real numbers"),
        ("bias", [], ValueError, r"bias: value must hold at least one number; got \(0,\)"),
    ],
)
def test_a_parameter_needs_a_name_and_numbers(name, value, error, match):
    with pytest.raises(error, match=match):
        Parameter(name, value)


def test_flat_gives_views():
    parameter = three()[0]
    value, grad = parameter.flat()
    value[:], grad[:] = 2, 3
    assert value.shape == grad.shape == (12,)
    assert (parameter.value == 2).all()
    assert (parameter.grad == 3).all()


def test_flatten_moves_every_parameter_with_its_contents():
    parameters = three()
    for parameter in parameters:
        parameter.grad = -parameter.value
    values, gradients = flatten(parameters)
    np.testing.assert_array_equal(parameters[0].value, np.arange(1, 13).reshape(3, 4))
    np.testing.assert_array_equal(parameters[1].grad, -np.arange(1, 18))
    assert parameters[2].value.shape == ()
    for parameter in parameters:
        assert np.shares_memory(parameter.value, values)
        assert np.shares_memory(parameter.grad, gradients)
    assert not np.shares_memory(values, gradients)


def test_blocks_and_parameters_start_at_a_cache_line_and_nothing_lies_between_them():
    parameters = three()
    values, gradients = flatten(parameters)
    assert values.shape == gradients.shape == (16 + 32 + 16,)
    for array in (values, gradients, *(one.value for one in parameters), *(one.grad for one in parameters)):
        assert array.ctypes.data % 64 == 0
    for parameter in parameters:
        parameter.value = np.zeros(parameter.value.shape)
    assert not values.any()


def test_flatten_again_moves_on():
    parameters = three()
    first, _ = flatten(parameters)
    second, _ = flatten(parameters)
    np.testing.assert_array_equal(first, second)
    first[:] = 0
    assert (parameters[1].value == np.arange(1, 18)).all()


def test_flatten_of_nothing_is_empty():
    assert [block.shape for block in flatten([])] == [(0,), (0,)]


def test_flatten_refuses_a_parameter_that_appears_twice():
    parameter = three()[0]
    with pytest.raises(ValueError, match="each parameter must appear once"):
        flatten([parameter, parameter])


@pytest.mark.parametrize(
    ("value", "grad"),
    [
        (np.zeros((4, 3), np.float32), np.zeros((3, 4), np.float32)),
        (np.zeros((3, 4), np.float32), np.zeros((3, 4))),
        (np.zeros((4, 3), np.float32).T, np.zeros((3, 4), np.float32)),
    ],
    ids=["shape", "dtype", "order"],
)
def test_a_parameter_moves_only_where_it_fits(value, grad):
    parameter = three()[0]
    with pytest.raises(ValueError, match=r"weight: a new array must be \(3, 4\), float32 in C order"):
        parameter.move_to(value, grad)
    assert parameter.value[2, 3] == 12


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deepcopy", "pickle"]
)
def test_a_copy_is_equal_and_independent(duplicate):
    parameters = three()
    flatten(parameters)
    other = duplicate(parameters[0])
    np.testing.assert_array_equal(other.value, parameters[0].value)
    assert other.name == "weight"
    assert not np.shares_memory(other.value, parameters[0].value)
