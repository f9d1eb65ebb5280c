"""Build a copy of the checkout with AddressSanitizer and UndefinedBehaviorSanitizer, and run tests in it.

    python scripts/robustness/sanitize.py                          # kernels, programs and files: some minutes
    python scripts/robustness/sanitize.py --quick                  # kernels and programs on any array: a minute
    python scripts/robustness/sanitize.py tests                    # all of them
    python scripts/robustness/sanitize.py --sanitizers thread tests/kernels/test_program.py tests/kernels/test_pool.py

Needs GCC, Cython and setuptools 77 in this environment, and the extra `test`. Each report of a sanitizer fails the run.
The search for leaks is off, as the interpreter keeps memory to its end: scripts/robustness/leaks.py finds what grows.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# All tests, the exhaustive ones too, in one process
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "", "-p", "no:cacheprovider"]
TESTS = [f"tests/{name}" for name in ("kernels", "nn", "optim", "storage", "training", "core/test_arrays.py")]
TESTS += ["tests/backend/test_threads.py"]
QUICK = ["tests/kernels/test_kernels.py", "tests/kernels/test_program.py"]
QUICK += ["tests/properties/test_any_array.py"]
QUICK += [
    "-k",
    "any_array or only_its_arrays or beyond_its_arrays or out_of_range or same_bits or plain_copy",
]
LIBRARIES = {"address": "libasan.so", "undefined": "libubsan.so", "thread": "libtsan.so"}


def library(name: str) -> str:
    found = subprocess.run(
        ["gcc", f"-print-file-name={LIBRARIES[name]}"], check=True, capture_output=True, text=True
    )
    return found.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tests", nargs="*", metavar="TEST", help="arguments of pytest (default: the tests of compiled code)"
    )
    parser.add_argument(
        "--sanitizers", default="address,undefined", help="separated by commas (default: address,undefined)"
    )
    parser.add_argument("--quick", action="store_true", help="a few tests of every kernel")
    options = parser.parse_args()
    tests = options.tests or (QUICK if options.quick else TESTS)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "fastdigits")
        ignored = shutil.ignore_patterns(
            ".git", ".nox", ".venv", "build", "*.so", "_kernels*.c", "_cython.c", "runs", "site"
        )
        shutil.copytree(ROOT, copy, ignore=ignored)
        environment = os.environ | {"FASTDIGITS_SANITIZE": options.sanitizers}
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", f"-j{os.cpu_count() or 1}"]
        subprocess.run(build, cwd=copy, env=environment, check=True)
        environment |= {
            "LD_PRELOAD": " ".join(map(library, options.sanitizers.split(","))),
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": "die_after_fork=0",
            "PYTHONMALLOC": "malloc",  # the interpreter's own pools would hide errors
            "PYTHONPATH": str(copy / "src"),
        }
        run = [*PYTEST, "-s", *tests]
        raise SystemExit(subprocess.run(run, cwd=copy, env=environment).returncode)


if __name__ == "__main__":
    main()
