"""A layer of a user needs forward and backward; everything else has a default."""

import numpy as np
import pytest

from fastdigits.nn.layers import Layer


class Scale(Layer):
    def __init__(self, factor, *, shift=0.0):
        self.factor, self.shift = factor, shift


def test_a_layer_has_no_parameters_no_buffers_and_keeps_the_width():
    layer = Layer()
    assert layer.name == ""
    assert layer.parameters() == []
    assert layer.buffers() == {}
    assert layer.output_width(7) == 7
    assert layer.operations(7) == 0
    assert layer.initialize(np.random.default_rng(0)) is None


def test_forward_and_backward_must_be_written():
    with pytest.raises(NotImplementedError, match=r"^Scale\(2\): a layer must have a forward"):
        Scale(2).forward(np.zeros((1, 1), np.float32))
    with pytest.raises(NotImplementedError, match=r"^Scale\(2\): a layer must have a backward"):
        Scale(2).backward(np.zeros((1, 1), np.float32))


def test_configuration_and_repr_come_from_the_constructor():
    layer = Scale(2, shift=0.5)
    assert layer.config() == {"factor": 2, "shift": 0.5}
    assert repr(layer) == "Scale(2, shift=0.5)"
