"""Whatever asks for a file refuses a pipe, a socket and a device at once: none keeps the caller waiting."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.commands import draw, evaluate, predict, run_folder, train
from fastdigits.core import atomic
from fastdigits.data.tables import read_table
from fastdigits.export.html import is_exported

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
PIPE = "got: a pipe, not a regular file: write its content to one first"
NAMES = ("a.csv", "a.csv.gz", "a.npz", "a.npy", "a.png", "a.safetensors", "a-idx3-ubyte", "a")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in a folder with a pipe of each name."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        os.mkfifo(name)


@pytest.fixture(autouse=True)
def alarm():
    """End a test that waits for a pipe."""
    import signal

    def late(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_regular_file_is_opened_and_nothing_else(tmp_path):
    with pytest.raises(OSError, match="a pipe, not a regular file"):
        atomic.open_regular("a")
    with pytest.raises(IsADirectoryError, match="a folder"):
        atomic.open_regular(tmp_path)
    with pytest.raises(OSError, match="a device, not a regular file"):
        atomic.open_regular("/dev/zero")
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        with pytest.raises(OSError, match="a socket, not a regular file"):
            atomic.open_regular("socket")
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with atomic.open_regular("link") as file:
        assert file.read() == b"content"


DOORS = {
    "load": (fd.load, ["a.safetensors", "a"]),
    "load_data": (fd.load_data, ["a.csv", "a.csv.gz", "a.npz", "a"]),
    "read_idx": (fd.read_idx, ["a-idx3-ubyte"]),
    "prepare": (fd.prepare, ["a.png"]),
    "cut_digits": (fd.cut_digits, ["a.png"]),
}


@pytest.mark.parametrize(
    ("door", "name"), [(door, name) for door, (_, names) in DOORS.items() for name in names]
)
def test_functions_refuse_a_pipe(door, name):
    with pytest.raises((fd.DataError, fd.ModelFileError), match=rf"^{name}: .*{PIPE}"):
        DOORS[door][0](name)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz", "train.csv", "0/a.png"]
)
def test_a_pipe_in_a_folder_of_data_is_refused(tmp_path, name):
    folder = tmp_path / "data"
    (folder / "0").mkdir(parents=True)
    if name.startswith("t10k"):
        from gzip import compress

        for other in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3"):
            shape = (6, 1, 1) if "images" in other else (6,)
            header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            (folder / f"{other}-ubyte.gz").write_bytes(compress(header + bytes(6)))
    os.mkfifo(folder / name)
    with pytest.raises(fd.DataError, match=rf"{name}: .*{PIPE}"):
        fd.load_data(folder)


def test_checkpoints_settings_and_results_that_are_pipes_are_refused(tmp_path):
    os.mkfifo("checkpoint-000000000001.safetensors")
    for name in (run_folder.SETTINGS, run_folder.RESULT):
        os.mkfifo(name)
    net = fd.NeuralNetwork([fd.Dense(4, 2)])
    with pytest.raises(fd.ModelFileError, match=PIPE):
        net.fit(np.zeros((4, 4), np.uint8), np.arange(4) % 2, epochs=1, resume=tmp_path)
    for read in (run_folder.read_settings, run_folder.finished):
        with pytest.raises(fd.DataError, match=PIPE):
            read(tmp_path)
    run_folder.remove_pictures(tmp_path)
    with pytest.raises(OSError, match="a pipe"):
        is_exported("a")
    with pytest.raises(fd.DataError, match="a pipe"):
        read_table(tmp_path / "a.csv")


COMMANDS = [
    (train, ["--data", "a.csv"]),
    (train, ["--data", "a"]),
    (train, ["--data", "/dev/zero"]),
    (evaluate, ["--data", "a.npz"]),
    (evaluate, ["--model", "a.safetensors"]),
    (predict, ["a.png"]),
    (predict, ["a.npy"]),
    (predict, ["a.csv"]),
    (predict, ["/dev/zero"]),
    (predict, ["--model", "a", "a.png"]),
    (draw, ["--model", "a", "--no-open"]),
]


@pytest.mark.parametrize(("command", "words"), COMMANDS)
def test_commands_refuse_a_pipe_in_one_line(command, words, capsys):
    assert command.main(words) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert ", not a regular file: write its content to one first" in told


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="this system has no bash")
def test_what_a_shell_substitutes_is_refused():
    line = f"{sys.executable} -m fastdigits.train --data <(echo label,a,b)"
    source = os.path.dirname(os.path.dirname(fd.__file__))
    done = subprocess.run(
        ["/bin/bash", "-c", line],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
        timeout=60,
    )
    assert done.returncode == 2
    assert PIPE in done.stderr
