"""Run the notebooks of docs/ and store their outputs in them.

python scripts/docs/run_notebooks.py [NAME …]        all of them in half a minute; needs the extra docs
"""

import argparse
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted(path for path in DOCS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


def run(path: Path) -> nbformat.NotebookNode:
    """Return the notebook with its new outputs; raise nbclient.exceptions.CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=120,
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,  # else a slow cell prints in several parts
        ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):  # the text of a picture has the address of an object
            if "image/png" in output.get("data", {}):
                output["data"].pop("text/plain", None)
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as tutorial or 3-backpropagation")
    names = parser.parse_args().names
    unknown = set(names) - {path.stem for path in NOTEBOOKS}
    if unknown:
        parser.error(
            f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in NOTEBOOKS)}"
        )
    for path in NOTEBOOKS:
        if not names or path.stem in names:
            nbformat.write(run(path), path)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
