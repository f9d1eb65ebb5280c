"""The command ``fastdigits tune``: search settings for data by successive halving, and write them as a recipe."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import backend
from ..backend.threads import get_num_threads
from ..core.interrupts import DeferInterrupts
from ..data.labels import unit_of
from ..metrics.classification import wilson_interval
from ..recipes import Recipe
from . import console, run_folder, runner, system, tune_messages, tune_options, tune_setup, tune_trials
from .runner import CommandError
from .tune_search import Score, Task, Trial, in_round, search
from .tune_setup import Setup
from .tune_workers import IMAGES, Here, Job, Processes

COMMAND = "fastdigits tune"
FILES = (run_folder.SEARCH, run_folder.TRIALS, run_folder.RECIPE, run_folder.RESULT)


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Search with the options in ``argv``; None means the arguments of the process.

    Returns
    -------
    int
        0; 2 after an error that the user can correct; 130 after an interrupt. A wrong option exits at once.
    """
    options = tune_options.read(argv)
    return runner.run(COMMAND, lambda: _tune(options), backend_name=options.backend)


def _tune(options: argparse.Namespace) -> int:
    say = console.print_nothing if options.quiet else console.print_message
    setup = tune_setup.prepare(options, COMMAND)
    with _open(options) as folder, DeferInterrupts() as hold:
        trials = tune_trials.read(folder, setup.plan)
        processes = options.processes or get_num_threads()
        say(tune_messages.opening(options, setup, processes, len(trials)))
        interrupted = False
        try:
            _search(options, setup, folder, trials, processes, say)
            hold.begin()
        except KeyboardInterrupt:
            hold.begin()
            interrupted = True
        ended = [trial for trial in trials if trial.accuracy is not None]
        if not ended and interrupted:
            console.print_note(
                COMMAND, f"interrupted before a trial ended; go on with fastdigits tune --resume {folder}"
            )
            return runner.INTERRUPTED
        if not ended:
            raise _nothing(options, trials)
        tune_trials.write(folder, trials)
        best = min(ended, key=lambda trial: trial.rank)
        recipe = replace(best.recipe, about=_about(setup, best, trials))
        recipe.save(folder / run_folder.RECIPE)
        result = _result(options, setup, folder, trials, best, recipe) | {"interrupted": interrupted}
        run_folder.write_result(folder, result)
    say(tune_messages.ending(setup, trials, result, recipe))
    say(tune_messages.saved(options, folder, result))
    if options.json:
        try:
            console.print_json(result)
        except OSError:
            if not interrupted:  # Ctrl-C ended the reader of the output, too
                raise
    return runner.INTERRUPTED if interrupted else runner.SUCCESS


@contextlib.contextmanager
def _open(options: argparse.Namespace) -> Iterator[Path]:
    """Lock the folder of the search, write the settings, and yield it; a search without trials leaves no files."""
    again = options.resume is not None
    with run_folder.folder(
        options.output,
        overwrite=options.overwrite or again,
        files=FILES,
        kind="search",
        option="--resume" if again else "--output",
    ) as folder:
        shutil.rmtree(folder / IMAGES, ignore_errors=True)  # of a search that was killed
        if not again:
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
        run_folder.write_settings(folder, tune_options.to_record(options), run_folder.SEARCH)
        try:
            yield folder
        except CommandError as error:
            resumable = again or isinstance(error.__cause__, BrokenProcessPool)
            if not resumable and not (folder / run_folder.TRIALS).exists():
                (folder / run_folder.SEARCH).unlink(missing_ok=True)
            raise


def _search(
    options: argparse.Namespace,
    setup: Setup,
    folder: Path,
    trials: list[Trial],
    processes: int,
    say: Callable[[str], None],
) -> None:
    """Run the search; write all trials whenever one has ended."""
    began = time.monotonic() - max((trial.elapsed for trial in trials), default=0.0)
    progress = tune_messages.Progress(setup.plan, say)

    def elapsed() -> float:
        return time.monotonic() - began

    def begun(number: int, count: int) -> None:
        progress.begin(number, count, in_round(trials, setup.plan.epochs[number]))

    def ended(trial: Trial) -> None:
        tune_trials.write(folder, trials)
        progress.end(trial)

    workers: contextlib.AbstractContextManager[Here | Processes] = (
        contextlib.nullcontext(Here(setup.splits))
        if processes == 1
        else Processes(processes, setup.splits, folder, backend.backend_name())
    )
    try:
        with workers as chosen:

            def submit(task: Task, threads: int) -> Future[Score | None]:
                return chosen.submit(Job(task.recipe, options.seed, threads, setup.plan.seconds - elapsed()))

            search(setup.plan, trials, submit, processes, elapsed, begun, ended)
    except BrokenProcessPool as error:
        raise CommandError(
            f"--processes: each must fit into memory and stay alive; got {processes}, of which one was killed: go on "
            f"with fastdigits tune --resume {folder} --processes {processes // 2}"
        ) from error


def _nothing(options: argparse.Namespace, trials: list[Trial]) -> CommandError:
    """Return the error of a search without a result."""
    if trials:
        return CommandError("--space: some recipe must not diverge; got none: take smaller learning rates")
    return CommandError(
        f"--minutes: must be enough for one trial; got {options.minutes:g}: take more, or fewer --epochs"
    )


def _about(setup: Setup, best: Trial, trials: list[Trial]) -> str:
    recipes = len({trial.number for trial in trials})
    return (
        f"{console.percent(best.accuracy or 0)} of {setup.held_out:,} held-out {unit_of(setup.images.image_shape)}, "
        f"the best of {recipes:,} recipes"
    )


def _result(
    options: argparse.Namespace,
    setup: Setup,
    folder: Path,
    trials: list[Trial],
    best: Trial,
    recipe: Recipe,
) -> dict[str, Any]:
    n = setup.held_out
    return {
        "held_out_accuracy": best.accuracy,
        "held_out_accuracy_interval": list(wilson_interval(round((best.accuracy or 0) * n), n)),
        "held_out_loss": best.loss,
        "held_out_images": n,
        "repeats": len(setup.splits),
        "trial": best.number,
        "trials": len(trials),
        "rounds": setup.plan.epochs,
        "seconds": max(trial.elapsed for trial in trials),
        "recipe": asdict(recipe),
        "recipe_file": str(folder / run_folder.RECIPE),
        "seed": options.seed,
        "output": str(folder),
        "settings": tune_options.to_record(options),
        "resumed": options.resumed,
        **system.provenance(options.command),
    }
