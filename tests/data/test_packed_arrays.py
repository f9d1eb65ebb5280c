"""`.npz` and `.npy` files need memory in proportion to their size, and have one scale."""

import io
import struct
import zipfile

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.data import packing
from fastdigits.data.arrays import read_npy

X = np.arange(24 * 9).reshape(24, 3, 3) % 256
Y = np.arange(24) % 3


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def write(path, compression: int = zipfile.ZIP_DEFLATED, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def test_a_high_compression_ratio_is_refused_before_decompression(tmp_path, monkeypatch):
    monkeypatch.setattr(packing.check_packing, "__defaults__", (1 << 16,))
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((10_000, 9), np.uint8), y=np.arange(10_000) % 3)
    with pytest.raises(
        fd.DataError, match=r"a\.npz: x must be compressed at most 100 : 1, .*; got at least 90,000 bytes in"
    ):
        fd.load_data(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=np.zeros((10_000, 9), np.uint8), y=np.arange(10_000) % 3)
    assert fd.load_data(tmp_path / "a.npz").classes == 3


def test_a_size_that_the_list_of_files_exaggerates_does_not_help(tmp_path, monkeypatch):
    monkeypatch.setattr(packing.check_packing, "__defaults__", (1 << 16,))
    write(tmp_path / "a.npz", x=npy(np.zeros((10_000, 9), np.uint8)), y=npy(np.arange(10_000) % 3))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    listed = content.index(b"PK\x01\x02")
    content[listed + 20 : listed + 24] = struct.pack("<I", 1 << 30)  # the packed size of the first file
    (tmp_path / "a.npz").write_bytes(content)
    overlaps = r"a\.npz: .* Overlapped entries"  # what newer versions of zipfile find
    with pytest.raises(fd.DataError, match=rf"x must be compressed at most 100 : 1, |{overlaps}"):
        fd.load_data(tmp_path / "a.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bounded_ratio_is_refused(tmp_path, compression):
    write(tmp_path / "a.npz", compression, x=npy(X), y=npy(Y))
    with pytest.raises(
        fd.DataError, match="x must be stored or deflated, as NumPy writes it; got another compression"
    ):
        fd.load_data(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (npy(X)[:-1], r"x announces int64 of shape \(24, 3, 3\), 1,728 bytes; got 1,727: it is cut off"),
        (npy(X) + b"\0", "x announces .* 1,728 bytes; got 1,729"),
        (npy(np.array(["a"] * 24)).replace(b"<U1", b"<U9"), "x announces <U9 of shape .*, 864 bytes; got 96"),
        (npy(X.astype([("a", "i8")])), "x must hold numbers or text; got dtype"),
        (
            b"\x93NUMPY\3\0" + npy(X)[8:10] + b"\0\0" + npy(X)[10:],
            r"x must be of NumPy's format 1\.0 or 2\.0; got 3\.0",
        ),
        (b"no array", "x must be an array, as numpy.save writes it; got something else"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, content, match):
    write(tmp_path / "a.npz", x=content, y=npy(Y))
    with pytest.raises(fd.DataError, match=rf"a\.npz: {match}"):
        fd.load_data(tmp_path / "a.npz")
    if content[:6] == b"\x93NUMPY":
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(fd.DataError, match=match):
            read_npy(tmp_path / "x")


def test_two_arrays_of_one_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy(X))
        archive.writestr("x", npy(X))
        archive.writestr("y.npy", npy(Y))
    with pytest.raises(fd.DataError, match=r"a\.npz: must hold each array once; got several named x"):
        fd.load_data(tmp_path / "a.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int16, ">f8", np.uint8])
def test_arrays_of_any_order_are_read(tmp_path, order, dtype):
    np.savez_compressed(
        tmp_path / "a.npz", x_train=np.asarray(X, dtype, order=order), y_train=Y, x_test=X, y_test=Y
    )
    np.testing.assert_array_equal(fd.load_data(tmp_path / "a.npz").train[0], X)
    np.save(tmp_path / "a.npy", np.asarray(X, dtype, order=order))
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), X)


# -- what pixels mean ----------------------------------------------------------------------------------------

HALVES = X / 2


@pytest.mark.parametrize(
    ("train", "test", "dtype"),
    [
        (X, X.astype(np.float64), np.uint8),
        (X.astype(np.float32), X.astype(np.uint8), np.uint8),
        (X > 99, X, np.uint8),
        (X > 99, X > 99, np.uint8),
        (X, HALVES, np.float32),
        (HALVES, X.astype(np.uint8), np.float32),
        (X + 50, X, np.float32),
        (X - 1, X.astype(np.uint8), np.float32),
        (X / 255, X / 255, np.float32),
        (X % 2, X / 255, np.float32),
    ],
)
def test_the_values_of_both_parts_decide_not_their_types(tmp_path, train, test, dtype):
    np.savez(tmp_path / "a.npz", x_train=train, y_train=Y, x_test=test, y_test=Y)
    data = fd.load_data(tmp_path / "a.npz")
    assert data.train[0].dtype == data.test[0].dtype == dtype
    assert ("taken as they are" in data.note) == (dtype == np.float32)
    for (x, _), given in zip(data, (train, test), strict=True):
        ink = 255 if given.dtype == bool else 1
        np.testing.assert_array_equal(x, np.float32(given) * ink)


def test_bits_beside_0_and_1_are_0_and_1(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X > 99, y_train=Y, x_test=np.float32(X > 99), y_test=Y)
    for x, _ in fd.load_data(tmp_path / "a.npz"):
        np.testing.assert_array_equal(x, np.uint8(X > 99))


@pytest.mark.parametrize("swapped", [False, True])
def test_pixels_beside_fractions_are_refused(tmp_path, swapped):
    parts = [X.astype(np.uint8), X / 255][:: -1 if swapped else 1]
    np.savez(tmp_path / "a.npz", x_train=parts[0], y_train=Y, x_test=parts[1], y_test=Y)
    with pytest.raises(
        fd.DataError,
        match=r"a\.npz: images .* must have one scale; got whole numbers up to 215 .* fractions of 0 … 1",
    ):
        fd.load_data(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (np.where(Y == 2, np.nan, Y), "got nan, a missing label, for 8 images, the first at 2: omit"),
        (np.where(Y == 2, "", Y.astype(str)), "labels must not be missing; got ''"),
        (np.where(Y == 2, "1e1", Y.astype(str)), "labels must be plain whole numbers, .*; got '1e1'"),
        (Y + 2**40, "numbers of classes from 0 to 9,999, or words; got 1099511627776 to"),
        (np.array([2**64 - 1] * 12 + [0] * 12, np.uint64), "got 0 to 18446744073709551615"),
        (np.arange(10_001).astype("U9"), "labels must have at most 10,000 different values"),
    ],
)
def test_wrong_labels_are_refused(tmp_path, y, match):
    np.savez(tmp_path / "a.npz", x=np.zeros((len(y), 9), np.uint8), y=y)
    with pytest.raises(fd.DataError, match=rf"a\.npz: .*{match}"):
        fd.load_data(tmp_path / "a.npz")
