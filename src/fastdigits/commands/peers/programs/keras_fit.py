"""Keras 3 as its tutorials use it: `compile`, `fit` and `predict_on_batch`, compiled, on a backend that is there."""

from __future__ import annotations

import importlib.util
import os

import contender
import numpy as np
from contender import Task, Trial

THREADS = contender.threads_asked()
if (
    "KERAS_BACKEND" not in os.environ
):  # the fastest one that is installed: JAX takes less time than the others
    installed = (name for name in ("jax", "tensorflow", "torch") if importlib.util.find_spec(name))
    os.environ["KERAS_BACKEND"] = next(installed, "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras  # noqa: E402
from keras import layers  # noqa: E402

BACKEND = keras.backend.backend()


def start() -> None:
    """Start the backend with the number of threads that the driver asked for."""
    match BACKEND:
        case "jax":
            import jax

            contender.start_threads(THREADS, jax.devices)
        case "torch":
            import torch

            torch.set_num_threads(THREADS)
        case "tensorflow":
            import tensorflow

            tensorflow.config.threading.set_intra_op_parallelism_threads(THREADS)
            tensorflow.config.threading.set_inter_op_parallelism_threads(THREADS)


def network(task: Task) -> keras.Sequential:
    """Return the network, which ends in logits."""
    keras.utils.set_random_seed(task.seed)
    net = keras.Sequential([keras.Input((task.sizes[0],))])
    for at, width in enumerate(task.sizes[1:], start=1):
        net.add(layers.Dense(width))
        if at == 1 and task.batchnorm:
            net.add(layers.BatchNormalization(momentum=1 - contender.BN_MOMENTUM, epsilon=contender.BN_EPS))
        if at < len(task.sizes) - 1:
            net.add(layers.ReLU())
    return net


def epoch(task: Task) -> Trial:
    x, y = contender.training_data(task)
    net = network(task)
    adam = keras.optimizers.Adam(
        contender.LR, beta_1=contender.BETA1, beta_2=contender.BETA2, epsilon=contender.EPS
    )
    net.compile(optimizer=adam, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    done = 0

    def work() -> None:
        nonlocal done
        net.fit(x, y, batch_size=task.batch, epochs=1, verbose=0)
        done += 1

    def predicted() -> np.ndarray:
        return net.predict(contender.floats("t10k", task.data), batch_size=1000, verbose=0).argmax(axis=1)

    return Trial(
        contender.timed(work), lambda: contender.accuracy_check(predicted, lambda: done), [f"on {BACKEND}"]
    )


def predict_proba(task: Task) -> Trial:
    net = network(task)
    net.add(layers.Softmax())
    w = contender.weights(task)
    dense = [layer for layer in net.layers if isinstance(layer, layers.Dense)]
    for at, layer in enumerate(dense, start=1):
        layer.set_weights([w[f"dense{at}.weight"], w[f"dense{at}.bias"]])
    norm = next(layer for layer in net.layers if isinstance(layer, layers.BatchNormalization))
    norm.set_weights([w[f"batchnorm1.{name}"] for name in ("gamma", "beta", "running_mean", "running_var")])
    net.compile()
    test = contender.floats("t10k", task.data)
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: net.predict_on_batch(x), task.calls),
        lambda: contender.probabilities_check(net.predict_on_batch(test)),
        [f"on {BACKEND}"],
    )


if __name__ == "__main__":
    start()
    contender.serve({"keras": keras.__version__}, {"epoch": epoch, "predict": predict_proba}, keras=BACKEND)
