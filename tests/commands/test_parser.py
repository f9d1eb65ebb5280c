"""Options are read strictly, and help fits the terminal."""

import pytest

from fastdigits import backend
from fastdigits.commands import arguments
from fastdigits.commands.parser import Parser


@pytest.fixture
def parser():
    made = Parser("pretend", "Pretend.", "examples:\n  fastdigits pretend")
    group = made.add_argument_group("all")
    group.add_argument("--count", type=arguments.whole_number, default=3)
    arguments.add_choice(group, "--fruit", ["apple", "fig"], "fig", "100 % of what to eat")
    arguments.add_backend_option(group)
    arguments.add_result_options(group)
    return made


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


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "missing argument FILE; see --help"),
        (["--coumt"], "unknown option '--coumt'; did you mean '--count'?"),
    ],
)
def test_a_missing_argument_is_named_after_an_unknown_option(parser, argv, line, capsys):
    parser.add_argument("file", metavar="FILE")
    with pytest.raises(SystemExit):
        parser.read(argv)
    assert capsys.readouterr().err == f"fastdigits pretend: error: {line}\n"


def test_a_wrong_choice_names_those_there_are(parser, capsys):
    with pytest.raises(SystemExit):
        parser.read(["--fruit", "kiwi"])
    line = "fastdigits pretend: error: --fruit: must be one of apple, fig; got 'kiwi'\n"
    assert capsys.readouterr().err == line
