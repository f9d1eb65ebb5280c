"""Check that a tag may be released: it is the version of the package, and CHANGELOG has the day of its release.

python scripts/release.py v0.1.0
"""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what must change before ``tag`` is released, a sentence each."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    source = ast.parse((root / "src" / "fastdigits" / "__init__.py").read_text(encoding="utf-8"))
    (package,) = (
        node.value.value
        for node in source.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
    )
    heading = re.search(r"^## (.*)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    found = []
    if tag != f"v{project}":
        found.append(f"the tag must be v{project}, the version in pyproject.toml; got {tag}")
    if package != project:
        found.append(f"__version__ must be {project}, the version in pyproject.toml; got {package}")
    if not re.fullmatch(rf"{re.escape(project)} \(\d{{4}}-\d\d-\d\d\)", heading):
        found.append(f"CHANGELOG.md must begin with '## {project} (YYYY-MM-DD)'; got '## {heading}'")
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if wrong := problems(sys.argv[1]):
        sys.exit("release: " + "; ".join(wrong))
