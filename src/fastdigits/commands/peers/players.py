"""The contenders, and the process of one: a player per contender and number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

PROGRAMS = Path(__file__).resolve().parent / "programs"
TIMEOUT = 900.0  # seconds to wait for an answer; an epoch of the wide network takes about ten


@dataclass(frozen=True)
class Contender:
    """One program that takes part.

    Attributes
    ----------
    name : str
        Its name in ``--python NAME=PATH`` and in the JSON.
    script : str
        Its file in programs/.
    module : str
        The module that its users import.
    label : str
        Its name in tables and in the chart.
    packages : str
        What ``pip install`` needs for it.
    request : dict
        What its jobs have in place of the request of the measure.
    """

    name: str
    script: str
    module: str
    label: str
    packages: str
    request: dict[str, Any] = field(default_factory=dict)


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("fastdigits", "fastdigits_fit.py", "fastdigits", "fastdigits", "fastdigits"),
        Contender(
            "fastdigits-float32",
            "fastdigits_fit.py",
            "fastdigits",
            "fastdigits, float32 images",
            "fastdigits",
            {"data": "unit"},
        ),
        Contender("onnxruntime", "onnxruntime_predict.py", "onnxruntime", "onnxruntime", "onnx onnxruntime"),
        Contender("jax", "jax_scan.py", "jax", "JAX, jit + scan", "jax"),
        Contender("torch", "torch_eager.py", "torch", "PyTorch, eager", "torch"),
        Contender("torch-compile", "torch_compiled.py", "torch", "PyTorch, torch.compile", "torch"),
        Contender("keras", "keras_fit.py", "keras", "Keras 3", "keras jax"),
        Contender("numba", "numba_skip.py", "numba", "numba, skips zeros", "numba scipy"),
        Contender("sklearn", "sklearn_mlp.py", "sklearn.neural_network", "scikit-learn", "scikit-learn"),
        Contender(
            "sklearn-partial",
            "sklearn_partial.py",
            "sklearn.neural_network",
            "scikit-learn, partial_fit",
            "scikit-learn",
        ),
        Contender("numpy-backend", "numpy_backend.py", "numpy", "fastdigits on NumPy", "fastdigits"),
        Contender("original", "original_numpy.py", "numpy", "NumPy original", "numpy"),
    )
}
OURS = ("fastdigits", "fastdigits-float32", "numpy-backend")


class AbsentError(Exception):
    """A contender cannot take part; the message gives the reason."""


def environment(threads: int) -> dict[str, str]:
    """Return an environment that limits every library to ``threads`` threads."""
    names = ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "FASTDIGITS")
    return os.environ | {f"{name}_NUM_THREADS": str(threads) for name in names}


def last_line(errors: str, exit_code: int) -> str:
    """Return the last line of what a process wrote to standard error, or its exit code."""
    lines = [line.strip() for line in errors.split("\n") if line.strip()]
    return lines[-1] if lines else f"exit code {exit_code}"


class Player:
    """The process of a contender with a number of threads.

    Parameters
    ----------
    contender : Contender
    threads : int
    python : str
        The interpreter that runs its script.

    Raises
    ------
    AbsentError
        If it does not start, for example because a package is missing.
    """

    def __init__(self, contender: Contender, threads: int, python: str) -> None:
        self.contender, self.threads = contender, threads
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        command = [python, str(PROGRAMS / contender.script), "--threads", str(threads)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="utf-8",
                env=environment(threads),
            )
        except OSError as error:
            self._errors.close()
            raise AbsentError(f"{python} does not start: {error}") from error
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        try:
            self.facts = self._answer()
        except AbsentError:
            self.close()
            raise

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Return the answer to a request; raise AbsentError if it cannot do the job, or has ended."""
        try:
            self._requests.write(json.dumps({"do": do, **what}) + "\n")
            self._requests.flush()
        except OSError:
            pass  # the process has ended; `_answer` raises with the reason
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        timer = threading.Timer(TIMEOUT, self._process.kill)
        timer.start()
        line = self._answers.readline()
        timer.cancel()
        if not line:
            raise AbsentError(self._last_error())
        answer: dict[str, Any] = json.loads(line)
        for problem in ("unable", "error"):
            if problem in answer:
                raise AbsentError(answer[problem])
        return answer

    def _last_error(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return with_advice(last_line(self._errors.read(), self._process.returncode), self.contender)

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        self._errors.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def with_advice(reason: str, contender: Contender) -> str:
    """Return why a process ended, and what to install if a module is missing."""
    missing = reason.startswith(("ModuleNotFoundError", "ImportError"))
    return f"{reason}: pip install {contender.packages}" if missing else reason


def interpreters(choices: list[str]) -> dict[str, str]:
    """Return the interpreter of every contender, from choices of the form ``torch=/opt/torch/bin/python``.

    ``peers`` means all but fastdigits, ``fastdigits`` all its variants.

    Raises
    ------
    ValueError
        If a choice has another form or an unknown name.
    """
    found = dict.fromkeys(CONTENDERS, sys.executable)
    for choice in choices:
        name, separator, path = choice.partition("=")
        if not separator or not path or (name not in CONTENDERS and name not in ("peers", "fastdigits")):
            known = ", ".join(["peers", *CONTENDERS])
            raise ValueError(f"--python: must be NAME=PATH with NAME one of {known}; got {choice!r}")
        if name == "peers":
            found |= {other: path for other in CONTENDERS if other not in OURS}
        elif name == "fastdigits":
            found |= dict.fromkeys(OURS, path)
        else:
            found[name] = path
    return found
