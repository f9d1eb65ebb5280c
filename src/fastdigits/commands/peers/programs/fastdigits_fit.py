"""fastdigits as its users run it: `fit` and `predict_proba` on uint8 images, on the default backend."""

from __future__ import annotations

import contextlib
import io
import itertools
import os

import contender
import numpy as np
from contender import Task, Trial

THREADS = contender.threads_asked()
os.environ["FASTDIGITS_NUM_THREADS"] = str(THREADS)  # predict_proba has no argument for it

import fastdigits as fd  # noqa: E402


def network(task: Task) -> fd.NeuralNetwork:
    layers: list[fd.Layer] = []
    for at, (n_in, n_out) in enumerate(itertools.pairwise(task.sizes), start=1):
        layers.append(fd.Dense(n_in, n_out))
        if at == 1 and task.batchnorm:
            layers.append(fd.BatchNorm(n_out))
        if at < len(task.sizes) - 1:
            layers.append(fd.ReLU())
    return fd.NeuralNetwork(layers, seed=task.seed)


def images(task: Task, part: str, rows: int = 0) -> np.ndarray:
    """Return images as this task gives them to users of fastdigits: uint8 pixels, or the floats of the others."""
    if task.data == "pixels":
        return contender.pixels(part)[: rows or None].copy()
    return contender.floats(part, task.data, rows=rows)


def epoch(task: Task) -> Trial:
    x, y = images(task, "train", task.rows), contender.labels("train")[: task.rows or None].copy()
    net = network(task)
    adam = fd.Adam(lr=contender.LR, beta1=contender.BETA1, beta2=contender.BETA2, eps=contender.EPS)

    def work() -> None:
        net.fit(x, y, epochs=1, batch_size=task.batch, optimizer=adam, threads=THREADS)

    return Trial(
        contender.timed(work),
        lambda: contender.accuracy_check(
            lambda: net.predict(images(task, "t10k")), lambda: net.epochs_trained
        ),
    )


def predict_proba(task: Task) -> Trial:
    net = network(task)
    w = contender.weights(task)
    for parameter in net.parameters():
        parameter.value[...] = w[parameter.name]
    for name, buffer in net.buffers().items():
        buffer[...] = w[name]
    net = net.folded()  # as users do after training, and as for onnxruntime
    test = images(task, "t10k")
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: net.predict_proba(x), task.calls),
        lambda: contender.probabilities_check(net.predict_proba(test)),
        ["batch normalisation folded into the first layer"],
    )


def configuration() -> str:
    """Return the output of `fastdigits.show_config` on one line."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        returned = fd.show_config() if hasattr(fd, "show_config") else None
    text = printed.getvalue() if returned is None else str(returned)
    return "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def main() -> None:
    contender.serve(
        {"fastdigits": fd.__version__},
        {"epoch": epoch, "predict": predict_proba},
        backend=fd.backend_name(),
        configuration=configuration(),
    )


if __name__ == "__main__":
    main()
