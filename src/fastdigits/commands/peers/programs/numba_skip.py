"""numba: loops over the nonzero pixels, compiled for this processor; an epoch is one compiled call."""

from __future__ import annotations

import itertools
import time

import contender
import numba
import numpy as np
from contender import BETA1, BETA2, BN_EPS, BN_MOMENTUM, EPS, LR, Task, Trial

compiled = numba.njit(fastmath=True, nogil=True)


@compiled
def first_layer(x, weight, bias, out):
    """out = x · weight + bias; skips the pixels that are 0."""
    for i in range(x.shape[0]):
        row = out[i]
        row[:] = bias
        for k in range(x.shape[1]):
            pixel = x[i, k]
            if pixel != 0:
                for j in range(row.size):
                    row[j] += pixel * weight[k, j]


@compiled
def first_gradient(x, dy, dweight):
    """dweight = xᵀ · dy; skips the pixels that are 0."""
    dweight[:] = 0
    for i in range(x.shape[0]):
        row = dy[i]
        for k in range(x.shape[1]):
            pixel = x[i, k]
            if pixel != 0:
                for j in range(row.size):
                    dweight[k, j] += pixel * row[j]


@compiled
def normalise(z, gamma, beta, mean, var, hat):
    """z = gamma · hat + beta with the statistics of the batch; return the inverse deviations."""
    n, width = z.shape
    now, spread = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for i in range(n):
        now += z[i]
    now /= np.float32(n)
    for i in range(n):
        spread += (z[i] - now) ** 2
    spread /= np.float32(n)
    inverse = np.float32(1) / np.sqrt(spread + np.float32(BN_EPS))
    for i in range(n):
        for j in range(width):
            hat[i, j] = (z[i, j] - now[j]) * inverse[j]
            z[i, j] = gamma[j] * hat[i, j] + beta[j]
    mean += np.float32(BN_MOMENTUM) * (now - mean)
    var += np.float32(BN_MOMENTUM) * (spread * np.float32(n / (n - 1)) - var)
    return inverse


@compiled
def normalise_backward(dz, gamma, hat, inverse, dgamma, dbeta):
    """Replace dz by the gradient before batch normalisation."""
    n, width = dz.shape
    dgamma[:] = 0
    dbeta[:] = 0
    for i in range(n):
        for j in range(width):
            dbeta[j] += dz[i, j]
            dgamma[j] += dz[i, j] * hat[i, j]
    share = np.float32(1 / n)
    for i in range(n):
        for j in range(width):
            dz[i, j] = gamma[j] * inverse[j] * (dz[i, j] - share * (dbeta[j] + hat[i, j] * dgamma[j]))


@compiled
def relu(z):
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] = max(z[i, j], np.float32(0))


@compiled
def relu_backward(dz, out):
    for i in range(dz.shape[0]):
        for j in range(dz.shape[1]):
            if out[i, j] <= 0:
                dz[i, j] = 0


@compiled
def softmax_gradient(logits, labels):
    """Replace logits by the gradient of the mean cross-entropy."""
    share = np.float32(1 / logits.shape[0])
    for i in range(logits.shape[0]):
        row = logits[i]
        row[:] = np.exp(row - row.max())
        row *= share / row.sum()
        row[labels[i]] -= share


@compiled
def sums(dy, dbias):
    dbias[:] = 0
    for i in range(dy.shape[0]):
        dbias += dy[i]


@compiled
def adam(value, grad, first, second, count):
    fix1 = np.float32(LR / (1 - BETA1**count))
    fix2 = np.float32(1 / (1 - BETA2**count))
    for i in range(value.size):
        first[i] = np.float32(BETA1) * first[i] + np.float32(1 - BETA1) * grad[i]
        second[i] = np.float32(BETA2) * second[i] + np.float32(1 - BETA2) * grad[i] * grad[i]
        value[i] -= fix1 * first[i] / (np.sqrt(second[i] * fix2) + np.float32(EPS))


@compiled
def train(x, y, order, batch, batchnorm, count, params, grads, firsts, seconds, mean, var):
    """Train on the images in this order; return the number of steps so far."""
    w1, b1, gamma, beta, w2, b2, w3, b3 = params
    dw1, db1, dgamma, dbeta, dw2, db2, dw3, db3 = grads
    hat, inverse = np.empty((batch, b1.size), np.float32), np.empty(0, np.float32)
    h1 = np.empty((batch, b1.size), np.float32)
    for start in range(0, order.size, batch):
        rows = order[start : start + batch]
        n = rows.size
        xb, yb = x[rows], y[rows]
        first_layer(xb, w1, b1, h1[:n])
        if batchnorm:
            inverse = normalise(h1[:n], gamma, beta, mean, var, hat)
        relu(h1[:n])
        h2 = np.dot(h1[:n], w2) + b2
        relu(h2)
        d3 = np.dot(h2, w3) + b3
        softmax_gradient(d3, yb)

        dw3[:] = np.dot(h2.T, d3)
        sums(d3, db3)
        d2 = np.dot(d3, w3.T)
        relu_backward(d2, h2)
        dw2[:] = np.dot(h1[:n].T, d2)
        sums(d2, db2)
        d1 = np.dot(d2, w2.T)
        relu_backward(d1, h1)
        if batchnorm:
            normalise_backward(d1, gamma, hat, inverse, dgamma, dbeta)
        first_gradient(xb, d1, dw1)
        sums(d1, db1)

        count += 1
        adam(w1.ravel(), dw1.ravel(), firsts[0], seconds[0], count)
        adam(w2.ravel(), dw2.ravel(), firsts[4], seconds[4], count)
        adam(w3.ravel(), dw3.ravel(), firsts[6], seconds[6], count)
        adam(b1, db1, firsts[1], seconds[1], count)
        adam(b2, db2, firsts[5], seconds[5], count)
        adam(b3, db3, firsts[7], seconds[7], count)
        if batchnorm:
            adam(gamma, dgamma, firsts[2], seconds[2], count)
            adam(beta, dbeta, firsts[3], seconds[3], count)
    return count


@compiled
def probabilities(x, params, mean, var, batchnorm):
    """Return the probabilities of images, (n, 10), with the running statistics."""
    w1, b1, gamma, beta, w2, b2, w3, b3 = params
    h = np.empty((x.shape[0], b1.size), np.float32)
    first_layer(x, w1, b1, h)
    if batchnorm:
        scale = gamma / np.sqrt(var + np.float32(BN_EPS))
        for i in range(h.shape[0]):
            h[i] = (h[i] - mean) * scale + beta
    relu(h)
    h = np.dot(h, w2) + b2
    relu(h)
    h = np.dot(h, w3) + b3
    for i in range(h.shape[0]):
        h[i] = np.exp(h[i] - h[i].max())
        h[i] /= h[i].sum()
    return h


def parameters(task: Task) -> tuple[np.ndarray, ...]:
    """Return (w1, b1, gamma, beta, w2, b2, w3, b3) of a new network, with He-normal weights."""
    rng = np.random.default_rng(task.seed)
    found = []
    for n_in, n_out in itertools.pairwise(task.sizes):
        weight = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)
        found += [weight.astype(np.float32), np.zeros(n_out, np.float32)]
    width = task.sizes[1]
    return (*found[:2], np.ones(width, np.float32), np.zeros(width, np.float32), *found[2:])


def epoch(task: Task) -> Trial:
    x, y = contender.training_data(task)
    params = parameters(task)
    grads = tuple(np.zeros_like(value) for value in params)
    firsts, seconds = (tuple(np.zeros(value.size, np.float32) for value in params) for _ in range(2))
    width = task.sizes[1]
    mean, var = np.zeros(width, np.float32), np.ones(width, np.float32)
    rng = np.random.default_rng(task.seed)
    steps = done = 0

    def run(order: np.ndarray, count: int) -> int:
        state = (params, grads, firsts, seconds, mean, var)
        return train(x, y, order, task.batch, task.batchnorm, count, *state)

    began = time.perf_counter()
    run(np.arange(0), 0)  # compiles, and trains on no image
    notes = [f"compiled in {time.perf_counter() - began:.1f} s before"]

    def work() -> None:
        nonlocal steps, done
        steps = run(rng.permutation(len(x)), steps)
        done += 1

    def predicted() -> np.ndarray:
        test = contender.floats("t10k", task.data)
        return probabilities(test, params, mean, var, task.batchnorm).argmax(axis=1)

    return Trial(contender.timed(work), lambda: contender.accuracy_check(predicted, lambda: done), notes)


def predict_proba(task: Task) -> Trial:
    (w1, b1), *others = contender.folded_weights(task)
    unused = np.zeros_like(b1)
    params = (w1, b1, unused, unused, *(value for pair in others for value in pair))
    test = contender.floats("t10k", task.data)
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: probabilities(x, params, unused, unused, False), task.calls),
        lambda: contender.probabilities_check(probabilities(test, params, unused, unused, False)),
        ["batch normalisation folded into the first layer"],
    )


if __name__ == "__main__":
    contender.serve({"numba": numba.__version__}, {"epoch": epoch, "predict": predict_proba})
