"""Ranks over MPI: each process of ``mpiexec -n 4 python train.py`` is one."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from ..backend import threads
from ..core.arrays import Float32
from ..training.ranks import PATIENCE, Ranks

_T = TypeVar("_T")


def mpi() -> Ranks:
    """Return the ranks of this MPI program, for ``fit(..., ranks=...)``.

    Start the program with ``mpiexec -n 4 python train.py``, or with ``srun`` of a cluster. The number of threads per
    rank becomes the processors of the machine divided by its ranks, unless ``FASTDIGITS_NUM_THREADS`` or
    `set_num_threads` says another.

    Returns
    -------
    Ranks
        With ``rank``, from 0, and ``size``. Without a launcher, the size is 1.

    Raises
    ------
    ImportError
        If mpi4py, or the MPI library that it needs, is not installed.

    Notes
    -----
    An error that only one rank has would leave the others waiting. So an error that no handler catches is printed,
    and ends all ranks. An error that all ranks have, such as wrong arguments of `fit`, is printed by rank 0 only.

    Examples
    --------
    >>> import fastdigits as fd
    >>> ranks = fd.distributed.mpi()  # doctest: +SKIP
    >>> net.fit(x, y, batch_size=1024, ranks=ranks)  # doctest: +SKIP
    >>> if ranks.rank == 0:  # doctest: +SKIP
    ...     net.save("digits.safetensors")
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: it finds no MPI library
        raise ImportError(
            f"distributed.mpi: mpi4py and an MPI library must be installed; got: {error}: "
            "pip install 'mpi4py>=4.0', and take the MPI of your system or the package mpich"
        ) from error
    return _MPIRanks(MPI)


class _MPIRanks(Ranks):
    """The processes of MPI's world."""

    def __init__(self, library: Any) -> None:
        super().__init__()
        self._mpi = library
        self._world = library.COMM_WORLD.Dup()  # messages of the caller stay apart
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        if self.size > 1:
            threads.set_share(_processors_per_rank(library, self._world))
            self._hook, sys.excepthook = sys.excepthook, self._end_all

    def gather(self, value: _T) -> list[_T]:
        with self._answers():
            found: list[_T] = self._world.allgather(value)
        return found

    def exchange(self, sent: Sequence[tuple[int, Float32]], received: Sequence[tuple[int, Float32]]) -> None:
        with self._answers():
            if len(sent) == len(received) == 1:
                (target, array), (source, other) = sent[0], received[0]
                self._world.Sendrecv(array, target, 0, other, source, 0)
                return
            requests = [self._world.Irecv(array, rank) for rank, array in received]
            requests += [self._world.Isend(array, rank) for rank, array in sent]
            self._mpi.Request.Waitall(requests)

    @contextlib.contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except self._mpi.Exception as error:
            raise ConnectionError(
                f"fit: all ranks must answer until the end; got: {error}: one was killed, or its machine cannot be "
                "reached; resume from the last checkpoint"
            ) from error

    def abort(self, code: int) -> NoReturn:
        self._world.Abort(code)
        os._exit(code)  # Abort does not return

    @contextlib.contextmanager
    def guard(self, *, defer: bool = True) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            if self.rank > 0:  # rank 0 has the same warnings
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
            stack.enter_context(super().guard(defer=defer))
            yield

    def close(self) -> None:
        if self.size > 1:
            sys.excepthook = self._hook
            threads.set_share(None)
        self._mpi.Finalize()

    def _end_all(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        """Print an error that ends the program; end all ranks if the others do not have it."""
        agreed = self.is_agreed(error)
        if self.rank > 0 and not agreed:
            time.sleep(PATIENCE)
        if self.rank == 0 or not agreed:
            self._hook(kind, error, traceback)
        if not agreed:
            sys.stderr.flush()
            self.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)


def _processors_per_rank(library: Any, world: Any) -> int:
    """Return the processors that the ranks of this machine may use, divided by their number."""
    local = world.Split_type(library.COMM_TYPE_SHARED)
    here = threads.available_processors()
    try:
        own = os.sched_getaffinity(0)
    except AttributeError:  # macOS and Windows
        own = set(range(os.cpu_count() or 1))
    all_of_them: set[int] = set().union(*local.allgather(own))
    limited = here < len(own)  # by a quota, which the ranks share
    count = (here if limited else len(all_of_them)) // int(local.Get_size())
    local.Free()
    return max(1, min(here, count))
