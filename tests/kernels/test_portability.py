"""The headers for platforms that cannot run here: preprocessed with the macros of Microsoft's compiler."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "fastdigits"
HEADERS = ("kernels/vector.h", "kernels/pool.h", "_processor.h")
COMPILER = shutil.which("cc") or shutil.which("gcc")
ONLY_GNU = r"__attribute__|__builtin_|__asm__|__thread\b|vector_size|stdatomic|pthread|\(\{|#pragma GCC"


def preprocessed(tmp_path: Path, header: str, *macros: str) -> str:
    """Return a header preprocessed with only these macros defined; system headers are empty."""
    text = (SOURCE / header).read_text(encoding="utf-8")
    for name in re.findall(r"#include <(.*?)>", text):
        (tmp_path / name).write_text("")
    words = [COMPILER, "-E", "-P", "-undef", "-nostdinc", "-I", tmp_path, *(f"-D{name}" for name in macros)]
    run = subprocess.run([*words, SOURCE / header], capture_output=True, encoding="utf-8", check=True)
    return run.stdout


@pytest.mark.skipif(COMPILER is None, reason="needs a C preprocessor")
@pytest.mark.parametrize("header", HEADERS)
def test_headers_for_windows_have_no_gnu_extensions(tmp_path, header):
    text = preprocessed(tmp_path, header, "_MSC_VER=1940", "_WIN32=1", "_M_X64=100")
    assert re.search(ONLY_GNU, text) is None
    assert "typedef float vec;" in text or header != "kernels/vector.h"


@pytest.mark.skipif(COMPILER is None, reason="needs a C preprocessor")
def test_headers_for_gcc_have_gnu_extensions(tmp_path):
    text = preprocessed(tmp_path, "kernels/vector.h", "__GNUC__=12", "__x86_64__=1", "__AVX2__=1")
    assert re.search(ONLY_GNU, text)
    assert "_mm256_sqrt_ps" in text
