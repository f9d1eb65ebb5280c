"""What the README shows works as it stands there."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_there_are_examples():
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("code", EXAMPLES, ids=["recipe", "use", "own layer"])
def test_an_example_runs_as_it_is(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(code, str(README), "exec"), names)
    if "digits.safetensors" in code:
        printed = capsys.readouterr().out
        assert re.search(r"'accuracy': 0\.9[67]", printed)
        assert "[7 2 1] [7 2 1]" in printed
        assert (tmp_path / "digits.safetensors").is_file()
    if "recipes" in code:
        printed = capsys.readouterr().out
        assert "recipe          fast" in printed
        assert re.search(r"'accuracy': 0\.97", printed)


def test_the_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
