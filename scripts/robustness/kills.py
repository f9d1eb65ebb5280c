"""Kill a training at random moments and resume it; compare its model with that of a training without kills.

    python scripts/robustness/kills.py                  # 50 kills: some minutes

The training uses augmentation, dropout, a schedule and averaged weights, and writes a checkpoint every 50 steps. Each
kill is a SIGKILL at a random moment between the start of the process and the usual end of the training. A resumed run
may be killed again.
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = """--epochs 12 --batch-size 128 --dropout 0.1 --augment rotation=8,scale=0.1,shift=1 --ema 0.99
    --schedule one-cycle --checkpoint-every 50 --no-plots --quiet""".split()  # noqa: SIM905


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "fastdigits.train", *words]


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def killed(words: list[str], wait: float) -> bool:
    """Start the command and kill it after ``wait`` seconds; return whether it was still running."""
    process = subprocess.Popen(words)
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="number of kills (default: 50)")
    options = parser.parse_args()
    moments = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        started = time.perf_counter()
        subprocess.run(command(*WORDS, "--output", str(whole)), check=True)
        seconds = time.perf_counter() - started
        expected = digest(whole)
        kills = runs = equal = early = 0
        while kills < options.kills:
            run = Path(folder, str(runs))
            runs += 1
            words = command(*WORDS, "--output", str(run))
            over = False
            while kills < options.kills and not over:
                over = not killed(words, moments.uniform(0.1, seconds))
                kills += not over
                if (run / "settings.json").exists():
                    words = command("--resume", str(run), "--quiet")
                else:  # killed before the settings were written
                    early += 1
            if not over:
                subprocess.run(words, check=True)
            equal += digest(run) == expected
    print(
        f"{kills} kills in {runs} runs of {seconds:.1f} s, {early} of them before the settings were written: "
        f"{equal} of {runs} models equal to that of the run without kills"
    )
    if equal < runs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
