"""Train, save, load and predict many times; print how much memory, threads and open files grow.

    python scripts/robustness/leaks.py                # 1,000 rounds: about a minute
    python scripts/robustness/leaks.py --rounds 5000

The script measures after a tenth of the rounds, when pools and caches are filled, and after the last round: the bytes
in use, as the C library and Python count them; resident memory; threads and open files. A leak adds to the bytes in
use. Resident memory also includes freed blocks that the C library keeps for later, so it varies from round to round;
the script returns these to the system before it measures. Linux with glibc only.
"""

import argparse
import ctypes
import gc
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastdigits as fd


class _Statistics(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()  # noqa: SIM905
    ]


LIBRARY = ctypes.CDLL(None)
LIBRARY.mallinfo2.restype = _Statistics


def state() -> dict[str, int]:
    gc.collect()
    LIBRARY.malloc_trim(0)
    memory = LIBRARY.mallinfo2()
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        "bytes in use": memory.uordblks + memory.hblkhd,
        "Python's blocks": sys.getallocatedblocks(),
        "resident kB": int(status["VmRSS"].split()[0]),
        "threads": int(status["Threads"]),
        "open files": len(os.listdir("/proc/self/fd")),
    }


def one_round(folder: Path, x: np.ndarray, y: np.ndarray) -> None:
    layers = [fd.Dense(784, 32), fd.BatchNorm(32), fd.ReLU(), fd.Dropout(0.1), fd.Dense(32, 10)]
    net = fd.NeuralNetwork(layers, seed=1)
    save = fd.Checkpoint(folder / "checkpoints", every=2)
    net.fit(x, y, epochs=1, augment=fd.Augmentation(rotation=5), average=fd.EMA(0.9), callbacks=[save])
    net.save(folder / "model.safetensors")
    fd.load(folder / "model.safetensors").predict(x[:100])
    net.folded().predict_proba(x[0:1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1000, help="number of rounds (default: 1000)")
    rounds = parser.parse_args().rounds
    (x, y), _ = fd.load_mnist()
    x, y = x[:600], y[:600]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            one_round(Path(folder), x, y)
            if number + 1 == rounds // 10:
                first = state()
                print(f"after {number + 1:>5} rounds: {first}", flush=True)
    last = state()
    print(f"after {rounds:>5} rounds: {last}")
    print(f"growth in {rounds - rounds // 10} rounds: { {name: last[name] - first[name] for name in first} }")


if __name__ == "__main__":
    main()
