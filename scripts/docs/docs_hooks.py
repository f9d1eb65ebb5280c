"""What MkDocs does not do by itself: sources shown by name, formulas as MathML, the notebook as a page.

MkDocs calls the functions ``on_…``; see ``hooks`` in mkdocs.yml. In a page, ``<!-- twin: dense_forward -->`` becomes
that function of _reference.py, ``<!-- kernel: tile -->`` that one of kernels/, ``<!-- commands -->`` the help of
each command; ``$x^2$`` and ``$$…$$`` become MathML.
"""

import contextlib
import html
import io
import os
import re
from pathlib import Path
from unittest import mock

SOURCES = Path(__file__).parents[2] / "src" / "fastdigits"
KINDS = {"twin": ("_reference.py", "python"), "kernel": ("kernels/*.pxi", "cython")}
NOTEBOOK = "tutorial.ipynb"

_INCLUDE = re.compile(r"^<!-- (twin|kernel): (.+?) -->$", re.MULTILINE)
_CHECK = re.compile(r"^ +_expect\w*\(.*\)\n", re.MULTILINE)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def find_function(source: str, name: str) -> tuple[int, str]:
    """Return the number of the first line of a function at the top level, and its text; KeyError if there is none."""
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
    """Return the page with the source of each function that it names."""
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
    """Return the file that has a function, the number of its first line there, and its text."""
    for path in sorted(SOURCES.glob(pattern)):
        with contextlib.suppress(KeyError):
            return path.relative_to(SOURCES).as_posix(), *find_function(
                path.read_text(encoding="utf-8"), name
            )
    raise KeyError(name)


def show_commands() -> str:
    """Return a section for each command: its help, as wide as a page is."""
    from fastdigits.__main__ import COMMANDS, main

    sections = []
    for name in COMMANDS:
        text = io.StringIO()
        with mock.patch.dict(os.environ, COLUMNS="96", NO_COLOR="1"), contextlib.redirect_stdout(text):
            try:
                code = main([name, "--help"])
            except SystemExit as end:  # argparse ends so after the help
                code = end.code
        if code:
            raise RuntimeError(f"fastdigits {name} --help: exit code {code}")
        sections.append(f"## fastdigits {name}\n\n``` text\n{text.getvalue().rstrip()}\n```")
    return "\n\n".join(sections)


def on_page_markdown(markdown, **_):
    """Show the sources that a page names, and the help of commands where it asks for that."""
    return show_sources(markdown).replace(
        "<!-- commands -->", show_commands() if "<!-- commands -->" in markdown else ""
    )


def on_page_content(content, **_):
    """Turn formulas into MathML, which browsers set by themselves: no script, no font."""
    from latex2mathml.converter import convert

    def mathml(found):
        tex = html.unescape(found[2]).strip()
        if found[1] == "span":
            return convert(tex)
        return f'<div class="formula">{convert(tex, display="block")}</div>'

    return _FORMULA.sub(mathml, content)


def on_files(files, *, config):
    """Put the notebook among the pages, as it was run: text and outputs as Markdown, pictures as files."""
    from mkdocs.structure.files import File
    from nbconvert import MarkdownExporter

    notebook = files.get_file_from_path(NOTEBOOK)
    body, resources = MarkdownExporter().from_filename(
        notebook.abs_src_path, {"unique_key": "output", "output_files_dir": "tutorial_files"}
    )
    files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=body))
    for name, content in resources["outputs"].items():
        files.append(File.generated(config, name, content=content))
    return files
