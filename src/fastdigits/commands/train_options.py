"""The options of ``fastdigits train``: read them, store them in a run's folder, and make a recipe of them."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .. import recipes
from ..data.shards import WINDOW
from ..errors import DataError
from ..optim.optimizers import AdamW, Momentum
from ..recipes import ACTIVATIONS, BATCHNORMS, ONLY_WITH, OPTIMIZERS, SCHEDULES, Recipe
from ..training.augmentation import Augmentation
from ..training.options import SHARDS, FitOptions
from . import arguments, launched, record, run_folder
from .console import quoted
from .parser import Parser
from .record import NONE

# Options that do not change the trained network
NO_SETTINGS = (
    "json",
    "quiet",
    "show",
    "output",
    "overwrite",
    "resume",
    "threads",
    "ranks",
    "command",
    "resumed",
)
TRUTH = {"true": True, "false": False}
AUTO = "auto"  # find the learning rate
SETTINGS = [field.name for field in fields(Recipe) if field.name not in ("name", "about")]

DESCRIPTION = """\
Train a digit classifier and see what it learned. Without options: the network
784 -> 64 -> batch norm -> ReLU -> 32 -> ReLU -> 10 on the 60,000 training
images of MNIST. They are part of this package: nothing is downloaded. It takes
seconds and recognises about 98 % of the 10,000 test images.

Each run writes a folder: the model, the history of its epochs, the result with
all settings, and report.html, one page that shows them with training curves,
mistakes, confusions, calibration and first-layer weights.
"""

EXAMPLES = """\
examples:
  fastdigits train                                     the network above
  fastdigits train --epochs 2 --no-plots               a quick look
  fastdigits train --preset accurate                   99 % in two minutes
  fastdigits train --augment rotation=10,shift=1.5 --epochs 30
  fastdigits train --optimizer momentum --lr auto      find a learning rate
  fastdigits train --hidden 256,128 --dropout 0.2      a larger network
  fastdigits train --optimizer sgd --learning-rate 0.1 --schedule cosine
  fastdigits train --epochs 50 --validation-split 0.1 --patience 5
  fastdigits train --data fashion-mnist --epochs 20    clothes, downloaded
  fastdigits train --data my-digits --output runs/mine
  fastdigits train --resume runs/mine                  continue after a kill
  fastdigits train --json --quiet                      JSON for a script

Progress and messages go to standard error; standard output has only what
--json prints. Exit codes: 0 done; 2 wrong input, described in one line, or a
result that standard output did not take; 130 interrupted with Ctrl-C: the last
whole epoch is saved, or the best one on held-out images.
"""


def read(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options in ``argv``, or of the process if it is None; exit with 2 on a wrong option."""
    parser = _parser()
    base = _base(parser, argv)
    if base is not None:
        parser.set_defaults(**{setting: getattr(base, setting) for setting in SETTINGS})
    options = parser.read(argv)
    if options.resume is not None:
        return record.resume(parser, argv, options.resume, from_record)
    if base is not None:
        _drop_replaced(options, base)
    if problem := _contradiction(options):
        parser.error(problem)
    if options.overwrite and options.output is None:
        parser.error("--overwrite: needs a folder; got none: name it with --output")
    return options


def _base(parser: Parser, argv: Sequence[str] | None) -> Recipe | None:
    """Return the recipe of --preset or --recipe, which changes the defaults; exit with 2 if its file is none.

    It is read before the other options. The second reading reports errors of these.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    group = first.add_mutually_exclusive_group()
    group.add_argument("--preset", choices=tuple(recipes.RECIPES))
    group.add_argument("--recipe", type=_file)
    first.add_argument("--resume")
    try:
        words = first.parse_known_args(argv)[0]
        if words.recipe is not None and words.resume is None:  # the folder of a run has its own settings
            return recipes.load(words.recipe)
    except argparse.ArgumentError:
        return None
    except DataError as error:
        parser.error(f"--recipe: {error}")
    return None if words.preset is None else recipes.get(words.preset)


def to_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that decide the result of a run, as JSON can hold them."""
    return record.settings(options, NO_SETTINGS)


def to_record(options: argparse.Namespace) -> dict[str, Any]:
    """Return the content of ``settings.json``: the settings, the command line, and how often the run was resumed."""
    return to_settings(options) | {"command": options.command, "resumed": options.resumed}


def from_record(run: Path) -> tuple[dict[str, Any], str, int]:
    """Return what `to_record` wrote into the folder of a run: settings as options, command line and count.

    Raises
    ------
    DataError
        If an entry is missing, unknown, or not a value of its option. The message names the file.
    """
    parser = _parser()
    names = to_settings(parser.read([]))
    return record.read(run, run_folder.SETTINGS, parser, names, "train", _contradiction)


def parse(name: str, text: str) -> Any:
    """Return the value of a setting in a text as on the command line; ValueError if it has none."""
    parser = _shared_parser()
    option = record.option(parser, name)
    if option.nargs == 0:
        if text not in TRUTH:
            raise ValueError(f"{name}: must be true or false; got {quoted(text)}")
        return TRUTH[text]
    try:
        return parser.parse_value(option, text)
    except argparse.ArgumentError as error:
        raise ValueError(f"{name}: {error.message}") from error


def recipe(options: argparse.Namespace) -> Recipe:
    """Return the recipe of these options; a learning rate that is still to be found is the optimizer's default."""
    settings = {setting: getattr(options, setting) for setting in SETTINGS}
    if settings["learning_rate"] == AUTO:
        settings["learning_rate"] = OPTIMIZERS[options.optimizer]().lr  # type: ignore[call-arg]
    return Recipe(name=options.preset or "custom", **settings)


def _drop_replaced(options: argparse.Namespace, base: Recipe) -> None:
    """Drop a recipe's settings of an optimizer or an average that another option replaces."""
    if options.optimizer != base.optimizer:
        for name in ONLY_WITH:
            if getattr(options, name) == getattr(base, name):
                setattr(options, name, None)
    for name, other in (("ema", "swa"), ("swa", "ema")):
        if getattr(base, name) is not None and getattr(options, other) is not None:
            setattr(options, name, None)


# -- the parser --------------------------------------------------------------------------------------------


def _parser() -> Parser:
    parser = Parser("train", DESCRIPTION, EXAMPLES)
    add_base(
        parser.add_argument_group("preset"), "settings that belong together; other options change single ones"
    )
    _add_network(parser)
    _add_training(parser)
    _add_validation(parser)
    arguments.add_machine_options(parser)
    _add_ranks(parser)
    _add_output(parser)
    return parser


@functools.cache
def _shared_parser() -> Parser:
    """Return a parser whose defaults nobody changes."""
    return _parser()


def _file(text: str) -> str:
    """Return the name of a file; a type for argparse."""
    return str(arguments.path(text))


def _hidden(text: str) -> tuple[int, ...]:
    """Return the widths in ``text``; a type for argparse."""
    return () if text == NONE else arguments.widths(text)


def add_base(group: argparse._ArgumentGroup, what: str) -> None:
    """Add ``--preset`` and ``--recipe``; ``what`` describes the first."""
    either = group.add_mutually_exclusive_group()
    arguments.add_choice(either, "--preset", recipes.RECIPES, None, what)
    either.add_argument(
        "--recipe", type=_file, metavar="FILE", help="the same from a file, such as fastdigits tune writes"
    )


def _rate(text: str) -> float | str:
    """Return the learning rate in ``text``, or AUTO; a type for argparse."""
    return AUTO if text == AUTO else arguments.positive(text)


def _augmentation(text: str) -> Augmentation | None:
    """Return the augmentation in ``text``; a type for argparse."""
    if text == NONE:
        return None
    sizes: dict[str, float] = {}
    try:
        for part in text.split(","):
            name, _, size = part.partition("=")
            sizes[name] = float(size)
        return recipes.make_augmentation(sizes)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"must be like rotation=10,shift=1.5; got {quoted(text)}: {error}"
        ) from None


def _add_network(parser: Parser) -> None:
    group = parser.add_argument_group("images and network")
    arguments.add_data_option(group, "their pixels and classes set the width of input and output")
    group.add_argument(
        "--window",
        type=arguments.whole_number,
        metavar="N",
        help="images of shards that are shuffled together; memory holds two windows; only for a folder that "
        f"fastdigits shard wrote (default: {WINDOW})",
    )
    group.add_argument(
        "--moment-norm",
        action=argparse.BooleanOptionalAction,
        default=Recipe.moment_norm,
        help="begin the network with a layer that deslants, centres and scales each image by its moments",
    )
    hidden = record.shown("hidden", Recipe.hidden)
    _add_setting(
        group, "--hidden", _hidden, "N,N,...",
        f"widths of the hidden layers, any number of them, or {NONE} (default: {hidden})",
    )  # fmt: skip
    arguments.add_choice(
        group, "--activation", ACTIVATIONS, Recipe.activation, "activation after each hidden layer"
    )
    arguments.add_choice(
        group, "--batchnorm", BATCHNORMS, Recipe.batchnorm, "hidden layers with batch normalisation"
    )
    _add_setting(
        group, "--dropout", arguments.fraction, "F",
        "fraction of each hidden layer's output that a training step drops (default: %(default)g)",
    )  # fmt: skip


def _add_setting(
    group: argparse._ArgumentGroup, name: str, kind: Callable[[str], Any], metavar: str, text: str
) -> None:
    """Add the option of a setting, with the default of `Recipe`; ``text`` is its help."""
    default = getattr(Recipe, name.removeprefix("--").replace("-", "_"))
    names = [name, "--lr"] if name == "--learning-rate" else [name]
    group.add_argument(*names, type=kind, default=default, metavar=metavar, help=text)


def _add_training(parser: Parser) -> None:
    group = parser.add_argument_group("training")
    add = functools.partial(_add_setting, group)
    add("--epochs", arguments.whole_number, "N", "passes over the training images (default: %(default)s)")
    add("--batch-size", arguments.whole_number, "N", "images per step (default: %(default)s)")
    arguments.add_choice(
        group, "--optimizer", OPTIMIZERS, Recipe.optimizer, "rule that turns gradients into steps"
    )
    add(
        "--learning-rate", _rate, "F|auto",
        "highest learning rate of the schedule; auto finds one by training a copy of the network briefly "
        "(default: %(default)g)",
    )  # fmt: skip
    arguments.add_choice(
        group, "--schedule", SCHEDULES, Recipe.schedule, "how the learning rate changes over the run"
    )
    add(
        "--momentum", arguments.fraction, "F",
        "fraction of the velocity that a step keeps; only with --optimizer momentum "
        f"(default: {Momentum().momentum:g})",
    )  # fmt: skip
    add(
        "--weight-decay", arguments.not_negative, "F",
        f"pull of all parameters towards zero; only with --optimizer adamw (default: {AdamW().weight_decay:g})",
    )  # fmt: skip
    add(
        "--label-smoothing", arguments.fraction, "F",
        "fraction of each label that is spread over all classes (default: %(default)g)",
    )  # fmt: skip
    add("--clip-norm", arguments.positive, "F", "largest norm of all gradients together (default: no limit)")
    add(
        "--augment", _augmentation, "SETTINGS",
        "distort the training images at random, differently in each epoch, such as rotation=10,shift=1.5; any of "
        "rotation (degrees), scale, shear, shift (pixels), alpha and sigma (elastic), thickness, cutout (pixels) and "
        f"fade; the others are 0, sigma {Augmentation.sigma:g} (default: none)",
    )  # fmt: skip
    add(
        "--adversarial", arguments.not_negative, "F",
        "move half of each batch by F in the direction in which its loss grows most, as adversarial examples; pixels "
        "are 0 to 1, and columns of a table are standardised (default: %(default)g)",
    )  # fmt: skip
    averages = group.add_mutually_exclusive_group()
    _add_setting(
        averages, "--ema", arguments.fraction, "F",
        "end with an exponential moving average of the weights with decay F (default: none)",
    )  # fmt: skip
    _add_setting(
        averages, "--swa", arguments.fraction, "F",
        "end with the mean of the weights over all steps after this fraction of them (default: none)",
    )  # fmt: skip
    group.add_argument(
        "--seed",
        type=arguments.seed,
        default=0,
        metavar="N",
        help="seed of weights, order, distortions, dropout and held-out images; the same seed on the same backend "
        "gives the same network (default: 0)",
    )


def _add_validation(parser: Parser) -> None:
    group = parser.add_argument_group(
        "validation",
        "By default, the network trains on all training images, and the validation accuracy of each epoch is "
        "that of the test images. Nothing is chosen by it, so the final test accuracy is honest. Choose "
        "settings by held-out images.",
    )
    group.add_argument(
        "--validation-split",
        type=arguments.fraction,
        default=FitOptions.validation_split,
        metavar="F",
        help="hold out this fraction of the training images and validate on them (default: %(default)g)",
    )
    group.add_argument(
        "--patience",
        type=arguments.whole_number,
        metavar="N",
        help="stop after N epochs without a smaller loss on the held-out images, and keep the best epoch "
        "(default: run all epochs)",
    )


def _add_ranks(parser: Parser) -> None:
    group = parser.add_argument_group(
        "several processes",
        "With mpiexec -n 4 fastdigits train, four processes, on one or more machines, share each batch. It is cut into "
        "shards; the result depends on their number, but not on the number of processes.",
    )
    group.add_argument(
        "--batch-shards",
        type=arguments.whole_number,
        metavar="N",
        help=f"shards of a batch; batch normalisation uses those of one shard (default: {SHARDS} on several "
        "processes, else 1)",
    )
    group.add_argument(
        "--average-every",
        type=arguments.whole_number,
        metavar="STEPS",
        help="let each shard train its own copy of the network, and average the copies every so many steps: for "
        "machines that are slow to reach (default: add the gradients of each step)",
    )
    arguments.add_choice(
        group, "--ranks", launched.CHOICES, launched.AUTO,
        "whether processes share the training: if mpiexec or srun started several, always by MPI, or never",
    )  # fmt: skip


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    arguments.add_folder_options(
        group, "model, history, result, report and pictures", "runs/<date>_<time>", "run"
    )
    arguments.add_report_options(group)
    group.add_argument(
        "--checkpoint-every",
        type=arguments.whole_number,
        metavar="STEPS",
        help="write a checkpoint into the folder every so many steps and keep the last two (default: at the end "
        "of an epoch, at least 20 seconds apart)",
    )
    group.add_argument(
        "--resume",
        type=arguments.path,
        metavar="RUN",
        help="continue the run in this folder that was killed or interrupted, with its settings and the same result",
    )
    arguments.add_result_options(group)


def _contradiction(options: argparse.Namespace) -> str:
    """Return the error message for settings that contradict each other; empty if none do."""
    for name, of in ONLY_WITH.items():
        if getattr(options, name) is not None and options.optimizer != of:
            return f"--{name.replace('_', '-')}: needs --optimizer {of}; got --optimizer {options.optimizer}"
    if options.ema is not None and options.swa is not None:
        return "--swa: must not be given with --ema; got both"
    if options.average_every and options.checkpoint_every is not None:
        return "--checkpoint-every: must not be given with --average-every, which allows checkpoints at ends of epochs"
    if options.patience is not None and options.validation_split == 0:
        return (
            "--patience: needs images that are neither trained on nor tested on; "
            "got --validation-split 0: add --validation-split 0.1"
        )
    return ""
