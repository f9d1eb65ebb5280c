"""The base class of layers, losses, optimizers and schedules: it keeps and shows their hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .changes import Count, Tracked

_known: dict[type, Mapping[str, inspect.Parameter]] = {}  # a signature takes 0.2 ms; each `fit` needs six


class Configured(Tracked):
    """Base class of objects that keep each constructor argument in an attribute of the same name."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments: ``type(thing)(**thing.config())`` makes an equal object."""
        return {name: getattr(self, name) for name in _arguments(type(self)) if hasattr(self, name)}

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes; the counters are copied, so that a copy counts by itself."""
        kinds = [vars(kind) for kind in type(self).__mro__]
        counters = {f"_{name}" for kind in kinds for name, value in kind.items() if isinstance(value, Count)}
        return {name: value.copy() if name in counters else value for name, value in vars(self).items()}

    def __repr__(self) -> str:
        """Return the call that makes an equal object, without options that have their default."""
        defaults = {name: argument.default for name, argument in _arguments(type(self)).items()}
        shown = []
        for name, value in self.config().items():
            default = defaults.get(name)
            if default is inspect.Parameter.empty:
                shown.append(repr(value))
            elif value != default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


def _arguments(kind: type) -> Mapping[str, inspect.Parameter]:
    """Return the constructor's arguments."""
    if kind not in _known:
        _known[kind] = inspect.signature(kind).parameters
    return _known[kind]
