"""Fixtures that several test files share."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from types import ModuleType

# NumPy reads it when it is imported. The tests run in a process on each processor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastdigits as fd
from fastdigits import backend as backends

# The same examples in every run, and no clock that fails one; --hypothesis-profile=long draws many, new ones each time.
# Every example has its own arrays, so a fixture of the test's may be the same for all of them.
_ALIKE = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("fixed", _ALIKE, derandomize=True, max_examples=25)
settings.register_profile("long", _ALIKE, derandomize=False, max_examples=200)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache folder out of the tests; a data set is decompressed once a session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDIGITS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose packages or programs are absent; pytest sums up what is skipped from this one line."""
    mark = item.get_closest_marker("needs")
    names = mark.args if mark else ()
    missing = [name for name in names if not (importlib.util.find_spec(name) or shutil.which(name))]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


# The backends that this processor runs. Those that it lacks are named once, in tests/backend/test_backend.py.
@pytest.fixture(params=fd.available_backends())
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test once on each backend that this machine can run; restore the previous backend afterwards."""
    before = backends.backend_name()
    backends.use_backend(request.param)
    yield request.param
    backends.use_backend(before)


@pytest.fixture(params=[name for name in fd.available_backends() if name != "numpy"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    """Run the test once with each module of compiled kernels that this machine can run."""
    return backends.load(request.param)


@pytest.fixture
def logit_tolerance() -> Callable[[fd.NeuralNetwork, np.ndarray], np.ndarray]:
    """Give a function that says how far apart the logits of two float32 evaluations may be, (n, classes)."""
    return _logit_tolerance


def _logit_tolerance(network: fd.NeuralNetwork, x: np.ndarray) -> np.ndarray:
    """Follow the variance of rounding errors through a network of float64 numbers; six deviations are allowed.

    A rounding errs by up to u = 2⁻²⁴ of its result, evenly in both directions: variance u² / 3 of it, squared. The
    errors of a sum are taken as independent (Higham, Mary 2019, A New Approach to Probabilistic Rounding Error
    Analysis), each of its partial sums as large as Σ |terms|; zeros are added exactly. Four roundings more are
    allowed for a division by 255, the bias, and weights that were folded; eight for a normalisation. Both evaluations
    err so.
    """
    y = x.reshape(len(x), -1) / (255 if x.dtype == np.uint8 else 1)
    variance, one = np.zeros_like(y), 2.0**-48 / 3
    for layer in network.layers:
        if isinstance(layer, fd.Dense):
            weight, bias = (each.value.astype(np.float64) for each in layer.parameters())
            roundings = (y != 0).sum(axis=1, keepdims=True) + 4
            variance = variance @ weight**2 + roundings * one * (abs(y) @ abs(weight) + abs(bias)) ** 2
            y = y @ weight + bias
        elif isinstance(layer, fd.BatchNorm):
            scale = layer.gamma.value / np.sqrt(layer.running_var.astype(np.float64) + layer.eps)
            terms = abs(scale) * (abs(y) + abs(layer.running_mean)) + abs(layer.beta.value)
            variance = variance * scale**2 + 8 * one * terms**2
            y = (y - layer.running_mean) * scale + layer.beta.value
        elif isinstance(layer, fd.ReLU | fd.LeakyReLU):
            y = np.where(y > 0, y, getattr(layer, "slope", 0.0) * y)
            variance = variance + one * y**2
        else:
            assert isinstance(layer, fd.Dropout | fd.Softmax)
    return 6 * np.sqrt(2 * variance)
