"""Files of arrays: what is written, the library reads; what is not as the format has it, is refused by its name."""

import json

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.storage.safetensors import encode, read

ARRAYS = {
    "b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a": np.zeros((0, 4), dtype=np.float32),
    "one": np.full((), 7, dtype=np.float32),
}


def library():
    return pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")


def file_of(header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def test_what_is_written_is_read_back_by_this_package_and_by_the_library(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(encode(ARRAYS, "kind", fact=[1, None]))
    metadata, ours = read(path, "kind")
    assert metadata == {"format": "kind", "version": "1", "fact": "[1, null]"}
    theirs = library().load_file(path)
    assert ours.keys() == theirs.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        for read_back in (ours[name], theirs[name]):
            assert read_back.shape == array.shape
            assert read_back.dtype == np.float32
            np.testing.assert_array_equal(read_back, array)
        assert ours[name].flags.writeable


def test_what_the_library_writes_is_read(tmp_path):
    path = tmp_path / "file"
    library().save_file(ARRAYS, path, {"format": "kind", "version": "1"})
    np.testing.assert_array_equal(read(path, "kind")[1]["b"], ARRAYS["b"])


def test_an_array_of_another_type_is_not_written():
    with pytest.raises(TypeError, match="b: an array in a file must be float32; got float64"):
        encode({"b": np.zeros(3)}, "kind")


def entry(shape, offsets):
    return {"dtype": "F32", "shape": shape, "data_offsets": offsets}


KIND = {"__metadata__": {"format": "kind", "version": "1"}}
WHOLE = file_of(KIND | {"a": entry([2], [0, 8]), "b": entry([1], [8, 12])}, bytes(12))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "readable safetensors file; got a header of 0 bytes in a file of 0$"),
        (WHOLE[:20], "readable safetensors file; got a header of [0-9]+ bytes in a file of 20$"),
        (file_of(b" " + json.dumps(KIND).encode()), "safetensors file, whose header begins with {; got b' '"),
        (file_of(b'{"\xff":1}'), "readable safetensors file; got: .*decode byte 0xff"),
        (file_of(b'{"a":' * 100_000), "readable safetensors file; got: "),
        (file_of({"__metadata__": [1]}), r"metadata must be strings by name; got \[1\]"),
        (file_of({"__metadata__": {"format": 1}}), "metadata must be strings by name; got"),
        (file_of(KIND | {"a": 3}), "a must be an object; got 3"),
        (file_of(KIND | {"a": entry([-1], [0, 4])}), r"a: shape must be whole numbers of at least 0; got \[-1\]"),
        (file_of(KIND | {"a": entry([1], [0, 4.0])}, bytes(4)), "a: data_offsets must be whole numbers"),
        (file_of(KIND | {"a": entry([True], [0, 4])}, bytes(4)), "a: shape must be whole numbers"),
        (file_of(KIND | {"a": entry([2**70, 0], [0, 0])}), "dimension|large"),
        (file_of(KIND | {"a": entry([2**62, 2**62, 0], [0, 0])}), "dimension|big|reshape"),
        (file_of(KIND | {"a": entry([1] * 33, [0, 4])}, bytes(4)), "a must have 32 dimensions at most; got 33"),
        (file_of(KIND | {"a": entry([2**62], [0, 2**64])}), "readable safetensors file; got a at"),
        (file_of(KIND | {"a": entry([1], [0, 4, 8])}, bytes(8)), "readable safetensors file; got a at"),
        (file_of(KIND | {"a": entry([1], [4, 8])}, bytes(8)), r"got a at \[4, 8\]: .* it must be at \[0, 4\]"),
        (
            file_of(KIND | {"a": entry([2], [0, 8]), "b": entry([1], [4, 8])}, bytes(8)),
            r"got b at \[4, 8\]: .* within 8 bytes, it must be at \[8, 12\]",
        ),
        (WHOLE[:-1], r"got b at \[8, 12\]: .* within 11 bytes"),
        (WHOLE + b"x", "got 1 bytes after its last array"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_the_format_has_it_is_refused(tmp_path, content, match):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(fd.ModelFileError, match=match) as caught:
        read(path, "kind")
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 1000
