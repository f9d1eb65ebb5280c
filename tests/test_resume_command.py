"""`python -m fastdigits.train --resume`, after real kills."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sampled import sampled
from tiny_digits import write_digits

import fastdigits as fd
from fastdigits import backend, runs, train

SOURCE = Path(fd.__file__).parents[1]
WORDS = ("--epochs", "40", "--batch-size", "16", "--dropout", "0.2", "--augment", "rotation=9,shift=1", "--ema", "0.9",
         "--no-plots", "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_digits(folder)
    return folder


@pytest.fixture(scope="module")
def square(tmp_path_factory) -> Path:
    """Some of MNIST: images that can be distorted."""
    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = fd.load_mnist()
    path = folder / "some.npz"
    np.savez(path, x_train=x[:2000], y_train=y[:2000], x_test=x_test[:300], y_test=y_test[:300])
    return path


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = backend.backend_name()
    yield tmp_path
    backend.use_backend(before)
    fd.set_num_threads(None)


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
        while len(seen) < wanted or not (here / "killed" / runs.SETTINGS).exists():
            seen |= {path.name for path in (here / "killed").glob("checkpoint-*.safetensors")}
            assert process.poll() is None
            time.sleep(0.001)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (here / "killed" / runs.MODEL).exists()
    assert main("--resume", "killed", "--quiet") == 0
    folders = (whole, here / "killed")
    models = [(folder / runs.MODEL).read_bytes() for folder in folders]
    assert models[0] == models[1]
    histories = [(folder / runs.HISTORY).read_text().splitlines() for folder in folders]
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
    assert json.loads((here / "part" / runs.RESULT).read_text())["interrupted"] is True
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
    models = [(here / name / runs.MODEL).read_bytes() for name in ("whole", "part")]
    assert models[0] == models[1]
    assert json.loads((here / "part" / runs.RESULT).read_text())["interrupted"] is False


def test_a_finished_run_says_so_and_changes_nothing(digits, here, capsys):
    assert main("--data", digits, "--epochs", 2, "--no-plots", "-o", "run", "--quiet") == 0
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (here / "run").iterdir()}
    result = json.loads((here / "run" / runs.RESULT).read_text())
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
    assert [path.name for path in (here / "run").iterdir()] == [runs.SETTINGS]
    return here / "run"


def test_the_result_names_the_line_that_makes_the_run_and_how_often_it_went_on(begun, digits, monkeypatch):
    line = f"python -m fastdigits.train --data {digits} --epochs 2 --no-plots"
    record = json.loads((begun / runs.SETTINGS).read_text())
    assert (record["command"], record["resumed"]) == (line, 0)

    def die(*args, **rest):
        raise SystemExit(9)

    with monkeypatch.context() as patch:
        patch.setattr(fd.NeuralNetwork, "fit", die)
        with pytest.raises(SystemExit):
            main("--resume", begun, "--quiet", "--json")
    assert main("--resume", begun, "--quiet", "--threads", 1) == 0
    result = json.loads((begun / runs.RESULT).read_text())
    assert (result["command"], result["resumed"]) == (line, 2)
    assert "resumed" not in result["settings"]
    page = (begun / runs.REPORT).read_text("utf-8")
    assert "2 times" in page
    assert "--resume" not in page
    assert main(*shlex.split(result["command"])[3:], "-o", "again", "--quiet") == 0
    again = json.loads(Path("again", runs.RESULT).read_text())
    assert again["resumed"] == 0
    assert Path("again", runs.MODEL).read_bytes() == (begun / runs.MODEL).read_bytes()


@pytest.mark.parametrize("change", [{"resumed": -1}, {"resumed": "1"}, {"resumed": True}, {"command": 3}])
def test_a_record_that_is_none_is_refused(begun, capsys, change):
    record = json.loads((begun / runs.SETTINGS).read_text()) | change
    (begun / runs.SETTINGS).write_text(json.dumps(record))
    with pytest.raises(SystemExit):
        main("--resume", begun)
    assert "command must be a line and resumed a number; got" in capsys.readouterr().err


def test_the_settings_are_written_first(begun, digits):
    settings = json.loads((begun / runs.SETTINGS).read_text())
    assert settings["epochs"] == 2
    assert settings["data"] == str(digits)
    assert main("--resume", begun, "--quiet") == 0
    assert runs.finished(begun)["epochs"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", 3), "--epochs was 2, got 3"),
        (("--hidden", "64"), "--hidden was (64, 32), got (64,)"),
        (("--preset", "fast"), "--preset was None, got fast"),
        (("--seed", 1), "--seed was 0, got 1"),
        (("--data", "mnist"), "--data was"),
        (("--output", "other"), "the run stays in its folder; got --output other"),
    ],
)
def test_other_settings_are_refused_by_name(begun, capsys, words, message):
    before = (begun / runs.SETTINGS).read_bytes()
    with pytest.raises(SystemExit) as exit_:
        main("--resume", begun, *words)
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("fastdigits train: error: --resume: ")
    assert message in err
    assert err.count("\n") == 1
    assert (begun / runs.SETTINGS).read_bytes() == before


@pytest.mark.parametrize(
    "content", [None, b"", b"[]", b"{}", b'{"hidden": 3, "augment": null}', b"\xff", b"[" * 9999]
)
def test_what_is_no_run_is_refused(here, capsys, content):
    (here / "run").mkdir()
    if content is not None:
        (here / "run" / runs.SETTINGS).write_bytes(content)
    with pytest.raises(SystemExit) as exit_:
        main("--resume", "run")
    assert exit_.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("fastdigits train: error: --resume: ")
    assert err.count("\n") == 1


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
    assert "training images must be as in" in capsys.readouterr().err


def test_a_new_run_in_the_folder_of_an_old_one_begins_anew(begun, digits, capsys):
    assert main("--data", digits, "-o", begun) == 2
    assert (
        "with settings.json: choose another folder, or replace the run with --overwrite"
        in capsys.readouterr().err
    )
    (begun / "checkpoint-000000000003.safetensors").write_bytes(b"of another training")
    assert main("--data", digits, "--epochs", 1, "--no-plots", "-o", begun, "--overwrite", "--quiet") == 0
    assert list(begun.glob("checkpoint-*")) == []
