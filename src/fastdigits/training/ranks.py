"""The processes that share a training, called ranks. Here is one that is alone, and what any number of them agree on.

`fastdigits.distributed` has ranks over MPI. This module imports nothing of it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn, TypeVar

from ..core.arrays import Float32
from ..core.interrupts import DeferInterrupts

# An error in the code comes to all ranks. The others wait so many seconds, in which rank 0 reports it and ends them.
PATIENCE = 0.5
_T = TypeVar("_T")
_E = TypeVar("_E", bound=BaseException)


class Ranks:
    """A process that trains alone; the base class of processes that share a training.

    A subclass sets `rank` and `size` and overrides `gather`, `exchange` and `abort`. All ranks call the methods in the
    same order.

    Attributes
    ----------
    rank : int
        Number of this process, from 0. Only rank 0 writes files and messages.
    size : int
        Number of processes.
    """

    rank = 0
    size = 1

    def __init__(self) -> None:
        self._interrupts = DeferInterrupts()
        self._agreed: BaseException | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"

    def share(self, count: int) -> slice:
        """Return the part of ``count`` pieces of work that is this rank's."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    # -- what a subclass overrides ---------------------------------------------------------------------------

    def gather(self, value: _T) -> list[_T]:
        """Return the values of all ranks in their order; each can be pickled."""
        return [value]

    def exchange(self, sent: Sequence[tuple[int, Float32]], received: Sequence[tuple[int, Float32]]) -> None:
        """Send arrays to other ranks and fill arrays with theirs; pairs of rank and array."""

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once with an exit code; the caller has printed why."""
        os._exit(code)

    def close(self) -> None:
        """End what the ranks share, where the rest of the program is the work of one; all ranks call it."""

    def report(self, error: BaseException) -> int:
        """Print an error that ends all ranks, and return the exit code. Commands replace it."""
        traceback.print_exception(error, file=sys.__stderr__)
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            return error.code
        return 130 if isinstance(error, KeyboardInterrupt) else 1

    # -- agreement -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def guard(self, *, defer: bool = True) -> Iterator[None]:
        """End all ranks if this one leaves the block by an error that not all of them have: they would wait for it.

        With ``defer``, Ctrl-C takes effect only in `together` and `interrupt`, on all ranks at once.
        """
        with self._interrupts:
            try:
                if defer:
                    self._interrupts.begin()
                yield
                self.together(lambda: None)
            except BaseException as error:
                if self.size > 1 and not self.is_agreed(error):
                    self.fail(error)
                raise

    @contextlib.contextmanager
    def whole_steps(self) -> Iterator[None]:
        """Defer Ctrl-C in this block, to the end of a step; ranks that share a training defer it all the time."""
        if self.size > 1:
            yield
            return
        with self._interrupts:
            self._interrupts.begin()
            yield

    def fail(self, error: BaseException) -> NoReturn:
        """Report an error that only this rank has, and end all of them."""
        if self.rank > 0:
            time.sleep(PATIENCE)
        code = self.report(error)
        for stream in (sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
        self.abort(code)

    def is_agreed(self, error: BaseException) -> bool:
        """Return whether all ranks raise this error."""
        cause: BaseException | None = error
        while cause is not None:
            if cause is self._agreed:
                return True
            cause = cause.__cause__
        return False

    def agreed(self, error: _E) -> _E:
        """Mark an error that all ranks raise, and return it."""
        self._agreed = error
        return error

    def together(self, work: Callable[[], _T]) -> _T:
        """Call ``work`` on all ranks; if it fails on one, or if Ctrl-C came to one, raise that on all of them."""
        if self.size == 1:
            return work()
        problem: BaseException | None = None
        try:
            result = work()
        except BaseException as error:
            problem = error
        states = self.gather((_portable(problem), self.interrupted))
        found = [(rank, error) for rank, (error, _) in enumerate(states) if error is not None]
        if found:
            common = _common(found, self.size)
            if problem is not None and str(problem) == str(common):
                common = problem  # with its own traceback
            raise self.agreed(common) from common.__cause__
        if any(interrupted for _, interrupted in states):
            self.interrupt()
        return result

    def from_first(self, work: Callable[[], _T]) -> _T:
        """Return the result of ``work`` on rank 0 to all ranks."""
        result = self.together(lambda: work() if self.rank == 0 else None)
        return self.gather(result)[0]  # type: ignore[return-value]

    def compare(self, facts: Mapping[str, object], subject: str, hint: str) -> None:
        """Raise the same ValueError on all ranks if one of the facts, as text, differs from that of rank 0."""
        first, *others = self.gather({name: str(fact) for name, fact in facts.items()})
        for rank, theirs in enumerate(others, 1):
            for name in {**first, **theirs}:
                if first.get(name) != theirs.get(name):
                    raise self.agreed(
                        ValueError(
                            f"{subject} {name} must be the same on all ranks; rank 0 has "
                            f"{first.get(name, 'none'):.200}, rank {rank} has {theirs.get(name, 'none'):.200}: {hint}"
                        )
                    )

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C came to this rank and has not taken effect."""
        return self._interrupts.received

    def interrupt(self) -> NoReturn:
        """Raise KeyboardInterrupt; all ranks call this at the same point."""
        try:
            self._interrupts.end()  # the handler raises, if Ctrl-C came to this rank
        except KeyboardInterrupt as error:
            self.agreed(error)
            raise
        raise self.agreed(KeyboardInterrupt())


def _portable(error: BaseException | None) -> BaseException | None:
    """Return an error that other ranks can unpickle."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _common(found: list[tuple[int, BaseException]], size: int) -> BaseException:
    """Return the error that all ranks raise for those of some; it names the rank, unless that is 0 or they all fail."""
    rank, error = found[0]
    if rank == 0 or len(found) == size or isinstance(error, KeyboardInterrupt | SystemExit):
        return error
    text = f"rank {rank}: {error}"
    try:
        return type(error)(text)
    except Exception:  # its class wants other arguments
        return RuntimeError(f"rank {rank}: {type(error).__name__}: {error}")
