"""Typed signatures of the kernels' doors: the readable index of what is compiled.

Every door writes into arrays that the caller allocated. The order of arguments never varies: outputs, inputs,
scalars. Arrays are C-ordered; outputs differ from inputs unless the line above says "in place".
Every door has a twin of the same name and arguments in ``_reference.py``.
"""

from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_F: TypeAlias = npt.NDArray[np.float32]
_D: TypeAlias = npt.NDArray[np.float64]
_U8: TypeAlias = npt.NDArray[np.uint8]
_I64: TypeAlias = npt.NDArray[np.int64]

# -- gathering: y = x[rows]; rows (n,) in 0 … len(x) - 1 ---------------------------------------------------------

def gather(y: _F, x: _F, rows: _I64) -> None: ...
def gather_uint8(y: _U8, x: _U8, rows: _I64) -> None: ...
def gather_pixels(y: _F, x: _U8, rows: _I64) -> None: ...  # … / 255
def gather_labels(y: _I64, x: _I64, rows: _I64) -> None: ...
def gather_weights(
    y: _F, total: _D, x: _F, rows: _I64
) -> None: ...  # y sums to 1; total (1,) is the sum before

# -- dense: x (n, in), weight (in, out), bias (out,), y (n, out); pixels mean value / 255 -------------------------

def dense_forward(y: _F, x: _F, weight: _F, bias: _F) -> None: ...
def dense_forward_uint8(y: _F, x: _U8, weight: _F, bias: _F) -> None: ...
def dense_backward_input(dx: _F, dy: _F, weight: _F) -> None: ...
def dense_backward_weight(dweight: _F, dbias: _F, dy: _F, x: _F) -> None: ...
def dense_backward_weight_uint8(dweight: _F, dbias: _F, dy: _F, x: _U8) -> None: ...

# -- activations: all (n, d); y may be x and dx may be dy (in place) ---------------------------------------------

def relu_forward(y: _F, x: _F) -> None: ...
def relu_backward(dx: _F, dy: _F, y: _F) -> None: ...
def leaky_relu_forward(y: _F, x: _F, slope: float) -> None: ...
def leaky_relu_backward(dx: _F, dy: _F, x: _F, slope: float) -> None: ...
def softmax_forward(probs: _F, logits: _F) -> None: ...
def softmax_backward(dlogits: _F, dprobs: _F, probs: _F) -> None: ...
def dropout_forward(y: _F, x: _F, rate: float, seed: int, step: int) -> None: ...
def dropout_backward(dx: _F, dy: _F, rate: float, seed: int, step: int) -> None: ...

# -- batch normalisation: x, y, x_hat (n, d); every statistic and parameter (d,) ---------------------------------

def batchnorm_forward(  # running_mean and running_var are updated in place
    y: _F,
    x_hat: _F,
    inv_std: _F,
    running_mean: _F,
    running_var: _F,
    x: _F,
    gamma: _F,
    beta: _F,
    momentum: float,
    eps: float,
) -> None: ...
def batchnorm_inference(
    y: _F, x: _F, gamma: _F, beta: _F, running_mean: _F, running_var: _F, eps: float
) -> None: ...
def batchnorm_backward(dx: _F, dgamma: _F, dbeta: _F, dy: _F, x_hat: _F, gamma: _F, inv_std: _F) -> None: ...

# -- loss: logits, probs (n, c); losses, weights (n,); labels (n,) in 0 … c - 1; weights sum to 1 ------------------

def softmax_cross_entropy_forward(
    losses: _F, probs: _F, logits: _F, labels: _I64, weights: _F, smoothing: float
) -> None: ...
def softmax_cross_entropy_backward(
    dlogits: _F, probs: _F, labels: _I64, weights: _F, smoothing: float
) -> None: ...
def tally(  # totals (3,) in place: sums of mass · loss, of mass · share of the hits, of mass (1,)
    totals: _D, losses: _F, probs: _F, labels: _I64, weights: _F, mass: _D
) -> None: ...

# -- optimizers: all (n,), value and state updated in place; step counts from 1 ----------------------------------

def sgd_update(value: _F, grad: _F, lr: float) -> None: ...
def momentum_update(
    value: _F, velocity: _F, grad: _F, lr: float, momentum: float, nesterov: bool
) -> None: ...
def rmsprop_update(value: _F, square: _F, grad: _F, lr: float, decay: float, eps: float) -> None: ...
def adam_update(
    value: _F,
    m: _F,
    v: _F,
    grad: _F,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    step: int,
) -> None: ...
def sum_squares(squares: _D, grad: _F, k: int) -> None: ...  # squares[k] = the sum of grad squared
def clip(grad: _F, squares: _D, most: float) -> None: ...  # in place, if the root of the squares' sum > most
def average_update(  # average in place, at the steps start, start + every, …; step counts from 0
    average: _F, value: _F, least: float, start: int, every: int, step: int
) -> None: ...

# -- augmentation: y (n, h·w) = images of x, distorted; taps (knots, max(h, w)); sides of 128 at most --------------

def augment(  # epoch (1,); distortion (5,): most rotation in radians, scale, shear, shift in pixels, alpha
    y: _U8, x: _U8, rows: _I64, epoch: _I64, distortion: _D, taps: _F, height: int, width: int, seed: int
) -> None: ...

# -- what the twin has not: several kernels as one call, and what this module was built for ------------------------

class Program:
    def __init__(self, rows: _I64) -> None: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Program: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def stages(self) -> int: ...
    def run(self, order: _I64, lrs: _D, tick: int = 0, threads: int = 1) -> int: ...
    def expose(self, y: _F, x: _F | _U8) -> None: ...
    def answer(self, y: _F, x: _F | _U8, threads: int = 1, calls: int = 1) -> None: ...

def set_threads(n: int) -> None: ...
def multiply_add(count: int) -> float: ...
def instruction_sets() -> list[str]: ...

LANE_COUNT: int
COMPILER: str
