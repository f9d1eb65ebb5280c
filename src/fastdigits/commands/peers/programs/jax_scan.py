"""JAX at its fastest: an epoch is one compiled scan over the batches; the time to compile does not count."""

from __future__ import annotations

import itertools
import time

import contender
import jax
import jax.numpy as jnp
import numpy as np
from contender import BETA1, BETA2, BN_EPS, BN_MOMENTUM, EPS, LR, Task, Trial

Tree = dict[str, jax.Array]


def start(task: Task) -> tuple[Tree, Tree]:
    """Return parameters (He-normal weights) and running statistics of a new network."""
    rng = np.random.default_rng(task.seed)
    params: Tree = {}
    for at, (n_in, n_out) in enumerate(itertools.pairwise(task.sizes), start=1):
        weight = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)
        params[f"dense{at}.weight"] = jnp.asarray(weight, jnp.float32)
        params[f"dense{at}.bias"] = jnp.zeros(n_out, jnp.float32)
    if not task.batchnorm:
        return params, {}
    width = task.sizes[1]
    params |= {"batchnorm1.gamma": jnp.ones(width), "batchnorm1.beta": jnp.zeros(width)}
    return params, {"batchnorm1.running_mean": jnp.zeros(width), "batchnorm1.running_var": jnp.ones(width)}


def logits(params: Tree, stats: Tree, x: jax.Array, training: bool) -> tuple[jax.Array, Tree]:
    """Return logits, (n, 10), and the running statistics after this batch."""
    last = sum(name.endswith("weight") for name in params)
    for at in range(1, last + 1):
        x = x @ params[f"dense{at}.weight"] + params[f"dense{at}.bias"]
        if at == 1 and stats:
            mean, var = stats["batchnorm1.running_mean"], stats["batchnorm1.running_var"]
            if training:
                n = x.shape[0]
                mean_now, var_now = x.mean(axis=0), x.var(axis=0)
                stats = {
                    "batchnorm1.running_mean": (1 - BN_MOMENTUM) * mean + BN_MOMENTUM * mean_now,
                    "batchnorm1.running_var": (1 - BN_MOMENTUM) * var + BN_MOMENTUM * var_now * n / (n - 1),
                }
                mean, var = mean_now, var_now
            x = (x - mean) * jax.lax.rsqrt(var + BN_EPS) * params["batchnorm1.gamma"]
            x = x + params["batchnorm1.beta"]
        if at < last:
            x = jax.nn.relu(x)
    return x, stats


def loss(params: Tree, stats: Tree, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Tree]:
    out, stats = logits(params, stats, x, True)
    picked = jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1)
    return -picked.mean(), stats


def step(state: tuple, x: jax.Array, y: jax.Array) -> tuple:
    """Do one step of Adam, written out (Kingma & Ba, Alg. 1)."""
    params, stats, first, second, count = state
    grads, stats = jax.grad(loss, has_aux=True)(params, stats, x, y)
    count = count + 1
    first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, grads)
    second = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, grads)
    fix1, fix2 = 1 - BETA1**count, 1 - BETA2**count
    update = lambda p, m, v: p - LR * (m / fix1) / (jnp.sqrt(v / fix2) + EPS)  # noqa: E731
    return jax.tree.map(update, params, first, second), stats, first, second, count


def compile_epoch(batch: int, state: tuple, x: jax.Array, y: jax.Array) -> jax.stages.Compiled:
    """Return the compiled epoch: (state, x, y, order) → state; the last, smaller batch is a separate step."""

    def epoch(state: tuple, x: jax.Array, y: jax.Array, order: jax.Array) -> tuple:
        whole = len(order) // batch * batch
        rows = order[:whole].reshape(-1, batch)
        state, _ = jax.lax.scan(lambda s, r: (step(s, x[r], y[r]), None), state, rows)
        rest = order[whole:]
        return step(state, x[rest], y[rest]) if len(rest) else state

    order = jax.ShapeDtypeStruct((len(x),), jnp.int32)
    return jax.jit(epoch, donate_argnums=0).lower(state, x, y, order).compile()


def epoch(task: Task) -> Trial:
    x, y = contender.training_data(task)
    x, y = jnp.asarray(x), jnp.asarray(y, jnp.int32)
    rng = np.random.default_rng(task.seed)
    params, stats = start(task)
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
    state = (params, stats, zeros(), zeros(), jnp.zeros((), jnp.float32))
    began = time.perf_counter()
    compiled = compile_epoch(task.batch, state, x, y)
    notes = [f"compiled in {time.perf_counter() - began:.1f} s before"]
    done = 0

    def work() -> None:
        nonlocal state, done
        state = compiled(state, x, y, rng.permutation(len(x)).astype(np.int32))
        jax.block_until_ready(state)
        done += 1

    def predicted() -> np.ndarray:
        out, _ = logits(state[0], state[1], jnp.asarray(contender.floats("t10k", task.data)), False)
        return np.asarray(out.argmax(axis=1))

    return Trial(contender.timed(work), lambda: contender.accuracy_check(predicted, lambda: done), notes)


def predict_proba(task: Task) -> Trial:
    w = {name: jnp.asarray(value) for name, value in contender.weights(task).items()}
    stats = {name: w.pop(name) for name in list(w) if "running" in name}
    probs = jax.jit(lambda params, stats, x: jax.nn.softmax(logits(params, stats, x, False)[0]))
    test = jnp.asarray(contender.floats("t10k", task.data))
    x = test[: task.images]
    return Trial(
        contender.timed_calls(lambda: probs(w, stats, x).block_until_ready(), task.calls),
        lambda: contender.probabilities_check(np.asarray(probs(w, stats, test))),
    )


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    # Without asynchronous dispatch a call on one image takes about half the time; an epoch takes the same.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    contender.start_threads(contender.threads_asked(), jax.devices)
    contender.serve({"jax": jax.__version__}, {"epoch": epoch, "predict": predict_proba})
