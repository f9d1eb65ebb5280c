"""Train the original network with fastdigits until it reaches an accuracy on the test images, then end.

The driver measures the whole process. The script prints one JSON object.
"""

from __future__ import annotations

import json

import contender
import fastdigits_fit
from contender import Task

import fastdigits as fd


class StopAt(fd.Callback):
    """Ends training when the accuracy on the validation images, here the test images, is high enough."""

    def __init__(self, accuracy: float) -> None:
        self.accuracy = accuracy

    def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> bool:
        return history.val_accuracy[-1] >= self.accuracy


def main() -> None:
    parser = contender.training_options(__doc__.splitlines()[0])
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
