"""MNIST is loaded whole and fast, whatever the state of the cache; folders of IDX files are checked."""

import gzip
import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import zipfile
import zlib

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.data import cache as caching

DIGESTS = [  # of the published files, header included
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
]


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def digests(data) -> list[str]:
    (x_train, y_train), (x_test, y_test) = data
    return [hashlib.sha256(idx(array)).hexdigest() for array in (x_train, y_train, x_test, y_test)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("FASTDIGITS_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """The cache after a first call, for tests that copy it."""
    folder = tmp_path_factory.mktemp("decoded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTDIGITS_CACHE", str(folder))
        fd.load_mnist()
    return folder


@pytest.fixture
def small_files(cache, decoded):
    """Fill the cache; return copies of the test images and labels to damage. All four files are read in one way."""
    cache.mkdir()
    for file in decoded.iterdir():
        (shutil.copy if "t10k" in file.name else os.link)(file, cache / file.name)
    return sorted(cache.glob("mnist-t10k-*"))


def small_digests() -> list[str]:
    return [hashlib.sha256(idx(array)).hexdigest() for array in fd.load_mnist()[1]]


def test_mnist_is_the_published_one_with_and_without_cache(cache):
    assert digests(fd.load_mnist()) == DIGESTS
    files = sorted(cache.iterdir())
    assert len(files) == 4
    assert digests(fd.load_mnist()) == DIGESTS
    assert sorted(cache.iterdir()) == files


def test_shapes_types_and_balance(small_files):
    (x_train, y_train), (x_test, y_test) = fd.load_mnist()
    assert [array.shape for array in (x_train, y_train, x_test, y_test)] == [
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    ]
    assert {array.dtype.name for array in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_second_time_the_files_are_mapped_and_read_only(cache):
    first, second = fd.load_mnist()[0][0], fd.load_mnist()[0][0]
    for array in (first, second):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
    base = second
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap) or type(base.base).__name__ == "mmap"


def npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def archive() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as content:
            content.writestr("x.npy", b"")
        return file.getvalue()


NO_ARRAYS = {  # np.load fails on each with another kind of error, or warns
    "zip": archive(),
    "broken zip": b"PK\3\4" + bytes(500),
    "huge number": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1" + "0" * 30 + ",), }\n"),
    "overflow": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904, 4, 4), }\n"),
    "negative": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28), }\n") + bytes(784),
    "open bracket": npy("{'descr': '|u1', 'shape': ((((((\n"),
    "python 2": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3L,), }\n") + bytes(3),
}


@pytest.mark.parametrize(
    "damage", ["cut", "flip", "empty", "text", "other shape", "pickle", "folder", *NO_ARRAYS]
)
def test_a_damaged_cache_is_made_again(small_files, damage):
    assert len(small_files) == 2
    for file in small_files:
        content = bytearray(file.read_bytes())
        if damage == "cut":
            file.write_bytes(content[: len(content) // 2])
        elif damage == "flip":
            content[-1000] ^= 1
            file.write_bytes(content)
        elif damage == "empty":
            file.write_bytes(b"")
        elif damage == "text":
            file.write_text("not an array")
        elif damage == "other shape":
            np.save(file, np.zeros((5, 28, 28), np.uint8))
        elif damage == "pickle":
            np.save(file, np.array([{}], dtype=object), allow_pickle=True)
        elif damage in NO_ARRAYS:
            file.write_bytes(NO_ARRAYS[damage])
        else:
            file.unlink()
            file.mkdir()
    assert small_digests() == DIGESTS[2:]
    if damage != "folder":
        assert small_digests() == DIGESTS[2:]


def test_a_cache_that_cannot_be_written_is_ignored(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")  # a file where the folder should be: root cannot write there either
    monkeypatch.setenv("FASTDIGITS_CACHE", str(blocked))
    assert digests(fd.load_mnist()) == DIGESTS
    assert blocked.read_text() == "in the way"


def test_a_full_disk_leaves_nothing_behind(cache, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert digests(fd.load_mnist()) == DIGESTS
    assert list(cache.iterdir()) == []


def test_a_header_with_another_shape_over_the_right_elements_is_refused(small_files):
    content = small_files[0].read_bytes()
    assert b"(10000, 28, 28)" in content
    small_files[0].write_bytes(content.replace(b"(10000, 28, 28)", b"(28, 28, 10000)"))
    assert small_digests() == DIGESTS[2:]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_cache_is_ignored(small_files):
    for file in small_files:
        file.unlink()
        os.mkfifo(file)
    assert small_digests() == DIGESTS[2:]


def test_an_interrupted_write_leaves_nothing_behind(cache, monkeypatch):
    def interrupt(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fd.load_mnist()
    assert list(cache.iterdir()) == []


def test_what_a_killed_process_left_is_removed(cache):
    name = f"mnist-train-labels-idx1-ubyte-{zlib.crc32(fd.load_mnist()[0][1].tobytes()):08x}.npy"
    (cache / name).unlink()
    left, foreign = (cache / f".{start}.{2**22 + 1}-0badc0de.tmp" for start in (name, "film"))
    for file in (left, foreign):
        file.write_bytes(b"half")
    fd.load_mnist()
    assert [file.exists() for file in (cache / name, left, foreign)] == [True, False, True]


def test_without_a_home_there_is_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("FASTDIGITS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(caching.Path, "home", homeless)
    assert caching.folder() is None
    assert digests(fd.load_mnist()) == DIGESTS


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.exhaustive)])
def test_processes_that_start_together_agree(cache, count):
    program = (
        "import hashlib, fastdigits as fd; "
        "print(hashlib.sha256(b''.join(a.tobytes() for pair in fd.load_mnist() for a in pair)).hexdigest())"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    assert len({run.communicate()[0] for run in runs}) == 1
    assert {run.returncode for run in runs} == {0}
    assert len(list(cache.iterdir())) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's count of its own memory")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="its allocator keeps what is freed for some time",
)
def test_peak_memory_is_near_the_size_of_the_data(cache):
    program = (
        "import re, fastdigits as fd\n"  # not ru_maxrss: a child inherits it from the process that starts it
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\ndata = fd.load_mnist()\nprint(peak() - before)\n"
    )
    for _ in ("decoded", "mapped"):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert 40_000 < int(run.stdout) < 55_000 + 20_000  # KB: 54,950 of data


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/fastdigits"),
        ("linux", {"HOME": "/h"}, "/h/.cache/fastdigits"),
        ("linux", {"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/fastdigits"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Caches/fastdigits"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/fastdigits"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="HOME is called otherwise there")
def test_the_cache_is_where_the_system_keeps_them(platform, variables, expected, monkeypatch):
    for name in ("FASTDIGITS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert str(caching.folder()) == expected


# -- folders -------------------------------------------------------------------------------------------------

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(0, 256, (5, 4, 3)).astype(np.uint8),
        np.arange(5, dtype=np.uint8),
        rng.integers(0, 256, (2, 4, 3)).astype(np.uint8),
        np.arange(2, dtype=np.uint8),
    ]


def fill(folder, contents, names=NAMES, pack=lambda content: content):
    for name, array in zip(names, contents, strict=True):
        if array is not None:
            (folder / name).write_bytes(pack(idx(array)))


@pytest.mark.parametrize(
    ("names", "pack"),
    [
        (NAMES, bytes),
        ([f"{name}.gz" for name in NAMES], gzip.compress),
        ([re.sub("-(idx.)", r".\1", name) for name in NAMES], bytes),
    ],
    ids=["plain", "gzip", "with dots"],
)
def test_a_folder_is_read(tmp_path, names, pack):
    fill(tmp_path, arrays(), names, pack)
    (x, y), (x_test, y_test) = fd.load_folder(tmp_path)
    for found, wanted in zip((x, y, x_test, y_test), arrays(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def changed(place: int, array: np.ndarray | None) -> list[np.ndarray | None]:
    contents: list[np.ndarray | None] = list(arrays())
    contents[place] = array
    return contents


@pytest.mark.parametrize(
    ("contents", "match"),
    [
        (changed(1, None), "must hold the training labels as train-labels-idx1-ubyte"),
        (changed(2, None), "must hold the test images as t10k-images-idx3-ubyte"),
        (changed(0, np.zeros((5, 12), np.uint8)), "must hold uint8 images, .n, height, width."),
        (changed(0, np.zeros((0, 4, 3), np.uint8)), "at least one"),
        (changed(1, np.zeros((5, 1), np.uint8)), "must hold uint8 labels"),
        (
            changed(1, np.zeros(4, np.uint8)),
            "one label per image of train-images-idx3-ubyte, 5; got 4",
        ),
        (
            changed(2, np.zeros((2, 3, 4), np.uint8)),
            "images must be .4, 3., as those for training; got .3, 4.",
        ),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused(tmp_path, contents, match):
    fill(tmp_path, contents)
    with pytest.raises(fd.DataError, match=match):
        fd.load_folder(tmp_path)


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    def forbidden(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", forbidden)
    with pytest.raises(fd.DataError, match="must be a folder that can be read; got: Permission denied"):
        fd.load_folder(tmp_path)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(fd.DataError, match="must be a folder with four IDX files"):
        fd.load_folder(tmp_path / "none")
