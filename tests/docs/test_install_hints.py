"""The `pip install` of messages and pages names what can be installed, with the versions of pyproject.toml."""

import re
import shlex
import tomllib
from itertools import chain

import pytest
from documents import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
REQUIREMENTS = set(chain.from_iterable(EXTRAS.values()))
FILES = [
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "docs/**/*.ipynb",
        "src/**/*.py",
        "scripts/**/*.py",
        "examples/*.py",
        "benchmarks/**/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
]


def hints(text: str) -> list[list[str]]:
    """Return the words after each ``pip install`` of a text: options, quoted words and names."""
    found = re.findall(r"\bpip install((?: -\w| '[^'\n]*'| [.\w][\w.=\[\]-]*)*)", text)
    return [shlex.split(words) for words in found]


def test_hints_finds_what_pip_install_is_given():
    text = "no pandas: pip install 'a>=1' 'b[c]>=2', or `pip install -e '.[test,dev]'`; pip install . && x"
    assert hints(text) == [["a>=1", "b[c]>=2"], ["-e", ".[test,dev]"], ["."]]
    found = {word for path in FILES for words in hints(path.read_text("utf-8")) for word in words}
    assert {"onnx>=1.16", "scikit-learn>=1.6", "pooch>=1.8", "filelock>=3.12", ".[sklearn]"} <= found


def is_possible(word: str) -> bool:
    """Return whether a word after ``pip install`` is an option, this clone, or a requirement of pyproject.toml."""
    extras = re.fullmatch(r"\.\[(.+)\]", word)
    if extras:
        return set(extras[1].split(",")) <= EXTRAS.keys()
    if re.match(r"fastdigits\b", word):
        return False  # no wheel is published
    return ">" not in word or word in REQUIREMENTS


def test_hints_name_what_can_be_installed():
    wrong = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in FILES
        for words in hints(path.read_text("utf-8"))
        for word in words
        if not is_possible(word)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("extra", "file"),
    [
        ("onnx", "export/onnx.py"),
        ("sklearn", "sklearn/__init__.py"),
        ("datasets", "data/downloads.py"),
        ("mpi", "distributed/mpi.py"),
    ],
)
def test_a_message_names_exactly_the_packages_of_its_extra(extra, file):
    assert hints((ROOT / "src/fastdigits" / file).read_text("utf-8")) == [EXTRAS[extra]]
