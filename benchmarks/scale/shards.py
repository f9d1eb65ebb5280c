"""Measure `fit` on shards: its own memory, its speed beside the same images in memory, and a kill that is resumed.

    fastdigits shard --augment 17 --output one       # 1,020,000 images
    fastdigits shard --augment 167 --output ten      # 10,020,000 images, 7.9 GB
    python benchmarks/scale/shards.py memory one/train ten/train
    python benchmarks/scale/shards.py speed one/train [--epochs N] [--rounds N] [--threads N]
    python benchmarks/scale/shards.py kill one/train [--epochs N]

The network is 784-64-32-10 with batch normalisation, the batch 128, the optimizer Adam. Each training runs in a process
of its own. Its own memory is RssAnon of Linux, which leaves out the page cache and files that are mapped, read every
20 ms; the greatest value counts.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import fastdigits as fd


def network() -> fd.NeuralNetwork:
    return fd.recipes.ORIGINAL.network()


def digest(net: fd.NeuralNetwork) -> str:
    total = hashlib.sha256(net.values.tobytes())
    for array in net.buffers().values():
        total.update(array.tobytes())
    return total.hexdigest()[:16]


def own_memory() -> float:
    """Return the megabytes of this process that no file backs."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0]) / 1e3


class PeakMemory:
    """The greatest `own_memory` while the block runs."""

    def __enter__(self) -> "PeakMemory":
        self.most, self._ends = own_memory(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._ends.wait(0.02):
            self.most = max(self.most, own_memory())

    def __exit__(self, *error: object) -> None:
        self._ends.set()
        self._thread.join()


def train(folder: str, epochs: int, threads: int | None, checkpoints: str | None, every: int | None) -> None:
    """Train in this process, and print a line of JSON."""
    shards, net = fd.Shards(folder), network()
    before = own_memory()
    saved = [] if checkpoints is None else [fd.Checkpoint(checkpoints, every=every)]
    with PeakMemory() as memory:
        history = net.fit(shards, epochs=epochs, threads=threads, callbacks=saved, resume=checkpoints)
    print(
        json.dumps(
            {
                "images": len(shards),
                "before": before,
                "memory": memory.most,
                "rate": statistics.median(history.images_per_second),
                "hash": digest(net),
            }
        ),
        flush=True,
    )


def started(folder: str, *options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, __file__, "train", folder, *map(str, options)], stdout=subprocess.PIPE, text=True
    )


def result(process: "subprocess.Popen[str]") -> dict[str, object]:
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"a training ended with the code {process.returncode}")
    found: dict[str, object] = json.loads(output.splitlines()[-1])
    return found


def memory(options: argparse.Namespace) -> None:
    for folder in options.folders:
        one = result(started(folder, "--epochs", options.epochs))
        print(
            f"{one['images']:>12,} images: {one['memory']:.0f} MB of its own, {one['before']:.0f} of them before fit; "
            f"{one['rate']:,.0f} images/s"
        )


def speed(options: argparse.Namespace) -> None:
    shards = fd.Shards(options.folders[0])
    x, y = shards.load()
    rates: dict[str, list[float]] = {"in memory": [], "shards": []}
    for _ in range(options.rounds):
        for name in rates:
            net = network()
            data = (
                (x, y) if name == "in memory" else (fd.Shards(options.folders[0]),)
            )  # new ones compute checksums
            history = net.fit(*data, epochs=options.epochs, threads=options.threads)
            rates[name] += history.images_per_second
    whole = statistics.median(rates["in memory"])
    for name, found in rates.items():
        print(
            f"{name:18} {statistics.median(found):>10,.0f} images/s, {min(found):,.0f} to {max(found):,.0f}; "
            f"{statistics.median(found) / whole:.3f} of in memory"
        )


def kill(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [options.folders[0], "--epochs", options.epochs, "--every", options.every]
        begun = time.perf_counter()
        whole = result(started(*arguments, "--checkpoints", f"{folder}/whole"))
        seconds = time.perf_counter() - begun
        kills = 0
        while True:
            process = started(*arguments, "--checkpoints", f"{folder}/killed")
            try:
                process.wait(random.uniform(0.3, 0.9) * seconds)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.communicate()
                kills += 1
            else:
                break
        again = result(process)
    print(f"{kills} kills; hash {whole['hash']} without, {again['hash']} with them")
    if whole["hash"] != again["hash"]:
        raise SystemExit("the hashes differ")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measure", choices=("memory", "speed", "kill", "train"))
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints")
    parser.add_argument("--checkpoints", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure == "train":
        every = options.every if options.checkpoints else None
        train(options.folders[0], options.epochs, options.threads, options.checkpoints, every)
    else:
        {"memory": memory, "speed": speed, "kill": kill}[options.measure](options)


if __name__ == "__main__":
    main()
