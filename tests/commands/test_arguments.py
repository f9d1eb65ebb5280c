"""The values of options are checked, and the command line of a run can be repeated."""

import argparse

import pytest

from fastdigits.commands import arguments


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


# -- the command line that repeats a run -------------------------------------------------------------------


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
