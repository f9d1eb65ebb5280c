"""Options are read strictly, and each expected error is one line and exit 2."""

import argparse
import json
import math
import subprocess
import sys

import pytest

import fastdigits as fd
from fastdigits import backend
from fastdigits.commands import console
from fastdigits.commands import parser as arguments


@pytest.fixture
def parser():
    made = arguments.Parser("pretend", "Pretend.", "examples:\n  fastdigits pretend")
    group = made.add_argument_group("all")
    group.add_argument("--count", type=arguments.whole_number, default=3)
    arguments.add_choice(group, "--fruit", ["apple", "fig"], "fig", "100 % of what to eat")
    arguments.add_backend_option(group)
    arguments.add_report_options(group)
    return made


# -- types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (arguments.whole_number, "1", 1),
        (arguments.seed, "0", 0),
        (arguments.seed, "123456789012345678901234567890", 123456789012345678901234567890),
        (arguments.positive, "1e-3", 0.001),
        (arguments.not_negative, "0", 0.0),
        (arguments.fraction, "0.999", 0.999),
        (arguments.widths, "64,32", (64, 32)),
        (arguments.widths, "7", (7,)),
    ],
)
def test_a_good_value_is_read(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "texts", "message"),
    [
        (arguments.whole_number, ["0", "-1", "1.0", "1e3", "ten", "", "nan"], "whole number of at least 1"),
        (arguments.seed, ["-1", "0.5", ""], "whole number of at least 0"),
        (arguments.positive, ["0", "-1", "nan", "inf", "1e400", "1e-60", "x"], "a number above 0"),
        (arguments.not_negative, ["-0.1", "nan", "inf", ""], "a number of at least 0; got"),
        (arguments.fraction, ["1", "-0.1", "nan", "inf", "0.9999999999"], "at least 0 and below 1"),
        (
            arguments.widths,
            ["64,,3", "", ",", "64,0", "64;32", "64,-3", "6.5"],
            "whole numbers of at least 1 with",
        ),
        (arguments.path, ["", "a\0b"], "the name of a file or folder"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_wanted_and_what_came(kind, texts, message):
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=message) as caught:
            kind(text)
        assert str(caught.value).endswith(f"got {text!r}")


def test_a_very_long_value_is_cut_in_the_message():
    with pytest.raises(argparse.ArgumentTypeError, match=r"9…'$") as caught:
        arguments.whole_number("9" * 10_000)
    assert len(str(caught.value)) < 200


# -- the parser --------------------------------------------------------------------------------------------


def test_options_are_read(parser):
    options = parser.read(["--count", "5", "--fruit", "apple", "--backend", "numpy", "-q", "--json"])
    assert vars(options) == {"count": 5, "fruit": "apple", "backend": "numpy", "quiet": True, "json": True}


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--count", "0"], "--count: must be a whole number of at least 1; got '0'"),
        (["--coumt", "4"], "unknown option '--coumt'; did you mean '--count'?"),
        (["--coumt=4"], "unknown option '--coumt'; did you mean '--count'?"),
        (["--coun", "4"], "unknown option '--coun'; did you mean '--count'?"),
        (["--xyzzy"], "unknown option '--xyzzy'; see --help"),
        (["stray"], "unexpected argument 'stray'; see --help"),
        (["two\nlines"], "unexpected argument 'two\\nlines'; see --help"),
        (["--count"], "--count: expected one argument"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(parser, argv, line, capsys):
    with pytest.raises(SystemExit) as caught:
        parser.read(argv)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"fastdigits pretend: error: {line}\n"


@pytest.mark.parametrize("option", ["--fruit", "--backend"])
def test_a_choice_that_is_none_is_refused_with_those_there_are(parser, option, capsys):
    with pytest.raises(SystemExit):
        parser.read([option, "kiwi"])
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    for name in ["apple", "fig"] if option == "--fruit" else backend.MODULES:
        assert name in line


def test_help_shows_choices_and_default_in_the_width_of_the_terminal(parser, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    text = parser.format_help()
    assert "100 % of what to eat: apple or fig (default: fig)" in text
    assert max(map(len, text.splitlines())) <= 70


# -- doing it again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "python -m fastdigits.train"),
        (["--epochs", "2", "-o", "x", "--quiet", "--json", "--lr=0.1"], "… --epochs 2 --lr=0.1"),
        (["-qo", "x", "--show", "--overwrite", "--no-plots"], "… --no-plots"),
        (["--data", "my digits; rm", "--output=a b", "-oc"], "… --data 'my digits; rm'"),
        (["--augment", "rotation=10,shift=1.5", "--seed", "3"], "… --augment rotation=10,shift=1.5 --seed 3"),
    ],
)
def test_the_line_that_does_it_again_leaves_out_where_results_go(argv, line, monkeypatch):
    monkeypatch.delenv("FASTDIGITS_BACKEND", raising=False)
    assert arguments.command_line("train", argv) == line.replace("…", "python -m fastdigits.train")


def test_the_line_that_does_it_again_names_a_backend_that_the_environment_chose(monkeypatch):
    monkeypatch.setenv("FASTDIGITS_BACKEND", "numpy")
    again = "FASTDIGITS_BACKEND=numpy python -m fastdigits.train --epochs 2"
    assert arguments.command_line("train", ["--epochs", "2"]) == again
    for option in (["--backend", "generic"], ["--backend=generic"]):
        assert arguments.command_line("train", option) == f"python -m fastdigits.train {' '.join(option)}"


def test_without_options_the_line_is_made_of_those_of_the_process(monkeypatch):
    monkeypatch.delenv("FASTDIGITS_BACKEND", raising=False)
    monkeypatch.setattr("sys.argv", ["fastdigits", "--part", "train", "-q"])
    assert arguments.command_line("evaluate", None) == "python -m fastdigits.evaluate --part train"


# -- the way out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 130])
def test_the_code_of_the_work_is_returned(code):
    assert console.run("fastdigits pretend", lambda: code) == code


@pytest.mark.parametrize(
    "error",
    [
        console.CommandError("--x: must be y"),
        fd.DataError("a.gz: must be whole"),
        fd.ModelFileError("a.safetensors: must be whole"),
        fd.DivergedError("fit: the loss must stay finite"),
        OSError("no space\nleft"),
    ],
)
def test_an_expected_error_is_one_line_and_exit_2(error, capsys):
    def work():
        raise error

    assert console.run("fastdigits pretend", work) == 2
    expected = str(error).replace("\n", "\\n")
    assert capsys.readouterr().err == f"fastdigits pretend: error: {expected}\n"


def test_an_error_in_the_program_itself_is_not_hidden():
    def work():
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError, match="a mistake of ours"):
        console.run("fastdigits pretend", work)


def test_an_interrupt_is_one_line_and_exit_130(capsys):
    def work():
        raise KeyboardInterrupt

    assert console.run("fastdigits pretend", work) == 130
    assert capsys.readouterr().err == "fastdigits pretend: interrupted\n"


def test_the_backend_serves_before_the_work_begins():
    before = backend.backend_name()
    seen = []
    try:
        console.run(
            "fastdigits pretend", lambda: seen.append(backend.backend_name()) or 0, backend_name="numpy"
        )
    finally:
        backend.use_backend(before)
    assert seen == ["numpy"]


def test_the_threads_are_set_before_the_work_begins():
    seen = []
    try:
        console.run("fastdigits pretend", lambda: seen.append(fd.get_num_threads()) or 0, threads=3)
    finally:
        fd.set_num_threads(None)
    assert seen == [3]


def test_a_wrong_number_of_threads_in_the_environment_is_one_line_and_exit_2(monkeypatch, capsys):
    monkeypatch.setenv("FASTDIGITS_NUM_THREADS", "many")
    assert console.run("fastdigits pretend", lambda: 0) == 2
    text = capsys.readouterr().err
    assert text.startswith("fastdigits pretend: error: FASTDIGITS_NUM_THREADS: must be a whole number")
    assert text.count("\n") == 1


def test_a_backend_that_is_not_available_is_one_line_and_exit_2(monkeypatch, capsys):
    def refuse(name):
        raise ImportError(f"backend {name}: the processor must support it")

    monkeypatch.setattr(backend, "use_backend", refuse)
    assert console.run("fastdigits pretend", lambda: 0, backend_name="avx512") == 2
    line = "fastdigits pretend: error: --backend: backend avx512: the processor must support it\n"
    assert capsys.readouterr().err == line


def test_json_is_one_line_of_what_the_standard_allows(capsys):
    console.print_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf, "ü\n")}})
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": {"d": [None, "ü\n"]}}


def test_a_command_ends_without_a_last_look_at_all_objects():
    """Handlers run in reverse: this one sees what the command's has done."""
    program = (
        "import atexit, gc; first = gc.get_freeze_count(); "  # Python 3.12 begins with some hundreds
        "atexit.register(lambda: print(gc.get_freeze_count() > first + 1000)); "
        "from fastdigits.commands.console import run; run('test', lambda: print(gc.get_freeze_count() - first) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0\nTrue\n"
