"""Check that a tag may be released: it names the version of the package, and CHANGELOG has a release date.

python scripts/release/release.py v0.1.0
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what must change before ``tag`` is released, one sentence per problem."""
    source = (root / "src" / "fastdigits" / "_version.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "(.*)"$', source, re.MULTILINE)[1]
    heading = re.search(r"^## (.*)$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    wrong = []
    if tag != f"v{version}":
        wrong.append(f"the tag must be v{version}, the version of the package; got {tag}")
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading):
        wrong.append(f"CHANGELOG.md must begin with '## {version} (YYYY-MM-DD)'; got '## {heading}'")
    return wrong


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if wrong := problems(sys.argv[1]):
        sys.exit("release: " + "; ".join(wrong))
