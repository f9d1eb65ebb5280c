"""Do with fastdigits what train_torch.py does: train until it reaches an accuracy on the test images.

Run as a whole process by the driver, which counts from its start to its end. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json

import contender
import fastdigits_fit
from contender import Task

import fastdigits as fd


class StopAt(fd.Callback):
    """Ends training once the accuracy on the validation images, here the test images, is high enough."""

    def __init__(self, accuracy: float) -> None:
        self.accuracy = accuracy

    def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> bool:
        return history.val_accuracy[-1] >= self.accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accuracy", type=float, default=0.972)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    (x, y), test = fd.load_mnist()
    net = fastdigits_fit.network(Task("epoch", seed=options.seed))
    history = net.fit(
        x,
        y,
        epochs=options.max_epochs,
        batch_size=options.batch_size,
        optimizer=fd.Adam(lr=contender.LR),
        validation_data=test,
        callbacks=[StopAt(options.accuracy)],
        threads=options.threads,
    )
    print(json.dumps({"test_accuracy": history.val_accuracy[-1], "epochs": net.epochs_trained}))


if __name__ == "__main__":
    main()
