"""The command ``fastdigits train``: load images, train a network, measure it, write a folder."""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.arrays import Float32
from ..core.interrupts import DeferInterrupts
from ..data.labels import is_table
from ..errors import DataError, DivergedError, ModelFileError
from ..metrics.classification import wilson_interval
from ..network import NeuralNetwork
from ..nn.losses import SoftmaxCrossEntropy
from ..nn.predictor import RowTooLargeError
from ..training.best_epoch import BestEpoch
from ..training.callbacks import Callback, EarlyStopping
from ..training.checkpoint import Checkpoint, clear
from ..training.history import History
from ..training.options import SHARDS
from ..training.ranks import Ranks
from . import (
    arguments,
    console,
    launched,
    report,
    run_folder,
    runner,
    system,
    train_images,
    train_messages,
    train_network,
    train_options,
)
from .assessment import MEANS, assess
from .runner import CommandError
from .train_images import Part, RunImages, ShardPart

COMMAND = "fastdigits train"
# Options that do not change the result
NOT_RECORDED = ("command", "json", "quiet", "show", "resume", "resumed", "ranks")


@runner.entry_point(COMMAND)
def main(argv: Sequence[str] | None = None) -> int:
    """Train with the options in ``argv``; None means the arguments of the process.

    Returns
    -------
    int
        0; 2 after an error that the user can correct; 130 after an interrupt. A wrong option exits at once.
    """
    started = time.perf_counter()
    return launched.speak_once(
        argv, lambda: runner.run(COMMAND, lambda: _train(argv, started), chooses=False)
    )


def _train(argv: Sequence[str] | None, started: float) -> int:
    ranks = launched.ranks(argv, COMMAND)
    with contextlib.ExitStack() as ends:
        shared = ends.enter_context(contextlib.ExitStack())  # until the training is over
        shared.enter_context(ranks.guard(defer=ranks.size > 1))
        options = ranks.together(lambda: _read(argv, ranks))
        result = None
        if options.resume is not None:
            result = ranks.from_first(functools.partial(run_folder.finished, options.resume))
        if result is not None:
            console.print_note(COMMAND, f"{options.resume} is finished already: there is nothing to resume")
            if options.json:
                console.print_json(result)
            return runner.SUCCESS
        images, network = ranks.together(lambda: _prepare(options))
        folder = ranks.together(lambda: _open(options, ends) if ranks.rank == 0 else Path())
        hold = ends.enter_context(DeferInterrupts())
        say = console.print_nothing if options.quiet else console.print_message
        say(train_messages.opening(options, images, network, ranks.size))
        try:
            history, outcome = _fit(options, images, network, folder, hold, ranks)
        except (CommandError, DivergedError) as error:  # a new run without a result leaves no files
            resumable = isinstance(error.__cause__, DataError)  # a file changed, and can be brought back
            new = options.resume is None and not (folder / run_folder.MODEL).exists()
            if ranks.rank == 0 and new and not resumable:
                clear(folder)
                (folder / run_folder.SETTINGS).unlink(missing_ok=True)
            raise
        shared.close()
        ranks.close()
        if ranks.rank > 0:
            return runner.INTERRUPTED if outcome["interrupted"] else runner.SUCCESS
        provenance = _provenance(options, folder, ranks.size)
        # `_fit` has begun to hold Ctrl-C back. Write first what cannot be computed again.
        network.save(folder / run_folder.MODEL)
        history.write_csv(folder / run_folder.HISTORY)
        result = _scores(images, network, history, outcome, folder, hold) | provenance
        run_folder.remove_pictures(folder)
        if not result["interrupted"]:
            say(train_messages.scores(result))
            run_folder.write_result(folder, result)
        result |= {"pictures": [], "report": None}
        if not result["interrupted"]:
            shown = _unless_interrupted(
                hold,
                lambda: _write_report(options, folder, images, network, history, result, started),
                f"interrupted at pictures and report; all else is in {folder}",
            )
            result |= {"interrupted": True} if shown is None else shown
        result["total_seconds"] = time.perf_counter() - started
        run_folder.write_result(folder, result)
    say(train_messages.saved(options, folder, images, result))
    if options.show and result["report"]:
        run_folder.show_report(folder, COMMAND)
    if options.json:
        try:
            console.print_json(result)
        except OSError:
            if not result["interrupted"]:  # Ctrl-C ended the reader of the output, too
                raise
    return runner.INTERRUPTED if result["interrupted"] else runner.SUCCESS


# -- before the training ---------------------------------------------------------------------------------


def _read(argv: Sequence[str] | None, ranks: Ranks) -> argparse.Namespace:
    """Return the options; choose backend and threads."""
    try:
        options = train_options.read(argv)
    except SystemExit as error:
        if ranks.rank > 0 and error.__cause__ is not None:  # rank 0 prints it, unless it has the error itself
            raise error.__cause__ from None
        raise
    if options.resume is None:  # else the folder of the run has both
        options.command, options.resumed = arguments.command_line("train", argv), 0
    if options.batch_shards is None:
        options.batch_shards = SHARDS if ranks.size > 1 or options.ranks == launched.MPI else 1
    runner.choose(options.backend, options.threads)
    return options


def _open(options: argparse.Namespace, ends: contextlib.ExitStack) -> Path:
    """Lock the folder of the run until ``ends``, write the settings into it, and return it."""
    folder = ends.enter_context(
        run_folder.folder(
            options.output,
            overwrite=options.overwrite or options.resume is not None,
            option="--output" if options.resume is None else "--resume",
        )
    )
    _begin(options, folder)
    return folder


def _prepare(options: argparse.Namespace) -> tuple[RunImages, NeuralNetwork]:
    """Return images and network; find the learning rate if the options leave it open."""
    try:
        images = train_images.load(options)
        network = train_network.build(train_options.recipe(options), images, options.seed, COMMAND)
        if options.learning_rate == train_options.AUTO:
            options.learning_rate = _find_rate(options, images, network)
    except (CommandError, DataError) as error:
        raise CommandError(_message(options, error)) from error
    return images, network


def _find_rate(options: argparse.Namespace, images: RunImages, network: NeuralNetwork) -> float:
    """Return a learning rate for network and optimizer, to three digits."""
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


def _begin(options: argparse.Namespace, folder: Path) -> None:
    """Write the settings of a new run into its folder; check that a run to resume is still unfinished."""
    if options.resume is None:
        clear(folder)
        run_folder.write_settings(folder, train_options.to_record(options))
    elif run_folder.finished(folder) is not None:  # another process was faster
        raise CommandError(
            f"--resume: must be a run that is not finished; got {folder}, just finished elsewhere"
        )


# -- the training ----------------------------------------------------------------------------------------


def _fit(
    options: argparse.Namespace,
    images: RunImages,
    network: NeuralNetwork,
    folder: Path,
    hold: DeferInterrupts,
    ranks: Ranks,
) -> tuple[History, dict[str, Any]]:
    """Train; return the whole epochs, the kept epoch, and whether an interrupt ended the training.

    Ctrl-C is held back from the end of the training on. Only rank 0 writes into the folder.
    """
    keeper = _Keeper(
        images, functools.partial(_record_resume, options, folder) if ranks.rank == 0 else lambda: None
    )
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
            batch_shards=options.batch_shards,
            average_every=options.average_every or 0,
            ranks=ranks,
        )
        hold.begin()
    except DataError as error:
        raise CommandError(f"{error}, then fastdigits train --resume {folder}") from error
    except (TypeError, ValueError) as error:  # the images do not suit; the message says what to do
        raise CommandError(_message(options, error)) from error
    except DivergedError as error:
        if keeper.epoch is None or ranks.rank > 0:
            raise
        hold.begin()
        keeper.restore(network)
        network.save(folder / run_folder.MODEL)
        keeper.whole_epochs().write_csv(folder / run_folder.HISTORY)
        raise CommandError(f"{error}; {keeper.destination(folder)}") from error
    except KeyboardInterrupt:
        hold.begin()
        keeper.restore(network)
        history = keeper.whole_epochs()
        console.print_note(
            COMMAND,
            f"interrupted after {train_messages.epochs(len(history))}; {keeper.destination(folder)}",
        )
        return history, {"best_epoch": keeper.epoch, "interrupted": True}
    best = None if stopping is None else stopping.best_epoch
    return keeper.whole_epochs(), {"best_epoch": best, "interrupted": False}


def _message(options: argparse.Namespace, error: Exception) -> str:
    """Return the message of an error; for a resumed run, it names the file of the settings."""
    if options.resume is None or isinstance(error, ModelFileError):
        return str(error)
    return f"--resume: {options.resume / run_folder.SETTINGS}: {error}"


def _record_resume(options: argparse.Namespace, folder: Path) -> None:
    """Record that a run is resumed; its folder is checked by now."""
    if options.resume is not None:
        run_folder.write_settings(folder, train_options.to_record(options))


def _unless_interrupted(
    hold: DeferInterrupts, work: Callable[[], dict[str, Any]], message: str
) -> dict[str, Any] | None:
    """Return the result of ``work``, during which Ctrl-C works; after Ctrl-C, print a message and return None."""
    try:
        with hold.paused():
            return work()
    except KeyboardInterrupt:
        hold.begin()
        console.print_note(COMMAND, message)
        return None


def _scores(
    images: RunImages,
    network: NeuralNetwork,
    history: History,
    outcome: dict[str, Any],
    folder: Path,
    hold: DeferInterrupts,
) -> dict[str, Any]:
    """Return the scores, sizes and times of a run; after an interrupt, only the scores that the history has."""
    scores = None
    if not outcome["interrupted"]:
        message = f"interrupted at the figures; model and history are in {folder}"
        scores = _unless_interrupted(hold, lambda: _evaluate(images, network), message)
    interrupted = scores is None
    if scores is None:
        scores = _known_scores(images, history, outcome["best_epoch"])
    return scores | _amounts(images, network, history) | outcome | {"interrupted": interrupted}


def _evaluate(images: RunImages, network: NeuralNetwork) -> dict[str, Any]:
    """Return accuracies, as fractions, and losses, without label smoothing."""
    try:
        train, test = (network.evaluate(part.x, part.y) for part in (images.train, images.test))
    except RowTooLargeError as error:  # those to train and validate on were not
        raise CommandError(f"--data: test {error}") from error
    return {
        "test_accuracy": test["accuracy"],
        "train_accuracy": train["accuracy"],
        "test_loss": test["loss"],
        "train_loss": train["loss"],
        "test_accuracy_interval": _interval(test["accuracy"], images.test),
        "train_accuracy_interval": _interval(train["accuracy"], images.train),
    }


def _known_scores(images: RunImages, history: History, epoch: int | None) -> dict[str, Any]:
    """Return the scores that the history has for the kept epoch; an interrupted run ends without evaluation."""
    names = ("test_accuracy", "train_accuracy", "test_loss", "train_loss")
    scores: dict[str, Any] = dict.fromkeys([*names, "test_accuracy_interval", "train_accuracy_interval"])
    if epoch in history.epoch and not images.holds_out:
        scores["test_accuracy"] = history.val_accuracy[history.epoch.index(epoch)]
        scores["test_accuracy_interval"] = _interval(scores["test_accuracy"], images.test)
    return scores


def _amounts(images: RunImages, network: NeuralNetwork, history: History) -> dict[str, Any]:
    """Return the sizes of data and network, and the times."""
    seconds = sum(history.seconds)
    return {
        "test_images": images.test.n,
        "train_images": images.train.n,
        "class_names": list(images.class_names),
        "image_shape": list(images.image_shape),
        "epochs": len(history),
        "train_seconds": seconds,
        "images_per_second": images.train.n * len(history) / seconds if seconds > 0 else None,
        "parameters": sum(parameter.value.size for parameter in network.parameters()),
    }


def _interval(accuracy: float, part: Part | ShardPart) -> list[float]:
    return list(wilson_interval(round(accuracy * part.n), part.n))


def _provenance(options: argparse.Namespace, folder: Path, ranks: int) -> dict[str, Any]:
    """Return the settings, the command, and the machine of the run."""
    settings = {name: value for name, value in vars(options).items() if name not in NOT_RECORDED}
    settings["augment"] = None if options.augment is None else repr(options.augment)
    settings["output"] = str(folder)
    return {
        "seed": options.seed,
        "output": str(folder),
        "settings": settings,
        "resumed": options.resumed,
        "ranks": ranks,
        **system.provenance(options.command),
    }


def _write_report(
    options: argparse.Namespace,
    folder: Path,
    images: RunImages,
    network: NeuralNetwork,
    history: History,
    result: dict[str, Any],
    started: float,
) -> dict[str, Any]:
    """Draw the pictures and write the report; return their names and the measures for the result."""
    test = images.test
    probabilities, found = assess(network, test.x, test.y, images.class_names)
    pictures = []
    if not options.no_plots:
        if not options.quiet:
            drawing = "curves, confusion, calibration"
            if not is_table(images.image_shape):
                drawing = "curves, predictions, confusion, calibration, weights"
            console.print_message(console.fields({"drawing": drawing}))
        pictures = _draw(folder, images, probabilities, network, history)
    known = {name: found[name] for name in (*MEANS, "calibration_error", "classes")}
    known |= {"pictures": [path.name for path in pictures], "report": run_folder.REPORT}
    whole = result | known | {"total_seconds": time.perf_counter() - started}
    report.write(
        folder / run_folder.REPORT, report.training(whole, found, history, network.summary(), pictures)
    )
    return known


def _draw(
    folder: Path, images: RunImages, probabilities: Float32, network: NeuralNetwork, history: History
) -> list[Path]:
    from .. import visualize  # here, because matplotlib takes longer to import than a short training

    return visualize.write_pictures(
        folder,
        history=history,
        images=images.test.x,
        labels=images.test.y,
        probabilities=probabilities,
        weight=network.parameters()[0].value,
        image_shape=images.image_shape,
        class_names=images.class_names,
    )


# -- the callback ----------------------------------------------------------------------------------------


class _Keeper(Callback):
    """Keep what an interrupted `fit` does not return: the history, and the weights of the best epoch.

    The best epoch has the lowest loss on the held-out images. Without these, the last whole epoch is kept: the test
    images must not choose. Checkpoints record the name of this class.
    """

    def __init__(self, images: RunImages, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.history = History()
        self._chooses = images.holds_out
        self._best = BestEpoch("val_loss", names=("epoch", "loss"))

    @property
    def epoch(self) -> int | None:
        """Number of the epoch whose weights are kept."""
        return self._best.epoch

    def on_train_begin(self, network: NeuralNetwork, history: History) -> None:
        self.history = history
        self._begin()

    def on_epoch_end(self, epoch: int, network: NeuralNetwork, history: History) -> None:
        (self._best.update if self._chooses else self._best.take)(network, history)

    def state_dict(self) -> dict[str, Any]:
        return self._best.state_dict()

    def check_state_dict(self, content: Mapping[str, Any], network: NeuralNetwork, history: History) -> None:
        self._best.check_state_dict(content, network, history, "the kept epoch")

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        self._best = self._best.loaded(content)

    def restore(self, network: NeuralNetwork) -> None:
        """Restore the kept weights; before the first whole epoch, change nothing."""
        self._best.restore(network)

    def whole_epochs(self) -> History:
        """Return the history without an epoch that an interrupt left incomplete."""
        lists = {name: value for name, value in vars(self.history).items() if isinstance(value, list)}
        count = min(map(len, lists.values()))
        whole = copy.copy(self.history)
        for name, value in lists.items():
            setattr(whole, name, value[:count])
        return whole

    def destination(self, folder: Path) -> str:
        """Return, for a message, what is kept of an interrupted training and where it goes."""
        if self.epoch is None:
            return f"the work so far goes to {folder}"
        best = ", the best on the held-out images," if self._chooses else ""
        return f"the model of epoch {self.epoch}{best} goes to {folder}"
