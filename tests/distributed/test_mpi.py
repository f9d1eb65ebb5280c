"""Real ranks: programs and commands under mpiexec end as one process would, with its bits."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from documents import script

import fastdigits as fd

pytestmark = [pytest.mark.exhaustive, pytest.mark.needs("mpi4py", "mpiexec")]
SOURCE = Path(fd.__file__).parents[1]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(SOURCE),
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
WORDS = """--batch-size 40 --batch-shards 8 --dropout 0.2 --augment rotation=9,shift=1 --ema 0.9 --clip-norm 1
    --no-plots""".split()  # noqa: SIM905
LONGEST = 10  # seconds until all ranks have ended


def started(ranks: int, *words: object, folder: Path) -> subprocess.Popen[str]:
    launcher = ["mpiexec", "-n", str(ranks)] if ranks else []
    return subprocess.Popen(
        [*launcher, sys.executable, *map(str, words)],
        cwd=folder, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def run(ranks: int, *words: object, folder: Path) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error; 0 ranks for a process without launcher."""
    process = started(ranks, *words, folder=folder)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def train(ranks: int, *words: object, folder: Path) -> tuple[int, str, str]:
    return run(ranks, "-m", "fastdigits.train", *words, folder=folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Some of MNIST."""
    (x, y), (x_test, y_test) = fd.load_mnist()
    path = tmp_path_factory.mktemp("data") / "some.npz"
    np.savez(path, x_train=x[:1000], y_train=y[:1000], x_test=x_test[:300], y_test=y_test[:300])
    return path


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    """The folder of a run in one process without MPI."""
    folder = tmp_path_factory.mktemp("runs")
    code, _, err = train(0, "--data", data, "--epochs", 12, *WORDS, "--output", "whole", folder=folder)
    assert code == 0, err
    return folder / "whole"


def model(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


PROGRAM = """
import sys
import fastdigits as fd
ranks = fd.distributed.mpi()
{code}
"""


def test_four_ranks_write_the_model_of_one_process(data, whole, tmp_path):
    words = ("--data", data, "--epochs", 12, *WORDS, "--output", "run", "--json")
    code, out, err = train(4, *words, folder=tmp_path)
    assert code == 0, err
    assert model(tmp_path / "run") == model(whole)
    result = json.loads(out)  # one object, of rank 0
    assert result["ranks"] == 4
    assert result["settings"]["batch_shards"] == 8
    assert err.count("epoch 12/12") == 1
    assert "8 of each batch, on 4 processes" in err
    first = json.loads((whole / "result.json").read_text())
    assert result["test_accuracy"] == first["test_accuracy"]


def test_wrong_options_are_one_message_and_exit_code_2(data, tmp_path):
    code, _, err = train(2, "--data", data, "--batch-size", 8, "--quiet", "--output", "run", folder=tmp_path)
    assert code == 2
    assert err.count("error:") == 1
    assert "each batch must hold at least 16 images, 2 for each of batch_shards=8" in err
    assert not (tmp_path / "run").exists()


def test_a_wrong_option_of_one_rank_is_a_message_that_names_it(data, tmp_path):
    words = ["-m", "fastdigits.train", "--data", data, "--output", "run"]
    code, out, err = run(1, *words, ":", "-n", 1, sys.executable, *words, "--no-such-option", folder=tmp_path)
    assert (code, out) == (2, "")
    assert err.count("fastdigits train: error: rank 1: unknown option '--no-such-option'") == 1
    assert err.count("error:") == 1


def test_a_wrong_option_of_all_ranks_is_one_message(tmp_path):
    code, _, err = train(2, "--no-such-option", folder=tmp_path)
    assert code == 2
    assert err.count("error:") == 1
    assert "rank" not in err


def test_ranks_with_different_data_are_told(tmp_path):
    code = """
import numpy as np
y = np.arange(96) % 3
y[0] = ranks.rank
fd.NeuralNetwork([fd.Dense(4, 3)]).fit(np.eye(4)[y], y, batch_size=16, ranks=ranks)
"""
    returncode, _, err = run(2, "-c", PROGRAM.format(code=code), folder=tmp_path)
    assert returncode != 0
    assert err.count("ValueError: fit: training images must be the same on all ranks") == 1


def test_an_error_of_one_rank_ends_all(tmp_path):
    code = "assert ranks.rank == 0, 'only here'\nranks.gather(None)"
    began = time.perf_counter()
    returncode, _, err = run(2, "-c", PROGRAM.format(code=code), folder=tmp_path)
    assert time.perf_counter() - began < LONGEST
    assert returncode == 1
    assert err.count("AssertionError: only here") == 1


ALONE = """
import numpy as np
import fastdigits as fd
ranks = fd.distributed.mpi()
x, y = np.random.default_rng(0).integers(0, 256, (200, 8, 8)).astype(np.uint8), np.arange(200) % 10
def net():
    return fd.NeuralNetwork([fd.Dense(64, 8), fd.ReLU(), fd.Dense(8, 10)], seed=0)
"""


def test_an_error_of_a_training_alone_is_not_that_of_all(tmp_path):
    (tmp_path / "program.py").write_text(
        ALONE + "if ranks.rank == 0: net().fit(x, y, epochs=5, batch_size=32, optimizer=fd.SGD(1e30))\n"
        "net().fit(x, y, epochs=1, batch_size=32, ranks=ranks)\n"
    )
    begun = time.monotonic()
    code, _, err = run(2, "program.py", folder=tmp_path)
    assert code != 0
    assert "DivergedError" in err
    assert time.monotonic() - begun < LONGEST


def test_a_wrong_argument_of_one_rank_is_an_error_of_all_and_training_goes_on(tmp_path):
    (tmp_path / "program.py").write_text(
        ALONE + "for size in (0 if ranks.rank else 32, 32):\n"
        "    try: net().fit(x, y, epochs=1, batch_size=size, ranks=ranks)\n"
        "    except ValueError as error: print(error)\n"
    )
    code, out, err = run(2, "program.py", folder=tmp_path)
    assert code == 0, err
    assert out.count("rank 1: fit: batch_size must be at least 1; got 0") == 2


@pytest.mark.parametrize("hook", ["on_progress", "on_epoch_end"])
def test_sys_exit_in_a_callback_of_one_rank_ends_all_with_its_code(tmp_path, hook):
    (tmp_path / "program.py").write_text(
        ALONE + "import sys\ncallback = fd.Callback()\n"
        f"callback.{hook} = lambda *arguments: sys.exit(3) if ranks.rank else None\n"
        "net().fit(x, y, epochs=5, batch_size=32, ranks=ranks, callbacks=[callback])\n"
    )
    begun = time.monotonic()
    code, _, err = run(2, "program.py", folder=tmp_path)
    assert code == 3, err
    assert time.monotonic() - begun < LONGEST


def test_processors_are_shared_between_the_ranks_of_a_machine(tmp_path):
    code = "sys.stdout.write(f'{fd.get_num_threads()} {len(ranks.gather(0))};')"  # at once: the ranks share a pipe
    returncode, out, err = run(2, "-c", PROGRAM.format(code=code), folder=tmp_path)
    assert returncode == 0, err
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert out == 2 * f"{max(1, processors // 2)} 2;"


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    until = time.perf_counter() + 30
    while not any(run.glob("checkpoint-*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.perf_counter() < until
        time.sleep(0.01)


def test_ctrl_c_ends_all_ranks_with_130_and_the_run_resumes_alone(data, whole, tmp_path):
    words = ("--data", data, "--epochs", 12, *WORDS, "--output", "run", "--checkpoint-every", 10, "--quiet")
    process = started(2, "-m", "fastdigits.train", *words, folder=tmp_path)
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 130
    assert err.count("interrupted after") == 1
    code, _, err = train(0, "--resume", "run", "--quiet", folder=tmp_path)
    assert code == 0, err
    assert model(tmp_path / "run") == model(whole)


def test_a_killed_rank_ends_all_and_the_run_resumes_with_another_number(data, whole, tmp_path):
    words = ("--data", data, "--epochs", 12, *WORDS, "--output", "run", "--checkpoint-every", 10, "--quiet")
    process = started(4, "-m", "fastdigits.train", *words, folder=tmp_path)
    wait_for_checkpoint(process, tmp_path / "run")
    os.kill(script("robustness/rank_kills").ranks_of(Path("run"))[-1], signal.SIGKILL)
    process.communicate(timeout=LONGEST)
    assert process.returncode != 0
    code, _, err = train(2, "--resume", "run", "--quiet", folder=tmp_path)
    assert code == 0, err
    assert model(tmp_path / "run") == model(whole)
