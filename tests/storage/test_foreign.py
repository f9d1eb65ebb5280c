"""Models of other programs are known by their bytes; files that are open, and bytes, are models too."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import tempfile
import warnings
import zipfile
import zlib

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.commands import evaluate
from fastdigits.storage import foreign


class Boom:
    """Ends the test where it is unpickled."""

    def __reduce__(self):
        return (pytest.exit, ("a pickle was opened",))


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return content.getvalue()


def npz(**arrays) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def onnx(tmp_path) -> bytes:
    fd.NeuralNetwork([fd.Dense(4, 3)]).export_onnx(tmp_path / "a.onnx")
    return (tmp_path / "a.onnx").read_bytes()


LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00"
FILES = {
    "torch.save": (
        archive("a/data.pkl", "a/byteorder", "a/data/0"),
        r"a file of torch\.save: net\.load_torch_state",
    ),
    "torch.save, older": (
        LEGACY,
        r"a file of torch\.save in its older format: net\.load_torch_state_dict\(torch\.load",
    ),
    "TorchScript": (archive("a/data.pkl", "a/constants.pkl"), r"a TorchScript file: .*torch\.jit\.load"),
    "torch.export": (archive("a/archive_format", "a/data.pkl"), r"a program of torch\.export: "),
    "Keras 3": (
        archive("metadata.json", "config.json", "model.weights.h5"),
        r"a \.keras file: open it with Keras and",
    ),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file, such as .h5 from Keras"),
    "SavedModel": (b"\x08\x01\x12\xff" + bytes(90), "a TensorFlow SavedModel"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(90), "a TensorFlow Lite model"),
    ".npz": (npz(x=np.zeros(3)), r"an \.npz file of NumPy: copy its arrays"),
    ".npy": (b"\x93NUMPY\1\0", "a NumPy array"),
    "ZIP": (archive("a.txt"), "a ZIP archive: unpack it first"),
    "gzip": (gzip.compress(b"a"), "a file packed with gzip: unpack"),
    "bzip2": (bz2.compress(b"a"), "a file packed with bzip2"),
    "xz": (lzma.compress(b"a"), "a file packed with xz"),
    "zlib": (zlib.compress(b"a" * 99), "compressed data, such as from joblib"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:",
        "a pointer of Git LFS: download the file with git lfs pull",
    ),
    "HTML": (b"\n<!DOCTYPE html><html>", "a web page"),
    "JSON": (b'{"format": 1}', "JSON: name the model"),
    "empty JSON": (b"{}", "JSON: name the model"),
    "CSV": (b"label,pixel0,pixel1\n7,0,255\n", "text, such as a table: name the model file itself"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "a picture: to classify it, use fastdigits predict"),
    "IDX": (
        b"\0\0\x08\x03\0\0\0\1",
        r"an IDX file of images: for images and labels, use fastdigits\.load_data",
    ),
} | {
    f"pickle {protocol}": (
        pickle.dumps({"w": [Boom()]}, protocol),
        r"a pickle, .*: opening it may run any code",
    )
    for protocol in range(6)
    if protocol != 1  # it has no mark of its own
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_a_file_of_another_program_is_named_whatever_its_ending(tmp_path, name, ending):
    content, match = FILES[name]
    path = tmp_path / f"model{ending}"
    path.write_bytes(content)
    for given in (path, io.BytesIO(content), content):
        with pytest.raises(
            fd.ModelFileError, match=rf"must be a model file that net\.save wrote; got {match}"
        ):
            fd.load(given)


def test_an_onnx_graph_is_named(tmp_path):
    pytest.importorskip("onnx")
    with pytest.raises(fd.ModelFileError, match="got an ONNX graph: open it with its own library and copy"):
        fd.load(onnx(tmp_path))


def test_the_commands_say_the_same(tmp_path, capsys):
    (tmp_path / "model.pt").write_bytes(FILES["torch.save"][0])
    assert evaluate.main(["--model", str(tmp_path / "model.pt")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(
        f"fastdigits evaluate: error: {tmp_path / 'model.pt'}: must be a model file that net.save wrote"
    )
    assert "got a file of torch.save: " in err
    assert err.count("\n") == 1


def test_of_a_large_archive_only_both_ends_are_looked_at(tmp_path):
    path = tmp_path / "large.pt"
    with open(path, "wb") as file:
        file.write(archive("large/data.pkl")[:64])
        file.seek(1 << 33)
        file.write(b"large/data.pkl")
    with pytest.raises(fd.ModelFileError, match=r"got a file of torch\.save"):
        fd.load(path)


def test_a_model_is_never_taken_for_one_of_these(tmp_path):
    """The length at the beginning of a model file may be the mark of another."""
    network = fd.NeuralNetwork([fd.Dense(2, 2)])
    network.save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].rstrip(b" ")
    for mark in (0x9C78, 0x0580, 0x8B1F):  # zlib, pickle, gzip
        longer = mark.to_bytes(8, "little") + header.ljust(mark) + content[8 + length :]
        assert foreign.identify(io.BytesIO(longer)) == ""
        assert fd.load(longer).input_width == 2


def test_a_checkpoint_is_no_file_of_another_program(tmp_path):
    network = fd.NeuralNetwork([fd.Dense(4, 2)])
    network.fit(np.eye(4), np.array([0, 1, 0, 1]), epochs=2, callbacks=[fd.Checkpoint(tmp_path, every=1)])
    path = next(tmp_path.glob("checkpoint*"))
    with pytest.raises(
        fd.ModelFileError, match=r"got 'fastdigits-checkpoint': pass a file of format 'fastdigits'$"
    ):
        fd.load(path)


# -- following what the messages say -------------------------------------------------------------------------


def followed(expression: str, **names):
    """Do what a message says, with ``path``, ``net`` and what else it names."""
    exec(expression, names)


@pytest.mark.needs("torch")
@pytest.mark.parametrize("way", ["zip", "older", "script", "export", "safetensors"])
def test_what_the_message_says_of_a_file_of_pytorch_works(tmp_path, way):
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    path = str(tmp_path / "model.pt2")
    names = {"torch": torch, "path": path}
    with warnings.catch_warnings(action="ignore"):
        if way == "script":
            torch.jit.script(module).save(path)
        elif way == "export":
            torch.export.save(torch.export.export(module, (torch.ones(1, 4),)), path)
        elif way == "safetensors":
            names["safetensors"] = pytest.importorskip("safetensors")
            pytest.importorskip("safetensors.torch").save_file(module.state_dict(), path)
        else:
            torch.save(module.state_dict(), path, _use_new_zipfile_serialization=way == "zip")
    with pytest.raises(
        fd.ModelFileError, match=r"(net\.load_torch_state_dict\(.*\)) loads the tensors"
    ) as caught:
        fd.load(path)
    hint = str(caught.value)
    start = hint.index("net.load_torch_state_dict(")
    net = fd.NeuralNetwork([fd.Dense(4, 8), fd.ReLU(), fd.Dense(8, 3)])
    with warnings.catch_warnings(action="ignore"):
        followed(hint[start : hint.index(" loads the tensors")], net=net, **names)
        wanted = module(torch.ones(1, 4)).detach().numpy()
    np.testing.assert_allclose(net.forward(np.ones((1, 4), np.float32)), wanted, rtol=1e-5, atol=1e-6)


# -- files that are open, and bytes --------------------------------------------------------------------------


@pytest.fixture
def network():
    return fd.NeuralNetwork([fd.Dense(6, 4), fd.BatchNorm(4), fd.Dense(4, 3)], seed=3)


def test_a_model_goes_through_files_that_are_open(tmp_path, network):
    network.save(tmp_path / "model")
    content = (tmp_path / "model").read_bytes()
    buffer = io.BytesIO()
    network.save(buffer)
    assert buffer.getvalue() == content
    for mode in ({}, {"buffering": 0}):
        with open(tmp_path / "again", "wb", **mode) as file:
            network.save(file)
            assert not file.closed
        with open(tmp_path / "again", "rb", **mode) as file:
            same = fd.load(file)
        np.testing.assert_array_equal(same.parameters()[0].value, network.parameters()[0].value)
    buffer.seek(0)
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + content)
        file.seek(6)
        for given in (content, bytearray(content), memoryview(content), buffer, file):
            assert fd.load(given).seed == 3
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as pack, pack.open("model", "w") as member:
        network.save(member)
    with zipfile.ZipFile(tmp_path / "a.zip") as pack, pack.open("model") as member:
        assert fd.load(member).seed == 3


def test_a_file_that_takes_a_part_at_a_time_gets_all(network):
    class Slow(io.RawIOBase):
        content = b""

        def writable(self):
            return True

        def write(self, part):
            self.content += bytes(part[:100])
            return len(part[:100])

    slow, whole = Slow(), io.BytesIO()
    network.save(slow)
    network.save(whole)
    assert slow.content == whole.getvalue()


def test_errors_name_a_file_that_is_open(tmp_path):
    (tmp_path / "model").write_bytes(b"no model")
    with (
        open(tmp_path / "model", "rb") as file,
        pytest.raises(fd.ModelFileError, match=r"model: must be a readable"),
    ):
        fd.load(file)
    with pytest.raises(fd.ModelFileError, match=r"^BytesIO: must be a readable safetensors file"):
        fd.load(io.BytesIO())
    with pytest.raises(fd.ModelFileError, match=r"^bytes: must be a model file .*; got text"):
        fd.load(b"model.safetensors")


@pytest.mark.parametrize("given", [None, 3, io.StringIO(), np.zeros(9, np.uint8), json])
def test_what_is_no_file_is_told(given, network):
    with pytest.raises(
        TypeError, match=r"load: path must be a path or an open binary file; got \w+: open\(name, 'rb'\)"
    ):
        fd.load(given)
    with pytest.raises(
        TypeError, match=r"save: path must be a path or an open binary file; got \w+: open\(name, 'wb'\)"
    ):
        network.save(given)


def test_a_file_that_is_open_for_text_is_told(tmp_path):
    with (
        tempfile.NamedTemporaryFile("w+") as file,
        pytest.raises(TypeError, match="load: path must be a path"),
    ):
        fd.load(file)
    with open(os.devnull) as file, pytest.raises(TypeError, match="got TextIOWrapper"):
        fd.load(file)


def test_a_run_and_what_is_no_file_are_told(tmp_path, network):
    with pytest.raises(fd.ModelFileError, match=r"must be a model file; got a folder$"):
        fd.load(tmp_path)
    network.save(tmp_path / "model.safetensors")
    with pytest.raises(fd.ModelFileError, match=r"got a folder: name .*model\.safetensors$"):
        fd.load(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(fd.ModelFileError, match=r"pipe: must be .* got: a pipe, not a regular file"):
            fd.load(tmp_path / "pipe")
