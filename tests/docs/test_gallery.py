"""The gallery shows every program of examples/gallery/ once; building the documentation runs them."""

import re

import pytest
from documents import ROOT, script

HOOKS = script("docs/gallery_hooks")
NAMES = sorted(path.stem for path in HOOKS.PROGRAMS.glob("*.py"))
INDEX = (ROOT / "docs" / "gallery" / "index.md").read_text("utf-8")


def test_each_program_is_shown_once():
    shown = " ".join(re.findall(r"<!-- gallery: (.+) -->", INDEX)).split()
    assert sorted(shown) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_short_and_begins_with_a_title_and_a_text(name):
    title, text, code = HOOKS.read(name)
    assert len(title) < 40
    assert 100 < len(text) < 400
    assert code.startswith("import ")
    assert code.endswith("\nplt.show()")
    assert len((HOOKS.PROGRAMS / f"{name}.py").read_text("utf-8").splitlines()) <= 40


def test_a_grid_has_a_picture_and_a_title_that_lead_to_the_page():
    page = HOOKS.on_page_markdown("a\n\n<!-- gallery: confusions -->\n")
    assert "[![](confusions.png) Which digits are confused](confusions.md)" in page


@pytest.mark.parametrize(("body", "number"), [("", 0), ("plt.figure()\nplt.figure()\n", 2)])
def test_a_program_must_draw_one_figure(tmp_path, monkeypatch, body, number):
    monkeypatch.setattr(HOOKS, "PROGRAMS", tmp_path)
    (tmp_path / "wrong.py").write_text(f"import matplotlib.pyplot as plt\n{body}")
    with pytest.raises(ValueError, match=f"wrong.py must draw one figure; got {number}"):
        HOOKS.draw("wrong")


def test_draw_returns_the_figure_of_a_program_without_showing_it(tmp_path, monkeypatch):
    monkeypatch.setattr(HOOKS, "PROGRAMS", tmp_path)
    (tmp_path / "small.py").write_text(
        "import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1))\nplt.show()\n"
    )
    assert HOOKS.draw("small").startswith(b"\x89PNG")
