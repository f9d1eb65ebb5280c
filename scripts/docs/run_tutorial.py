"""Run docs/tutorial.ipynb and store its outputs in it.

python scripts/docs/run_tutorial.py        needs the extra docs
"""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def run(path: Path = NOTEBOOK) -> nbformat.NotebookNode:
    """Return the notebook with its new outputs; raise nbclient.exceptions.CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook, timeout=120, resources={"metadata": {"path": folder}}, record_timing=False
        ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):  # the text of a picture has the address of an object
            if "image/png" in output.get("data", {}):
                output["data"].pop("text/plain", None)
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    nbformat.write(run(), NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")
