"""Fixtures that several test files share."""

from collections.abc import Iterator

import pytest

from fastdigits import backend as backends


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache folder out of the tests; a data set is decompressed once a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDIGITS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=list(backends.MODULES))
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each backend that this machine can run; give back the one that served before."""
    if request.param not in backends.available_backends():
        pytest.skip(f"this processor has no {request.param}")
    before = backends.backend_name()
    backends.use_backend(request.param)
    yield request.param
    backends.use_backend(before)
