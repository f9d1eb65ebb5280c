"""Make each system call fail while files are written; check that each file is whole or absent.

    python scripts/robustness/write_faults.py         # 484 cases: some seconds

The script replaces a model, and the settings, result and history of a run, and lets a training write checkpoints. In
each case one call fails: open, write (before or after half of the bytes), flush, fsync, close, rename, fsync of the
folder, or unlink of an old file. It fails before or after its effect, by an input/output error, a full disk, Ctrl-C or
the death of the process. Then the file must be the old or the new one, byte for byte. From a checkpoint the training
must continue to the same weights. The next write must succeed, and no temporary file may be left.

Then the disk is really full: a file system in memory (as root) with less and less space, and a limit on the size of
files. Exit code 1 if a check fails.
"""

import argparse
import contextlib
import errno
import itertools
import os
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

import fastdigits as fd
from fastdigits.commands import run_folder
from fastdigits.core import atomic
from fastdigits.training.checkpoint import newest

ERRORS = {
    "input/output error": lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    "disk full": lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "Ctrl-C": KeyboardInterrupt,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class Calls:
    """Counts the system calls while files are written; call number ``fatal`` fails."""

    def __init__(self, fatal: int = -1, *, after: bool = False, error: Callable[[], object] | None = None):
        self.count, self.names = 0, []
        self.fatal, self.after, self.error = fatal, after, error

    def call(self, name: str, work: Callable[[], object], half: Callable[[], object] | None = None) -> object:
        self.count += 1
        self.names.append(name)
        if self.count != self.fatal:
            return work()
        if self.after:
            (half or work)()
        error = self.error()
        if error is None:
            raise AssertionError("the process was not killed")
        raise error

    def wrapped(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments, **options: self.call(name, lambda: function(*arguments, **options))

    def open(self, path: Path, mode: str, opener: Callable[[str, int], int] | None = None) -> "File":
        made = []
        try:
            return self.call(
                "open", lambda: made.append(File(open(path, mode, opener=opener), self)) or made[0]
            )
        except BaseException:
            for file in made:
                file.file.close()
            raise

    @contextlib.contextmanager
    def patched(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(atomic, "open", self.open, create=True))
            for owner, name in (
                (os, "fsync"),
                (os, "replace"),
                (os, "open"),
                (os, "close"),
                (Path, "unlink"),
            ):
                wrapped = self.wrapped(name, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, wrapped))
            yield


class File:
    """A file whose calls are counted."""

    def __init__(self, file: object, calls: Calls):
        self.file, self.calls = file, calls
        self.fileno = file.fileno

    def write(self, content: bytes) -> None:
        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        self.calls.call("write", lambda: self.file.write(content), half)

    def flush(self) -> None:
        self.calls.call("flush", self.file.flush)

    def __enter__(self) -> "File":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.calls.call("close", self.file.close)
        finally:
            self.file.close()


@dataclass(frozen=True)
class Subject:
    """Functions that write the old and the new files into a folder, and a check of them."""

    name: str
    old: Callable[[Path], object]
    new: Callable[[Path], object]
    check: Callable[[Path], None]


def replaced(name: str, old: Callable[[Path], object], new: Callable[[Path], object]) -> Subject:
    """Return the subject that replaces one file."""
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        for write in (old, new):
            write(Path(folder))
            contents.append(Path(folder, name).read_bytes())
    assert contents[0] != contents[1]

    def check(folder: Path) -> None:
        assert (folder / name).read_bytes() in contents, f"{name} is neither the old nor the new one"
        if name == run_folder.MODEL:
            fd.load(folder / name)

    return Subject(name, old, new, check)


def model(seed: int) -> Callable[[Path], object]:
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=seed)
    return lambda folder: net.save(folder / run_folder.MODEL)


def history(epochs: int) -> fd.History:
    numbers = list(map(float, range(epochs)))
    return fd.History(list(range(epochs)), *([numbers] * 7))


def training(folder: Path | None, *, resume: bool = False) -> bytes:
    """Train with checkpoints; return the weights."""
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 256, (160, 10, 10), dtype=np.uint8), rng.integers(0, 3, 160)
    layers = [fd.Dense(100, 16), fd.BatchNorm(16), fd.ReLU(), fd.Dropout(0.2), fd.Dense(16, 3)]
    net = fd.NeuralNetwork(layers, seed=7)
    save = [] if folder is None else [fd.Checkpoint(folder, every=8)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Checkpoint: .* must take a checkpoint")
        net.fit(
            x,
            y,
            epochs=4,
            batch_size=16,
            augment=fd.Augmentation(rotation=9),
            average=fd.EMA(0.9),
            callbacks=save,
            resume=folder if resume else None,
        )
    return net.values.tobytes()


WEIGHTS = training(None)


def check_checkpoints(folder: Path) -> None:
    """Check that a training continues from the checkpoints to the same weights."""
    found = newest(folder)
    assert found is not None, "no checkpoint is left"
    assert len(list(folder.glob("checkpoint-*"))) <= 4
    assert training(folder, resume=True) == WEIGHTS


def half_a_training(folder: Path) -> None:
    class Stop(fd.Callback):
        def on_epoch_end(self, epoch: int, network: fd.NeuralNetwork, history: fd.History) -> None:
            if epoch == 2:
                raise InterruptedError

    with (
        contextlib.suppress(InterruptedError),
        mock.patch.object(fd.Checkpoint, "on_epoch_end", Stop.on_epoch_end),
    ):
        training(folder)


SUBJECTS = [
    replaced(run_folder.MODEL, model(1), model(2)),
    replaced(
        run_folder.SETTINGS,
        lambda folder: run_folder.write_settings(folder, {"epochs": 1}),
        lambda folder: run_folder.write_settings(folder, {"epochs": 2}),
    ),
    replaced(
        run_folder.RESULT,
        lambda folder: run_folder.write_result(folder, {"epochs": 1}),
        lambda folder: run_folder.write_result(folder, {"epochs": 2}),
    ),
    replaced(
        run_folder.HISTORY,
        lambda folder: history(3).write_csv(folder / run_folder.HISTORY),
        lambda folder: history(4).write_csv(folder / run_folder.HISTORY),
    ),
    Subject("checkpoints", half_a_training, lambda folder: training(folder, resume=True), check_checkpoints),
]


def attempt(subject: Subject, folder: Path, calls: Calls, *, dies: bool) -> None:
    """Write while one call fails; in a child process if that call kills the process."""
    if dies:
        child = os.fork()
        if child == 0:
            with calls.patched():
                subject.new(folder)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status), "the child was not killed"
        return
    with contextlib.suppress(OSError, KeyboardInterrupt), calls.patched():
        subject.new(folder)
    assert calls.count >= calls.fatal


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def one_case(subject: Subject, fatal: int, error: str, *, after: bool) -> None:
    """Make one call fail; raise AssertionError if a file is not whole, or if a temporary file is left."""
    calls = Calls(fatal, after=after, error=ERRORS[error])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject.old(folder)
        attempt(subject, folder, calls, dies=error == "killed")
        if error != "killed":
            assert leftovers(folder) == [], leftovers(folder)
        subject.check(folder)
        subject.new(folder)  # the next write succeeds
        subject.check(folder)
        assert leftovers(folder) == [], leftovers(folder)


def faults(subject: Subject, every: int) -> tuple[int, list[str], Counter[str]]:
    """Make the calls of a subject fail in every way; return the number of cases, the problems and the calls."""
    calls = Calls()
    with tempfile.TemporaryDirectory() as folder:
        subject.old(Path(folder))
        with calls.patched():
            subject.new(Path(folder))
    cases = list(itertools.product(range(1, calls.count + 1), ERRORS, (False, True)))[::every]
    wrong = []
    for fatal, error, after in cases:
        try:
            one_case(subject, fatal, error, after=after)
        except Exception as problem:
            place = f"{calls.names[fatal - 1]} ({fatal} of {calls.count})"
            wrong.append(f"{error} {'after' if after else 'before'} {place}: {problem!r}")
    return len(cases), wrong, Counter(calls.names)


@contextlib.contextmanager
def small_disk(kilobytes: int) -> Iterator[Path]:
    """Yield a folder on its own file system of this size; raise OSError where this process may not mount one."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "fastdigits", folder]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            raise PermissionError(error.stderr.decode().strip()) from error
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def file_limit(most: int) -> Iterator[None]:
    """Limit the size of each file that this process writes, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def full(subject: Subject, folder: Path, room: contextlib.AbstractContextManager[object]) -> None:
    """Write with too little space; check that every file is whole."""
    with room, contextlib.suppress(OSError):
        subject.new(folder)
    assert leftovers(folder) == [], leftovers(folder)
    subject.check(folder)


@contextlib.contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """Fill a file system up to ``left`` bytes."""
    with open(folder / "filler", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(4096)) == 4096:
                pass
        file.truncate(max(0, file.tell() - left))
    try:
        yield
    finally:
        (folder / "filler").unlink()


def full_disks(subject: Subject, every: int) -> tuple[int, list[str]]:
    """Write with less and less space; return the number of cases and the problems."""
    cases, wrong = 0, []
    rooms = (0, 4, 8, 12, 20, 40, 80, 120, 160, 200)  # kilobytes; the model needs 208, a checkpoint 35
    for room in rooms[::every]:
        for kind in ("tmpfs", "limit"):
            try:
                with contextlib.ExitStack() as stack:
                    if kind == "tmpfs":
                        folder = stack.enter_context(small_disk(1024))
                        subject.old(folder)
                        narrow = filled(folder, room * 1024)
                    else:
                        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                        subject.old(folder)
                        narrow = file_limit(room * 1024)
                    cases += 1
                    full(subject, folder, narrow)
            except PermissionError:
                cases -= kind == "limit"
            except Exception as problem:
                wrong.append(f"{kind} with {room} kB: {problem!r}")
    return cases, wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="run one case in N (default: 1)")
    every = parser.parse_args().every
    failed = []
    for subject in SUBJECTS:
        cases, wrong, calls = faults(subject, every)
        named = ", ".join(f"{count} {name}" for name, count in calls.items())
        print(f"{subject.name}: {cases - len(wrong)} of {cases} whole ({named})", flush=True)
        disks, wrong_disks = full_disks(subject, every)
        print(
            f"{subject.name}: {disks - len(wrong_disks)} of {disks} whole where the disk is full", flush=True
        )
        failed += wrong + wrong_disks
    for problem in failed:
        print(problem, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
