"""scripts/accuracy/ideas.py trains as fastdigits does, and each idea changes what it should."""

import copy
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from documents import script
from toy_dataset import write_dataset

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


def own(ideas, *chosen: str):
    return ideas.read_options(["--adversarial", "1", "--dropout", "0.2", "--moment-norm", *chosen])[0]


def trained(ideas, recipe, digits, chosen=None, teachers=()):
    inputs = ideas.Inputs((28, 28), recipe.moment_norm, bool(chosen) and chosen.beside)
    return ideas.train(chosen or own(ideas), recipe, inputs, 0, *digits[0], 10, teachers), inputs


def as_fastdigits(network, recipe, inputs, classes):
    made = fd.NeuralNetwork(recipe.layers(inputs.width, classes, image_shape=inputs.sides))
    made.load_torch_state_dict(network.state_dict())
    made.scale = "pixels"
    return made


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
    network, inputs = trained(ideas, recipe, digits)
    found = (ideas.probabilities(network, inputs, digits[1][0], 0).argmax(1) == digits[1][1]).mean()
    assert found == pytest.approx(net.evaluate(*digits[1])["accuracy"], abs=0.04)
    again = as_fastdigits(network, recipe, inputs, 10)
    assert again.evaluate(*digits[1])["accuracy"] == pytest.approx(found, abs=0.01)


def test_a_network_of_oblong_images_becomes_one_of_fastdigits(ideas):
    recipe, inputs = replace(TINY, moment_norm=True), ideas.Inputs((5, 7), True, False)
    network = ideas.network_of(recipe, 35, 3).eval()
    x = np.random.default_rng(0).integers(0, 256, (9, 5, 7)).astype(np.uint8)
    wanted = ideas.probabilities(network, inputs, x, 0)
    np.testing.assert_allclose(as_fastdigits(network, recipe, inputs, 3).predict_proba(x), wanted, atol=0.02)


def test_mixed_rows_have_mixed_targets(ideas, monkeypatch):
    import torch

    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.25))
    x, labels = torch.eye(6), torch.arange(6)  # a row says its label
    for target in (labels, torch.eye(6)):
        rows, mixed = ideas._mixed(0.2, x, target, 6)
        np.testing.assert_allclose(mixed, rows)
        assert set(rows.flatten().tolist()) <= {0, 0.25, 0.75, 1}
        assert (rows.max(1).values == 0.75).any()


def test_dropout_falls_or_rises_over_the_epochs(ideas, digits):
    recipe = replace(TINY, dropout=0.2, epochs=3)
    for direction, wanted in {"falling": [0.2, 0.1, 0], "rising": [0, 0.1, 0.2]}.items():
        network = ideas.network_of(recipe, 784, 10)
        chosen = own(ideas, "--dropout-schedule", direction)
        seen = [network[3].p for _ in ideas._batches(chosen, recipe, 0, digits[0][0][:50], network)]
        np.testing.assert_allclose(seen, wanted)


def test_an_epoch_has_all_images_once(ideas, digits):
    network = ideas.network_of(TINY, 784, 10)
    x = digits[0][0][:120]
    rows = [rows for rows, _ in ideas._batches(own(ideas), replace(TINY, epochs=1), 0, x, network)]
    assert [len(part) for part in rows] == [50, 50, 20]
    assert sorted(np.concatenate(rows)) == list(range(120))


def test_the_divergence_is_the_mean_of_both_directions(ideas):
    import torch
    from torch.nn.functional import kl_div

    one, two = torch.randn(2, 7, 10)
    a, b = one.log_softmax(1), two.log_softmax(1)
    both = [kl_div(p, q, log_target=True, reduction="batchmean") for p, q in ((a, b), (b, a))]
    assert ideas._divergence(one, two) == pytest.approx(float(sum(both)) / 2, rel=1e-5)
    assert ideas._divergence(one, one) == 0


def network(ideas, digits):
    import torch

    torch.manual_seed(0)
    x, y = digits[0][0][:50], torch.from_numpy(digits[0][1][:50].astype(np.int64))
    return ideas.network_of(TINY, 784, 10), ideas.Inputs((28, 28), False, False).of(x), y


@pytest.mark.parametrize(("chosen", "count"), [((), 25), (("--move-all",), 50)])
def test_images_move_by_the_length_and_raise_the_loss(ideas, digits, chosen, count):
    import torch

    net, x, y = network(ideas, digits)

    def loss(rows):
        return torch.nn.functional.cross_entropy(net(rows), y[: len(rows)])

    recipe = replace(TINY, adversarial=0.5)
    moved = ideas._moved(own(ideas, *chosen), recipe, net, x, loss)
    np.testing.assert_allclose((moved - x).norm(dim=1), [0.5] * count + [0] * (50 - count), rtol=1e-5)
    assert net.training
    net.eval()
    assert loss(moved[:count]) > loss(x[:count])
    lengths = (ideas._moved(own(ideas, "--random-lengths", *chosen), recipe, net, x, loss) - x).norm(dim=1)
    assert 0 < lengths[:count].min() < lengths[:count].max() < 0.5


def test_gradients_are_those_at_the_highest_loss_and_weights_stay(ideas, digits):
    import torch

    net, x, y = network(ideas, digits)

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


@pytest.mark.parametrize(
    ("chosen", "changes"),
    [
        (("--mixup", "0.2"), {}),
        (("--sharpness", "0.05"), {}),
        (("--agreement", "1"), {"dropout": 0.2}),
        (("--dropout-schedule", "falling"), {"dropout": 0.2}),
        (("--move-all",), {"adversarial": 1}),
        (("--random-lengths",), {"adversarial": 1}),
        (("--beside",), {"moment_norm": True}),
    ],
    ids=lambda given: next(iter(given), ""),
)
def test_an_idea_changes_the_network_which_still_learns(ideas, digits, chosen, changes):
    recipe = replace(TINY, **changes)
    network, inputs = trained(ideas, recipe, digits, own(ideas, *chosen))
    found = ideas.probabilities(network, inputs, digits[1][0], 0)
    assert (found.argmax(1) == digits[1][1]).mean() > 0.8
    assert (found != ideas.probabilities(*trained(ideas, recipe, digits), digits[1][0], 0)).any()


def test_views_are_averaged_with_the_image(ideas, digits):
    net, *_ = network(ideas, digits)
    net.eval()
    inputs, x = ideas.Inputs((28, 28), False, False), digits[1][0]
    each = [
        ideas.probabilities(net, inputs, part, 0)
        for part in (x, ideas.LIGHT.apply(x), ideas.LIGHT.apply(x, epoch=1))
    ]
    np.testing.assert_allclose(ideas.probabilities(net, inputs, x, 2), np.mean(each, axis=0), atol=1e-6)


def test_a_student_learns_what_its_teachers_say(ideas, digits):
    def threes(images):
        return np.eye(10, dtype=np.float32)[np.full(len(images), 3)]

    for share, low in ((0.9, True), (0.1, False)):
        chosen = own(ideas)
        chosen.share = share
        found = ideas.probabilities(*trained(ideas, TINY, digits, chosen, [threes]), digits[1][0], 0).argmax(
            1
        )
        assert ((found == 3).mean() > 0.9) == low
        assert ((found == digits[1][1]).mean() > 0.8) != low


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--optimizer sgd", "--optimizer: .* this script has only the optimizers adam and adamw"),
        ("--preset original", "--optimizer: "),
        ("--seed 5", "--seed: .*and --seeds"),
        ("--clip-norm 1", "--clip-norm: "),
        ("--swa 0.5", "--swa: "),
        ("--lr auto", "--lr auto: "),
        (
            "--validation-split 0.1 --output run",
            "--output, --validation-split: |--validation-split, --output: ",
        ),
        ("--share 0.4", "--share: needs --teacher; got none"),
        ("--move-all", "--move-all: needs --adversarial"),
        ("--random-lengths", "--random-lengths: needs --adversarial"),
        ("--agreement 1", "--agreement: needs --dropout"),
        ("--dropout-schedule rising", "--dropout-schedule: needs --dropout"),
        ("--beside", "--beside: needs --moment-norm"),
        ("--teacher", "--teacher: expected one argument"),
        ("--teacher=--optimizer=sgd", "--optimizer: .* this script has only"),
        ("--teacher=--data=fashion", "--teacher: takes --data, --threads and --held-out from"),
        ("--teacher=--threads=2", "--teacher: takes --data, --threads and --held-out from"),
        ("--teacher=--held-out=20", "--teacher: takes --data, --threads and --held-out from"),
        ("--teacher='", "--teacher: No closing quotation; got"),
        ("--mixup -1", "argument --mixup"),
        ("--views -1", "argument --views"),
        ("--seeds 0-2", "argument --seeds"),
    ],
)
def test_wrong_options_are_refused(ideas, capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        ideas.read_options(options.split())
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_the_command_measures_each_seed_and_its_teachers(ideas, tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path / "toy")
    same = ["--data", str(tmp_path / "toy"), "--held-out", "10", "--epochs", "1", "--hidden", "4"]

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["ideas.py", *same, *more])
        ideas.main()
        return capsys.readouterr().out

    assert re.fullmatch("seed 3: held out .*%, \\d+ s\n", run("--seeds", "3"))
    teacher = "--epochs 1 --hidden 5 --seeds 0,1 --views 1"
    found = [line.split(":")[0] for line in run("--seeds", "7", "--teacher", teacher).splitlines()]
    assert found == ["teacher, seed 0", "teacher, seed 1", "seed 7"]
    for more, message in (
        (("--held-out", "1000000"), "--held-out: must leave 2 of"),
        (("--data", str(tmp_path / "nothing")), "nothing"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(*more)
