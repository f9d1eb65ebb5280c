"""Interrupt trainings at random moments; measure how long each takes to end, and see what it leaves.

    python scripts/interrupts.py                        # 50 interrupts of the training command: two minutes
    python scripts/interrupts.py --runs 10 --preset best

What this script does not know goes to the training command as it is. Each run must end with 130, say where it left its
model, and leave one that loads. The time goes from the signal to the end of the process.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fastdigits as fd


def interrupted(folder: Path, rest: list[str], wait: float) -> float:
    """Return the seconds that a training takes to end when it is interrupted ``wait`` seconds after its start."""
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
    started = time.perf_counter()
    process.send_signal(signal.SIGINT)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds = time.perf_counter() - started
    errors = process.stderr.read()
    if process.wait() != 130 or "interrupted after" not in errors or "Traceback" in errors:
        raise SystemExit(f"interrupts: ended with {process.returncode}: {errors[-2000:]}")
    fd.load(folder / "model.safetensors")
    return seconds


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
            taken.append(1000 * interrupted(Path(folder, str(run)), rest, moments.uniform(0.05, 2)))
    taken.sort()
    last = taken[min(len(taken) - 1, round(0.99 * len(taken)))]
    print(
        f"{len(taken)} interrupts, all ended with 130 and left a model: median {statistics.median(taken):.0f} ms, "
        f"99th percentile {last:.0f} ms, longest {taken[-1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
