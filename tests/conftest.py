"""Fixtures that several test files share."""

from collections.abc import Iterator

import pytest

from fastdigits import backend as backends


@pytest.fixture(params=list(backends.MODULES))
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each backend that this machine can run; give back the one that served before."""
    if request.param not in backends.available_backends():
        pytest.skip(f"this processor has no {request.param}")
    before = backends.backend_name()
    backends.use_backend(request.param)
    yield request.param
    backends.use_backend(before)
