"""Run the package on other processors, emulated by Debian's qemu-user, on any x86-64 Linux.

    python scripts/robustness/processors.py                             # all of them: about an hour
    python scripts/robustness/processors.py nehalem haswell --quick     # modules and kernels only: a minute

The parts, each in its own emulated process:

modules    import every module; a build that the processor lacks raises ImportError with its instruction set
kernels    every door against its NumPy twin, on arrays of three sizes
training   two epochs on a tenth of MNIST with the same bits on 1 and 3 threads; save, load, predict the same
tests      pytest tests/kernels/test_kernels.py tests/kernels/test_float_state.py
bare       every door without NumPy, which needs SSE4.2, on the oldest x86-64 processors

The package is the one that this interpreter imports. For aarch64 it is built in a temporary folder instead: by setup.py
in an emulated interpreter of Debian, with a cross compiler. qemu 7.2 emulates AVX2 but not AVX-512.

Needs Debian's qemu-user and the extra `test`; for aarch64 also gcc-aarch64-linux-gnu, pip, Cython, setuptools 77, and
the packages of Debian and Python. Exit code 1 if a check fails, 2 if something that it needs is missing.
"""

import argparse
import dataclasses
import hashlib
import importlib
import importlib.util
import os
import pickle
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIZES = [(5, 17, 3, 33), (17, 65, 70, 100), (40, 300, 9, 1000)]  # rows, width in, width out, parameters
TESTS = ["tests/kernels/test_kernels.py", "tests/kernels/test_float_state.py"]
INSTRUCTION_SETS = {"fastdigits._kernels_avx2": "avx2", "fastdigits._kernels_avx512": "avx512"}


@dataclasses.dataclass(frozen=True)
class Processor:
    """One processor: its name in qemu, the compiled backends that must be available, the parts to run."""

    cpu: str
    backends: tuple[str, ...]
    parts: tuple[str, ...] = ("modules", "kernels")


FULL = ("modules", "kernels", "training", "tests")
PROCESSORS = {
    "nehalem": Processor("Nehalem", ("generic",), FULL),
    "haswell": Processor("Haswell", ("avx2", "generic"), FULL),
    # ARMv8.0, what the wheels promise; on "max", which has SVE, NumPy's OpenBLAS warns of divisions by zero
    "aarch64": Processor("cortex-a57", ("generic",), FULL),
    "avx": Processor("SandyBridge", ("generic",)),
    "no-fma": Processor("Haswell,-fma", ("generic",)),
    # glibc 2.36 uses BMI1 where it finds BMI2, so no program runs without BMI1 alone
    "no-bmi": Processor("Haswell,-bmi1,-bmi2", ("generic",)),
    "no-xsave": Processor("Haswell,-xsave", ("generic",)),  # the system does not save the wide registers
    "sse2": Processor("qemu64,-pni,-cx16", ("generic",), ("bare",)),  # NumPy 2.4 needs SSE4.2
}


class Missing(Exception):  # noqa: N818
    """A program that the run needs is not installed."""


# -- inside the emulated process -----------------------------------------------------------------------------


def modules(words: list[str]) -> Iterator[str]:
    """Import every module; yield each check's name before it runs."""
    import fastdigits as fd
    from fastdigits import backend

    for found in pkgutil.walk_packages(fd.__path__, "fastdigits."):
        yield f"import {found.name}"
        error = error_of(found.name)
        needed = INSTRUCTION_SETS.get(found.name)
        if needed and needed not in words:
            assert error is not None, f"the import succeeded, but this processor lacks {needed}"
            assert needed in str(error).lower().replace("-", ""), f"the message must name {needed}: {error}"
        elif error is not None and not is_of_an_extra(error):
            raise error
    yield "show_config"
    config = fd.show_config("dict")
    assert config["available backends"] == [*words, "numpy"], config
    assert config["backend"] == words[0], config
    for name in set(backend.MODULES) - {*words, "numpy"}:
        yield f"use_backend {name}"
        try:
            fd.use_backend(name)
        except ImportError:
            continue
        raise AssertionError(f"use_backend accepted {name}, which this processor lacks")


def error_of(module: str) -> ImportError | None:
    """Import a module; return its ImportError, or None."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return error
    return None


def is_of_an_extra(error: BaseException | None) -> bool:
    """Return whether an import failed because an optional library is not installed."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "fastdigits").startswith(
            "fastdigits"
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def kernels(words: list[str]) -> Iterator[str]:
    """Compare every door of every backend with its twin; yield each check's name before it runs."""
    from fastdigits import backend

    for name in words:
        yield f"{name}: load"
        yield from doors(name, backend.load(name))


def doors(name: str, module: types.ModuleType) -> Iterator[str]:
    """Compare the doors of one module with their twins, on the arguments that the tests make."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    import numpy as np
    from doors import DOORS, arguments, called

    from fastdigits import _reference as twin

    for door in DOORS:
        for sizes in SIZES:
            yield f"{name}: {door} {sizes}"
            given = arguments(door, **dict(zip("ndmp", sizes, strict=True)))
            found, right = called(getattr(module, door), given), called(getattr(twin, door), given)
            assert found is not None
            assert right is not None
            for one, other in zip(
                found, right, strict=True
            ):  # as in tests/kernels/test_kernels.py for any array
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def training(words: list[str]) -> Iterator[str]:
    """Train on a tenth of MNIST, save and load; yield each check's name before it runs."""
    import numpy as np

    import fastdigits as fd
    from fastdigits import backend

    (x, y), (x_test, y_test) = fd.load_mnist()
    for name in words:
        fd.use_backend(name)
        hashes = set()
        for threads in (1, 3):
            yield f"{name}: two epochs, threads={threads}"
            backend.kernels.reset_sharing()  # share the first steps between threads
            layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU()]
            net = fd.NeuralNetwork([*layers, fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)], seed=0)
            net.fit(x[:6000], y[:6000], epochs=2, batch_size=100, optimizer=fd.Adam(0.01), threads=threads)
            accuracy = net.evaluate(x_test, y_test)["accuracy"]
            assert accuracy > 0.9, accuracy
            hashes.add(hashlib.sha256(net.values).hexdigest())
        yield f"{name}: the same bits on 1 and 3 threads (accuracy {accuracy:.4f})"
        assert len(hashes) == 1, hashes
        yield f"{name}: save, load, predict"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "digits.safetensors")
            net.save(path)
            again = fd.load(path)
        np.testing.assert_array_equal(again.values, net.values)
        np.testing.assert_array_equal(again.predict_proba(x_test), net.predict_proba(x_test))
        yield f"{name}: the model that comes with the package"
        assert fd.load_pretrained().evaluate(x_test[:2000], y_test[:2000])["accuracy"] > 0.98


def bare(words: list[str]) -> Iterator[str]:
    """Run the generic doors without NumPy; yield each check's name before it runs."""
    folder, file = words
    package = types.ModuleType("fastdigits")
    package.__path__ = [folder]
    sys.modules["fastdigits"] = package
    yield "import fastdigits._kernels"
    module = importlib.import_module("fastdigits._kernels")
    for door, given, right in pickle.loads(Path(file).read_bytes()):
        yield f"generic: {door}"
        made = [bytearray(one[0]) if isinstance(one, tuple) else one for one in given]
        arrays = [
            memoryview(item).cast(one[1], one[2]) if isinstance(one, tuple) else item
            for one, item in zip(given, made, strict=True)
        ]
        getattr(module, door)(*arrays)
        for one, item, (wanted, kind, _) in zip(given, made, right, strict=True):
            if isinstance(one, tuple):
                pairs = zip(memoryview(item).cast(kind), memoryview(wanted).cast(kind), strict=True)
                # the C library has other logarithms and sines for other processors
                assert all(abs(a - b) <= 1e-5 + 1e-5 * abs(b) for a, b in pairs)


def tests(words: list[str]) -> Iterator[str]:
    """Run the tests of the kernels and of the float state; raise AssertionError if one fails."""
    import pytest

    yield "pytest"
    os.chdir(ROOT)
    without = (
        "no:cacheprovider",
        "no:benchmark",
        "no:xdist",
    )  # xdist would start processes that are not emulated
    options = ["-q", "--no-header", "-r", "fE", "-o", "addopts=", "-m", "not exhaustive"]
    options += [word for name in without for word in ("-p", name)]
    assert pytest.main([*options, *words]) == 0


PARTS: dict[str, Callable[[list[str]], Iterator[str]]] = {
    part.__name__: part for part in (modules, kernels, training, bare, tests)
}


def inside(part: str, words: list[str], quick: bool) -> int:
    """Run one part in this process; print each check's name before it runs, so that a crash shows its place."""
    if quick:
        sys.modules["sklearn"] = None  # its import takes 15 s, and no compiled code needs it
    if wrapper := os.environ.get("PROCESSORS_PYTHON"):
        sys.executable = wrapper  # emulate the processes that tests start
    for name in PARTS[part](words):
        print(f"check {name}", flush=True)
    print("done", flush=True)
    return 0


# -- on this machine -----------------------------------------------------------------------------------------


@dataclasses.dataclass
class Machine:
    """An emulated interpreter: its command, the checkout that it runs, its environment."""

    python: list[str]
    checkout: Path
    environment: dict[str, str]


@dataclasses.dataclass
class Result:
    """The result of one part on one processor."""

    checks: int
    seconds: float
    fault: str = ""


def program(*names: str, package: str) -> str:
    """Return the first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise Missing(f"{names[0]} is not installed: apt-get install {package}")


def command(words: list[str | Path], **options) -> str:
    """Run a program and return its output; exit with its last lines if it fails."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode:
        raise SystemExit(f"processors: {shlex.join(map(str, words))} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def with_wrapper(python: list[str], folder: Path, checkout: Path, environment: dict[str, str]) -> Machine:
    """Return a machine whose sys.executable is a script that calls the emulator, for tests that start processes."""
    wrapper = folder / "python"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(python)} "$@"\n')
    wrapper.chmod(0o755)
    own = ("FASTDIGITS_BACKEND", "FASTDIGITS_NUM_THREADS")
    environment = {
        **{name: value for name, value in os.environ.items() if name not in own},
        "FASTDIGITS_CACHE": str(folder / "cache"),
        "PROCESSORS_PYTHON": str(wrapper),
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    return Machine(python, checkout, environment)


def x86(cpu: str, folder: Path) -> Machine:
    """Return a machine: this interpreter on another x86-64 processor."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Missing("this processor is emulated on x86-64 Linux only")
    emulator = program("qemu-x86_64", "qemu-x86_64-static", package="qemu-user")
    interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    path = os.pathsep.join([str(package_folder().parent), *filter(None, sys.path[1:])])
    # NumPy's OpenBLAS uses FMA on each processor with AVX2, and crashes on one without FMA
    environment = {"PYTHONPATH": path, "OPENBLAS_CORETYPE": "Nehalem"}
    return with_wrapper([emulator, "-cpu", cpu, str(interpreter)], folder, ROOT, environment)


def package_folder() -> Path:
    """Return the folder from which this interpreter imports the package."""
    spec = importlib.util.find_spec("fastdigits")
    if spec is None or spec.origin is None:
        raise Missing("fastdigits is not installed for this interpreter: pip install .")
    return Path(spec.origin).parent


def aarch64(cpu: str, folder: Path) -> Machine:
    """Return a machine: Debian's interpreter for aarch64, and the package built for it."""
    emulator = program("qemu-aarch64", "qemu-aarch64-static", package="qemu-user")
    compiler = program("aarch64-linux-gnu-gcc", package="gcc-aarch64-linux-gnu")
    apt = program("apt-get", package="apt")
    root, packages, checkout, tools = (folder / name for name in ("root", "packages", "checkout", "bin"))
    tools.mkdir()

    # Debian's packages, from the sources of this machine, in temporary folders
    state, cache, status = folder / "state", folder / "debian", folder / "status"
    status.touch()
    for place in (state / "lists" / "partial", cache / "archives" / "partial"):
        place.mkdir(parents=True)
    settings = ["APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Install-Recommends=false"]
    settings += [f"Dir::State={state}", f"Dir::State::status={status}", f"Dir::Cache={cache}"]
    settings += [f"APT::Sandbox::User={os.environ.get('USER', 'root')}", "Debug::NoLocking=true"]
    get = [apt, "-q", *(word for setting in settings for word in ("-o", setting))]
    command([*get, "update"])
    command([*get, "--yes", "--download-only", "install", "python3", "libpython3-dev", "libstdc++6"])
    for archive in sorted((cache / "archives").glob("*.deb")):
        command(["dpkg-deb", "--extract", archive, root])
    interpreter = (root / "usr" / "bin" / "python3").resolve()
    version = interpreter.name.removeprefix("python")

    # Python's packages, to build, run and test the package
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        "pytest",
        "hypothesis",
    ]
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, 37)]  # Debian 12 has 2.36
    platforms += ["--platform=manylinux2014_aarch64", f"--python-version={version}", "--only-binary=:all:"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", f"--target={packages}"]
    command([*pip, *platforms, *wanted])

    # the package: Cython writes the C files on this machine, which is faster; setup.py compiles them on that one
    wrapper = tools / Path(compiler).name
    wrapper.write_text(
        f'#!/bin/sh\nexec {compiler} --sysroot={root} -I{root}/usr/include/python{version} "$@"\n'
    )
    wrapper.chmod(0o755)
    ignored = shutil.ignore_patterns(".git", ".nox", ".venv", "build", "*.so", "_*.c", "runs", "site")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    command([sys.executable, "setup.py", "--quiet", "--version"], cwd=checkout)
    path = os.pathsep.join([str(checkout / "src"), str(packages)])
    environment = {"PYTHONPATH": path, "PATH": f"{tools}:{os.environ['PATH']}"}
    python = [emulator, "-cpu", cpu, "-L", str(root), str(interpreter)]
    command([*python, "setup.py", "build_ext", "--inplace"], cwd=checkout, env=os.environ | environment)
    return with_wrapper(python, folder, checkout, environment)


def bare_arguments(file: Path) -> None:
    """Write the input of the part `bare`: arguments of every door, and their results on this machine."""
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from doors import DOORS, arguments, called

    from fastdigits import backend

    def plain(item):
        return item if not hasattr(item, "tobytes") else (item.tobytes(), item.dtype.char, item.shape)

    rows = []
    for door in DOORS:
        given = arguments(door, **dict(zip("ndmp", SIZES[1], strict=True)))
        arrays = iter(called(getattr(backend.load("generic"), door), given))
        right = [next(arrays) if hasattr(item, "tobytes") else None for item in given]
        rows.append(
            (door, [*map(plain, given)], [plain(item) if item is not None else (None,) * 3 for item in right])
        )
    file.write_bytes(pickle.dumps(rows))


def run(machine: Machine, part: str, words: list[str], quick: bool = False) -> Result:
    """Run one part on one machine."""
    script = machine.checkout / Path(__file__).relative_to(ROOT)
    begin = time.monotonic()
    done = subprocess.run(
        [*machine.python, str(script), "--inside", part, *words, *["--quick"] * quick],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    seconds = time.monotonic() - begin
    checks = re.findall(r"^check (.*)$", done.stdout, re.MULTILINE)
    last = f" in the check: {checks[-1]}" if checks else ""
    errors = "\n".join(line for line in done.stderr.splitlines() if "TCG doesn't support" not in line)
    fault = ""
    if done.returncode < 0:
        fault = f"ended by signal {-done.returncode}{last}"
    elif done.returncode or not done.stdout.endswith("done\n"):
        fault = f"exit code {done.returncode}{last}\n{done.stdout[-2000:] if part == 'tests' else ''}{errors}"
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    return Result(int(passed[1]) if passed else len(checks), seconds, fault)


def examine(name: str, quick: bool, folder: Path) -> list[Result]:
    """Run all parts of one processor, print a line for each, and return the results."""
    processor = PROCESSORS[name]
    folder.mkdir()
    begin = time.monotonic()
    machine = (aarch64 if name == "aarch64" else x86)(processor.cpu, folder)
    if name == "aarch64":
        print(f"{name:<10} built in {time.monotonic() - begin:.0f} s", flush=True)
    results = []
    for part in processor.parts:
        if quick and part in ("training", "tests"):
            continue
        words = list(processor.backends)
        if part == "tests":
            words = TESTS
        elif part == "bare":
            words = [str(package_folder()), str(folder / "arguments")]
            bare_arguments(folder / "arguments")
        result = run(machine, part, words, quick)
        results.append(result)
        outcome = f"FAILED: {result.fault}" if result.fault else "passed"
        print(
            f"{name:<10} {part:<10} {result.checks:>6} checks {result.seconds:>6.0f} s  {outcome}", flush=True
        )
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("processors", nargs="*", metavar="PROCESSOR", help=", ".join(PROCESSORS))
    parser.add_argument("--quick", action="store_true", help="run the parts modules and kernels only")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)  # in this process
    options = parser.parse_args()
    if options.inside:
        return inside(options.inside, options.processors, options.quick)
    if unknown := [name for name in options.processors if name not in PROCESSORS]:
        parser.error(f"unknown processor {unknown[0]!r}: choose from {', '.join(PROCESSORS)}")
    try:
        emulator = program("qemu-x86_64", "qemu-x86_64-static", package="qemu-user")
        print(command([emulator, "--version"]).splitlines()[0], flush=True)
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
            runs = [
                threads.submit(examine, name, options.quick, Path(folder, name))
                for name in options.processors or PROCESSORS
            ]
            results = [result for one in runs for result in one.result()]
    except Missing as error:
        print(f"processors: {error}", file=sys.stderr)
        return 2
    failed = sum(bool(result.fault) for result in results)
    print(
        f"{sum(result.checks for result in results):,} checks; {len(results) - failed} parts passed, {failed} failed"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
