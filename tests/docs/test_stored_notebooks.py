"""The notebooks run, and their stored outputs are current; those of the course are complete."""

import os
import re

import pytest
from documents import ROOT, script

nbformat = pytest.importorskip("nbformat", reason="notebooks need nbclient and ipykernel: the extra docs")
pytest.importorskip("nbclient", reason="notebooks need nbclient and ipykernel: the extra docs")
pytest.importorskip("ipykernel", reason="notebooks need nbclient and ipykernel: the extra docs")

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.filterwarnings("default"),  # of nbclient; the cells run in another process
]

RUN = script("docs/run_notebooks")
HOOKS = script("docs/docs_hooks")
COURSE = [path for path in RUN.NOTEBOOKS if path.parent.name == "course"]
KERNELS = "\n".join(path.read_text("utf-8") for path in (ROOT / "src/fastdigits/kernels").glob("*.pxi"))


def named(paths):
    return {"argvalues": paths, "ids": [path.stem for path in paths]}


def read(path):
    return nbformat.read(path, as_version=4)


def text_of(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells)


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


def test_the_course_has_six_notebooks():
    assert [path.stem[0] for path in COURSE] == list("123456")


@pytest.mark.parametrize("path", **named(COURSE))
def test_a_notebook_of_the_course_has_goals_exercises_and_a_summary(path):
    notebook = read(path)
    text = text_of(notebook)
    assert re.match(r"# \d\. .+\n\n\*\*Goals\.\*\*", text)
    assert "\n## Take home\n" in text
    exercises = re.findall(r"^### Exercise (\d)", text, re.MULTILINE)
    assert 3 <= len(exercises) <= 5
    assert exercises == [str(number + 1) for number in range(len(exercises))]


@pytest.mark.parametrize("path", **named(COURSE))
def test_each_exercise_has_its_solution_which_students_do_not_get(path):
    notebook = read(path)
    asked = HOOKS.omit_solutions(notebook)
    begin = next(i for i, cell in enumerate(asked.cells) if "## Exercises" in cell.source)
    *cells, end = asked.cells[begin:]
    assert end.source.startswith("## Take home")
    assert all("### Exercise " in cell.source for cell in cells[::2])
    assert {cell.source for cell in cells[1::2]} == {"# Your answer"}
    assert not any(cell.get("outputs") for cell in asked.cells)
    nbformat.validate(asked)
    folded = text_of(HOOKS.fold_solutions(notebook))
    assert folded.count("<summary>Solution</summary>") == folded.count("</details>") == len(cells) // 2


@pytest.mark.parametrize("path", **named(COURSE))
def test_a_kernel_that_a_notebook_shows_is_that_of_the_source(path):
    shown = re.findall(r"```cython\n(.+?)\n```", text_of(read(path)), re.DOTALL)
    assert [code for code in shown if code not in KERNELS] == []
