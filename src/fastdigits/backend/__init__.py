"""Which kernels run, compiled or NumPy; how many threads; aligned memory."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from .._version import __version__
from ..core.text import tabulate
from .threads import get_num_threads

VARIABLE = "FASTDIGITS_BACKEND"
MODULES = {
    "avx512": "_kernels_avx512",
    "avx2": "_kernels_avx2",
    "generic": "_kernels",
    "numpy": "_reference",
}

kernels: ModuleType
_name: str


class _Unavailable(ModuleType):
    """Placeholder for a backend that `VARIABLE` names but that cannot run: each use raises, until another is chosen.

    If the import raised instead, commands could neither report it in one line nor accept ``--backend``.
    """

    def __init__(self, error: ValueError | ImportError) -> None:
        super().__init__("unavailable kernels")
        self._error = error

    def fail(self) -> NoReturn:
        """Raise a new copy of the error."""
        raise type(self._error)(str(self._error))

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # Python itself looks these up
            raise AttributeError(name)
        self.fail()


def available_backends() -> list[str]:
    """Return the names of the backends that this machine can run, fastest first."""
    return [*load("generic").instruction_sets(), "numpy"]


def use_backend(name: str) -> None:
    """Use the kernels of the backend ``name`` from now on.

    Parameters
    ----------
    name : {"avx512", "avx2", "generic", "numpy"}
        ``avx512`` and ``avx2`` need a processor with these instructions; ``generic`` runs on any processor of the
        architecture; ``numpy`` is the readable reference.

    Raises
    ------
    ValueError
        If no backend has this name.
    ImportError
        If it is not available on this machine.
    """
    global kernels, _name
    if name not in MODULES:
        raise ValueError(f"backend: must be one of {', '.join(MODULES)}; got {name!r}")
    if name != "numpy" and name not in available_backends():
        raise ImportError(
            f"backend {name}: the processor and the operating system must support it; "
            f"got {_machine()} with {', '.join(available_backends())}: use one of these"
        )
    kernels = load(name)
    _name = name


def backend_name() -> str:
    """Return the name of the current backend.

    Raises
    ------
    ValueError, ImportError
        If ``FASTDIGITS_BACKEND`` names one that is unknown or not available, and no other was chosen.
    """
    if isinstance(kernels, _Unavailable):
        kernels.fail()
    return _name


def show_config(mode: str = "print") -> dict[str, object] | None:
    """Show the backend, the number of threads and how the kernels were built.

    Parameters
    ----------
    mode : {"print", "dict"}, default "print"
        Print lines to standard output, or return a dictionary.

    Raises
    ------
    ValueError
        If the mode is neither.
    """
    if mode not in ("print", "dict"):
        raise ValueError(f"show_config: mode must be 'print' or 'dict'; got {mode!r}")
    config: dict[str, object] = {
        "fastdigits": __version__,
        "backend": backend_name(),
        "available backends": available_backends(),
        "threads": get_num_threads(),
        "floats in a vector": getattr(kernels, "LANE_COUNT", None),
        "compiler": getattr(kernels, "COMPILER", None),
        "machine": _machine(),
        "python": sys.version.split()[0],
    }
    if mode == "dict":
        return config
    shown = {key: ", ".join(value) if isinstance(value, list) else value for key, value in config.items()}
    print(tabulate((key, "none" if value is None else str(value)) for key, value in shown.items()))
    return None


def _machine() -> str:
    import platform  # not at the top: it takes a tenth of the package's import time

    return platform.machine()


def load(name: str) -> ModuleType:
    """Return the module of the backend ``name``, without using it; ImportError if it cannot be loaded."""
    try:
        return import_module(f"fastdigits.{MODULES[name]}")
    except ImportError as error:
        raise ImportError(
            f"backend {name}: its module must be importable; got {error}: build the compiled kernels with "
            f"`pip install .`, or set {VARIABLE}=numpy to run on NumPy alone"
        ) from error


def _choose() -> None:
    global kernels, _name
    wanted = os.environ.get(VARIABLE, "")
    try:
        use_backend(wanted or load("generic").instruction_sets()[0])
    except (ValueError, ImportError) as error:
        if not wanted:
            raise
        kernels, _name = _Unavailable(type(error)(f"{VARIABLE}={wanted}: {error}")), wanted


_choose()
