"""The compiled kernels need no global interpreter lock."""

import subprocess
import sys
import sysconfig

import pytest


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded interpreter, such as 3.14t"
)
def test_importing_the_package_keeps_the_interpreter_lock_off():
    program = "import sys, fastdigits.train; sys.exit(sys._is_gil_enabled())"
    assert subprocess.run([sys.executable, "-X", "gil=0", "-c", program]).returncode == 0
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
