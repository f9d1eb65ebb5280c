"""A program as a user writes it, for mypy --strict: `.ci/run` checks that every public call in it has its type."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

import fastdigits as fd


class Halve(fd.Layer):
    """A layer of one's own."""

    def forward(self, x: npt.NDArray[np.float32], training: bool = False) -> npt.NDArray[np.float32]:
        return x * np.float32(0.5)

    def backward(self, dy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return dy * np.float32(0.5)


class Say(fd.Callback):
    """A callback of one's own."""

    def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> bool:
        print(epoch, history.loss[-1])
        return history.accuracy[-1] > 0.999


def main(folder: Path) -> None:
    """Train, look, save and load."""
    (x, y), (x_test, y_test) = fd.load_mnist()
    net = fd.NeuralNetwork(
        [fd.Dense(784, 64), fd.BatchNorm(64), Halve(), fd.ReLU(), fd.Dense(64, 10)], seed=1
    )
    optimizer: fd.Optimizer = fd.AdamW(0.01, weight_decay=0.01)
    history: fd.History = net.fit(
        x,
        y,
        epochs=2,
        optimizer=optimizer,
        schedule=fd.OneCycle(),
        loss=fd.SoftmaxCrossEntropy(label_smoothing=0.1),
        augment=fd.Augmentation(rotation=5),
        average=fd.EMA(0.99),
        validation_data=(x_test, y_test),
        callbacks=[Say(), fd.EarlyStopping(patience=2), fd.Checkpoint(folder, every=100)],
        resume=folder,
    )
    seconds: float = sum(history.seconds)
    scores: dict[str, float] = net.evaluate(x_test, y_test)
    labels: npt.NDArray[np.int64] = net.predict(x_test)
    probabilities: npt.NDArray[np.float32] = net.predict_proba(x_test[:5])
    rate: float = net.find_lr(x, y).lr
    table: npt.NDArray[np.int64] = fd.confusion_matrix(y_test, labels, 10)
    names: list[str] = [parameter.name for parameter in net.parameters()]
    print(seconds, scores["accuracy"], probabilities.shape, rate, table.sum(), names)
    quick: fd.NeuralNetwork = fd.load_pretrained().folded()
    quick.save(folder / "model.safetensors")
    again: fd.NeuralNetwork = fd.load(folder / "model.safetensors")
    print(again.summary(), fd.recipes.get("fast"), fd.get_num_threads(), fd.show_config())
