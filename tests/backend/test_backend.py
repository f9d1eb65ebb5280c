"""Processor, environment or caller choose the backend; an unknown or unavailable one raises."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import backend as backends


def run_with(variable: str | None, program: str = "import fastdigits as fd; print(fd.backend_name())"):
    environment = {name: value for name, value in os.environ.items() if name != "FASTDIGITS_BACKEND"}
    if variable is not None:
        environment["FASTDIGITS_BACKEND"] = variable
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)


def test_the_fastest_backend_is_the_default():
    assert run_with(None).stdout.strip() == fd.available_backends()[0]
    assert run_with("").stdout.strip() == fd.available_backends()[0]


@pytest.mark.parametrize("name", list(backends.MODULES))
def test_the_environment_chooses_the_backend(name):
    run = run_with(name)
    if name in fd.available_backends():
        assert run.stdout.strip() == name
    else:
        assert f"ImportError: FASTDIGITS_BACKEND={name}: backend {name}: the processor" in run.stderr


@pytest.mark.parametrize("name", list(backends.MODULES))
def test_every_backend_is_tested_on_this_machine(name):
    if name not in fd.available_backends():  # the fixtures of conftest.py omit it silently
        pytest.skip(f"this processor has no {name}: its kernels are not tested here")
    assert backends.load(name).__name__ == f"fastdigits.{backends.MODULES[name]}"


def test_an_unknown_name_raises():
    wanted = "backend: must be one of avx512, avx2, generic, numpy; got 'fast'"
    assert f"ValueError: FASTDIGITS_BACKEND=fast: {wanted}" in run_with("fast").stderr
    with pytest.raises(ValueError, match=wanted):
        fd.use_backend("fast")


def test_a_backend_that_the_processor_lacks_raises_and_changes_nothing(monkeypatch):
    before = fd.backend_name()
    monkeypatch.setattr(backends, "available_backends", lambda: ["generic", "numpy"])
    with pytest.raises(
        ImportError, match=r"backend avx512: the processor and .* must support it; got .* generic"
    ):
        fd.use_backend("avx512")
    assert fd.backend_name() == before


def test_without_compiled_kernels_the_error_says_what_to_do():
    program = "import sys; sys.modules['fastdigits._kernels'] = None; import fastdigits"
    run = run_with(None, program)
    assert "backend generic: its module must be importable" in run.stderr
    assert "set FASTDIGITS_BACKEND=numpy to run on NumPy alone" in run.stderr
    assert run_with("numpy", program).returncode == 0


def test_all_backends_agree_on_a_prediction(backend):
    net = fd.NeuralNetwork([fd.Dense(50, 20), fd.BatchNorm(20), fd.ReLU(), fd.Dense(20, 5)], seed=1)
    x = np.random.default_rng(0).integers(0, 256, (7, 50)).astype(np.uint8)
    found = net.predict_proba(x)
    fd.use_backend("numpy")
    np.testing.assert_allclose(found, net.predict_proba(x), rtol=1e-5, atol=1e-6)  # 50 sums of numbers near 1


def test_the_configuration_is_printed_and_returned(backend, capsys):
    assert fd.show_config() is None
    printed = capsys.readouterr().out
    config = fd.show_config("dict")
    assert config["backend"] == backend
    assert config["threads"] == fd.get_num_threads()
    assert config["floats in a vector"] == {"avx512": 16, "avx2": 8, "generic": 4, "numpy": None}[backend]
    for key in config:
        assert f"{key} " in printed
    with pytest.raises(ValueError, match="mode must be 'print' or 'dict'; got 'json'"):
        fd.show_config("json")


@pytest.mark.parametrize("name", ["cuda", "AVX2", *(set(backends.MODULES) - set(fd.available_backends()))])
@pytest.mark.parametrize("command", ["train", "evaluate", "predict x.png", "draw", "bench"])
def test_a_wrong_environment_is_one_line_in_each_command(tmp_path, command, name):
    run = subprocess.run(
        [sys.executable, "-m", "fastdigits", *command.split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"FASTDIGITS_BACKEND": name, "PYTHONPATH": str(Path(fd.__file__).parents[1])},
    )
    assert run.returncode == 2
    assert run.stdout == ""
    start = f"fastdigits {command.split()[0]}: error: FASTDIGITS_BACKEND={name}: backend"
    assert run.stderr.startswith(start)
    assert run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_use_backend_overrides_a_wrong_environment():
    program = "import fastdigits as fd; fd.use_backend('numpy'); print(fd.backend_name())"
    assert run_with("cuda", program).stdout.strip() == "numpy"
    program = (
        "from fastdigits import predict; raise SystemExit(predict.main(['x.png', '--backend', 'numpy']))"
    )
    assert run_with("cuda", program).stderr.startswith("fastdigits predict: error: x.png: ")


@pytest.mark.parametrize(
    "use",
    [
        "fd.backend_name()",
        "fd.show_config('dict')",
        "fd.NeuralNetwork([fd.Dense(2, 2)]).predict([[1.0, 2.0]])",
        "fd.NeuralNetwork([fd.Dense(2, 2)]).fit([[1.0, 2.0]] * 4, [0, 1, 0, 1])",
    ],
)
def test_a_wrong_environment_raises_at_first_use(use):
    run = run_with("cuda", f"import fastdigits as fd; {use}")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(
        "ValueError: FASTDIGITS_BACKEND=cuda: backend: must be one of"
    )
