"""No file has a form for which CONTRIBUTING lists a plainer word."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = (".md", ".py", ".ipynb", ".jinja", ".js", ".pyi", ".pyx", ".pxi", ".h")
FILES = [
    path
    for pattern in (
        "*",
        "docs/**/*",
        "src/**/*",
        "scripts/**/*",
        "examples/**/*",
        "benchmarks/**/*",
        "tests/**/*",
    )
    for path in ROOT.glob(pattern)
    if path.suffix in KINDS and path.name != Path(__file__).name
]
COUNTED = "images|rows|steps|labels|weights|bytes|lines?|threads|bits|one"
COUNTED_BY = "step|image|epoch|second|batch|row|pixel|class|weight"
BANNED = {  # a pattern, and what to write instead
    r"\banew\b": "again, or newly",
    r"\b(leave|leaves|left) (\w+ )?away\b": "omit",
    r"\bis no option of\b": "unknown option",
    r"\bthe exercise\b|\bNumPy exercise\b": "the original project",
    r"\blit pixels?\b|\bpixels? (is|are) lit\b": "nonzero pixel",
    r"\b(tells|told) of\b": "describes, says that",
    r"\bas like\b": "as you like",
    rf"\b({COUNTED}) an? ({COUNTED_BY})\b": "per: images per step",
}


def words_of_the_list() -> list[str]:
    """Return the banned forms of the table in CONTRIBUTING."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("| instead of | write |")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines() if line.count("|") == 3][1:]


@pytest.mark.parametrize("pattern", BANNED)
def test_no_file_has_a_banned_form(pattern):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line) and not (path.name == "CONTRIBUTING.md" and line.startswith("| "))
    ]
    assert not found, f"write {BANNED[pattern]}:\n" + "\n".join(found)


def test_contributing_lists_every_banned_form():
    listed = words_of_the_list()
    assert len(listed) >= len(BANNED)
    for pattern in BANNED:
        assert any(re.search(pattern, form) for form in listed), f"CONTRIBUTING lists no form of {pattern}"
