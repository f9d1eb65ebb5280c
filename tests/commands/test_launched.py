"""A launcher is found by its variables; a plain run imports nothing of MPI."""

import subprocess
import sys

import pytest
from toy_dataset import write_dataset

from fastdigits.commands import launched, train
from fastdigits.commands.runner import CommandError


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, (0, 1)),
        ({"PMI_RANK": "3", "PMI_SIZE": "4"}, (3, 4)),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, (0, 2)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, (5, 8)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1)),  # a batch script, outside srun
        ({"PMI_RANK": "", "PMI_SIZE": "many"}, (0, 1)),
        ({"PMI_SIZE": "4"}, (0, 1)),
    ],
)
def test_rank_and_size_are_those_of_the_launcher(variables, place):
    assert launched.place(variables) == place


@pytest.fixture
def two_started(monkeypatch):
    monkeypatch.setenv("PMI_RANK", "1")
    monkeypatch.setenv("PMI_SIZE", "2")


def test_ranks_none_trains_alone_under_a_launcher(two_started):
    assert launched.ranks(["--ranks", "none"], "x").size == 1


def test_a_launcher_needs_mpi4py(two_started, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(CommandError, match=r"--ranks: .*pip install 'mpi4py>=4.0'.*--ranks none"):
        launched.ranks([], "x")


@pytest.mark.parametrize("word", ["--help", "-h", "--version"])
def test_help_and_version_need_no_mpi(monkeypatch, capsys, word):
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(SystemExit) as ended:
        train.main([word])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert "fastdigits" in out


def test_other_ranks_than_the_first_print_nothing(two_started, capsys):
    def work():
        print("an answer")
        print("a message", file=sys.stderr)
        raise SystemExit(2)

    assert launched.speak_once([], work) == 0  # the exit code is that of rank 0
    assert capsys.readouterr() == ("", "")


def test_trainings_of_their_own_report_their_errors(two_started, capsys):
    with pytest.raises(SystemExit):
        train.main(["--ranks", "none", "--no-such-option"])
    assert "--no-such-option" in capsys.readouterr().err


def test_a_wrong_choice_is_reported_with_the_other_options(capsys):
    with pytest.raises(SystemExit):
        train.main(["--ranks", "all"])
    assert "--ranks: must be one of auto, mpi, none" in capsys.readouterr().err


def test_a_plain_run_imports_nothing_of_mpi(tmp_path):
    write_dataset(tmp_path / "data")
    program = (
        "import sys; from fastdigits.train import main; code = main(sys.argv[1:]); "
        "print(code, *[name for name in sys.modules if 'mpi4py' in name or 'distributed' in name])"
    )
    words = [
        "--data",
        str(tmp_path / "data"),
        "--epochs",
        "1",
        "--batch-shards",
        "4",
        "--no-plots",
        "--quiet",
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0"]
