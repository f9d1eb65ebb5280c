"""Downloads are whole or absent, whatever the server does; a local server makes the faults."""

import contextlib
import dataclasses
import gzip
import hashlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.data import downloads, published

pytest.importorskip("pooch", reason="the extra 'datasets' is not installed")
pytest.importorskip("filelock", reason="the extra 'datasets' is not installed")

CONTENT = np.random.default_rng(0).bytes(300_000)
SOURCE = Path(fd.__file__).parents[1]


class Server(ThreadingHTTPServer):
    """Serves `files`; `faults` says how, one for each request, and then without fault."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.go_on = threading.Event()  # lets a stalled answer end

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request, client_address):
        """Say nothing: clients that hang up are what this is about."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server: Server = self.server
        server.requests.append(self.path[1:])
        content = server.files.get(self.path[1:])
        fault = server.faults.pop(0) if server.faults else ""
        if fault.isdecimal() or content is None:
            self.send_error(int(fault or 404))
        else:
            self.answer(content, fault)

    def answer(self, content: bytes, fault: str) -> None:
        whole = len(content)
        if fault == "other file":
            content = bytes(whole)
        elif fault == "too long":
            content += b"and more"
        elif fault == "short file":
            content = content[: whole // 2]
        self.send_response(200)
        if fault == "as a page":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "cut":
            self.wfile.write(content[: whole // 2])
        elif fault == "stall":
            self.wfile.write(content[: whole // 2])
            self.wfile.flush()
            self.server.go_on.wait(20)
        elif fault == "drip":
            for piece in range(0, whole, 10_000):
                self.wfile.write(content[piece : piece + 10_000])
                time.sleep(0.02)
        else:
            self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)  # between its attempts
    monkeypatch.setattr(downloads, "TIMEOUT", (2, 0.5))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.files["a.bin"] = CONTENT
        yield running
        running.go_on.set()
        running.shutdown()
        thread.join()


def remote(server: Server, name: str = "a.bin", content: bytes = CONTENT) -> downloads.RemoteFile:
    return downloads.RemoteFile(server.url + name, len(content), hashlib.sha256(content).hexdigest())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def fetch(server: Server, folder: Path) -> None:
    downloads.fetch("letters", [remote(server)], folder)


def test_a_file_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        fetch(server, tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "a.bin").read_bytes() == CONTENT
    assert server.requests == ["a.bin"]
    assert names(tmp_path / "new" / "folder") == {"a.bin"}


def test_a_file_that_the_user_put_there_is_not_downloaded(server, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    monkeypatch.setitem(sys.modules, "pooch", None)  # nor is pooch needed
    fetch(server, tmp_path)
    assert server.requests == []


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"?"])
def test_a_damaged_file_is_downloaded_again(server, tmp_path, damage):
    (tmp_path / "a.bin").write_bytes(damage)
    fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "faults",
    [["cut"], ["cut", "cut"], ["stall"], ["500", "503"], ["other file"], ["as a page"], ["drip"]],
    ids="-".join,
)
def test_a_download_that_fails_is_repeated(server, tmp_path, faults):
    server.faults = list(faults)
    fetch(server, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert names(tmp_path) == {"a.bin"}
    assert len(server.requests) == (1 if faults[0] in ("as a page", "drip") else len(faults) + 1)


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        ("404", r"a\.bin from 127\.0\.0\.1:\d+: it answers 404 Not Found: run it again with"),
        ("403", "it answers 403 Forbidden"),
        ("500", "it answers 500 Internal Server Error"),
        ("other file", "its SHA-256 is not the published one"),
        ("too long", "its SHA-256 is not the published one"),
        ("short file", "its SHA-256 is not the published one"),
        ("cut", "the connection broke off"),
        ("stall", "no answer within 0.5 seconds"),
    ],
)
def test_a_download_that_fails_three_times_is_an_error_and_leaves_no_file(server, tmp_path, fault, match):
    server.faults = [fault] * 3
    with pytest.raises(fd.DataError, match=f"^letters: its files must be downloaded once; got: .*{match}"):
        fetch(server, tmp_path)
    assert len(server.requests) == 3
    assert names(tmp_path) == set()
    fetch(server, tmp_path)
    assert names(tmp_path) == {"a.bin"}


def test_without_a_network_the_message_names_files_and_places(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT", (0.2, 0.2))
    files = [
        dataclasses.replace(remote(server, name), url=f"http://127.0.0.1:9/data/{name}")
        for name in ("a.bin", "b.bin", "c.bin")
    ]
    (tmp_path / "b.bin").write_bytes(CONTENT)
    with pytest.raises(fd.DataError, match="no connection") as caught:
        downloads.fetch("letters", files, tmp_path)
    assert str(caught.value) == (
        "letters: its files must be downloaded once; got: a.bin from 127.0.0.1:9: no connection: "
        f"run it again with a network, or put a.bin, c.bin from http://127.0.0.1:9/data/ into {tmp_path}"
    )


def test_without_pooch_the_message_says_what_to_install(server, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        fd.DataError, match=r"pooch is not installed \(pip install 'pooch>=1.8' 'filelock>=3.12'\)"
    ):
        fetch(server, tmp_path)
    assert server.requests == []


def test_all_published_files_come_over_https():
    for data in published.PUBLISHED.values():
        assert all(file.url.startswith("https://") for file in data.files)


def test_a_folder_that_cannot_be_made_is_refused(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(fd.DataError, match=r"letters: its files must be downloaded once; got: .*file"):
        fetch(server, tmp_path / "file" / "folder")


# -- several processes ---------------------------------------------------------------------------------------

PROGRAM = """
import sys
from pathlib import Path
from fastdigits.data import downloads
url, folder, size, sha256 = sys.argv[1:]
downloads.fetch("letters", [downloads.RemoteFile(url, int(size), sha256)], Path(folder))
"""


def start(server: Server, folder: Path) -> subprocess.Popen:
    file = remote(server)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, file.url, folder, str(file.size), file.sha256],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
        # A test run that a shell put into the background ignores the signal, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def temporary_sizes(folder: Path) -> list[int]:
    """Return the sizes of temporary files; pooch also makes one for a moment to see that it may write there."""
    sizes = []
    for path in folder.glob("tmp*"):
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sizes


@pytest.mark.skipif(os.name != "posix", reason="starts processes as POSIX does")
def test_processes_that_start_together_download_once(server, tmp_path):
    server.faults = ["drip"] * 3
    running = [start(server, tmp_path) for _ in range(3)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [("", 0)] * 3
    assert server.requests == ["a.bin"]
    assert names(tmp_path) == {"a.bin"}
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_ended_leaves_no_file_that_passes_as_whole(server, tmp_path, how):
    server.faults = ["stall"]
    process = start(server, tmp_path)
    try:
        wait_for(lambda: any(size > 100_000 for size in temporary_sizes(tmp_path)))
    finally:
        process.send_signal(how)
        process.communicate()
    assert process.returncode != 0
    assert not (tmp_path / "a.bin").exists()
    fetch(server, tmp_path)
    assert names(tmp_path) == {"a.bin"}
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


# -- data sets -----------------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    code = {"uint8": 8, "int32": 12}[array.dtype.name]
    start = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return gzip.compress(start + array.astype(array.dtype.newbyteorder(">")).tobytes())


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, 28, 28)).astype(np.uint8)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTDIGITS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def publish(monkeypatch, server: Server, name: str, contents: dict[str, bytes]) -> None:
    """Let the server have the files of a data set, with other contents."""
    server.files |= contents
    data = published.PUBLISHED[name]
    files = tuple(remote(server, file.name, contents[file.name]) for file in data.files)
    monkeypatch.setitem(published.PUBLISHED, name, dataclasses.replace(data, files=files))


def test_emnist_is_transposed_and_its_labels_count_from_0(server, cache, monkeypatch, tmp_path):
    data = published.PUBLISHED["emnist-letters"]
    x, y, x_test, y_test = (
        images(5),
        np.array([1, 26, 3, 2, 1], np.uint8),
        images(2),
        np.array([5, 1], np.uint8),
    )
    stored = [x.transpose(0, 2, 1).copy(), y, x_test.transpose(0, 2, 1).copy(), y_test]
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        for name, array in zip(data.arrays, stored, strict=True):
            archive.writestr(name, idx(array))
    publish(monkeypatch, server, "emnist-letters", {"gzip.zip": (tmp_path / "gzip.zip").read_bytes()})
    for _ in ("downloaded", "from the cache"):
        found = fd.load_data("emnist-letters")
        for pair, wanted in zip(found, ((x, y), (x_test, y_test)), strict=True):
            np.testing.assert_array_equal(pair[0], wanted[0])
            np.testing.assert_array_equal(pair[1], wanted[1] - 1)
            assert (pair[0].dtype, pair[1].dtype) == (np.uint8, np.uint8)
            assert not any(array.flags.writeable for array in pair)
        assert (found.classes, found.class_names[:3]) == (26, ("A", "B", "C"))
        (cache / "emnist" / "gzip.zip").unlink(missing_ok=True)
    assert server.requests == ["gzip.zip"]


def test_qmnist_has_its_class_in_the_first_column(server, cache, monkeypatch):
    y, y_test = np.arange(32, dtype=np.int32).reshape(4, 8) // 8, np.zeros((2, 8), np.int32)
    contents = [images(4), y, images(2), y_test]
    names_ = published.PUBLISHED["qmnist"].arrays
    publish(monkeypatch, server, "qmnist", dict(zip(names_, map(idx, contents), strict=True)))
    found = fd.load_data("qmnist")
    assert found.train[1].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(found.test[0], images(2))


def test_a_damaged_cache_is_decoded_again(server, cache, monkeypatch):
    names_ = published.PUBLISHED["kmnist"].arrays
    arrays = [images(4), np.array([0, 1, 2, 9], np.uint8), images(2), np.array([3, 4], np.uint8)]
    publish(monkeypatch, server, "kmnist", dict(zip(names_, map(idx, arrays), strict=True)))
    fd.load_data("kmnist")
    (stored,) = cache.glob("kmnist-train-images-*.npy")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    (cache / "kmnist-train-images-of-mine-x.npy").touch()  # a name that is not ours
    found = fd.load_data("kmnist")
    np.testing.assert_array_equal(found.train[0], arrays[0])
    assert found.class_names == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    assert len(server.requests) == 4


def test_without_a_home_the_message_says_what_to_set(monkeypatch):
    monkeypatch.setattr(published.cache, "folder", lambda: None)
    with pytest.raises(fd.DataError, match=r"kmnist: needs a folder .* FASTDIGITS_CACHE"):
        fd.load_data("kmnist")


DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_real_fashion_mnist_has_the_sha256_that_we_hold(server, cache, monkeypatch):
    # Debian left name and time out of the published files' headers; their times give back the very same bytes.
    times = dict.fromkeys(("t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"), 1504176627)
    times |= dict.fromkeys(("train-labels-idx1-ubyte", "train-images-idx3-ubyte"), 1504176606)
    for name, written in times.items():
        header = struct.pack("<4sIBB", b"\x1f\x8b\x08\x08", written, 0, 3) + name.encode() + b"\0"
        server.files[f"{name}.gz"] = header + (DEBIAN / f"{name}.gz").read_bytes()[10:]
    data = published.PUBLISHED["fashion-mnist"]
    files = tuple(dataclasses.replace(file, url=server.url + file.name) for file in data.files)
    monkeypatch.setitem(published.PUBLISHED, "fashion-mnist", dataclasses.replace(data, files=files))
    monkeypatch.setattr(downloads, "TIMEOUT", (2, 20))
    server.faults = ["cut"]
    found = fd.load_data("fashion-mnist")
    assert (found.train[0].shape, found.test[0].shape) == ((60000, 28, 28), (10000, 28, 28))
    assert np.bincount(found.test[1]).tolist() == [1000] * 10
    assert found.class_names[9] == "Ankle boot"
    assert len(server.requests) == 5
