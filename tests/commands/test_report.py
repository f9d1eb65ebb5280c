"""The report is one page that needs nothing else, says what the result says, and shows strings as they are."""

import base64
import copy
import json
import os
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits.commands import report, run_folder, system, train
from fastdigits.commands.assessment import assess

HOSTILE = "</code></pre><script>alert(1)</script><img src=x onerror=\"alert('2')\">&amp;é\u2028"
VOID = ("img", "meta")  # elements without content
SHOWN = HOSTILE.replace("\u2028", "\\u2028")  # what is no letter is escaped, as everywhere


class Page(HTMLParser):
    """A page taken apart; a tag that is not closed, or not in order, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []  # of which element, what
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)
            self.texts.append((tag, ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text]

    def named(self) -> dict[str, str]:
        """Return what each name of a list is said to be."""
        told = [(name, text) for name, text in self.texts if name in ("dt", "dd") and text]
        return {text: after for (name, text), (_, after) in pairwise(told) if name == "dt"}

    def rows(self, caption: str) -> list[list[str]]:
        """Return the cells of the table with this caption, row by row."""
        found: list[list[str]] = []
        started = False
        for name, text in self.texts:
            if name == "caption" and text:
                started = text.startswith(caption)
            elif started and name == "tr":
                found.append([])
            elif started and name in ("th", "td") and text:
                found[-1].append(text)
        return found


def needs_nothing_else(page: Page, text: str) -> bool:
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links), links
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    style = "".join(page.text("style"))
    assert not re.search(r"url\(|@import|expression", style)
    return "http:" not in text and "https:" not in text


def is_readable_by_all(page: Page) -> bool:
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert len(page.text("caption")) == len(page.all("table"))
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(anchors)) == len(anchors)
    wanted = [attributes["href"][1:] for attributes in page.all("a")]
    assert wanted == anchors
    return "width=device-width, initial-scale=1" in [meta.get("content") for meta in page.all("meta")]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run with everything, in a folder with a name that must be escaped: its result, its report."""
    parent = tmp_path_factory.mktemp("finished")
    write_dataset(parent / "digits")
    name = "a<b> & 'c'" if os.name == "posix" else "a & 'c'"
    argv = ["--data", parent / "digits", "-o", parent / name, "-q", "--epochs", 3, "--batch-size", 16]
    assert train.main([str(word) for word in argv]) == 0
    result = json.loads((parent / name / run_folder.RESULT).read_text(encoding="utf-8"))
    return parent / name, result, (parent / name / run_folder.REPORT).read_text(encoding="utf-8")


def test_the_page_is_whole_and_needs_nothing_else(finished):
    folder, result, text = finished
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    assert needs_nothing_else(page, text)
    assert result["report"] == run_folder.REPORT
    assert len(page.all("img")) == len(result["pictures"]) == 7
    assert {path.name for path in folder.iterdir()} >= {run_folder.REPORT, *result["pictures"]}


def test_the_page_forbids_itself_scripts_and_network(finished):
    policies = [meta for meta in Page(finished[2]).all("meta") if "http-equiv" in meta]
    assert [meta["http-equiv"] for meta in policies] == ["Content-Security-Policy"]
    assert policies[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_can_be_read_without_seeing_it_and_moved_about_with_a_keyboard(finished):
    page = Page(finished[2])
    assert is_readable_by_all(page)
    regions = [attributes for _, attributes in page.tags if attributes.get("role") == "region"]
    assert len(regions) >= 10
    assert all(region["tabindex"] == "0" and region["aria-label"] for region in regions)


@pytest.mark.parametrize("rule", ["prefers-color-scheme: dark", "max-width: 40rem", "@media print"])
def test_the_page_suits_dark_rooms_phones_and_paper(finished, rule):
    assert rule in "".join(Page(finished[2]).text("style"))


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"


def test_the_figures_are_those_of_the_result(finished):
    _, result, text = finished
    page = Page(text)
    low, high = result["test_accuracy_interval"]
    lead = f"of 60 test images recognised. 95 % interval: {100 * low:.2f} to {percent(high)}."
    assert page.text("p")[:2] == [percent(result["test_accuracy"]), lead]
    named = page.named()
    assert named["training accuracy"] == percent(result["train_accuracy"])
    assert named["test loss"] == f"{result['test_loss']:.4f}"
    assert named["mean F1"] == percent(result["f1"])
    assert named["calibration error"] == percent(result["calibration_error"])
    assert named["epochs"] == "3"
    assert named["parameters"] == f"{result['parameters']:,}"
    assert named["training time"] == f"{result['train_seconds']:.1f} s"


def test_the_table_of_classes_is_that_of_the_result(finished):
    _, result, text = finished
    head, *rows = Page(text).rows("How well each class")
    assert head == ["class", "precision", "recall", "F1", "images"]
    measures = ("precision", "recall", "f1")
    assert rows == [
        *(
            [str(one["label"]), *(percent(one[name]) for name in measures), f"{one['support']:,}"]
            for one in result["classes"]
        ),
        ["mean", *(percent(result[name]) for name in measures), "60"],
    ]


def test_the_run_can_be_repeated_from_the_page(finished):
    folder, result, text = finished
    page = Page(text)
    assert page.text("code") == [result["command"]]
    assert "--epochs 3 --batch-size 16" in result["command"]
    named = page.named()
    assert named["folder"] == str(folder)
    assert named["date"] == result["date"].replace("T", " ")
    assert named["computed with"].startswith(result["backend"])
    for name, version in result["versions"].items():
        assert f"{name} {version}" in named["versions"]
    assert result["machine"]["processor"] in named["machine"]
    assert named["system"] == result["machine"]["system"]
    for name, value in result["settings"].items():
        assert name.replace("_", "-") in named
        if isinstance(value, str | int) and not isinstance(value, bool):
            assert named[name.replace("_", "-")] == str(value)
    assert (named["hidden"], named["learning-rate"]) == ("64, 32", "0.01")
    assert (named["no-plots"], named["preset"]) == ("no", "–")


def test_the_summary_of_the_network_is_there(finished):
    folder, _, text = finished
    summary = fd.load(folder / run_folder.MODEL).summary()
    assert summary in Page(text).text("pre")


# -- strings from outside ----------------------------------------------------------------------------------


def remade(finished, **changes) -> tuple[Page, str]:
    """Write the report again, with other strings in the result."""
    folder, result, _ = finished
    (_, _), (x, y) = fd.load_folder(folder.parent / "digits")
    network = fd.load(folder / run_folder.MODEL)
    result = copy.deepcopy(result) | changes
    text = report.training(result, assess(network, x, y)[1], fd.History(), network.summary(), [])
    return Page(text), text


def test_hostile_strings_are_shown_as_they_are(finished):
    result = finished[1]
    page, text = remade(
        finished,
        output=HOSTILE,
        command=HOSTILE,
        settings=result["settings"] | {"data": HOSTILE, HOSTILE: HOSTILE},
        machine=result["machine"] | {"system": HOSTILE, "processor": HOSTILE},
        versions=result["versions"] | {HOSTILE: HOSTILE},
    )
    assert needs_nothing_else(page, text)
    assert page.text("code") == [SHOWN]
    named = page.named()
    assert named["folder"] == named["system"] == named[SHOWN] == SHOWN
    assert named["data"] == SHOWN
    plain, _ = remade(finished)
    wanted = [name for name, _ in plain.tags]
    assert [name for name, _ in page.tags if name not in ("dt", "dd", "div")] == [
        name for name in wanted if name not in ("dt", "dd", "div")
    ]


def test_pictures_are_within_the_page_and_described_with_names_as_they_are(finished):
    folder, result, _ = finished
    (_, _), (x, y) = fd.load_folder(folder.parent / "digits")
    network = fd.load(folder / run_folder.MODEL)
    names = (HOSTILE, *"bcdefghij")[: network.widths(x[0].size)[-1]]
    found = assess(network, x, np.zeros_like(y), names)[1]
    pictures = [folder / name for name in result["pictures"]]
    text = report.training(result, found, fd.History(), network.summary(), pictures)
    page = Page(text)
    assert needs_nothing_else(page, text)
    sources = [f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}" for path in pictures]
    assert sorted(image["src"] for image in page.all("img")) == sorted(sources)
    described = [image["alt"] for image in page.all("img") if SHOWN in image["alt"]]
    assert len(described) == 3  # the matrix, the mistakes and the pairs


def test_a_path_that_is_no_text_can_be_written(finished, tmp_path):
    _, text = remade(finished, output=os.fsdecode(b"a\xff"))
    report.write(tmp_path / "report.html", text)
    assert "a\\udcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


# -- what is not there -------------------------------------------------------------------------------------


def test_without_pictures_the_page_has_all_else(finished):
    page, text = remade(finished)
    assert page.all("img") == []
    assert needs_nothing_else(page, text)
    assert is_readable_by_all(page)
    assert len(page.rows("How well each class")) == 5


def test_the_epoch_that_was_kept_is_said(finished):
    told = "Kept: epoch 2, the best on the held-out images."
    assert told in remade(finished, best_epoch=2)[1]
    assert "Kept" not in remade(finished, best_epoch=None)[1]


def test_an_evaluation_without_a_mistake_says_so(tmp_path):
    network = fd.NeuralNetwork([fd.Dense(4, 2)])
    network.parameters()[0].value[...] = [[9, 0], [0, 9], [0, 0], [0, 0]]
    x = np.array([[[255, 0], [0, 0]], [[0, 255], [0, 0]]], np.uint8)
    found = assess(network, x, np.array([0, 1]))[1]
    result = found | {
        "model": HOSTILE,
        "data": HOSTILE,
        "part": "train",
        "parameters": 10,
        "epochs_trained": 0,
        "image_shape": [2, 2],
        "output": str(tmp_path),
        "total_seconds": 1.0,
        **system.provenance("again"),
    }
    text = report.evaluation(result, network.summary(), [])
    page = Page(text)
    assert needs_nothing_else(page, text)
    assert "0 mistakes. No classes are confused." in page.text("p")
    assert page.text("p")[0] == "100.00 %"
    assert page.text("p")[1].startswith("of 2 training images recognised. 95 % interval: 34.24 to 100.00 %.")
    assert page.named()["model"] == SHOWN
