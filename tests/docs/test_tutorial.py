"""The tutorial's notebook runs, and what is kept in it is what it gives."""

import os
import re

import pytest
from documents import ROOT, script

nbformat = pytest.importorskip("nbformat", reason="the tutorial needs nbclient and ipykernel: the extra docs")
pytest.importorskip("nbclient", reason="the tutorial needs nbclient and ipykernel: the extra docs")
pytest.importorskip("ipykernel", reason="the tutorial needs nbclient and ipykernel: the extra docs")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings(
        "default"
    ),  # of the notebook's machinery; the cells run in a process of their own
]

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def outputs(notebook):
    """Return for each cell what kinds of output it has, and its text with all numbers but whole ones left out."""
    found = []
    for cell in notebook.cells:
        kinds, text = [], ""
        for output in cell.get("outputs", []):
            kinds += [output.output_type, *sorted(output.get("data", {}))]
            text += output.get("text", "")
        found.append((kinds, re.sub(r"\d+\.\d+%?|\d+%|\d+(?= images)|[\d,]+ images|\s+", "", text)))
    return found


def test_the_notebook_gives_the_outputs_that_are_stored_in_it(monkeypatch):
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # the notebook's process has another folder
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.path.abspath(folder) for folder in folders if folder))
    found = script("docs/run_tutorial").run(NOTEBOOK)
    assert outputs(found) == outputs(nbformat.read(NOTEBOOK, as_version=4))


def test_the_stored_outputs_are_small_and_have_no_paths_of_a_machine():
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 400_000
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
