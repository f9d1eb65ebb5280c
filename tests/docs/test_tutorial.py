"""The notebook of the tutorial runs, and its stored outputs are current."""

import os
import re

import pytest
from documents import ROOT, script

nbformat = pytest.importorskip("nbformat", reason="the tutorial needs nbclient and ipykernel: the extra docs")
pytest.importorskip("nbclient", reason="the tutorial needs nbclient and ipykernel: the extra docs")
pytest.importorskip("ipykernel", reason="the tutorial needs nbclient and ipykernel: the extra docs")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("default"),  # of nbclient; the cells run in another process
]

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"


def outputs(notebook):
    """Return the kinds of output and the text of each cell, without numbers that differ between machines."""
    found = []
    for cell in notebook.cells:
        kinds, text = [], ""
        for output in cell.get("outputs", []):
            kinds += [output.output_type, *sorted(output.get("data", {}))]
            text += output.get("text", "")
        found.append((kinds, re.sub(r"\d+\.\d+%?|\d+%|\d+(?= images)|[\d,]+ images|\s+", "", text)))
    return found


def test_the_notebook_gives_the_outputs_that_are_stored_in_it(monkeypatch):
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # the notebook runs in another folder
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.path.abspath(folder) for folder in folders if folder))
    found = script("docs/run_tutorial").run(NOTEBOOK)
    assert outputs(found) == outputs(nbformat.read(NOTEBOOK, as_version=4))


def test_the_stored_outputs_are_small_and_have_no_paths_of_a_machine():
    text = NOTEBOOK.read_text("utf-8")
    assert len(text) < 400_000
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
