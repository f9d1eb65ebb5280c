"""Try an idea in PyTorch before it is built: train on a part of the training images, and measure on the rest.

    python scripts/accuracy/ideas.py --preset best --epochs 40                        # no idea, to compare with
    python scripts/accuracy/ideas.py --preset best --epochs 40 --mixup 0.2
    python scripts/accuracy/ideas.py --preset best --epochs 40 --moment-norm --beside
    python scripts/accuracy/ideas.py --preset accurate --epochs 60 --teachers one.safetensors two.safetensors

The settings are those of the training command, the distortions and the normalised images those of fastdigits. It needs
PyTorch. Dense layers multiply numbers of 16 bits (bfloat16): on processors with AMX, two wide layers train three times
as fast as with fastdigits, and reach the same accuracy within the uncertainty of a seed. docs/accuracy.md has what came
of the ideas.
"""

import argparse
import copy
import dataclasses
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import fastdigits as fd
from fastdigits.commands import train_options
from fastdigits.recipes import Recipe

HELD_OUT = 10_000  # the last of the training images
NEAR = 0.1  # length of the step that finds a virtual adversarial direction
AT_ONCE = 1000  # images, in evaluation
LIGHT = fd.Augmentation(rotation=5, scale=0.05, shear=0.05, shift=0.75, alpha=10)  # for --views
DISTORTIONS = ("rotation", "scale", "shear", "shift", "alpha", "thickness", "cutout")


# -- the network ---------------------------------------------------------------------------------------------


class Dense(nn.Module):
    """A dense layer whose products are of bfloat16 and whose sums are of float32."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) * math.sqrt(2 / n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = torch.bfloat16
        return functional.linear(x.to(short), self.weight.to(short), self.bias.to(short)).float()


def network_of(recipe: Recipe, width: int, classes: int) -> nn.Sequential:
    """Return the network of a recipe for rows of ``width`` numbers, with the numbers of its layers in fastdigits."""
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


def as_fastdigits(network: nn.Sequential, recipe: Recipe, width: int, classes: int) -> fd.NeuralNetwork:
    """Return the same network, with the same weights, of fastdigits."""
    made = recipe.network(width, classes)
    made.load_torch_state_dict(network.state_dict())
    made.scale = "pixels"
    return made


class Inputs:
    """What a network sees of images of bytes: pixels / 255, normalised images, or one beside the other."""

    def __init__(self, sides: tuple[int, int], normalized: bool, beside: bool) -> None:
        self.norm = fd.MomentNorm(*sides) if normalized or beside else None
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
    options: argparse.Namespace, recipe: Recipe, seed: int, x: np.ndarray, y: np.ndarray
) -> nn.Sequential:
    """Return a network that is trained on images x with labels y."""
    torch.manual_seed(seed)
    inputs = options.inputs
    network = network_of(recipe, inputs.width, int(y.max()) + 1)
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [p for p in network.parameters() if p.ndim > 1],
                "weight_decay": recipe.weight_decay or 0,
            },
            {"params": [p for p in network.parameters() if p.ndim < 2], "weight_decay": 0},
        ],
        fused=True,
    )
    schedule, labels = recipe.make_schedule(), torch.from_numpy(y.astype(np.int64))
    teachers = [fd.load(file) for file in options.teachers]
    per_epoch = len(x) // recipe.batch_size
    for step, rows in enumerate(_batches(options, recipe, seed, x, network)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule.factor(step, recipe.epochs * per_epoch)
        index, images = rows
        target = labels[torch.from_numpy(index)]
        if teachers:
            soft = np.mean([teacher.predict_proba(images) for teacher in teachers], axis=0)
            certain = functional.one_hot(target, soft.shape[1])
            target = options.share * torch.from_numpy(soft) + (1 - options.share) * certain
        _step(options, recipe, network, optimizer, inputs.of(images), target)
        kept = min(recipe.ema or 0, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - kept)
    return _with_statistics(average, (inputs.of(part) for part in _parts(x)))


def _batches(
    options: argparse.Namespace, recipe: Recipe, seed: int, x: np.ndarray, network: nn.Sequential
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and distorted images of each step; set the dropout of each epoch."""
    order = np.random.default_rng(seed)
    for epoch in range(recipe.epochs):
        network.train()
        part = epoch / max(1, recipe.epochs - 1)
        for layer in network:
            if isinstance(layer, nn.Dropout) and options.dropout_schedule:
                layer.p = recipe.dropout * (part if options.dropout_schedule == "rising" else 1 - part)
        images = _distorted(recipe, x, seed, epoch)
        rows = order.permutation(len(x))
        for first in range(0, len(x) - recipe.batch_size + 1, recipe.batch_size):
            index = rows[first : first + recipe.batch_size]
            yield index, images[index]


def _distorted(recipe: Recipe, x: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    some = recipe.augment
    if some is None:
        return x
    strength = some.strength(epoch, recipe.epochs)
    weaker = {name: strength * getattr(some, name) for name in DISTORTIONS}
    return dataclasses.replace(some, **weaker).apply(x, seed=seed, epoch=epoch)


def _step(
    options: argparse.Namespace,
    recipe: Recipe,
    network: nn.Sequential,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    target: torch.Tensor,
) -> None:
    """Do one step on rows x; the target is a label or the probabilities of each."""
    if options.mixup:
        share, other = (
            torch.distributions.Beta(options.mixup, options.mixup).sample().item(),
            torch.randperm(len(x)),
        )
        x = share * x + (1 - share) * x[other]
        certain = functional.one_hot(target, network[-1].bias.numel()).float() if target.ndim == 1 else target
        target = share * certain + (1 - share) * certain[other]

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, target, label_smoothing=recipe.label_smoothing)

    if options.noise:
        x = x + options.noise * torch.randn_like(x)
    if recipe.adversarial:
        x = _moved(options, recipe, network, x, lambda rows: loss(network(rows), target[: len(rows)]))
    optimizer.zero_grad()
    logits = network(x)
    total = loss(logits, target)
    if options.virtual:
        total = total + _virtual_loss(options.virtual, network, x, logits)
    if options.agreement:  # of two passes with dropout of their own
        other = network(x)
        one, two = logits.log_softmax(1), other.log_softmax(1)
        apart = [
            functional.kl_div(a, b, log_target=True, reduction="batchmean")
            for a, b in ((one, two), (two, one))
        ]
        total = (total + loss(other, target)) / 2 + options.agreement * sum(apart) / 2
    total.backward()
    if options.sharpness:
        _sharpest_near(options.sharpness, network, lambda: loss(network(x), target))
    optimizer.step()
    if options.max_norm:
        with torch.no_grad():
            weight = next(network.parameters())
            weight.mul_((options.max_norm / weight.norm(dim=1, keepdim=True)).clamp(max=1))


def _moved(
    options: argparse.Namespace, recipe: Recipe, network: nn.Sequential, x: torch.Tensor, loss
) -> torch.Tensor:
    """Return rows of which the first half, or all, are moved along the gradient of their loss in evaluation."""
    count = len(x) if options.move_all else len(x) // 2
    near = x[:count].clone().requires_grad_()
    network.eval()
    (gradient,) = torch.autograd.grad(loss(near), near)
    network.train()
    length = recipe.adversarial * (torch.rand(count, 1) if options.random_lengths else 1)
    return torch.cat([x[:count] + length * functional.normalize(gradient), x[count:]])


def _virtual_loss(
    length: float, network: nn.Sequential, x: torch.Tensor, logits: torch.Tensor
) -> torch.Tensor:
    """Return the divergence between predictions and those at rows that are moved where this changes them most.

    The direction comes from one step of the power method (Miyato, Maeda, Koyama, Ishii 2019, algorithm 1).
    """
    wanted = logits.detach().softmax(1)

    def divergence(rows: torch.Tensor) -> torch.Tensor:
        return functional.kl_div(network(rows).log_softmax(1), wanted, reduction="batchmean")

    near = (x + NEAR * functional.normalize(torch.randn_like(x))).requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(near), near)
    return divergence(x + length * functional.normalize(gradient))


def _sharpest_near(radius: float, network: nn.Sequential, loss) -> None:
    """Replace the gradients by those at the weights within ``radius`` where the loss is highest, to first order."""
    weights = list(network.parameters())
    with torch.no_grad():
        norm = torch.sqrt(sum((weight.grad**2).sum() for weight in weights)) + 1e-12
        moves = [radius * weight.grad / norm for weight in weights]
        torch._foreach_add_(weights, moves)
    for weight in weights:
        weight.grad = None
    loss().backward()
    with torch.no_grad():
        torch._foreach_sub_(weights, moves)


# -- evaluation ----------------------------------------------------------------------------------------------


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return [x[first : first + AT_ONCE] for first in range(0, len(x), AT_ONCE)]


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


def probabilities(inputs: Inputs, networks: list[nn.Sequential], x: np.ndarray, views: int) -> np.ndarray:
    """Return the mean probabilities of networks for images, and for ``views`` distorted copies of each."""
    copies = [x, *(LIGHT.apply(x, epoch=view) for view in range(views))]
    with torch.no_grad():
        seen = [
            torch.cat(
                [
                    torch.stack([network(inputs.of(part)).softmax(1) for network in networks]).mean(0)
                    for part in _parts(images)
                ]
            )
            for images in copies
        ]
    return torch.stack(seen).mean(0).numpy()


# -- the command ---------------------------------------------------------------------------------------------


def read_options(given: list[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Return the options of this script, and those of the training command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--seeds", default="0", help="separated by commas (default: 0)")
    add("--mixup", type=float, default=0, metavar="A", help="mix pairs of images by shares of Beta(A, A)")
    add(
        "--sharpness",
        type=float,
        default=0,
        metavar="R",
        help="gradients at the highest loss within R of the weights",
    )
    add(
        "--agreement",
        type=float,
        default=0,
        metavar="W",
        help="weight of the divergence of two passes with dropout",
    )
    add(
        "--virtual",
        type=float,
        default=0,
        metavar="L",
        help="add the divergence at virtual adversarial examples of length L",
    )
    add(
        "--noise",
        type=float,
        default=0,
        metavar="S",
        help="add Gaussian noise of this standard deviation, 1 for the range of a pixel",
    )
    add(
        "--max-norm",
        type=float,
        default=0,
        metavar="C",
        help="longest weights of a neuron of the first layer",
    )
    add("--dropout-schedule", choices=("falling", "rising"), help="from --dropout to 0, or from 0 to it")
    add(
        "--move-all",
        action="store_true",
        help="move all images of a batch by --adversarial, in place of the half",
    )
    add("--random-lengths", action="store_true", help="move each by a random length, --adversarial at most")
    add("--beside", action="store_true", help="the normalised image beside the image, as one row")
    add(
        "--views", type=int, default=0, metavar="N", help="read N lightly distorted copies of each image, too"
    )
    add(
        "--teachers",
        nargs="*",
        default=[],
        metavar="FILE",
        help="models whose mean probabilities to learn",
    )
    add("--share", type=float, default=0.5, metavar="S", help="of the teachers in the labels (default: 0.5)")
    add("--save", metavar="FILE", help="keep the network of the last seed, as a model of fastdigits")
    add("--together", action="store_true", help="also read the held-out images with the mean of all seeds")
    own, rest = parser.parse_known_args(given)
    if own.save and own.beside:
        parser.error("--save needs one image per row, as networks of fastdigits have: omit --beside")
    return own, rest


def main() -> None:
    own, rest = read_options()
    options = train_options.read(rest)
    recipe = train_options.recipe(options)
    torch.set_num_threads(options.threads or 1)
    fd.set_num_threads(options.threads or 1)
    (x, y), _ = fd.load_mnist() if options.data == "mnist" else fd.load_folder(options.data)
    own.inputs = Inputs(x[0].shape, recipe.moment_norm, own.beside)
    (x, y), (x_other, y_other) = (x[:-HELD_OUT], y[:-HELD_OUT]), (x[-HELD_OUT:], y[-HELD_OUT:])
    networks = []
    for seed in map(int, own.seeds.split(",")):
        started = time.perf_counter()
        networks.append(train(own, recipe, seed, x, y))
        seconds = time.perf_counter() - started
        right = probabilities(own.inputs, networks[-1:], x_other, own.views).argmax(1) == y_other
        print(f"seed {seed}: held out {right.mean():.2%}, {seconds:.0f} s", flush=True)
    if own.together:
        right = probabilities(own.inputs, networks, x_other, own.views).argmax(1) == y_other
        print(f"all seeds together: held out {right.mean():.2%}")
    if own.save:
        as_fastdigits(networks[-1], recipe, own.inputs.width, int(y.max()) + 1).save(own.save)


if __name__ == "__main__":
    main()
