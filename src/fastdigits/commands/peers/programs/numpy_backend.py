"""fastdigits on its NumPy backend: the same classes, every kernel replaced by its NumPy twin."""

import os

os.environ["FASTDIGITS_BACKEND"] = "numpy"  # read when fastdigits is imported, below

import fastdigits_fit

if __name__ == "__main__":
    fastdigits_fit.main()
