"""One process at a time writes into a folder; the others are told."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits.commands import evaluate, locks, run_folder, train
from fastdigits.commands.runner import CommandError

SOURCE = str(Path(fd.__file__).parents[1])


def test_a_folder_is_taken_once_and_given_back(tmp_path):
    lock = locks.Lock(tmp_path)
    with pytest.raises(BlockingIOError):
        locks.Lock(tmp_path)
    lock.release()
    assert list(tmp_path.iterdir()) == []
    locks.Lock(tmp_path).release()


def test_what_a_killed_process_left_hinders_nobody(tmp_path):
    program = "import os, signal; from pathlib import Path; from fastdigits.commands import locks\nlocks.Lock(Path())\n"
    program += "os.kill(os.getpid(), signal.SIGKILL)" if os.name == "posix" else "os._exit(1)"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": SOURCE})
    locks.Lock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows removes no file that is open")
def test_a_file_that_was_removed_meanwhile_is_made_anew(tmp_path, monkeypatch):
    lock, real = locks._lock, []

    def late(file):
        if not real:  # the one that had it before is done just now
            real.append(file)
            (tmp_path / locks.NAME).unlink()
        lock(file)

    monkeypatch.setattr(locks, "_lock", late)
    held = locks.Lock(tmp_path)
    with pytest.raises(BlockingIOError):
        locks.Lock(tmp_path)
    held.release()


@pytest.mark.skipif(os.name != "posix", reason="flock is POSIX's")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_there_are_no_locks_nobody_is_kept_out(tmp_path, monkeypatch, number):
    def refuse(file, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    first, second = locks.Lock(tmp_path), locks.Lock(tmp_path)
    first.release()
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_in_place_of_the_lock_makes_no_file_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / locks.NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CommandError, match="can be written to"), run_folder.folder(tmp_path / "run"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_run_that_is_resumed_twice_names_the_option_that_was_given(tmp_path):
    with (
        run_folder.folder(tmp_path),
        pytest.raises(CommandError, match=r"^--resume: must not be in use; got "),
        run_folder.folder(tmp_path, overwrite=True, option="--resume"),
    ):
        pass


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_second_user_of_a_folder_is_told(tmp_path, overwrite):
    with (
        run_folder.folder(tmp_path),
        pytest.raises(
            CommandError, match=r"--output: must not be in use; got .* another process writes into: wait"
        ),
        run_folder.folder(tmp_path, overwrite=overwrite),
    ):
        pass


def test_a_run_that_came_meanwhile_is_kept(tmp_path, monkeypatch):
    lock = locks.Lock

    def slow(folder):
        (folder / run_folder.MODEL).touch()  # by another process, which has ended
        return lock(folder)

    monkeypatch.setattr(locks, "Lock", slow)
    with pytest.raises(CommandError, match="must not hold a run already"), run_folder.folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [run_folder.MODEL]


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links need a privilege there")
def test_no_file_is_made_through_a_link_of_the_lock_s_name(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / locks.NAME).symlink_to(tmp_path / "victim")
    with (
        pytest.raises(CommandError, match="must be a folder that can be written to"),
        run_folder.folder(tmp_path / "run"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", [run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT, run_folder.REPORT])
def test_what_cannot_be_written_is_told_before_the_work(tmp_path, name, capsys):
    write_dataset(tmp_path / "digits")
    (tmp_path / "run" / name).mkdir(parents=True)
    words = ["--data", str(tmp_path / "digits"), "-o", str(tmp_path / "run"), "--overwrite"]
    assert train.main(words) == 2
    assert (
        f"{name}: must be a file, to be replaced by one of the run; got a folder" in capsys.readouterr().err
    )
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


def test_an_evaluation_is_told_too(tmp_path, capsys):
    with run_folder.folder(tmp_path, kind="evaluation"):
        assert evaluate.main(["-o", str(tmp_path), "--no-plots", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastdigits evaluate: error: --output: must not be in use; got ")
    assert error.count("\n") == 1


def test_of_runs_at_once_in_one_folder_each_is_whole_or_told(tmp_path):
    """They differ in their seed; what is in the folder at the end must be of one of them."""
    write_dataset(tmp_path / "digits")
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "fastdigits.train", "--data", "digits", "--epochs", str(10 + seed), "--quiet",
             "--no-plots", "--overwrite", "--seed", str(seed), "--json", "-o", "run"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": SOURCE, "FASTDIGITS_NUM_THREADS": "1"},
        )
        for seed in range(4)
    ]  # fmt: skip
    ends = [process.communicate(timeout=120) for process in processes]
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    for code, (out, error) in zip(codes, ends, strict=True):
        assert (code == 2) == ("must not be in use" in error)
        assert error.count("\n") == (code == 2)
        assert (code == 0) == bool(out)
    folder = tmp_path / "run"
    result, settings = (
        json.loads((folder / name).read_text()) for name in (run_folder.RESULT, run_folder.SETTINGS)
    )
    assert codes[result["seed"]] == 0
    assert settings["seed"] == result["seed"]
    assert fd.load(folder / run_folder.MODEL).epochs_trained == result["epochs"] == 10 + result["seed"]
    assert len((folder / run_folder.HISTORY).read_text().splitlines()) == 1 + result["epochs"]
    assert locks.NAME not in {path.name for path in folder.iterdir()}


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_run_is_resumed_by_one_process_and_again_after_that_was_killed(tmp_path):
    write_dataset(tmp_path / "digits")
    environment = os.environ | {"PYTHONPATH": SOURCE}
    command = [sys.executable, "-m", "fastdigits.train"]
    words = ["--data", "digits", "--epochs", "100000", "--no-plots", "-o", "run"]
    first = subprocess.Popen(
        [*command, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        while not first.stderr.readline().startswith("epoch"):
            pass
        again = [*command, "--resume", "run"]
        second = subprocess.run(
            again, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60
        )
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1
        assert "must not be in use; got 'run'" in second.stderr
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    with run_folder.folder(tmp_path / "run", overwrite=True):
        pass


def test_a_run_that_another_process_has_finished_is_not_resumed(tmp_path, monkeypatch, capsys):
    write_dataset(tmp_path / "digits")
    words = [
        "--data",
        str(tmp_path / "digits"),
        "--epochs",
        "1",
        "--no-plots",
        "--quiet",
        "-o",
        str(tmp_path / "run"),
    ]
    assert train.main(words) == 0
    before = (tmp_path / "run" / run_folder.MODEL).stat().st_mtime_ns
    seen, finished = [], run_folder.finished
    monkeypatch.setattr(run_folder, "finished", lambda path: finished(path) if seen else seen.append(path))
    assert train.main(["--resume", str(tmp_path / "run")]) == 2
    assert "--resume: must be a run that is not finished" in capsys.readouterr().err
    assert (tmp_path / "run" / run_folder.MODEL).stat().st_mtime_ns == before
