"""Choose, once and loudly, which kernels serve: compiled ones or their NumPy twins."""

from __future__ import annotations

import os
from types import ModuleType

BACKENDS = ("generic", "numpy")


def _load(name: str) -> ModuleType:
    if name == "numpy":
        from . import _reference

        return _reference
    if name == "generic":
        try:
            from . import _kernels
        except ImportError as error:
            raise ImportError(
                f"backend generic: the compiled kernels must be importable; got {error}: build them with "
                "`pip install .`, or set FASTDIGITS_BACKEND=numpy to run on NumPy alone"
            ) from error
        return _kernels
    raise ValueError(f"FASTDIGITS_BACKEND: must be one of {', '.join(BACKENDS)}; got {name!r}")


def use_backend(name: str) -> None:
    """Let the kernels called ``name`` serve from now on.

    Parameters
    ----------
    name : {"generic", "numpy"}
        ``generic``: compiled for every processor of this kind. ``numpy``: the plain twins, to compare and to learn.

    Raises
    ------
    ValueError
        If no backend has this name.
    ImportError
        If it is not available on this machine.
    """
    global kernels, _name
    kernels = _load(name)
    _name = name


def backend_name() -> str:
    """Return the name of the backend that serves."""
    return _name


use_backend(os.environ.get("FASTDIGITS_BACKEND", "generic"))
