"""The examples, commands and links of the README work."""

import re

import pytest
from documents import ROOT, blocks, broken_links, command_lines, read_options, run

README = ROOT / "README.md"
EXAMPLES = blocks(README, "python")


def test_the_readme_has_three_examples():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("code", EXAMPLES, ids=["use", "own layer", "recipe"])
def test_an_example_prints_what_its_comments_say(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(code, README, {"__name__": "__main__"}) == []
    if "digits.safetensors" in code:
        printed = capsys.readouterr().out
        assert re.search(r"'accuracy': 0\.9[67]", printed)
        assert "[7 2 1] [7 2 1]" in printed
        assert (tmp_path / "digits.safetensors").is_file()
    if "recipes" in code:
        printed = capsys.readouterr().out
        assert "recipe           fast" in printed
        assert re.search(r"'accuracy': 0\.98", printed)


@pytest.mark.parametrize("words", command_lines(README), ids=" ".join)
def test_a_command_accepts_the_options_that_a_page_shows(words, monkeypatch):
    read_options(words, monkeypatch)


def test_links_lead_to_files():
    assert broken_links(README) == []
