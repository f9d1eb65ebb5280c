"""Tell whether a launcher such as mpiexec started this process together with others, and return their ranks.

A plain run imports nothing of `fastdigits.distributed`.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from ..core import streams
from ..core.interrupts import DeferInterrupts
from ..training.ranks import Ranks
from . import runner
from .runner import CommandError

AUTO, MPI, NONE = CHOICES = ("auto", "mpi", "none")

# The variables with rank and size that launchers set: of PMI (MPICH, Intel MPI, Slurm), Open MPI, and Slurm's srun. In
# a batch script itself, outside srun, Slurm sets none of these.
_VARIABLES = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


def place(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return rank and size as the launcher gives them; (0, 1) without one."""
    for names in _VARIABLES:
        texts = [environment.get(name, "") for name in names]
        if all(text.isascii() and text.isdigit() for text in texts):
            rank, size = map(int, texts)
            return rank, size
    return 0, 1


def speak_once(argv: Sequence[str] | None, main: Callable[[], int]) -> int:
    """Return the exit code of ``main``; on other ranks of one training than 0, drop what it prints and return 0.

    The launcher returns the code of rank 0. It may end all ranks once one ends with an error, while rank 0 still saves.
    """
    if place()[0] == 0 or _first_words(argv).ranks == NONE:
        return main()
    dropped = streams.Messages(None)
    with contextlib.redirect_stderr(dropped), contextlib.redirect_stdout(dropped):
        with contextlib.suppress(SystemExit):  # after a wrong option
            main()
        return runner.SUCCESS


def ranks(argv: Sequence[str] | None, command: str) -> Ranks:
    """Return the ranks that ``--ranks`` asks for; this process alone where no launcher started several.

    Raises
    ------
    CommandError
        If mpi4py is not installed, or belongs to another MPI than the launcher.
    """
    first, (_, started) = _first_words(argv), place()
    if first.answers or first.ranks == NONE or (first.ranks == AUTO and started == 1):
        return Ranks()
    from ..distributed import mpi

    with DeferInterrupts() as hold:  # MPI cannot be interrupted while it starts
        hold.begin()
        try:
            found = mpi()
        except ImportError as error:
            raise CommandError(f"--ranks: {error}; --ranks none trains without") from error
        if found.size < started:
            raise CommandError(
                f"--ranks: the launcher must belong to the MPI of mpi4py; got {started} processes and {found.size} "
                "of them in MPI: use its mpiexec, or srun --mpi=pmix, or --ranks none"
            )
        found.report = functools.partial(_report, command)  # type: ignore[method-assign]
        if hold.received:
            found.fail(KeyboardInterrupt())
    if (
        threading.current_thread() is threading.main_thread()
    ):  # as batch systems and Open MPI's mpiexec end programs
        signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    return found


def _first_words(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return what decides before all options are read: ``ranks``, and whether help or version ``answers``.

    Wrong values are reported when all options are read.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--ranks", choices=CHOICES, default=AUTO)
    parser.add_argument("-h", "--help", "--version", action="store_true", dest="answers")
    try:
        return parser.parse_known_args(argv)[0]
    except argparse.ArgumentError:
        return argparse.Namespace(ranks=AUTO, answers=False)


def _report(command: str, error: BaseException) -> int:
    """Print an error that only this rank has as the command would, and return the exit code."""

    def fail() -> NoReturn:
        raise error

    with contextlib.redirect_stderr(sys.__stderr__):
        try:
            return runner.exit_code(command, fail)
        except BaseException as unexpected:
            traceback.print_exception(unexpected)
            return 1
