"""Run the first cells of docs/notebooks.md as a notebook and take a screenshot of it: docs/images/notebook.png.

    python scripts/docs/notebook_screenshot.py [FILE]

It needs the extra docs, and Chromium or Chrome.
"""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from report_screenshot import take

DOCS = Path(__file__).parents[2] / "docs"
CELLS = 4  # the first blocks of the page
WIDTH, HEIGHT = 1000, 1280  # pixels


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images" / "notebook.png"
    sources = re.findall(r"^```python\n(.*?)\n```$", (DOCS / "notebooks.md").read_text("utf-8"), re.S | re.M)
    cells = [nbformat.v4.new_code_cell(source) for source in sources[:CELLS]]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=120).execute()
        page = Path(folder) / "notebook.html"
        page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
        take(page, WIDTH, HEIGHT, path)


if __name__ == "__main__":
    main()
