"""Tables line up; names of files and classes are shown with control characters escaped, wherever people see them."""

import json
import os
import pickle
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import fastdigits as fd
from fastdigits.commands import console, draw, evaluate, predict, train
from fastdigits.core import pages
from fastdigits.core.text import Table, cut, tabulate, wrap
from fastdigits.errors import printable
from fastdigits.imaging.reading import Reading
from fastdigits.visualize.readings import readings_figure

# what acts, and how it is shown
ACTING = {
    "a\nb": r"a\nb",
    "a\rb": r"a\rb",
    "a\tb": r"a\tb",
    "\x1b[31mred": r"\x1b[31mred",
    "\x07bell": r"\x07bell",
    "\x9b31m": r"\x9b31m",  # the one-byte form of ESC [
    "r\u202egnp.exe": r"r\u202egnp.exe",
    "a\u2066b\u2069": r"a\u2066b\u2069",
    "a\u2028b": r"a\u2028b",
    "a\ufeffb": r"a\ufeffb",
    "bad\udcff": r"bad\udcff",  # a byte of a file name that is no text
    "\U000e0041": r"\U000e0041",
}
PLAIN = ["seven.png", "Größe 7 ×2 …", "七", "a\u00a0b", "می\u200cخواهم", "👩\u200d🔬", r"C:\new"]


@pytest.mark.parametrize("text", ACTING)
def test_what_acts_on_a_terminal_is_escaped(text):
    assert printable(text) == ACTING[text]
    assert printable(printable(text)) == ACTING[text]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_written_with_letters_stays(text):
    assert printable(text) == text


def test_what_is_to_be_kept_is_kept():
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"


@pytest.mark.parametrize("kind", [fd.DataError, fd.ModelFileError])
def test_errors_about_files_have_one_line_without_control_characters(kind):
    assert str(kind("a\n\x1b.png: must be …")) == r"a\n\x1b.png: must be …"
    assert str(kind()) == ""


@pytest.mark.parametrize(
    ("colour", "line"), [(True, "\x1b[1mbold\x1b[0m a\\x1b[31m\n"), (False, "bold a\\x1b[31m\n")]
)
def test_only_the_colours_made_here_reach_a_terminal(monkeypatch, capsys, colour, line):
    monkeypatch.setattr(console, "has_colour", lambda stream: colour)
    console.print_message(f"{console.bold('bold')} a\x1b[31m")
    console.print_answer("two\nlines \x07")
    out, err = capsys.readouterr()
    assert (out, err) == ("two\nlines \\x07\n", line)


def test_a_line_about_a_name_is_one_line(capsys):
    console.print_note("fastdigits", "open a\nb\x1b[2J")
    assert capsys.readouterr().err == "fastdigits: open a\\nb\\x1b[2J\n"


def test_a_page_shows_them_escaped(tmp_path):
    template = tmp_path / "page.jinja"
    template.write_text('<p title="{{ text }}">{{ text }}</p>', encoding="utf-8")
    shown = r"a\x1b\u202e&lt;" + "\nb"
    assert pages.render(template, text="a\x1b\u202e<\nb") == f'<p title="{shown}">{shown}</p>'


def test_a_drawing_shows_them_escaped():
    probabilities = np.array([[0.25, 0.75]], np.float32)
    names = ("\x1b[1m", "$x_{$")
    reading = Reading(
        "$\x07_{.png", np.zeros((4, 4)), np.zeros((1, 4, 4), np.uint8), None, probabilities, names
    )
    figure = readings_figure([reading])
    figure.savefig(os.devnull, format="png")  # matplotlib's formulas would fail here
    given, _seen, bars = figure.axes
    assert given.get_title() == r"$\x07_{.png"
    assert [label.get_text() for label in bars.get_xticklabels()] == [r"\x1b[1m", "$x_{$"]


needs_any_name = pytest.mark.skipif(sys.platform != "linux", reason="names of files are not any bytes there")


@needs_any_name
@pytest.mark.parametrize("name", [name for name in ACTING if "/" not in name])
def test_predict_shows_names_of_pictures_escaped(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (x, _), _ = fd.load_mnist()
    Image.fromarray(255 - x[0].repeat(4, 0).repeat(4, 1)).save("picture.png")
    os.rename("picture.png", name)
    with open(f"{name}.no.png", "w") as file:
        file.write("no picture")
    assert predict.main([name, f"{name}.no.png"]) == 2
    out, err = capsys.readouterr()
    shown = ACTING[name]
    assert [line.split()[0] for line in out.splitlines()[1:]] == [shown]
    assert err.startswith(f"fastdigits predict: error: {shown}.no.png: must be a picture")
    assert printable(out + err, keep="\n") == out + err
    assert predict.main([name, "--json"]) == 0
    line = capsys.readouterr().out
    assert line.isascii()
    assert json.loads(line)["images"][0]["image"] == name


@needs_any_name
def test_train_and_evaluate_show_names_of_folders_and_classes_escaped(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (x, y), _ = fd.load_mnist()
    for number in range(60):
        folder = tmp_path / "data\n\x1b" / f"c\u202e{y[number]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[number]).save(folder / f"{number}.png")
    run = ["--data", "data\n\x1b", "--output", "run\r\x1b[31m"]
    assert train.main([*run, "--epochs", "1"]) == 0
    model = ["--data", "data\n\x1b", "--model", "run\r\x1b[31m"]
    assert evaluate.main([*model, "--no-plots", "-o", "\x07"]) == 0
    assert train.main(["--data", "\x1b\n"]) == 2
    assert train.main(["--resume", "run\r\x1b[31m"]) == 0
    assert draw.main(["--output", "page\n\x1b.html", "--no-open"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert printable(err, keep="\n") == err
    for shown in (
        r"data\n\x1b: 50 training",
        r"run\r\x1b[31m/report.html",
        r"c\u202e7  ",
        r"\x07" + "\n",
        r"error: '\x1b\n': data",
    ):
        assert shown in err
    assert r"fastdigits train: run\r\x1b[31m is finished already" in err
    assert err.splitlines()[-1].startswith(r"page\n\x1b.html: 2.")
    report = (tmp_path / "run\r\x1b[31m" / "report.html").read_text(encoding="utf-8")
    assert printable(report, keep="\n") == report


# -- tables ------------------------------------------------------------------------------------------------


def test_a_table_sets_columns_left_or_right_and_the_last_sign_holds_for_the_rest():
    rows = [("class", "precision", "images"), ("0", "9.50 %", "1"), ("seven", "10.00 %", "")]
    assert tabulate(rows, "<>").splitlines() == [
        "class  precision  images",
        "0         9.50 %       1",
        "seven    10.00 %        ",
    ]
    assert tabulate(rows[1:]).splitlines() == ["0      9.50 %   1", "seven  10.00 %  "]


def test_a_table_has_a_line_below_its_heading_and_above_its_total():
    rows = [("layer", "n"), ("dense1", "10"), ("total", "10")]
    assert tabulate(rows, "<>", ruled=True).splitlines() == [
        "layer    n",
        "──────────",
        "dense1  10",
        "──────────",
        "total   10",
    ]


def test_a_table_in_parts_keeps_its_columns():
    least = (3, 4)
    assert [tabulate([row], "<>", least=least) for row in [("a", "1"), ("bcd", "2345")]] == [
        "a       1",
        "bcd  2345",
    ]


def test_a_table_escapes_control_characters_before_it_measures():
    assert tabulate([("a\nb", "c"), ("name", "\x1b[2J")]).splitlines() == [r"a\nb  c", r"name  \x1b[2J"]


def test_words_longer_than_a_line_and_hyphenated_names_stay_whole():
    assert wrap("one-cycle and emnist-letters", 8) == ["one-cycle", "and", "emnist-letters"]
    assert wrap("", 8) == [""]


def test_what_is_cut_ends_with_an_ellipsis():
    assert [cut("digits", length) for length in (6, 5, 1)] == ["digits", "digi…", "…"]
    assert cut("a\nb", 3) == "a\\…"


# -- tables ------------------------------------------------------------------------------------------------

ROWS = [("name", "n"), ("<b>", "1,000"), ("a\nb", "2"), ("total", "1,002")]


def test_a_table_is_its_text_and_a_console_shows_it_without_quotes():
    table = Table(ROWS, "<>", ruled=True, caption="two & more")
    assert table == tabulate(ROWS, "<>", ruled=True) + "\ntwo & more"
    assert repr(table) == str(table) == table
    assert pickle.loads(pickle.dumps(table))._repr_html_() == table._repr_html_()
    assert Table(ROWS) == tabulate(ROWS)


def test_a_notebook_shows_a_table_as_html():
    page = ElementTree.fromstring(Table(ROWS, "<>", ruled=True, caption="two & more")._repr_html_())
    cells = {
        part.tag: [[cell.text for cell in row] for row in part] for part in page if part.tag != "caption"
    }
    assert cells == {
        "thead": [["name", "n"]],
        "tbody": [["<b>", "1,000"], [r"a\nb", "2"]],
        "tfoot": [["total", "1,002"]],
    }
    assert page.find("caption").text == "two & more"
    assert [cell.get("style") for cell in page.find("thead/tr")] == ["text-align: left", "text-align: right"]
    plain = ElementTree.fromstring(Table(ROWS)._repr_html_())
    assert [len(part) for part in plain] == [1, 3]
