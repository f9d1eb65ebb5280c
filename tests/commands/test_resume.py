"""`python -m fastdigits.train --resume`, after real kills."""

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from malformed import malformed_settings, metadata, valid_files, with_metadata
from sampled import sampled
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits.commands import evaluate, run_folder, train
from fastdigits.training import loop

SOURCE = Path(fd.__file__).parents[1]
WORDS = ("--epochs", "40", "--batch-size", "16", "--dropout", "0.2", "--augment", "rotation=9,shift=1", "--ema", "0.9",
         "--no-plots", "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_dataset(folder)
    return folder


@pytest.fixture(scope="module")
def square(tmp_path_factory) -> Path:
    """Some of MNIST: images that can be distorted."""
    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = fd.load_mnist()
    path = folder / "some.npz"
    np.savez(path, x_train=x[:2000], y_train=y[:2000], x_test=x_test[:300], y_test=y_test[:300])
    return path


def main(*argv: object) -> int:
    return train.main([str(word) for word in argv])


def start(*argv: object, cwd: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "fastdigits.train", *map(str, argv)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )


@pytest.fixture(scope="module")
def whole(square, tmp_path_factory) -> Path:
    """The folder of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main("--data", square, *WORDS, "-o", folder) == 0
    return folder


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.parametrize(
    "wanted", sampled([0, 1, 5], lambda wanted: wanted == 1), ids="after {} checkpoints".format
)
def test_a_killed_run_that_is_resumed_leaves_the_same_model(square, whole, here, wanted):
    process = start("--data", square, *WORDS, "-o", "killed", "--checkpoint-every", 100, cwd=here)
    seen: set[str] = set()
    try:
        while len(seen) < wanted or not (here / "killed" / run_folder.SETTINGS).exists():
            seen |= {path.name for path in (here / "killed").glob("checkpoint-*.safetensors")}
            assert process.poll() is None
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (here / "killed" / run_folder.MODEL).exists()
    assert main("--resume", "killed", "--quiet") == 0
    folders = (whole, here / "killed")
    models = [(folder / run_folder.MODEL).read_bytes() for folder in folders]
    assert models[0] == models[1]
    histories = [(folder / run_folder.HISTORY).read_text().splitlines() for folder in folders]
    assert [line.split(",")[:6] for line in histories[0]] == [line.split(",")[:6] for line in histories[1]]


class Interrupt(fd.Callback):
    """Ends the training as Ctrl-C does."""

    def on_epoch_end(self, epoch, network, history):
        if epoch == 6:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_as_well(square, here, monkeypatch):
    fit = fd.NeuralNetwork.fit
    words = ("--data", square, *WORDS, "--epochs", 8, "--validation-split", 0.2)
    assert main(*words, "-o", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(
            fd.NeuralNetwork,
            "fit",
            lambda *args, callbacks, **rest: fit(*args, callbacks=[*callbacks, Interrupt()], **rest),
        )
        assert main(*words, "-o", "part", "--checkpoint-every", 20) == 130
    assert json.loads((here / "part" / run_folder.RESULT).read_text())["interrupted"] is True
    with monkeypatch.context() as patch:  # the callbacks of a run must be the same ones

        class Nothing(Interrupt):
            def on_epoch_end(self, epoch, network, history):
                pass

        Nothing.__name__ = "Interrupt"
        patch.setattr(
            fd.NeuralNetwork,
            "fit",
            lambda *args, callbacks, **rest: fit(*args, callbacks=[*callbacks, Nothing()], **rest),
        )
        assert main("--resume", "part", "--quiet") == 0
    models = [(here / name / run_folder.MODEL).read_bytes() for name in ("whole", "part")]
    assert models[0] == models[1]
    assert json.loads((here / "part" / run_folder.RESULT).read_text())["interrupted"] is False


def test_a_finished_run_says_so_and_changes_nothing(digits, here, capsys):
    assert main("--data", digits, "--epochs", 2, "--no-plots", "-o", "run", "--quiet") == 0
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (here / "run").iterdir()}
    result = json.loads((here / "run" / run_folder.RESULT).read_text())
    capsys.readouterr()
    assert main("--resume", "run", "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == "fastdigits train: run is finished already: there is nothing to resume\n"
    assert json.loads(captured.out) == result
    assert before == {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (here / "run").iterdir()
    }


@pytest.fixture
def begun(digits, here, monkeypatch):
    """A run that was killed before its first checkpoint."""

    def die(*args, **rest):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(fd.NeuralNetwork, "fit", die)
        with pytest.raises(SystemExit):
            main("--data", digits, "--epochs", 2, "--no-plots", "-o", "run", "--quiet")
    assert [path.name for path in (here / "run").iterdir()] == [run_folder.SETTINGS]
    return here / "run"


def test_a_run_with_a_recipe_goes_on_without_its_file(digits, here, monkeypatch, capsys):
    def die(*args, **rest):
        raise SystemExit(9)

    fd.recipes.FAST.save("mine.json")
    with monkeypatch.context() as patch:
        patch.setattr(fd.NeuralNetwork, "fit", die)
        with pytest.raises(SystemExit):
            main("--data", digits, "--recipe", "mine.json", "--no-plots", "-o", "run", "--quiet")
    Path("mine.json").unlink()
    with pytest.raises(SystemExit):
        main("--resume", "run", "--recipe", "other.json")
    assert f"--recipe was {here / 'mine.json'}, got other.json" in capsys.readouterr().err
    assert main("--resume", "run", "--quiet") == 0
    result = run_folder.finished(Path("run"))
    assert (result["epochs"], result["settings"]["recipe"]) == (
        fd.recipes.FAST.epochs,
        str(here / "mine.json"),
    )


def test_the_result_names_the_line_that_makes_the_run_and_how_often_it_went_on(begun, digits, monkeypatch):
    forced = os.environ.get("FASTDIGITS_BACKEND")  # which the line then begins with
    prefix = f"FASTDIGITS_BACKEND={forced} " if forced else ""
    line = f"{prefix}python -m fastdigits.train --data {digits} --epochs 2 --no-plots"
    record = json.loads((begun / run_folder.SETTINGS).read_text())
    assert (record["command"], record["resumed"]) == (line, 0)

    def die(*args, **rest):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_run_epoch", die)
        with pytest.raises(SystemExit):
            main("--resume", begun, "--quiet", "--json")
    assert main("--resume", begun, "--quiet", "--threads", 1) == 0
    result = json.loads((begun / run_folder.RESULT).read_text())
    assert (result["command"], result["resumed"]) == (line, 2)
    assert "resumed" not in result["settings"]
    page = (begun / run_folder.REPORT).read_text("utf-8")
    assert "2 times" in page
    assert "--resume" not in page
    words = shlex.split(result["command"].removeprefix(prefix))
    assert main(*words[3:], "-o", "again", "--quiet") == 0
    again = json.loads(Path("again", run_folder.RESULT).read_text())
    assert again["resumed"] == 0
    assert Path("again", run_folder.MODEL).read_bytes() == (begun / run_folder.MODEL).read_bytes()


@pytest.mark.parametrize("change", [{"resumed": -1}, {"resumed": "1"}, {"resumed": True}, {"command": 3}])
def test_a_record_that_is_none_is_refused(begun, capsys, change):
    record = json.loads((begun / run_folder.SETTINGS).read_text()) | change
    (begun / run_folder.SETTINGS).write_text(json.dumps(record))
    with pytest.raises(SystemExit):
        main("--resume", begun)
    (name,) = change
    assert re.search(rf"settings\.json: must hold the settings .* {name} must be", capsys.readouterr().err)


def test_the_settings_are_written_first(begun, digits):
    settings = json.loads((begun / run_folder.SETTINGS).read_text())
    assert settings["epochs"] == 2
    assert settings["data"] == str(digits)
    assert main("--resume", begun, "--quiet") == 0
    assert run_folder.finished(begun)["epochs"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", 3), "--epochs was 2, got 3"),
        (("--hidden", "64"), "--hidden was 64,32, got 64: omit it"),
        (("--preset", "fast"), "--preset was None, got fast"),
        (("--seed", 1), "--seed was 0, got 1"),
        (("--data", "mnist"), "--data was"),
        (("--output", "other"), "the run stays in its folder; got --output other"),
        (("--size", "9x9"), "--size was None, got 9x9: omit it"),
    ],
)
def test_other_settings_are_refused_by_name(begun, capsys, words, message):
    before = (begun / run_folder.SETTINGS).read_bytes()
    with pytest.raises(SystemExit) as exit_:
        main("--resume", begun, *words)
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("fastdigits train: error: --resume: ")
    assert message in err
    assert err.count("\n") == 1
    assert (begun / run_folder.SETTINGS).read_bytes() == before


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"hidden": 3, "augment": null}', b"\xff", b"[" * 9999]
)
def test_what_is_no_run_is_refused(here, capsys, content):
    (here / "run").mkdir()
    if content is not None:
        (here / "run" / run_folder.SETTINGS).write_bytes(content)
    with pytest.raises(SystemExit) as exit_:
        main("--resume", "run")
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("fastdigits train: error: --resume: ")
    assert err.count("\n") == 1


def snapshot(folder):
    """Return all that is in a folder, links as what they point to."""
    return {
        path.relative_to(folder).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def refusal(capsys, *words):
    """Return the one line that a command ends with, which no terminal takes for an order."""
    try:
        code = main(*words)
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert captured.err.count("\n") == 1
    assert captured.err[:-1].isprintable()
    assert len(captured.err) < 1200
    return captured.err


SETTINGS_LIES = malformed_settings()
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@pytest.mark.parametrize("part", sampled(range(6), lambda part: part == 0))
def test_settings_that_lie_are_one_line_with_their_file_and_change_nothing(begun, capsys, part):
    (begun / run_folder.MODEL).write_bytes(b"of the run")
    names = [name for name in SETTINGS_LIES if "64 MB" not in name][part::6]
    assert len(names) > 80
    for name in names:
        (begun / run_folder.SETTINGS).write_bytes(SETTINGS_LIES[name])
        before = snapshot(begun.parent)
        error = refusal(capsys, "--resume", begun)
        assert error.startswith(f"fastdigits train: error: --resume: {begun / run_folder.SETTINGS}: "), (
            name,
            error,
        )
        assert snapshot(begun.parent) == before, name


@pytest.mark.parametrize(
    "key",
    [name for name in json.loads(valid_files("settings")[0]) if name != "recipe"],  # not read again
)
@pytest.mark.parametrize(
    "value",
    sampled(
        ["x", "\0", "\x1b]0;x\x07", "\ud800", "http://x", "../../../etc/passwd", "/dev/null"],
        lambda value: value == "\x1b]0;x\x07",
    ),
)
def test_no_setting_takes_these_words(begun, capsys, key, value):
    record = json.loads((begun / run_folder.SETTINGS).read_text())
    (begun / run_folder.SETTINGS).write_text(json.dumps(record | {key: value}))
    before = snapshot(begun)
    error = refusal(capsys, "--resume", begun)
    assert error.startswith(f"fastdigits train: error: --resume: {begun / run_folder.SETTINGS}: ")
    assert snapshot(begun) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("name", [run_folder.SETTINGS, run_folder.RESULT])
@pytest.mark.parametrize("kind", ["FIFO", "folder", "link to itself"])
def test_settings_and_results_that_are_no_files_are_refused(begun, capsys, name, kind):
    file = begun / name
    file.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(file)
    assert f"{file}: must be a file with a JSON object; got: " in refusal(capsys, "--resume", begun)


RESULTS = {
    "a few names": {"interrupted": False, "total_seconds": 1, "x": "\x1b[31m"},
    "nothing of it": {},
    "an end that is a word": {"interrupted": "no"},
    "a list": [],
    "an accuracy of 2": {"test_accuracy": 2},
    "an accuracy that is true": {"test_accuracy": True},
    "an accuracy in words": {"train_accuracy": "\x1b[31m"},
    "a loss in a list": {"test_loss": [1]},
    "fewer images than none": {"test_images": -1},
    "seconds without end": {"total_seconds": 10**400},
    "half an epoch": {"epochs": 0.5},
}


@pytest.mark.parametrize("lie", RESULTS)
def test_a_result_that_lies_is_one_line_with_its_file_and_changes_nothing(begun, capsys, lie):
    if "of 2" in lie or ("end" not in lie and lie not in ("a few names", "nothing of it", "a list")):
        assert main("--resume", begun, "--quiet") == 0
        capsys.readouterr()
        content = run_folder.finished(begun) | RESULTS[lie]
    else:
        content = RESULTS[lie]
    (begun / run_folder.RESULT).write_text(json.dumps(content))
    before = snapshot(begun)
    assert f"fastdigits train: error: {begun / run_folder.RESULT}: " in refusal(
        capsys, "--resume", begun, "--json"
    )
    assert snapshot(begun) == before


@pytest.mark.parametrize(
    "text", ["", "{", "\0", '{"a":' * 10**5, '{"interrupted": false, "interrupted": true}']
)
def test_a_result_that_is_none_is_one_line(begun, capsys, text):
    (begun / run_folder.RESULT).write_text(text)
    assert f"{begun / run_folder.RESULT}: must be a file with a JSON object; got: " in refusal(
        capsys, "--resume", begun
    )


def test_a_finished_run_without_its_model_is_refused(begun, capsys):
    assert main("--resume", begun, "--quiet") == 0
    capsys.readouterr()
    assert run_folder.finished(begun)["epochs"] == 2
    (begun / run_folder.MODEL).unlink()
    assert "a finished run must have model.safetensors; got none beside it" in refusal(
        capsys, "--resume", begun
    )


def test_a_checkpoint_that_lies_leaves_the_folder_as_it_was(here, square, capsys):
    words = ("--data", square, *WORDS, "--validation-split", "0.1", "--patience", "30")
    process = start(*words, "-o", "run", "--checkpoint-every", 50, cwd=here)
    while len(list((here / "run").glob("checkpoint-*.safetensors"))) < 2:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    (here / "run" / ".fastdigits.lock").unlink(missing_ok=True)  # as the next process would
    *older, newest = sorted((here / "run").glob("checkpoint-*.safetensors"))
    for path in older:
        path.unlink()
    whole = newest.read_bytes()
    state = json.loads(metadata(whole, "state"))
    lies = [
        (0, "epoch", 10**6), (0, "loss", -1e9), (1, "best", -1e9), (1, "best_epoch", True),
    ]  # fmt: skip
    for number, name, value in lies:
        lie = copy.deepcopy(state)
        assert name in lie["callbacks"][number]
        lie["callbacks"][number][name] = value
        (content,) = with_metadata(whole, "state", {"lie": json.dumps(lie)}).values()
        newest.write_bytes(content)
        before = snapshot(here / "run")
        assert f"run/{newest.name}: its state must be whole; got " in refusal(
            capsys, "--resume", "run", "--quiet"
        )
        assert snapshot(here / "run") == before
    newest.write_bytes(whole)
    assert main("--resume", "run", "--quiet") == 0
    assert json.loads((here / "run" / run_folder.RESULT).read_text())["resumed"] == 1


@needs_links
@pytest.mark.parametrize("name", [*run_folder.OWN, "checkpoint-000000000003.safetensors"])
def test_nothing_is_written_through_a_link_in_a_folder(here, digits, begun, capsys, name):
    victim = here / "victim"
    victim.write_text("precious")
    target = begun / name
    settings = (begun / run_folder.SETTINGS).read_bytes()
    if name == run_folder.SETTINGS:
        (here / "victim").write_bytes(settings)
    target.unlink(missing_ok=True)
    target.symlink_to("../victim")
    before = snapshot(here)
    words = ("--data", digits, "--epochs", 1, "--no-plots", "-o", begun, "--overwrite")
    assert f"{target}: must be a file, to be replaced by one of the run; got a link" in refusal(
        capsys, *words
    )
    if name != run_folder.RESULT:
        assert f"{target}: must be a file" in refusal(capsys, "--resume", begun)
    assert evaluate.main(["--data", str(digits), "--model", str(begun), "-o", str(begun), "--overwrite"]) == 2
    capsys.readouterr()
    assert snapshot(here) == before


@needs_links
def test_a_checkpoint_replaces_a_link_and_leaves_what_it_points_to(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run").mkdir()
    link = tmp_path / "run" / "checkpoint-000000000003.safetensors"
    link.symlink_to("../victim")
    net = fd.NeuralNetwork([fd.Dense(4, 2)], seed=0)
    x, y = np.arange(64, dtype=np.uint8).reshape(16, 4), np.arange(16) % 2
    net.fit(x, y, epochs=2, batch_size=4, callbacks=[fd.Checkpoint(link.parent, every=3)])
    assert (tmp_path / "victim").read_text() == "precious"
    assert not link.is_symlink()


def test_other_data_is_refused(square, here, capsys):
    (here / "some.npz").write_bytes(square.read_bytes())
    process = start("--data", "some.npz", *WORDS, "-o", "run", "--checkpoint-every", 10, cwd=here)
    while not list((here / "run").glob("checkpoint-*.safetensors")):
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    content = dict(np.load(here / "some.npz"))
    content["x_train"][5, 14, 14] ^= 1
    np.savez(here / "some.npz", **content)
    assert main("--resume", "run", "--quiet") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "training images must be as in" in error
    assert ": the same; got others: the data have changed since: take the same data" in error


def test_a_new_run_in_the_folder_of_an_old_one_begins_anew(begun, digits, capsys):
    assert main("--data", digits, "-o", begun) == 2
    assert (
        "with settings.json: choose another folder, or replace the run with --overwrite"
        in capsys.readouterr().err
    )
    (begun / "checkpoint-000000000003.safetensors").write_bytes(b"of another training")
    assert main("--data", digits, "--epochs", 1, "--no-plots", "-o", begun, "--overwrite", "--quiet") == 0
    assert list(begun.glob("checkpoint-*")) == []
