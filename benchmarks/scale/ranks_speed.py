"""Compare two ranks of one thread with one process of one and of two threads: images per second of whole epochs.

    mpiexec -n 2 python benchmarks/scale/ranks_speed.py            # half a minute; needs mpi4py
    mpiexec -n 2 python benchmarks/scale/ranks_speed.py --batches 512 --rounds 15

The network of `fastdigits train` on MNIST. The contenders take turns; while one process trains alone, the other ranks
sleep. Shown are median and maximum over the rounds, and the ratio of the medians to one thread. Processes that train
networks of their own, with a share of the batch each, exchange nothing: they show what the machine allows.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

import fastdigits as fd

WORLD = MPI.COMM_WORLD
(X, Y), _ = fd.load_mnist()


def network() -> fd.NeuralNetwork:
    layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    return fd.NeuralNetwork(layers, seed=0)


def speed(batch: int, threads: int, shards: int, ranks: object = None, every: int = 0) -> float:
    """Return the images per second of one epoch."""
    history = network().fit(
        X,
        Y,
        epochs=1,
        batch_size=batch,
        threads=threads,
        batch_shards=shards,
        ranks=ranks,
        average_every=every,
    )
    return len(Y) / history.seconds[0]


def alone(work: Callable[[], float]) -> float:
    """Return the result of ``work`` on rank 0, while the others sleep."""
    result = work() if WORLD.rank == 0 else 0.0
    request = WORLD.Ibarrier()
    while not request.Test():
        time.sleep(0.01)
    return result


def apart(batch: int) -> float:
    """Return the images per second of all processes together, if each trains a network of its own at the same time."""
    WORLD.Barrier()
    return float(sum(WORLD.allgather(speed(batch, 1, 1))))


def exchange_time(floats: int) -> str:
    """Return median and minimum time of one exchange of so many floats between ranks 0 and 1, in µs."""
    sent, received, times = np.zeros(floats, np.float32), np.zeros(floats, np.float32), []
    for _ in range(300):
        WORLD.Barrier()
        began = time.perf_counter()
        if WORLD.rank < 2:
            WORLD.Sendrecv(sent, 1 - WORLD.rank, 0, received, 1 - WORLD.rank, 0)
        times.append(1e6 * (time.perf_counter() - began))
    return f"{statistics.median(times):,.0f} µs, least {min(times):,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", default="512,2048", help="global batches (default: 512,2048)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender (default: 9)")
    options = parser.parse_args()
    ranks = fd.distributed.mpi()
    size = ranks.size
    say = print if WORLD.rank == 0 else lambda *words: None
    say(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {fd.backend_name()}, {size} ranks, "
        f"{MPI.Get_library_version().splitlines()[0].split(',')[0]}")  # fmt: skip
    for floats in (256, network().values.size, 1_850_000):
        say(f"exchange of {4 * floats:,} bytes: {exchange_time(floats)}")
    for batch in map(int, options.batches.split(",")):
        contenders = {
            "one process, 1 thread": lambda b=batch: alone(lambda: speed(b, 1, 1)),
            f"one process, {size} threads": lambda b=batch: alone(lambda: speed(b, size, 1)),
            f"{size} processes, {size} networks": lambda b=batch: apart(b // size),
            "one process, 1 thread, 8 shards": lambda b=batch: alone(lambda: speed(b, 1, 8)),
            f"{size} ranks, 8 shards": lambda b=batch: speed(b, 1, 8, ranks),
            f"{size} ranks, {size} shards": lambda b=batch: speed(b, 1, size, ranks),
            f"{size} ranks, averaged every 16": lambda b=batch: speed(b, 1, size, ranks, 16),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, work in contenders.items():
                found[name].append(work())
        base = statistics.median(found["one process, 1 thread"]) or 1.0
        for name, speeds in found.items():
            middle = statistics.median(speeds)
            say(
                f"batch {batch:5,}  {name:32}  {middle:9,.0f} images/s, most {max(speeds):9,.0f}  × {middle / base:.2f}"
            )


if __name__ == "__main__":
    main()
