"""All valid IDX files are read; all others are refused with a message that says why."""

import gzip
import os
import struct
import subprocess
import sys
import sysconfig

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastdigits as fd

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx(array: np.ndarray, shape: tuple[int, ...] | None = None, code: int | None = None) -> bytes:
    shape = array.shape if shape is None else shape
    head = struct.pack(">HBB", 0, CODES[array.dtype.name] if code is None else code, len(shape))
    return (
        head + struct.pack(f">{len(shape)}I", *shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def written(tmp_path, content: bytes, name: str = "file-idx") -> str:
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
    ),
    level=st.sampled_from([None, 0, 9]),
)
def test_what_was_written_is_read_back(tmp_path_factory, array, level):
    content = idx(array) if level is None else gzip.compress(idx(array), level)
    path = tmp_path_factory.mktemp("idx") / "any.name"
    path.write_bytes(content)
    read = fd.read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    assert read.tobytes() == array.tobytes()


def test_a_worked_example(tmp_path):
    content = bytes([0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x01, 0x02, 0xFF, 0xFE])
    np.testing.assert_array_equal(fd.read_idx(written(tmp_path, content)), np.array([[258, -2]], np.int16))


def test_gzip_of_several_members_and_padding(tmp_path):
    content = idx(np.arange(100, dtype=np.uint8))
    packed = gzip.compress(content[:30]) + gzip.compress(content[30:]) + b"\0" * 64
    np.testing.assert_array_equal(fd.read_idx(written(tmp_path, packed)), np.arange(100))


DIGITS = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
BAD = {
    "empty": (b"", "must begin with a header of 4 bytes; got 0 bytes"),
    "three bytes": (b"\0\0\x08", "must begin with a header of 4 bytes; got 3 bytes"),
    "text": (b"label,pixel0\n" * 9, "must begin with 0x0000 and an element type"),
    "zeros wrong": (b"\1" + DIGITS[1:], "got 0x01000803"),
    "unknown type": (DIGITS[:2] + b"\x0a" + DIGITS[3:], "element type of 0x08"),
    "no dimension": (idx(np.zeros(0, np.uint8), shape=()), "1 to 4 dimensions; got 0"),
    "five dimensions": (idx(np.zeros((1,) * 5, np.uint8)), "1 to 4 dimensions; got 5"),
    "header cut": (DIGITS[:9], "header of 16 bytes; got 9 bytes"),
    "short": (DIGITS[:-1], "cut off, or its header is wrong"),
    "long": (DIGITS + b"\0", "must end after its 24 bytes of elements"),
    "huge": (idx(np.zeros(3, np.uint8), shape=(2**32 - 1,) * 4), "cut off, or its header is wrong"),
    "empty but huge": (
        idx(np.zeros(0, np.uint8), shape=(0, *(2**32 - 1,) * 3)),
        "dimensions besides 0 must make at most",
    ),
    "gzip cut": (gzip.compress(DIGITS)[:-9], "whole gzip file; got one that ends early"),
    "gzip crc": (
        gzip.compress(DIGITS)[:-8] + b"\1\2\3\4" + gzip.compress(DIGITS)[-4:],
        "must be a sound gzip file",
    ),
    "gzip of short": (gzip.compress(DIGITS[:-1]), "must hold 24 bytes of elements, 2 × 3 × 4; got 23"),
    "gzip of long": (gzip.compress(DIGITS + bytes(1000)), "must end after its 24 bytes"),
    "gzip then text": (gzip.compress(DIGITS) + b"text", "must be a sound gzip file"),
    "only magic": (b"\x1f\x8b", "whole gzip file"),
    "gzip huge": (gzip.compress(idx(np.zeros(3, np.uint8), shape=(60000, 28, 28))), "a file that can hold"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name(tmp_path, name):
    content, match = BAD[name]
    path = written(tmp_path, content, f"{name}.idx")
    with pytest.raises(fd.DataError, match=match) as caught:
        fd.read_idx(path)
    assert str(caught.value).startswith(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(fd.DataError, match=r"nothing-here.*No such file"):
        fd.read_idx(tmp_path / "nothing-here")
    with pytest.raises(fd.DataError, match="must be a file"):
        fd.read_idx(tmp_path)
    with pytest.raises(fd.DataError, match="one with a NUL character"):
        fd.read_idx("train\0images")
    with pytest.raises(TypeError, match="PathLike object, not int"):
        fd.read_idx(3)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no device files")
def test_a_device_is_refused_at_once():
    with pytest.raises(fd.DataError, match="can be read; got: a device, not a regular file"):
        fd.read_idx("/dev/zero")


@pytest.mark.parametrize("name", sorted(CODES))
def test_a_high_compression_ratio_is_read_into_a_growing_array(tmp_path, name):
    array = np.zeros((700, 1000), name)  # about 1000 : 1
    array[::100, ::7] = 3
    np.testing.assert_array_equal(fd.read_idx(written(tmp_path, gzip.compress(idx(array), 9))), array)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(fd.DataError, match="got: a pipe, not a regular file: write its content to one first"):
        fd.read_idx(tmp_path / "pipe")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read every file")
def test_a_forbidden_file_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(DIGITS)
    path.chmod(0)
    with pytest.raises(fd.DataError, match="Permission denied"):
        fd.read_idx(path)


# ru_maxrss would not do: a child inherits it from the process that starts it.
PEAK = "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
MEGABYTE = 2**20


def files_that_ask_for_memory(kind: str) -> bytes:
    if kind == "bomb":  # 256 MB behind an honest header of 10 bytes
        return gzip.compress(idx(np.zeros(10, np.uint8)) + bytes(2**28), compresslevel=1)
    if kind == "lie":  # 4 GB announced, ten bytes there
        return gzip.compress(idx(np.zeros(10, np.uint8), shape=(2**16, 2**16)))
    # 4 GB announced, 6 MB there: within what gzip could hold
    noise = np.random.default_rng(0).integers(0, 256, 6 * MEGABYTE, dtype=np.uint8)
    return gzip.compress(idx(noise, shape=(2**16, 2**16)), compresslevel=1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's count of its own memory, and limits it")
@pytest.mark.parametrize("kind", ["bomb", "lie", "plausible lie"])
def test_a_file_cannot_make_the_reader_take_memory(tmp_path, kind):
    path = written(tmp_path, files_that_ask_for_memory(kind))
    program = (
        "import re, resource, sys, fastdigits as fd\n"
        + PEAK
        + "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**28,) * 2)\n"  # so that a mere request of 4 GB fails
        "before = peak()\n"
        "try: fd.read_idx(sys.argv[1])\n"
        "except fd.DataError: print(peak() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 20_000  # KB; a piece is 256 KB


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's count of its own memory")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="its allocator keeps what is freed for some time",
)
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_peak_memory_is_near_the_size_of_the_array(tmp_path, dtype):
    count = 40 * MEGABYTE // np.dtype(dtype).itemsize
    path = written(tmp_path, idx(np.ones(count, dtype)))
    program = (
        "import re, sys, fastdigits as fd\n"
        + PEAK
        + "before = peak()\narray = fd.read_idx(sys.argv[1])\nprint(peak() - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert 30_000 < int(run.stdout) < 40 * 1024 + 10_000  # KB
