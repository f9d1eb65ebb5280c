"""What platforms that cannot be run here get: read through a preprocessor that thinks it is Microsoft's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "fastdigits"
HEADERS = ("kernels/vector.h", "kernels/pool.h", "_processor.h")
COMPILER = shutil.which("cc") or shutil.which("gcc")
ONLY_GNU = r"__attribute__|__builtin_|__asm__|__thread\b|vector_size|stdatomic|pthread|\(\{|#pragma GCC"


def as_seen_by(tmp_path: Path, header: str, *macros: str) -> str:
    """Return a header as a compiler with only these macros sees it; the system's headers are empty."""
    text = (SOURCE / header).read_text(encoding="utf-8")
    for name in re.findall(r"#include <(.*?)>", text):
        (tmp_path / name).write_text("")
    words = [COMPILER, "-E", "-P", "-undef", "-nostdinc", "-I", tmp_path, *(f"-D{name}" for name in macros)]
    run = subprocess.run([*words, SOURCE / header], capture_output=True, encoding="utf-8", check=True)
    return run.stdout


@pytest.mark.skipif(COMPILER is None, reason="needs a C preprocessor")
@pytest.mark.parametrize("header", HEADERS)
def test_the_headers_have_nothing_for_windows_that_its_compiler_lacks(tmp_path, header):
    seen = as_seen_by(tmp_path, header, "_MSC_VER=1940", "_WIN32=1", "_M_X64=100")
    assert re.search(ONLY_GNU, seen) is None
    assert "typedef float vec;" in seen or header != "kernels/vector.h"


@pytest.mark.skipif(COMPILER is None, reason="needs a C preprocessor")
def test_what_is_looked_for_is_there_elsewhere(tmp_path):
    seen = as_seen_by(tmp_path, "kernels/vector.h", "__GNUC__=12", "__x86_64__=1", "__AVX2__=1")
    assert re.search(ONLY_GNU, seen)
    assert "_mm256_sqrt_ps" in seen
