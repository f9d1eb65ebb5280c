"""`python -m fastdigits.evaluate`, run as a user runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset, write_idx

import fastdigits as fd
from fastdigits import __main__ as entry
from fastdigits import visualize
from fastdigits.commands import evaluate, run_folder, system

SOURCE = Path(fd.__file__).parents[1]
PICTURES = ["predictions_wrong.png", "confused_pairs.png", "confusion.png", "calibration.png"]
NUMBERS = {run_folder.EVALUATION, run_folder.REPORT}


def trained(folder: Path) -> fd.NeuralNetwork:
    (x, y), _ = fd.load_folder(folder)
    network = fd.NeuralNetwork([fd.Dense(30, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3)], seed=0)
    network.fit(x, y, epochs=1, batch_size=16, optimizer=fd.SGD(lr=0.05), threads=1)
    return network


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with images, a run's folder with a model, and a network that does well, not perfectly."""
    folder = tmp_path_factory.mktemp("made")
    write_dataset(folder / "digits")
    (folder / "run").mkdir()
    trained(folder / "digits").save(folder / "run" / run_folder.MODEL)
    return folder


def main(*argv: object) -> int:
    return evaluate.main([str(word) for word in argv])


def tell(made, capsys, *argv: object) -> tuple[dict, str]:
    """Evaluate the model of the run without pictures; return the JSON and what was said."""
    assert main("--model", made / "run", "--data", made / "digits", "--json", "--no-plots", *argv) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


# -- a whole evaluation ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory):
    cwd = tmp_path_factory.mktemp("finished")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fastdigits.evaluate",
            "--json",
            "--model",
            made / "run",
            "--data",
            made / "digits",
        ],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done, cwd


def test_standard_output_is_one_line_of_json_and_the_same_as_the_file(finished):
    done, cwd = finished
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_evaluation", Path(result["output"]).as_posix())
    folder = cwd / result["output"]
    assert json.loads((folder / run_folder.EVALUATION).read_text(encoding="utf-8")) == result
    assert result["pictures"] == PICTURES
    assert {path.name for path in folder.iterdir()} == NUMBERS | set(PICTURES)


def test_the_figures_are_those_of_the_network(finished, made):
    result = json.loads(finished[0].stdout)
    network = fd.load(made / "run" / run_folder.MODEL)
    _, (x, y) = fd.load_folder(made / "digits")
    score, predicted, probs = network.evaluate(x, y), network.predict(x), network.predict_proba(x)
    assert 0.2 < result["accuracy"] == score["accuracy"] < 1
    # The other process may have run on other kernels, whose sums are in another order.
    assert result["loss"] == pytest.approx(score["loss"], rel=1e-4)
    hits = int((predicted == y).sum())
    assert result["mistakes"] == 60 - hits
    assert result["accuracy_interval"] == pytest.approx(fd.wilson_interval(hits, 60))
    assert result["confusion_matrix"] == fd.confusion_matrix(y, predicted, 3).tolist()
    for found, wanted in zip(result["classes"], fd.class_report(y, predicted, 3), strict=True):
        assert found == pytest.approx(vars(wanted))
    for name in ("precision", "recall", "f1"):
        assert result[name] == pytest.approx(np.mean([one[name] for one in result["classes"]]))
    assert result["calibration_error"] == pytest.approx(fd.expected_calibration_error(y, probs), abs=1e-4)
    assert sum(one["count"] for one in result["calibration_bins"]) == 60


def test_mistakes_can_be_looked_up(finished, made):
    result = json.loads(finished[0].stdout)
    network = fd.load(made / "run" / run_folder.MODEL)
    _, (x, y) = fd.load_folder(made / "digits")
    assert 0 < len(result["surest_mistakes"]) == min(25, result["mistakes"])
    for one in result["surest_mistakes"]:
        assert one["label"] == y[one["index"]] != one["predicted"]
        probs = network.predict_proba(x[one["index"]][np.newaxis])[0]
        assert probs[one["predicted"]] == pytest.approx(one["confidence"], rel=1e-4)
    sure = [one["confidence"] for one in result["surest_mistakes"]]
    assert sure == sorted(sure, reverse=True)
    assert sum(pair["count"] for pair in result["confused_pairs"]) == result["mistakes"]


def test_standard_error_has_the_figures_as_tables(finished, made):
    done, _ = finished
    result = json.loads(done.stdout)
    low, high = result["accuracy_interval"]
    assert (
        f"accuracy        {100 * result['accuracy']:.2f} %, 95 % interval {100 * low:.2f} to {100 * high:.2f} %; "
        f"{result['mistakes']} mistakes\n" in done.stderr
    )
    assert f"model           {made / 'run' / run_folder.MODEL}, 291 parameters\n" in done.stderr
    assert f" {made / 'digits'}: 60 test images, 6 x 5 pixels accuracy" in " ".join(done.stderr.split())
    assert [line for line in done.stderr.splitlines() if len(line) > 80 and str(made) not in line] == []
    one = result["classes"][1]
    cells = [f"{100 * one[name]:.2f} %" for name in ("precision", "recall", "f1")]
    assert re.search(rf"^1 +{' +'.join(map(re.escape, cells))} +20$", done.stderr, re.MULTILINE)
    row = " +".join(str(count or r"\.") for count in result["confusion_matrix"][2])
    assert re.search(rf"^2 +{row}$", done.stderr, re.MULTILINE)
    pair = result["confused_pairs"][0]
    assert f"most confused   {pair['label']} taken for {pair['predicted']} ({pair['count']})" in done.stderr
    assert "Warning" not in done.stderr


def test_the_report_says_what_the_result_says(finished):
    done, cwd = finished
    result = json.loads(done.stdout)
    text = (cwd / result["output"] / run_folder.REPORT).read_text(encoding="utf-8")
    assert f"{100 * result['accuracy']:.2f} %</p>" in text
    assert text.count("<img ") == 4
    assert result["report"] == run_folder.REPORT


# -- which model, which images -----------------------------------------------------------------------------


def test_without_options_it_is_the_packaged_model_on_the_test_images_of_mnist(here, capsys):
    assert main("--no-plots", "--json") == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["accuracy"] > 0.985
    assert (result["images"], result["part"], result["data"]) == (10_000, "test", "mnist")
    assert "model           the one that comes with the package" in captured.err


def test_the_part_decides_which_images(made, here, capsys):
    result, said = tell(made, capsys, "--part", "train")
    (x, y), _ = fd.load_folder(made / "digits")
    assert result["images"] == 240
    assert result["accuracy"] == fd.load(made / "run" / run_folder.MODEL).evaluate(x, y)["accuracy"]
    assert "240 train images" in " ".join(said.split())  # a long path wraps the line


def test_a_model_file_and_the_folder_of_its_run_are_the_same(made, here, capsys):
    folder, _ = tell(made, capsys)
    file, _ = tell(made, capsys, "--model", made / "run" / run_folder.MODEL)
    assert folder["model"] == file["model"]
    assert folder["loss"] == file["loss"]


def test_a_network_that_ends_in_softmax_has_the_same_loss(made, here, capsys):
    (here / "run").mkdir()
    network = trained(made / "digits")
    parts = [fd.Dense(30, 8), fd.BatchNorm(8), fd.ReLU(), fd.Dense(8, 3), fd.Softmax()]
    same = fd.NeuralNetwork(parts)
    same.values[...] = network.values
    for name, array in same.buffers().items():
        array[...] = network.buffers()[name]
    same.save(here / "run" / run_folder.MODEL)
    logits, _ = tell(made, capsys)
    softmax, _ = tell(made, capsys, "--model", here / "run")
    assert softmax["loss"] == pytest.approx(logits["loss"], rel=1e-4)
    assert softmax["confusion_matrix"] == logits["confusion_matrix"]


def digits(folder: Path, labels: list[int], shape: tuple[int, int] = (6, 5)) -> Path:
    folder.mkdir()
    for name in ("train", "t10k"):
        write_idx(folder / f"{name}-images-idx3-ubyte", np.zeros((len(labels), *shape)))
        write_idx(folder / f"{name}-labels-idx1-ubyte", np.array(labels))
    return folder


def test_a_class_without_images_does_not_count_in_the_means(made, here, capsys):
    # All images are alike: of two classes that occur, all of one is recognised and none of the other.
    said = int(fd.load(made / "run" / run_folder.MODEL).predict(np.zeros((1, 30)))[0])
    other = (said + 1) % 3
    result, _ = tell(made, capsys, "--data", digits(here / "two", [said, other, other]))
    assert [result["classes"][label]["support"] for label in (said, other, 3 - said - other)] == [1, 2, 0]
    assert result["recall"] == pytest.approx(0.5)
    assert np.shape(result["confusion_matrix"]) == (3, 3)


def refused(made, here, capsys, *argv: object) -> str:
    """Return the one line that says what to put right; nothing is left behind."""
    before = set(here.rglob("*"))
    assert main("--model", made / "run", "--data", made / "digits", *argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert set(here.rglob("*")) == before
    return captured.err.removeprefix("fastdigits evaluate: error: ")


def test_images_of_another_size_are_refused(made, here, capsys):
    line = refused(made, here, capsys, "--data", "mnist")
    assert re.match(
        r"--data: images must have the 30 numbers that the model takes \(.*run.*\); got 784, 28 x 28 pixels, from "
        "mnist: evaluate it on images like those it was trained on\n",
        line,
    )


def test_images_are_read_on_the_scale_of_the_model(made, here, capsys):
    (x, y), (x_test, y_test) = fd.load_folder(made / "digits")
    expected, _ = tell(made, capsys)
    network = fd.load(made / "run" / run_folder.MODEL)
    assert network.scale == "pixels"
    for number, change in enumerate((lambda x: x / 255, lambda x: x.astype(float), lambda x: x.astype(int))):
        np.savez(f"{number}.npz", x_train=change(x), y_train=y, x_test=change(x_test), y_test=y_test)
        found, _ = tell(made, capsys, "--data", f"{number}.npz")
        assert (found["loss"], found["accuracy"]) == (expected["loss"], expected["accuracy"])
    network.scale = "unit"
    network.save("unit.safetensors")
    for data in (made / "digits", "0.npz", "1.npz", "2.npz"):
        found, _ = tell(made, capsys, "--model", "unit.safetensors", "--data", data)
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)


def test_images_that_cannot_be_meant_are_refused(made, here, capsys):
    (x, y), _ = fd.load_folder(made / "digits")
    np.savez("a.npz", x=x / 50.0 - 2, y=y)
    line = refused(made, here, capsys, "--data", "a.npz")
    assert re.match(
        r"--data: images must hold pixels 0 … 255, like .*: bring them to the scale of the training", line
    )
    network = fd.load(made / "run" / run_folder.MODEL)
    network.scale = "numbers"
    network.save("numbers.safetensors")
    line = refused(made, here, capsys, "--model", "numbers.safetensors")
    assert line.startswith(
        "--data: the model was trained on numbers of its own scale, not on pixels; got pixels"
    )
    tell(made, capsys, "--model", "numbers.safetensors", "--data", "a.npz")


def test_labels_beyond_the_outputs_are_refused(made, here, capsys):
    line = refused(made, here, capsys, "--data", digits(here / "nine", [0, 9]))
    assert re.match(
        r"--data: labels must be within 0 to 2, as the model has 3 outputs \(.*\); got 9 from .*nine: ", line
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("missing", r"missing: must be a model file; got nothing of this name"),
        (
            "folder",
            r"--model: must be a model file or the folder of a run, with model.safetensors; got 'folder'",
        ),
        ("file", r"file: must be a readable safetensors file; got"),
    ],
)
def test_what_is_no_model_is_refused(made, here, capsys, model, message):
    (here / "folder").mkdir()
    (here / "file").write_text("no model")
    assert re.match(message, refused(made, here, capsys, "--model", model))


def test_a_folder_without_images_is_refused(made, here, capsys):
    assert "'missing': data must be one of mnist, " in refused(made, here, capsys, "--data", "missing")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--part", "both"], "--part: must be one of test, train; got 'both'"),
        (["--overwrite"], "--overwrite: needs a folder; got none: name it with --output"),
        (["--modle", "x"], "unknown option '--modle'; did you mean '--model'?"),
        (["model.safetensors"], "unexpected argument 'model.safetensors'; see --help"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(here, capsys, argv, message):
    with pytest.raises(SystemExit) as caught:
        main(*argv)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"fastdigits evaluate: error: {message}")
    assert captured.err.count("\n") == 1
    assert list(here.iterdir()) == []


# -- where it goes, what is said ---------------------------------------------------------------------------


def test_the_folder_of_a_run_is_not_touched(made, here, capsys):
    (here / "run").mkdir()
    (here / "run" / run_folder.RESULT).write_text("{}")
    for more in ([], ["--overwrite"]):
        line = refused(made, here, capsys, "-o", "run", *more)
        assert line.startswith("--output: must not be the folder of a run")
        assert line.endswith(f"got 'run': choose another, such as {str(Path('run/evaluation'))!r}\n")


def test_an_earlier_evaluation_is_kept_unless_overwrite_is_said(made, here, capsys):
    tell(made, capsys, "-o", "out")
    (here / "out" / "notes.txt").write_text("mine")
    (here / "out" / "weights.png").touch()
    earlier = json.loads((here / "out" / run_folder.EVALUATION).read_text(encoding="utf-8"))
    run_folder.write_result(here / "out", earlier | {"pictures": ["weights.png"]}, run_folder.EVALUATION)
    assert "--output: must not hold an evaluation already" in refused(made, here, capsys, "-o", "out")
    result, _ = tell(made, capsys, "-o", "out", "--overwrite", "--part", "train")
    assert result["images"] == 240
    assert {path.name for path in (here / "out").iterdir()} == {*NUMBERS, "notes.txt"}


def test_quiet_says_nothing_at_all(made, here, capsys):
    assert main("--model", made / "run", "--data", made / "digits", "--no-plots", "-q", "-o", "out") == 0
    assert capsys.readouterr() == ("", "")
    assert {path.name for path in (here / "out").iterdir()} == NUMBERS


def test_show_opens_the_report_or_says_that_it_cannot(made, here, monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(system, "open_file", lambda file: shown.append(file) or len(shown) == 1)
    assert "no display" not in tell(made, capsys, "--show", "-o", "one")[1]
    assert shown == [Path("one/report.html")]
    said = tell(made, capsys, "--show", "-o", "two")[1]
    assert f"fastdigits evaluate: no display to show the report on: open {Path('two/report.html')}\n" in said


def test_backend_threads_and_command_are_noted(made, here, capsys):
    result, _ = tell(made, capsys, "--backend", "numpy", "--threads", 1, "-o", "out")
    assert (result["backend"], result["threads"]) == ("numpy", 1)
    assert result["command"].startswith("python -m fastdigits.evaluate --model ")
    assert result["command"].endswith("--no-plots --backend numpy --threads 1")


def test_many_classes_stand_in_the_file_only(here, capsys):
    network = fd.NeuralNetwork([fd.Dense(30, 21)])
    network.save(here / "model.safetensors")
    data = digits(here / "many", list(range(21)))
    assert main("--model", "model.safetensors", "--data", data, "-o", "out", "--no-plots") == 0
    said = capsys.readouterr().err
    assert "confusion matrix: too wide for a terminal; see evaluation.json\n" in said
    assert "true\\pred" not in said


def interrupt(*args, **kwargs):
    raise KeyboardInterrupt


def test_an_interrupt_at_the_pictures_keeps_the_figures(made, here, monkeypatch, capsys):
    monkeypatch.setattr(visualize, "write_pictures", interrupt)
    assert main("--model", made / "run", "--data", made / "digits", "-o", "out") == 130
    assert capsys.readouterr().err.endswith("fastdigits evaluate: interrupted\n")
    result = json.loads((here / "out" / run_folder.EVALUATION).read_text(encoding="utf-8"))
    assert (result["images"], result["pictures"], result["report"]) == (60, [], None)
    assert {path.name for path in (here / "out").iterdir()} == {run_folder.EVALUATION}


@pytest.mark.parametrize(("option", "said"), [("", True), ("--quiet", False), ("--no-plots", False)])
def test_a_line_says_what_is_being_drawn_before_it_is_drawn(made, here, monkeypatch, capsys, option, said):
    before = []
    monkeypatch.setattr(
        visualize, "write_pictures", lambda *_, **__: before.append(capsys.readouterr().err) or []
    )
    assert main("--model", made / "run", "--data", made / "digits", "-o", "out", *filter(None, [option])) == 0
    assert len(before) == (option != "--no-plots")
    assert ("\ndrawing " in "".join([*before, capsys.readouterr().err])) == said
    assert not said or before[0].splitlines()[-1].startswith("drawing ")


def test_an_interrupt_before_the_figures_leaves_nothing_behind(made, here, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "assess", interrupt)
    assert main("--model", made / "run", "--data", made / "digits") == 130
    assert list(here.rglob("*evaluation*")) == []


def test_help_fits_80_columns_and_any_encoding(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main("--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    for option in ("--model", "--data", "--part", "--output", "--json", "--no-plots", "--show"):
        assert option in text


def test_each_example_of_the_help_is_read():
    lines = [line.strip() for line in evaluate.EXAMPLES.splitlines()]
    examples = [re.split(r"  +|\|", line)[0].split()[2:] for line in lines if line.startswith("fastdigits")]
    assert len(examples) == 5
    for example in examples:
        evaluate._read(example)


# -- classes with names ------------------------------------------------------------------------------------


def test_classes_go_by_the_names_that_the_data_give_them(made, here, capsys):
    _, (x, y) = fd.load_folder(made / "digits")
    words = np.array(["ant", "bumble bee", "cat"])
    np.savez("insects.npz", x_train=x, y_train=words[y], x_test=x, y_test=words[y])
    assert main("--model", made / "run", "--data", "insects.npz", "--json", "-o", "out") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["class_names"] == ["ant", "bumble bee", "cat"]
    assert re.search(r"^bumble bee +\d+\.\d\d %", captured.err, re.MULTILINE)
    assert re.search(r"^1 bumble bee +[\d.]+ ", captured.err, re.MULTILINE)
    page = (here / "out" / run_folder.REPORT).read_text(encoding="utf-8")
    assert re.search(r">bumble bee</t[dh]>", page)


@pytest.fixture
def named(made, here):
    """A model that knows its classes by name, and its images, some of them without one class."""
    network = fd.load(made / "run" / run_folder.MODEL)
    network.class_names = ["ant", "bumble bee", "cat"]
    network.save("insects.safetensors")
    _, (x, y) = fd.load_folder(made / "digits")
    return x, y, np.array(network.class_names)[y]


def test_classes_go_by_the_names_that_the_model_has(named, made, capsys):
    words = ("--model", "insects.safetensors", "--data", made / "digits", "--json", "--no-plots", "-o", "out")
    assert main(*words) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["class_names"] == ["ant", "bumble bee", "cat"]
    assert re.search(r"^1 bumble bee +[\d.]+ ", captured.err, re.MULTILINE)


def test_tables_of_many_classes_with_long_names_fit_80_columns():
    labels = [f"a class with a name that is far too long, {number}" for number in range(12)]
    for count in (9, 10_000):
        matrix = [[count] * 12 for _ in labels]
        lines = evaluate._matrix_table(matrix, labels).splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) == (13 if count == 9 else 1)
    means = dict.fromkeys(("precision", "recall", "f1"), 1.0)
    classes = [{"label": label, "support": 10_000, **means} for label in range(12)]
    result = {"class_names": labels, "classes": classes, "images": 120_000, "image_shape": [28, 28], **means}
    text = evaluate._class_table(result)
    assert max(map(len, text.splitlines())) <= 80


def test_names_decide_where_model_and_images_have_some(named, made, capsys):
    """Without ants, bees would be class 0 of the images, and be counted as the model's ants."""
    x, y, words = named
    some = y > 0
    np.savez("some.npz", x_train=x[some], y_train=words[some], x_test=x[some], y_test=words[some])
    assert (
        main("--model", "insects.safetensors", "--data", "some.npz", "--json", "--no-plots", "-o", "a") == 0
    )
    result = json.loads(capsys.readouterr().out)
    hits = fd.load("insects.safetensors").predict(x[some]) == y[some]
    assert result["accuracy"] == hits.mean()
    assert result["class_names"] == ["ant", "bumble bee", "cat"]
    assert [one["support"] for one in result["classes"]] == np.bincount(y[some]).tolist()


def test_a_class_that_the_model_does_not_know_is_one_line(named, capsys):
    x, y, words = named
    words[y == 1] = "wasp"
    np.savez("wasps.npz", x_train=x, y_train=words, x_test=x, y_test=words)
    assert main("--model", "insects.safetensors", "--data", "wasps.npz", "-o", "out") == 2
    text = capsys.readouterr().err
    assert "--data: classes must be among those of the model, ant, bumble bee, cat" in text
    assert "got 'wasp' from wasps.npz" in text


def test_images_that_were_set_apart_are_said(made, here, capsys):
    _, (x, y) = fd.load_folder(made / "digits")
    np.savez("mine.npz", x=x, y=y)
    assert main("--model", made / "run", "--data", "mine.npz", "--no-plots", "-o", "out") == 0
    assert "no images to test on: 10 of 60 are set apart for it, by seed 0" in capsys.readouterr().err


def test_a_row_that_is_too_large_is_named(here, capsys):
    x, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
    data = {"x_train": x, "y_train": y, "x_test": x[:9].copy(), "y_test": y[:9]}
    np.savez("good.npz", **data)
    data["x_test"][4] = [-3e38, 3e38, 3e38, 3e38]
    np.savez("bad.npz", **data)
    assert entry.main(["train", "--data", "good.npz", "--epochs", "1", "--no-plots", "-o", "run"]) == 0
    too_large = "row 4: its numbers must be small enough for the network's outputs to be finite"
    for words in (
        ("evaluate", "--model", "run", "--data", "bad.npz"),
        ("train", "--data", "bad.npz", "--epochs", "1", "-o", "a"),
        ("train", "--data", "bad.npz", "--epochs", "1", "--validation-split", "0.2", "-o", "b"),
    ):
        capsys.readouterr()
        assert entry.main([*words, "--no-plots"]) == 2
        assert capsys.readouterr().err.strip().splitlines()[-1].find(too_large) > 0
    np.savetxt("bad.csv", data["x_test"], delimiter=",")
    assert entry.main(["predict", "bad.csv", "--model", "run"]) == 2
    assert f"bad.csv: {too_large}" in capsys.readouterr().err
