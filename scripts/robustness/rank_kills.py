"""Kill one rank, or all of them, at random moments of a training; resume it with another number of ranks.

    python scripts/robustness/rank_kills.py             # 50 kills: three minutes; needs mpi4py and mpiexec

A kill is SIGKILL to one random rank, or to all. After it, all processes must end within ten seconds. The run then
continues with another number of ranks, and may be killed again. Each model must equal that of a run without kills, in
one process without MPI.
"""

import argparse
import hashlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from os import environ, kill
from pathlib import Path

WORDS = """--epochs 12 --batch-size 256 --batch-shards 8 --dropout 0.1 --augment rotation=8,scale=0.1,shift=1
    --ema 0.99 --schedule one-cycle --checkpoint-every 50 --no-plots --quiet --threads 1""".split()  # noqa: SIM905
LONGEST = 10.0  # seconds from a kill to the end of all processes


def command(ranks: int, *words: str) -> list[str]:
    launcher = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    return [*launcher, sys.executable, "-m", "fastdigits.train", *words]


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def ranks_of(folder: Path) -> list[int]:
    """Return the ids of the processes that train into a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            trains = "fastdigits.train" in words and str(folder) in words
            if trains and not re.search("mpiexec|mpirun|hydra|prte|orted", words[0]):
                found.append(int(entry.name))
    return found


def killed(words: list[str], folder: Path, wait: float, moments: random.Random) -> float | None:
    """Start the command, kill after ``wait`` seconds; return the seconds to the end of all, None if it was done."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)
    try:
        process.wait(wait)
        return None
    except subprocess.TimeoutExpired:
        pass
    processes = ranks_of(folder)
    chosen = processes if moments.random() < 0.3 else processes[:1] and [moments.choice(processes)]
    began = time.perf_counter()
    for one in chosen:
        with suppress(ProcessLookupError):
            kill(one, signal.SIGKILL)
    if not chosen:  # the launcher has started no rank yet
        process.kill()
    process.wait(LONGEST)
    while ranks_of(folder):
        if time.perf_counter() - began > LONGEST:
            raise SystemExit(
                f"rank_kills: {ranks_of(folder)} must have ended {LONGEST:g} s after a kill; they run"
            )
        time.sleep(0.01)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="number of kills (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    options = parser.parse_args()
    moments = random.Random(options.seed)
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        subprocess.run(command(1, *WORDS, "--output", str(whole)), check=True)
        expected = digest(whole)
        runs = equal = early = 0
        while len(times) < options.kills:
            run = Path(folder, str(runs))
            runs += 1
            words = [*WORDS, "--output", str(run)]
            over = False
            while len(times) < options.kills and not over:
                ranks = moments.choice((2, 3, 4))
                seconds = killed(command(ranks, *words), run, moments.uniform(0.3, 6), moments)
                over = seconds is None
                if seconds is not None:
                    times.append(seconds)
                if (run / "settings.json").exists():
                    words = ["--resume", str(run), "--quiet"]
                else:  # killed before the settings were written
                    early += 1
            if not over:
                subprocess.run(command(moments.choice((1, 2)), *words), check=True)
            equal += digest(run) == expected
            print(f"{len(times)} kills", file=sys.stderr, flush=True)
    print(
        f"{len(times)} kills in {runs} runs, {early} of them before the settings were written: all processes ended "
        f"within {max(times):.1f} s; {equal} of {runs} models equal to that of the run without kills"
    )
    if equal < runs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
