"""The programs of examples/ run and print what their comments say."""

import pytest
from digit_pictures import inked, strokes
from documents import ROOT, run

EXAMPLES = ROOT / "examples"
NEEDED = {"sklearn_pipeline": "sklearn"}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run_example(name, monkeypatch, *words):
    """Run a program of examples/ with arguments; return the comments that differ from the output."""
    path = EXAMPLES / f"{name}.py"
    monkeypatch.setattr("sys.argv", [str(path), *words])
    return run(path.read_text("utf-8"), path, {"__name__": "__main__"})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=pytest.mark.needs(*NEEDED.get(path.stem, "").split()))
        for path in sorted(EXAMPLES.glob("*.py"))
    ],
)
def test_an_example_prints_what_its_comments_say(name, monkeypatch, capsys):
    assert run_example(name, monkeypatch) == []
    assert capsys.readouterr().out


def test_own_photographs_reads_pictures_and_names_other_files(tmp_path, monkeypatch, capsys):
    inked(strokes("58")).save(tmp_path / "a.png")
    (tmp_path / "b.txt").write_text("no picture")
    (tmp_path / "c").mkdir()
    run_example("own_photographs", monkeypatch, str(tmp_path))
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("a.png: 58, ")
    assert "b.txt: must be a picture" in second
    assert str(tmp_path / "c") in third
