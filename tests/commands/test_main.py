"""`fastdigits` and `python -m fastdigits` hand over to their commands."""

import importlib
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import fastdigits
from fastdigits import __main__ as entry

SOURCE = Path(fastdigits.__file__).parents[1]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_each_command_with_what_it_does(flag, capsys):
    assert entry.main([flag]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for name, text in entry.COMMANDS.items():
        assert f"  {name}" in captured.out
        assert text in captured.out
    assert max(map(len, captured.out.splitlines())) <= 60


def test_without_a_command_the_help_goes_to_standard_error_and_the_code_is_2(capsys):
    assert entry.main([]) == 2
    assert capsys.readouterr() == ("", f"{entry.HELP}\n")


def test_help_is_a_command_too(capsys):
    assert entry.main(["help"]) == 0
    assert capsys.readouterr() == (f"{entry.HELP}\n", "")


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_help_of_a_command_is_what_its_option_shows(name, capsys):
    texts = []
    for argv in (["help", name], [name, "--help"]):
        with pytest.raises(SystemExit) as caught:
            entry.main(argv)
        assert caught.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_each_command_tells_the_version(name, capsys):
    with pytest.raises(SystemExit) as caught:
        entry.main([name, "--version"])
    assert caught.value.code == 0
    assert capsys.readouterr() == (f"fastdigits {fastdigits.__version__}\n", "")


def test_version_is_that_of_the_package(capsys):
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastdigits {fastdigits.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "'trian'; did you mean 'train'?"),
        (["help", "pedict"], "'pedict'; did you mean 'predict'?"),
        (["fly"], "'fly'; the commands are train, tune, evaluate, draw, predict, shard, bench"),
        (["--json"], "'--json'; the commands are train, tune, evaluate, draw, predict, shard, bench"),
        ([""], "''; the commands are train, tune, evaluate, draw, predict, shard, bench"),
        (["a\nb"], "'a\\nb'; the commands are train, tune, evaluate, draw, predict, shard, bench"),
    ],
)
def test_an_unknown_command_is_one_line_with_those_there_are_and_exit_2(argv, message, capsys):
    assert entry.main(argv) == 2
    assert capsys.readouterr() == ("", f"fastdigits: error: unknown command {message}\n")


def test_a_command_gets_the_arguments_that_follow_and_its_code_is_returned(monkeypatch):
    seen = []
    module = types.ModuleType("fastdigits.pretend")
    module.main = lambda argv: seen.append(argv) or 130
    monkeypatch.setitem(sys.modules, "fastdigits.pretend", module)
    monkeypatch.setitem(entry.COMMANDS, "pretend", "do nothing")
    assert entry.main(["pretend", "--json", "train"]) == 130
    assert seen == [["--json", "train"]]


def test_without_argv_the_arguments_are_those_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fastdigits", "--version"])
    assert entry.main() == 0
    assert capsys.readouterr().out.startswith("fastdigits ")


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_each_command_is_a_module_with_a_main(name):
    assert callable(importlib.import_module(f"fastdigits.{name}").main)


def test_python_m_fastdigits_train_is_the_train_command():
    done = subprocess.run(
        [sys.executable, "-m", "fastdigits", "train", "--epochs", "0"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "fastdigits train: error: --epochs: must be a whole number of at least 1; got '0'\n"


def test_help_of_help_is_the_help(capsys):
    assert entry.main(["help", "help"]) == 0
    assert capsys.readouterr().out.startswith("usage: fastdigits COMMAND")


def test_a_misspelt_option_is_named_before_an_argument_that_is_missing(capsys):
    with pytest.raises(SystemExit) as ended:
        entry.main(["predict", "--hlep"])
    assert ended.value.code == 2
    assert "unknown option '--hlep'; did you mean '--help'?" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a pipe that nobody reads")
@pytest.mark.parametrize(
    "words", [["--help"], ["help"], ["--version"], ["train", "--help"], ["bench", "--version"]]
)
def test_a_reader_that_left_is_no_error(words):
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-m", "fastdigits", *words], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (0, "")
