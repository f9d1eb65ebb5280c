"""`fastdigits tune` halves its recipes by held-out images, survives kills, and writes a recipe that train takes."""

import contextlib
import csv
import dataclasses
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits import recipes
from fastdigits.commands import (
    run_folder,
    train,
    tune,
    tune_options,
    tune_search,
    tune_setup,
    tune_space,
    tune_workers,
)
from fastdigits.commands.tune_search import Plan, Score, Trial
from fastdigits.recipes import Recipe

SOURCE = Path(fd.__file__).parents[1]
SPACE = "hidden=5|9, lr=0.001:0.1, batch_size=16|32, ema=none, augment=none"
WORDS = (
    "--trials",
    5,
    "--epochs",
    9,
    "--repeats",
    1,
    "--validation-split",
    0.25,
    "--seed",
    3,
    "--space",
    SPACE,
)


@pytest.fixture
def digits(here) -> Path:
    write_dataset(here / "digits")
    return here / "digits"


def main(*argv: object) -> int:
    return tune.main([str(word) for word in argv])


def search(digits: Path, output: str, *more: object, processes: int = 1) -> Path:
    assert main("--data", digits, *WORDS, "--processes", processes, "--quiet", "-o", output, *more) == 0
    return Path(output)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / run_folder.TRIALS).read_text().splitlines()]


def scores(folder: Path) -> list[tuple]:
    """Return what a trial decides, in an order that does not depend on the processes."""
    return sorted(
        (one["recipe"]["epochs"], one["trial"], one["accuracy"], one["loss"]) for one in lines(folder)
    )


# -- the space ---------------------------------------------------------------------------------------------


def values(text: str, base: Recipe | None = recipes.FAST) -> dict[str, tuple]:
    return {name: one.values for name, one in tune_space.read(text, base, distorts=True).values.items()}


def test_a_space_has_ranges_alternatives_and_values():
    text = "lr=0.001:0.03,hidden=64-32|128,64 | none, ema=none|0.99, batch-size=32:256"
    assert values(text) == {
        "hidden": ((64, 32), (128, 64), ()),
        "batch_size": (32, 256),
        "learning_rate": (0.001, 0.03),
        "ema": (None, 0.99),
    }
    assert values("augment=none|rotation=4,shift=1, dropout=0.1") == {
        "dropout": (0.1,),
        "augment": (None, recipes.make_augmentation({"rotation": 4, "shift": 1})),
    }
    assert values("moment_norm=false|true") == {"moment_norm": (False, True)}
    assert values("") == {}
    assert values("dropout=0", None)["dropout"] == (0.0,)
    assert len(values("", None)["hidden"]) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate=3", "unknown setting 'rate'; the settings are hidden, activation"),
        ("hidde=3", "unknown setting 'hidde'; did you mean 'hidden'?"),
        ("epochs=3", "epochs are what the search spends: give the most of them with --epochs"),
        ("0.1", "must be like lr=0.001:0.03; got '0.1'"),
        ("lr=0.1,lr=0.2", "learning_rate must appear once; got it twice"),
        ("lr=0.1:0.01", "learning_rate: a range must be from a number to a larger one; got '0.1:0.01'"),
        ("hidden=1:5", "hidden: a range must be from a number"),
        ("lr=auto", "learning_rate: must be a number; got 'auto'"),
        ("lr=", "learning_rate: must be a number above 0; got ''"),
        ("dropout=0|1", "dropout: must be a number of at least 0 and below 1; got '1'"),
        ("augment=turn=3", "augment: must be like rotation=10,shift=1.5; got 'turn=3'"),
        ("moment-norm=yes", "moment_norm: must be true or false; got 'yes'"),
        ("moment_norm=false:true", "moment_norm: a range must be from a number"),
        ("schedule=never", "schedule: must be one of constant"),
        ("weight_decay=0.1,optimizer=adam|sgd", "weight_decay needs optimizer=adamw; got optimizer=adam|sgd"),
        ("momentum=0.5", "momentum needs optimizer=momentum; got optimizer=adam"),
    ],
)
def test_a_wrong_space_is_one_line_and_exit_2(text, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main("--preset", "fast", "--space", text)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"fastdigits tune: error: --space: {message}")


def test_recipes_are_drawn_from_the_space_and_are_those_of_their_seed():
    space = tune_space.read("", None, distorts=True)
    drawn = list(islice(space.recipes(1), 100))
    assert drawn == list(islice(space.recipes(1), 100)) != list(islice(space.recipes(2), 100))
    assert len(set(drawn)) == 100
    assert drawn[0] == Recipe(name="tuned")  # train's own settings
    rates = [one.learning_rate for one in drawn]
    assert 0.001 <= min(rates) < 0.0015
    assert 0.02 < max(rates) <= 0.03
    assert all(float(f"{rate:.3g}") == rate for rate in rates)
    assert 0.4 < np.mean([rate < math.sqrt(0.001 * 0.03) for rate in rates]) < 0.6  # logarithmic
    for name, one in space.values.items():
        if not one.ranges:
            assert {getattr(recipe, name) for recipe in drawn} == set(one.values), name
    assert all((one.weight_decay is None) == (one.optimizer == "adam") for one in drawn)


def test_one_setting_may_be_restricted_without_a_change_of_the_others():
    before = list(islice(tune_space.read("", None, distorts=True).recipes(0), 9))
    after = list(islice(tune_space.read("hidden=7", None, distorts=True).recipes(0), 9))
    assert after == [dataclasses.replace(one, hidden=(7,)) for one in before]


def test_a_small_space_ends():
    space = tune_space.read("hidden=5|6|7, batch_size=8|9", recipes.DEFAULT, distorts=False)
    drawn = list(space.recipes(0))
    assert len(drawn) == 6
    assert {one.optimizer for one in drawn} == {"adamw"}
    space = tune_space.read("swa=0.5, ema=none|0.9", recipes.FAST, distorts=False)
    assert [(one.ema, one.swa) for one in space.recipes(0)] == [(None, 0.5), (0.9, None)]
    assert {
        one.batch_size for one in tune_space.read("batch_size=2:3", recipes.FAST, distorts=False).recipes(0)
    } == {2, 3}


# -- the rounds, with trainings that take no time ------------------------------------------------------------


class Pretended:
    """Trainings with invented scores, on a clock that goes on with each."""

    def __init__(self, score: Callable[[Recipe], Score], processes: int = 1) -> None:
        self.score, self.processes = score, processes
        self.now, self.begun, self.threads = 0.0, [], []

    def submit(self, task, threads):
        future = Future()
        score = self.score(task.recipe)
        self.now += score.seconds
        self.threads.append(threads)
        future.set_result(score)
        return future

    def run(self, plan: Plan, trials: list[Trial]) -> list[tuple[int, int]]:
        before = len(trials)
        begun = lambda number, count: self.begun.append((number, count))  # noqa: E731
        tune_search.search(
            plan, trials, self.submit, self.processes, lambda: self.now, begun, lambda trial: None
        )
        return [(trial.recipe.epochs, trial.number) for trial in trials[before:]]


def plan(count: int, epochs: list[int], seconds: float = math.inf) -> Plan:
    """Return a plan of recipes, each with its number as batch size."""
    return Plan([Recipe(name="tuned", batch_size=1 + place) for place in range(count)], epochs, seconds)


def by_batch_size(recipe: Recipe) -> Score:
    """Return a better score for a larger batch; a second per epoch."""
    return Score(accuracy=recipe.batch_size / 100, loss=1.0, seconds=recipe.epochs)


def test_each_round_trains_the_best_third_three_times_as_long():
    assert tune_search.rounds(27) == [3, 9, 27]
    assert tune_search.rounds(20) == [2, 7, 20]
    assert tune_search.rounds(2) == [1, 2]
    assert tune_search.rounds(1) == [1]
    pretended = Pretended(by_batch_size, processes=4)
    done = pretended.run(plan(10, [1, 3, 9]), [])
    assert sorted(done[:10]) == [(1, place) for place in range(10)]
    assert sorted(done[10:14]) == [(3, place) for place in (6, 7, 8, 9)]
    assert sorted(done[14:]) == [(9, 8), (9, 9)]
    assert pretended.begun == [(0, 10), (1, 4), (2, 2)]
    assert pretended.threads == [1] * 14 + [2] * 2  # fewer trials than processes: more threads for each


def test_a_smaller_loss_and_then_the_number_decide_between_equal_accuracies():
    def score(recipe):
        return Score(accuracy=0.5, loss=2.0 if recipe.batch_size < 3 else 1.0, seconds=1)

    assert Pretended(score).run(plan(4, [1, 3]), [])[4:] == [(3, 2), (3, 3)]


def test_trainings_that_diverge_come_last_and_end_there():
    def score(recipe):
        bad = recipe.batch_size > 1
        return Score(accuracy=None if bad else 0.1, loss=None if bad else 1.0, seconds=1)

    assert Pretended(score).run(plan(6, [1, 3]), [])[6:] == [(3, 0)]


def test_trials_that_are_done_are_not_trained_again():
    trials = []
    whole = Pretended(by_batch_size).run(plan(9, [1, 3, 9]), trials)
    for kept in (0, 4, 9, 11, 13):
        again = trials[:kept]
        assert Pretended(by_batch_size).run(plan(9, [1, 3, 9]), again) == whole[kept:]


def test_each_round_has_its_part_of_the_time_and_slow_recipes_are_left_out():
    def score(recipe):
        slow = 100 if recipe.batch_size == 4 else 1
        return dataclasses.replace(by_batch_size(recipe), seconds=slow * recipe.epochs)

    pretended = Pretended(by_batch_size)
    done = pretended.run(plan(100, [1, 3, 9], seconds=60), [])
    assert [sum(epochs == one for epochs, _ in done) for one in (1, 3, 9)] == [20, 6, 2]
    assert pretended.now <= 60
    pretended = Pretended(score)
    done = pretended.run(plan(6, [1, 3, 9], seconds=120), [])
    assert done == [(1, 0), (1, 1), (1, 2), (1, 3)]  # the fourth takes 100 of the first 40 seconds
    assert pretended.run(plan(3, [1, 3], seconds=100), []) == []  # the time is over


# -- the command -------------------------------------------------------------------------------------------


def test_a_search_ends_with_a_recipe_that_gives_train_the_accuracy_of_the_trial(digits, capsys):
    folder = search(digits, "search", "--json")
    result = json.loads(capsys.readouterr().out)
    assert json.loads((folder / run_folder.RESULT).read_text()) == result
    assert {path.name for path in folder.iterdir()} == {
        "search.json",
        "trials.jsonl",
        "recipe.json",
        "result.json",
    }
    assert [one["recipe"]["epochs"] for one in lines(folder)] == [1] * 5 + [3] * 2 + [9]
    recipe = recipes.load(folder / run_folder.RECIPE)
    assert (
        recipe.about
        == f"{100 * result['held_out_accuracy']:.2f} % of 60 held-out images, the best of 5 recipes"
    )
    best = max(one["accuracy"] for one in lines(folder))
    assert (result["held_out_accuracy"], result["trials"], result["rounds"]) == (best, 8, [1, 3, 9])
    words = [
        "--recipe",
        str(folder / "recipe.json"),
        "--validation-split",
        "0.25",
        "--seed",
        "3",
        "--no-plots",
    ]
    assert train.main(["--data", str(digits), *words, "--quiet", "-o", "run"]) == 0
    with open("run/history.csv") as file:
        assert float([*csv.DictReader(file)][-1]["val_accuracy"]) == pytest.approx(best, abs=1e-6)
    settings = json.loads(Path("run/settings.json").read_text())
    assert settings["recipe"] == str((folder / "recipe.json").resolve())
    assert settings["batch_size"] == recipe.batch_size


def test_messages_show_plan_progress_and_result_within_80_columns(digits, capsys):
    assert (
        main("--data", "digits", *WORDS[:2], "--epochs", 2, "--repeats", 2, "--processes", 1, "-o", "a b")
        == 0
    )
    shown = capsys.readouterr().err
    for words in (
        "images          ", "each recipe is trained 2 times", "5 recipes, then a third of them, of 1, 2 epochs",
        "learning_rate    0.001:0.03", "round 1 of 2    5 recipes, 1 epoch", "1 of 5          best ",
        "held out  epochs  seconds  trial", "recipe           tuned: ", "expect a little less on",
        "next            fastdigits train --recipe 'a b/recipe.json' --data ",
    ):  # fmt: skip
        assert words in shown
    assert "augment" in shown  # images of pixels
    assert max(len(line) for line in shown.splitlines() if "fastdigits train" not in line) <= 80


def test_a_repeat_has_its_own_weights_and_held_out_images(digits):
    one, other = (search(digits, f"seed{seed}", "--seed", seed, "--trials", 1) for seed in (3, 4))
    both = search(digits, "both", "--repeats", 2, "--trials", 1)
    first, second, mean = (lines(folder)[0] for folder in (one, other, both))
    assert mean["accuracy"] == (first["accuracy"] + second["accuracy"]) / 2
    assert mean["loss"] == pytest.approx((first["loss"] + second["loss"]) / 2)


def test_defaults_depend_on_the_images(digits):
    options = tune_options.read(["--data", str(digits)])
    setup = tune_setup.prepare(options, "x")
    assert (len(setup.plan.recipes), setup.plan.epochs, len(setup.splits)) == (27, [11, 33, 100], 10)
    assert setup.held_out == 240
    options = tune_options.read(
        ["--data", str(digits), "--minutes", "2", "--preset", "fast", "--space", "lr=0.01:0.1"]
    )
    setup = tune_setup.prepare(options, "x")
    assert (len(setup.plan.recipes), setup.plan.epochs, setup.plan.seconds) == (500, [1, 2, 5], 120)


@pytest.fixture
def table(here) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    rows = np.column_stack([rng.normal(size=(120, 3)) + 2 * y[:, np.newaxis], y])
    np.savetxt("rows.csv", rows, "%.3f,%.3f,%.3f,%d", header="a,b,c,label", comments="")
    return here / "rows.csv"


def test_a_table_is_searched_without_distortions(table, capsys):
    setup = tune_setup.prepare(tune_options.read(["--data", str(table)]), "x")
    assert "augment" not in setup.space.values
    assert main("--data", table, "--space", "moment_norm=false|true") == 2
    assert (
        "moment_norm needs images; got rows of 3 columns: take moment_norm=false" in capsys.readouterr().err
    )
    for words in (["--space", "augment=none|rotation=3"], ["--preset", "default"]):
        assert main("--data", table, *words) == 2
        error = "--space: augment needs images; got rows of 3 columns: take augment=none"
        assert error in capsys.readouterr().err
    assert main("--data", table, *WORDS, "--trials", 1, "--processes", 1, "-o", "search", "--quiet") == 0
    assert lines(Path("search"))[-1]["accuracy"] > 0.7  # half of it by chance


def test_shards_are_searched_as_the_images_that_they_are(digits):
    from fastdigits.commands import shard

    assert shard.main(["--data", str(digits), "--output", "shards", "--keep-order", "--quiet"]) == 0
    assert scores(search(digits, "search")) == scores(search(Path("shards"), "other"))


# -- the end before the end --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a search that Ctrl-C ended in its fourth training, and what it printed."""
    folder = tmp_path_factory.mktemp("stopped")
    write_dataset(folder / "digits")
    measure, calls = tune_workers.measure, []

    def once(splits, job):
        calls.append(job)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(splits, job)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as shown:
        patch.chdir(folder)
        patch.setattr(tune_workers, "measure", once)
        assert main("--data", "digits", *WORDS, "--processes", 1, "-o", "part") == 130
    return folder / "part", shown.getvalue()


@pytest.fixture
def interrupted(stopped, here) -> Path:
    shutil.copytree(stopped[0], here / "part")
    return Path("part")


def test_an_interrupted_search_says_how_to_go_on_and_ends_as_an_uninterrupted_one(
    stopped, interrupted, digits
):
    assert "next            fastdigits tune --resume part\n" in stopped[1]
    assert len(lines(interrupted)) == 3
    assert json.loads((interrupted / run_folder.RESULT).read_text())["interrupted"] is True
    assert recipes.load(interrupted / run_folder.RECIPE).epochs == 1  # the best so far
    assert main("--resume", "part", "--processes", 1, "--quiet") == 0
    whole = search(digits, "whole")
    assert scores(interrupted) == scores(whole)
    assert (interrupted / run_folder.RECIPE).read_bytes() == (whole / run_folder.RECIPE).read_bytes()
    result = json.loads((interrupted / run_folder.RESULT).read_text())
    assert (result["interrupted"], result["resumed"]) == (False, 1)


def test_a_finished_search_may_get_more_trials(digits):
    few = search(digits, "search", "--trials", 2)
    before = len(lines(few))
    assert main("--resume", "search", "--trials", 5, "--processes", 1, "--quiet") == 0
    assert len(lines(few)) > before
    assert set(scores(search(digits, "whole"))) <= set(scores(few))


def test_an_interrupt_before_the_first_trial_leaves_a_search_to_resume(digits, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tune_workers, "measure", interrupt)
        assert main("--data", digits, *WORDS, "--processes", 1, "-o", "part", "--quiet") == 130
    assert (
        "interrupted before a trial ended; go on with fastdigits tune --resume part"
        in capsys.readouterr().err
    )
    assert main("--resume", "part", "--processes", 1, "--quiet") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "3"], "--resume: settings must be those of the run; --epochs was 9, got 3"),
        (["--space", "lr=0.1"], "--resume: settings must be those of the run; --space was hidden=5|9"),
        (["--output", "other"], "--resume: the run stays in its folder; got --output other"),
    ],
)
def test_a_search_is_resumed_with_its_own_settings(interrupted, words, message, capsys):
    with pytest.raises(SystemExit):
        main("--resume", interrupted, *words)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one | {"trial": 4}, "line 2: trial 4 of another search: begin a new one"),
        (lambda one: one | {"trial": 400}, "line 2: trial 400 of another search: begin a new one"),
        (lambda one: one | {"accuracy": 1.5}, "line 2: accuracy must be a finite float32 number with 0"),
        (lambda one: one | {"recipe": 3}, "line 2: recipe must have entries by name; got 3"),
        (lambda one: one | {"recipe": one["recipe"] | {"x": 1}}, "unexpected keyword argument 'x'"),
        (lambda one: {"trial": 1}, "line 2 must have trial, accuracy, loss"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(interrupted, change, message, capsys):
    path = interrupted / run_folder.TRIALS
    found = lines(interrupted)
    found[1] = change(found[1])
    path.write_text("".join(f"{json.dumps(one)}\n" for one in found))
    assert main("--resume", interrupted, "--processes", 1) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"{path}: must hold the trials of this search; got: " in error
    assert message in error


def test_a_search_of_other_images_is_not_resumed(interrupted, capsys):
    path = interrupted / run_folder.SEARCH
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images": "x"}))
    assert main("--resume", interrupted) == 2
    assert "--resume: the training images must be those of the search; got others" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"images": 3}, {"command": "rm x"}, {"epochs": "3"}])
def test_wrong_settings_are_refused(interrupted, change, capsys):
    path = interrupted / run_folder.SEARCH
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SystemExit):
        main("--resume", interrupted)
    assert f"--resume: {path}: must hold the settings of a run; got: settings: " in capsys.readouterr().err


def test_a_folder_with_a_search_needs_overwrite(interrupted, digits, capsys):
    assert main("--data", digits, "-o", interrupted) == 2
    assert "--output: must not hold a search already; got 'part' with search.json" in capsys.readouterr().err
    search(digits, "part", "--overwrite", "--trials", 1)
    assert len(lines(interrupted)) == 3  # none of the search before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--minutes", "1e-9"], "--minutes: must be enough for one trial; got 1e-09: take more, or fewer --epochs"),
        (["--space", "lr=1e30", "--preset", "original"], "--space: some recipe must not diverge; got none"),
        (["--validation-split", "0.001"], "--validation-split: must leave images on both sides; got 0.001 of 240"),
    ],
)  # fmt: skip
def test_a_search_without_a_result_is_an_error_of_one_line(digits, words, message, capsys):
    assert main("--data", digits, *WORDS[:6], "--processes", 1, "--quiet", "-o", "search", *words) == 2
    assert message in capsys.readouterr().err
    assert not Path("search", run_folder.RECIPE).exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--trials 501", "--trials: must be a whole number of at most 500; got '501'"),
        ("--validation-split 0", "--validation-split: must be a number above 0 and below 1; got '0'"),
        ("--minutes 0", "--minutes: must be a number above 0; got '0'"),
        ("--recipe none.json", "--recipe: none.json: must be a file with a JSON object"),
        ("--overwrite", "--overwrite: needs a folder; got none: name it with --output"),
        ("--resume none", "--resume: none/search.json: must be a file with a JSON object"),
        ("--hidden 5", "unknown option '--hidden'"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(words, message, here, capsys):
    with pytest.raises(SystemExit) as caught:
        tune_options.read(words.split())
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


# -- several processes -------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_any_number_of_processes_gives_the_same_trials(digits):
    one, two = search(digits, "one"), search(digits, "two", processes=2)
    assert scores(one) == scores(two)
    assert (one / run_folder.RECIPE).read_bytes() == (two / run_folder.RECIPE).read_bytes()
    assert not (two / tune_workers.IMAGES).exists()


@pytest.mark.exhaustive
@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_the_search_and_it_goes_on(digits, here, number):
    words = ["--data", digits, *WORDS, "--epochs", 90, "--trials", 9, "--processes", 2, "-o", "part"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastdigits.tune", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        start_new_session=True,
    )
    path = here / "part" / run_folder.TRIALS
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does, to all processes
    else:
        process.kill()
    shown = process.communicate(timeout=60)[1]  # ends when no process has the pipe any more
    assert "Traceback" not in shown
    assert process.returncode == (130 if number == signal.SIGINT else -number)
    before = lines(here / "part")
    assert before
    assert main("--resume", "part", "--processes", 1, "--quiet") == 0
    whole = search(digits, "whole", "--epochs", 90, "--trials", 9)
    assert scores(here / "part") == scores(whole)
    assert sorted(path.name for path in (here / "part").iterdir()) == sorted(
        path.name for path in whole.iterdir()
    )


@pytest.mark.exhaustive
def test_a_process_that_is_killed_is_an_error_that_says_how_to_go_on(digits, here, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(tune_workers, "_begin", os.abort)
        assert main("--data", digits, *WORDS, "--processes", 2, "--quiet", "-o", "part") == 2
    error = capsys.readouterr().err
    assert main("--resume", "part", "--processes", 1, "--quiet") == 0
    assert "got 2, of which one was killed: go on with fastdigits tune --resume part --processes 1" in error
