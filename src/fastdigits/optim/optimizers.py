"""Optimizers, from simple to complex: update parameters from their gradients. They need no layer, network or loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .. import backend
from ..backend import aligned
from ..core import changes
from ..core.arrays import Float32, Int64, writable
from ..core.configured import Configured
from ..core.schema import Check, float_array, integer, validate
from ..core.validation import check_number
from ..nn.parameters import Parameter


class State(changes.Tracked):
    """An optimizer's state of one parameter.

    Attributes
    ----------
    step : int
        Updates so far.
    arrays : list of ndarray, (size,) float32
        One for each of the optimizer's ``state_names``, initially zeros.
    """

    step = changes.Count()
    _step: Int64

    def __init__(self, arrays: list[Float32]) -> None:
        self.step = 0
        self.arrays = arrays

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.arrays = [writable(array) for array in self.arrays]


class Optimizer(Configured):
    """The base class of optimizers: the learning rate, the states of parameters, and `step`.

    Your own optimizer overrides ``_update`` and lists the names of its arrays in ``state_names``. List the
    arrays that are never negative in ``state_not_negative``, too.

    Parameters
    ----------
    lr : float
        Learning rate, above 0.

    Attributes
    ----------
    lr : float
    step_count : int
        Number of calls of `step` so far.

    Raises
    ------
    TypeError
        If a hyperparameter is not a number.
    ValueError
        If one is out of range.

    Notes
    -----
    The first update of a parameter creates its state, which counts the parameter's own updates and is deleted with it.
    So one optimizer can train several networks independently.

    Examples
    --------
    >>> import fastdigits as fd
    >>> weight = fd.Parameter("weight", [1.0, 2.0])
    >>> weight.grad = [10.0, -10.0]
    >>> fd.SGD(lr=0.1).step([weight])
    >>> weight.value
    array([0., 3.], dtype=float32)
    """

    state_names: tuple[str, ...] = ()
    state_not_negative: tuple[str, ...] = ()
    step_count = changes.Count()
    _step_count: Int64

    def __init__(self, lr: float) -> None:
        self.lr = self._checked("lr", lr, over=0)
        self.step_count = 0
        self._states: WeakKeyDictionary[Parameter, State] = WeakKeyDictionary()

    def step(self, parameters: Iterable[Parameter], lr: float | None = None, kernels: Any = None) -> None:
        """Update each parameter once, in place, from its gradient.

        Parameters
        ----------
        parameters : iterable of Parameter
            ``grad`` is read, ``value`` is written.
        lr : float, optional
            Learning rate of this step only, at least 0, for example from a schedule; default ``self.lr``.

        Raises
        ------
        TypeError
            If an item is not a Parameter, or the learning rate not a number.
        ValueError
            If the learning rate is out of range. Both are raised before any update.
        """
        rate = self._checked("lr", self.lr if lr is None else lr, least=0)
        for parameter in self._checked_parameters(parameters):
            state = self._state(parameter)
            (kernels or backend.kernels).advance(state._step)
            if kernels is None:
                self._update(parameter, state, rate)
            else:
                self._update(parameter, state, rate, kernels)
        (kernels or backend.kernels).advance(self._step_count)

    def states(self, parameters: Iterable[Parameter]) -> list[State]:
        """Return the state of each parameter: the objects, not copies."""
        return [self._state(parameter) for parameter in parameters]

    def forget(self, parameters: Iterable[Parameter]) -> None:
        """Delete the states of these parameters."""
        for parameter in parameters:
            self._states.pop(parameter, None)
        changes.mark_changed()

    def state_dict(self, parameters: Iterable[Parameter]) -> dict[str, Any]:
        """Return the state that `load_state_dict` needs to continue with these parameters.

        Parameters
        ----------
        parameters : iterable of Parameter
            With different names, such as those of one network.

        Returns
        -------
        dict
            ``"step"``: number of updates; ``"<state>/<parameter>"``, such as ``"m/dense1.weight"``: a copy
            of the array, in the parameter's shape.

        Raises
        ------
        ValueError
            If two names are the same, or if the parameters were not always updated together.
        """
        given = self._checked_parameters(parameters)
        states = self.states(given)
        steps = {state.step for state in states}
        if len(steps) > 1:
            raise ValueError(
                f"{self._subject}: the parameters must have been updated together; got {sorted(steps)} "
                "updates: call state_dict for each group"
            )
        content: dict[str, Any] = {"step": steps.pop() if steps else 0}
        for parameter, state in zip(given, states, strict=True):
            for name, array in zip(self.state_names, state.arrays, strict=True):
                content[f"{name}/{parameter.name}"] = array.reshape(parameter.value.shape).copy()
        if len(content) != 1 + len(given) * len(self.state_names):
            raise ValueError(
                f"{self._subject}: names of parameters must differ; got {[one.name for one in given]}"
            )
        return content

    def check_state_dict(self, parameters: Iterable[Parameter], content: Mapping[str, Any]) -> dict[str, Any]:
        """Check a state for `load_state_dict` and return it, with arrays as float32; nothing changes.

        Parameters
        ----------
        parameters, content
            As for `load_state_dict`.

        Raises
        ------
        TypeError
            If the step is not an integer, or if an array has no real numbers.
        ValueError
            If an entry is missing or unknown, if an array has another shape or is not finite, or if a mean of
            squares is negative.
        """
        checks: dict[str, Check] = {"step": integer()}
        for parameter in self._checked_parameters(parameters):
            for name in self.state_names:
                least = 0.0 if name in self.state_not_negative else None
                checks[f"{name}/{parameter.name}"] = float_array(parameter.value.shape, least)
        return validate(content, checks, self._subject)

    def load_state_dict(self, parameters: Iterable[Parameter], content: Mapping[str, Any]) -> None:
        """Restore the state of these parameters from `state_dict`.

        Parameters
        ----------
        parameters : iterable of Parameter
            With the same names and shapes as those saved.
        content : mapping
            Return value of `state_dict`.

        Raises
        ------
        TypeError, ValueError
            As `check_state_dict`, before anything is changed.
        """
        given = self._checked_parameters(parameters)
        content = self.check_state_dict(given, content)
        step = content["step"]
        arrays = [
            [self._loaded(content, name, parameter) for name in self.state_names] for parameter in given
        ]
        for state, loaded in zip(self.states(given), arrays, strict=True):
            state.step, state.arrays = step, loaded
        self.step_count = step

    def _update(self, parameter: Parameter, state: State, lr: float, kernels: Any = None) -> None:
        """Update the value of one parameter, and its state."""
        raise NotImplementedError(f"{self._subject}: an optimizer must have an _update; got none")

    @property
    def _subject(self) -> str:
        return type(self).__name__

    def _checked(self, name: str, value: object, **bounds: float) -> float:
        return check_number(value, name, self._subject, **bounds)

    def _checked_parameters(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        if not isinstance(parameters, Iterable):
            raise TypeError(f"{self._subject}: parameters must be a list of Parameter; got {parameters!r}")
        given = list(parameters)
        for parameter in given:
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{self._subject}: each of parameters must be a Parameter; got {parameter!r}")
        return given

    def _state(self, parameter: Parameter) -> State:
        state = self._states.get(parameter)
        if state is None:
            size = parameter.value.size
            state = State([aligned.zeros(size) for _ in self.state_names])
            self._states[parameter] = state
        return state

    def _loaded(self, content: Mapping[str, Any], name: str, parameter: Parameter) -> Float32:
        loaded: Float32 = aligned.floats(parameter.value.size)
        loaded[...] = content[f"{name}/{parameter.name}"].reshape(-1)
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        """Replace the weak references, which cannot be pickled, by pairs of parameters and states."""
        return super().__getstate__() | {"_states": list(self._states.items())}

    def __setstate__(self, content: dict[str, Any]) -> None:
        super().__setstate__(content)
        self._states = WeakKeyDictionary(content["_states"])


class SGD(Optimizer):
    """Stochastic gradient descent: value ← value - lr · grad.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, above 0.

    References
    ----------
    Robbins, Monro (1951), A Stochastic Approximation Method.
    """

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__(lr)

    def _update(self, parameter: Parameter, state: State, lr: float, kernels: Any = None) -> None:
        value, grad = parameter.flat()
        (kernels or backend.kernels).sgd_update(value, grad, lr)


class Momentum(Optimizer):
    """Gradient descent with momentum: velocity ← momentum · velocity + grad; value ← value - lr · velocity.

    With Nesterov momentum, after the same velocity update: value ← value - lr · (grad + momentum · velocity).

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate, above 0.
    momentum : float, default 0.9
        Decay factor of the velocity, 0 ≤ momentum < 1. With constant gradients, steps grow to 1 / (1 - momentum)
        times those of `SGD`.
    nesterov : bool, default False
        Whether to use Nesterov momentum.

    Notes
    -----
    As in PyTorch, the learning rate multiplies the velocity in the update. In Sutskever et al. it is part of the
    velocity, which differs only if the learning rate changes.

    References
    ----------
    Polyak (1964), Some methods of speeding up the convergence of iteration methods. Sutskever, Martens, Dahl,
    Hinton (2013), On the importance of initialization and momentum in deep learning, section 2.
    """

    state_names = ("velocity",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9, *, nesterov: bool = False) -> None:
        super().__init__(lr)
        self.momentum = self._checked("momentum", momentum, least=0, under=1)
        if not isinstance(nesterov, bool | np.bool_):
            raise TypeError(f"{self._subject}: nesterov must be True or False; got {nesterov!r}")
        self.nesterov = bool(nesterov)

    def _update(self, parameter: Parameter, state: State, lr: float, kernels: Any = None) -> None:
        value, grad = parameter.flat()
        (velocity,) = state.arrays
        (kernels or backend.kernels).momentum_update(value, velocity, grad, lr, self.momentum, self.nesterov)


class RMSprop(Optimizer):
    """Divide each step by the root of a running mean of squared gradients, elementwise.

    square ← decay · square + (1 - decay) · grad²; value ← value - lr · grad / (√square + eps).

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, above 0.
    decay : float, default 0.9
        Decay factor of the squares, 0 ≤ decay < 1.
    eps : float, default 1e-8
        Added outside the square root, above 0; prevents 0 / 0.

    References
    ----------
    Tieleman, Hinton (2012), Neural Networks for Machine Learning, lecture 6.5.
    """

    state_names = ("square",)
    state_not_negative = ("square",)

    def __init__(self, lr: float = 0.001, decay: float = 0.9, *, eps: float = 1e-8) -> None:
        super().__init__(lr)
        self.decay = self._checked("decay", decay, least=0, under=1)
        self.eps = self._checked("eps", eps, over=0)

    def _update(self, parameter: Parameter, state: State, lr: float, kernels: Any = None) -> None:
        value, grad = parameter.flat()
        (square,) = state.arrays
        (kernels or backend.kernels).rmsprop_update(value, square, grad, lr, self.decay, self.eps)


class Adam(Optimizer):
    """Running mean of the gradient, divided by the root of a running mean of its square, both with bias correction.

    At update t, counted from 1: m ← beta1 · m + (1 - beta1) · grad; v ← beta2 · v + (1 - beta2) · grad²;
    value ← value - lr · m̂ / (√v̂ + eps), where m̂ = m / (1 - beta1ᵗ) and v̂ = v / (1 - beta2ᵗ).

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate, above 0; about the size of one step of each value.
    beta1 : float, default 0.9
        Decay factor of m, 0 ≤ beta1 < 1.
    beta2 : float, default 0.999
        Decay factor of v, 0 ≤ beta2 < 1.
    eps : float, default 1e-8
        Added outside the square root, above 0; prevents 0 / 0.

    References
    ----------
    Kingma, Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1.
    """

    state_names = ("m", "v")
    state_not_negative = ("v",)

    def __init__(
        self, lr: float = 0.001, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__(lr)
        self.beta1 = self._checked("beta1", beta1, least=0, under=1)
        self.beta2 = self._checked("beta2", beta2, least=0, under=1)
        self.eps = self._checked("eps", eps, over=0)

    def _update(self, parameter: Parameter, state: State, lr: float, kernels: Any = None) -> None:
        value, grad = parameter.flat()
        m, v = state.arrays
        (kernels or backend.kernels).adam_update(
            value, m, v, grad, state._step, lr, self.beta1, self.beta2, self.eps, self._weight_decay()
        )

    def _weight_decay(self) -> float:
        return 0.0


class AdamW(Adam):
    """Adam with decoupled weight decay: value ← value - lr · weight_decay · value, then the step of `Adam`.

    Parameters
    ----------
    lr, beta1, beta2, eps
        As for `Adam`.
    weight_decay : float, default 0.01
        Rate of decay towards zero, at least 0, relative to the learning rate. It applies to all parameters, also to
        biases and the scales of batch normalisation.

    Notes
    -----
    The decay is proportional to the learning rate of the step, so a schedule scales both.

    References
    ----------
    Loshchilov, Hutter (2019), Decoupled Weight Decay Regularization, algorithm 2.
    """

    def __init__(
        self,
        lr: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(lr, beta1=beta1, beta2=beta2, eps=eps)
        self.weight_decay = self._checked("weight_decay", weight_decay, least=0)

    def _weight_decay(self) -> float:
        return self.weight_decay
