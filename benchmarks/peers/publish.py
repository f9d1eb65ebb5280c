"""Write the results of runs into the pages: the tables of README.md and benchmarks/peers/README.md.

    python benchmarks/peers/run.py --json peers.json
    python benchmarks/peers/run.py --only sweep --json sweep.json
    python benchmarks/peers/publish.py AVX2 peers.json sweep.json

It measures nothing. AVX2 and AVX-512 name the machine whose tables are replaced; a measure of a later file replaces
that of an earlier one. The text between two marks, `<!-- peers AVX2: … -->` and `<!-- end -->`, is replaced as a whole.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fastdigits.commands.peers import report

HERE = Path(__file__).resolve().parent
FRONT, PAGE = HERE.parents[1] / "README.md", HERE / "README.md"
COLUMNS = {  # contender: heading, package that gives its version
    "torch": ("PyTorch", "torch"),
    "torch-compile": ("… compiled", "torch"),
    "jax": ("JAX", "jax"),
    "keras": ("Keras", "keras"),
    "numba": ("numba", "numba"),
    "sklearn": ("scikit-learn", "scikit-learn"),
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "original": ("NumPy project", ""),
}
JOBS = {
    "epoch64": "training epoch, batch 64",
    "epoch128": "… batch 128",
    "epoch256": "… batch 256",
    "standard64": "… batch 64, standardised columns",
    "wide256": "… network 784-1024-1024-10, batch 256",
    "busy128": "… batch 128, another process on one core",
    "to972": "from the start of the process to 97.2 %",
    "predict1": "probabilities of one image",
    "predict10000": "… of 10,000 images, one thread",
    "import": "import",
}
TAGS = {("to972", "fastdigits"): "python -m fastdigits.train", ("to972", "torch"): "train_torch.py"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machine", choices=("AVX2", "AVX-512"))
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="from run.py --json")
    options = parser.parse_args()
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in options.files]
    measures: dict[str, Any] = {}
    for run in runs:
        measures |= run["measures"]
    parts = {
        FRONT: {"sentence": sentence(measures), "jobs": jobs(measures), "losses": losses(measures)},
        PAGE: {"results": results(runs, measures), "times": report.detail_table(measures)},
    }
    for path, texts in parts.items():
        page = path.read_text(encoding="utf-8")
        for name, text in texts.items():
            page = report.replaced(page, f"peers {options.machine}: {name}", text)
        path.write_text(page, encoding="utf-8")
    return 0


def sentence(measures: dict[str, Any]) -> str:
    """Return one line on batch 64."""
    measured = measures.get("epoch64")
    if measured is None:
        raise SystemExit("publish.py: the files must have the measure epoch64")
    ours = report.best(measured, "fastdigits")
    ratios = [
        f"{words} {row['median'] / ours['median']:.1f} times"
        for name, words in (("torch", "PyTorch takes"), ("jax", "JAX"))
        if (row := report.best(measured, name))
    ]
    return f"At batch 64 an epoch takes {report.duration(ours['median'])}; {' as long, '.join(ratios)}."


def jobs(measures: dict[str, Any]) -> str:
    """Return the table with a row per job and a column per contender."""
    versions: dict[str, str] = {}
    for measured in measures.values():
        for row in measured["rows"]:
            versions |= row.get("versions", {})
    rows, used = [], set()
    for name, title in JOBS.items():
        ours = _best(measures, name, "fastdigits")
        if ours is None:
            continue
        cells = {}
        for contender in COLUMNS:
            theirs = _best(measures, name, contender)
            if theirs is not None:
                cells[contender] = f"{report.three_digits(theirs['median'] / ours['median'])} ×"
        used |= cells.keys()
        rows.append((title, report.duration(ours["median"]), cells))
    columns = [name for name in COLUMNS if name in used]
    head = ["job", "fastdigits"]
    for name in columns:
        words, package = COLUMNS[name]
        version = ".".join(versions.get(package, "").split(".")[:2])
        head.append(f"{words} {version}".strip() if "…" not in words else words)
    lines = [(title, ours, *(cells.get(name, "") for name in columns)) for title, ours, cells in rows]
    return report.table(tuple(head), lines, right=tuple(range(1, len(head))))


def _best(measures: dict[str, Any], name: str, contender: str) -> dict[str, Any] | None:
    if name not in measures:
        return None
    return report.best(measures[name], contender, TAGS.get((name, contender), ""))


def losses(measures: dict[str, Any]) -> str:
    """Return where a contender was faster, and the worst places of the sweep, as lines of text."""
    return "\n" + "\n".join(report.losses(measures)) + "\n"


def results(runs: list[dict[str, Any]], measures: dict[str, Any]) -> str:
    """Return machine, versions and tables of the page on the comparison."""
    heads = [report.head(run["machine"], run["measures"]) for run in runs]
    tables = [report.ratio_table(measures), "\n".join(report.losses(measures)), report.sweep_tables(measures)]
    return "\n\n".join(["```\n" + "\n\n".join(heads) + "\n```", *filter(None, tables)])


if __name__ == "__main__":
    sys.exit(main())
