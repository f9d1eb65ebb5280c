"""What the commands print fits 80 columns, and is coloured on a terminal that wants it."""

import io
import json
import math
import re

import pytest

import fastdigits
from fastdigits import __main__ as entry
from fastdigits import backend
from fastdigits.commands import bench, console


class Terminal(io.StringIO):
    def isatty(self):
        return True


# -- width -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "width"), [("200", 80), ("80", 80), ("60", 60), ("3", 40), ("wide", 80), ("0", 80)]
)
def test_lines_are_as_wide_as_the_terminal_between_40_and_80_columns(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    assert console.width() == width


def test_a_table_wraps_texts_and_keeps_lines_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    path = "runs/a folder with a long name/model.safetensors"
    rows = {"saved in": [path], "": "one-cycle, and more words than fit", "time": "", "a name of 16": "x"}
    assert console.fields(rows).splitlines() == [
        f"saved in        {path}",
        "                one-cycle, and more",
        "                words than fit",
        "time            ",
        "a name of 16    x",
    ]


# -- colour ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "changes", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # as no-color.org has it
        (Terminal(), {"NO_COLOR": "0"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
        (None, {}, False),  # what sys.stderr is where it is closed
    ],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, stream, changes, coloured):
    monkeypatch.setattr("sys.platform", "linux")
    for name, value in ({"TERM": "xterm"} | changes).items():
        monkeypatch.setenv(name, value)
    if "NO_COLOR" not in changes:
        monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.has_colour(stream) is coloured


@pytest.mark.parametrize("session", [True, False])
def test_on_windows_its_newer_terminal_has_colour(monkeypatch, session):
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.delenv("WT_SESSION", raising=False)
    if session:
        monkeypatch.setenv("WT_SESSION", "1")
    assert console.has_colour(Terminal()) is session


def test_an_error_is_one_line_with_a_red_word(monkeypatch):
    monkeypatch.setattr(console, "has_colour", lambda stream: True)
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    console.print_error("fastdigits", "a\nb")
    assert stream.getvalue() == "fastdigits: \x1b[1;31merror:\x1b[0m a\\nb\n"


# -- JSON --------------------------------------------------------------------------------------------------


def test_json_is_one_line_of_what_the_standard_allows(capsys):
    console.print_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf, "ü\n")}})
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert text.isascii()
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": {"d": [None, "ü\n"]}}


# -- help --------------------------------------------------------------------------------------------------


def help_of(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit) as caught:
        entry.main([name, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_a_help_fits_80_columns(name, monkeypatch, capsys):
    text = help_of(name, 80, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert text == help_of(name, 200, monkeypatch, capsys)


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_a_help_fits_a_narrow_terminal_but_for_its_examples(name, monkeypatch, capsys):
    text = help_of(name, 60, monkeypatch, capsys)
    assert [
        line for line in text.splitlines() if len(line) > 60 and not line.startswith("  fastdigits ")
    ] == []


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_a_help_has_each_heading_once_and_the_options_of_all_commands(name, monkeypatch, capsys):
    text = help_of(name, 80, monkeypatch, capsys)
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert sorted(set(headings)) == sorted(headings)
    for option in ("-h, --help", "--version", "--json", "-q, --quiet"):
        assert re.search(rf"^  {option} ", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_a_help_keeps_names_whole(name, monkeypatch, capsys):
    for columns in (60, 80):
        assert "emnist-letters" in help_of(name, columns, monkeypatch, capsys)


# -- bench -------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """Measure nothing, so that only the table is left."""
    if backend.backend_name() == "numpy":
        pytest.skip("needs a compiled backend")
    monkeypatch.setattr(bench, "measure_peak", lambda kernels: 2e11)
    monkeypatch.setattr(bench, "dense_share_of_peak", lambda kernels: {"dense_backward_weight": 1.0})


@pytest.mark.parametrize("seconds", [1e-6, 0.0999999, 0.5])
def test_the_table_of_bench_fits_80_columns(quick, monkeypatch, capsys, seconds):
    monkeypatch.setattr(bench, "take_turns", lambda calls, _: [seconds, 123.4 * seconds])
    assert bench.main(["--batch", "1,64"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line for line in lines if line.startswith("softmax_cross_entropy_backward  10 ")]
    assert len(rows) == 2
    assert all(" 123.4×" in row for row in rows)


def test_a_batch_of_bench_that_is_larger_than_the_data_allow_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        bench.main(["--batch", "5,3751"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "fastdigits bench: error: --batch: must be at most 3,750; got 3,751\n"


def test_the_largest_batch_of_bench_is_what_mnist_has():
    (images, _), _ = fastdigits.load_mnist()
    assert bench.STEPS * bench.LARGEST <= len(images) < bench.STEPS * (bench.LARGEST + 1)
