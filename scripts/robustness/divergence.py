"""Train with settings that diverge; check that each training ends with finite numbers or a clear error.

    python scripts/robustness/divergence.py           # 3,203 trainings: some seconds

The trainings combine every optimizer, learning rates from 1 to 1e30, constant and one-cycle schedules, lowered and
eager execution, digits, random labels, and pixels of 1e30 and 3e38. A training may raise DivergedError with epoch, step
and learning rate; then the network is that of the last whole epoch, and the optimizer has no state of the failed one.
Or it ends, and weights, history and probabilities are finite. Infinite and NaN pixels raise ValueError before anything
changes. Exit code 1 if a training does anything else.
"""

import itertools
import re
import sys
import warnings
from collections import Counter

import numpy as np

import fastdigits as fd

OPTIMIZERS = (fd.SGD, fd.Momentum, fd.RMSprop, fd.Adam, fd.AdamW)
RATES = (1.0, 1e3, 1e6, 1e9, 1e30)
SCHEDULES = (fd.Constant, fd.OneCycle)
EPOCHS = (1, 3)
MESSAGE = re.compile(
    r"fit: loss and weights must stay finite; they were not in epoch (\d+), step \d+ of \d+, at learning rate "
    r"[\d.e+-]+: take a smaller one(, or scale the images, whose largest number is (1e\+30|3e\+38))?"
)
N, SIDE, CLASSES = 200, 8, 10


class Eager(fd.ReLU):
    """A layer that is not built in: a training with it calls one kernel at a time."""


class KeepBits(fd.Callback):
    """Stores the bits of the network after each epoch."""

    def on_train_begin(self, network: fd.NeuralNetwork, history: fd.History) -> None:
        self.bits = bits(network)

    def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> None:
        self.bits = bits(network)


def bits(network: fd.NeuralNetwork) -> bytes:
    return network.values.tobytes() + b"".join(array.tobytes() for array in network.buffers().values())


def data_sets() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images and labels by name: digits, random labels, huge pixels."""
    rng = np.random.default_rng(2)
    (x, y), _ = fd.load_mnist()
    x, y = x[:N, 4:-4:2, 4:-4:2][:, :SIDE, :SIDE].copy(), y[:N].astype(np.int64)
    found = {"digits": (x, y), "random labels": (x, rng.integers(0, CLASSES, N))}
    for size in (1e30, 3e38):
        huge = (x / np.float32(255)).astype(np.float32)
        huge[rng.random(huge.shape) < 0.01] = size
        found[f"pixels of {size:g}"] = huge, y
    return found


def network(activation: type[fd.Layer], *, batchnorm: bool) -> fd.NeuralNetwork:
    norm = [fd.BatchNorm(24)] if batchnorm else []
    layers = [
        fd.Dense(SIDE * SIDE, 24),
        *norm,
        activation(),
        fd.Dense(24, 24),
        fd.ReLU(),
        fd.Dense(24, CLASSES),
    ]
    return fd.NeuralNetwork(layers, seed=3)


def attempt(
    x: np.ndarray, y: np.ndarray, net: fd.NeuralNetwork, optimizer: fd.Optimizer, **options: object
) -> str:
    """Train; return "diverged" or "finite", or raise AssertionError."""
    keeper = KeepBits()
    message = ""
    try:
        history = net.fit(x, y, batch_size=50, optimizer=optimizer, callbacks=[keeper], **options)
    except fd.DivergedError as error:
        message = str(error)
    if message:
        match = MESSAGE.fullmatch(message)
        assert match, message
        assert int(match[1]) == net.epochs_trained + 1
        assert bits(net) == keeper.bits, "the network is not that of the last whole epoch"
        assert np.isfinite(net.values).all(), "weights are not finite"
        state = optimizer.state_dict(net.parameters())
        assert all(np.isfinite(array).all() for array in state.values()), (
            "the state of the optimizer is not finite"
        )
        return "diverged"
    assert np.isfinite(net.values).all(), "weights are not finite"
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert np.isfinite(getattr(history, name)).all(), f"history.{name} is not finite"
    ordinary = x.reshape(len(x), -1).max(axis=1) < 1e3
    assert np.isfinite(net.predict_proba(x[ordinary])).all(), "probabilities are not finite"
    return "finite"


def refused(x: np.ndarray, y: np.ndarray) -> str:
    """Check that infinite and NaN pixels raise ValueError; return "refused"."""
    for number in (np.nan, np.inf, -np.inf):
        images = (x / np.float32(255)).astype(np.float32)
        images[17, 3, 3] = number
        net = network(fd.ReLU, batchnorm=True)
        before = bits(net)
        message = "no error"
        try:
            net.fit(images, y, epochs=1)
        except ValueError as error:
            message = str(error)
        assert "must be finite" in message, f"{number}: {message}"
        assert bits(net) == before
    return "refused"


def main(every: int = 1) -> int:
    """Run one training in ``every``; return the exit code."""
    warnings.filterwarnings("ignore", "fit: .* is written in Python")
    outcomes, failed, total = Counter(), Counter(), 0
    data = data_sets()
    variants = itertools.product(
        data, OPTIMIZERS, RATES, SCHEDULES, EPOCHS, (fd.ReLU, Eager), (False, True), (0.0, 0.2)
    )
    for name, optimizer, rate, schedule, epochs, activation, batchnorm, split in itertools.islice(
        variants, 0, None, every
    ):
        total += 1
        try:
            net, chosen = network(activation, batchnorm=batchnorm), optimizer(rate)
            outcomes[
                attempt(*data[name], net, chosen, epochs=epochs, schedule=schedule(), validation_split=split)
            ] += 1
        except Exception as problem:
            failed[f"{type(problem).__name__}: {problem}"[:150]] += 1
            if failed.total() <= 10:
                print(name, optimizer.__name__, rate, schedule.__name__, epochs, activation.__name__, batchnorm,
                      split, repr(problem)[:200], file=sys.stderr)  # fmt: skip
    outcomes[refused(*data["digits"])] += 3
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{total + 3} trainings: {counts}, {failed.total()} failed")
    for problem, count in failed.most_common():
        print(f"{count} times: {problem}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
