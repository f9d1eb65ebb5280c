"""The measures of whole processes, from start to end: imports, training commands, memory."""

from __future__ import annotations

import csv
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .players import CONTENDERS, PROGRAMS, AbsentError, environment, last_line, with_advice

ACCURACY = 0.972  # of the original project on the test images
BATCH, MAX_EPOCHS = 64, 30
SHARE = "dense_share_of_peak"  # its name in the JSON of `fastdigits.bench --json`
IMPORTS = ("fastdigits", "numpy", "onnxruntime", "jax", "torch", "keras", "numba", "sklearn")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its seconds, its peak of memory, and its output."""

    seconds: float
    peak_bytes: int
    output: str


def start(command: Sequence[str], threads: int, **extra: str) -> Ended:
    """Run ``command`` to its end with ``extra`` in its environment; raise AbsentError if it fails.

    The peak is that of this child. It is at least the memory of the parent when it starts the child, so the driver
    must stay smaller than what it measures.
    """
    with tempfile.TemporaryFile("w+b") as output, tempfile.TemporaryFile("w+b") as errors:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, stdout=output, stderr=errors, env=environment(threads) | extra
            )
        except OSError as error:
            raise AbsentError(f"{command[0]} does not start: {error}") from error
        peak = 0
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        else:
            process.wait()
        seconds = time.perf_counter() - began
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            raise AbsentError(last_line(errors.read().decode(errors="replace"), process.returncode))
        return Ended(seconds, peak, output.read().decode(errors="replace"))


def last_json(output: str) -> dict[str, Any]:
    """Return the JSON object in the last line; raise AbsentError if there is none."""
    try:
        return dict(json.loads(output.strip().rpartition("\n")[2]))
    except (TypeError, ValueError) as error:
        raise AbsentError(f"its last line must be a JSON object; got: {error}") from error


# -- imports -----------------------------------------------------------------------------------------------


def imports(interpreters: dict[str, str], rounds: int, say: Say) -> dict[str, Any]:
    """Return the seconds of each import statement, each in a new process, in turn; Keras imports JAX."""
    found: dict[str, Any] = {"title": "import", "rounds": rounds, "rows": [], "absent": []}
    rows = []
    for name in IMPORTS:
        module = CONTENDERS[name].module if name in CONTENDERS else name
        # The ratio of fastdigits to NumPy counts, so NumPy is imported in the environment of fastdigits.
        python = interpreters.get(name, interpreters["fastdigits"])
        code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
        row: dict[str, Any] = {"contender": name, "tag": "", "threads": 1, "seconds": []}
        row["notes"] = [f"import {module}"]
        rows.append((row, [python, "-c", code]))
    for number in range(rounds + 1):  # the first round fills the caches of the disk and does not count
        for row, command in list(rows):
            try:
                seconds = float(start(command, 1, KERAS_BACKEND="jax").output.split()[-1])
            except AbsentError as error:
                name, reason = row["contender"], str(error)
                reason = with_advice(reason, CONTENDERS[name]) if name in CONTENDERS else reason
                found["absent"].append(_who(row) | {"reason": reason})
                say(f"  {name}: absent: {reason}")
                rows = [other for other in rows if other[0] is not row]
                continue
            if number > 0:
                row["seconds"].append(seconds)
    found["rows"] = [_summed_up(row) for row, _ in rows]
    return found


# -- training, from the start of the process ---------------------------------------------------------------


def to_accuracy(
    interpreters: dict[str, str], threads: Sequence[int], rounds: int, say: Say
) -> dict[str, Any]:
    """Return the seconds from process start to an accuracy on the test images, one seed per round.

    All train with Adam, lr 0.001 and the same batch size, and evaluate the test images after each epoch. The two
    scripts stop at the accuracy. The command cannot: the history of an extra run gives the number of epochs for
    each seed, and the measured runs train for that number.
    """
    title = f"process start to {100 * ACCURACY:g} % test accuracy"
    found: dict[str, Any] = {"title": title, "rounds": rounds, "rows": [], "absent": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        _write_arrays(cache)
        makers: dict[tuple[str, str], Callable[[int, int], list[str]]] = {
            ("fastdigits", "python -m fastdigits.train"): _Command(interpreters["fastdigits"], cache),
            ("fastdigits", "train_fastdigits.py"): _script(interpreters["fastdigits"], "train_fastdigits.py"),
            ("torch", "train_torch.py"): _script(interpreters["torch"], "train_torch.py", "--cache", folder),
        }
        for (name, tag), maker in makers.items():
            for count in threads:
                row = {"contender": name, "tag": tag, "threads": count, "notes": [], "seconds": []}
                found["rows"].append(row | {"maker": maker, "peak_bytes": [], "epochs": [], "accuracy": []})
        for seed in range(rounds):
            for row in list(found["rows"]):
                try:
                    _train_once(row, seed, warm=seed == 0)
                except AbsentError as error:
                    found["absent"].append(_who(row) | {"reason": str(error)})
                    say(f"  {row['contender']}, {row['tag']}: absent: {error}")
                    found["rows"].remove(row)
            say(f"  round {seed + 1} of {rounds}")
    for row in found["rows"]:
        del row["maker"]
        _summed_up(row)
    return found


def _train_once(row: dict[str, Any], seed: int, *, warm: bool) -> None:
    command = row["maker"](seed, row["threads"])
    if warm:  # fill the caches of data and disk
        start(command, row["threads"])
    ended = start(command, row["threads"])
    result = last_json(ended.output)
    if result["test_accuracy"] < ACCURACY:
        raise AbsentError(f"seed {seed}: {result['test_accuracy']:.4f} after {result['epochs']} epochs")
    row["seconds"].append(ended.seconds)
    row["peak_bytes"].append(ended.peak_bytes)
    row["epochs"].append(result["epochs"])
    row["accuracy"].append(result["test_accuracy"])


def _script(python: str, script: str, *more: str) -> Callable[[int, int], list[str]]:
    def command(seed: int, threads: int) -> list[str]:
        options = {
            "--accuracy": ACCURACY, "--batch-size": BATCH, "--max-epochs": MAX_EPOCHS, "--seed": seed,
            "--threads": threads,
        }  # fmt: skip
        return [python, str(PROGRAMS / script), *more, *_flat(options)]

    return command


class _Command:
    """Builds the training command with the least number of epochs that reaches the accuracy for a seed."""

    def __init__(self, python: str, folder: Path) -> None:
        self._python, self._folder = python, folder
        self._epochs: dict[int, int] = {}
        self._runs = 0

    def __call__(self, seed: int, threads: int) -> list[str]:
        if seed not in self._epochs:
            start(self._line(seed, threads, MAX_EPOCHS, self._folder / f"trial{seed}"), threads)
            self._epochs[seed] = self._first_epoch(self._folder / f"trial{seed}" / "history.csv", seed)
        self._runs += 1
        return self._line(seed, threads, self._epochs[seed], self._folder / f"run{self._runs}")

    def _line(self, seed: int, threads: int, epochs: int, output: Path) -> list[str]:
        options = {
            "--optimizer": "adam", "--learning-rate": 0.001, "--schedule": "constant", "--batch-size": BATCH,
            "--epochs": epochs, "--seed": seed, "--threads": threads, "--output": output,
        }  # fmt: skip
        flags = ["--no-plots", "--quiet", "--json", "--overwrite"]
        return [self._python, "-m", "fastdigits.train", *_flat(options), *flags]

    @staticmethod
    def _first_epoch(history: Path, seed: int) -> int:
        with history.open(newline="", encoding="utf-8") as lines:
            for epoch, line in enumerate(csv.DictReader(lines), start=1):
                if float(line["val_accuracy"]) >= ACCURACY:
                    return epoch
        raise AbsentError(f"seed {seed} does not reach {ACCURACY} in {MAX_EPOCHS} epochs")


def _flat(options: Mapping[str, object]) -> list[str]:
    return [str(part) for pair in options.items() for part in pair]


def _write_arrays(folder: Path) -> None:
    """Write the images and labels as .npy files, so that PyTorch also reads cached data."""
    source = PROGRAMS.parents[2] / "data" / "mnist"
    for short, part in (("train", "train"), ("test", "t10k")):
        images = gzip.decompress((source / f"{part}-images-idx3-ubyte.gz").read_bytes())
        np.save(folder / f"x_{short}.npy", np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784))
        labels = gzip.decompress((source / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        np.save(folder / f"y_{short}.npy", np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))


# -- memory, and the share of the peak ---------------------------------------------------------------------


def memory(interpreters: dict[str, str], threads: Sequence[int], rounds: int, say: Say) -> dict[str, Any]:
    """Return the peak memory of the training command, pictures included."""
    title = "peak memory of the training command"
    found: dict[str, Any] = {"title": title, "rounds": rounds, "rows": [], "absent": []}
    count = max(threads)
    for tag in ("first run, empty cache", "data cached"):
        row: dict[str, Any] = {"contender": "fastdigits", "tag": tag, "threads": count, "peak_bytes": []}
        with tempfile.TemporaryDirectory() as folder:
            line = [interpreters["fastdigits"], "-m", "fastdigits.train", "--threads", str(count)]
            try:
                for number in range(rounds):
                    # moves the cache folder, on systems with the XDG convention
                    extra = {"XDG_CACHE_HOME": f"{folder}/cache{number}"} if tag.startswith("first") else {}
                    ended = start([*line, "--output", f"{folder}/run{number}"], count, **extra)
                    row["peak_bytes"].append(ended.peak_bytes)
            except AbsentError as error:
                found["absent"].append(_who(row) | {"reason": str(error)})
                say(f"  {tag}: absent: {error}")
                continue
        found["rows"].append(row)
    return found


def share_of_peak(interpreters: dict[str, str], say: Say) -> dict[str, Any]:
    """Return the dense kernels' share of the peak, from ``python -m fastdigits.bench --json``."""
    found: dict[str, Any] = {"title": "dense kernels, 1024 by 1024 by 256", "rows": [], "absent": []}
    row: dict[str, Any] = {"contender": "fastdigits", "tag": "", "threads": 1}
    try:
        result = last_json(start([interpreters["fastdigits"], "-m", "fastdigits.bench", "--json"], 1).output)
        if SHARE not in result:
            raise AbsentError(f"the JSON of python -m fastdigits.bench must have {SHARE}")
        found["rows"].append(row | {"share": result[SHARE]})
    except AbsentError as error:
        found["absent"].append(row | {"reason": str(error)})
        say(f"  absent: {error}")
    return found


def _who(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("contender", "tag", "threads")}


def _summed_up(row: dict[str, Any]) -> dict[str, Any]:
    row["median"], row["minimum"] = statistics.median(row["seconds"]), min(row["seconds"])
    return row
