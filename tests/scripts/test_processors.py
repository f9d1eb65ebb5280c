"""scripts/robustness/processors.py reports right and wrong kernels, run on this processor without an emulator."""

import os
import subprocess
import sys
import types

import pytest
from documents import ROOT, script

from fastdigits import backend

PROCESSORS = script("robustness/processors")
NATIVE = PROCESSORS.Machine([sys.executable], ROOT, dict(os.environ))


def call(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/robustness/processors.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)


def test_kernels_that_agree_with_their_twins_pass():
    result = PROCESSORS.run(NATIVE, "kernels", ["generic"])
    assert (result.checks, result.fault) == (121, "")


def test_a_wrong_kernel_is_named():
    generic = backend.load("generic")
    wrong = types.SimpleNamespace(**{name: getattr(generic, name) for name in dir(generic)})
    wrong.relu_forward = generic.softmax_forward
    last = ""
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        for last in PROCESSORS.doors("generic", wrong):  # noqa: B007
            pass
    assert last.startswith("generic: relu_forward")


def test_doors_run_without_numpy(tmp_path):
    file = tmp_path / "arguments"
    PROCESSORS.bare_arguments(file)
    result = PROCESSORS.run(NATIVE, "bare", [str(PROCESSORS.package_folder()), str(file)])
    assert (result.checks, result.fault) == (41, "")


@pytest.mark.parametrize(
    ("commands", "fault"),
    [
        ("echo check import a; echo check import b; kill -ILL $$", "signal 4 in the check: import b"),
        ("echo check import a; exit 3", "exit code 3 in the check: import a"),
        ("echo check import a", "exit code 0 in the check: import a"),
        ("echo 'no such CPU' >&2; exit 1", "exit code 1\nno such CPU"),
    ],
)
def test_an_emulated_process_that_fails_is_a_fault_that_names_its_last_check(commands, fault):
    machine = PROCESSORS.Machine(["sh", "-c", commands], ROOT, dict(os.environ))
    assert fault in PROCESSORS.run(machine, "modules", []).fault


def test_a_missing_emulator_is_one_line(tmp_path):
    done = call("nehalem", "--quick", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "processors: qemu-x86_64 is not installed: apt-get install qemu-user\n"


def test_an_unknown_processor_is_refused():
    done = call("z80")
    assert done.returncode == 2
    assert "unknown processor 'z80': choose from nehalem, haswell" in done.stderr
