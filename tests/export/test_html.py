"""The page to draw on: what is written, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.export import html
from fastdigits.visualize.canvas import BLUE, ORANGE


def digits_network():
    return fd.load_pretrained()


def in_page(path):
    """What the page holds of the network."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="network">(.*?)</script>', text, re.DOTALL).group(1))


# -- the file ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "draw.html"
    fd.export_html(digits_network(), path)
    return path


def test_the_page_is_one_file_that_names_no_other(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]+\.|\bsrc=|@import|url\(|import\s*\(|fetch\(|XMLHttpRequest", text)
    assert re.findall(r'href="([^"]*)"', text) == ["data:,"]


def test_the_size_is_what_the_docstring_says(page):
    weights = sum(parameter.value.size for parameter in digits_network().parameters())
    source = page.stat().st_size - weights * 4 * 4 / 3
    assert 285_000 < source < 310_000  # with 190 kB of images to train with, 14 kB of examples
    assert page.stat().st_size < 2.5e6


def test_blue_and_orange_mean_the_same_on_the_page_and_in_pictures(page):
    style = page.read_text(encoding="utf-8").split("</style>")[0]
    assert f"--for: {BLUE.lower()};" in style
    assert f"--against: {ORANGE.lower()};" in style


def test_the_policy_forbids_all_but_the_page_itself(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.read_text(encoding="utf-8")).group(
        1
    )
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_same_network_gives_the_same_bytes(page, tmp_path):
    fd.export_html(digits_network(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_a_page_is_known_as_one_of_ours_and_another_file_is_not(page, tmp_path):
    assert html.is_exported(page)
    (tmp_path / "other.html").write_text("<!DOCTYPE html><title>mine</title>")
    assert not html.is_exported(tmp_path / "other.html")


def test_exporting_leaves_the_network_as_it_is(tmp_path):
    net = digits_network()
    before = net.values.copy(), len(net.layers)
    fd.export_html(net, tmp_path / "a.html")
    assert np.array_equal(net.values, before[0])
    assert len(net.layers) == before[1]


def test_examples_are_digits_only_where_they_suit(tmp_path):
    net = fd.NeuralNetwork([fd.Dense(784, 10)])
    fd.export_html(net, tmp_path / "a.html")
    assert len(in_page(tmp_path / "a.html")["examples"]) == 10
    assert "CC BY-SA" in in_page(tmp_path / "a.html")["credit"]
    fd.export_html(net, tmp_path / "a.html", examples=np.zeros((3, 784), np.uint8))
    assert len(in_page(tmp_path / "a.html")["examples"]) == 3
    assert in_page(tmp_path / "a.html")["credit"] == ""
    fd.export_html(fd.NeuralNetwork([fd.Dense(784, 11)]), tmp_path / "a.html")
    assert in_page(tmp_path / "a.html")["examples"] == []


def test_a_network_of_which_there_can_be_no_page_is_refused(tmp_path):
    class Own(fd.Layer):
        def forward(self, x, training=False):
            return x

    path = tmp_path / "a.html"
    with pytest.raises(TypeError, match=r"all layers must be built-in.*got Own"):
        fd.export_html(fd.NeuralNetwork([fd.Dense(784, 10), Own()]), path)
    with pytest.raises(ValueError, match=r"must take square images.*got an input width of 783"):
        fd.export_html(fd.NeuralNetwork([fd.Dense(783, 10)]), path)
    with pytest.raises(ValueError, match="must have a fixed input width"):
        fd.export_html(fd.NeuralNetwork([fd.ReLU()]), path)
    assert not path.exists()


def test_pages_are_for_networks_of_pixels_and_the_dtype_of_examples_does_not_count(tmp_path):
    net = fd.NeuralNetwork([fd.Dense(16, 3)])
    for scale in (None, "pixels", "unit"):
        net.scale = scale
        fd.export_html(net, tmp_path / "a.html", examples=np.arange(16)[np.newaxis])
        fd.export_html(net, tmp_path / "b.html", examples=np.arange(16, dtype=np.uint8)[np.newaxis])
        assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    net.scale = "numbers"
    with pytest.raises(
        ValueError, match=r"must have been trained on pixels, .*; got scale 'numbers': train it on pix"
    ):
        fd.export_html(net, tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()


def test_labels_and_examples_that_do_not_suit_are_refused(tmp_path):
    net, path = fd.NeuralNetwork([fd.Dense(16, 3)]), tmp_path / "a.html"
    with pytest.raises(TypeError, match="labels must be a list of strings; got 'abc'"):
        fd.export_html(net, path, labels="abc")
    with pytest.raises(TypeError, match=r"labels must be a list of strings; got \[1, 2, 3\]"):
        fd.export_html(net, path, labels=[1, 2, 3])
    with pytest.raises(TypeError, match="labels must be a list of strings; got 3"):
        fd.export_html(net, path, labels=3)
    with pytest.raises(ValueError, match="labels must be 3, one per class; got 2"):
        fd.export_html(net, path, labels=["a", "b"])
    with pytest.raises(
        ValueError, match=r"examples must hold whole numbers from 0 to 255; got float64 from 0\.5"
    ):
        fd.export_html(net, path, examples=np.full((1, 4, 4), 0.5))
    with pytest.raises(ValueError, match=r"examples must be \(n, 4, 4\) or \(n, 16\); got \(1, 5, 5\)"):
        fd.export_html(net, path, examples=np.zeros((1, 5, 5), np.uint8))
    assert not path.exists()


def test_classes_go_by_the_names_of_the_network(tmp_path):
    net = fd.NeuralNetwork([fd.Dense(784, 10)])
    net.class_names = [f"garment {number}" for number in range(10)]
    fd.export_html(net, tmp_path / "a.html")
    fd.export_html(net, tmp_path / "b.html", labels=[*"abcdefghij"])
    own, given = ((tmp_path / name).read_text(encoding="utf-8") for name in ("a.html", "b.html"))
    assert '"garment 9"' in own
    assert "MNIST by Yann LeCun" not in own, "no digits as examples of garments"
    assert '"garment 9"' not in given


def test_names_of_classes_cannot_end_the_element_that_holds_them(page, tmp_path):
    names = ["</script><script>alert(1)</script>", "<!--", "<!--<script>", *"3456789A"]
    fd.export_html(digits_network(), tmp_path / "a.html", labels=names)
    assert in_page(tmp_path / "a.html")["labels"] == names
    texts = [path.read_text(encoding="utf-8") for path in (page, tmp_path / "a.html")]
    ours, theirs = (re.sub(r'id="network">.*|<(title|h1)>.*', "", text) for text in texts)
    assert ours == theirs


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(IsADirectoryError, match=r"choose a name such as draw\.html"):
        fd.export_html(digits_network(), tmp_path)
    with pytest.raises(FileNotFoundError, match="its folder must exist"):
        fd.export_html(digits_network(), tmp_path / "nowhere" / "draw.html")


def test_the_page_has_no_path_of_this_machine(page):
    assert str(Path(fd.__file__).parent) not in page.read_text(encoding="utf-8")
