"""Images of any kind are opened; what cannot be opened is an error that says why."""

import io

import numpy as np
import pytest
from PIL import Image

import fastdigits as fd
from fastdigits.imaging import opening
from fastdigits.imaging.opening import open_image


def whole_png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "must be a picture that Pillow reads, such as PNG or JPEG; got something else: save"),
        (b"hello", "must be a picture that Pillow reads"),
        (whole_png()[:900], "must be a whole picture; got a damaged one"),
        (b"P5 9 9 255\n", "must be a whole picture; got a damaged one"),
    ],
)
def test_a_file_that_is_not_a_whole_image_is_refused(tmp_path, content, match):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(fd.DataError, match=rf"a\.png: {match}"):
        fd.prepare(tmp_path / "a.png")


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(fd.DataError, match=r"none\.png: must be a file that can be read; got: No such file"):
        fd.prepare(tmp_path / "none.png")
    with pytest.raises(fd.DataError, match="must be a file that can be read; got: a folder"):
        fd.prepare(tmp_path)


def test_a_name_with_a_nul_is_refused():
    with pytest.raises(fd.DataError, match=r"'a\\x00b': must be a whole picture"):
        fd.prepare("a\0b")


def test_an_image_that_is_too_large_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(whole_png())
    monkeypatch.setattr(opening, "MOST_PIXELS", 2999)
    with pytest.raises(fd.DataError, match=r"a\.png: must have at most 2,999 pixels; got 50 × 60: scale"):
        fd.prepare(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"prepare: image: must have at most 2,999 pixels; got 50 × 60"):
        fd.prepare(np.zeros((60, 50)))


def test_a_decompression_bomb_is_refused(tmp_path):
    header = b"P5 30000 30000 255\n"  # 900 million pixels in 20 bytes
    (tmp_path / "bomb.pgm").write_bytes(header)
    with pytest.raises(fd.DataError, match=r"bomb\.pgm: must have at most 100,000,000 pixels; got even more"):
        fd.prepare(tmp_path / "bomb.pgm")


def test_an_image_without_memory_for_it_is_refused(tmp_path, monkeypatch):
    def full(_image):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(whole_png())
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", full)
    with pytest.raises(
        fd.DataError, match=r"a\.png: must fit into memory; got a picture that does not: scale"
    ):
        fd.prepare(tmp_path / "a.png")


def test_an_image_without_pixels_is_refused():
    with pytest.raises(fd.DataError, match="must have pixels; got 0 × 5"):
        fd.prepare(Image.new("L", (0, 5)))
    with pytest.raises(ValueError, match=r"must have pixels; got \(0, 5\)"):
        fd.prepare(np.zeros((0, 5)))


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((5,), r"must be \(height, width\) or \(height, width, channels\), 1 to 4 channels; got \(5,\)$"),
        ((9, 9, 5), r"got \(9, 9, 5\): one picture at a time"),
        ((2, 9, 9, 3), r"got \(2, 9, 9, 3\): one picture at a time"),
    ],
)
def test_an_array_of_another_shape_is_refused(shape, match):
    with pytest.raises(ValueError, match=match):
        fd.prepare(np.zeros(shape))


@pytest.mark.parametrize("value", [-1, 256, 70000, float("nan"), float("inf")])
def test_values_out_of_range_are_refused(value):
    picture = np.zeros((9, 9))
    picture[4, 4] = value
    hint = "scale them" if np.isfinite(value) else "replace values that are not finite"
    with pytest.raises(ValueError, match=rf"must hold values within 0 … 1 or 0 … 255; got .*: {hint}"):
        fd.prepare(picture)


def test_none_is_refused():
    with pytest.raises(TypeError, match="prepare: image must hold real numbers; got dtype"):
        fd.prepare(None)


def test_an_open_file_is_read():
    assert open_image(io.BytesIO(whole_png()), "x").size == (50, 60)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_may_have_channels(channels):
    picture = open_image(np.full((4, 6, channels), 255, np.uint8), "x")
    assert picture.size == (6, 4)
    assert picture.mode == ("L" if channels == 1 else "RGB" if channels > 1 else "")
    assert np.asarray(picture).min() == 255


@pytest.mark.parametrize(
    "values",
    [
        np.array([[0, 128, 255]], np.uint8),
        np.array([[0, 128 * 257, 65535]], np.uint16),
        np.array([[0, 128, 255]], np.int64),
        np.array([[0, 128 / 255, 1]]),
        np.array([[0, 128, 255]], ">f4"),
    ],
)
def test_every_kind_of_number_means_the_same_grey(values):
    np.testing.assert_allclose(np.asarray(open_image(values, "x")), [[0, 128, 255]], atol=1e-3)


def test_a_bitmap_is_black_and_white():
    np.testing.assert_array_equal(np.asarray(open_image(np.array([[True, False]]), "x")), [[255, 0]])
