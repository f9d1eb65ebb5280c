"""Build the compiled kernels; all other settings of the package are in pyproject.toml."""

import glob
import os
import platform
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No -ffast-math, neither here nor at link time: it changes float behaviour for the whole process.
# Wheels run on every processor of their kind; only the twins use larger instruction sets.
X86 = platform.machine().lower() in ("x86_64", "amd64")
if sys.platform == "win32":  # no vector types: one build, scalar
    base, link, twins = ["/O2"], [], {}
else:
    # Cython marks its helpers inline, which makes up most of the code. Without the mark the build takes a quarter less
    # time and the modules are a sixth smaller, with the same bits at the same speed.
    base = ["-O3", "-g0", "-fno-math-errno", "-fno-trapping-math", "-DCYTHON_INLINE=", "-Wno-unused-function"]
    avx2 = ["-mavx2", "-mfma", "-mbmi"]
    avx512 = [*avx2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
    twins = {"_avx2": avx2, "_avx512": avx512} if X86 else {}
    link = ["-Wl,-s"] if sys.platform == "linux" else []  # names of functions take a tenth of the file
    if sanitizers := os.environ.get("FASTDIGITS_SANITIZE"):  # set by scripts/robustness/sanitize.py
        base = [*base, "-g", "-O1", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined"]
        link = [f"-fsanitize={sanitizers}"]


def kernels(twin: str = "", flags: tuple[str, ...] | list[str] = ()) -> Extension:
    """Return the extension for the baseline, or for a twin with its flags."""
    return Extension(
        f"fastdigits._kernels{twin}",
        [f"src/fastdigits/_kernels{twin}.pyx"],
        depends=[
            *(f"src/fastdigits/{name}" for name in ("_kernels.pyx", "_processor.h", "_twin.c")),
            *sorted(glob.glob("src/fastdigits/kernels/*")),
        ],
        define_macros=[(f"PyInit__kernels{twin}", f"unchecked{twin}")] if twin else [],
        extra_compile_args=[*base, *flags],
        extra_link_args=link,
    )


class BuildInParallel(build_ext):
    """Compile the extensions in parallel; give each twin an entry point that checks the processor."""

    def finalize_options(self) -> None:
        """Use all processors by default."""
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        """Compile one extension."""
        twin = ext.name.removeprefix("fastdigits._kernels")
        if twin in twins:
            ext.extra_objects = self.compiler.compile(
                ["src/fastdigits/_twin.c"],
                output_dir=os.path.join(self.build_temp, twin),
                macros=[(f"TWIN{twin.upper()}", None)],
                extra_postargs=base,  # without the twin's flags
            )
        super().build_extension(ext)


# Cython's code for memoryviews, shared: own copies would make each twin's file half as large again.
SHARED = Extension(
    "fastdigits._cython", ["src/fastdigits/_cython.c"], extra_compile_args=base, extra_link_args=link
)

if __name__ == "__main__":  # not in the processes that cythonize starts
    setup(
        cmdclass={"build_ext": BuildInParallel},
        ext_modules=cythonize(
            [kernels(), *(kernels(twin, flags) for twin, flags in twins.items()), SHARED],
            nthreads=os.cpu_count() or 1,
            language_level=3,
            shared_utility_qualified_name=SHARED.name,
            compiler_directives={
                "boundscheck": False,
                "wraparound": False,
                "initializedcheck": False,
                "cdivision": True,
                "freethreading_compatible": True,
            },
        ),
    )
