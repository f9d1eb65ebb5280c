"""scripts/accuracy/ideas.py trains as fastdigits does, and each idea changes what it should."""

import argparse
import copy
from dataclasses import replace

import numpy as np
import pytest
from documents import script

import fastdigits as fd
from fastdigits.recipes import Recipe

pytestmark = pytest.mark.needs("torch")

TINY = Recipe(
    name="tiny",
    hidden=(24,),
    epochs=4,
    batch_size=50,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.01,
)


@pytest.fixture(scope="module")
def ideas():
    import torch

    torch.set_num_threads(1)
    return script("accuracy/ideas")


@pytest.fixture(scope="module")
def digits():
    x, y = fd.load_mnist()[0]
    return (x[:1500], y[:1500]), (x[-500:], y[-500:])


def options(ideas, *, normalized: bool = False, **chosen) -> argparse.Namespace:
    none = vars(ideas.read_options([])[0])
    inputs = ideas.Inputs((28, 28), normalized, chosen.get("beside", False))
    return argparse.Namespace(**none | {"inputs": inputs} | chosen)


def accuracy(ideas, given, recipe, digits, views=0) -> float:
    (x, y), (x_other, y_other) = digits
    network = ideas.train(given, recipe, 0, x, y)
    return (ideas.probabilities(given.inputs, [network], x_other, views).argmax(1) == y_other).mean()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"moment_norm": True, "ema": 0.98},
        {"augment": fd.Augmentation(rotation=5, fade=0.5)},
        {"adversarial": 1},
    ],
    ids=["plain", "normalised", "distorted", "adversarial"],
)
def test_it_is_as_accurate_as_fastdigits(ideas, digits, changes):
    recipe = replace(TINY, **changes)
    net = recipe.network(seed=0)
    net.fit(*digits[0], **recipe.fit_arguments())
    found = accuracy(ideas, options(ideas, normalized=recipe.moment_norm), recipe, digits)
    assert found == pytest.approx(net.evaluate(*digits[1])["accuracy"], abs=0.04)


@pytest.mark.parametrize(
    ("chosen", "changes"),
    [
        ({"mixup": 0.2}, {}),
        ({"sharpness": 0.05}, {}),
        ({"agreement": 1}, {"dropout": 0.2}),
        ({"virtual": 1}, {}),
        ({"noise": 0.2}, {}),
        ({"max_norm": 2}, {}),
        ({"dropout_schedule": "falling"}, {"dropout": 0.2}),
        ({"move_all": True, "random_lengths": True}, {"adversarial": 1}),
        ({"beside": True}, {"moment_norm": True}),
        ({"views": 3}, {}),
    ],
    ids=lambda given: next(iter(given), ""),
)
def test_with_an_idea_it_still_learns(ideas, digits, chosen, changes):
    given = options(ideas, **chosen)
    assert accuracy(ideas, given, replace(TINY, **changes), digits, given.views) > 0.8


def network(ideas, digits):
    import torch

    torch.manual_seed(0)
    given = options(ideas)
    net = ideas.network_of(TINY, 784, 10)
    x, y = given.inputs.of(digits[0][0][:50]), torch.from_numpy(digits[0][1][:50].astype(np.int64))
    return given, net, x, y


def test_the_first_half_moves_by_the_length_and_raises_the_loss(ideas, digits):
    import torch

    given, net, x, y = network(ideas, digits)

    def loss(rows):
        return torch.nn.functional.cross_entropy(net(rows), y[: len(rows)])

    moved = ideas._moved(given, replace(TINY, adversarial=0.5), net, x, loss)
    np.testing.assert_allclose((moved - x).norm(dim=1), [0.5] * 25 + [0] * 25, rtol=1e-5)
    net.eval()
    assert loss(moved[:25]) > loss(x[:25])


def test_gradients_are_those_at_the_highest_loss_and_weights_stay(ideas, digits):
    import torch

    _, net, x, y = network(ideas, digits)

    def loss():
        return torch.nn.functional.cross_entropy(net(x), y)

    loss().backward()
    before, gradient = (
        [p.detach().clone() for p in net.parameters()],
        [p.grad.clone() for p in net.parameters()],
    )
    norm = torch.sqrt(sum((g**2).sum() for g in gradient))
    near = copy.deepcopy(net)
    with torch.no_grad():
        for p, g in zip(near.parameters(), gradient, strict=True):
            p += 0.1 * g / norm
    near.zero_grad()
    torch.nn.functional.cross_entropy(near(x), y).backward()
    ideas._sharpest_near(0.1, net, loss)
    for p, old, other in zip(net.parameters(), before, near.parameters(), strict=True):
        np.testing.assert_allclose(p.detach(), old, atol=1e-7)
        np.testing.assert_allclose(p.grad, other.grad, rtol=1e-2, atol=1e-4)


def test_the_virtual_direction_changes_predictions_more_than_a_random_one(ideas, digits):
    import torch

    _, net, x, _ = network(ideas, digits)
    net.eval()
    with torch.no_grad():
        step = torch.nn.functional.normalize(torch.randn_like(x))
        wanted, moved = net(x).softmax(1), net(x + step).log_softmax(1)
        random = torch.nn.functional.kl_div(moved, wanted, reduction="batchmean")
    assert ideas._virtual_loss(1, net, x, net(x)) > 3 * random


def test_a_student_learns_what_its_teacher_says(ideas, digits, tmp_path):
    teacher = fd.NeuralNetwork([fd.Dense(784, 10)])
    teacher.layers[0].weight.value[...] = 0
    teacher.layers[0].bias.value[...] = 20 * np.eye(10)[3]  # everything is a three
    teacher.save(tmp_path / "teacher.safetensors")
    for share, low, high in ((1, 0.0, 0.2), (0, 0.8, 1.0)):
        given = options(ideas, teachers=[str(tmp_path / "teacher.safetensors")], share=share)
        assert low < accuracy(ideas, given, TINY, digits) <= high


@pytest.mark.parametrize("normalized", [False, True])
def test_a_network_becomes_one_of_fastdigits(ideas, digits, normalized):
    given, recipe = options(ideas, normalized=normalized), replace(TINY, moment_norm=normalized)
    network = ideas.train(given, recipe, 0, *digits[0])
    found = ideas.as_fastdigits(network, recipe, 784, 10).predict_proba(digits[1][0])
    wanted = ideas.probabilities(given.inputs, [network], digits[1][0], 0)
    np.testing.assert_allclose(found, wanted, atol=0.05)  # of 16 bits
