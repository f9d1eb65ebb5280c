"""Hyperparameters of layers, losses, optimizers and schedules: check them, keep them, show them."""

from __future__ import annotations

import inspect
from typing import Any

from .changes import Watched


class Configured(Watched):
    """Something that keeps each argument of its constructor in an attribute of the same name."""

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments: ``type(thing)(**thing.config())`` makes another like it."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def __repr__(self) -> str:
        """Return the call that makes another like it; options that have their default are left out."""
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        shown = []
        for name, value in self.config().items():
            default = defaults.get(name)
            if default is inspect.Parameter.empty:
                shown.append(repr(value))
            elif value != default:
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"
