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


def test_version_is_that_of_the_package(capsys):
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastdigits {fastdigits.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "got"),
    [(["fly"], "got 'fly'"), ([], "got none"), (["--json"], "got '--json'"), ([""], "got none")],
)
def test_an_unknown_command_is_one_line_with_those_there_are_and_exit_2(argv, got, capsys):
    assert entry.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    listed = ", ".join(entry.COMMANDS)
    assert captured.err == f"fastdigits: error: the command must be one of {listed}; {got}\n"


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
