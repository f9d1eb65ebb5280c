"""Signatures of the compiled doors, with the shapes of their arrays.

Every door writes to arrays that the caller allocates. Arguments are always in this order: outputs, inputs, scalars.
Arrays are C-ordered and aligned. Outputs and inputs must not overlap unless a comment says "in place". Every door has
a NumPy twin with the same name and arguments in ``_reference.py``.
"""

from types import TracebackType
from typing import TypeAlias, final

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
) -> None: ...  # y = x[rows] / total, total (1,) = sum of x[rows]

# -- packing: y (n, d) = x · white as bytes, fits (n,) = 1; or both 0 for a row where x is not y / white. float64 is
# -- rounded to float32 first; x (n, d · size) of pack_integers are the bytes of integers, whose bits from shift are y

def pack_float32(y: _U8, fits: _U8, x: _F, white: float) -> None: ...
def pack_float64(y: _U8, fits: _U8, x: _D, white: float) -> None: ...
def pack_integers(y: _U8, fits: _U8, x: _U8, size: int, shift: int) -> None: ...
def row_ranges(
    low: _F, high: _F, x: _F
) -> None: ...  # (n,) the least and greatest of each row, NaN if one is

# -- dense: x (n, in), weight (in, out), bias (out,), y (n, out); uint8 x is divided by 255 -------------------------

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
def dropout_forward(y: _F, x: _F, step: _I64, rate: float, seed: int) -> None: ...  # step (1,), from 1
def dropout_backward(dx: _F, dy: _F, step: _I64, rate: float, seed: int) -> None: ...

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
def accumulate(  # totals (3,) in place: sums of mass · loss, mass · accuracy, mass; mass (1,)
    totals: _D, losses: _F, probs: _F, labels: _I64, weights: _F, mass: _D
) -> None: ...

# -- adversarial examples: all (n, d); samples (in place) += length · dx / ‖dx‖ for each row -----------------------

def perturb(samples: _F, dx: _F, length: float) -> None: ...

# -- optimizers: all (n,), value and state updated in place; step (1,) counts from 1 -----------------------------

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
    step: _I64,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> None: ...
def sum_squares(squares: _D, grad: _F, k: int) -> None: ...  # squares[k] = sum of grad²
def clip(grad: _F, squares: _D, max_norm: float) -> None: ...  # in place, to this norm at most
def average_update(  # average in place, at the steps start + 1, start + 1 + every, …
    average: _F, value: _F, step: _I64, min_rate: float, start: int, every: int
) -> None: ...
def advance(count: _I64) -> None: ...  # count (1,) in place: add 1

# -- augmentation: y (n, h·w) = images of x, distorted; taps (knots, max(h, w)); h, w ≤ 64 --------------

def augment(  # keys (len(x),): numbers of the images, for the random numbers; (0,): their rows. epoch (1,).
    # distortion (7,): limits of rotation (radians), scale, shear, shift (pixels), alpha, thickness, cutout (pixels)
    y: _U8,
    x: _U8,
    rows: _I64,
    keys: _I64,
    epoch: _I64,
    distortion: _D,
    taps: _F,
    height: int,
    width: int,
    seed: int,
) -> None: ...

# -- moment normalisation: y (n, h·w) = the images x, normalised; h, w ≤ 64. sigma_y, sigma_x: standard deviations -----

def moment_norm(y: _F, x: _F, height: int, width: int, sigma_y: float, sigma_x: float) -> None: ...
def moment_norm_uint8(y: _U8, x: _U8, height: int, width: int, sigma_y: float, sigma_x: float) -> None: ...

# -- without a twin: several kernels in one call, and the properties of the build -------------------------------

@final
class Recording:
    def __new__(cls, program: Program) -> Recording: ...
    def __getattr__(self, name: str) -> RecordedKernel: ...

@final
class RecordedKernel:
    def __new__(cls, program: Program, door: object) -> RecordedKernel: ...
    def __call__(self, *arguments: object) -> None: ...

@final
class Program:
    def __new__(cls, rows: _I64) -> Program: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Recording: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def stages(self) -> int: ...
    def run(self, order: _I64, lrs: _D, threads: int = 1) -> int: ...
    def bind_io(self, y: _F, x: _F | _U8) -> None: ...
    def predict(self, y: _F, x: _F | _U8, threads: int = 1, calls: int = 1) -> None: ...

def set_threads(n: int) -> None: ...
def reset_sharing() -> None: ...
def multiply_add(count: int) -> float: ...
def instruction_sets() -> list[str]: ...

LANE_COUNT: int
COMPILER: str
