"""The folder of a run is new or free, and nothing in it is touched but the files of a run."""

import json
import re
import subprocess
import sys
from datetime import datetime

import pytest

from fastdigits import visualize
from fastdigits.commands import run_folder, system
from fastdigits.commands.runner import CommandError


class Clock(datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 3, 1, 12, 30, 59)


def test_two_runs_in_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "datetime", Clock)
    names = []
    for _ in range(3):
        with run_folder.folder(None) as folder:
            (folder / run_folder.MODEL).touch()
            names.append(folder.as_posix())
    first = "runs/2024-03-01_12-30-59"
    assert names == [first, f"{first}_2", f"{first}_3"]


def test_a_folder_is_made_with_those_above_it_and_left_as_it_is_filled(tmp_path):
    wanted = tmp_path / "a" / "b"
    with run_folder.folder(wanted) as folder:
        assert folder == wanted
        assert [path.name for path in wanted.iterdir()] == [run_folder.locks.NAME]
        (folder / run_folder.MODEL).touch()
    assert [path.name for path in wanted.iterdir()] == [run_folder.MODEL]


def test_a_new_folder_in_which_nothing_was_written_is_taken_away(tmp_path):
    with pytest.raises(ZeroDivisionError), run_folder.folder(tmp_path / "new"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_there_before_stays(tmp_path):
    with run_folder.folder(tmp_path):
        pass
    assert tmp_path.is_dir()


@pytest.mark.parametrize("name", [run_folder.MODEL, run_folder.RESULT])
def test_a_folder_with_a_run_needs_overwrite(tmp_path, name):
    (tmp_path / name).write_text("kept")
    with (
        pytest.raises(
            CommandError, match=rf"--output: must not hold a run already.*with {name}.*--overwrite"
        ),
        run_folder.folder(tmp_path),
    ):
        pass
    with run_folder.folder(tmp_path, overwrite=True) as folder:
        assert folder == tmp_path
    assert (tmp_path / name).read_text() == "kept"


def test_a_folder_with_other_files_is_free(tmp_path):
    (tmp_path / "notes.txt").write_text("kept")
    with run_folder.folder(tmp_path):
        pass
    assert (tmp_path / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("parts", [("file",), ("file", "below")])
def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path, parts):
    (tmp_path / "file").touch()
    with (
        pytest.raises(CommandError, match="--output: must be a folder that can be written to; got"),
        run_folder.folder(tmp_path.joinpath(*parts)),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_folder.locks, "Lock", refuse)  # as the user root may write everywhere
    with (
        pytest.raises(CommandError, match=r"can be written to; got .*\(Permission denied\)"),
        run_folder.folder(tmp_path / "new"),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="another limit, another error")
def test_a_name_that_is_too_long_is_told_by_its_option(tmp_path):
    with (
        pytest.raises(
            CommandError, match=r"--output: must be a folder that can be written to; got .* too long"
        ),
        run_folder.folder(tmp_path / ("y" * 256)),
    ):
        pass


def test_a_file_named_runs_is_refused_for_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with (
        pytest.raises(CommandError, match="--output: must be a folder that can be written to; got 'runs'"),
        run_folder.folder(None),
    ):
        pass


def test_only_pictures_that_an_earlier_result_lists_are_removed(tmp_path):
    for name in ("curves.png", "notes.txt"):
        (tmp_path / name).touch()
    outside = tmp_path / "inner"
    outside.mkdir()
    run_folder.write_result(
        outside, {"pictures": ["curves.png", "../curves.png", "mine.png", "notes.txt", 3]}
    )
    for name in ("curves.png", "weights.png", "mine.png", "notes.txt"):
        (outside / name).touch()
    run_folder.remove_pictures(outside)
    assert sorted(path.name for path in outside.iterdir()) == [
        "mine.png",
        "notes.txt",
        run_folder.RESULT,
        "weights.png",
    ]
    assert (tmp_path / "curves.png").exists()


def test_the_pictures_that_may_be_removed_are_those_that_are_drawn():
    assert set(re.findall(r"``(\w+\.png)``", visualize.write_pictures.__doc__)) == set(run_folder.PICTURES)


@pytest.mark.parametrize(
    ("listed", "stays"), [("report.html", False), (None, True), ("../report.html", True), ("notes.txt", True)]
)
def test_a_report_is_removed_where_the_earlier_result_lists_it(tmp_path, listed, stays):
    (tmp_path / "report.html").touch()
    (tmp_path / "notes.txt").touch()
    run_folder.write_result(tmp_path, {"pictures": [], "report": listed}, run_folder.EVALUATION)
    run_folder.remove_pictures(tmp_path)  # by another result, which is not there
    assert (tmp_path / "report.html").exists()
    run_folder.remove_pictures(tmp_path, run_folder.EVALUATION)
    assert (tmp_path / "report.html").exists() is stays
    assert (tmp_path / "notes.txt").exists()


def test_the_folder_of_an_evaluation_has_a_name_and_files_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "datetime", Clock)
    with run_folder.folder(None, files=(run_folder.EVALUATION,), kind="evaluation") as folder:
        (folder / run_folder.EVALUATION).touch()
    assert folder.as_posix() == "runs/2024-03-01_12-30-59_evaluation"
    with (
        pytest.raises(
            CommandError, match=r"must not hold an evaluation already; got .* with evaluation\.json"
        ),
        run_folder.folder(folder, files=(run_folder.EVALUATION,), kind="evaluation"),
    ):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pictures": 3}', '{"pictures": [3]}', "{}"])
def test_a_result_that_is_none_removes_nothing(tmp_path, text):
    (tmp_path / run_folder.RESULT).write_text(text)
    (tmp_path / "mine.png").touch()
    run_folder.remove_pictures(tmp_path)
    assert (tmp_path / "mine.png").exists()


def test_a_result_is_json(tmp_path):
    run_folder.write_result(tmp_path, {"loss": float("nan"), "name": "é"})
    assert json.loads((tmp_path / run_folder.RESULT).read_text(encoding="utf-8")) == {
        "loss": None,
        "name": "é",
    }


def test_versions_and_machine_are_told():
    assert {"fastdigits", "python", "numpy", "matplotlib"} <= system.versions().keys()
    assert all(system.versions().values())
    assert all(system.machine().values())


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a display")
def test_a_report_is_shown_only_where_there_is_a_display(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: opened.append(command))
    monkeypatch.setattr(system.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    report = tmp_path / "report.html"
    assert system.open_file(report) is False
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert system.open_file(report) is True
    assert opened == [["/bin/xdg-open", str(report)]]
    monkeypatch.setattr(system.shutil, "which", lambda name: None)
    assert system.open_file(report) is False
