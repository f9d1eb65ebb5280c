"""Ranks that are threads of one process: they test what the ranks agree on, without MPI."""

import queue
import threading
from collections.abc import Callable
from typing import Any

from fastdigits.training.ranks import Ranks

WAIT = 20  # seconds after which a rank that waits for another one fails


class Ended(BaseException):
    """Raised in a rank by `abort`."""


class World:
    """What the ranks share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = threading.Barrier(size, timeout=WAIT)
        self.values: list[Any] = [None] * size
        self.arrays: dict[tuple[int, int], queue.Queue[Any]] = {
            (source, target): queue.Queue() for source in range(size) for target in range(size)
        }
        self.exit_codes: list[int] = []
        self.reported: list[BaseException] = []


class ThreadRanks(Ranks):
    def __init__(self, world: World, rank: int) -> None:
        super().__init__()
        self.world, self.rank, self.size = world, rank, world.size
        self.ctrl_c = False  # set it to interrupt this rank

    def gather(self, value):
        self.world.values[self.rank] = value
        self.world.barrier.wait()
        found = list(self.world.values)
        self.world.barrier.wait()
        return found

    def exchange(self, sent, received):
        for rank, array in sent:
            self.world.arrays[self.rank, rank].put(array.copy())
        for rank, array in received:
            array[...] = self.world.arrays[rank, self.rank].get(timeout=WAIT)

    def abort(self, code):
        self.world.exit_codes.append(code)
        self.world.barrier.abort()
        raise Ended

    def report(self, error):
        self.world.reported.append(error)
        return 1

    @property
    def interrupted(self):
        return self.ctrl_c


def run_ranks(size: int, work: Callable[[ThreadRanks], Any]) -> list[Any]:
    """Call ``work`` on each rank, in a thread of its own; return the results, or the exceptions."""
    world = World(size)
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadRanks(world, rank))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
