"""Arguments of any size for each door of the kernels, for tests over all doors."""

import inspect
import math
from collections.abc import Callable

import numpy as np

from fastdigits import _reference as twin

F, D, B, L = np.float32, np.float64, np.uint8, np.int64


def doors(n: int = 3, d: int = 4, m: int = 5, p: int = 7) -> dict[str, list]:
    """Return matching arguments per door: (dtype, shape) or a scalar. d inputs, m outputs, p parameters."""
    x, y, weight, wide, tall = (F, (n, d)), (F, (n, m)), (F, (d, m)), (F, (d,)), (F, (n,))
    bias, rows, flat, squares, step = (F, (m,)), (L, (n,)), (F, (p,)), (D, (3,)), (L, (1,))
    height = max(side for side in range(1, math.isqrt(d) + 1) if d % side == 0)
    width = d // height
    return {
        "gather": [x, (F, (9, d)), rows],
        "gather_uint8": [(B, (n, d)), (B, (9, d)), rows],
        "gather_pixels": [x, (B, (9, d)), rows],
        "gather_labels": [rows, (L, (9,)), rows],
        "gather_weights": [tall, (D, (1,)), (F, (9,)), rows],
        "pack_float32": [(B, (n, d)), (B, (n,)), x, 255.0],
        "pack_float64": [(B, (n, d)), (B, (n,)), (D, (n, d)), 255.0],
        "pack_integers": [(B, (n, d)), (B, (n,)), (B, (n, 2 * d)), 2, 8],
        "row_ranges": [tall, tall, x],
        "dense_forward": [y, x, weight, bias],
        "dense_forward_uint8": [y, (B, (n, d)), weight, bias],
        "dense_backward_input": [x, y, weight],
        "dense_backward_weight": [weight, bias, y, x],
        "dense_backward_weight_uint8": [weight, bias, y, (B, (n, d))],
        "relu_forward": [x, x],
        "relu_backward": [x, x, x],
        "leaky_relu_forward": [x, x, 0.1],
        "leaky_relu_backward": [x, x, x, 0.1],
        "softmax_forward": [x, x],
        "softmax_backward": [x, x, x],
        "dropout_forward": [x, x, step, 0.5, 1],
        "dropout_backward": [x, x, step, 0.5, 1],
        "batchnorm_forward": [x, x, wide, wide, wide, x, wide, wide, 0.1, 1e-5],
        "batchnorm_inference": [x, x, wide, wide, wide, wide, 1e-5],
        "batchnorm_backward": [x, wide, wide, x, x, wide, wide],
        "softmax_cross_entropy_forward": [tall, x, x, rows, tall, 0.1],
        "softmax_cross_entropy_backward": [x, x, rows, tall, 0.1],
        "perturb": [x, x, 1.5],
        "accumulate": [(D, (3,)), tall, x, rows, tall, (D, (1,))],
        "sgd_update": [flat, flat, 0.1],
        "momentum_update": [flat, flat, flat, 0.1, 0.9, True],
        "rmsprop_update": [flat, flat, flat, 0.1, 0.9, 1e-8],
        "adam_update": [flat, flat, flat, flat, step, 0.1, 0.9, 0.999, 1e-8, 0.0],
        "sum_squares": [squares, flat, 1],
        "clip": [flat, squares, 0.01],
        "average_update": [flat, flat, step, 0.1, 1, 2],
        "advance": [step],
        "augment": [
            *(
                (B, (n, d)),
                (B, (9, d)),
                rows,
                (L, (9,)),
                (L, (1,)),
                (D, (7,)),
                (F, (3, width)),
                height,
                width,
                1,
            ),
        ],
        "moment_norm": [x, x, height, width, 0.3, 0.4],
        "moment_norm_uint8": [(B, (n, d)), (B, (n, d)), height, width, 0.3, 0.4],
    }


DOORS = doors()
OUTPUTS = dict.fromkeys(DOORS, 1)
OUTPUTS |= dict.fromkeys(["gather_weights", "dense_backward_weight", "dense_backward_weight_uint8"], 2)
OUTPUTS |= dict.fromkeys(["softmax_cross_entropy_forward", "momentum_update", "rmsprop_update"], 2)
OUTPUTS |= dict.fromkeys(["pack_float32", "pack_float64", "pack_integers", "row_ranges"], 2)
OUTPUTS |= {"batchnorm_forward": 5, "batchnorm_backward": 3, "adam_update": 3}
IN_PLACE = {"running_mean", "running_var", "totals", "value", "velocity", "square", "m", "v"}
IN_PLACE |= {"squares", "grad", "average", "count", "samples"}
ARRAYS = [
    (name, i) for name, specs in DOORS.items() for i, spec in enumerate(specs) if isinstance(spec, tuple)
]
FREE = {  # (door, argument): an axis of any length: rows of the source, classes, sums, knots
    ("gather", 1): 0,
    ("gather_uint8", 1): 0,
    ("gather_pixels", 1): 0,
    ("gather_labels", 1): 0,
    ("gather_weights", 2): 0,
    ("row_ranges", 2): 1,
    ("accumulate", 2): 1,
    ("sum_squares", 0): 0,
    ("sum_squares", 1): 0,
    ("clip", 0): 0,
    ("clip", 1): 0,
    ("augment", 1): 0,
    ("augment", 6): 0,
}


def arguments(name: str, **sizes: int) -> list:
    """Return valid arguments of a door: labels and rows in range, pixels, positive numbers if required."""
    rng = np.random.default_rng(5)
    made = []
    for argument, spec in zip(argument_names(name), doors(**sizes)[name], strict=True):
        if not isinstance(spec, tuple):
            made.append(spec)
        elif spec[0] in (B, L):
            top = {"labels": sizes.get("d", 4), "rows": 9}.get(argument, 256)
            made.append(rng.integers(argument == "step", top, spec[1]).astype(spec[0]))
        else:
            numbers = rng.standard_normal(spec[1]).astype(spec[0])
            above = argument in ("running_var", "square", "v", "weights", "mass", "squares")
            above |= name == "gather_weights"
            if argument == "distortion":
                numbers = np.abs(numbers) / 10
            made.append(np.abs(numbers) + numbers.dtype.type(0.1) if above else numbers)
    return made


def argument_names(name: str) -> list[str]:
    return list(inspect.signature(getattr(twin, name)).parameters)


def changed(name: str, index: int, change: Callable[[np.ndarray], np.ndarray]) -> list:
    given = arguments(name)
    given[index] = change(given[index])
    return given


def places(name: str) -> list[int]:
    """Return the indices of a door's array arguments."""
    return [index for found, index in ARRAYS if found == name]


def called(door, given) -> list[np.ndarray] | None:
    """Call a door on copies with the same layout; return the arrays after the call, or None if it raises."""
    given = [
        item.copy("K") if isinstance(item, np.ndarray) and item.flags.writeable else item for item in given
    ]
    try:
        with np.errstate(all="ignore"):
            door(*given)
    except (TypeError, ValueError):
        return None
    return [np.asarray(item) for item in given if isinstance(item, np.ndarray)]
