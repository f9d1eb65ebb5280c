"""Train many times from one seed, in every circumstance; check that the weights have the same bits.

    python scripts/robustness/same_bits.py            # 80 trainings in 8 processes: a minute or two

Each training uses augmentation, adversarial examples, dropout, a schedule, clipped gradients and averaged weights, on
MNIST. It runs on 1, 2, 3, 4 and 7 threads; lowered to one program, and eagerly, one kernel per call; twice in a process
and in several processes; with and without other programs that keep all processors busy. Exit code 1 if there is more
than one hash.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator

import fastdigits as fd
from fastdigits import backend

THREADS = (1, 2, 3, 4, 7)
REPEATS = 2  # in one process


class Eager(fd.ReLU):
    """A layer that is not built in: a training with it calls one kernel at a time."""


def train(threads: int, activation: type[fd.ReLU], images: int) -> str:
    """Return the SHA-256 of all weights and batch statistics after a training."""
    (x, y), _ = fd.load_mnist()
    layers = [fd.Dense(784, 256), fd.BatchNorm(256), activation(), fd.Dropout(0.2), fd.Dense(256, 10)]
    net = fd.NeuralNetwork(layers, seed=5)
    backend.kernels.reset_sharing()  # share the first steps between threads, as a new process does
    backend.kernels.set_threads(threads)  # for the eager trainings
    net.fit(
        x[:images],
        y[:images],
        epochs=3,
        batch_size=100,
        optimizer=fd.AdamW(0.01),
        schedule=fd.OneCycle(),
        loss=fd.SoftmaxCrossEntropy(label_smoothing=0.1),
        augment=fd.Augmentation(rotation=10, shift=1, alpha=8, fade=0.5),
        adversarial=0.5,
        clip_norm=1.0,
        average=fd.EMA(0.9),
        validation_split=0.1,
        threads=threads,
    )
    digest = hashlib.sha256(net.values)
    for buffer in net.buffers().values():
        digest.update(buffer)
    return digest.hexdigest()


def train_all(way: str, images: int) -> None:
    """Train with each number of threads, twice; print the hash of each training."""
    warnings.filterwarnings("ignore", "fit: .* is written in Python")
    activation = Eager if way == "eager" else fd.ReLU
    for threads in THREADS * REPEATS:
        print(train(threads, activation, images), flush=True)


@contextlib.contextmanager
def load(processes: int) -> Iterator[None]:
    """Keep processors busy with other processes."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=6000, help="number of training images (default: 6000)")
    parser.add_argument("--only", choices=("lowered", "eager"), help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    if options.only:
        train_all(options.only, options.images)
        return 0
    hashes: Counter[str] = Counter()
    cores = os.cpu_count() or 1
    for busy in (0, 2 * cores):
        for way in ("lowered", "eager"):
            for _ in range(2):
                with load(busy):
                    command = [sys.executable, __file__, "--only", way, "--images", str(options.images)]
                    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                found = Counter(done.stdout.split())
                print(f"{way}, {busy} busy processes: {dict(found)}", file=sys.stderr, flush=True)
                hashes += found
    print(f"{hashes.total()} trainings, {len(hashes)} hash{'es' * (len(hashes) > 1)}: {', '.join(hashes)}")
    return int(len(hashes) > 1)


if __name__ == "__main__":
    sys.exit(main())
