"""All pictures of a run, as files."""

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
from .canvas import DPI, as_pictures, checked, names_of, write_figure
from .confusion import confusion_matrix_figure
from .curves import training_curves
from .predictions import confused_pairs, prediction_grid
from .reliability import reliability_diagram
from .weights import first_layer_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training.history import History

PATIENCE = 30.0  # seconds to wait for the other process, which has as much to draw as this one


def write_pictures(
    folder: str | os.PathLike[str],
    *,
    images: object,
    labels: object,
    probabilities: object,
    history: History | None = None,
    weight: object = None,
    image_shape: tuple[int, int] | None = None,
    right: bool = True,
    class_names: Sequence[str] | None = None,
) -> list[Path]:
    """Draw everything that can be drawn of a run, into a folder that exists.

    Parameters
    ----------
    folder : str or path-like
    images, labels, probabilities
        As for `prediction_grid`.
    history : History, optional
        Without one, or without an epoch, ``curves.png`` is left out.
    weight : array_like, optional
        As for `first_layer_weights`; without it, ``weights.png`` is left out.
    image_shape : (int, int), optional
        Height and width. Needed where the images are rows, (n, height · width); otherwise it is theirs.
    right : bool, default True
        Whether ``predictions_right.png`` is drawn.
    class_names : sequence of str, optional
        Without them the classes' numbers.

    Returns
    -------
    list of Path
        ``curves.png``, ``predictions_right.png``, ``predictions_wrong.png``, ``confused_pairs.png``,
        ``confusion.png``, ``calibration.png``, ``weights.png``.
    """
    if image_shape is not None:
        images = as_pictures(images, image_shape, "write_pictures")
    pictures, truth, probs = checked(images, labels, probabilities, "write_pictures")
    names_of(class_names, probs.shape[1], "write_pictures")
    drawings: dict[str, Callable[[], Figure]] = {}
    if history is not None and history.epoch:
        drawings["curves"] = lambda: training_curves(history)
    if right:
        drawings["predictions_right"] = lambda: prediction_grid(
            pictures, truth, probs, correct=True, class_names=class_names
        )
    drawings["predictions_wrong"] = lambda: prediction_grid(
        pictures, truth, probs, correct=False, class_names=class_names
    )
    drawings["confused_pairs"] = lambda: confused_pairs(pictures, truth, probs, class_names=class_names)
    drawings["confusion"] = lambda: confusion_matrix_figure(
        confusion_matrix(truth, probs.argmax(axis=1), probs.shape[1]), class_names
    )
    drawings["calibration"] = lambda: reliability_diagram(truth, probs)
    if weight is not None:
        drawings["weights"] = lambda: first_layer_weights(weight, (pictures.shape[1], pictures.shape[2]))
    paths = {Path(folder) / f"{name}.png": draw for name, draw in drawings.items()}
    if sys.platform == "linux" and get_num_threads() > 1 and _may_fork():
        _write_in_two_processes(paths)
    else:
        _write(paths)
    return list(paths)


def _may_fork() -> bool:
    """Return whether a fork is safe here: no other thread may hold a lock of matplotlib, which the child would keep.

    A daemonic process, such as a worker of a pool, may start no process at all.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if others:
        from tqdm import TMonitor  # the thread of a progress bar: it draws nothing

        others = [thread for thread in others if not isinstance(thread, TMonitor)]
    return not others and not multiprocessing.current_process().daemon


def _write(drawings: dict[Path, Callable[[], Figure]]) -> None:
    for path, draw in drawings.items():
        # 2 instead of 6 takes half the time and a fifth more bytes.
        write_figure(draw(), path, dpi=DPI, pil_kwargs={"compress_level": 2})


def _write_in_two_processes(drawings: dict[Path, Callable[[], Figure]]) -> None:
    """Draw every second picture in a forked process, which has matplotlib and the arrays already.

    It computes with no kernel, so it needs none of the threads that a fork leaves behind. On macOS the system's
    libraries do not allow a fork; a new process would import matplotlib again, which takes longer than this saves.
    """
    import matplotlib.backends.backend_agg
    import matplotlib.figure  # noqa: F401  # before the fork: once for both

    here, there = dict(list(drawings.items())[::2]), dict(list(drawings.items())[1::2])
    other = multiprocessing.get_context("fork").Process(target=_write_quietly, args=(there,), daemon=True)
    with interrupts.DeferInterrupts() as hold:
        hold.begin()  # else Ctrl-C could leave a process that nobody ends, or show its traceback
        try:
            with warnings.catch_warnings(
                action="ignore", category=DeprecationWarning
            ):  # of forks beside threads
                other.start()
        except OSError:  # no further process is allowed
            hold.end()
            _write(drawings)
            return
        try:
            with hold.paused():
                _write(here)
                other.join(PATIENCE)
        finally:
            other.kill()
            other.join()
            for path in there:  # what it was writing
                atomic.remove_leftovers(path)
    if other.exitcode != 0:  # an error, which then is raised here, or no answer
        _write(there)


def _write_quietly(drawings: dict[Path, Callable[[], Figure]]) -> None:
    """Draw in a process of its own: end at Ctrl-C without a word, and leave errors to the process that waits."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _write(drawings)
    except Exception:
        sys.exit(1)
