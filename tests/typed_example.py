"""A program of a user, which `mypy --strict` checks: every public call in it has a type."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

import fastdigits as fd


class Halve(fd.Layer):
    """A layer of the user."""

    def forward(self, x: npt.NDArray[np.float32], training: bool = False) -> npt.NDArray[np.float32]:
        return x * np.float32(0.5)

    def backward(self, dy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return dy * np.float32(0.5)


class PrintLoss(fd.Callback):
    """A callback of the user."""

    def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> bool:
        print(epoch, history.loss[-1])
        return history.accuracy[-1] > 0.999


def main(folder: Path) -> None:
    """Train, evaluate, save and load."""
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
        callbacks=[PrintLoss(), fd.EarlyStopping(patience=2), fd.Checkpoint(folder, every=100)],
        resume=folder,
    )
    seconds: float = sum(history.seconds)
    rows: list[dict[str, float]] = list(history)
    history.plot().savefig(folder / "curves.png")
    fd.visualize.training_curves(history).savefig(folder / "curves.svg")
    scores: dict[str, float] = net.evaluate(x_test, y_test)
    labels: npt.NDArray[np.int64] = net.predict(x_test)
    probabilities: npt.NDArray[np.float32] = net.predict_proba(x_test[:5])
    rate: float = net.find_lr(x, y).lr
    table: npt.NDArray[np.int64] = fd.confusion_matrix(y_test, labels, 10)
    names: list[str] = [parameter.name for parameter in net.parameters()]
    print(seconds, rows, scores["accuracy"], probabilities.shape, rate, table.sum(), names)
    quick: fd.NeuralNetwork = fd.load_pretrained().folded()
    quick.save(folder / "model.safetensors")
    again: fd.NeuralNetwork = fd.load(folder / "model.safetensors")
    print(again.summary(), fd.recipes.get("fast"), fd.get_num_threads(), fd.show_config())


def use_the_rest(source: str, folder: Path) -> None:
    """Read data, choose backends, train in several ways, and measure calibration."""
    data: fd.Dataset = fd.load_data(source)
    (x, y), (x_test, y_test) = data
    idx: npt.NDArray[np.uint8] = fd.read_idx(folder / "train-images-idx3-ubyte.gz")
    pairs = fd.load_folder(folder)
    before: str = fd.backend_name()
    fd.use_backend(fd.available_backends()[-1])
    fd.set_num_threads(1)
    schedules: list[fd.Schedule] = [
        fd.Constant(),
        fd.Step(),
        fd.WarmUp(0.1, fd.Cosine()),
    ]
    optimizers: list[fd.Optimizer] = [
        fd.SGD(0.1),
        fd.Momentum(0.1, 0.9, nesterov=True),
        fd.RMSprop(0.001),
        fd.Adam(),
    ]
    averages: list[fd.WeightAverage] = [fd.SWA(0.75), fd.EMA(0.99)]
    for optimizer, schedule in zip(optimizers, schedules, strict=False):
        net = fd.NeuralNetwork(
            [fd.Dense(784, 16), fd.LeakyReLU(), fd.Dropout(0.1), fd.Dense(16, 10), fd.Softmax()]
        )
        net.class_names = [f"class {number}" for number in range(10)]
        try:
            net.fit(
                x, y, optimizer=optimizer, schedule=schedule, average=averages[0], callbacks=[fd.Progress()]
            )
        except fd.DivergedError as error:
            print(error)
        plateau = fd.ReduceOnPlateau(optimizer)
        rates: fd.LearningRates = net.find_lr(x, y)
        parameters: list[fd.Parameter] = net.parameters()
        clip = fd.ClipNorm(1.0)
        clip.apply(parameters)
        norm: float = clip.norm
        probabilities: npt.NDArray[np.float32] = net.predict_proba(x_test)
        bins: list[fd.CalibrationBin] = fd.reliability_bins(y_test, probabilities)
        scores: list[fd.ClassScore] = fd.class_report(y_test, probabilities.argmax(axis=1))
        share: float = fd.accuracy(y_test, probabilities.argmax(axis=1))
        low, high = fd.wilson_interval(round(share * len(y_test)), len(y_test))
        error_of: float = fd.expected_calibration_error(y_test, probabilities)
        names: tuple[str, ...] = net.class_names
        scale: str | None = net.scale
        net.scale = scale
        fd.export_html(net, folder / "draw.html", labels=names)
        net.export_onnx(folder / "digits.onnx")
        net.load_torch_state_dict(net.to_torch_state_dict())
        print(plateau, rates.lr, norm, bins[0].confidence, scores[0].f1, low + high, error_of)
    try:
        fd.load(folder / "nothing")
    except (fd.ModelFileError, fd.DataError) as error:
        print(error, idx.shape, pairs[0][0].shape, before, fd.__version__)
