"""Write all pictures of a run to files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..backend.threads import get_num_threads
from ..core import atomic, interrupts
from ..metrics.classification import confusion_matrix
from .canvas import DPI, as_pictures, check_predicted_images, names_of, write_figure
from .confusion import confusion_matrix_figure
from .curves import Epochs, training_curves
from .predictions import confused_pairs, prediction_grid
from .reliability import reliability_diagram
from .weights import first_layer_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PATIENCE = 30.0  # seconds to wait for the other process, which draws as many pictures as this one


def write_pictures(
    folder: str | os.PathLike[str],
    *,
    images: object,
    labels: object,
    probabilities: object,
    history: Epochs | None = None,
    weight: object = None,
    image_shape: tuple[int, int] | None = None,
    right: bool = True,
    class_names: Sequence[str] | None = None,
) -> list[Path]:
    """Write all pictures of a run into an existing folder.

    Images of height 1 are the rows of a table: neither they nor the weights of their columns are drawn.

    Parameters
    ----------
    folder : str or path-like
    images, labels, probabilities
        As for `prediction_grid`.
    history : History, optional
        For ``curves.png``, which is omitted without it or without an epoch.
    weight : array_like, optional
        For ``weights.png``, see `first_layer_weights`; without it, that picture is omitted.
    image_shape : (int, int), optional
        Height and width. Required if the images are rows, (n, height · width).
    right : bool, default True
        Whether to draw ``predictions_right.png``.
    class_names : sequence of str, optional
        Default: the numbers of the classes.

    Returns
    -------
    list of Path
        ``curves.png``, ``predictions_right.png``, ``predictions_wrong.png``, ``confused_pairs.png``,
        ``confusion.png``, ``calibration.png``, ``weights.png``.
    """
    if image_shape is not None:
        images = as_pictures(images, image_shape, "write_pictures")
    pictures, truth, probs = check_predicted_images(images, labels, probabilities, "write_pictures")
    names_of(class_names, probs.shape[1], "write_pictures")
    drawings: dict[str, Callable[[], Figure]] = {}
    if history is not None and history.epoch:
        drawings["curves"] = lambda: training_curves(history)
    table = pictures.shape[1] == 1
    if right and not table:
        drawings["predictions_right"] = lambda: prediction_grid(
            pictures, truth, probs, correct=True, class_names=class_names
        )
    if not table:
        drawings["predictions_wrong"] = lambda: prediction_grid(
            pictures, truth, probs, correct=False, class_names=class_names
        )
        drawings["confused_pairs"] = lambda: confused_pairs(pictures, truth, probs, class_names=class_names)
    drawings["confusion"] = lambda: confusion_matrix_figure(
        confusion_matrix(truth, probs.argmax(axis=1), probs.shape[1]), class_names
    )
    drawings["calibration"] = lambda: reliability_diagram(truth, probs)
    if weight is not None and not table:
        drawings["weights"] = lambda: first_layer_weights(weight, (pictures.shape[1], pictures.shape[2]))
    paths = {Path(folder) / f"{name}.png": draw for name, draw in drawings.items()}
    if sys.platform == "linux" and get_num_threads() > 1 and _may_fork():
        _write_in_two_processes(paths)
    else:
        _write(paths)
    return list(paths)


def _may_fork() -> bool:
    """Return whether a fork is safe: another thread could hold a lock of matplotlib, which stays locked in the child.

    A daemonic process, such as a worker of a pool, must not start processes.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        from tqdm import TMonitor  # the thread of a progress bar, which does not use matplotlib

        others = [thread for thread in others if not isinstance(thread, TMonitor)]
    return not others and not multiprocessing.current_process().daemon


def _write(drawings: dict[Path, Callable[[], Figure]]) -> None:
    for path, draw in drawings.items():
        # Level 2 takes half the time of the default, 6, and a fifth more bytes.
        write_figure(draw(), path, dpi=DPI, pil_kwargs={"compress_level": 2})


def _write_in_two_processes(drawings: dict[Path, Callable[[], Figure]]) -> None:
    """Draw every second picture in a forked process, which shares matplotlib and the arrays.

    It calls no kernel, so it does not need the threads, which a fork does not copy. On macOS, system libraries do not
    support a fork, and importing matplotlib in a new process takes longer than this saves.
    """
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401  # before the fork, once for both processes

    here, there = dict(list(drawings.items())[::2]), dict(list(drawings.items())[1::2])
    other = multiprocessing.get_context("fork").Process(target=_write_quietly, args=(there,), daemon=True)
    with interrupts.DeferInterrupts() as interrupt:
        interrupt.begin()  # else Ctrl-C could leave the child running, or show its traceback
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # fork with threads
                other.start()
        except OSError:  # the system allows no more processes
            interrupt.end()
            _write(drawings)
            return
        try:
            with interrupt.paused():
                _write(here)
                other.join(PATIENCE)
        finally:
            other.kill()
            other.join()
            for path in there:
                atomic.remove_leftovers(path)
    if other.exitcode != 0:  # it failed or was too slow; an error is raised again here
        _write(there)


def _write_quietly(drawings: dict[Path, Callable[[], Figure]]) -> None:
    """Draw in a child process: end silently at Ctrl-C, and leave errors to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _write(drawings)
    except Exception:
        sys.exit(1)
