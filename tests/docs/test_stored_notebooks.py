"""The notebooks run, and their stored outputs are current."""

import os
import re

import pytest
from documents import script

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbclient and ipykernel: the extra docs")
pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel: the extra docs")
pytest.importorskip("ipykernel", reason="notebooks need nbclient and ipykernel: the extra docs")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("default"),  # of nbclient; the cells run in another process
]

RUN = script("docs/run_notebooks")


def named(paths):
    return {"argvalues": paths, "ids": [path.stem for path in paths]}


def read(path):
    return nbformat.read(path, as_version=4)


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


@pytest.mark.parametrize("path", **named(RUN.NOTEBOOKS))
def test_a_notebook_gives_the_outputs_that_are_stored_in_it(path, monkeypatch):
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)  # the notebook runs in another folder
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.path.abspath(folder) for folder in folders if folder))
    assert outputs(RUN.run(path)) == outputs(read(path))


@pytest.mark.parametrize("path", **named(RUN.NOTEBOOKS))
def test_stored_outputs_are_small_and_have_no_paths_of_a_machine(path):
    text = path.read_text("utf-8")
    assert len(text) < 400_000
    assert not re.search(r"/(home|root|tmp|work|Users)/", text)
