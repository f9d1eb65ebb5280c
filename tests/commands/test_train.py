"""`python -m fastdigits.train`, run as a user runs it."""

import csv
import dataclasses
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits import __main__ as entry
from fastdigits import backend, recipes, visualize
from fastdigits.commands import run_folder, system, train, train_images

SOURCE = Path(fd.__file__).parents[1]
SAVED = {
    run_folder.SETTINGS,
    run_folder.MODEL,
    run_folder.HISTORY,
    run_folder.RESULT,
}  # whatever comes after the training
FILES = SAVED | {run_folder.REPORT}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_dataset(folder)
    return folder


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(SOURCE), "COLUMNS": "80"} | changes


def run(*argv: object, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastdigits.train", *map(str, argv)],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**changes),
        timeout=120,
    )


def main(*argv: object) -> int:
    """Run within this process: fast, and for what must be replaced in it."""
    return train.main([str(word) for word in argv])


def on_a_terminal(*argv: object, cwd: Path, **changes: str) -> str:
    """Run with standard error on a terminal of 80 columns; return what it showed."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 80))
    process = subprocess.Popen(
        [sys.executable, "-m", "fastdigits.train", *map(str, argv)],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        cwd=cwd,
        env=environment(**{"TERM": "xterm", "NO_COLOR": ""} | changes),
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    process.wait(timeout=60)
    return shown.decode()


COLOUR = r"\x1b\[[0-9;]*m"


def lines_of(shown: str) -> list[str]:
    """Return the lines of a terminal, each state of one that was written over; without colours and moves."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", shown))


# -- what is shown while it trains -------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_a_terminal_shows_a_bar_and_a_log_one_line_an_epoch(digits, tmp_path):
    words = ("--data", digits, "--epochs", 3, "--no-plots")
    shown = on_a_terminal(*words, cwd=tmp_path)
    assert re.search(r"\repoch 1/3: +\d+%\|", shown)
    assert [line for line in lines_of(shown) if len(line) > 80 and str(digits) not in line] == []
    logged = run(*words, cwd=tmp_path).stderr
    assert "\r" not in logged
    assert [line[:9] for line in logged.splitlines() if line.startswith("epoch")] == [
        "epoch 1/3",
        "epoch 2/3",
        "epoch 3/3",
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_a_terminal_shows_the_test_accuracy_in_bold(digits, tmp_path):
    shown = on_a_terminal("--data", digits, "--epochs", 2, "--no-plots", cwd=tmp_path)
    assert re.findall(COLOUR, shown) == ["\x1b[1m", "\x1b[0m"]
    assert re.search(r"test accuracy   \x1b\[1m\d+\.\d\d %\x1b\[0m, 95 % interval", shown)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_a_terminal_shows_the_word_error_in_red(tmp_path):
    shown = on_a_terminal("--data", "none", cwd=tmp_path)
    assert shown.startswith("fastdigits train: \x1b[1;31merror:\x1b[0m ")
    assert len(re.findall(COLOUR, shown)) == 2


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
@pytest.mark.parametrize("changes", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_nothing_is_coloured_where_it_is_not_wanted(digits, tmp_path, changes):
    shown = on_a_terminal("--data", digits, "--epochs", 2, "--no-plots", cwd=tmp_path, **changes)
    assert "test accuracy" in shown
    assert not re.search(COLOUR, shown)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_quiet_shows_nothing_on_a_terminal(digits, tmp_path):
    assert on_a_terminal("--data", digits, "--epochs", 2, "--no-plots", "--quiet", cwd=tmp_path) == ""


# -- a whole run -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(digits, tmp_path_factory):
    """One run with everything; several tests look at it."""
    cwd = tmp_path_factory.mktemp("finished")
    done = run("--data", digits, "--epochs", 12, "--batch-size", 16, "--hidden", "8,4", "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done, cwd


def test_standard_output_is_one_line_of_json_and_the_same_as_the_result_file(finished):
    done, cwd = finished
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert json.loads((cwd / result["output"] / run_folder.RESULT).read_text(encoding="utf-8")) == result


def test_the_result_says_how_good_how_fast_and_from_what(finished):
    result = json.loads(finished[0].stdout)
    assert 0.9 < result["test_accuracy"] <= 1
    assert 0.9 < result["train_accuracy"] <= 1
    assert 0 < result["test_loss"] < 0.5
    assert (result["train_images"], result["test_images"]) == (240, 60)
    assert (result["epochs"], result["seed"], result["interrupted"]) == (12, 0, False)
    assert 0 < result["train_seconds"] < result["total_seconds"]
    expected_speed = 12 * 240 / result["train_seconds"]
    assert result["images_per_second"] == pytest.approx(expected_speed)
    assert result["parameters"] == (30 * 8 + 8) + 2 * 8 + (8 * 4 + 4) + (4 * 3 + 3)
    assert result["backend"] in backend.MODULES
    assert result["threads"] >= 1
    assert result["settings"]["hidden"] == [8, 4]
    assert result["versions"]["fastdigits"] == fd.__version__
    assert result["machine"]["processor"]
    hits = round(60 * result["test_accuracy"])
    assert result["test_accuracy_interval"] == pytest.approx(fd.wilson_interval(hits, 60))
    assert [one["support"] for one in result["classes"]] == [20, 20, 20]
    assert sum(one["recall"] for one in result["classes"]) / 3 == pytest.approx(result["recall"])
    assert result["recall"] == pytest.approx(result["test_accuracy"])  # as the classes are equally large
    assert 0 < result["calibration_error"] < 0.5
    assert abs(datetime.fromisoformat(result["date"]) - datetime.now(UTC)) < timedelta(minutes=10)


def test_the_command_that_the_result_names_gives_the_same_network(finished):
    done, cwd = finished
    result = json.loads(done.stdout)
    words = shlex.split(result["command"])
    if forced := os.environ.get("FASTDIGITS_BACKEND"):  # the line then says so
        assert words.pop(0) == f"FASTDIGITS_BACKEND={forced}"
    assert words[:3] == ["python", "-m", "fastdigits.train"]
    assert "--json" not in words
    again = run(*words[3:], "-o", "again", "--no-plots", cwd=cwd)
    assert again.returncode == 0, again.stderr
    first, second = (fd.load(cwd / folder / run_folder.MODEL) for folder in (result["output"], "again"))
    assert first.values.tobytes() == second.values.tobytes()


def test_the_folder_holds_model_history_result_and_pictures(finished):
    done, cwd = finished
    result = json.loads(done.stdout)
    folder = cwd / result["output"]
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", Path(result["output"]).as_posix())
    assert len(result["pictures"]) >= 4
    assert {path.name for path in folder.iterdir()} == FILES | set(result["pictures"])


def test_the_model_scores_what_the_result_says(finished, digits):
    done, cwd = finished
    result = json.loads(done.stdout)
    network = fd.load(cwd / result["output"] / run_folder.MODEL)
    (x, y), (x_test, y_test) = fd.load_folder(digits)
    assert network.evaluate(x, y)["accuracy"] == result["train_accuracy"]
    score = network.evaluate(x_test, y_test)
    assert score["accuracy"] == result["test_accuracy"]
    # The other process may have run on other kernels, whose sums are in another order.
    assert score["loss"] == pytest.approx(result["test_loss"], rel=1e-4)


def test_the_history_has_a_line_for_each_epoch_and_shows_the_test_images(finished):
    done, cwd = finished
    result = json.loads(done.stdout)
    with open(cwd / result["output"] / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    assert float(rows[-1]["val_accuracy"]) == result["test_accuracy"]
    assert {"loss", "accuracy", "lr", "images_per_second"} <= rows[0].keys()


def test_standard_error_tells_the_run_from_beginning_to_end(finished):
    done, _ = finished
    result = json.loads(done.stdout)
    text = done.stderr
    assert "240 training, 60 test, 6 x 5 pixels, 3 classes" in " ".join(text.split())
    assert "Dense(30, 8)" in text
    assert len(re.findall(r"^epoch +\d+/12 .* ms$", text, re.MULTILINE)) == 12
    assert f"test accuracy   {100 * result['test_accuracy']:.2f} %, 95 % interval" in text
    assert f"train accuracy  {100 * result['train_accuracy']:.2f} %, 95 % interval" in text
    assert "\x1b" not in text
    data = result["settings"]["data"]
    assert [line for line in text.splitlines() if len(line) > 80 and data not in line] == []
    for name in (result["output"], *(FILES - {run_folder.SETTINGS}), *result["pictures"]):
        assert name in text
    assert "Warning" not in text
    assert "Traceback" not in text


def test_a_path_alone_makes_a_line_longer_than_80_columns(here, capfd):
    folder = "a folder with a very long name, " * 4
    write_dataset(here / "digits")
    assert main("--data", "digits", "--epochs", 2, "--no-plots", "-o", folder) == 0
    long = [line for line in capfd.readouterr().err.splitlines() if len(line) > 80]
    assert len(long) == 3
    assert all(folder in line for line in long)


# -- what to do next ---------------------------------------------------------------------------------------


def next_lines(text: str) -> list[list[str]]:
    return [
        shlex.split(line) for line in re.findall(r"^(?:next {11}| {15}) (fastdigits .+)$", text, re.MULTILINE)
    ]


def test_the_end_names_commands_that_work_with_the_run(here, capfd):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60) % 3
    np.savez("squares.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert main("--data", "squares.npz", "--epochs", 1, "--no-plots", "-o", "runs/it's mine") == 0
    draw, predict = next_lines(capfd.readouterr().err)
    assert draw == ["fastdigits", "draw", "--model", "runs/it's mine"]
    assert predict == ["fastdigits", "predict", "photo.jpg", "--model", "runs/it's mine"]
    assert entry.main([*draw[1:], "--no-open"]) == 0
    Image.fromarray(np.pad(np.full((20, 6), 255, np.uint8), 20)).save("photo.jpg")
    assert entry.main(predict[1:]) == 0


def test_images_that_are_not_square_are_evaluated_next(digits, here, capfd):
    assert main("--data", digits, "--epochs", 1, "--no-plots", "-o", "run") == 0
    (words,) = next_lines(capfd.readouterr().err)
    assert words == ["fastdigits", "evaluate", "--model", "run", "--data", str(digits)]
    assert entry.main([*words[1:], "--no-plots"]) == 0


def test_a_column_of_a_table_that_cannot_be_standardised_is_named(here, capsys):
    """The advice was a smaller --hidden."""
    x = np.random.default_rng(0).normal(size=(60, 4)) * [1, 1e30, 1, 1]
    np.savez("a.npz", x_train=x, y_train=np.arange(60) % 3, x_test=x, y_test=np.arange(60) % 3)
    assert main("--data", "a.npz", "--epochs", 1, "-o", "run") == 2
    assert (
        "--data: Standardize(4): x: column 1, counted from 0 without labels, must have"
        in capsys.readouterr().err
    )


def test_a_column_of_a_table_with_a_large_offset_is_named(here, capsys):
    x = np.random.default_rng(0).normal(size=(60, 4)) * 30 + [0, 0, 0, 1.7e9]
    Path("a.csv").write_text(
        "a,b,c,d,label\n" + "\n".join(f"{a},{b},{c},{d},{i % 3}" for i, (a, b, c, d) in enumerate(x))
    )
    assert main("--data", "a.csv", "--epochs", 1, "--no-plots", "-o", "run") == 0
    text = " ".join(capsys.readouterr().err.split())
    assert (
        "--data: Standardize(4): x: column 3, counted from 0 without labels, has numbers around 1.7e+09"
        in text
    )


def test_images_are_normalised_by_their_moments(here, digits, capsys):
    argv = ["--data", digits, "--epochs", 1, "--no-plots", "--augment", "rotation=5"]
    assert main(*argv, "--moment-norm", "-o", "run") == 0
    network = fd.load("run/model.safetensors")
    assert repr(network.layers[0]) == f"MomentNorm({network.layers[0].height}, {network.layers[0].width})"
    assert entry.main(["evaluate", "--model", "run", "--data", str(digits), "--no-plots"]) == 0
    recipe = dataclasses.replace(recipes.FAST, epochs=1, moment_norm=True)
    recipe.save("mine.json")
    capsys.readouterr()
    assert (
        main("--data", digits, "--recipe", "mine.json", "--no-moment-norm", "--no-plots", "-o", "plain") == 0
    )
    assert "momentnorm1" not in capsys.readouterr().err


def test_only_images_that_are_small_are_normalised_by_their_moments(here, capsys):
    for shape, message in [
        ((60, 4), "needs images; got rows of 4 columns"),
        ((60, 65, 2), "needs images of at most 64 x 64 pixels; got 65 x 2"),
    ]:
        x, y = np.random.default_rng(0).random(shape), np.arange(60) % 3
        np.savez("a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        assert main("--data", "a.npz", "--epochs", 1, "--moment-norm", "-o", "run") == 2
        assert f"--moment-norm: {message}" in capsys.readouterr().err


def test_a_table_in_shards_is_standardised(here, capsys):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 3
    x = (rng.normal(size=(400, 4)) + 2 * y[:, np.newaxis]) * [1e-3, 1, 1e4, 1e6]
    np.savez("a.npz", x_train=x[:300], y_train=y[:300], x_test=x[300:], y_test=y[300:])
    assert entry.main(["shard", "--data", "a.npz", "--output", "shards", "--quiet"]) == 0
    assert main("--data", "shards", "--epochs", 10, "--batch-size", 16, "--no-plots", "-o", "run") == 0
    assert "standardize1  Standardize(4)" in capsys.readouterr().err
    assert json.loads(Path("run", "result.json").read_text())["test_accuracy"] > 0.8  # raw columns: 0.7
    assert main("--resume", "run") == 0


def test_a_table_has_rows_and_columns_and_no_pictures_of_them(here, capfd):
    rng = np.random.default_rng(0)
    classes = np.arange(60) % 3
    x, y = rng.normal(size=(60, 4)), np.array(["a", "b", "c"])[classes]
    x[:, 0] = (x[:, 0] / 3 + 2 * classes) / 1000  # in a unit that makes it small beside the others
    x[:, 1:] *= 1e4
    lines = [",".join([*map(str, row), name]) for row, name in zip(x.tolist(), y, strict=True)]
    Path("flowers.csv").write_text("\n".join(["p,q,r,s,target", *lines]))
    assert main("--data", "flowers.csv", "--epochs", 30, "--batch-size", 16, "-o", "run") == 0
    assert (
        json.loads(Path("run", "result.json").read_text())["test_accuracy"] > 0.8
    )  # raw columns: 0.4 or less
    err = capfd.readouterr().err
    assert "standardize1  Standardize(4)" in err
    assert "flowers.csv: 50 training, 10 test, 4 columns, 3 classes" in " ".join(err.split())
    assert {path.name for path in Path("run").glob("*.png")} == {
        "curves.png",
        "confusion.png",
        "calibration.png",
    }
    assert main("--resume", "run") == 0
    page = Path("run", "report.html").read_text()
    assert "of 10 test rows recognised" in page
    assert not re.search("test images|pixels", page + err)
    evaluate, predict = next_lines(err)
    assert entry.main([*evaluate[1:], "--no-plots"]) == 0
    assert "flowers.csv: 10 test rows, 4 columns" in " ".join(capfd.readouterr().err.split())
    Path("rows.csv").write_text("\n".join(["p,q,r,s", *(line.rpartition(",")[0] for line in lines)]))
    assert entry.main(predict[1:]) == 0


@pytest.mark.parametrize(
    "words", [("--no-plots",), pytest.param((), marks=pytest.mark.exhaustive)], ids=["numbers", "pictures"]
)
def test_two_epochs_of_real_digits_come_out_above_95_percent(tmp_path, words):
    done = run("--epochs", 2, "--json", *words, cwd=tmp_path, FASTDIGITS_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["test_accuracy"] > 0.95
    assert result["parameters"] == 52_778
    assert (result["train_images"], result["test_images"]) == (60_000, 10_000)


# -- options that change what is told ----------------------------------------------------------------------


def test_quiet_says_nothing_at_all(digits, tmp_path):
    done = run("--data", digits, "--epochs", 1, "--no-plots", "--quiet", "--output", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_quiet_leaves_the_json(digits, here, capsys):
    assert main("--data", digits, "--epochs", 1, "--no-plots", "-q", "--json", "-o", "out") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out)["pictures"] == []


def test_show_opens_the_report_or_says_that_it_cannot(digits, here, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(system, "open_file", lambda file: shown.append(file) or len(shown) == 1)
    assert main("--data", digits, "--epochs", 1, "--no-plots", "--show", "-o", "one") == 0
    assert shown == [Path("one/report.html")]
    assert "no display" not in capsys.readouterr().err
    assert main("--data", digits, "--epochs", 1, "--no-plots", "--show", "-o", "two") == 0
    line = f"fastdigits train: no display to show the report on: open {Path('two/report.html')}\n"
    assert line in capsys.readouterr().err


# -- options that change the training ----------------------------------------------------------------------


def quick(digits, output, *argv):
    """Train a little; return result, history and the bytes of all parameters."""
    assert main("--data", digits, "--no-plots", "--quiet", "-o", output, "--epochs", 2, *argv) == 0
    folder = Path(output)
    with open(folder / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    result = json.loads((folder / run_folder.RESULT).read_text(encoding="utf-8"))
    return result, history, fd.load(folder / run_folder.MODEL).values.tobytes()


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(digits, here):
    models = [quick(digits, f"run{threads}", "--threads", threads)[2] for threads in (1, 2, 3)]
    assert models[0] == models[1] == models[2]
    assert quick(digits, "other", "--seed", 1)[2] != models[0]


def test_the_backend_option_takes_effect(digits, here):
    assert quick(digits, "run", "--backend", "numpy")[0]["backend"] == "numpy"


def test_the_environment_chooses_the_backend(digits, tmp_path):
    done = run(
        "--data", digits, "--epochs", 1, "--no-plots", "--json", cwd=tmp_path, FASTDIGITS_BACKEND="numpy"
    )
    assert json.loads(done.stdout)["backend"] == "numpy"


@pytest.mark.parametrize(
    "argv",
    [
        ("--optimizer", "sgd", "--schedule", "constant"),
        ("--optimizer", "momentum", "--momentum", "0.8", "--schedule", "step"),
        ("--optimizer", "rmsprop", "--schedule", "cosine"),
        ("--optimizer", "adamw", "--weight-decay", "0.1", "--schedule", "warm-up"),
        ("--hidden", "5", "--batchnorm", "none", "--activation", "leaky-relu"),
        ("--label-smoothing", "0.1"),
        ("--dropout", "0.1"),
        ("--batch-size", "16"),
        ("--learning-rate", "0.02"),
        ("--hidden", "9,7,5", "--batchnorm", "all", "--dropout", "0.1", "--label-smoothing", "0.1"),
    ],
)
def test_each_kind_of_training_runs_and_differs_from_the_default(digits, here, argv):
    assert quick(digits, "changed", *argv)[2] != quick(digits, "default")[2]


def test_held_out_images_are_neither_trained_on_nor_counted(digits, here):
    result, history, _ = quick(
        digits, "run", "--validation-split", "0.25", "--hidden", "8", "--batch-size", "16"
    )
    assert (result["train_images"], result["test_images"]) == (180, 60)
    # The same ones as those that fit itself sets apart.
    (x, y), _ = fd.load_folder(digits)
    network = fd.NeuralNetwork([fd.Dense(30, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=0)
    expected = network.fit(
        *(x, y),
        epochs=2,
        batch_size=16,
        optimizer=fd.Adam(lr=0.01),
        schedule=fd.OneCycle(),
        validation_split=0.25,
    )
    assert [float(row["val_loss"]) for row in history] == expected.val_loss
    assert [float(row["loss"]) for row in history] == expected.loss


def test_patience_stops_and_keeps_the_best_epoch(digits, here, capsys):
    # At this learning rate the held-out loss soon rises.
    argv = ["--epochs", 200, "--validation-split", "0.2", "--patience", 2, "--learning-rate", "0.5"]
    assert main("--data", digits, "--no-plots", "-o", "run", *argv, "--json", "--schedule", "constant") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["epochs"] == result["best_epoch"] + 2 < 200
    assert f"epoch {result['best_epoch']}, the best on the held-out images" in captured.err


def test_a_split_that_leaves_no_images_is_refused(digits, here, capsys):
    assert main("--data", digits, "--validation-split", "0.001") == 2
    line = "--validation-split: must leave images on both sides; got 0.001 of 240 images"
    assert capsys.readouterr().err == f"fastdigits train: error: {line}\n"


# -- errors ------------------------------------------------------------------------------------------------


def test_a_bad_value_ends_the_process_with_2_before_any_work(tmp_path):
    done = run("--hidden", "64,,3", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastdigits train: error: --hidden: must be whole numbers")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_a_folder_without_images_is_one_line_and_leaves_nothing_behind(here, name, capsys):
    (here / "empty").mkdir()
    (here / "file").touch()
    before = set(here.iterdir())
    assert main("--data", name) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("fastdigits train: error: ")
    assert name in text
    assert set(here.iterdir()) == before


def test_an_output_folder_with_a_run_is_kept_unless_overwrite_is_said(digits, here, capsys):
    first = quick(digits, "run")
    (here / "run" / "notes.txt").write_text("mine")
    (here / "run" / "weights.png").touch()
    run_folder.write_result(here / "run", first[0] | {"pictures": ["weights.png"]})
    assert main("--data", digits, "-o", "run", "--seed", 1) == 2
    assert "--output: must not hold a run already" in capsys.readouterr().err
    assert fd.load(here / "run" / run_folder.MODEL).values.tobytes() == first[2]
    again = quick(digits, "run", "--seed", 1, "--overwrite")
    assert again[0]["seed"] == 1
    assert again[2] != first[2]
    assert {path.name for path in (here / "run").iterdir()} == {*FILES, "notes.txt"}


def test_an_output_that_is_a_file_is_one_line(digits, here, capsys):
    (here / "file").touch()
    assert main("--data", digits, "-o", "file") == 2
    text = capsys.readouterr().err
    assert re.fullmatch("fastdigits train: error: --output: must be a folder that can be written.*\n", text)


def test_test_images_of_another_size_are_one_line_and_leave_nothing_behind(here, capsys):
    write_dataset(here / "digits", test_shape=(6, 6))
    assert main("--data", "digits", "--quiet") == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.startswith("fastdigits train: error: ")
    assert [path.name for path in here.rglob("*") if path.parent.name == "runs"] == []


def test_images_that_training_refuses_are_one_line_and_leave_nothing_behind(here, capsys):
    write_dataset(here / "digits", n_train=1)
    assert main("--data", "digits", "--quiet", "-o", "run") == 2
    text = capsys.readouterr().err
    assert re.fullmatch("fastdigits train: error: fit: each batch must hold at least 2 images.*\n", text)
    assert not (here / "run").exists()


def test_a_wrong_environment_is_one_line(digits, here, monkeypatch, capsys):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "many")
    assert main("--data", digits, "--quiet") == 2
    text = capsys.readouterr().err
    assert re.fullmatch("fastdigits train: error: FASTDIGITS_NUM_THREADS: must be a whole number.*\n", text)
    assert list(here.rglob("*.safetensors")) == []


@pytest.mark.parametrize("width", [10**15, 10**25])  # too much to allocate; too much to count
def test_a_network_beyond_memory_is_one_line(digits, here, capsys, width):
    assert main("--data", digits, "--hidden", width) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "--hidden: the network must fit into memory; got " in text
    assert f"{width} for images of 30 pixels and 3 classes" in text


def test_a_loss_that_diverges_is_one_line_and_leaves_nothing_behind(digits, here, capsys):
    argv = ["--optimizer", "sgd", "--schedule", "constant", "--learning-rate", "1e35", "--batchnorm", "none"]
    assert main("--data", digits, "--quiet", "-o", "run", *argv) == 2
    text = capsys.readouterr().err
    assert re.fullmatch(
        "fastdigits train: error: fit: loss and weights must stay finite.*take a smaller one\n", text
    )
    assert not (here / "run").exists()


def test_a_training_that_diverges_later_keeps_its_best_epoch(digits, here, monkeypatch, capsys):
    fit = fd.NeuralNetwork.fit

    class Poison(fd.Callback):
        def on_epoch_end(self, epoch, network, history):
            if epoch == 3:
                network.values[:] = 1e38

    monkeypatch.setattr(
        fd.NeuralNetwork,
        "fit",
        lambda *args, callbacks, **rest: fit(*args, callbacks=[*callbacks, Poison()], **rest),
    )
    assert main("--data", digits, "-o", "run", "--batchnorm", "none", "--quiet") == 2
    text = capsys.readouterr().err
    assert re.fullmatch(
        r"fastdigits train: error: fit: loss and weights must stay finite; they were not in epoch 4, step 1 of 2, at "
        r"learning rate .*: take a smaller one; the model of epoch 3 goes to run\n",
        text,
    )
    with open(here / "run" / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    _, test = fd.load_folder(digits)
    score = fd.load(here / "run" / run_folder.MODEL).evaluate(*test)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert score["accuracy"] == float(rows[-1]["val_accuracy"])


# -- interrupts --------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_saves_the_work_so_far_and_ends_with_130(digits, tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "fastdigits.train",
            "--data",
            digits,
            "--epochs",
            "1000000",
            "--json",
            "-o",
            "run",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=tmp_path,
        env=environment(),
        # A test run that a shell put into the background ignores the signal, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        for line in process.stderr:
            if line.startswith("epoch") and "3/1000000" in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in err
    said = re.search(
        r"fastdigits train: interrupted after (\d+) epochs; the model of epoch (\d+) goes to run\n", err
    )
    result = json.loads(out)
    assert result["interrupted"] is True
    assert result["epochs"] >= 3
    # The signal may come when the last epoch is in the history and its weights are not kept yet.
    assert result["epochs"] - int(said[2]) in (0, 1)
    assert (result["epochs"], result["best_epoch"]) == (int(said[1]), int(said[2]))
    assert json.loads((tmp_path / "run" / run_folder.RESULT).read_text(encoding="utf-8")) == result
    assert {path.name for path in (tmp_path / "run").iterdir()} == SAVED
    with open(tmp_path / "run" / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == result["epochs"]
    _, (x_test, y_test) = fd.load_folder(digits)
    score = fd.load(tmp_path / "run" / run_folder.MODEL).evaluate(x_test, y_test)
    assert score["accuracy"] == result["test_accuracy"]


def interrupted_fit(after: int):
    """A fit that trains, until an interrupt comes at the end of an epoch."""
    fit = fd.NeuralNetwork.fit

    class Interrupt(fd.Callback):
        def on_epoch_end(self, epoch, network, history):
            network.values += 1  # what came after the best epoch must not be saved
            if epoch == after:
                raise KeyboardInterrupt

    return lambda *args, callbacks, **rest: fit(*args, callbacks=[*callbacks, Interrupt()], **rest)


@pytest.mark.parametrize("patience", [(), ("--patience", 50)], ids=["shown", "watched"])
def test_an_interrupt_keeps_the_best_epoch_on_held_out_images(digits, here, monkeypatch, capsys, patience):
    common = ("--data", digits, "--schedule", "constant", "--validation-split", 0.2)
    monkeypatch.setattr(fd.NeuralNetwork, "fit", interrupted_fit(after=4))
    assert main(*common, *patience, "-o", "run", "--json") == 130
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    with open(here / "run" / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    best = 1 + losses.index(min(losses))
    assert (result["best_epoch"], result["epochs"], len(losses)) == (best, 4, 4)
    said = (
        f"interrupted after 4 epochs; the model of epoch {best}, the best on the held-out images, goes to run"
    )
    assert said in captured.err
    assert (result["test_accuracy"], result["train_accuracy"]) == (None, None)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert main(*common, "-o", "again", "--epochs", 1, "--no-plots") == 0
    assert best == 1  # the weights went astray after it
    kept, again = (fd.load(here / name / run_folder.MODEL) for name in ("run", "again"))
    np.testing.assert_array_equal(kept.values, again.values)


def test_an_interrupt_without_held_out_images_keeps_the_last_whole_epoch(digits, here, monkeypatch, capsys):
    monkeypatch.setattr(fd.NeuralNetwork, "fit", interrupted_fit(after=3))
    assert main("--data", digits, "-o", "run", "--json") == 130
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert "interrupted after 3 epochs; the model of epoch 3 goes to run\n" in captured.err
    assert next_lines(captured.err) == [["fastdigits", "train", "--resume", "run"]]
    _, test = fd.load_folder(digits)
    assert fd.load(here / "run" / run_folder.MODEL).evaluate(*test)["accuracy"] == result["test_accuracy"]


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_an_interrupt_within_the_first_epoch_saves_an_empty_history(digits, here, monkeypatch, capsys):
    monkeypatch.setattr(fd.NeuralNetwork, "fit", interrupt)
    assert main("--data", digits, "-o", "run", "--json") == 130
    captured = capsys.readouterr()
    assert "interrupted after 0 epochs" in captured.err
    result = json.loads(captured.out)
    assert (result["epochs"], result["images_per_second"], result["pictures"]) == (0, None, [])
    assert fd.load(here / "run" / run_folder.MODEL).epochs_trained == 0


def test_an_interrupt_between_two_figures_of_an_epoch_leaves_whole_epochs_only(digits, here, monkeypatch):
    def fit(network, x, y, *, callbacks, **rest):
        history = fd.History(last_epoch=9, validates=True)
        callbacks[0].on_train_begin(network, history)
        for name, count in (("val_loss", 3), ("val_accuracy", 3), ("epoch", 3), ("loss", 3)):
            getattr(history, name).extend(range(1, count + 1))
        for name in ("accuracy", "lr", "seconds", "images_per_second"):
            getattr(history, name).extend([1, 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(fd.NeuralNetwork, "fit", fit)
    assert main("--data", digits, "-o", "run", "--quiet") == 130
    with open(here / "run" / run_folder.HISTORY, newline="", encoding="utf-8") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_an_interrupt_at_the_pictures_keeps_all_else(digits, here, monkeypatch, capsys):
    monkeypatch.setattr(visualize, "write_pictures", interrupt)
    assert main("--data", digits, "-o", "run", "--epochs", 2, "--json") == 130
    captured = capsys.readouterr()
    assert "fastdigits train: interrupted at pictures and report; all else is in run\n" in captured.err
    result = json.loads(captured.out)
    assert (result["epochs"], result["interrupted"], result["report"]) == (2, True, None)
    assert {path.name for path in (here / "run").iterdir()} == SAVED


@pytest.mark.parametrize(("option", "said"), [("", True), ("--quiet", False), ("--no-plots", False)])
def test_a_line_says_what_is_being_drawn_before_it_is_drawn(digits, here, monkeypatch, capsys, option, said):
    before = []
    monkeypatch.setattr(
        visualize, "write_pictures", lambda *_, **__: before.append(capsys.readouterr().err) or []
    )
    assert main("--data", digits, "-o", "run", "--epochs", 1, *filter(None, [option])) == 0
    assert len(before) == (option != "--no-plots")
    assert ("\ndrawing " in "".join([*before, capsys.readouterr().err])) == said
    assert not said or before[0].splitlines()[-1].startswith("drawing ")


def test_an_interrupt_before_the_training_leaves_nothing_behind(here, monkeypatch, capsys):
    monkeypatch.setattr(train_images, "load_data", interrupt)
    assert main() == 130
    assert capsys.readouterr().err == "fastdigits train: interrupted\n"
    assert list(here.iterdir()) == []


# -- learning rates that are found, images that are distorted ----------------------------------------------


@pytest.mark.parametrize("option", ["--lr", "--learning-rate"])
def test_a_learning_rate_is_found(digits, tmp_path, here, option, capsys):
    argv = ("--data", digits, "--output", tmp_path / option, "--epochs", 1, "--batch-size", 16, "--hidden", 8)
    assert main(*argv, option, "auto", "--no-plots", "--json") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out.splitlines()[-1])["settings"]["learning_rate"]
    assert 1e-5 < found < 10
    assert f"learning rate {found:g}" in captured.err


def test_distorted_and_averaged_training_is_said_and_noted(digits, tmp_path, here, capsys):
    argv = ("--data", digits, "--output", tmp_path / "run", "--epochs", 2, "--batch-size", 16, "--hidden", 8)
    assert (
        main(
            *argv, "--augment", "rotation=5,fade=0.5", "--swa", 0.5, "--clip-norm", 1, "--no-plots", "--json"
        )
        == 0
    )
    captured = capsys.readouterr()
    settings = json.loads(captured.out.splitlines()[-1])["settings"]
    assert settings["augment"] == "Augmentation(rotation=5, scale=0, shear=0, shift=0, fade=0.5)"
    assert (settings["swa"], settings["clip_norm"]) == (0.5, 1.0)
    assert "Augmentation(rotation=5" in captured.err


# -- what the numbers mean ---------------------------------------------------------------------------------


def test_the_scale_of_the_images_is_shown_before_the_training_and_kept(digits, here, capsys):
    (x, y), (x_test, y_test) = fd.load_folder(digits)
    models = []
    for number, change in enumerate(
        (np.asarray, lambda x: x.astype(np.int64), lambda x: x.astype(np.float64))
    ):
        np.savez(f"{number}.npz", x_train=change(x), y_train=y, x_test=change(x_test), y_test=y_test)
        assert (
            main("--data", f"{number}.npz", "--epochs", 1, "--hidden", 4, "--no-plots", "-o", str(number))
            == 0
        )
        assert "\ninput: pixels 0 … 255, divided by 255\n" in capsys.readouterr().err
        models.append((here / str(number) / run_folder.MODEL).read_bytes())
    assert len(set(models)) == 1
    assert fd.load(here / "0" / run_folder.MODEL).scale == "pixels"


def test_test_images_on_another_scale_are_refused_before_the_training(digits, here, capsys):
    (x, y), (x_test, y_test) = fd.load_folder(digits)
    np.savez("a.npz", x_train=x.astype(np.float32), y_train=y, x_test=x_test / np.float32(255), y_test=y_test)
    assert main("--data", "a.npz", "--epochs", 1, "-o", "run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "must have one scale; got whole numbers up to 199 in one part and fractions of 0 … 1" in line
    assert not (here / "run").exists()
