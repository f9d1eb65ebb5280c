"""Train on 1, 2, 4 and 8 ranks with 1 and 2 threads each; check that all trainings have the same bits.

    python scripts/robustness/ranks_bits.py             # two minutes on two cores; needs mpi4py and mpiexec

Each setting (optimizer, dropout, augmentation, averages, clipping, sample weights, schedule, eager steps) is trained
with batches of eight shards: in one process without MPI, and in every number of ranks. Exit code 1 if a setting has
more than one hash of weights and running statistics.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdigits as fd

IMAGES = 3000
SHARDS = 8


class Eager(fd.ReLU):
    """A layer that is not built in: a training with it calls one kernel at a time."""


SETTINGS: dict[str, Callable[[], dict[str, Any]]] = {
    "SGD": lambda: {"optimizer": fd.SGD(0.1)},
    "Momentum": lambda: {"optimizer": fd.Momentum(0.05)},
    "Momentum, Nesterov": lambda: {"optimizer": fd.Momentum(0.05, nesterov=True)},
    "RMSprop": lambda: {"optimizer": fd.RMSprop(0.003)},
    "Adam": lambda: {"optimizer": fd.Adam(0.01)},
    "AdamW": lambda: {"optimizer": fd.AdamW(0.01)},
    "no dropout": lambda: {"dropout": 0.0},
    "no batch normalisation": lambda: {"batchnorm": False},
    "augmentation": lambda: {"augment": fd.Augmentation(rotation=10, shift=1, alpha=8, fade=0.5)},
    "EMA": lambda: {"average": fd.EMA(0.9)},
    "SWA": lambda: {"average": fd.SWA(0.5)},
    "clipping": lambda: {"clip_norm": 0.2},
    "sample weights": lambda: {"sample_weight": np.random.default_rng(1).random(IMAGES)},
    "schedule": lambda: {"schedule": fd.OneCycle()},
    "local steps": lambda: {"average_every": 4},
    "all of these": lambda: {
        "optimizer": fd.AdamW(0.01),
        "schedule": fd.OneCycle(),
        "loss": fd.SoftmaxCrossEntropy(label_smoothing=0.1),
        "augment": fd.Augmentation(rotation=10, shift=1, alpha=8, fade=0.5),
        "average": fd.EMA(0.9),
        "clip_norm": 1.0,
        "sample_weight": np.random.default_rng(1).random(IMAGES),
    },
    "all of these, eager": lambda: SETTINGS["all of these"]() | {"activation": Eager},
}


def train(
    ranks: Any,
    threads: int,
    dropout: float = 0.2,
    batchnorm: bool = True,
    activation: Any = fd.ReLU,
    **options: Any,
) -> str:
    """Return the SHA-256 of all weights and running statistics after a training."""
    (x, y), _ = fd.load_mnist()
    layers = [
        fd.Dense(784, 64),
        *([fd.BatchNorm(64)] if batchnorm else []),
        activation(),
        *([fd.Dropout(dropout)] if dropout else []),
        fd.Dense(64, 10),
    ]
    net = fd.NeuralNetwork(layers, seed=5)
    net.fit(
        x[:IMAGES], y[:IMAGES], epochs=2, batch_size=200, validation_split=0.1, threads=threads,
        batch_shards=SHARDS, ranks=ranks, **options,
    )  # fmt: skip
    digest = hashlib.sha256(net.values)
    for buffer in net.buffers().values():
        digest.update(buffer)
    return digest.hexdigest()


def train_all(ranks: Any) -> None:
    """Print, on rank 0, the hash of each setting with 1 and 2 threads."""
    warnings.filterwarnings("ignore", "fit: .* is written in Python")
    for name, make in SETTINGS.items():
        for threads in (1, 2):
            found = train(ranks, threads, **make())
            if ranks is None or ranks.rank == 0:
                print(f"{found} {name}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", default="1,2,4,8", help="numbers of ranks (default: 1,2,4,8)")
    parser.add_argument("--only", choices=("alone", "mpi"), help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    if options.only:
        train_all(fd.distributed.mpi() if options.only == "mpi" else None)
        return 0
    found: defaultdict[str, set[str]] = defaultdict(set)
    program = [sys.executable, __file__, "--only"]
    commands = {"one process without MPI": [*program, "alone"]}
    for size in options.ranks.split(","):
        commands[f"{size} ranks"] = ["mpiexec", "-n", size, *program, "mpi"]
    trainings = 0
    for name, command in commands.items():
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
        for line in done.stdout.splitlines():
            digest, _, setting = line.partition(" ")
            found[setting].add(digest)
            trainings += 1
        print(f"{name}: {len(done.stdout.splitlines())} trainings", file=sys.stderr, flush=True)
    for setting, digests in found.items():
        print(
            f"{setting:24} {len(digests)} hash{'es' * (len(digests) > 1)}: {', '.join(one[:12] for one in digests)}"
        )
    print(f"{trainings} trainings of {len(found)} settings")
    return int(any(len(digests) > 1 for digests in found.values()))


if __name__ == "__main__":
    sys.exit(main())
