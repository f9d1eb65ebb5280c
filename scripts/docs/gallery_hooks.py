"""Hooks for MkDocs: the gallery, a page with picture and code for each program of examples/gallery/.

A program runs while the pages are built, so its picture and its code belong together; one that fails stops the build.
In a page, ``<!-- gallery: hidden_units confusions -->`` becomes a grid of these programs' pictures.
"""

import ast
import io
import re
import runpy
from pathlib import Path
from unittest import mock

PROGRAMS = Path(__file__).parents[2] / "examples" / "gallery"
_GRID = re.compile(r"^<!-- gallery: (.+?) -->$", re.MULTILINE)


def read(name: str) -> tuple[str, str, str]:
    """Return title, text and code of a program: the parts of its docstring, and what follows it."""
    source = (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    title, _, text = ast.get_docstring(tree).partition("\n\n")
    return title, text, "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()


def draw(name: str) -> bytes:
    """Run a program and return its figure as a PNG file; raise ValueError if it draws none or several."""
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    pyplot.close("all")
    with mock.patch.object(pyplot, "show"):
        runpy.run_path(str(PROGRAMS / f"{name}.py"), run_name="__main__")
    if len(pyplot.get_fignums()) != 1:
        raise ValueError(f"{name}.py must draw one figure; got {len(pyplot.get_fignums())}")
    file = io.BytesIO()
    pyplot.savefig(file, dpi=110)
    pyplot.close("all")
    return file.getvalue()


def on_files(files, *, config):
    """Add a page and a picture for each program."""
    from mkdocs.structure.files import File

    for name in sorted(path.stem for path in PROGRAMS.glob("*.py")):
        title, text, code = read(name)
        shown = f'``` {{ .python title="examples/gallery/{name}.py" }}\n{code}\n```'
        page = f"# {title}\n\n{text}\n\n![{title}]({name}.png)\n\n{shown}\n"
        for ending, content in (("md", page), ("png", draw(name))):
            files.append(File.generated(config, f"gallery/{name}.{ending}", content=content))
    return files


def on_page_markdown(markdown, **_):
    """Insert the grids of pictures that a page asks for."""

    def grid(found):
        links = "\n".join(f"[![]({name}.png) {read(name)[0]}]({name}.md)" for name in found[1].split())
        return f'<div class="gallery" markdown>\n\n{links}\n\n</div>'

    return _GRID.sub(grid, markdown)
