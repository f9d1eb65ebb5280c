"""Who takes part, and how to speak with one: a process a contender and number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE = 900.0  # seconds to wait for an answer; the slowest, an epoch of the wide network, takes about ten


@dataclass(frozen=True)
class Contender:
    """One line of the tables.

    Attributes
    ----------
    name : str
        As in ``--python NAME=PATH`` and in the JSON.
    script : str
        Its file in this folder.
    module : str
        What its users import.
    label : str
        As it stands in tables and in the chart.
    """

    name: str
    script: str
    module: str
    label: str


CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("fastdigits", "fastdigits_fit.py", "fastdigits", "fastdigits"),
        Contender("fastdigits-float32", "fastdigits_float32.py", "fastdigits", "fastdigits, float32 images"),
        Contender("onnxruntime", "onnxruntime_predict.py", "onnxruntime", "onnxruntime"),
        Contender("jax", "jax_scan.py", "jax", "JAX, jit + scan"),
        Contender("torch", "torch_eager.py", "torch", "PyTorch, eager"),
        Contender("sklearn", "sklearn_mlp.py", "sklearn.neural_network", "scikit-learn"),
        Contender("numpy-backend", "numpy_backend.py", "numpy", "fastdigits on NumPy"),
        Contender("original", "original_numpy.py", "numpy", "NumPy original"),
    )
}
OURS = ("fastdigits", "fastdigits-float32", "numpy-backend")


class AbsentError(Exception):
    """A contender cannot take part; the message is the reason."""


def environment(threads: int) -> dict[str, str]:
    """Return the environment that keeps every library to ``threads`` threads."""
    names = ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "FASTDIGITS")
    return os.environ | {f"{name}_NUM_THREADS": str(threads) for name in names}


class Player:
    """A contender's process with a number of threads.

    Parameters
    ----------
    contender : Contender
    threads : int
    python : str
        The interpreter that runs its script.

    Raises
    ------
    AbsentError
        If it does not start, most often because a package is missing.
    """

    def __init__(self, contender: Contender, threads: int, python: str) -> None:
        self.contender, self.threads = contender, threads
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        command = [python, str(HERE / contender.script), "--threads", str(threads)]
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
        try:
            self.facts = self._answer()
        except AbsentError:
            self.close()
            raise

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        """Return the answer to one request; AbsentError if it cannot do that, or is no longer there."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended; reading its answer says why
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        watch = threading.Timer(PATIENCE, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if not line:
            raise AbsentError(f"ended: {self._last_words()}")
        answer = json.loads(line)
        for complaint in ("unable", "error"):
            if complaint in answer:
                raise AbsentError(answer[complaint])
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        return lines[-1] if lines else f"exit code {self._process.returncode}"

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def interpreters(choices: list[str]) -> dict[str, str]:
    """Return the interpreter of every contender, from choices such as ``torch=/opt/torch/bin/python``.

    ``peers`` stands for all but fastdigits, ``fastdigits`` for all its variants.

    Raises
    ------
    ValueError
        If a choice is not of that form or names nobody.
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
