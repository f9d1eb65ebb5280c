"""Fork while threads train and predict; check that every child trains to the same bits without a deadlock.

    python scripts/robustness/forks.py                 # 200 forks: a minute
    python scripts/robustness/forks.py --rounds 20

Also start children by spawn and forkserver. Meanwhile eight threads predict with one network and one thread trains
another.
"""

import argparse
import hashlib
import multiprocessing
import os
import signal
import threading
import time
import warnings

import numpy as np

import fastdigits as fd

SECONDS = 60  # a child that takes longer counts as a deadlock


def network() -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)],
        seed=0,
    )


def data() -> tuple[np.ndarray, np.ndarray]:
    (x, y), _ = fd.load_mnist()
    return x[:3000], y[:3000]


def trained(x: np.ndarray, y: np.ndarray) -> str:
    net = network()
    net.fit(x, y, epochs=1, threads=2)
    return hashlib.sha256(net.values.tobytes()).hexdigest()


def train_and_send(queue) -> None:
    queue.put(trained(*data()))


def forked(x: np.ndarray, y: np.ndarray, expected: str) -> str:
    """Train in a forked child; return "equal", "different" or "hang"."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if trained(x, y) == expected else 2
        finally:
            os._exit(code)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "equal" if status == 0 else "different"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200, help="number of forks (default: 200)")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
    x, y = data()
    expected = trained(x, y)
    ready, stop = network(), threading.Event()
    expected_probs = ready.predict_proba(x[:500])
    wrong = []

    def train() -> None:
        while not stop.is_set():
            if trained(x, y) != expected:
                wrong.append("a training")

    def predict() -> None:
        while not stop.is_set():
            if not np.array_equal(ready.predict_proba(x[:500]), expected_probs):
                wrong.append("a prediction")

    workers = [threading.Thread(target=train), *(threading.Thread(target=predict) for _ in range(8))]
    for worker in workers:
        worker.start()
    outcomes = [forked(x, y, expected) for _ in range(options.rounds)]
    stop.set()
    for worker in workers:
        worker.join()
    print(
        f"{options.rounds} forks while one thread trained and eight predicted: {outcomes.count('hang')} hung, "
        f"{outcomes.count('equal')} with equal weights; wrong results in the parent: {len(wrong)}"
    )
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=train_and_send, args=(queue,))
        child.start()
        same = queue.get(timeout=SECONDS) == expected
        child.join()
        print(f"{method}: {'equal' if same else 'different'} weights")


if __name__ == "__main__":
    main()
