"""Test parameters of which a plain run uses a sample; the others have the marker ``exhaustive``."""

from collections.abc import Callable, Iterable

import pytest

import fastdigits as fd

BACKENDS = fd.available_backends()  # fastest first


def sampled(cases: Iterable[object], plain: Callable[..., bool]) -> list[object]:
    """Return all cases, a tuple for more than one argument; mark those for which ``plain`` returns False."""

    def marked(case: object) -> object:
        values = case if isinstance(case, tuple) else (case,)
        return case if plain(*values) else pytest.param(*values, marks=pytest.mark.exhaustive)

    return [marked(case) for case in cases]


def _fastest(name: str) -> bool:
    return name == BACKENDS[0]


# For tests of code that all backends share: a plain run uses the fastest one.
fastest_backend = pytest.mark.parametrize("backend", sampled(BACKENDS, _fastest), indirect=True)
fastest_kernels = pytest.mark.parametrize(
    "kernels", sampled([name for name in BACKENDS if name != "numpy"], _fastest), indirect=True
)
