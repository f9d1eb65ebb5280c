"""Interrupt trainings at random moments; measure how long each takes to end, and check the files it leaves.

    python scripts/robustness/interrupts.py                        # 50 interrupts of the command: two minutes
    python scripts/robustness/interrupts.py --signals 2            # Ctrl-C twice, up to 20 ms apart
    python scripts/robustness/interrupts.py --anywhere --signals 3 # at any moment of a short run, start to end
    python scripts/robustness/interrupts.py --runs 10 --preset best

Other options go to the training command. Signals go to the whole process group, as from a terminal. Each run must end
with 130, print where its model is, and leave a whole model, history and result. The time is measured from the first
signal to the end of the process. On Linux the script also prints the processor time of all threads in between; the
rest is waiting for a processor or for the disk.

With --anywhere, a run may also end with 0 if it was done before the signal, and Python itself may end before the
command begins. Each file must still be whole, and there must be a model once the training has begun.
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

PAUSE = 0.02  # the longest pause between two signals, in seconds


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
    """Send a signal to the process and its children, and one more after each pause."""
    for pause in [0.0, *pauses]:
        time.sleep(pause)
        try:
            os.killpg(process.pid, signal.SIGINT)
        except ProcessLookupError:
            return


def processor_time(process: int) -> float:
    """Return the processor time of all threads of a process in seconds; NaN where /proc does not have it."""
    tasks = Path("/proc", str(process), "task")
    if not tasks.is_dir():
        return math.nan
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def check_whole(folder: Path) -> None:
    """Check that model, history and result exist and agree, and that no temporary file is left."""
    fd.load(folder / "model.safetensors")
    result = json.loads((folder / "result.json").read_text())
    with open(folder / "history.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == result["epochs"]
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert left == [], left


def interrupted(folder: Path, rest: list[str], wait: float, pauses: list[float]) -> tuple[float, float]:
    """Interrupt a training ``wait`` seconds after its start; return the seconds to its end, and its processor time."""
    process = started(folder, ["--epochs", "100000", *rest])
    line = ""
    while not line.startswith("machine"):  # the last line before the training
        line = process.stderr.readline()
    time.sleep(wait)
    before = processor_time(process.pid)
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
    """Interrupt a run at any moment; return the phase it was in."""
    process = started(folder, words)
    time.sleep(wait)
    send(process, pauses)
    errors = process.communicate(timeout=60)[1]
    trained = (folder / "model.safetensors").exists()
    if (
        process.returncode == -signal.SIGINT and "\nsaved in" in errors
    ):  # the interpreter's end was interrupted
        process.returncode = 0
    if "Traceback" in errors:  # Python was still starting, before the command can handle signals
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


def summary(seconds: Iterable[float]) -> str:
    """Return median, 99th percentile and maximum, in milliseconds."""
    times = sorted(1000 * one for one in seconds)
    last = times[min(len(times) - 1, math.ceil(0.99 * len(times)) - 1)]
    return (
        f"median {statistics.median(times):.0f} ms, 99th percentile {last:.0f} ms, longest {times[-1]:.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50, help="number of runs (default: 50)")
    parser.add_argument("--signals", type=int, default=1, help="signals per run (default: 1)")
    parser.add_argument(
        "--anywhere",
        action="store_true",
        help="interrupt runs of three epochs at any moment, from start to end",
    )
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
        times = [
            interrupted(folder / str(run), rest, moments.uniform(0.05, 2), pauses())
            for run in range(options.runs)
        ]
    both = list(zip(*times, strict=True))
    print(
        f"{len(times)} interrupts of {options.signals} signals, all ended with 130 and left model, history and "
        f"result: {summary(both[0])}"
    )
    print(f"processor time in between: {summary(both[1])}")


if __name__ == "__main__":
    main()
