"""The examples of docs/exchange.md run where their packages are installed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "exchange.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
NAMES = ["model file", "pytorch", "moments in pytorch", "onnx"]
NEEDS = [["safetensors"], ["torch"], ["torch"], ["onnx", "onnxruntime"]]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, marks=pytest.mark.needs(*names))
        for code, names in zip(EXAMPLES, NEEDS, strict=True)
    ],
    ids=NAMES,
)
def test_an_example_prints_what_its_comments_say(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "__main__"})
    promised = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    printed = capsys.readouterr().out.splitlines()
    assert promised
    assert len(printed) == len(promised)
    for line, start in zip(printed, promised, strict=True):
        assert line.startswith(start.removesuffix("…"))


def test_links_within_the_page_lead_to_headings():
    headings = [line.lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)]
    assert [part for part in re.findall(r"\]\(#(.*?)\)", TEXT) if part not in headings] == []
