"""Ctrl-C: the first is answered, further ones change nothing, and what must not be torn is not."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from documents import ROOT
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits import visualize
from fastdigits.commands import run_folder, train
from fastdigits.core import interrupts
from fastdigits.core.interrupts import DeferInterrupts


def ctrl_c():
    """Interrupt this process, as a terminal does."""
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def digits(tmp_path):
    write_dataset(tmp_path / "digits")
    return tmp_path / "digits"


# -- once --------------------------------------------------------------------------------------------------------


def test_the_first_raises_and_those_behind_it_do_nothing():
    with interrupts.raise_once():
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
        for _ in range(20):
            ctrl_c()
    ctrl_c()  # still: the interpreter may be at its end


def test_one_that_was_lost_is_made_good_by_a_later_one(monkeypatch):
    with interrupts.raise_once():
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
        monkeypatch.setattr(interrupts, "PATIENCE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()


def test_without_one_the_handler_is_what_it_was():
    with interrupts.raise_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_the_handler_of_somebody_else_stays(handler):
    signal.signal(signal.SIGINT, handler)
    with interrupts.raise_once():
        assert signal.getsignal(signal.SIGINT) is handler


def test_another_thread_is_let_alone():
    def work():
        with interrupts.raise_once(), DeferInterrupts() as hold:
            hold.begin()
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


# -- hold --------------------------------------------------------------------------------------------------------


def test_what_is_held_back_is_answered_at_the_end():
    def work():
        with DeferInterrupts() as hold:
            hold.begin()
            ctrl_c()
            ctrl_c()
            done.append("work")

    done = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["work"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_is_held_back_before_the_beginning():
    with pytest.raises(KeyboardInterrupt), DeferInterrupts():
        ctrl_c()


def test_where_it_is_lifted_one_that_came_before_is_answered():
    with DeferInterrupts() as hold:
        hold.begin()
        ctrl_c()
        with pytest.raises(KeyboardInterrupt), hold.paused():
            raise AssertionError("must not be reached")
        ctrl_c()  # held back again
        with pytest.raises(KeyboardInterrupt):
            hold.end()


def test_an_error_is_not_hidden_by_an_interrupt_that_was_held_back():
    def fail():
        with DeferInterrupts() as hold:
            hold.begin()
            ctrl_c()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# -- the training command ------------------------------------------------------------------------------------------


def interrupting(function, times=3):
    """Return the function with interrupts before and after its work."""

    def wrapped(*arguments, **options):
        for _ in range(times):
            ctrl_c()
        result = function(*arguments, **options)
        for _ in range(times):
            ctrl_c()
        return result

    return wrapped


@pytest.mark.parametrize(
    "owner", [(fd.NeuralNetwork, "save"), (fd.History, "write_csv"), (run_folder, "write_result")]
)
def test_an_interrupt_while_the_work_is_saved_costs_nothing(digits, tmp_path, monkeypatch, owner):
    monkeypatch.setattr(*owner, interrupting(getattr(*owner)))
    words = ["--data", str(digits), "--epochs", "2", "--no-plots", "-o", str(tmp_path / "run")]
    assert train.main(words) == 130
    assert fd.load(tmp_path / "run" / run_folder.MODEL).epochs_trained == 2
    assert json.loads((tmp_path / "run" / run_folder.RESULT).read_text())["epochs"] == 2
    assert len((tmp_path / "run" / run_folder.HISTORY).read_text().splitlines()) == 3


def test_an_interrupt_at_the_figures_keeps_model_history_and_result(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fd.NeuralNetwork, "evaluate", interrupting(fd.NeuralNetwork.evaluate))
    words = ["--data", str(digits), "--epochs", "2", "--json", "-o", str(tmp_path / "run")]
    assert train.main(words) == 130
    captured = capsys.readouterr()
    assert "fastdigits train: interrupted at the figures; model and history are in" in captured.err
    result = json.loads(captured.out)
    assert (result["epochs"], result["interrupted"], result["train_accuracy"]) == (2, True, None)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        run_folder.SETTINGS, run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT
    }  # fmt: skip


def test_interrupts_within_a_training_and_while_it_ends_keep_the_last_whole_epoch(
    digits, tmp_path, monkeypatch
):
    class Twice(fd.Callback):
        def on_epoch_end(self, epoch, network, history):
            if epoch == 3:
                ctrl_c()

        def on_train_end(self, network, history):
            ctrl_c()
            network.values += 1  # what is saved is what was kept

    fit = fd.NeuralNetwork.fit
    monkeypatch.setattr(
        fd.NeuralNetwork,
        "fit",
        lambda *arguments, callbacks, **options: fit(*arguments, callbacks=[*callbacks, Twice()], **options),
    )
    monkeypatch.setattr(fd.NeuralNetwork, "save", interrupting(fd.NeuralNetwork.save))
    words = ["--data", str(digits), "--epochs", "9", "-o", str(tmp_path / "run"), "--quiet"]
    assert train.main(words) == 130
    assert fd.load(tmp_path / "run" / run_folder.MODEL).epochs_trained == 3


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_reader_of_the_answer_that_ctrl_c_ended_too_does_not_change_the_code(
    digits, tmp_path, monkeypatch, interrupted
):
    def refuse(result):
        raise OSError("standard output: must be read to its end; got a reader that left before")

    monkeypatch.setattr(train.console, "print_json", refuse)
    if interrupted:
        monkeypatch.setattr(fd.NeuralNetwork, "evaluate", interrupting(fd.NeuralNetwork.evaluate))
    words = ["--data", str(digits), "--epochs", "1", "--no-plots", "--json", "-o", str(tmp_path / "run")]
    assert train.main(words) == (130 if interrupted else 2)


@pytest.mark.skipif(sys.platform != "linux", reason="there one process draws all")
def test_an_interrupt_while_the_second_process_starts_leaves_none_behind(tmp_path, monkeypatch):
    import multiprocessing

    start = multiprocessing.context.ForkProcess.start
    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", interrupting(start))
    monkeypatch.setattr(visualize.writing, "_may_fork", lambda: True)
    monkeypatch.setattr(visualize.writing, "get_num_threads", lambda: 2)
    x, y = fd.load_mnist()[1]
    with pytest.raises(KeyboardInterrupt):
        visualize.write_pictures(
            tmp_path,
            images=x[:200],
            labels=y[:200],
            probabilities=fd.load_pretrained().predict_proba(x[:200]),
        )
    assert multiprocessing.active_children() == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("mode", [(), ("--anywhere",)], ids=["training", "anywhere"])
@pytest.mark.parametrize("runs", ["1", pytest.param("3", marks=pytest.mark.exhaustive)])
def test_several_interrupts_at_random_moments_leave_everything_whole(mode, runs):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/robustness/interrupts.py", "--runs", runs, "--signals", "3", *mode],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(fd.__file__).parents[1])},
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{runs} interrupts of 3 signals")


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_twenty_interrupts_in_a_row_are_one(digits, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "fastdigits.train", "--data", digits, "--epochs", "1000000", "-o", "run"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(fd.__file__).parents[1])},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            time.sleep(0.0005)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        run_folder.SETTINGS, run_folder.MODEL, run_folder.HISTORY, run_folder.RESULT
    }  # fmt: skip
