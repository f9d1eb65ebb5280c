"""The examples, commands, sources, pictures and links of docs/ work."""

import re

import pytest
from documents import (
    ROOT,
    blocks,
    broken_links,
    command_lines,
    program_lines,
    read_options,
    read_program_options,
    run,
    script,
)
from sampled import sampled

import fastdigits
from fastdigits import backend, visualize
from fastdigits.__main__ import COMMANDS

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ELSEWHERE = (
    "exchange.md",
    "sklearn.md",
)  # need packages that may be absent: test_exchange_page.py, test_sklearn.py
# These train several networks for several epochs.
LONG = ("averaging", "schedules", "augmentation", "activations", "adamw", "your-own-layer")
LEARN = [page for page in PAGES if page.parent.name == "learn" and page.stem != "index"]


HOOKS = script("docs/docs_hooks")


def named(pages):
    return {"argvalues": pages, "ids": [str(page.relative_to(DOCS)) for page in pages]}


ALL_PAGES = [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("benchmarks/**/*.md")]
WITH_EXAMPLES = [page for page in PAGES if blocks(page, "python") and page.name not in ELSEWHERE]


@pytest.mark.parametrize(
    "page",
    sampled(WITH_EXAMPLES, lambda page: page.stem not in LONG),
    ids=[str(page.relative_to(DOCS)) for page in WITH_EXAMPLES],
)
def test_the_examples_of_a_page_print_what_their_comments_say(page, tmp_path, monkeypatch):
    if page.name == "speed.md" and not hasattr(backend.kernels, "Program"):
        pytest.skip("the page shows a recorded program, which needs compiled kernels")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for code in blocks(page, "python"):
        assert run(code, page, names) == []


@pytest.mark.parametrize(
    "words",
    {" ".join(words): words for page in PAGES for words in command_lines(page)}.values(),
    ids=" ".join,
)
def test_a_command_accepts_the_options_that_a_page_shows(words, monkeypatch):
    read_options(words, monkeypatch)


@pytest.mark.parametrize(
    "words",
    {" ".join(words): words for page in ALL_PAGES for words in program_lines(page)}.values(),
    ids=" ".join,
)
def test_a_program_accepts_the_options_that_a_page_shows(words, monkeypatch):
    read_program_options(words, monkeypatch)


def test_every_picture_is_on_a_page_and_made_by_a_script():
    shown = "".join(page.read_text("utf-8") for page in ALL_PAGES)
    made = "".join(path.read_text("utf-8") for path in ROOT.glob("scripts/docs/*.py"))
    made += str([words for page in ALL_PAGES for words in program_lines(page)])  # such as run.py --chart FILE
    pictures = [path.relative_to(DOCS) for path in DOCS.glob("images/*.png")]
    assert [path.name for path in pictures if path.as_posix() not in shown] == []
    assert [path.name for path in pictures if f'"{path.stem}"' not in made and path.name not in made] == []


def test_blue_is_positive_in_notebooks_and_programs():
    # as on the page to draw on and in fastdigits.visualize
    programs = [*DOCS.rglob("*.ipynb"), *ROOT.glob("examples/**/*.py"), *ROOT.glob("scripts/docs/*.py")]
    red = re.compile(r"""cmap=\\?["'](RdBu_r|RdYlBu_r|coolwarm|bwr|seismic)\\?["']""")
    assert [path.name for path in programs if red.search(path.read_text("utf-8"))] == []


def test_pages_name_programs_that_exist():
    pages = [*ALL_PAGES, *ROOT.glob(".ci/run")]
    program = re.compile(r"\b(?:benchmarks|examples|scripts|tests)/[\w/]+\.py\b")
    named = {found for page in pages for found in program.findall(page.read_text("utf-8"))}
    assert named
    assert sorted(path for path in named if not (ROOT / path).is_file()) == []


def test_words_after_k_select_tests():
    text = (DOCS / "reliability.md").read_text("utf-8")
    calls = re.findall(r"`pytest ((?:tests/[\w/.]+ )+)-k (?:\"([^\"]+)\"|(\w+))`", text)
    assert len(calls) == text.count(" -k ")
    for places, several, single in calls:
        paths = [ROOT / place for place in places.split()]
        files = [file for path in paths for file in (path.glob("test_*.py") if path.is_dir() else [path])]
        names = re.findall(
            r"^def (test_\w+)", "".join(file.read_text("utf-8") for file in files), re.MULTILINE
        )
        for word in (several or single).split(" or "):
            assert any(word in name for name in names), f"{places}: no test for {word}"


def test_each_claim_about_reliability_has_one_row():
    text = (DOCS / "reliability.md").read_text("utf-8")
    claims = [claim for claim in re.findall(r"^\| (.+?) \| .*`", text, re.MULTILINE) if claim != "container"]
    assert sorted({claim for claim in claims if claims.count(claim) > 1}) == []


def test_the_reference_has_every_public_name():
    shown = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    described = set(re.findall(r"^::: [\w.]+\.(\w+)$", shown, re.MULTILINE))
    names = {name for name in fastdigits.__all__ if not name.startswith("_")}
    assert names - {"visualize"} | set(visualize.__all__) <= described


def test_the_reference_shows_what_a_network_inherits():
    page = (DOCS / "reference" / "networks.md").read_text("utf-8")
    options = page.partition("::: fastdigits.network.NeuralNetwork\n")[2].partition("\n:::")[0]
    assert "\n      inherited_members: true\n" in options
    hidden = re.findall(r'"!\^(\w+)\$"', options)
    assert {"run", "widths", "training_rows", "need_logits", "score_piece"} == set(hidden)
    assert all(hasattr(fastdigits.NeuralNetwork, name) for name in hidden)


@pytest.mark.parametrize("page", **named(LEARN))
def test_a_page_of_learn_has_a_formula_a_reference_a_picture_and_an_example(page):
    text = page.read_text("utf-8")
    assert "\n$$\n" in text
    assert re.search(r"\((19|20)\d\d\)|et al\. \d{4}|\w+ (19|20)\d\d", text)
    assert re.search(r"^!\[.{20,}\]\(\.\./images/", text, re.MULTILINE)
    assert blocks(page, "python")


@pytest.mark.parametrize("page", **named(LEARN))
def test_a_page_of_learn_shows_functions_that_exist(page):
    shown = HOOKS.show_sources(page.read_text("utf-8"))
    assert "<!-- " not in shown
    if page.stem != "your-own-layer":
        assert "src/fastdigits/kernels/" in shown
    if page.stem not in ("your-own-layer", "schedules", "speed"):
        assert "src/fastdigits/_reference.py" in shown


def test_every_forward_backward_and_update_of_the_kernels_is_on_a_page():
    shown = " ".join(re.findall(r"<!-- twin: (.+) -->", "\n".join(page.read_text("utf-8") for page in LEARN)))
    source = (ROOT / "src/fastdigits/_reference.py").read_text("utf-8")
    twins = re.findall(r"^def ([a-z]\w+_(?:forward|backward|update))\(", source, re.MULTILINE)
    assert sorted(set(twins) - set(shown.split())) == []


def test_find_function_returns_the_line_and_the_whole_body():
    source = (
        "x = 1\n\ncdef inline float f(\n    float a,\n) noexcept nogil:\n    # a\n\n    return a\n\n\n"
        "# -- next\ndef ff():\n    pass\n"
    )
    assert HOOKS.find_function(source, "f") == (
        3,
        "cdef inline float f(\n    float a,\n) noexcept nogil:\n    # a\n\n    return a",
    )
    assert HOOKS.find_function(source, "ff") == (12, "def ff():\n    pass")
    with pytest.raises(KeyError, match="fff"):
        HOOKS.find_function(source, "fff")


def test_an_unknown_function_on_a_page_raises():
    with pytest.raises(KeyError, match="dense_sideways"):
        HOOKS.show_sources("<!-- twin: dense_sideways -->")


def test_a_twin_is_shown_without_its_checks_and_the_title_says_so():
    shown = HOOKS.show_sources("<!-- twin: relu_forward -->")
    assert "_expect" not in shown
    assert "    np.maximum(x, 0, out=y)\n```" in shown
    assert re.search(r'title="src/fastdigits/_reference\.py, line \d+, without its checks of sizes"', shown)
    assert "without" not in HOOKS.show_sources("<!-- twin: _split_mix -->")


def test_the_page_of_commands_has_the_help_of_each_command():
    page = HOOKS.on_page_markdown((DOCS / "reference" / "commands.md").read_text("utf-8"))
    for name in COMMANDS:
        assert f"## fastdigits {name}\n" in page
        assert f"usage: fastdigits {name} " in page
    assert "--learning-rate" in page


def test_formulas_become_mathml():
    pytest.importorskip("latex2mathml", reason="formulas need latex2mathml: the extra docs")
    span = '<span class="arithmatex">\\({}\\)</span>'.format
    log = r"\log x"
    page = HOOKS.on_page_content(
        f'<p>a {span("x^2")} {span(log)}</p>\n<div class="arithmatex">\\[\na &lt; b\n\\]</div>'
    )
    assert re.search(
        r"<p>a <math .*<msup><mi>x</mi><mn>2</mn></msup>.*</math> .*<mi>log</mi><mspace .*</p>", page
    )
    assert re.search(r'<div class="formula"><math .*display="block".*<mo>&#x0003C;</mo>.*</math></div>', page)


def test_options_in_a_text_are_whole_and_blocks_stay_as_they_are():
    block = '<pre id="a"><span></span><code>train --lr 0.1</code></pre>'
    page = HOOKS.keep_options_whole(f"<p>no-one, <code>b --dry-run x-y -m z</code></p>{block}")
    option = '<span class="option">{}</span>'.format
    code = f"<code>b {option('--dry-run')} x-y {option('-m')} z</code>"
    assert page == f"<p>no-one, {code}</p>{block}"


@pytest.mark.parametrize("page", **named(PAGES))
def test_commands_are_shown_as_what_is_typed_not_as_what_is_printed(page):
    typed = re.compile(r"(python|pip|fastdigits|pytest|mpiexec|git) ")
    assert [block for kind in ("", "text") for block in blocks(page, kind) if typed.match(block)] == []


def test_each_picture_of_learn_is_drawn_by_the_script_and_used_on_a_page():
    made = set(script("docs/learn_pictures").PICTURES)
    files = {path.stem for path in (DOCS / "images" / "learn").iterdir()}
    used = set(re.findall(r"images/learn/([\w-]+)\.png", "".join(page.read_text("utf-8") for page in LEARN)))
    assert made == files == used


def test_pictures_have_at_most_300_kilobytes():
    assert [path.name for path in DOCS.rglob("*.png") if path.stat().st_size > 300_000] == []


@pytest.mark.parametrize("page", **named([page for page in PAGES if page.stem != "index"]))
def test_links_lead_to_files(page):
    # The notebook becomes tutorial.md when the documentation is built.
    assert [link for link in broken_links(page) if link not in ("tutorial.md", "../tutorial.md")] == []


def test_the_first_page_shows_the_page_to_draw_on_and_links_to_it():
    text = (DOCS / "index.md").read_text("utf-8")
    frame = re.search(r"<iframe ([^>]*)></iframe>", text)[1]
    assert dict(re.findall(r'(\w+)="([^"]*)"', frame)).keys() == {"class", "src", "title", "loading"}
    assert f'src="{HOOKS.DRAW}"' in frame
    assert 'loading="lazy"' in frame
    assert f"]({HOOKS.DRAW})" in text
    assert HOOKS.draw_page().startswith("<!DOCTYPE html>")
