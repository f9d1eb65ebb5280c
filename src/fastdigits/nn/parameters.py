"""Trainable parameters: values and gradients, each kind in one block of memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..backend import aligned
from ..core import changes
from ..core.arrays import Float32, as_array, writable

_ALIGNMENT = aligned.LINE // 4  # floats


class Parameter(changes.Tracked):
    """A trainable array, and the gradient of the loss with respect to it.

    Parameters
    ----------
    name : str
        Such as ``"weight"``; a network adds the name of its layer, ``"dense1.weight"``.
    value : array_like
        Initial value, at least one number. Copied to float32 in C order.

    Attributes
    ----------
    name : str
    value : ndarray, float32
        Assigning to it copies the numbers into the existing array.
    grad : ndarray, float32
        Same shape, initially zeros. Each backward pass overwrites it. Assigning copies, as for ``value``. Copies and
        pickles have no gradient: theirs is zeros again.

    Raises
    ------
    TypeError
        If the name is not a string or the value has no real numbers.
    ValueError
        If the value is empty.
    """

    __slots__ = ("__weakref__", "_grad", "_value", "name")

    def __init__(self, name: str, value: object) -> None:
        if not isinstance(name, str):
            raise TypeError(f"Parameter: name must be a string; got {name!r}")
        array = as_array(value, f"Parameter {name}: value")
        if array.size == 0:
            raise ValueError(f"Parameter {name}: value must hold at least one number; got {array.shape}")
        self.name = name
        with np.errstate(over="ignore"):
            self._value: Float32 = np.array(array, dtype=np.float32, order="C")
        self._grad: Float32 = np.zeros_like(self._value)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Omit the gradient from copies and pickles, as layers omit the batch that it is of."""
        return None, {"name": self.name, "_value": self._value}

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:  # type: ignore[override]
        slots = state[1]  # in older pickles with the gradient
        self.name, self._value = slots["name"], writable(slots["_value"])
        self._grad = np.zeros_like(self._value)

    def __setattr__(self, name: str, value: Any) -> None:
        # without marking a change: `value` and `grad` keep their arrays
        object.__setattr__(self, name, value)

    @property
    def value(self) -> Float32:
        """The numbers that an optimizer updates."""
        return self._value

    @value.setter
    def value(self, new: object) -> None:
        self._write(self._value, new, "value")

    @property
    def grad(self) -> Float32:
        """Gradient of the loss with respect to ``value``."""
        return self._grad

    @grad.setter
    def grad(self, new: object) -> None:
        self._write(self._grad, new, "grad")

    def flat(self) -> tuple[Float32, Float32]:
        """Return value and gradient as views of shape (size,), for elementwise kernels."""
        return self._value.reshape(-1), self._grad.reshape(-1)

    def move_to(self, value_view: Float32, grad_view: Float32) -> None:
        """Copy value and gradient into these arrays and use them from now on.

        Parameters
        ----------
        value_view, grad_view : ndarray, float32, C order
            Arrays of this parameter's shape.

        Raises
        ------
        ValueError
            If shape, dtype or order differ.
        """
        for view in (value_view, grad_view):
            if view.shape != self._value.shape or view.dtype != np.float32 or not view.flags.c_contiguous:
                raise ValueError(
                    f"Parameter {self.name}: a new array must be {self._value.shape}, float32 in C order; "
                    f"got {view.shape}, {view.dtype}"
                )
        value_view[...], grad_view[...] = self._value, self._grad
        self._value, self._grad = value_view, grad_view
        changes.mark_changed()

    def tracked(self) -> Iterable[tuple[str, Any]]:
        """Return the arrays: a recorded program depends on no other attribute."""
        return [("value", self._value), ("grad", self._grad)]

    def _write(self, target: Float32, new: object, attribute: str) -> None:
        array = as_array(new, f"Parameter {self.name}: {attribute}")
        if array.shape != self._value.shape:
            raise ValueError(
                f"Parameter {self.name}: {attribute} must be {self._value.shape}; got {array.shape}"
            )
        with np.errstate(over="ignore"):
            target[...] = array

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, {self._value.shape})"


def flatten(parameters: Sequence[Parameter]) -> tuple[Float32, Float32]:
    """Move parameters into one block of values and one of gradients.

    Parameters
    ----------
    parameters : sequence of Parameter
        Each of them once. They keep their contents and become views of the blocks.

    Returns
    -------
    values, gradients : ndarray, (p,) float32
        Both blocks, and each parameter in them, start at a multiple of 64 bytes. Padding is zero.

    Raises
    ------
    ValueError
        If a parameter appears twice.
    """
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise ValueError(f"flatten: each parameter must appear once; got {list(parameters)}")
    starts = [0]
    for parameter in parameters:
        starts.append(starts[-1] + -(-parameter.value.size // _ALIGNMENT) * _ALIGNMENT)
    values, gradients = aligned.zeros(starts[-1]), aligned.zeros(starts[-1])
    for parameter, start in zip(parameters, starts, strict=False):
        place = slice(start, start + parameter.value.size)
        shape = parameter.value.shape
        parameter.move_to(values[place].reshape(shape), gradients[place].reshape(shape))
    return values, gradients
