"""The tables of results: `publish.py` and `step_limits.py` find their places in the pages."""

import importlib.util
import re
import sys

import pytest
from documents import ROOT

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="needs the sources")


@pytest.fixture
def publish():
    path = ROOT / "benchmarks" / "peers" / "publish.py"
    spec = importlib.util.spec_from_file_location("publish_peers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def marks(path):
    text = path.read_text("utf-8")
    found = re.findall(r"<!-- (?:peers|limits) ([\w-]+)(?:: (\w+))? -->(?=.*?<!-- end -->)", text, re.DOTALL)
    return {(machine, name) for machine, name in found}


def test_the_pages_have_a_place_for_each_table(publish):
    both = [(machine, name) for machine in ("AVX2", "AVX-512") for name in ("results", "times")]
    assert marks(publish.PAGE) == set(both)
    assert marks(publish.FRONT) == {
        ("AVX2", "sentence"), ("AVX2", "jobs"), ("AVX2", "losses"), ("AVX-512", "jobs"), ("AVX-512", "losses"),
    }  # fmt: skip
    assert marks(ROOT / "docs" / "limits.md") == {("avx2", ""), ("avx512", "")}


def row(contender, threads, seconds, tag=""):
    return {
        "contender": contender, "tag": tag, "threads": threads, "seconds": [seconds], "median": seconds,
        "minimum": seconds, "notes": [], "versions": {"jax": "0.10.2"},
    }  # fmt: skip


def test_tables_are_written_between_their_marks(publish, tmp_path, monkeypatch):
    rows = [row("fastdigits", 1, 0.2), row("fastdigits", 2, 0.1), row("jax", 1, 0.09), row("torch", 1, 0.5)]
    measures = {"epoch64": {"title": "training epoch, batch 64", "rows": rows, "absent": []}}
    run = {"measures": measures, "machine": {
        "when": "today", "commit": "abc", "command": "run.py", "processor": "a processor", "cores": 2,
        "instruction_sets": [], "system": "a system", "compiler": None, "load": None,
    }}  # fmt: skip
    names = {"front": ("sentence", "jobs", "losses"), "page": ("results", "times")}
    for page, parts in names.items():
        path = tmp_path / page
        lines = (f"<!-- peers AVX2: {name} -->old<!-- end -->" for name in parts)
        path.write_text(
            "# Title\n" + "\n".join(lines) + "\n<!-- peers AVX-512: jobs -->kept<!-- end -->\n", "utf-8"
        )
        monkeypatch.setattr(publish, page.upper(), path)
    (tmp_path / "run.json").write_text(publish.json.dumps(run), "utf-8")
    monkeypatch.setattr(sys, "argv", ["publish.py", "AVX2", str(tmp_path / "run.json")])
    for _ in range(2):  # a second time changes nothing
        assert publish.main() == 0
        front, page = ((tmp_path / name).read_text("utf-8") for name in names)
        assert "old" not in front + page
        assert "kept" in front
        assert (
            "-->At batch 64 an epoch takes 100 ms; PyTorch takes 5.0 times as long, JAX 0.9 times.<!--"
            in front
        )
        assert "| training epoch, batch 64 |     100 ms |  5.00 × |   0.90 × |" in front
        assert "A contender was faster at:" in front
        assert "- training epoch, batch 64, 100 ms (2): JAX, jit + scan 90.0 ms (1), 0.90 ×" in front
        assert page.count("| training epoch, batch 64 |") == 2
        assert page.count("| epoch64 |") == 4
