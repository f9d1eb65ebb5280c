"""Draw the map of the package in CONTRIBUTING.md: each folder and file of `src/fastdigits`, described by its docstring.

python scripts/docs/house_map.py          write the map
python scripts/docs/house_map.py --check  exit with 1 if the map in the file is out of date
"""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "fastdigits"
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- the map: made by scripts/docs/house_map.py -->\n```\n", "```\n<!-- the end of the map -->"
WIDTH, COLUMN = 118, 18
ENTRY_POINTS = ("bench", "draw", "evaluate", "predict", "shard", "train", "tune")


def first_sentence(path: Path) -> str:
    """Return the first paragraph of a module's docstring, up to its first full stop."""
    text = path.read_text(encoding="utf-8")
    doc = ast.get_docstring(ast.parse(text)) if path.suffix == ".py" else text.split('"""')[1]
    paragraph = " ".join(doc.split("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".").replace("`", "")


def modules_of(folder: Path) -> str:
    """Return the names of the folders, modules and kernel files in a folder."""
    files = [one.stem for one in folder.iterdir() if one.suffix in (".py", ".pxi") and one.stem != "__init__"]
    folders = [f"{one.name}/" for one in folder.iterdir() if one.is_dir() and one.name != "__pycache__"]
    return ", ".join([*sorted(folders), *sorted(files)])


def entry(name: str, description: str, modules: str = "") -> str:
    """Return the lines of the map for one folder or file."""
    options = {"width": WIDTH, "subsequent_indent": " " * COLUMN, "break_on_hyphens": False}
    lines = textwrap.wrap(description, initial_indent=f"{name:<{COLUMN}}", **options)
    if modules:
        lines += textwrap.wrap(modules, initial_indent=" " * COLUMN, **options)
    return "\n".join(lines)


def draw_map() -> str:
    """Return the map: the folders, then the files beside them."""
    described = {path.parent: path for path in PACKAGE.glob("*/__init__.py")}
    described[PACKAGE / "kernels"] = PACKAGE / "_kernels.pyx"
    folders = [
        entry(f"{one.name}/", first_sentence(described[one]), modules_of(one)) for one in sorted(described)
    ]
    folders.append(entry("models/", "The network that comes with the package"))
    files = [path for path in sorted(PACKAGE.glob("*.py")) if path.stem not in ("__init__", *ENTRY_POINTS)]
    entry_points = (
        f"{' '.join(f'{name}.py' for name in ENTRY_POINTS)}: entry points, whose code is in commands/"
    )
    return "\n".join(
        [
            "src/fastdigits/",
            *folders,
            *(entry(path.name, first_sentence(path)) for path in files),
            *textwrap.wrap(entry_points, width=WIDTH),
            "",
        ]
    )


def page_with_map(text: str) -> str:
    """Return the text of the page with the current map in it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{draw_map()}{END}{after}"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    wanted = page_with_map(text)
    if "--check" in sys.argv[1:]:
        sys.exit(wanted != text)
    PAGE.write_text(wanted, encoding="utf-8")
