"""What every contender shares: the images, one set of weights, and the protocol with the driver.

The driver starts a contender as ``python <script>.py --threads N`` and sends requests as lines of JSON: ``setup``
prepares a job, ``run`` does it once (many times, in turn with the others), and ``check`` returns results at the end.
This module imports no framework, and not fastdigits.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MNIST = Path(__file__).resolve().parents[3] / "data" / "mnist"
NETWORKS = {"original": (784, 64, 32, 10), "wide": (784, 1024, 1024, 10)}
LR, BETA1, BETA2, EPS = 0.001, 0.9, 0.999, 1e-8
BN_EPS, BN_MOMENTUM = 1e-5, 0.1  # the momentum is the weight of the new value
CHECKED_IMAGES = 64
CLASSES = np.arange(10)


@dataclass
class Task:
    """A request of the driver.

    Attributes
    ----------
    job : {"epoch", "predict"}
    network : {"original", "wide"}
        ``original`` has batch normalisation after its first layer, ``wide`` has none.
    hidden : int
        Width of the first hidden layer, in place of that of ``network``; the second one has half of it. 0 for none.
    batch : int
        Images per step.
    rows : int
        Training images per epoch, the first ones of MNIST; 0 means all.
    data : {"pixels", "unit", "standardised"}
        ``pixels``: uint8 for fastdigits, float32 between 0 and 1 for the others, each before the clock starts.
        ``unit``: float32 between 0 and 1 for all. ``standardised``: each column has mean 0 and deviation 1.
    images : int
        Number of test images per call of a prediction.
    trained : int
        Epochs to train before the first run.
    calls : float
        A prediction is repeated for about this many seconds; the mean is one measured value.
    seed : int
    """

    job: str
    network: str = "original"
    hidden: int = 0
    batch: int = 64
    rows: int = 0
    data: str = "pixels"
    images: int = 1
    trained: int = 1
    calls: float = 0.1
    seed: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        if self.hidden:
            return 784, self.hidden, max(self.hidden // 2, 1), 10
        return NETWORKS[self.network]

    @property
    def batchnorm(self) -> bool:
        """Whether the first layer has batch normalisation, which needs at least two images to train."""
        return self.network == "original" and (self.batch > 1 or self.job == "predict")


@dataclass
class Trial:
    """A prepared job: ``run`` returns seconds, ``check`` results that show that the work was done."""

    run: Callable[[], float]
    check: Callable[[], dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def threads_asked() -> int:
    """Return the number after ``--threads``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    return int(parser.parse_known_args()[0].threads)


def training_options(description: str) -> argparse.ArgumentParser:
    """Return the parser of a script that trains to an accuracy."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--accuracy", type=float, default=0.972)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser


# -- the data ----------------------------------------------------------------------------------------------


@functools.cache
def pixels(part: str) -> np.ndarray:
    """Return the images of ``train`` or ``t10k``: (n, 784) uint8."""
    data = gzip.decompress((MNIST / f"{part}-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 784).copy()


@functools.cache
def labels(part: str) -> np.ndarray:
    """Return the labels of ``train`` or ``t10k``: (n,) int64."""
    data = gzip.decompress((MNIST / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=8).astype(np.int64)


def floats(part: str, data: str = "pixels", dtype: type = np.float32, rows: int = 0) -> np.ndarray:
    """Return the first ``rows`` images of ``train`` or ``t10k``, or all, as floats: (n, 784).

    They are divided by 255, or have the columns of ``train`` at mean 0 and deviation 1 for ``standardised`` data.
    """
    found = pixels(part)[: rows or None].astype(dtype) / dtype(255)
    if data == "standardised":
        mean, deviation = _columns()
        found = ((found - mean) / deviation).astype(dtype)
    return found


@functools.cache
def _columns() -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each column of the training images divided by 255; deviation 1 for 0."""
    images = pixels("train").astype(np.uint16)
    mean = images.mean(axis=0)
    deviation = np.sqrt((images * images).mean(axis=0) - mean**2)  # 255² fits into 16 bits
    return mean / 255, np.where(deviation == 0, 1, deviation / 255)


def training_data(task: Task, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images of a task as floats, (n, 784), and their labels, (n,) int64."""
    return floats("train", task.data, dtype, task.rows), labels("train")[: task.rows or None].copy()


def weights(task: Task) -> dict[str, np.ndarray]:
    """Return fixed float32 weights for the network of a task, with the names of fastdigits.

    Every contender predicts with them, and the driver compares the probabilities.
    """
    rng = np.random.default_rng(20)
    found: dict[str, np.ndarray] = {}
    for at, (n_in, n_out) in enumerate(itertools.pairwise(task.sizes), start=1):
        found[f"dense{at}.weight"] = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in)
        found[f"dense{at}.bias"] = 0.1 * rng.standard_normal(n_out)
    width = task.sizes[1]
    found["batchnorm1.gamma"] = rng.uniform(0.5, 1.5, width)
    found["batchnorm1.beta"] = 0.1 * rng.standard_normal(width)
    found["batchnorm1.running_mean"] = 0.1 * rng.standard_normal(width)
    found["batchnorm1.running_var"] = rng.uniform(0.5, 1.5, width)
    return {name: value.astype(np.float32) for name, value in found.items()}


def folded_weights(task: Task) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return `weights` as (weight, bias) of three layers, batch normalisation folded into the first."""
    w = weights(task)
    scale = w["batchnorm1.gamma"] / np.sqrt(w["batchnorm1.running_var"] + np.float32(BN_EPS))
    shift = w["batchnorm1.beta"] - w["batchnorm1.running_mean"] * scale
    first = (w["dense1.weight"] * scale, w["dense1.bias"] * scale + shift)
    return [first, *((w[f"dense{at}.weight"], w[f"dense{at}.bias"]) for at in (2, 3))]


# -- threads -----------------------------------------------------------------------------------------------


def start_threads(count: int, start: Callable[[], object]) -> None:
    """Start a library with ``count`` threads that has no other option: it starts one per available processor.

    Its threads may run on any processor afterwards.
    """
    if not hasattr(os, "sched_getaffinity"):
        start()
        return
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(processors)[:count])
    start()
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), processors)


# -- measuring ---------------------------------------------------------------------------------------------


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Return a function that does ``work`` once and returns the seconds."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def timed_calls(call: Callable[[], object], seconds: float) -> Callable[[], float]:
    """Return a function that repeats ``call`` for about ``seconds`` and returns the seconds per call."""
    calls = 1
    while (taken := _repeat(call, calls)) < seconds / 4:
        calls *= 2
    calls = max(1, round(calls * seconds / taken))
    return lambda: _repeat(call, calls) / calls


def _repeat(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return time.perf_counter() - start


def accuracy_check(predict: Callable[[], np.ndarray], epochs: Callable[[], int]) -> dict[str, Any]:
    """Return the number of epochs and the test accuracy of ``predict()``, (10000,) labels."""
    return {"epochs": epochs(), "test_accuracy": float((predict() == labels("t10k")).mean())}


def probabilities_check(probs: np.ndarray) -> dict[str, Any]:
    """Return the probabilities of the first images, which the driver compares."""
    return {"probabilities": np.asarray(probs, np.float64)[:CHECKED_IMAGES].tolist()}


# -- the protocol ------------------------------------------------------------------------------------------


def serve(versions: dict[str, str], jobs: dict[str, Callable[[Task], Trial]], **facts: Any) -> None:
    """Answer the requests of the driver until it closes the stream.

    Parameters
    ----------
    versions : dict
        Versions of the packages that do the work.
    jobs : dict
        Functions that prepare a trial, by the name of the job; the answer to any other job is ``unable``.
    facts : optional
        Further facts for the report.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a framework prints must not become an answer
    send = lambda answer: print(json.dumps(answer), file=answers, flush=True)  # noqa: E731
    versions = {"python": platform.python_version(), "numpy": np.__version__, **versions}
    send({"versions": versions, **facts})
    trial: Trial | None = None
    for line in sys.stdin:
        request = json.loads(line)
        match request.pop("do"):
            case "setup":
                trial = None  # frees the memory of the previous one
                task = Task(**request)
                if task.job not in jobs:
                    send({"unable": f"has no job {task.job}"})
                    continue
                try:
                    trial = jobs[task.job](task)
                except NotImplementedError as error:
                    send({"unable": str(error)})
                    continue
                for _ in range(task.trained):  # warm up, and train before the first run
                    trial.run()
                send({"ready": True, "notes": trial.notes})
            case "run" if trial is not None:
                send({"seconds": trial.run()})
            case "check" if trial is not None:
                send(trial.check())
            case other:
                send({"error": f"{other}: must be setup, or run or check after a setup"})
