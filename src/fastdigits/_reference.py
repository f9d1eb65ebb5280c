"""The NumPy twin of every kernel: same names, same arguments, any float dtype.

It defines in plain NumPy what the compiled kernels must compute, and is the backend ``numpy``. It makes the same checks
as the compiled functions; ``_kernels.pyi`` has the shapes.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Int64: TypeAlias = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _expect(door: str, name: str, array: Array, *shape: int) -> None:
    if array.shape != shape:
        raise ValueError(f"{door}: {name} must be {shape}; got {array.shape}")


def _expect_rows(door: str, rows: Int64, n: int) -> None:
    wrong = rows[(rows < 0) | (rows >= n)]
    if wrong.size:
        raise ValueError(f"{door}: rows must lie in 0 … {n - 1}; got {wrong[0]}")


# -- gathering -----------------------------------------------------------------------------------------------


def gather(y: Array, x: Array, rows: Int64) -> None:
    _expect("gather", "y", y, len(rows), x.shape[1])
    _expect_rows("gather", rows, len(x))
    y[...] = x[rows]


def gather_uint8(y: Array, x: Array, rows: Int64) -> None:
    _expect("gather_uint8", "y", y, len(rows), x.shape[1])
    _expect_rows("gather_uint8", rows, len(x))
    y[...] = x[rows]


def gather_pixels(y: Array, x: Array, rows: Int64) -> None:
    _expect("gather_pixels", "y", y, len(rows), x.shape[1])
    _expect_rows("gather_pixels", rows, len(x))
    np.divide(x[rows], 255, out=y, dtype=y.dtype)


def gather_labels(y: Int64, x: Int64, rows: Int64) -> None:
    _expect("gather_labels", "y", y, len(rows))
    _expect_rows("gather_labels", rows, len(x))
    y[...] = x[rows]


def gather_weights(y: Array, total: Array, x: Array, rows: Int64) -> None:
    _expect("gather_weights", "y", y, len(rows))
    _expect("gather_weights", "total", total, 1)
    _expect_rows("gather_weights", rows, len(x))
    total[0] = x[rows].sum(dtype=np.float64)
    y[...] = x[rows] / total[0] if total[0] > 0 else 0


# -- packing -------------------------------------------------------------------------------------------------


def pack_float32(y: Array, fits: Array, x: Array, white: float) -> None:
    _expect("pack_float32", "y", y, *x.shape)
    _expect("pack_float32", "fits", fits, len(x))
    white = x.dtype.type(white)
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(x * white)
    fits[...] = ((whole >= 0) & (whole <= 255) & (whole / white == x)).all(axis=1)
    y[...] = np.where(fits[:, np.newaxis], whole, 0)


def pack_float64(y: Array, fits: Array, x: Array, white: float) -> None:
    _expect("pack_float64", "y", y, *x.shape)
    _expect("pack_float64", "fits", fits, len(x))
    with np.errstate(over="ignore", invalid="ignore"):
        pack_float32(y, fits, x.astype(np.float32), white)


def pack_integers(y: Array, fits: Array, x: Array, size: int, shift: int) -> None:
    if size not in (2, 4, 8) or shift not in (0, 8 * size - 8):
        raise ValueError(
            f"pack_integers: size must be 2, 4 or 8, shift 0 or 8 · size - 8; got {size}, {shift}"
        )
    _expect("pack_integers", "x", x, len(x), y.shape[1] * size)
    _expect("pack_integers", "y", y, len(x), y.shape[1])
    _expect("pack_integers", "fits", fits, len(x))
    values = x.view(f"u{size}")
    fits[...] = ((values >> shift << shift == values) & (values >> shift <= 255)).all(axis=1)
    y[...] = np.where(fits[:, np.newaxis], values >> shift, 0)


def row_ranges(low: Array, high: Array, x: Array) -> None:
    _expect("row_ranges", "low", low, len(x))
    _expect("row_ranges", "high", high, len(x))
    if x.shape[1] == 0:
        raise ValueError("row_ranges: x must be (n, d), with d at least 1; got no columns")
    x.min(axis=1, out=low)
    x.max(axis=1, out=high)


# -- dense ---------------------------------------------------------------------------------------------------


def dense_forward(y: Array, x: Array, weight: Array, bias: Array) -> None:
    _expect_dense_forward("dense_forward", y, x, weight, bias)
    np.matmul(x, weight, out=y)
    y += bias


def dense_forward_uint8(y: Array, x: Array, weight: Array, bias: Array) -> None:
    _expect_dense_forward("dense_forward_uint8", y, x, weight, bias)
    dense_forward(y, np.divide(x, 255, dtype=y.dtype), weight, bias)


def _expect_dense_forward(door: str, y: Array, x: Array, weight: Array, bias: Array) -> None:
    _expect(door, "x", x, len(x), weight.shape[0])
    _expect(door, "y", y, len(x), weight.shape[1])
    _expect(door, "bias", bias, weight.shape[1])


def dense_backward_input(dx: Array, dy: Array, weight: Array) -> None:
    _expect("dense_backward_input", "dy", dy, len(dy), weight.shape[1])
    _expect("dense_backward_input", "dx", dx, len(dy), weight.shape[0])
    np.matmul(dy, weight.T, out=dx)


def dense_backward_weight(dweight: Array, dbias: Array, dy: Array, x: Array) -> None:
    _expect_dense_backward_weight("dense_backward_weight", dweight, dbias, dy, x)
    np.matmul(x.T, dy, out=dweight)
    dbias[...] = dy.sum(axis=0, dtype=np.float64)


def dense_backward_weight_uint8(dweight: Array, dbias: Array, dy: Array, x: Array) -> None:
    _expect_dense_backward_weight("dense_backward_weight_uint8", dweight, dbias, dy, x)
    dense_backward_weight(dweight, dbias, dy, np.divide(x, 255, dtype=dy.dtype))


def _expect_dense_backward_weight(door: str, dweight: Array, dbias: Array, dy: Array, x: Array) -> None:
    _expect(door, "x", x, len(x), dweight.shape[0])
    _expect(door, "dy", dy, len(x), dweight.shape[1])
    _expect(door, "dbias", dbias, dweight.shape[1])


# -- activations ---------------------------------------------------------------------------------------------


def relu_forward(y: Array, x: Array) -> None:
    _expect("relu_forward", "y", y, *x.shape)
    np.maximum(x, 0, out=y)


def relu_backward(dx: Array, dy: Array, y: Array) -> None:
    _expect("relu_backward", "dy", dy, *y.shape)
    _expect("relu_backward", "dx", dx, *y.shape)
    dx[...] = np.where(y > 0, dy, 0)


def leaky_relu_forward(y: Array, x: Array, slope: float) -> None:
    _expect("leaky_relu_forward", "y", y, *x.shape)
    y[...] = np.where(x > 0, x, x.dtype.type(slope) * x)


def leaky_relu_backward(dx: Array, dy: Array, x: Array, slope: float) -> None:
    _expect("leaky_relu_backward", "dy", dy, *x.shape)
    _expect("leaky_relu_backward", "dx", dx, *x.shape)
    dx[...] = np.where(x > 0, dy, dy.dtype.type(slope) * dy)


def softmax_forward(probs: Array, logits: Array) -> None:
    _expect("softmax_forward", "probs", probs, *logits.shape)
    if logits.size:
        np.exp(logits - logits.max(axis=1, keepdims=True), out=probs)
        probs /= probs.sum(axis=1, keepdims=True)


def softmax_backward(dlogits: Array, dprobs: Array, probs: Array) -> None:
    _expect("softmax_backward", "dprobs", dprobs, *probs.shape)
    _expect("softmax_backward", "dlogits", dlogits, *probs.shape)
    dlogits[...] = probs * (dprobs - (dprobs * probs).sum(axis=1, keepdims=True))


def dropout_forward(y: Array, x: Array, step: Int64, rate: float, seed: int) -> None:
    _expect("dropout_forward", "step", step, 1)
    _expect("dropout_forward", "y", y, *x.shape)
    y[...] = np.where(_kept(x.shape, step, rate, seed), x * _scale(x, rate), 0)


def dropout_backward(dx: Array, dy: Array, step: Int64, rate: float, seed: int) -> None:
    _expect("dropout_backward", "step", step, 1)
    _expect("dropout_backward", "dx", dx, *dy.shape)
    dx[...] = np.where(_kept(dy.shape, step, rate, seed), dy * _scale(dy, rate), 0)


def _kept(shape: tuple[int, ...], step: Int64, rate: float, seed: int) -> Array:
    """Return which elements dropout keeps: those whose u, 24 bits of SplitMix64 as a fraction, is ≥ rate."""
    with np.errstate(over="ignore"):
        key = _split_mix(np.array([seed], dtype=np.uint64) + step.astype(np.uint64) * _GOLDEN)
        places = np.arange(1, 1 + shape[0] * shape[1], dtype=np.uint64)
        u = (_split_mix(key + places * _GOLDEN) >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
    kept: Array = (u >= np.float32(rate)).reshape(shape)
    return kept


def _split_mix(z: Array) -> Array:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = z ^ (z >> np.uint64(31))
    return mixed


def _scale(x: Array, rate: float) -> Any:
    return x.dtype.type(1 / (1 - float(np.float32(rate))))


# -- batch normalisation -------------------------------------------------------------------------------------


def batchnorm_forward(
    y: Array,
    x_hat: Array,
    inv_std: Array,
    running_mean: Array,
    running_var: Array,
    x: Array,
    gamma: Array,
    beta: Array,
    momentum: float,
    eps: float,
) -> None:
    n, d = x.shape
    if n < 2:
        raise ValueError(f"batchnorm_forward: x must have at least 2 rows to have a variance; got {n}")
    _expect("batchnorm_forward", "y", y, n, d)
    _expect("batchnorm_forward", "x_hat", x_hat, n, d)
    _expect("batchnorm_forward", "inv_std", inv_std, d)
    _expect("batchnorm_forward", "running_mean", running_mean, d)
    _expect("batchnorm_forward", "running_var", running_var, d)
    _expect("batchnorm_forward", "gamma", gamma, d)
    _expect("batchnorm_forward", "beta", beta, d)
    mean = x.mean(axis=0, dtype=np.float64).astype(x.dtype)
    var = np.square(x - mean).mean(axis=0, dtype=np.float64)
    inv_std[...] = 1 / np.sqrt(var + eps)
    np.multiply(x - mean, inv_std, out=x_hat)
    y[...] = gamma * x_hat + beta
    running_mean += x.dtype.type(momentum) * (mean - running_mean)
    running_var += x.dtype.type(momentum) * ((var * n / (n - 1)).astype(x.dtype) - running_var)


def batchnorm_inference(
    y: Array, x: Array, gamma: Array, beta: Array, running_mean: Array, running_var: Array, eps: float
) -> None:
    n, d = x.shape
    _expect("batchnorm_inference", "y", y, n, d)
    _expect("batchnorm_inference", "gamma", gamma, d)
    _expect("batchnorm_inference", "beta", beta, d)
    _expect("batchnorm_inference", "running_mean", running_mean, d)
    _expect("batchnorm_inference", "running_var", running_var, d)
    scale = (gamma / np.sqrt(running_var.astype(np.float64) + eps)).astype(x.dtype)
    y[...] = x * scale + (beta - running_mean * scale)


def batchnorm_backward(
    dx: Array, dgamma: Array, dbeta: Array, dy: Array, x_hat: Array, gamma: Array, inv_std: Array
) -> None:
    n, d = dy.shape
    _expect("batchnorm_backward", "dx", dx, n, d)
    _expect("batchnorm_backward", "x_hat", x_hat, n, d)
    _expect("batchnorm_backward", "dgamma", dgamma, d)
    _expect("batchnorm_backward", "dbeta", dbeta, d)
    _expect("batchnorm_backward", "gamma", gamma, d)
    _expect("batchnorm_backward", "inv_std", inv_std, d)
    dgamma[...] = (dy * x_hat).sum(axis=0, dtype=np.float64)
    dbeta[...] = dy.sum(axis=0, dtype=np.float64)
    dx[...] = gamma * inv_std * (dy - (dbeta + x_hat * dgamma) / dy.dtype.type(n))


# -- loss ----------------------------------------------------------------------------------------------------


def softmax_cross_entropy_forward(
    losses: Array, probs: Array, logits: Array, labels: Int64, weights: Array, smoothing: float
) -> None:
    n, c = logits.shape
    _expect("softmax_cross_entropy_forward", "losses", losses, n)
    _expect("softmax_cross_entropy_forward", "probs", probs, n, c)
    _expect("softmax_cross_entropy_forward", "labels", labels, n)
    _expect("softmax_cross_entropy_forward", "weights", weights, n)
    _expect_labels("softmax_cross_entropy_forward", labels, c)
    if not logits.size:
        return
    shifted = logits - logits.max(axis=1, keepdims=True)
    softmax_forward(probs, logits)
    log_probs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    expected = (1 - smoothing) * log_probs[np.arange(n), labels]
    if smoothing > 0:  # 0 · log 0 would be NaN
        expected += smoothing * log_probs.mean(axis=1)
    losses[...] = -weights * expected


def softmax_cross_entropy_backward(
    dlogits: Array, probs: Array, labels: Int64, weights: Array, smoothing: float
) -> None:
    n, c = probs.shape
    _expect("softmax_cross_entropy_backward", "dlogits", dlogits, n, c)
    _expect("softmax_cross_entropy_backward", "labels", labels, n)
    _expect("softmax_cross_entropy_backward", "weights", weights, n)
    _expect_labels("softmax_cross_entropy_backward", labels, c)
    if not probs.size:
        return
    target = np.full_like(probs, smoothing / c)
    target[np.arange(n), labels] += 1 - smoothing
    dlogits[...] = weights[:, np.newaxis] * (probs - target)


def _expect_labels(door: str, labels: Int64, classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        row = wrong[0]
        raise ValueError(f"{door}: labels must lie in 0 … {classes - 1}; got {labels[row]} at row {row}")


def accumulate(
    totals: Array, losses: Array, probs: Array, labels: Int64, weights: Array, mass: Array
) -> None:
    n, c = probs.shape
    if c < 1:
        raise ValueError(f"accumulate: probs must have at least 1 column, a class; got {c}")
    _expect("accumulate", "totals", totals, 3)
    _expect("accumulate", "losses", losses, n)
    _expect("accumulate", "labels", labels, n)
    _expect("accumulate", "weights", weights, n)
    _expect("accumulate", "mass", mass, 1)
    hits = weights[probs.argmax(axis=1) == labels].sum(dtype=np.float64)
    total = weights.sum(dtype=np.float64)
    share = hits / total if total > 0 else 0.0
    totals += mass[0] * np.array([losses.sum(dtype=np.float64), share, 1.0])


# -- adversarial examples ------------------------------------------------------------------------------------


def perturb(samples: Array, dx: Array, length: float) -> None:
    _expect("perturb", "samples", samples, *dx.shape)
    norm = np.sqrt(np.square(dx, dtype=np.float64).sum(axis=1, keepdims=True))
    samples[...] = samples + np.divide(length, norm, out=np.zeros_like(norm), where=norm != 0) * dx


# -- optimizers ----------------------------------------------------------------------------------------------


def sgd_update(value: Array, grad: Array, lr: float) -> None:
    _expect("sgd_update", "grad", grad, *value.shape)
    value -= value.dtype.type(lr) * grad


def momentum_update(
    value: Array, velocity: Array, grad: Array, lr: float, momentum: float, nesterov: bool
) -> None:
    _expect("momentum_update", "velocity", velocity, *value.shape)
    _expect("momentum_update", "grad", grad, *value.shape)
    kind = value.dtype.type
    velocity *= kind(momentum)
    velocity += grad
    value -= kind(lr) * (grad + kind(momentum) * velocity if nesterov else velocity)


def rmsprop_update(value: Array, square: Array, grad: Array, lr: float, decay: float, eps: float) -> None:
    _expect("rmsprop_update", "square", square, *value.shape)
    _expect("rmsprop_update", "grad", grad, *value.shape)
    kind = value.dtype.type
    square *= kind(decay)
    square += kind(1 - decay) * grad * grad
    value -= kind(lr) * grad / (np.sqrt(square) + kind(eps))


def adam_update(
    value: Array,
    m: Array,
    v: Array,
    grad: Array,
    step: Int64,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
) -> None:
    _expect("adam_update", "step", step, 1)
    t = int(step[0])
    if t < 1:
        raise ValueError(f"adam_update: step must be at least 1, the first update; got {t}")
    _expect("adam_update", "m", m, *value.shape)
    _expect("adam_update", "v", v, *value.shape)
    _expect("adam_update", "grad", grad, *value.shape)
    kind = value.dtype.type
    m *= kind(beta1)
    m += kind(1 - beta1) * grad
    v *= kind(beta2)
    v += kind(1 - beta2) * grad * grad
    m_hat = m / kind(1 - beta1**t)
    v_hat = v / kind(1 - beta2**t)
    value *= kind(1 - lr * weight_decay)
    value -= kind(lr) * m_hat / (np.sqrt(v_hat) + kind(eps))


def sum_squares(squares: Array, grad: Array, k: int) -> None:
    if not 0 <= k < len(squares):
        raise ValueError(f"sum_squares: k must lie in 0 … {len(squares) - 1}; got {k}")
    squares[k] = np.square(grad, dtype=np.float64).sum()


def clip(grad: Array, squares: Array, max_norm: float) -> None:
    norm = math.sqrt(squares.sum())
    if norm > max_norm:
        grad *= grad.dtype.type(max_norm / norm)


def average_update(
    average: Array, value: Array, step: Int64, min_rate: float, start: int, every: int
) -> None:
    _expect("average_update", "step", step, 1)
    _expect("average_update", "average", average, *value.shape)
    if every < 1:
        raise ValueError(f"average_update: every must be at least 1; got {every}")
    past = int(step[0]) - 1 - start
    if past == 0:
        average[...] = value
    elif past > 0 and past % every == 0:
        average += value.dtype.type(max(min_rate, 1 / (past // every + 1))) * (value - average)


def advance(count: Int64) -> None:
    _expect("advance", "count", count, 1)
    count += 1


# -- augmentation --------------------------------------------------------------------------------------------

_SIDE = 64
_MOST = (3.1416, 0.5, 1, _SIDE, 10000, 3, _SIDE)


def augment(
    y: Array,
    x: Array,
    rows: Int64,
    keys: Int64,
    epoch: Int64,
    distortion: Array,
    taps: Array,
    height: int,
    width: int,
    seed: int,
) -> None:
    if not (1 <= height <= _SIDE and 1 <= width <= _SIDE):
        raise ValueError(f"augment: images must be at most ({_SIDE}, {_SIDE}); got ({height}, {width})")
    _expect("augment", "x", x, len(x), height * width)
    _expect("augment", "y", y, len(rows), height * width)
    if len(keys):
        _expect("augment", "keys", keys, len(x))
    _expect("augment", "epoch", epoch, 1)
    _expect("augment", "distortion", distortion, len(_MOST))
    _expect("augment", "taps", taps, len(taps), max(height, width))
    if len(taps) > _SIDE + 8:
        raise ValueError(f"augment: taps must have at most {_SIDE + 8} rows; got {len(taps)}")
    for k, (value, most) in enumerate(zip(distortion, _MOST, strict=True)):
        if not 0 <= value <= most:
            raise ValueError(f"augment: distortion[{k}] must lie in 0 … {most:g}; got {value}")
    _expect_rows("augment", rows, len(x))
    with np.errstate(over="ignore"):
        start = _split_mix(np.array([seed], dtype=np.uint64) + np.uint64(epoch[0] + 1) * _GOLDEN)
        numbers = keys[rows] if len(keys) else rows
        drawn = _split_mix(start + (numbers + 1).astype(np.uint64) * _GOLDEN)
        for image, row, key in zip(y, rows, drawn, strict=True):
            u, v = _sources(distortion, taps, height, width, key)
            draws = _uniform(key, 12)
            pixels = _change_thickness(x[row].reshape(height, width), distortion[5] * draws[8])
            pixels = _blank_square(_bilinear(pixels, u, v), distortion[6], (draws[9:] + 1) / 2)
            image[...] = pixels.reshape(-1)


def _draws(key: Any, count: int) -> Array:
    """Return the first outputs of SplitMix64 started at ``key``."""
    drawn: Array = _split_mix(key + np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)
    return drawn


def _uniform(key: Any, count: int) -> Array:
    """Return the first numbers of ``key``, uniform in -1 … 1, from 24 bits each."""
    drawn: Array = (_draws(key, count) >> np.uint64(40)).astype(np.float64) * (2 / 2**24) - 1
    return drawn


def _sources(distortion: Array, taps: Array, height: int, width: int, key: Any) -> tuple[Array, Array]:
    """Return the source column and row of each pixel, in units of 1 / 65,536."""
    draws = _uniform(key, 6)
    angle, sx, sy = distortion[0] * draws[0], 1 + distortion[1] * draws[1], 1 + distortion[1] * draws[2]
    shear, tx, ty = distortion[2] * draws[3], distortion[3] * draws[4], distortion[3] * draws[5]
    c, s, cx, cy = math.cos(angle), math.sin(angle), (width - 1) / 2, (height - 1) / 2
    m00, m01, m10, m11 = (c + s * shear) / sx, (s - c * shear) / sx, -s / sy, c / sy
    i, j = np.arange(height)[:, np.newaxis], np.arange(width)
    u = _fixed(m01 * (i - (cy + ty)) - m00 * (cx + tx) + cx) + j * _fixed(m00)
    v = _fixed(m11 * (i - (cy + ty)) - m10 * (cx + tx) + cy) + j * _fixed(m10)
    if len(taps) and distortion[4] > 0:
        u += _field(taps, distortion[4], height, width, key + np.uint64(7) * _GOLDEN)
        v += _field(taps, distortion[4], height, width, key + np.uint64(8) * _GOLDEN)
    return u, v


def _field(taps: Array, alpha: float, height: int, width: int, key: Any) -> Array:
    """Return alpha · tapsᵀ · knots · taps in units of 1 / 65,536; a knot is 16 random bits, scaled to -1 … 1."""
    knots = len(taps)
    drawn = _draws(_split_mix(key), -(-(knots**2) // 4))
    shifts = np.arange(0, 64, 16, dtype=np.uint64)
    bits = (drawn[:, np.newaxis] >> shifts & np.uint64(0xFFFF)).reshape(-1)[: knots**2]
    noise = (bits.astype(np.float64) - 2**15).reshape(knots, knots) / 2**15
    pixels = np.clip(alpha * taps[:, :height].T @ noise @ taps[:, :width], -4096, 4096)
    field: Array = np.trunc(pixels * 2**16).astype(np.int64)
    return field


def _bilinear(image: Array, u: Array, v: Array) -> Array:
    """Interpolate the image at columns u and rows v, with 8 fractional bits; outside it is 0."""
    height, width = image.shape
    padded = np.pad(image, ((1, 2), (1, 2))).astype(np.int64)
    u, v = np.clip(u + 2**16, 0, (width + 1) << 16), np.clip(v + 2**16, 0, (height + 1) << 16)
    column, row, right, down = u >> 16, v >> 16, u >> 8 & 255, v >> 8 & 255
    upper = padded[row, column] * (256 - right) + padded[row, column + 1] * right
    lower = padded[row + 1, column] * (256 - right) + padded[row + 1, column + 1] * right
    bright: Array = (upper * (256 - down) + lower * down + 2**15) >> 16
    return bright


def _spread(image: Array, square: bool) -> Array:
    """Return the largest of each pixel and its four neighbours, or eight if square; outside it is 0."""
    padded = np.pad(image, 1)
    near = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    chosen = np.full((3, 3), True) if square else np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
    largest: Array = near[..., chosen].max(axis=-1)
    return largest


def _change_thickness(image: Array, pixels: float) -> Array:
    """Return the image with strokes so many pixels thicker on each side, or thinner.

    Each step is a dilation or an erosion by a cross, then by a square, and so on; the last one counts in part. What an
    erosion removes wholly, so that a dilation does not bring it back, keeps half of its grey.
    """
    image, amount = image.astype(np.int64), math.floor(pixels * 256 + 0.5)
    for k in range((abs(amount) >> 8) + 1):
        square, weight = k % 2 == 1, min(abs(amount) - 256 * k, 256)
        if amount > 0:
            changed = _spread(image, square)
        else:
            eroded = -_spread(-image, square)
            changed = np.maximum(eroded, (image - _spread(eroded, square)) >> 1)
        image = (image * (256 - weight) + changed * weight + 128) >> 8
    return image


def _blank_square(image: Array, longest: float, draws: Array) -> Array:
    """Return the image with a square of zeros: its side and its centre are fractions of the longest and the image."""
    height, width = image.shape
    side = (int(longest * draws[0] * 256) + 128) >> 8
    top, left = int(height * draws[1]) - side // 2, int(width * draws[2]) - side // 2
    image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
    return image


def _fixed(value: Any) -> Any:
    return np.floor(value * 2**16 + 0.5).astype(np.int64)


# -- moment normalisation ------------------------------------------------------------------------------------


def moment_norm(y: Array, x: Array, height: int, width: int, sigma_y: float, sigma_x: float) -> None:
    _expect_moment_norm("moment_norm", y, x, height, width, sigma_y, sigma_x)
    levels, fits = np.empty(x.shape, dtype=np.uint8), np.empty(len(x), dtype=np.uint8)
    pack_float32(levels, fits, x, 255)
    has_bytes = fits == 1
    normalized = levels[has_bytes]
    _normalize(normalized, levels[has_bytes], height, width, sigma_y, sigma_x, 0.5)
    _normalize(y, x, height, width, sigma_y, sigma_x, 0.0)
    y[has_bytes] = np.divide(normalized, 255, dtype=y.dtype)


def moment_norm_uint8(y: Array, x: Array, height: int, width: int, sigma_y: float, sigma_x: float) -> None:
    _expect_moment_norm("moment_norm_uint8", y, x, height, width, sigma_y, sigma_x)
    _normalize(y, x, height, width, sigma_y, sigma_x, 0.5)  # rounds to the nearest byte


def _expect_moment_norm(
    door: str, y: Array, x: Array, height: int, width: int, sigma_y: float, sigma_x: float
) -> None:
    if not (1 <= height <= _SIDE and 1 <= width <= _SIDE):
        raise ValueError(f"{door}: images must be at most ({_SIDE}, {_SIDE}); got ({height}, {width})")
    if not (0 < sigma_y <= _SIDE and 0 < sigma_x <= _SIDE):
        raise ValueError(f"{door}: sigmas must be above 0 and at most {_SIDE}; got {sigma_y:g}, {sigma_x:g}")
    _expect(door, "x", x, len(x), height * width)
    _expect(door, "y", y, len(x), height * width)


def _normalize(
    y: Array, x: Array, height: int, width: int, sigma_y: float, sigma_x: float, offset: float
) -> None:
    images = x.reshape(-1, height, width).astype(np.float64)
    mass = np.maximum(images, 0)
    some = mass.any(axis=(1, 2))
    y[~some] = x[~some]  # without a pixel above 0
    row, column, high, wide, slant = _frames(mass[some], sigma_y, sigma_x)
    i = high * (np.arange(height) - (height - 1) / 2)[:, np.newaxis]
    v = _nearest(row + i) + 2**16 + 128
    u = _nearest(column + slant * i - wide * ((width - 1) / 2)) + 2**16 + 128 + wide * np.arange(width)
    v = np.clip(v, 0, (height + 1) << 16).astype(np.int64)
    u = np.clip(u, 0, (width + 1) << 16).astype(np.int64)
    k, i, j, below, right = (
        np.arange(len(u))[:, np.newaxis, np.newaxis],
        v >> 16,
        u >> 16,
        v >> 8 & 255,
        u >> 8 & 255,
    )
    padded = np.pad(images[some], ((0, 0), (1, 2), (1, 2)))
    left = padded[k, i, j] * (256 - below) + padded[k, i + 1, j] * below
    after = padded[k, i, j + 1] * (256 - below) + padded[k, i + 1, j + 1] * below
    y[some] = ((left * (256 - right) + after * right) / 2**16 + offset).reshape(-1, height * width)


def _frames(mass: Array, sigma_y: float, sigma_x: float) -> tuple[Array, ...]:
    """Return, for each image: its middle, its rows and columns per row and column of the result, its slant.

    All but the slant are in units of 1 / 65,536. Each is (n, 1, 1).
    """
    _, height, width = mass.shape
    r, c = (np.arange(side) - float(side // 2) for side in (height, width))
    r = r[:, np.newaxis]
    m, mr, mc, mrr, mrc, mcc = (
        (mass * weight).sum(axis=(1, 2), keepdims=True) for weight in (1, r, c, r * r, r * c, c * c)
    )
    v_rr, v_rc, v_cc = (
        _nearest(1024 * (m * a - b) / (m * m)) for a, b in ((mrr, mr * mr), (mrc, mr * mc), (mcc, mc * mc))
    )
    slant = np.clip(_nearest(4096 * v_rc / np.where(v_rr > 0, v_rr, np.inf)), -4096, 4096) / 4096
    across = v_cc - slant * (2 * v_rc - slant * v_rr)
    high, wide = (
        _nearest(2**16 * np.sqrt(np.sqrt(np.clip(v / (1024 * sigma * sigma), 1 / 16, 16))))
        for v, sigma in ((v_rr, float(np.float32(sigma_y))), (across, float(np.float32(sigma_x))))
    )
    row, column = (
        _nearest(2**16 * mr / m) + (height // 2 << 16),
        _nearest(2**16 * mc / m) + (width // 2 << 16),
    )
    return row, column, high, wide, slant


def _nearest(value: Array) -> Array:
    rounded: Array = np.floor(value + 0.5)
    return rounded
