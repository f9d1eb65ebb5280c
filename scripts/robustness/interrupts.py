"""Interrupt trainings at random moments; measure how long each takes to end, and see what it leaves.

    python scripts/robustness/interrupts.py                        # 50 interrupts of the command: two minutes
    python scripts/robustness/interrupts.py --signals 2            # Ctrl-C twice, up to 20 ms apart
    python scripts/robustness/interrupts.py --anywhere --signals 3 # at any moment of a short run, start to end
    python scripts/robustness/interrupts.py --runs 10 --preset best

What this script does not know goes to the training command as it is. Signals go to the whole process group, as from a
terminal. Each run must end with 130, say where it left its model, and leave model, history and result whole. The time
goes from the first signal to the end of the process. On Linux it is also told how long the process computed meanwhile,
on all its threads: the rest, it waited for a processor or for the disk.

With --anywhere, a run may also end with 0, if it was done before the signal, and be ended by Python itself before the
command has begun. Whatever it left must be whole, and once it trained there must be a model.
"""

import argparse
import csv
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import fastdigits as fd

PAUSE = 0.02  # seconds at most from one signal to the next


def started(folder: Path, words: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fastdigits.train", "--output", str(folder), *words]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def send(process: subprocess.Popen[str], pauses: list[float]) -> None:
    """Send a signal, and one more after each pause, to the process and its children."""
    for pause in [0.0, *pauses]:
        time.sleep(pause)
        try:
            os.killpg(process.pid, signal.SIGINT)
        except ProcessLookupError:
            return


def computed(process: int) -> float:
    """Return the seconds that all threads of a process have computed; NaN where the system does not tell."""
    tasks = Path("/proc", str(process), "task")
    if not tasks.is_dir():
        return math.nan
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def check_whole(folder: Path) -> None:
    """See that model, history and result are there, and belong together."""
    fd.load(folder / "model.safetensors")
    result = json.loads((folder / "result.json").read_text())
    with open(folder / "history.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == result["epochs"]
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert left == [], left


def interrupted(folder: Path, rest: list[str], wait: float, pauses: list[float]) -> tuple[float, float]:
    """Return the seconds that a training takes to end when it is interrupted ``wait`` seconds after its start.

    And how many of them it computed.
    """
    process = started(folder, ["--epochs", "100000", *rest])
    told = ""
    while not told.startswith("machine"):  # the last line before the training
        told = process.stderr.readline()
    time.sleep(wait)
    before = computed(process.pid)
    began = time.perf_counter()
    send(process, pauses)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    errors = process.stderr.read()
    if process.returncode != 130 or "interrupted after" not in errors or "Traceback" in errors:
        raise SystemExit(f"interrupts: ended with {process.returncode}: {errors[-2000:]}")
    check_whole(folder)
    return seconds, usage.ru_utime + usage.ru_stime - before


def anywhere(folder: Path, words: list[str], wait: float, pauses: list[float]) -> str:
    """Interrupt a run at any moment; return where it was."""
    process = started(folder, words)
    time.sleep(wait)
    send(process, pauses)
    errors = process.communicate(timeout=60)[1]
    trained = (folder / "model.safetensors").exists()
    if (
        process.returncode == -signal.SIGINT and "\nsaved in" in errors
    ):  # the interpreter's end was interrupted
        process.returncode = 0
    if "Traceback" in errors:  # Python's own, which the command's first lines cannot help
        if folder.exists() or "KeyboardInterrupt" not in errors:
            raise SystemExit(f"interrupts: after {wait:.3f} s: {errors[-2000:]}")
        return "at the start of Python"
    if process.returncode not in (0, 130) or ("\nepoch " in errors and not trained):
        raise SystemExit(f"interrupts: after {wait:.3f} s: ended with {process.returncode}: {errors[-2000:]}")
    if trained:
        check_whole(folder)
    if process.returncode == 0:
        return "after the end"
    places = ("interrupted after", "interrupted at the figures", "interrupted at pictures")
    return next((place for place in places if place in errors), "before or after the work")


def told(seconds: Iterable[float]) -> str:
    """Return median, 99th percentile and longest, in milliseconds."""
    taken = sorted(1000 * one for one in seconds)
    last = taken[min(len(taken) - 1, math.ceil(0.99 * len(taken)) - 1)]
    return (
        f"median {statistics.median(taken):.0f} ms, 99th percentile {last:.0f} ms, longest {taken[-1]:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50, help="how many (default: 50)")
    parser.add_argument("--signals", type=int, default=1, help="signals to each (default: 1)")
    parser.add_argument("--anywhere", action="store_true", help="at any moment of a run of three epochs")
    options, rest = parser.parse_known_args()
    moments = random.Random(0)

    def pauses() -> list[float]:
        return [moments.uniform(0, PAUSE) for _ in range(options.signals - 1)]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.anywhere:
            words = ["--epochs", "3", *rest]
            began = time.perf_counter()
            started(folder / "whole", words).communicate()
            seconds = time.perf_counter() - began
            places = Counter(
                anywhere(folder / str(run), words, moments.uniform(0.05, seconds), pauses())
                for run in range(options.runs)
            )
            print(
                f"{options.runs} interrupts of {options.signals} signals in runs of {seconds:.1f} s, all whole:"
            )
            for place, count in sorted(places.items()):
                print(f"  {count} {place}")
            return
        taken = [
            interrupted(folder / str(run), rest, moments.uniform(0.05, 2), pauses())
            for run in range(options.runs)
        ]
    both = list(zip(*taken, strict=True))
    print(
        f"{len(taken)} interrupts of {options.signals} signals, all ended with 130 and left model, history and "
        f"result: {told(both[0])}"
    )
    print(f"of which the process computed: {told(both[1])}")


if __name__ == "__main__":
    main()
