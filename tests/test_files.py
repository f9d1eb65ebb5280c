"""A file is written whole or not at all, whatever fails, and nothing is left beside it for long."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from documents import ROOT

import fastdigits as fd
from fastdigits import files

GONE = 2**22 + 1  # no process has a number above 2^22

pytestmark = pytest.mark.skipif(os.name != "posix", reason="what one process sees of another is POSIX's")


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_files_are_whole_whichever_call_fails_in_whichever_way(every):
    """Each call of a writing fails before and after its work: error, full disk, Ctrl-C, SIGKILL; then full disks."""
    memory = Path("/dev/shm")
    folder = (
        {"TMPDIR": str(memory)} if os.access(memory, os.W_OK) else {}
    )  # syncs of a real disk take a minute
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "write_faults.py", "--every", str(every)],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": str(Path(fd.__file__).parents[1]), "FASTDIGITS_NUM_THREADS": "1"}
        | folder,
    )
    assert done.returncode == 0, done.stderr
    forced, plain, checkpoints = (-(-count // every) for count in (72, 40, 160))
    calls = "2 open, 1 write, 1 flush, 2 fsync, 2 close, 1 replace"
    assert done.stdout.count(f": {forced} of {forced} whole ({calls})") == 2
    calls = "1 open, 1 write, 1 flush, 1 close, 1 replace"
    assert done.stdout.count(f": {plain} of {plain} whole ({calls})") == 2
    assert f"checkpoints: {checkpoints} of {checkpoints} whole (" in done.stdout


def left(folder, owner, name="model"):
    path = folder / f".{name}.{owner}-0badc0de.tmp"
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("owner", [GONE, 10**30, os.getpid()], ids=["gone", "absurd", "number taken again"])
def test_what_a_killed_process_left_is_removed(tmp_path, owner):
    left(tmp_path, owner)
    files.write(tmp_path / "model", b"new", example="model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["model.old", "other", "Model"])
def test_what_belongs_to_another_file_is_kept(tmp_path, name):
    other = left(tmp_path, GONE, name)
    files.write(tmp_path / "model", b"new", example="model")
    assert other.read_bytes() == b"half"


def test_what_a_process_still_writes_is_kept(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        other = left(tmp_path, sleeper.pid)
        files.write(tmp_path / "model", b"new", example="model")
        assert other.exists()
    finally:
        sleeper.communicate()
    files.write(tmp_path / "model", b"newer", example="model")
    assert not other.exists()


def test_the_process_of_another_user_counts_as_running(tmp_path, monkeypatch):
    def refuse(process, number):
        assert (process, number) == (1, 0)
        raise PermissionError

    other = left(tmp_path, 1)
    monkeypatch.setattr(os, "kill", refuse)
    files.write(tmp_path / "model", b"new", example="model")
    assert other.exists()


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    contents, errors = [bytes([number]) * 100_000 for number in range(4)], []

    def write(content):
        try:
            for _ in range(50):
                files.write(tmp_path / "model", content, example="model")
                assert (tmp_path / "model").read_bytes() in contents
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_longest_names_can_be_written(tmp_path):
    name = "数" * 85  # 255 bytes
    files.write(tmp_path / name, b"new", example="model")
    assert (tmp_path / name).read_bytes() == b"new"


def test_a_folder_that_cannot_be_listed_is_no_hindrance(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    files.write(tmp_path / "model", b"new", example="model")
    assert (tmp_path / "model").read_bytes() == b"new"
