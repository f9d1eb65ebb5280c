"""Build the compiled kernels; everything else about the package stands in pyproject.toml."""

import os
import platform
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# No -ffast-math, neither here nor at link time: it would change float behaviour for the whole process.
# The base of each kind of processor is what its wheels promise; the twins own what goes beyond it.
X86 = platform.machine().lower() in ("x86_64", "amd64")
if sys.platform == "win32":  # no vector types: one build, scalar
    base, link, twins = ["/O2"], [], {}
else:
    base = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math"]
    avx2 = ["-mavx2", "-mfma", "-mbmi"]
    avx512 = [*avx2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
    twins = {"_avx2": avx2, "_avx512": avx512} if X86 else {}
    link = ["-Wl,-s"] if sys.platform == "linux" else []  # names of functions are a tenth of the file
    if sanitizers := os.environ.get("FASTDIGITS_SANITIZE"):  # such as address,undefined; scripts/sanitize.py
        base = [*base, "-g", "-O1", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined"]
        link = [f"-fsanitize={sanitizers}"]


def kernels(twin: str = "", flags: tuple[str, ...] | list[str] = ()) -> Extension:
    """One module made of the kernels' source."""
    return Extension(
        f"fastdigits._kernels{twin}",
        [f"src/fastdigits/_kernels{twin}.pyx"],
        depends=["src/fastdigits/_kernels.pyx", "src/fastdigits/_vector.h", "src/fastdigits/_pool.h"],
        extra_compile_args=[*base, *flags],
        extra_link_args=link,
    )


# What Cython writes for memoryviews: a third of each twin's file where each has its own copy.
SHARED = Extension(
    "fastdigits._cython", ["src/fastdigits/_cython.c"], extra_compile_args=base, extra_link_args=link
)

setup(
    ext_modules=cythonize(
        [SHARED, kernels(), *(kernels(twin, flags) for twin, flags in twins.items())],
        language_level=3,
        shared_utility_qualified_name=SHARED.name,
        compiler_directives={
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    )
)
