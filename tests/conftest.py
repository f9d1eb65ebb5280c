"""Fixtures that several test files share."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from types import ModuleType

# NumPy reads this variable at import. One test process runs on each core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import fastdigits as fd
from fastdigits import backend as backends

# Every run has the same examples, without a time limit; --hypothesis-profile=long draws more, and new ones in each run.
# Examples may share a fixture, as each has its own arrays.
_COMMON = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("fixed", _COMMON, derandomize=True, max_examples=25)
settings.register_profile("long", _COMMON, derandomize=False, max_examples=200)
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a temporary cache folder, in which each data set is decompressed once per session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDIGITS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose packages or programs are not installed."""
    mark = item.get_closest_marker("needs")
    names = mark.args if mark else ()
    missing = [name for name in names if not (importlib.util.find_spec(name) or shutil.which(name))]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


# The backends of this processor; tests/backend/test_backend.py reports the missing ones.
@pytest.fixture(params=fd.available_backends())
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test on each available backend; restore the previous one afterwards."""
    before = backends.backend_name()
    backends.use_backend(request.param)
    yield request.param
    backends.use_backend(before)


@pytest.fixture(params=[name for name in fd.available_backends() if name != "numpy"])
def kernels(request: pytest.FixtureRequest) -> ModuleType:
    """Run the test with each available module of compiled kernels."""
    return backends.load(request.param)


@pytest.fixture
def logit_tolerance() -> Callable[[fd.NeuralNetwork, np.ndarray], np.ndarray]:
    """Return a function that bounds the difference of two float32 evaluations of the logits, (n, classes)."""
    return _logit_tolerance


def _logit_tolerance(network: fd.NeuralNetwork, x: np.ndarray) -> np.ndarray:
    """Propagate the variance of rounding errors through a network in float64; return six standard deviations.

    The relative error of a rounding is uniform in ±u, u = 2⁻²⁴: its variance is u² / 3. The errors of a sum are
    independent (Higham, Mary 2019, A New Approach to Probabilistic Rounding Error Analysis), and each partial sum is
    at most Σ |terms|; adding zero is exact. A dense layer has four more roundings, for the division by 255, the bias
    and folded weights; a normalisation has eight. Both evaluations have these errors.
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
        elif isinstance(layer, fd.Standardize):
            scale = 1 / np.sqrt(layer.var.astype(np.float64))
            variance = variance * scale**2 + 8 * one * (scale * (abs(y) + abs(layer.mean))) ** 2
            y = (y - layer.mean) * scale
        elif isinstance(layer, fd.ReLU | fd.LeakyReLU):
            y = np.where(y > 0, y, getattr(layer, "slope", 0.0) * y)
            variance = variance + one * y**2
        else:
            assert isinstance(layer, fd.Dropout | fd.Softmax)
    return 6 * np.sqrt(2 * variance)
