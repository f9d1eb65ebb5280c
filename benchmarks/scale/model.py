"""Predict the time of a training step on many ranks from constants measured on two cores, and check the prediction.

    python benchmarks/scale/model.py measure model.json   measures constants and real ranks in turn: six minutes
    python benchmarks/scale/model.py tables model.json    prints the tables of docs/scale-model.md
    python benchmarks/scale/model.py write model.json     writes them into the page

A step on a batch of n images, cut into V shards, takes on R ranks

    busy · (V/R · shard + n/R · image + update) + log2(R) · (latency + bytes / bandwidth + add)

seconds: each rank computes its shards, ranks add their sums in pairs, each updates its copy of the network. busy is how
much longer a core takes while the other one is busy too; it is 1 for a rank alone. This is the mean of the simulation
below if all ranks are always equally fast and images are there. But steps are delayed at random by other work of the
machine, and ranks wait for the slowest: ``delay`` says how much. Measuring needs MPI: ``pip install '.[mpi]' mpich``.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastdigits as fd
from fastdigits.commands.peers import report

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale-model.md"
SHARDS = 8
HIDDEN = {"53 k": (64, 32), "1.9 M": (1024, 1024)}
FITTED = [
    (shards, size) for shards in (2, 8) for size in (16, 64, 256)
]  # shards of a batch, images of a shard
CHECKED = {"53 k": (256, 512, 2048), "1.9 M": (512, 2048)}
ROUNDS = 5
SECONDS = 0.25  # of training per measurement
PIXELS = 784


@dataclass(frozen=True)
class Network:
    """What the parts of a step of one network cost on one core, in seconds."""

    parameters: int
    bytes: int  # that ranks exchange: gradients, running statistics, loss and hits
    shard: float  # forward and backward pass of a shard, beside its images; with the sum of its block
    image: float
    add: float  # of two blocks
    update: float
    busy: float  # how much longer a core takes if all of them are busy
    delay: (
        float  # mean of the random delays of a step on this machine, as a fraction of the time without them
    )


@dataclass(frozen=True)
class Link:
    """What carries blocks from rank to rank: seconds of an empty message, and bytes per second."""

    latency: float
    bandwidth: float


# Shared memory is measured; the others are what cloud machines have: 100 Gb/s with RDMA, and 10 Gb/s over TCP.
NETWORKS = {"25 µs, 100 Gb/s": Link(25e-6, 12.5e9), "100 µs, 10 Gb/s": Link(100e-6, 1.25e9)}


def step_seconds(network: Network, link: Link, n: int, ranks: int, shards: int = SHARDS) -> float:
    """Return the seconds of a step by the formula; more ranks than shards need more shards."""
    shards = max(shards, ranks)
    exchange = link.latency + network.bytes / link.bandwidth + network.add
    computing = shards / ranks * network.shard + n / ranks * network.image + network.update
    return (network.busy if ranks > 1 else 1) * computing + math.log2(ranks) * exchange


def simulate(
    network: Network,
    link: Link,
    n: int,
    ranks: int,
    *,
    shards: int = SHARDS,
    delay: float = 0.0,
    disk: float = math.inf,
    steps: int = 200,
    seed: int = 0,
) -> float:
    """Return the mean seconds of a step, from simulated clocks of the ranks.

    Parameters
    ----------
    delay : float
        Mean of an exponential delay of each rank in each step, as a fraction of its time without delay. The mean time
        of a rank stays as measured.
    disk : float
        Bytes per second that all ranks together read, one step ahead of the training.
    """
    rng = np.random.default_rng(seed)
    shards = max(shards, ranks)
    busy = network.busy if ranks > 1 else 1
    computing, update = (
        busy * (shards / ranks * network.shard + n / ranks * network.image),
        busy * network.update,
    )
    exchange = link.latency + network.bytes / link.bandwidth + network.add
    clock, read = np.zeros(ranks), 0.0
    for _ in range(steps):
        read += n * PIXELS / disk
        late = (1 + rng.exponential(delay, ranks)) / (1 + delay) if delay else 1
        clock = np.maximum(clock, read) + computing * late
        for level in range(int(math.log2(ranks))):
            clock = np.maximum(clock, clock[np.arange(ranks) ^ (1 << level)]) + exchange
        clock += update
    return float(clock.max()) / steps


# -- measurements ---------------------------------------------------------------------------------------------


def network(hidden: tuple[int, int]) -> fd.NeuralNetwork:
    """Return the network 784-a-b-10 with batch normalisation after the first layer."""
    a, b = hidden
    layers = [fd.Dense(784, a), fd.BatchNorm(a), fd.ReLU(), fd.Dense(a, b), fd.ReLU(), fd.Dense(b, 10)]
    return fd.NeuralNetwork(layers, seed=0)


def measured_step(hidden: tuple[int, int], n: int, shards: int, steps: int, ranks: object = None) -> float:
    """Return the mean seconds of a step on one thread per rank."""
    (x, y), _ = fd.load_mnist()
    x, y = np.resize(x, (n * steps, 28, 28)), np.resize(y, n * steps)
    more = {} if ranks is None else {"ranks": ranks}
    history = network(hidden).fit(
        x, y, epochs=2, batch_size=n, batch_shards=shards, threads=1, optimizer=fd.Adam(lr=1e-3), **more
    )
    return history.seconds[-1] / steps


def steps_for(hidden: tuple[int, int], n: int) -> int:
    """Return about how many steps take `SECONDS`; at most as many as there are images."""
    products = 3 * n * (PIXELS * hidden[0] / 4 + hidden[0] * hidden[1]) / 30e9
    return max(3, min(round(SECONDS / (products + 2e-4)), 60_000 // n))


def fitted(
    hidden: tuple[int, int], times: dict[tuple[int, int], list[float]], busy: float, delay: float
) -> Network:
    """Return the constants of a network, by least squares of relative errors over shards of several sizes."""
    seconds = np.array([statistics.median(times[case]) for case in FITTED])
    terms = np.array([[shards, shards * size, 1] for shards, size in FITTED], float) / seconds[:, np.newaxis]
    found, *_ = np.linalg.lstsq(terms, np.ones(len(FITTED)), rcond=None)
    if found[2] < 0:  # too small to be seen
        found[:2], *_ = np.linalg.lstsq(terms[:, :2], np.ones(len(FITTED)), rcond=None)
        found[2] = 0
    shard, image, update = found.tolist()
    made = network(hidden)
    count = made.values.size + sum(array.size for array in made.buffers().values())
    return Network(
        parameters=sum(one.value.size for one in made.parameters()),
        bytes=4 * count,
        shard=shard,
        image=image,
        add=addition(np.ones(count, np.float32), np.ones(count, np.float32)),
        update=update,
        busy=busy,
        delay=delay,
    )


def addition(a: np.ndarray, b: np.ndarray) -> float:
    """Return the median seconds of an addition of two blocks."""
    found = []
    for _ in range(200):
        started = time.perf_counter()
        np.add(a, b, out=a)
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def on_ranks(count: int, *arguments: str) -> dict[str, float]:
    """Run this program on ranks; return what rank 0 prints as JSON."""
    command = ["mpiexec", "-n", str(count), sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"model.py: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def exchange_times() -> None:
    """Print the seconds of an exchange of blocks of several sizes between two ranks."""
    from mpi4py import MPI

    world, found = MPI.COMM_WORLD, {}
    for size in (64, 1024, 16_384, 212_000, 1_000_000, 7_400_000):
        sent, received = np.zeros(size // 4, np.float32), np.zeros(size // 4, np.float32)
        times = []
        for _ in range(60 if size > 500_000 else 400):
            world.Barrier()
            started = time.perf_counter()
            world.Sendrecv(sent, 1 - world.rank, 0, received, 1 - world.rank, 0)
            times.append(time.perf_counter() - started)
        found[str(size)] = statistics.median(times)
    if world.rank == 0:
        print(json.dumps(found))


def measure(path: Path) -> None:
    """Measure the constants, and real ranks, in turn; write them as JSON."""
    found: dict[str, Any] = {"networks": {}, "steps": []}
    exchanges: list[dict[str, float]] = []
    for name, hidden in HIDDEN.items():
        fits: dict[tuple[int, int], list[float]] = {case: [] for case in FITTED}
        real: dict[tuple[int, int], list[float]] = {(n, ranks): [] for n in CHECKED[name] for ranks in (1, 2)}
        alone: dict[int, list[dict[str, float]]] = {1: [], 2: []}
        for _ in range(ROUNDS):
            for shards, size in FITTED:
                fits[shards, size].append(
                    on_ranks(1, "train", name, str(shards * size), str(shards))["seconds"]
                )
            for n, ranks in real:
                real[n, ranks].append(on_ranks(ranks, "train", name, str(n), str(SHARDS))["seconds"])
            for count, times in alone.items():
                times.append(on_ranks(count, "alone", name, str(CHECKED[name][-1])))
            exchanges.append(on_ranks(2, "exchange"))
        pairs = zip(alone[1], alone[2], strict=True)
        busy = max(1.0, statistics.median(two["seconds"] / one["seconds"] for one, two in pairs))
        # Of two exponential delays of mean d, the longer one has the mean 1.5 d.
        longer = statistics.median(two["longer"] for two in alone[2])
        delay = max(0.0, (longer - 1) / (1.5 - min(longer, 1.4)))
        found["networks"][name] = asdict(fitted(hidden, fits, busy, delay))
        found["steps"] += [[name, n, ranks, statistics.median(times)] for (n, ranks), times in real.items()]
    times = {int(size): statistics.median(one[size] for one in exchanges) for size in exchanges[0]}
    small, large = min(times), max(times)
    link = Link(times[small], (large - small) / (times[large] - times[small]))
    path.write_text(json.dumps({"shared memory": asdict(link), **found}, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[dict[str, Network], dict[str, Link]]:
    """Return the networks and links of a file that `measure` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    links = {"shared memory": Link(**found["shared memory"])} | NETWORKS
    return {name: Network(**one) for name, one in found["networks"].items()}, links


def train_on_ranks(name: str, n: int, shards: int) -> None:
    """Print the seconds of a step on the ranks that run this."""
    ranks = fd.distributed.mpi()
    seconds = measured_step(HIDDEN[name], n, shards, steps_for(HIDDEN[name], n), ranks)
    if ranks.rank == 0:
        print(json.dumps({"seconds": seconds}))


def train_alone(name: str, n: int) -> None:
    """Print the seconds of a step of processes that train at the same time, each its own network, and their delays.

    An epoch is one step, so that the history has the time of each.
    """
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    (x, y), _ = fd.load_mnist()
    world.Barrier()
    steps = 4 * steps_for(HIDDEN[name], n)
    history = network(HIDDEN[name]).fit(
        x[:n],
        y[:n],
        epochs=steps + 5,
        batch_size=n,
        batch_shards=SHARDS,
        threads=1,
        optimizer=fd.Adam(lr=1e-3),
    )
    found: list[list[float]] | None = world.gather(history.seconds[5:])
    if found is not None:  # on rank 0
        times = np.array(found)
        print(json.dumps({
            "seconds": float(np.median(times.mean(axis=1))), "longer": float(times.max(axis=0).mean() / times.mean())
        }))  # fmt: skip


# -- tables ---------------------------------------------------------------------------------------------------


def show(seconds: float) -> str:
    """Return a time with its unit."""
    for limit, factor, unit in (
        (1e-3, 1e6, "µs"),
        (1.0, 1e3, "ms"),
        (120.0, 1.0, "s"),
        (7200.0, 1 / 60, "min"),
    ):
        if seconds < limit:
            return f"{factor * seconds:.3g} {unit}"
    return f"{seconds / 3600:,.3g} h"


def constants_table(path: Path) -> Iterator[str]:
    networks, links = read(path)
    yield "| constant | " + " | ".join(f"{name} parameters" for name in networks) + " |"
    yield "| --- |" + " ---: |" * len(networks)
    rows = {
        "a shard": "shard", "an image": "image", "update": "update", "sum of two blocks": "add",
    }  # fmt: skip
    for title, field in rows.items():
        yield f"| {title} | " + " | ".join(show(getattr(one, field)) for one in networks.values()) + " |"
    yield (
        "| how much longer if the other core is busy | "
        + " | ".join(f"{one.busy:.2f} ×" for one in networks.values())
        + " |"
    )
    yield (
        "| mean of the random delays of a step | "
        + " | ".join(f"{100 * one.delay:.0f} %" for one in networks.values())
        + " |"
    )
    yield "| bytes of a block | " + " | ".join(f"{one.bytes:,}" for one in networks.values()) + " |"
    link = links["shared memory"]
    yield ""
    yield (
        f"Exchange between two ranks in shared memory: {1e6 * link.latency:.1f} µs and "
        f"{link.bandwidth / 1e9:.1f} GB/s each way."
    )


def check_table(path: Path) -> Iterator[str]:
    """Yield simulated and measured steps on one and on two ranks."""
    networks, links = read(path)
    yield "| network | batch | ranks | simulated | measured | simulated / measured |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, n, ranks, real in json.loads(path.read_text(encoding="utf-8"))["steps"]:
        predicted = simulate(networks[name], links["shared memory"], n, ranks, delay=networks[name].delay)
        yield f"| {name} | {n:,} | {ranks} | {show(predicted)} | {show(real)} | {predicted / real:.2f} |"


def speed_table(path: Path) -> Iterator[str]:
    networks, links = read(path)
    ranks = (2, 4, 8, 16, 64, 256)
    yield "| network | link | batch | " + " | ".join(f"{one} ranks" for one in ranks) + " |"
    yield "| --- | --- | ---: |" + " ---: |" * len(ranks)
    for name, one in networks.items():
        for link_name, link in links.items():
            for n in (512, 4096, 32_768):
                alone = step_seconds(one, link, n, 1)
                cells = [
                    f"{alone / step_seconds(one, link, n, count):.1f}"
                    if count <= n // 2 and (link_name != "shared memory" or count <= 64)
                    else ""
                    for count in ranks
                ]
                yield f"| {name} | {link_name} | {n:,} | " + " | ".join(cells) + " |"


def needed_table(path: Path) -> Iterator[str]:
    """Yield the images per rank from which ranks keep four fifths of their speed."""
    networks, links = read(path)
    ranks = (2, 8, 64, 1024)
    yield "| network | link | " + " | ".join(f"{one:,} ranks" for one in ranks) + " |"
    yield "| --- | --- |" + " ---: |" * len(ranks)
    for name, one in networks.items():
        for link_name, link in links.items():
            cells = []
            for count in ranks:
                if link_name == "shared memory" and count > 64:
                    cells.append("")
                    continue
                mine = 1
                while efficiency(one, link, mine * count, count) < 0.8:
                    mine *= 2
                low, high = mine // 2, mine
                while high - low > max(1, high // 50):
                    middle = (low + high) // 2
                    low, high = (
                        (low, middle)
                        if efficiency(one, link, middle * count, count) >= 0.8
                        else (middle, high)
                    )
                cells.append(f"{high:,}")
            yield f"| {name} | {link_name} | " + " | ".join(cells) + " |"


def efficiency(one: Network, link: Link, n: int, ranks: int) -> float:
    """Return the speed per rank as a fraction of that of a rank alone, which takes its images as one batch."""
    alone = one.busy * (one.shard + n / ranks * one.image + one.update)  # beside others, as the ranks
    return alone / step_seconds(one, link, n, ranks, shards=ranks)


def straggler_table(path: Path) -> Iterator[str]:
    networks, links = read(path)
    ranks, delays = (2, 8, 64, 256), (0.0, 0.02, 0.1, 0.3)
    yield "| mean delay | " + " | ".join(f"{one} ranks" for one in ranks) + " |"
    yield "| ---: |" + " ---: |" * len(ranks)
    one, link = networks["1.9 M"], links["25 µs, 100 Gb/s"]
    for delay in delays:
        cells = []
        for count in ranks:
            n = 256 * count
            ideal = simulate(one, link, n, count)
            cells.append(f"{ideal / simulate(one, link, n, count, delay=delay):.2f}")
        yield f"| {100 * delay:.0f} % | " + " | ".join(cells) + " |"


def jobs_table(path: Path) -> Iterator[str]:
    """Yield what a pass over data of several sizes takes, computing and reading apart."""
    networks, _ = read(path)
    yield (
        "| images | bytes | "
        + " | ".join(f"{name}: one core" for name in networks)
        + " | read at 0.5, 2, 20 GB/s |"
    )
    yield "| ---: | ---: |" + " ---: |" * len(networks) + " --- |"
    for images in (60_000, 1_000_000, 10**7, 10**8, 10**9, 10**10):
        size = images * PIXELS
        times = [
            images * (one.image + (one.shard + one.update) / 256) for one in networks.values()
        ]  # batches of 256
        reading = ", ".join(show(size / rate) for rate in (0.5e9, 2e9, 20e9))
        unit = f"{size / 1e12:.3g} TB" if size >= 1e12 else f"{size / 1e9:.3g} GB"
        yield f"| {images:,} | {unit} | " + " | ".join(map(show, times)) + f" | {reading} |"


TABLES = {
    "constants": constants_table,
    "speed": speed_table,
    "needed": needed_table,
    "stragglers": straggler_table,
    "jobs": jobs_table,
    "check": check_table,
}


def write(path: Path) -> None:
    """Write all tables into the page, each between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        if f"<!-- model {name} -->" not in page:
            sys.exit(
                f"model.py: {PAGE.name} must have a place for {name}: add <!-- model {name} --> and <!-- end -->"
            )
        page = report.replaced(page, f"model {name}", "\n".join(["", *table(path), ""]))
    PAGE.write_text(page, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "tables", "write", "exchange", "train", "alone"])
    parser.add_argument("arguments", nargs="*", help="the JSON file of measurements")
    options = parser.parse_args()
    match options.what, options.arguments:
        case "exchange", []:
            exchange_times()
        case "train", [name, n, shards]:
            train_on_ranks(name, int(n), int(shards))
        case "alone", [name, n]:
            train_alone(name, int(n))
        case "measure", [path]:
            measure(Path(path))
        case "write", [path]:
            write(Path(path))
        case "tables", [path]:
            for name, table in TABLES.items():
                print(f"\n{name}\n", *table(Path(path)), sep="\n")
        case _:
            parser.error(f"{options.what}: must be followed by the JSON file of measurements")


if __name__ == "__main__":
    main()
