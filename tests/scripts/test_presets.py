"""scripts/accuracy/presets.py keeps trainings and says how uncertain their accuracy is."""

import re
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from documents import ROOT, script
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits import recipes
from fastdigits.recipes import Recipe

presets = script("accuracy/presets")
TINY = Recipe(name="tiny", hidden=(4,), epochs=2, augment=fd.Augmentation(shift=1), batch_size=60)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "data"
    write_dataset(folder)
    return folder, fd.load_data(folder)


def test_a_training_is_kept_and_only_missing_ones_are_done(data, tmp_path, monkeypatch, capsys):
    first = presets.trained(TINY, [0], data[1], tmp_path)
    assert "tiny-0: " in capsys.readouterr().err
    both = presets.trained(TINY, [0, 1], data[1], tmp_path)
    assert re.findall(r"tiny-\d", capsys.readouterr().err) == ["tiny-1"]
    monkeypatch.setattr(fd.NeuralNetwork, "fit", None)
    again = presets.trained(replace(TINY, about="other words"), [0, 1], data[1], tmp_path)
    for kept, done in zip([*again, again[0]], [*both, first[0]], strict=True):
        np.testing.assert_array_equal(kept.predicted, done.predicted)
        assert (kept.seconds, kept.made) == (done.seconds, done.made)
    network = presets.load_network(TINY, 1, tmp_path)
    np.testing.assert_array_equal(network.predict(data[1].test[0]), both[1].predicted)


def test_a_training_of_a_changed_recipe_is_done_again(data, tmp_path, capsys):
    presets.trained(TINY, [0], data[1], tmp_path)
    file = tmp_path / "tiny-0.json"
    before = file.read_text("utf-8")
    for text in (before.replace('"epochs": 2', '"epochs": 3'), before.replace('"epochs"', '"epoks"')):
        assert text != before
        file.write_text(text, "utf-8")
        capsys.readouterr()
        presets.trained(TINY, [0], data[1], tmp_path)
        assert "tiny-0: its recipe has changed, so it is trained again" in capsys.readouterr().err
        assert '"epochs": 2' in file.read_text("utf-8")


def test_a_folder_of_results_on_other_images_is_refused(data, tmp_path):
    presets.trained(TINY, [0], data[1], tmp_path)
    x, y = data[1].train
    with pytest.raises(SystemExit, match=r"tiny-0\.json: results on other images .* choose another folder"):
        presets.trained(TINY, [0], ((x[1:], y[1:]), data[1].test), tmp_path)


def test_the_recipes_for_clothes_are_presets_with_other_settings():
    for name, preset, changed in (
        ("clothes-best", recipes.BEST, {"epochs", "augment", "label_smoothing"}),
        ("clothes-plain", recipes.PLAIN, {"epochs", "adversarial", "label_smoothing"}),
    ):
        recipe, other = asdict(presets.recipe_of(str(ROOT / f"scripts/accuracy/{name}.json"))), asdict(preset)
        assert recipe["name"] == name
        assert {setting for setting in recipe if recipe[setting] != other[setting]} == {
            "name",
            "about",
        } | changed


@pytest.mark.needs("scipy")
@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # of 2, the bounds solve 1 - (1 - p)² = 0.025 and p² = 0.025 …
    [(0, 10, 0, 1 - 0.025**0.1), (10, 10, 0.025**0.1, 1), (1, 2, 1 - 0.975**0.5, 0.975**0.5)],
)
def test_the_interval_is_that_of_clopper_and_pearson(hits, n, low, high):
    assert presets.interval(hits, n) == pytest.approx((low, high), abs=1e-9)


def test_discordant_images_are_counted_for_each_seed():
    first = np.array([[1, 1, 0, 0, 1], [1, 0, 0, 0, 0]], bool)
    second = np.array([[1, 0, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    assert presets.discordant(first, second).tolist() == [[2, 1], [0, 3]]


@pytest.mark.needs("scipy")
@pytest.mark.parametrize(
    ("counts", "p"),
    [
        ([(0, 0)], 1),
        ([(1, 5)], 2 * (1 + 6) / 2**6),  # one seed: the two-sided test of a fair coin
        ([(5, 1)], 2 * (1 + 6) / 2**6),
        ([(3, 3)], 1),
        (
            [(0, 5), (0, 5), (5, 0)],
            2 * 3 / 2 * 1 / 2**5,
        ),  # the second of three, times 3 / 2, for two directions
        ([(0, 9), (9, 0)], 1),  # two seeds that disagree
        ([(0, 9), (0, 8)], 2 / 2**8),
    ],
)
def test_mcnemars_test_of_several_seeds(counts, p):
    assert presets.mcnemar(np.array(counts)) == pytest.approx(p)


def test_the_origin_names_every_machine():
    trainings = [
        presets.Training(np.zeros(1), 1.0, presets.made() | {"threads": threads})
        for threads in ("2 threads", "1 thread", "2 threads")
    ]
    assert ", 1 thread and 2 threads, fastdigits " in presets.origin(trainings)


@pytest.mark.needs("scipy")
def test_the_command_prints_both_tables_and_draws_what_all_seeds_misread(data, tmp_path, monkeypatch, capsys):
    for name, rate in (("poor", 1e-9), ("better", 0.1)):
        replace(TINY, learning_rate=rate).save(tmp_path / f"{name}.json")
    monkeypatch.chdir(tmp_path)
    words = "poor.json better.json --seeds 0,1,2 --picture misread.png --data"
    monkeypatch.setattr(sys, "argv", ["presets.py", *words.split(), str(data[0])])
    presets.main()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d, .*, \d+ threads?, fastdigits \S+, commit \S+", head)
    cells = [[cell.strip() for cell in text.strip("|").split("|")] for text in lines]
    assert [len(row) for row in cells] == [9, 9, 9, 9, 1, 6, 6, 6]
    means = [float(row[2].removesuffix(" %")) for row in cells[2:4]]
    assert means[0] < means[1]
    assert cells[2][-1] == f"`python -m fastdigits.train --recipe poor.json --data {data[0]}`"
    assert float(cells[-1][2]) == pytest.approx(means[1] - means[0], abs=0.011)
    assert (tmp_path / "misread.png").read_bytes().startswith(b"\x89PNG")
