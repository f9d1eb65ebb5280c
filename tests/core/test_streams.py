"""Standard streams that fail: messages may be lost, work may not, and the exit code shows a lost answer."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sampled import sampled
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits import __main__ as entry
from fastdigits.commands import console, run_folder, train
from fastdigits.core import streams

SOURCE = str(Path(fd.__file__).parents[1])
posix = pytest.mark.skipif(os.name != "posix", reason="redirections of a POSIX shell")
FILES = {run_folder.SETTINGS, run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT, run_folder.REPORT}


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "digits")
    (_, _), (x, _) = fd.load_mnist()
    Image.fromarray(255 - np.kron(x[0], np.ones((8, 8), np.uint8))).save(folder / "seven.png")
    return folder


def shell(line: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $F is the command; standard output and error belong to the line."""
    environment = os.environ | {"PYTHONPATH": SOURCE, "F": f"{sys.executable} -m fastdigits"} | changes
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, encoding="utf-8", cwd=cwd, env=environment, timeout=120
    )


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -- a stream that never raises --------------------------------------------------------------------------------


class Broken(io.StringIO):
    """A stream that fails as often as it is asked to write."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    flush = isatty = lambda self: self.write("")


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "gone"), OSError(28, "full"), ValueError("closed"), RuntimeError("own")]
)
def test_a_broken_stream_loses_messages_and_raises_nothing(error):
    stream = streams.Messages(Broken(error))
    assert print("lost", file=stream, flush=True) is None
    assert stream.lost
    assert not stream.isatty()


def test_a_stream_that_recovers_gets_the_next_message():
    below = io.StringIO()
    stream = streams.Messages(below)
    below.write = lambda text: 1 / 0
    print("lost", file=stream)
    del below.write
    print("kept", file=stream)
    assert below.getvalue() == "kept\n"


def test_letters_that_the_encoding_lacks_are_escaped():
    raw = io.BytesIO()
    below = io.TextIOWrapper(raw, encoding="cp1252")
    print("é 数", file=streams.Messages(below), flush=True)
    assert raw.getvalue() == "é \\u6570\n".encode("cp1252").replace(b"\n", os.linesep.encode())


def test_no_stream_at_all_takes_everything():
    stream = streams.Messages(None)
    print("lost", file=stream, flush=True)
    assert (stream.isatty(), stream.encoding) == (False, "utf-8")
    with pytest.raises(io.UnsupportedOperation, match="fileno"):
        stream.fileno()


def test_the_other_attributes_are_those_of_the_stream():
    below = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    stream = streams.Messages(below)
    assert stream.writable()
    assert (stream.encoding, stream.buffer) == ("cp1252", below.buffer)
    with pytest.raises(AttributeError):
        stream.nothing  # noqa: B018


def test_standard_error_is_safe_within_and_itself_again_afterwards(monkeypatch):
    before = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr("sys.stderr", before)
    with streams.safe():
        assert isinstance(sys.stderr, streams.Messages)
        assert streams.messages() is sys.stderr
        assert before.errors == "backslashreplace"
        print("数", file=sys.stderr)
    assert sys.stderr is before
    assert before.errors == "strict"


def test_standard_error_stays_safe_after_a_loss(monkeypatch):
    monkeypatch.setattr("sys.stderr", Broken(OSError(28, "full")))
    with streams.safe():
        print("lost", file=sys.stderr)
    assert isinstance(sys.stderr, streams.Messages)
    sys.stderr.flush()  # what the interpreter does at its end


# -- within the process: pythonw and the like --------------------------------------------------------------------


@pytest.mark.parametrize("stream", [None, Broken(OSError(32, "gone")), Broken(RuntimeError("own"))])
def test_fit_goes_on_whatever_becomes_of_its_progress(monkeypatch, stream):
    monkeypatch.setattr("sys.stderr", stream)
    net = fd.NeuralNetwork([fd.Dense(4, 2)], seed=0)
    x, y = np.random.default_rng(0).random((8, 4)), np.arange(8) % 2
    assert len(net.fit(x, y, epochs=2, progress=True)) == 2


@pytest.mark.parametrize("end", ["sys.stderr.close()", "os.close(2)", "sys.stderr = None"])
def test_fit_goes_on_whatever_becomes_of_its_warnings(tmp_path, end):
    program = f"""
import os, shutil, sys
import numpy as np
import fastdigits as fd

class Own(fd.Layer):
    def forward(self, x, training=False): return x
    def backward(self, dy): return dy

class Gone(fd.Checkpoint):
    def on_train_begin(self, network, history):
        super().on_train_begin(network, history)
        shutil.rmtree(self.folder)

{end}
net = fd.NeuralNetwork([fd.Dense(4, 2), Own()], seed=0)
x, y = np.random.default_rng(0).random((8, 4)), np.arange(8) % 2
history = net.fit(x, y, epochs=2, progress=True, callbacks=[Gone("checkpoints", every=1)])
print(len(history), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert done.stdout == "2\n"


def test_a_warning_that_is_an_error_stays_one():
    with pytest.raises(UserWarning, match="text"):
        streams.warn("text", stacklevel=1)


def test_a_warning_names_the_line_of_its_caller():
    with pytest.warns(UserWarning, match="text") as caught:
        streams.warn("text", stacklevel=1)
    assert caught[0].filename == __file__


def test_progress_and_bars_of_the_user_know_that_they_share_a_stream(monkeypatch):
    from tqdm import tqdm

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with tqdm(total=2, file=terminal, desc="outer", mininterval=0) as bar:
        bar.update()
        net = fd.NeuralNetwork([fd.Dense(4, 2)], seed=0)
        net.fit(np.random.default_rng(0).random((8, 4)), np.arange(8) % 2, epochs=1, progress=True)
    shown = terminal.getvalue()
    line = shown.index("epoch 1/1  loss")
    assert shown[:line].endswith("\r")  # the outer bar was cleared before the line


def test_a_command_without_any_stream_does_its_work(digits, tmp_path, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    words = ["--data", str(digits / "digits"), "--epochs", "1", "--no-plots", "-o", str(tmp_path / "run")]
    assert train.main(words) == 0
    assert left(tmp_path / "run") == FILES
    assert entry.main(["predict", str(digits / "seven.png")]) == 2  # there is no place for the answer
    assert entry.main(["predict", "-"]) == 2


# -- processes -------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "end", ["2>&-", "2>/dev/full", "<&- >&- 2>&-", "2> >(head -1 >/dev/null)"], ids=["closed", "full", "all", "left"]
)  # fmt: skip
def test_training_goes_on_without_its_messages(digits, tmp_path, end):
    done = shell(f"$F train --data {digits}/digits --epochs 40 --no-plots -o run {end}", tmp_path)
    assert (done.returncode, left(tmp_path / "run")) == (0, FILES)
    assert done.stdout == ""
    assert fd.load(tmp_path / "run" / run_folder.MODEL).epochs_trained == 40


@posix
def test_the_answer_stands_alone_where_standard_error_is_closed(digits, tmp_path):
    done = shell(f"$F train --data {digits}/digits --epochs 1 --no-plots --json -o run 2>&-", tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["epochs"] == 1


@posix
@pytest.mark.parametrize(
    ("end", "got"),
    [
        (">&-", "must take the answer; got: a closed stream"),
        (">/dev/full", "must take the answer; got: No space left on device"),
        ("| true", "must be read to its end; got a reader that ended before"),
    ],
)
def test_an_answer_that_is_lost_ends_with_2_after_the_work(digits, tmp_path, end, got):
    words = f"train --data {digits}/digits --epochs 2 --no-plots --json --quiet -o run"
    done = shell(f"(sleep 0.2; $F {words}; echo code $? >&2) {end}", tmp_path)
    assert done.stderr.startswith(f"fastdigits train: error: standard output: {got}")
    assert done.stderr.endswith("\ncode 2\n")
    assert done.stderr.count("\n") == 2
    assert left(tmp_path / "run") == FILES


@posix
@pytest.mark.parametrize("words", ["--help", "--version", "train --help", "bench --version"])
def test_help_that_is_lost_is_an_error_too(tmp_path, words):
    done = shell(f"$F {words} >/dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


@posix
def test_a_table_that_nobody_reads_does_not_cost_the_drawing(digits, tmp_path):
    done = shell(f"(sleep 0.2; $F predict {digits}/seven.png -o seen.png; echo code $? >&2) | true", tmp_path)
    assert done.stderr == "code 0\n"
    with Image.open(tmp_path / "seen.png") as image:
        image.load()
    done = shell(f"$F predict {digits}/seven.png -o seen.svg >/dev/full", tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "seen.svg").read_bytes().rstrip().endswith(b"</svg>")


@posix
def test_an_error_that_nobody_reads_keeps_its_code(tmp_path):
    for end in ("2>&-", "2>/dev/full"):
        assert shell(f"$F predict nothing.png {end}", tmp_path).returncode == 2
        assert shell(f"$F predict --foo {end}", tmp_path).returncode == 2


@posix
def test_standard_input_that_is_closed_is_one_line(tmp_path):
    done = shell("$F predict - <&-", tmp_path)
    assert done.returncode == 2
    assert "standard input: must be a picture; got a closed stream" in done.stderr
    assert done.stderr.count("\n") == 1


@posix
def test_no_file_takes_the_number_of_a_stream_that_is_closed(tmp_path):
    program = (
        "import os; from fastdigits.core import streams\n"
        "with streams.safe(), open('model', 'wb') as file: os.write(1, b'%d' % file.fileno()); os.write(2, b'C says')"
    )
    done = shell(f'{sys.executable} -c "$PROGRAM" 2>&-', tmp_path, PROGRAM=program)
    assert int(done.stdout) > 2
    assert (tmp_path / "model").read_bytes() == b""


@pytest.mark.parametrize(
    "narrow",
    sampled(
        [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, {}],
        lambda names: "ascii" in names.values(),
    ),
)
def test_letters_that_a_stream_lacks_do_not_end_a_command(digits, tmp_path, narrow):
    environment = narrow or {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    net = fd.load_pretrained()
    net.class_names = list("零一二三四五六七八九非")
    net.save(tmp_path / "named.safetensors")
    (tmp_path / "数.png").write_bytes((digits / "seven.png").read_bytes())
    (tmp_path / "a.png").write_bytes((digits / "seven.png").read_bytes())
    for words in (["predict", "--model", "named.safetensors", "数.png", "a.png"], ["bench", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "fastdigits", *words],
            capture_output=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": SOURCE} | environment,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert words[0] == "bench" or len(done.stdout.splitlines()) == 3


@pytest.mark.parametrize("name", ["module://nowhere.there", "nonsense"])
def test_pictures_are_drawn_whatever_backend_a_notebook_has_set(digits, tmp_path, name):
    done = subprocess.run(
        [sys.executable, "-m", "fastdigits", "predict", str(digits / "seven.png"), "-o", "seen.png"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": SOURCE, "PYTHONIOENCODING": "utf-8", "MPLBACKEND": name},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "seen.png").stat().st_size > 1000


def test_a_command_leaves_the_setting_of_matplotlib_as_it_was(monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "module://nowhere.there")
    assert entry.main(["--version"]) == 0
    assert os.environ["MPLBACKEND"] == "module://nowhere.there"
    monkeypatch.delenv("MPLBACKEND")
    assert entry.main(["--version"]) == 0
    assert "MPLBACKEND" not in os.environ


def test_a_closed_standard_output_is_an_error_by_name(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    with pytest.raises(
        OSError, match="standard output: must take the answer; got: I/O operation on closed file"
    ):
        console.print_answer("answer")
