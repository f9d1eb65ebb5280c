"""Try an idea in PyTorch before it is built: train on a part of the training images, and measure on the rest.

    python scripts/accuracy/ideas.py --preset best --epochs 40                        # no idea, to compare with
    python scripts/accuracy/ideas.py --preset best --epochs 40 --mixup 0.2
    python scripts/accuracy/ideas.py --preset best --epochs 40 --moment-norm --beside
    python scripts/accuracy/ideas.py --preset accurate --epochs 40 --teacher "--preset best --epochs 40 --seeds 0,1"

Options of the training command (fastdigits train --help) set network and training; those without a meaning here are
refused. The distortions and the normalised images are those of fastdigits. Differences: the weights begin with other
random numbers, dense layers multiply numbers of 16 bits (bfloat16), running statistics are computed at the end, and one
thread is used if --threads is not given. The last 10,000 training images are held out, as by scripts/accuracy/tune.py.
docs/accuracy.md has what came of the ideas.
"""

import argparse
import copy
import functools
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import fastdigits as fd
from fastdigits.commands import arguments, train_options
from fastdigits.errors import DataError
from fastdigits.recipes import Recipe
from fastdigits.training.augmentation import Augmenter
from fastdigits.training.batches import Batches

AT_ONCE = 1000  # images, in evaluation
LIGHT = fd.Augmentation(rotation=5, scale=0.05, shear=0.05, shift=0.75, alpha=10)  # for --views
USED = {*train_options.SETTINGS, "preset", "recipe", "data", "threads", "quiet"}  # of the training command


# -- the network ---------------------------------------------------------------------------------------------


class Dense(nn.Module):
    """A dense layer with input, weights and output rounded to bfloat16."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) * math.sqrt(2 / n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = torch.bfloat16
        return functional.linear(x.to(short), self.weight.to(short), self.bias.to(short)).float()


def network_of(recipe: Recipe, width: int, classes: int) -> nn.Sequential:
    """Return the network of a recipe for rows of ``width`` numbers; its layers have their places in fastdigits."""
    layers: list[nn.Module] = [nn.Identity()] if recipe.moment_norm else []
    for place, size in enumerate(recipe.hidden):
        layers.append(Dense(width, size))
        if recipe.batchnorm == "all" or (recipe.batchnorm == "first" and place == 0):
            layers.append(nn.BatchNorm1d(size))
        layers.append(nn.ReLU() if recipe.activation == "relu" else nn.LeakyReLU(0.01))
        if recipe.dropout > 0:
            layers.append(nn.Dropout(recipe.dropout))
        width = size
    return nn.Sequential(*layers, Dense(width, classes))


class Inputs:
    """What a network sees of images of bytes: pixels / 255, normalised images, or one beside the other."""

    def __init__(self, sides: tuple[int, int], normalized: bool, beside: bool) -> None:
        self.sides = sides
        self.norm = fd.MomentNorm(*sides) if normalized else None
        self.beside = beside
        self.width = (1 + beside) * sides[0] * sides[1]

    def of(self, images: np.ndarray) -> torch.Tensor:
        rows = np.ascontiguousarray(images.reshape(len(images), -1))
        shown = rows if self.norm is None else self.norm.forward(rows)
        if self.beside:
            shown = np.concatenate([rows, shown], axis=1)
        return torch.from_numpy(shown.astype(np.float32) / 255)


# -- training ------------------------------------------------------------------------------------------------


def train(
    own: argparse.Namespace,
    recipe: Recipe,
    inputs: Inputs,
    seed: int,
    x: np.ndarray,
    y: np.ndarray,
    classes: int,
    teachers: Sequence[Callable[[np.ndarray], np.ndarray]] = (),
) -> nn.Sequential:
    """Return a network that is trained on images x with labels y; ``own`` has the options of this script.

    A teacher returns the probabilities of images.
    """
    torch.manual_seed(seed)
    network = network_of(recipe, inputs.width, classes)
    average = copy.deepcopy(network).requires_grad_(False)
    decay = getattr(recipe.make_optimizer(), "weight_decay", 0)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=decay, fused=True)
    schedule, labels = recipe.make_schedule(), torch.from_numpy(y.astype(np.int64))
    total = recipe.epochs * len(Batches(len(x), recipe.batch_size))
    for step, (index, images) in enumerate(_batches(own, recipe, seed, x, network)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule.factor(step, total)
        target = labels[torch.from_numpy(index)]
        if teachers:
            soft = np.mean([teacher(images) for teacher in teachers], axis=0)
            certain = functional.one_hot(target, classes)
            target = own.share * torch.from_numpy(soft) + (1 - own.share) * certain
        _step(own, recipe, network, optimizer, inputs.of(images), target)
        with torch.no_grad():
            rate = max(1 - (recipe.ema or 0), 1 / (step + 1))  # that of fd.EMA
            for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(weight, rate)
    return _with_statistics(average, (inputs.of(part) for part in _parts(x)))


def _batches(
    own: argparse.Namespace, recipe: Recipe, seed: int, x: np.ndarray, network: nn.Sequential
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and distorted images of each step; set the dropout of each epoch."""
    order = np.random.default_rng(seed)
    augmenter = None if recipe.augment is None else Augmenter(recipe.augment, *x.shape[1:], seed)
    pixels = x.reshape(len(x), -1)
    for epoch in range(recipe.epochs):
        network.train()
        done = epoch / max(1, recipe.epochs - 1)
        for layer in network:
            if isinstance(layer, nn.Dropout) and own.dropout_schedule:
                layer.p = recipe.dropout * (done if own.dropout_schedule == "rising" else 1 - done)
        if augmenter:
            augmenter.begin(epoch, epoch, recipe.epochs)
        rows = order.permutation(len(x))
        for part in Batches(len(x), recipe.batch_size):
            images = pixels[rows[part]]
            if augmenter:
                augmenter.run(images, pixels, rows[part])
            yield rows[part], images


def _step(
    own: argparse.Namespace,
    recipe: Recipe,
    network: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """Do one step on rows x; the targets are labels, or the probabilities of all classes."""

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)

    def whole_loss() -> torch.Tensor:
        logits = network(x)
        if not own.agreement:
            return loss(logits, target)
        other = network(x)  # with dropout of its own
        return (loss(logits, target) + loss(other, target)) / 2 + own.agreement * _divergence(logits, other)

    if own.mixup:
        x, target = _mixed(own.mixup, x, target, network[-1].bias.numel())
    if recipe.adversarial:
        x = _moved(own, recipe, network, x, lambda rows: loss(network(rows), target[: len(rows)]))
    optimizer.zero_grad()
    whole_loss().backward()
    if own.sharpness:
        _sharpest_near(own.sharpness, network, whole_loss)
    optimizer.step()


def _mixed(
    alpha: float, x: torch.Tensor, target: torch.Tensor, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row mixed with another one, and their targets likewise."""
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    other = torch.randperm(len(x))
    if target.ndim == 1:
        target = functional.one_hot(target, classes).float()
    return share * x + (1 - share) * x[other], share * target + (1 - share) * target[other]


def _divergence(logits: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the mean of both divergences between two predictions, averaged over rows."""
    one, two = logits.log_softmax(1), other.log_softmax(1)
    return ((one.exp() - two.exp()) * (one - two)).sum(1).mean() / 2


def _moved(
    own: argparse.Namespace, recipe: Recipe, network: nn.Sequential, x: torch.Tensor, loss: Callable
) -> torch.Tensor:
    """Return rows of which the first half, or all, are moved along the gradient of their loss in evaluation."""
    count = len(x) if own.move_all else -(-len(x) // 2)
    near = x[:count].clone().requires_grad_()
    network.eval()
    (gradient,) = torch.autograd.grad(loss(near), near)
    network.train()
    length = recipe.adversarial * (torch.rand(count, 1) if own.random_lengths else 1)
    return torch.cat([x[:count] + length * functional.normalize(gradient), x[count:]])


def _sharpest_near(radius: float, network: nn.Sequential, loss: Callable) -> None:
    """Replace the gradients by those at the weights within ``radius`` where the loss is highest, to first order."""
    weights = list(network.parameters())
    with torch.no_grad():
        norm = torch.sqrt(sum((weight.grad**2).sum() for weight in weights)) + 1e-12
        moves = [radius * weight.grad / norm for weight in weights]
        for weight, move in zip(weights, moves, strict=True):
            weight += move
    network.zero_grad()
    loss().backward()
    with torch.no_grad():
        for weight, move in zip(weights, moves, strict=True):
            weight -= move


# -- evaluation ----------------------------------------------------------------------------------------------


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return [x[part] for part in Batches(len(x), AT_ONCE)]


def _with_statistics(network: nn.Sequential, parts: Iterator[torch.Tensor]) -> nn.Sequential:
    """Compute the running statistics as means over batches, without dropout; return the network for evaluation."""
    for layer in network:
        layer.train(isinstance(layer, nn.BatchNorm1d))
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for part in parts:
            network(part)
    return network.eval()


def probabilities(network: nn.Sequential, inputs: Inputs, x: np.ndarray, views: int) -> np.ndarray:
    """Return the mean of the probabilities of each image and of ``views`` distorted copies of it."""
    x = x.reshape(-1, *inputs.sides)
    copies = [x, *(LIGHT.apply(x, epoch=view) for view in range(views))]
    with torch.no_grad():
        seen = [
            torch.cat([network(inputs.of(part)).softmax(1) for part in _parts(images)]) for images in copies
        ]
    return torch.stack(seen).mean(0).numpy()


# -- the command ---------------------------------------------------------------------------------------------


def read_options(argv: list[str] | None = None) -> tuple[argparse.Namespace, argparse.Namespace, Recipe]:
    """Return the options of this script, those of the training command, and the recipe; exit with 2 on a wrong one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    seeds = lambda text: [arguments.seed(part) for part in text.split(",")]  # noqa: E731
    add("--seeds", type=seeds, default=[0], metavar="N", help="separated by commas (default: 0)")
    add(
        "--held-out",
        type=arguments.whole_number,
        default=10_000,
        metavar="N",
        help="images (default: 10,000)",
    )
    add(
        "--mixup",
        type=arguments.positive,
        metavar="A",
        help="mix each image with another by a share of Beta(A, A)",
    )
    add(
        "--sharpness",
        type=arguments.positive,
        metavar="R",
        help="SAM: gradients at the highest loss within R",
    )
    add(
        "--agreement",
        type=arguments.positive,
        metavar="W",
        help="R-Drop: weight of the mean divergence of two passes",
    )
    add(
        "--dropout-schedule",
        choices=("falling", "rising"),
        help="from --dropout to 0, or from 0 to --dropout",
    )
    add(
        "--move-all",
        action="store_true",
        help="move all images of a batch by --adversarial, in place of half of them",
    )
    add("--random-lengths", action="store_true", help="move each by a random length, --adversarial at most")
    add("--beside", action="store_true", help="show the normalised image beside the image, as one row")
    add(
        "--views",
        type=arguments.whole_number,
        default=0,
        metavar="N",
        help="also read N distorted copies of an image",
    )
    add(
        "--teacher", metavar="OPTIONS",
        help="distillation: train networks with these options first, one for each of their --seeds, and learn their "
        "mean probabilities",
    )  # fmt: skip
    add(
        "--share",
        type=arguments.fraction,
        metavar="S",
        help="share of the teachers in the labels (default: 0.5)",
    )
    own, rest = parser.parse_known_args(argv)
    options, usual = train_options.read(rest), vars(train_options.read([]))
    recipe = train_options.recipe(options)
    ignored = [name for name, value in vars(options).items() if name not in USED and value != usual[name]]
    ignored += [name for name in ("clip_norm", "swa") if getattr(recipe, name) is not None]
    if recipe.optimizer not in ("adam", "adamw"):
        ignored.append("optimizer")
    if ignored or options.learning_rate == train_options.AUTO:
        names = ", ".join("--" + name.replace("_", "-") for name in ignored) or "--lr auto"
        parser.error(
            f"{names}: of these settings, this script has only the optimizers adam and adamw, and --seeds"
        )
    for name, partner, there in (
        ("share", "--teacher", own.teacher),
        ("move_all", "--adversarial", recipe.adversarial),
        ("random_lengths", "--adversarial", recipe.adversarial),
        ("agreement", "--dropout", recipe.dropout),
        ("dropout_schedule", "--dropout", recipe.dropout),
        ("beside", "--moment-norm", recipe.moment_norm),
    ):
        if getattr(own, name) and not there:
            parser.error(f"--{name.replace('_', '-')}: needs {partner}; got none")
    own.share = 0.5 if own.share is None else own.share
    if own.teacher is not None:
        try:
            own.teacher = read_options(shlex.split(own.teacher))
        except ValueError as error:
            parser.error(f"--teacher: {error}; got {own.teacher!r}")
        theirs = (own.teacher[0].held_out, own.teacher[1].data, own.teacher[1].threads)
        if theirs != (parser.get_default("held_out"), usual["data"], usual["threads"]):
            parser.error(
                "--teacher: takes --data, --threads and --held-out from the network that learns from it"
            )
    return own, options, recipe


def trained(own: argparse.Namespace, recipe: Recipe, data: tuple, name: str = "") -> list[tuple]:
    """Train a network for each seed, its teachers before it; print how each does.

    Parameters
    ----------
    data : (x, y), (x_other, y_other), classes
        Images to train on, and those that are held out.

    Returns
    -------
    list of (network, inputs)
    """
    (x, y), (x_other, y_other), classes = data
    inputs, found, teachers = Inputs(x[0].shape, recipe.moment_norm, own.beside), [], []
    if own.teacher is not None:
        theirs, _, their_recipe = own.teacher
        teachers = [
            functools.partial(probabilities, *made, views=theirs.views)
            for made in trained(theirs, their_recipe, data, f"{name}teacher, ")
        ]
    for seed in own.seeds:
        started = time.perf_counter()
        network = train(own, recipe, inputs, seed, x, y, classes, teachers)
        seconds = time.perf_counter() - started
        right = probabilities(network, inputs, x_other, own.views).argmax(1) == y_other
        print(f"{name}seed {seed}: held out {right.mean():.2%}, {seconds:.0f} s", flush=True)
        found.append((network, inputs))
    return found


def main() -> None:
    own, options, recipe = read_options()
    torch.set_num_threads(options.threads or 1)
    fd.set_num_threads(options.threads or 1)
    try:
        (x, y), _ = fd.load_data(options.data)
    except DataError as error:
        sys.exit(f"ideas.py: error: {error}")
    if len(x) < own.held_out + 2:
        sys.exit(f"ideas.py: error: --held-out: must leave 2 of {len(x):,} images; got {own.held_out:,}")
    known, held_out = (x[: -own.held_out], y[: -own.held_out]), (x[-own.held_out :], y[-own.held_out :])
    trained(own, recipe, (known, held_out, int(y.max()) + 1))


if __name__ == "__main__":
    main()
