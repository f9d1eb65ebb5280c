"""A command returns its exit code, and each expected error is one line and exit 2."""

import subprocess
import sys

import pytest

import fastdigits as fd
from fastdigits import backend
from fastdigits.commands import runner


@pytest.mark.parametrize("code", [0, 130])
def test_the_code_of_the_work_is_returned(code):
    assert runner.run("fastdigits pretend", lambda: code) == code


@pytest.mark.parametrize(
    "error",
    [
        runner.CommandError("--x: must be y"),
        fd.DataError("a.gz: must be whole"),
        fd.ModelFileError("a.safetensors: must be whole"),
        fd.DivergedError("fit: the loss must stay finite"),
        OSError("no space\nleft"),
    ],
)
def test_an_expected_error_is_one_line_and_exit_2(error, capsys):
    def work():
        raise error

    assert runner.run("fastdigits pretend", work) == 2
    expected = str(error).replace("\n", "\\n")
    assert capsys.readouterr().err == f"fastdigits pretend: error: {expected}\n"


def test_an_error_in_the_program_itself_is_not_hidden():
    def work():
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError, match="a mistake of ours"):
        runner.run("fastdigits pretend", work)


def test_an_interrupt_is_one_line_and_exit_130(capsys):
    def work():
        raise KeyboardInterrupt

    assert runner.run("fastdigits pretend", work) == 130
    assert capsys.readouterr().err == "fastdigits pretend: interrupted\n"


def test_the_backend_serves_before_the_work_begins():
    before = backend.backend_name()
    seen = []
    try:
        runner.run(
            "fastdigits pretend", lambda: seen.append(backend.backend_name()) or 0, backend_name="numpy"
        )
    finally:
        backend.use_backend(before)
    assert seen == ["numpy"]


def test_the_threads_are_set_before_the_work_begins():
    seen = []
    try:
        runner.run("fastdigits pretend", lambda: seen.append(fd.get_num_threads()) or 0, threads=3)
    finally:
        fd.set_num_threads(None)
    assert seen == [3]


def test_a_wrong_number_of_threads_in_the_environment_is_one_line_and_exit_2(monkeypatch, capsys):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "many")
    assert runner.run("fastdigits pretend", lambda: 0) == 2
    text = capsys.readouterr().err
    assert text.startswith("fastdigits pretend: error: FASTDIGITS_NUM_THREADS: must be a whole number")
    assert text.count("\n") == 1


def test_a_backend_that_is_not_available_is_one_line_and_exit_2(monkeypatch, capsys):
    def refuse(name):
        raise ImportError(f"backend {name}: the processor must support it")

    monkeypatch.setattr(backend, "use_backend", refuse)
    assert runner.run("fastdigits pretend", lambda: 0, backend_name="avx512") == 2
    line = "fastdigits pretend: error: --backend: backend avx512: the processor must support it\n"
    assert capsys.readouterr().err == line


def test_a_command_ends_without_a_last_look_at_all_objects():
    """Handlers run in reverse: this one sees what the command's has done."""
    program = (
        "import atexit, gc; first = gc.get_freeze_count(); "  # Python 3.12 begins with some hundreds
        "atexit.register(lambda: print(gc.get_freeze_count() > first + 1000)); "
        "from fastdigits.commands.runner import run; run('test', lambda: print(gc.get_freeze_count() - first) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\nTrue\n"
