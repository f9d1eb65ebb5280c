"""Train the recipes of a search, in this process or in several others that share the images."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np

from ..core import streams
from ..errors import DivergedError
from ..network import NeuralNetwork
from ..recipes import Recipe
from ..training.callbacks import Callback
from ..training.history import History
from . import runner, train_network
from .runner import CommandError
from .train_images import Part, RunImages
from .tune_search import Score

_LARGEST = 1e30  # loss of a training that did not diverge
IMAGES = ".images"  # in the folder of a search, while it runs


@dataclass(frozen=True)
class Job:
    """A recipe to train: with this seed, on so many threads, for at most so many seconds."""

    recipe: Recipe
    seed: int
    threads: int
    seconds: float


def measure(splits: list[RunImages], job: Job) -> Score | None:
    """Train a recipe on each split, with a seed of its own, and evaluate it on the held-out images.

    Returns
    -------
    Score or None
        The means over the splits. None if the time was over before.

    Raises
    ------
    CommandError
        If the images do not suit the recipe.
    """
    started = time.perf_counter()
    limit, found = _TimeLimit(job.seconds), []
    try:
        with _silence():
            for place, images in enumerate(splits):
                network = train_network.build(job.recipe, images, (job.seed + place) % 2**128, "")
                network.fit(
                    images.train.x,
                    images.train.y,
                    **job.recipe.fit_arguments(),
                    callbacks=[limit],
                    progress=False,
                    threads=job.threads,
                )
                found.append(network.evaluate(images.validation.x, images.validation.y))
    except _TimeOverError:
        return None
    except DivergedError:
        found = []
    except (TypeError, ValueError) as error:  # the images do not suit; the message says what to do
        raise CommandError(str(error)) from error
    except MemoryError as error:
        raise CommandError(f"--processes: trials must fit into memory; got {error}: take fewer") from error
    seconds = time.perf_counter() - started
    accuracy, loss = (
        sum(one[name] for one in found) / len(splits) if found else None for name in ("accuracy", "loss")
    )
    if loss is None or not loss < _LARGEST:
        return Score(accuracy=None, loss=None, seconds=seconds)
    return Score(accuracy=accuracy, loss=loss, seconds=seconds)


class _TimeOverError(Exception):
    """Ends a training."""


class _TimeLimit(Callback):
    """End a training when its time is over."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def on_progress(self, done: int, total: int) -> None:
        if time.monotonic() > self._end:
            raise _TimeOverError

    def on_epoch_end(self, epoch: int, network: NeuralNetwork, history: History) -> None:
        self.on_progress(0, 0)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop warnings and messages: a search would repeat them for each trial."""
    nothing = cast(TextIO, streams.Messages(None))
    with contextlib.redirect_stderr(nothing), warnings.catch_warnings(action="ignore"):
        yield


# -- in this process or in others --------------------------------------------------------------------------


class Here:
    """Train in this process, one recipe after another."""

    def __init__(self, splits: list[RunImages]) -> None:
        self._splits = splits

    def submit(self, job: Job) -> Future[Score | None]:
        """Train; return what holds the score."""
        future: Future[Score | None] = Future()
        future.set_result(measure(self._splits, job))
        return future


class Processes:
    """Train in processes of their own, which end with this one, and at once when the block is left.

    Parameters
    ----------
    count : int
    splits : list of RunImages
        Written to files, which the processes map into their memory.
    folder : Path
        Of the search.
    backend : str
        Name of the kernels.
    """

    def __init__(self, count: int, splits: list[RunImages], folder: Path, backend: str) -> None:
        self._count, self._splits, self._backend = count, splits, backend
        self._folder = folder / IMAGES

    def __enter__(self) -> Processes:
        self._folder.mkdir()
        for place, images in enumerate(self._splits):
            for name, array in zip(_ARRAYS, _arrays(images), strict=True):
                np.save(self._folder / name.format(place), array)
        none = Part(np.zeros(0), np.zeros(0))
        shell = replace(self._splits[0], train=none, validation=none, test=none)
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        reader, self._writer = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            self._count,
            context,
            _begin,
            (shell, self._folder, len(self._splits), self._backend, reader),
        )
        return self

    def submit(self, job: Job) -> Future[Score | None]:
        """Let a process train; return what will hold the score."""
        with _without_interrupts():
            return self._pool.submit(_measure, job)

    def __exit__(self, *error: object) -> None:
        self._writer.close()  # ends the processes
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)


_ARRAYS = ("{}-train-x.npy", "{}-train-y.npy", "{}-held-out-x.npy", "{}-held-out-y.npy")


def _arrays(images: RunImages) -> tuple[Any, ...]:
    return (*images.train, *images.validation)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a process that starts in this block ignore Ctrl-C from its first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- in the processes --------------------------------------------------------------------------------------

_splits: list[RunImages] = []


def _begin(shell: RunImages, folder: Path, count: int, backend: str, reader: Connection) -> None:
    """Prepare a process: its end with the search, its kernels, and the images."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(reader,), daemon=True).start()
    runner.choose(backend, 1)
    for place in range(count):
        x, y, *held_out = (np.load(folder / name.format(place), mmap_mode="r") for name in _ARRAYS)
        part = Part(*held_out)
        _splits.append(replace(shell, train=Part(x, y), validation=part, test=part))


def _end_with(reader: Connection) -> None:
    """End this process when the other end of a pipe is closed: by the search, or by its end."""
    wait([reader])
    os._exit(0)


def _measure(job: Job) -> Score | None:
    return measure(_splits, job)
