"""The command ``fastdigits train``: read images, train a network, say how good it is, leave a folder."""

from __future__ import annotations

import argparse
import copy
import functools
import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import backend
from .._version import __version__
from ..core import interrupts
from ..core.arrays import Array, Float32
from ..core.interrupts import DeferInterrupts
from ..core.splitting import split_validation
from ..data import Dataset, load_data
from ..errors import DataError, DivergedError, ModelFileError
from ..imaging.digits import SIDE
from ..metrics.classification import wilson_interval
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.losses import SoftmaxCrossEntropy
from ..training.best_epoch import BestEpoch
from ..training.callbacks import Callback, EarlyStopping
from ..training.checkpoint import Checkpoint, clear
from ..training.history import History
from . import arguments, console, report, run_folder, runner, system, train_options
from .assessment import MEANS, assess
from .runner import CommandError

COMMAND = "fastdigits train"
UNSAID = ("command", "json", "quiet", "show", "resume", "resumed")  # what changes nothing about the run


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Train as ``argv`` says, the process's own arguments where it is None.

    Returns
    -------
    int
        0; 2 after an error that the user can put right, 130 after an interrupt. A wrong option exits at once.
    """
    started = time.perf_counter()
    options = train_options.read(argv)
    if options.resume is None:  # else its folder says both
        options.command, options.resumed = arguments.command_line("train", argv), 0
    return runner.run(
        COMMAND, lambda: _train(options, started), backend_name=options.backend, threads=options.threads
    )


@dataclass(frozen=True)
class _Set:
    """Some images and their labels."""

    x: Array  # (n, height, width)
    y: Array  # (n,)


@dataclass(frozen=True)
class _Images:
    """What is trained on, what is shown after each epoch, what is tested on at the end."""

    train: _Set
    validation: _Set
    test: _Set
    data: Dataset  # all of it, as it came
    scale: str | None  # of all training images, those that are held out too

    @property
    def classes(self) -> int:
        return self.data.classes


class _Keeper(Callback):
    """Holds on to what an interrupted `fit` does not return: the history, and the best epoch's weights.

    The best epoch is that of the lowest loss on images that are held out. Where none are, it is the last whole
    one: nothing is chosen by the test images.
    """

    def __init__(self, images: _Images, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.history = History()
        self._may_choose = images.validation is not images.test
        self._best = BestEpoch("val_loss", names=("epoch", "loss"))

    @property
    def epoch(self) -> int | None:
        """Number of the epoch whose weights are kept."""
        return self._best.epoch

    def on_train_begin(self, network: NeuralNetwork, history: History) -> None:
        self.history = history
        self._begin()

    def on_epoch_end(self, epoch: int, network: NeuralNetwork, history: History) -> None:
        (self._best.update if self._may_choose else self._best.take)(network, history)

    def state_dict(self) -> dict[str, Any]:
        return self._best.state_dict()

    def check_state_dict(self, content: Mapping[str, Any], network: NeuralNetwork, history: History) -> None:
        self._best.check_state_dict(content, network, history, "the part that is kept")

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        self._best = self._best.loaded(content)

    def restore(self, network: NeuralNetwork) -> None:
        """Give the network the weights that are kept; it stays as it is before the first whole epoch."""
        self._best.restore(network)

    def whole_epochs(self) -> History:
        """Return the epochs of which every figure is there, at whatever moment an interrupt came."""
        lists = {name: value for name, value in vars(self.history).items() if isinstance(value, list)}
        count = min(map(len, lists.values()))
        whole = copy.copy(self.history)
        for name, value in lists.items():
            setattr(whole, name, value[:count])
        return whole

    def kept(self, folder: Path) -> str:
        """Return what was kept of an interrupted training, and where it goes."""
        if self.epoch is None:
            return f"the work so far goes to {folder}"
        best = ", the best on the held-out images," if self._may_choose else ""
        return f"the model of epoch {self.epoch}{best} goes to {folder}"


def _train(options: argparse.Namespace, started: float) -> int:
    result = None if options.resume is None else run_folder.finished(options.resume)
    if result is not None:
        console.print_note(COMMAND, f"{options.resume} is finished already: there is nothing to resume")
        if options.json:
            console.print_json(result)
        return runner.SUCCESS
    try:
        images = _load(options)
        network = _build(options, images)
        if options.learning_rate == train_options.AUTO:
            options.learning_rate = _found_rate(options, images, network)
    except (CommandError, DataError) as error:
        raise CommandError(_named(options, error)) from error
    say = console.print_nothing if options.quiet else console.print_message
    where = run_folder.folder(
        options.output,
        overwrite=options.overwrite or options.resume is not None,
        option="--output" if options.resume is None else "--resume",
    )
    with where as folder, interrupts.DeferInterrupts() as hold:
        if options.resume is None:
            clear(folder)
            run_folder.write_settings(folder, train_options.to_record(options))
        elif run_folder.finished(folder) is not None:  # since it was looked at above
            raise CommandError(
                f"--resume: must be a run that is not finished; got {folder}, just finished elsewhere"
            )
        circumstances = _circumstances(options, folder)
        say(_opening(options, images, network))
        try:
            history, outcome = _fit(options, images, network, folder, hold)
        except (CommandError, DivergedError):  # nothing came of it: a new run leaves nothing behind
            if options.resume is None and not (folder / run_folder.MODEL).exists():
                clear(folder)
                (folder / run_folder.SETTINGS).unlink(missing_ok=True)
            raise
        # `_fit` has begun to hold Ctrl-C back: no further one costs any of this. What cannot be made again comes first.
        network.save(folder / run_folder.MODEL)
        history.write_csv(folder / run_folder.HISTORY)
        figures = None
        if not outcome["interrupted"]:
            told = f"interrupted at the figures; model and history are in {folder}"
            figures = _unless_interrupted(hold, lambda: _scores(images, network), told)
        outcome["interrupted"] = interrupted = figures is None
        scores = _known_scores(images, history, outcome) if figures is None else figures
        result = scores | _amounts(images, network, history) | outcome | circumstances
        run_folder.remove_pictures(folder)
        if not interrupted:
            say(_scored(result))
            run_folder.write_result(folder, result)
        result |= {"pictures": [], "report": None}
        if not interrupted:
            told = f"interrupted at pictures and report; all else is in {folder}"
            shown = _unless_interrupted(
                hold, lambda: _present(options, folder, images, network, history, result, started), told
            )
            result |= {"interrupted": True} if shown is None else shown
        result["total_seconds"] = time.perf_counter() - started
        run_folder.write_result(folder, result)
    say(_saved(result, _following(options, folder, images, result["interrupted"])))
    if options.show and result["report"]:
        run_folder.show_report(folder, COMMAND)
    if options.json:
        try:
            console.print_json(result)
        except OSError:
            if not result["interrupted"]:  # else Ctrl-C has ended its reader, too
                raise
    return runner.INTERRUPTED if result["interrupted"] else runner.SUCCESS


# -- before ------------------------------------------------------------------------------------------------


def _load(options: argparse.Namespace) -> _Images:
    data = load_data(
        options.data, size=options.size, label_column=options.label_column, progress=not options.quiet
    )
    train, test = _Set(*data.train), _Set(*data.test)
    scale = _common_scale(train.x, test.x)
    if options.validation_split == 0:
        return _Images(train, test, test, data, scale)
    kept, held_out = _hold_out(train, options.validation_split, options.seed)
    return _Images(kept, held_out, test, data, scale)


def _common_scale(train: Array, test: Array) -> str | None:
    """Return the scale of the training images; CommandError if the test images cannot be meant on it."""
    try:
        scale = scales.infer_scale(train.reshape(len(train), -1), "--data: training images")
        scales.row_converter(test.reshape(len(test), -1), scale, "--data: test images")
    except ValueError as error:
        raise CommandError(str(error)) from error
    return scale


def _hold_out(given: _Set, fraction: float, seed: int) -> tuple[_Set, _Set]:
    """Set images apart: the same ones as ``fit(validation_split=…)`` takes from this seed.

    Not left to `fit`, because the training accuracy at the end must not count them either.
    """
    try:
        kept, apart = split_validation(given.y.size, fraction, seed, "--validation-split:")
    except ValueError as error:
        raise CommandError(str(error)) from error
    return _Set(given.x[kept], given.y[kept]), _Set(given.x[apart], given.y[apart])


def _build(options: argparse.Namespace, images: _Images) -> NeuralNetwork:
    pixels = math.prod(images.train.x.shape[1:])
    try:
        network = train_options.recipe(options).network(pixels, images.classes, seed=options.seed)
    except (MemoryError, OverflowError, ValueError) as error:
        hidden = ",".join(map(str, options.hidden))
        raise CommandError(
            f"--hidden: the network must fit into memory; got {hidden} for images of {pixels:,} pixels and "
            f"{images.classes:,} classes: take smaller widths"
        ) from error
    try:
        network.class_names = images.data.class_names if images.data.named else ()
    except ValueError as error:
        raise CommandError(f"--data: {error}: rename the class") from error
    network.scale = images.scale
    return network


def _found_rate(options: argparse.Namespace, images: _Images, network: NeuralNetwork) -> float:
    """Return a learning rate that suits network and optimizer, to three digits."""
    try:
        found = network.find_lr(
            images.train.x,
            images.train.y,
            optimizer=train_options.recipe(options).make_optimizer(),
            loss=SoftmaxCrossEntropy(label_smoothing=options.label_smoothing),
            batch_size=options.batch_size,
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    return float(f"{found.lr:.3g}")


# -- the training and what it came to ----------------------------------------------------------------------


def _fit(
    options: argparse.Namespace, images: _Images, network: NeuralNetwork, folder: Path, hold: DeferInterrupts
) -> tuple[History, dict[str, Any]]:
    """Train; return the whole epochs, which of them was kept, and whether an interrupt ended the training.

    However the training ends, Ctrl-C is held back from then on.
    """
    keeper = _Keeper(images, functools.partial(_go_on, options, folder))
    stopping = None if options.patience is None else EarlyStopping(patience=options.patience)
    checkpoint = Checkpoint(folder, every=options.checkpoint_every)
    try:
        network.fit(
            images.train.x,
            images.train.y,
            **train_options.recipe(options).fit_arguments(),
            validation_data=(images.validation.x, images.validation.y),
            callbacks=[one for one in (keeper, stopping, checkpoint) if one is not None],
            progress=not options.quiet,
            resume=options.resume,
        )
        hold.begin()
    except (TypeError, ValueError) as error:  # the images do not suit: each message of fit says what to do
        raise CommandError(_named(options, error)) from error
    except DivergedError as error:
        if keeper.epoch is None:
            raise
        hold.begin()
        keeper.restore(network)
        network.save(folder / run_folder.MODEL)
        keeper.whole_epochs().write_csv(folder / run_folder.HISTORY)
        raise CommandError(f"{error}; {keeper.kept(folder)}") from error
    except KeyboardInterrupt:
        hold.begin()
        keeper.restore(network)
        history = keeper.whole_epochs()
        console.print_note(COMMAND, f"interrupted after {_epochs(len(history))}; {keeper.kept(folder)}")
        return history, {"best_epoch": keeper.epoch, "interrupted": True}
    best = None if stopping is None else stopping.best_epoch
    return keeper.whole_epochs(), {"best_epoch": best, "interrupted": False}


def _named(options: argparse.Namespace, error: Exception) -> str:
    """Return an error message; of settings that are those of a run, it names their file."""
    if options.resume is None or isinstance(error, ModelFileError):
        return str(error)
    return f"--resume: {options.resume / run_folder.SETTINGS}: {error}"


def _go_on(options: argparse.Namespace, folder: Path) -> None:
    """Note that a run goes on, where it does: all of its folder has been checked by now."""
    if options.resume is not None:
        run_folder.write_settings(folder, train_options.to_record(options))


def _unless_interrupted(
    hold: DeferInterrupts, work: Callable[[], dict[str, Any]], told: str
) -> dict[str, Any] | None:
    """Return what ``work`` makes with Ctrl-C answered meanwhile; where it came, say so and return None."""
    try:
        with hold.paused():
            return work()
    except KeyboardInterrupt:
        hold.begin()
        console.print_note(COMMAND, told)
        return None


def _scores(images: _Images, network: NeuralNetwork) -> dict[str, Any]:
    """Return how good the network is now; accuracies are fractions, losses are without label smoothing."""
    train, test = (network.evaluate(part.x, part.y) for part in (images.train, images.test))
    return {
        "test_accuracy": test["accuracy"],
        "train_accuracy": train["accuracy"],
        "test_loss": test["loss"],
        "train_loss": train["loss"],
        "test_accuracy_interval": _interval(test["accuracy"], images.test),
        "train_accuracy_interval": _interval(train["accuracy"], images.train),
    }


def _known_scores(images: _Images, history: History, outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what the history knows of the weights that were kept: an interrupt is answered at once."""
    names = ("test_accuracy", "train_accuracy", "test_loss", "train_loss")
    scores: dict[str, Any] = dict.fromkeys([*names, "test_accuracy_interval", "train_accuracy_interval"])
    epoch = outcome["best_epoch"]
    if epoch in history.epoch and images.validation is images.test:
        scores["test_accuracy"] = history.val_accuracy[history.epoch.index(epoch)]
        scores["test_accuracy_interval"] = _interval(scores["test_accuracy"], images.test)
    return scores


def _amounts(images: _Images, network: NeuralNetwork, history: History) -> dict[str, Any]:
    """Return how much there was to train, and how long it took."""
    seconds = sum(history.seconds)
    return {
        "test_images": len(images.test.y),
        "train_images": len(images.train.y),
        "class_names": list(images.data.class_names),
        "epochs": len(history),
        "train_seconds": seconds,
        "images_per_second": len(images.train.y) * len(history) / seconds if seconds > 0 else None,
        "parameters": sum(parameter.value.size for parameter in network.parameters()),
    }


def _interval(accuracy: float, part: _Set) -> list[float]:
    return list(wilson_interval(round(accuracy * part.y.size), part.y.size))


def _circumstances(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what the run can be repeated from, and what it ran on."""
    settings = {name: value for name, value in vars(options).items() if name not in UNSAID}
    settings["augment"] = None if options.augment is None else repr(options.augment)
    settings["output"] = str(folder)
    return {
        "seed": options.seed,
        "output": str(folder),
        "settings": settings,
        "resumed": options.resumed,
        **system.provenance(options.command),
    }


def _present(
    options: argparse.Namespace,
    folder: Path,
    images: _Images,
    network: NeuralNetwork,
    history: History,
    result: dict[str, Any],
    started: float,
) -> dict[str, Any]:
    """Draw what was learned and write the report; return what the result is to say of both."""
    test = images.test
    probabilities, found = assess(network, test.x, test.y, images.data.class_names)
    pictures = []
    if not options.no_plots:
        if not options.quiet:
            console.print_message(
                console.table({"drawing": "curves, predictions, confusion, calibration, weights"})
            )
        pictures = _draw(folder, images, probabilities, network, history)
    known = {name: found[name] for name in (*MEANS, "calibration_error", "classes")}
    known |= {"pictures": [path.name for path in pictures], "report": run_folder.REPORT}
    whole = result | known | {"total_seconds": time.perf_counter() - started}
    report.write(
        folder / run_folder.REPORT, report.training(whole, found, history, network.summary(), pictures)
    )
    return known


def _draw(
    folder: Path, images: _Images, probabilities: Float32, network: NeuralNetwork, history: History
) -> list[Path]:
    from .. import visualize  # here, because matplotlib takes longer to import than a short training

    return visualize.write_pictures(
        folder,
        history=history,
        images=images.test.x,
        labels=images.test.y,
        probabilities=probabilities,
        weight=network.parameters()[0].value,
        image_shape=images.data.image_shape,
        class_names=images.data.class_names,
    )


# -- what people read --------------------------------------------------------------------------------------


def _opening(options: argparse.Namespace, images: _Images, network: NeuralNetwork) -> str:
    """Return what is about to happen."""
    pixels = " x ".join(map(str, images.train.x.shape[1:]))
    shown = (
        "the test images, after each epoch; nothing is chosen by them"
        if images.validation is images.test
        else f"{len(images.validation.y):,} training images that are held out"
    )
    rows = {
        "images": f"{options.data}: {len(images.train.y):,} training, {len(images.test.y):,} test, "
        f"{pixels} pixels, {images.classes} classes",
        **({"data": images.data.note} if images.data.note else {}),
        "validation": shown,
        "training": f"{_epochs(options.epochs)}, batch size {options.batch_size}, {options.optimizer}, "
        f"learning rate {options.learning_rate:g}, {options.schedule}",
        **_extras(options),
        "machine": f"backend {backend.backend_name()}, seed {options.seed}, fastdigits {__version__}",
    }
    return f"{console.table(rows)}\n\n{network.summary()}\n"


def _extras(options: argparse.Namespace) -> dict[str, str]:
    """Return what is said of a training only where it is asked for."""
    rows = {
        "preset": options.preset,
        "distortion": options.augment,
        "average": train_options.recipe(options).make_average(),
    }
    return {name: str(value) for name, value in rows.items() if value is not None}


def _scored(result: dict[str, Any]) -> str:
    """Return how good the network is; said before the pictures, which take longer than a short training."""
    rows = {}
    for part in ("test", "train"):
        low, high = result[f"{part}_accuracy_interval"]
        rows[f"{part} accuracy"] = (
            f"{console.percent(result[f'{part}_accuracy'])}, 95 % interval {100 * low:.2f} to "
            f"{console.percent(high)}, loss {result[f'{part}_loss']:.4f}"
        )
    if result["best_epoch"] is not None:
        rows["kept"] = f"epoch {result['best_epoch']}, the best on the held-out images"
    headline = console.percent(result["test_accuracy"])
    return f"\n{console.table(rows)}".replace(headline, console.bold(headline), 1)


def _saved(result: dict[str, Any], following: list[str]) -> str:
    """Return where everything is, how long it took, and the commands to go on with."""
    rows: dict[str, str | list[str]] = {
        "saved in": [result["output"]],
        "": ", ".join([run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT]),
    }
    if result["report"]:
        rows["report"] = [str(Path(result["output"]) / run_folder.REPORT)]
    if result["pictures"]:
        rows["pictures"] = ", ".join(result["pictures"])
    speed = f", {result['images_per_second']:,.0f} images/s" if result["images_per_second"] else ""
    trained = f"{_epochs(result['epochs'])} in {result['train_seconds']:.1f} s{speed}"
    rows["time"] = f"{trained}; {result['total_seconds']:.1f} s in all"
    rows["next"] = following
    return console.table(rows)


def _following(options: argparse.Namespace, folder: Path, images: _Images, interrupted: bool) -> list[str]:
    """Return the commands that make use of the run."""
    run = shlex.quote(str(folder))
    if interrupted:
        return [f"fastdigits train --resume {run}"]
    height, width = images.data.image_shape
    if height != width:  # no page to draw on, and no photographs
        size = "" if options.size is None else f" --size {height}x{width}"
        if options.label_column is not None:
            size += f" --label-column {shlex.quote(options.label_column)}"
        return [f"fastdigits evaluate --model {run} --data {shlex.quote(options.data)}{size}"]
    following = [f"fastdigits draw --model {run}"]
    if height == SIDE:
        following.append(f"fastdigits predict photo.jpg --model {run}")
    return following


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"
