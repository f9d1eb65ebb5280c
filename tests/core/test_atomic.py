"""A file is written whole or not at all, whatever fails, and nothing is left beside it for long."""

import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from documents import ROOT

import fastdigits as fd
from fastdigits import visualize
from fastdigits.commands import draw, predict
from fastdigits.core import atomic

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
        [sys.executable, ROOT / "scripts/robustness/write_faults.py", "--every", str(every)],
        capture_output=True,
        text=True,
        env=os.environ
        | {"PYTHONPATH": str(Path(fd.__file__).parents[1]), "FASTDIGITS_NUM_THREADS": "1"}
        | folder,
    )
    assert done.returncode == 0, done.stderr
    forced, plain, checkpoints = (-(-count // every) for count in (80, 48, 160))
    calls = "3 open, 1 write, 1 flush, 2 fsync, 2 close, 1 replace"
    assert done.stdout.count(f": {forced} of {forced} whole ({calls})") == 2
    calls = "2 open, 1 write, 1 flush, 1 close, 1 replace"
    assert done.stdout.count(f": {plain} of {plain} whole ({calls})") == 2
    assert f"checkpoints: {checkpoints} of {checkpoints} whole (" in done.stdout


def left(folder, owner, name="model"):
    path = folder / f".{name}.{owner}-0badc0de.tmp"
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("owner", [GONE, 10**30, os.getpid()], ids=["gone", "absurd", "number taken again"])
def test_what_a_killed_process_left_is_removed(tmp_path, owner):
    left(tmp_path, owner)
    atomic.write(tmp_path / "model", b"new", example="model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["model.old", "other", "Model"])
def test_what_belongs_to_another_file_is_kept(tmp_path, name):
    other = left(tmp_path, GONE, name)
    atomic.write(tmp_path / "model", b"new", example="model")
    assert other.read_bytes() == b"half"


def test_what_a_process_still_writes_is_kept(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        other = left(tmp_path, sleeper.pid)
        atomic.write(tmp_path / "model", b"new", example="model")
        assert other.exists()
    finally:
        sleeper.communicate()
    atomic.write(tmp_path / "model", b"newer", example="model")
    assert not other.exists()


def test_the_process_of_another_user_counts_as_running(tmp_path, monkeypatch):
    def refuse(process, number):
        assert (process, number) == (1, 0)
        raise PermissionError

    other = left(tmp_path, 1)
    monkeypatch.setattr(os, "kill", refuse)
    atomic.write(tmp_path / "model", b"new", example="model")
    assert other.exists()


def test_threads_that_write_one_file_do_not_disturb_each_other(tmp_path):
    contents, errors = [bytes([number]) * 100_000 for number in range(4)], []

    def write(content):
        try:
            for _ in range(50):
                atomic.write(tmp_path / "model", content, example="model")
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
    atomic.write(tmp_path / name, b"new", example="model")
    assert (tmp_path / name).read_bytes() == b"new"


def test_a_folder_that_cannot_be_listed_can_be_written(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    atomic.write(tmp_path / "model", b"new", example="model")
    assert (tmp_path / "model").read_bytes() == b"new"


# -- what is no regular file ---------------------------------------------------------------------------------------


def device(path):
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # another /dev/null
    except PermissionError:
        pytest.skip("only root makes devices")


def listening(path):
    with socket.socket(socket.AF_UNIX) as own:
        own.bind(os.path.relpath(path))


def loop(path):
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def link_to_a_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


ODD = {
    "a device": device,
    "a named pipe": os.mkfifo,
    "a socket": listening,
    "a folder": os.mkdir,
    "a loop of symbolic links": loop,
    "a named pipe, behind a link": link_to_a_pipe,
}
WRITERS = {
    "model": lambda path: fd.NeuralNetwork([fd.Dense(4, 3)]).save(path),
    "history": lambda path: fd.History().write_csv(path),
    "page": lambda path: fd.export_html(fd.load_pretrained(), path),
    "picture": lambda path: visualize.canvas.write_figure(visualize.canvas.message("-"), path, dpi=50),
}


def names_and_kinds(folder):
    return {path.name: stat.S_IFMT(path.lstat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ODD)
def test_other_kinds_of_files_are_refused_and_stay(tmp_path, monkeypatch, kind, writer):
    monkeypatch.chdir(tmp_path)
    ODD[kind](tmp_path / "odd.png")
    before = names_and_kinds(tmp_path)
    got = kind.partition(",")[0]
    with pytest.raises(OSError, match=f"odd.png: must be a file.*; got {got}: "):
        WRITERS[writer](tmp_path / "odd.png")
    assert names_and_kinds(tmp_path) == before


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("command", [draw, predict], ids=["draw", "predict"])
def test_a_command_says_so_in_one_line_before_it_reads_anything(tmp_path, monkeypatch, capsys, kind, command):
    monkeypatch.chdir(tmp_path)
    ODD[kind](tmp_path / "odd.png")
    words = ["--no-open", "--overwrite"] if command is draw else ["missing.png"]
    assert command.main([*words, "--output", "odd.png"]) == 2
    error = capsys.readouterr().err
    assert "error: --output: odd.png: must be a file" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("where", ["pipe", "file"])
def test_a_name_of_an_open_stream_is_refused(tmp_path, name, where):
    if not os.path.lexists(name):
        pytest.skip(f"there is no {name}")
    with open(tmp_path / "out", "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "fastdigits", "draw", "--no-open", "--overwrite", "--output", name],
            stdout=subprocess.PIPE if where == "pipe" else out,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(fd.__file__).parents[1])},
        )
    assert done.returncode == 2
    kind = "a named pipe" if where == "pipe" else "a stream that is open"
    assert f"--output: {name}: must be a file; got {kind}: choose a name such as" in done.stderr
    assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 300, ".", "missing/model"])
def test_impossible_names_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"must be|must exist"):
        atomic.write(name, b"new", example="model.safetensors")
    assert list(tmp_path.iterdir()) == []


# -- what a file keeps when it is replaced -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666, 0o755])
def test_the_permissions_stay(tmp_path, mode):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(mode)
    atomic.write(path, b"new", example="model")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert os.stat(path).st_size == 3


def test_a_new_file_has_those_that_the_user_gives_new_files(tmp_path):
    (tmp_path / "usual").touch()
    atomic.write(tmp_path / "model", b"new", example="model")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_nobody_may_read_the_new_content_before_the_permissions_are_set(tmp_path, monkeypatch):
    path, seen = tmp_path / "model", []
    path.write_bytes(b"old")
    path.chmod(0o640)
    copy_permissions = atomic._copy_permissions
    monkeypatch.setattr(
        atomic,
        "_copy_permissions",
        lambda file, old: seen.append(os.fstat(file).st_mode & 0o777) or copy_permissions(file, old),
    )
    atomic.write(path, b"new", example="model")
    assert seen == [0o600]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    os.chown(path, 65534, 65533)
    atomic.write(path, b"new", example="model")
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)


def test_without_the_old_group_there_are_no_group_permissions(tmp_path, monkeypatch):
    def refuse(file, owner, group):
        raise PermissionError

    path = tmp_path / "model"
    path.write_bytes(b"old")
    path.chmod(0o664)
    old = os.stat(path)
    monkeypatch.setattr(os, "fchown", refuse)
    atomic.write(path, b"new", example="model")
    assert stat.S_IMODE(path.stat().st_mode) == 0o664  # it is the same group
    other = os.stat_result([*old[:5], old.st_gid + 1, *old[6:]])
    monkeypatch.setattr(atomic, "_target_of", lambda *_: (path, other))
    atomic.write(path, b"new", example="model")
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/target")
    (tmp_path / "new").symlink_to("folder/made")  # there is none yet
    for name, target in (("link", "target"), ("new", "made")):
        atomic.write(tmp_path / name, b"new", example="model")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "folder" / target).read_bytes() == b"new"


def test_another_hard_link_keeps_the_old_content(tmp_path):
    (tmp_path / "model").write_bytes(b"old")
    os.link(tmp_path / "model", tmp_path / "other")
    atomic.write(tmp_path / "model", b"new", example="model")
    assert (tmp_path / "other").read_bytes() == b"old"
    assert (tmp_path / "model").read_bytes() == b"new"


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "PNG"])
def test_a_picture_that_fails_leaves_the_old_one(tmp_path, monkeypatch, ending):
    path = tmp_path / f"seen.{ending}"
    figure = visualize.first_layer_weights(np.zeros((784, 2), np.float32), (28, 28))
    visualize.canvas.write_figure(figure, path, dpi=50)
    old = path.read_bytes()
    assert len(old) > 500

    def half(content, **options):
        content.write(b"half")
        raise OSError(28, "full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(OSError, match="full"):
        visualize.canvas.write_figure(figure, path, dpi=50)
    assert path.read_bytes() == old
