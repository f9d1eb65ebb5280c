"""Interrupt trainings at random moments; measure how long each takes to end, and see what it leaves.

    python scripts/interrupts.py                        # 50 interrupts of the training command: two minutes
    python scripts/interrupts.py --runs 10 --preset best

What this script does not know goes to the training command as it is. Each run must end with 130, say where it left its
model, and leave one that loads. The time goes from the signal to the end of the process. On Linux it is also told how
long the process computed meanwhile, on all its threads: the rest, it waited for a processor or for the disk.
"""

import argparse
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import fastdigits as fd


def computed(process: int) -> float:
    """Return the seconds that all threads of a process have computed; NaN where the system does not tell."""
    tasks = Path("/proc", str(process), "task")
    if not tasks.is_dir():
        return math.nan
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


def interrupted(folder: Path, rest: list[str], wait: float) -> tuple[float, float]:
    """Return the seconds that a training takes to end when it is interrupted ``wait`` seconds after its start.

    And how many of them it computed.
    """
    command = [sys.executable, "-m", "fastdigits.train", "--epochs", "100000", "--output", str(folder)]
    process = subprocess.Popen(
        [*command, *rest],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    told = ""
    while not told.startswith("machine"):  # the last line before the training
        told = process.stderr.readline()
    time.sleep(wait)
    before = computed(process.pid)
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    errors = process.stderr.read()
    if process.returncode != 130 or "interrupted after" not in errors or "Traceback" in errors:
        raise SystemExit(f"interrupts: ended with {process.returncode}: {errors[-2000:]}")
    fd.load(folder / "model.safetensors")
    return seconds, usage.ru_utime + usage.ru_stime - before


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
    options, rest = parser.parse_known_args()
    moments = random.Random(0)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(options.runs):
            taken.append(interrupted(Path(folder, str(run)), rest, moments.uniform(0.05, 2)))
    both = list(zip(*taken, strict=True))
    print(f"{len(taken)} interrupts, all ended with 130 and left a model: {told(both[0])}")
    print(f"of which the process computed: {told(both[1])}")


if __name__ == "__main__":
    main()
