"""Hooks for MkDocs: sources and the help of commands, formulas as MathML, the notebooks, the page to draw on.

MkDocs calls the functions ``on_…``; see ``hooks`` in mkdocs.yml. In a page, ``<!-- twin: dense_forward -->`` becomes
the source of that function in _reference.py, ``<!-- kernel: tile -->`` of one in kernels/, and ``<!-- commands -->``
the help of each command. ``$x^2$`` and ``$$…$$`` become MathML.
"""

import contextlib
import copy
import html
import io
import itertools
import os
import posixpath
import re
import tempfile
from pathlib import Path
from unittest import mock

SOURCES = Path(__file__).parents[2] / "src" / "fastdigits"
KINDS = {"twin": ("_reference.py", "python"), "kernel": ("kernels/*.pxi", "cython")}
DRAW = "assets/draw.html"  # the page to draw on, which index.md shows in a frame
SOLUTION = "solution"  # tag of the cells that solve an exercise

_INCLUDE = re.compile(r"^<!-- (twin|kernel): (.+?) -->$", re.MULTILINE)
_CHECK = re.compile(r"^ +_expect\w*\(.*\)\n", re.MULTILINE)
_BLOCK = re.compile(r"(<pre\b.*?</pre>)", re.DOTALL)
_CODE = re.compile(r"<code>[^<]*</code>")
_OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
_FUNCTION = re.compile(r"(\\(?:log|exp)) +(?=[\w\\])")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def find_function(source: str, name: str) -> tuple[int, str]:
    """Return the first line number and the text of a function at the top level; raise KeyError if there is none."""
    lines = source.splitlines()
    begins = re.compile(rf"(def|cdef [\w* ]+?) ?\b{re.escape(name)}\(")
    start = next((i for i, line in enumerate(lines) if begins.match(line)), None)
    if start is None:
        raise KeyError(name)
    end = start + 1
    while end < len(lines) and (not lines[end] or lines[end][0] in " )"):
        end += 1
    return start + 1, "\n".join(lines[start:end]).rstrip()


def show_sources(markdown: str) -> str:
    """Return a page with the sources of the functions that it names."""
    return _INCLUDE.sub(lambda found: "\n\n".join(_blocks(found[1], found[2].split())), markdown)


def _blocks(kind: str, names: list[str]) -> list[str]:
    pattern, language = KINDS[kind]
    blocks = []
    for name in names:
        file, line, text = _find(pattern, name)
        title = f"src/fastdigits/{file}, line {line}"
        if _CHECK.search(text):
            text, title = _CHECK.sub("", text), f"{title}, without its checks of sizes"
        blocks.append(f'``` {{ .{language} title="{title}" }}\n{text}\n```')
    return blocks


def _find(pattern: str, name: str) -> tuple[str, int, str]:
    """Return the file that defines a function, its first line number, and its text."""
    for path in sorted(SOURCES.glob(pattern)):
        with contextlib.suppress(KeyError):
            return path.relative_to(SOURCES).as_posix(), *find_function(
                path.read_text(encoding="utf-8"), name
            )
    raise KeyError(name)


def show_commands() -> str:
    """Return a section with the help of each command, 96 characters wide."""
    from fastdigits.__main__ import COMMANDS, main

    sections = []
    for name in COMMANDS:
        text = io.StringIO()
        with mock.patch.dict(os.environ, COLUMNS="96", NO_COLOR="1"), contextlib.redirect_stdout(text):
            try:
                code = main([name, "--help"])
            except SystemExit as end:  # argparse exits after the help
                code = end.code
        if code:
            raise RuntimeError(f"fastdigits {name} --help: exit code {code}")
        sections.append(f"## fastdigits {name}\n\n``` text\n{text.getvalue().rstrip()}\n```")
    return "\n\n".join(sections)


def on_page_markdown(markdown, **_):
    """Insert the sources and the help of commands that a page asks for."""
    return show_sources(markdown).replace(
        "<!-- commands -->", show_commands() if "<!-- commands -->" in markdown else ""
    )


def keep_options_whole(content: str) -> str:
    """Mark the options in the code of a text, such as --dry-run: a browser would break the line after each hyphen."""

    def mark(code):
        return _OPTION.sub(r'<span class="option">\g<0></span>', code[0])

    parts = _BLOCK.split(content)
    parts[::2] = [_CODE.sub(mark, part) for part in parts[::2]]  # not in the blocks
    return "".join(parts)


def on_page_content(content, **_):
    """Turn formulas into MathML, which browsers show without scripts and fonts, and keep options whole."""
    from latex2mathml.converter import convert

    def mathml(found):
        tex = _FUNCTION.sub(r"\1\\,", html.unescape(found[2]).strip())  # the converter sets no space there
        if found[1] == "span":
            return convert(tex)
        return f'<div class="formula">{convert(tex, display="block")}</div>'

    return keep_options_whole(_FORMULA.sub(mathml, content))


def draw_page() -> str:
    """Return the page to draw on, with the network that comes with the package."""
    import fastdigits as fd

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "draw.html")
        fd.export_html(fd.load_pretrained(), path)
        return path.read_text(encoding="utf-8")


def is_solution(cell) -> bool:
    """Return whether a cell of a notebook solves an exercise."""
    return SOLUTION in cell.metadata.get("tags", [])


def fold_solutions(notebook):
    """Return a copy of a notebook whose solutions are folded on the page."""
    from nbformat import v4

    folded = copy.deepcopy(notebook)
    folded.cells = []
    for solved, cells in itertools.groupby(notebook.cells, is_solution):
        begin = (
            [v4.new_markdown_cell('<details markdown="1">\n<summary>Solution</summary>')] if solved else []
        )
        folded.cells += [*begin, *cells, *([v4.new_markdown_cell("</details>")] if solved else [])]
    return folded


def omit_solutions(notebook):
    """Return a copy of a notebook for students: an empty cell for each solution, no outputs."""
    from nbformat import v4

    asked = copy.deepcopy(notebook)
    asked.cells = []
    for solved, cells in itertools.groupby(notebook.cells, is_solution):
        asked.cells += [v4.new_code_cell("# Your answer")] if solved else copy.deepcopy(list(cells))
    for number, cell in enumerate(asked.cells):
        cell.id = f"cell-{number}"  # the same in each build
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return asked


def on_files(files, *, config):
    """Add the page to draw on, a page for each notebook, its pictures, and without solutions a copy for students."""
    import nbformat
    from mkdocs.structure.files import File
    from nbconvert import MarkdownExporter

    files.append(File.generated(config, DRAW, content=draw_page()))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        place = file.src_uri.removesuffix(".ipynb")
        name = posixpath.basename(place)
        notebook = nbformat.read(file.abs_src_path, as_version=4)
        page, resources = MarkdownExporter().from_notebook_node(
            fold_solutions(notebook), {"unique_key": "output", "output_files_dir": f"{name}_files"}
        )
        added = {
            posixpath.join(posixpath.dirname(place), key): data for key, data in resources["outputs"].items()
        }
        downloads = {f"{name}.ipynb": "the notebook"}
        if any(map(is_solution, notebook.cells)):
            downloads = {
                f"{name}-students.ipynb": "the notebook for students",
                f"{name}.ipynb": "with solutions",
            }
            added[f"{place}-students.ipynb"] = nbformat.writes(omit_solutions(notebook))
        links = ", ".join(f'[{text}]({link}){{ download="{link}" }}' for link, text in downloads.items())
        page = re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.md)", page)  # notebooks link to each other as files
        page = page.replace("![png](", "![drawn by the code above](")
        title, _, rest = page.lstrip().partition("\n")
        added[f"{place}.md"] = f"{title}\n\nDownload {links}.\n{rest}"
        for path, content in added.items():
            files.append(File.generated(config, path, content=content))
    return files
