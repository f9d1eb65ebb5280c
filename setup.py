"""Build the compiled kernels; everything else about the package stands in pyproject.toml."""

import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# No -ffast-math, neither here nor at link time: it would change float behaviour for the whole process.
if sys.platform == "win32":
    compile_args = ["/O2"]
else:
    compile_args = ["-O3", "-fno-math-errno", "-fno-trapping-math"]

setup(
    ext_modules=cythonize(
        [Extension("fastdigits._kernels", ["src/fastdigits/_kernels.pyx"], extra_compile_args=compile_args)],
        language_level=3,
    )
)
