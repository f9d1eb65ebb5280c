"""`load_data` recognizes the formats of a user's files, and refuses others."""

import gzip
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastdigits as fd
from fastdigits.data import loading

RNG = np.random.default_rng(5)
X = RNG.integers(0, 256, (24, 5, 4)).astype(np.uint8)
Y = np.arange(24) % 3
X_TEST, Y_TEST = X[:6] ^ 255, Y[:6]


def check(data: fd.Dataset, names: tuple[str, ...] = ("0", "1", "2")) -> None:
    """The data are those above, with their own images to test on."""
    (x, y), (x_test, y_test) = data
    for found, wanted in ((x, X), (y, Y), (x_test, X_TEST), (y_test, Y_TEST)):
        np.testing.assert_array_equal(found, wanted)
    assert x.dtype == x_test.dtype == np.uint8
    assert (data.class_names, data.classes, data.image_shape) == (names, len(names), (5, 4))


def check_split(data: fd.Dataset, n: int = 24) -> None:
    """A sixth of the images is set apart, of each class its share, none twice."""
    (x, y), (x_test, y_test) = data
    assert (len(y), len(y_test)) == (n - n // 6, n // 6)
    together = sorted(image.tobytes() for image in np.concatenate([x, x_test]))
    assert together == sorted(image.tobytes() for image in X[:n])
    for image, label in zip(np.concatenate([x, x_test]), np.concatenate([y, y_test]), strict=True):
        assert Y[[image.tobytes() == other.tobytes() for other in X]] == [label]


# -- names ---------------------------------------------------------------------------------------------------


def test_mnist_needs_nothing():
    data = fd.load_data("mnist")
    (x, _), (_, y_test) = data
    assert (x.shape, y_test.shape) == ((60000, 28, 28), (10000,))
    assert (data.source, data.classes, data.class_names[7], data.note) == ("mnist", 10, "7", "")


def test_a_data_set_is_shown_in_one_line():
    assert repr(fd.load_data("mnist")) == (
        "<Dataset mnist: 60,000 training and 10,000 test images of 28 x 28, 10 classes>"
    )


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (
            "fashon-mnist",
            "'fashon-mnist': data must be one of mnist, fashion-mnist, .*: did you mean fashion-mnist",
        ),
        ("here/nothing", r"or a folder of four IDX files, .*; got nothing of this name$"),
        ("", "'': data must be one of"),
        ("a\0b", r"'a\\x00b': data must be one of"),
    ],
)
def test_an_unknown_source_is_refused_with_a_list(name, match):
    with pytest.raises(fd.DataError, match=match):
        fd.load_data(name)


def test_the_name_goes_before_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    assert fd.load_data("mnist").classes == 10
    with pytest.raises(
        fd.DataError, match=r"mnist: must be a folder of four IDX files, .*; got a folder with none"
    ):
        fd.load_data("./mnist")


@pytest.mark.parametrize(("name", "content"), [("notes.txt", b"1,2"), ("model.safetensors", b"")])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        fd.DataError,
        match=r"must be a folder .* or an \.npz file; got a file of another kind: save a table as \.csv",
    ):
        fd.load_data(tmp_path / name)


def test_a_seed_must_be_a_count():
    with pytest.raises(ValueError, match="load_data: seed must be at least 0; got -1"):
        fd.load_data("mnist", seed=-1)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (
            "label,pixel0,pixel1,pixel2\n0,1,2\n1,2,3\n",
            "4 in the heading, 3 of them numbers, and 3 on each line",
        ),
        ("label,id\n0,1\n1,2\n", "2 in the heading, 0 of them numbers, and 2 on each line"),
    ],
)
def test_a_csv_whose_heading_does_not_fit_its_lines_is_refused(tmp_path, text, got):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(fd.DataError, match=f"as many cells as the heading; got {got}"):
        fd.load_data(tmp_path / "a.csv")


def test_a_csv_with_a_field_that_is_too_long_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text(f"label,{'9' * 200_000}\n0,1\n")
    with pytest.raises(fd.DataError, match="must be a text file that can be read; got: field larger"):
        fd.load_data(tmp_path / "a.csv")


def test_an_npz_file_with_a_password_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for start in (
        b"PK\x03\x04",
        b"PK\x01\x02",
    ):  # the flag in the headers of each file, and in the list of them
        at = content.find(start)
        while at >= 0:
            content[at + (6 if start == b"PK\x03\x04" else 8)] |= 1
            at = content.find(start, at + 1)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(fd.DataError, match=r"must be an \.npz file of numbers; got: .*password"):
        fd.load_data(tmp_path / "a.npz")


# -- npz -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_an_npz_file_is_read(tmp_path, keys):
    np.savez(tmp_path / "a.npz", **dict(zip(keys, (X, Y, X_TEST, Y_TEST), strict=True)))
    check(fd.load_data(str(tmp_path / "a.npz")))
    np.savez_compressed(tmp_path / "a.npz", **dict(zip(keys, (X, Y, X_TEST, Y_TEST), strict=True)))
    check(fd.load_data(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X.astype(np.int64), Y.astype(np.uint8)),
        (X[..., np.newaxis], Y[:, np.newaxis]),
        (X[:, np.newaxis], Y.astype(np.float32)),
        (X, Y.astype(str)),
        (X, Y.astype("S1")),
    ],
    ids=["int64", "a channel behind", "a channel before", "text", "bytes"],
)
def test_labels_and_images_of_other_types_mean_the_same(tmp_path, x, y):
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=X_TEST, y_test=Y_TEST)
    check(fd.load_data(tmp_path / "a.npz"))


def test_floats_do_not_change_and_bits_become_0_and_255(tmp_path):
    np.savez(tmp_path / "a.npz", x=X / np.float32(255), y=Y)
    assert fd.load_data(tmp_path / "a.npz").train[0].dtype == np.float32
    np.savez(tmp_path / "a.npz", x=X > 99, y=Y)
    assert np.unique(fd.load_data(tmp_path / "a.npz").train[0]).tolist() == [0, 255]


@pytest.mark.parametrize(("width", "shape"), [(64, (8, 8)), (16, (1, 16)), (80, (1, 80))])
def test_rows_are_squares_where_they_can_be(tmp_path, width, shape):
    np.savez(tmp_path / "a.npz", x=np.tile(X.reshape(24, 20), 4)[:, :width], y=Y)
    assert fd.load_data(tmp_path / "a.npz").image_shape == shape


def test_without_test_images_the_seed_selects_a_sixth(tmp_path):
    np.savez(tmp_path / "a.npz", images=X, labels=Y)
    first = fd.load_data(tmp_path / "a.npz")
    check_split(first)
    assert first.note == "no images to test on: 4 of 24 are set apart for it, by seed 0"
    again, other = fd.load_data(tmp_path / "a.npz", seed=0), fd.load_data(tmp_path / "a.npz", seed=1)
    np.testing.assert_array_equal(first.test[0], again.test[0])
    assert not np.array_equal(first.test[0], other.test[0])
    check_split(other)


def test_the_split_is_stratified(tmp_path):
    y = np.repeat([0, 1, 2], [60, 120, 420])
    np.savez(tmp_path / "a.npz", x=np.zeros((600, 9), np.uint8), y=y)
    data = fd.load_data(tmp_path / "a.npz")
    assert np.bincount(data.test[1]).tolist() == [10, 20, 70]


def test_words_are_classes_and_numbers_keep_their_meaning(tmp_path):
    words = np.array(["cat", "ant", "bee"])[Y]
    np.savez(tmp_path / "a.npz", x_train=X, y_train=words, x_test=X_TEST, y_test=words[:6])
    data = fd.load_data(tmp_path / "a.npz")
    assert data.class_names == ("ant", "bee", "cat")
    np.testing.assert_array_equal(np.array(data.class_names)[data.train[1]], words)
    np.savez(tmp_path / "a.npz", x=X, y=Y + 7)
    data = fd.load_data(tmp_path / "a.npz")
    assert (data.classes, set(data.train[1].tolist())) == (10, {7, 8, 9})


def test_many_classes_are_possible(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((1200, 9), np.uint8), y=np.arange(1200) // 2)
    data = fd.load_data(tmp_path / "a.npz")
    assert (data.classes, int(max(data.train[1].max(), data.test[1].max()))) == (600, 599)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"a": X}, "must hold x_train and y_train, .*; got a$"),
        ({}, "must hold x_train and y_train, .*; got nothing"),
        ({"x_train": X}, "must hold images and labels; got train images without train labels"),
        ({"y": Y}, "must hold images and labels; got labels without images"),
        ({"x": X, "y": Y[:5]}, r"must hold one label per image, \(24,\); got labels of shape \(5,\)"),
        (
            {"x": X, "y": np.eye(3)[Y]},
            r"one label per image, \(24,\); got labels of shape \(24, 3\): .*y\.argmax",
        ),
        ({"x": X, "y": Y - 1}, "labels must be numbers of classes from 0 to 9,999, or words; got -1 to 1"),
        ({"x": X, "y": Y + 20200}, "numbers of classes .* got 20200 to 20202: number the classes"),
        ({"x": X, "y": Y + 0.5}, r"labels must be whole numbers or words; got 0\.5, 1\.5, 2\.5"),
        ({"x": X, "y": Y + np.nan}, "labels must be whole numbers or words; got nan"),
        ({"x": X, "y": Y * 0 + 4}, "must hold at least two classes; got only 4"),
        ({"x": X.astype(complex), "y": Y}, "images must hold numbers; got dtype complex128"),
        ({"x": X.astype(str), "y": Y}, "images must hold numbers; got dtype <U3"),
        ({"x": np.stack([X] * 3, -1), "y": Y}, r"got \(24, 5, 4, 3\): make them grey first"),
        (
            {"x": X[:, :, :, None, None], "y": Y},
            r"must be \(n, height, width\) or \(n, d\); got \(24, 5, 4, 1, 1\)$",
        ),
        ({"x": Y, "y": Y}, r"images must be \(n, height, width\) or \(n, d\), at least one; got \(24,\)"),
        ({"x": X[:0], "y": Y[:0]}, r"at least one; got \(0, 5, 4\)"),
        ({"x": X[:5], "y": Y[:5]}, "must hold at least 6 images, of which one is set apart .*; got 5"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
            "images to test on must have 5 x 4 pixels, as those to train on; got 4 x 4 pixels",
        ),
        ({"x": np.array([{}] * 24), "y": Y}, "x must hold numbers or text; got dtype object: save it"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_refused(tmp_path, arrays, match):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(fd.DataError, match=rf"a\.npz: .*{match}"):
        fd.load_data(tmp_path / "a.npz")


def damaged() -> dict[str, bytes]:
    whole, single, other = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez_compressed(whole, x=X, y=Y)
    np.save(single, X)
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("x", b"no array")
        archive.writestr("y", b"none")
    flipped = bytearray(whole.getvalue())
    flipped[100] ^= 255
    return {
        "empty": b"",
        "text": b"x,y",
        "cut": whole.getvalue()[:200],
        "flipped": bytes(flipped),
        "single": single.getvalue(),
        "no arrays": other.getvalue(),
    }


@pytest.mark.parametrize("name", damaged())
def test_a_damaged_npz_file_is_refused(tmp_path, name):
    (tmp_path / "a.npz").write_bytes(damaged()[name])
    with pytest.raises(fd.DataError, match=r"a\.npz: "):
        fd.load_data(tmp_path / "a.npz")


# -- csv -----------------------------------------------------------------------------------------------------


def table(x=X, y=Y, heading=True, separator=",", label=0) -> str:
    """The images as Kaggle has them; ``label`` is the place of the labels' column."""
    rows = x.reshape(len(x), -1).astype(str).tolist()
    lines = [[*row[:label], str(name), *row[label:]] for row, name in zip(rows, y, strict=True)]
    names = [f"pixel{place}" for place in range(len(rows[0]))]
    lines = [[*names[:label], "label", *names[label:]], *lines] if heading else lines
    return "\n".join(separator.join(line) for line in lines) + "\n"


SQUARES = np.concatenate([X, X], axis=2)[:, :, :5]


@pytest.mark.parametrize(
    "text",
    [
        table(SQUARES),
        table(SQUARES, heading=False),
        table(SQUARES, label=25),
        table(SQUARES, label=7),
        table(SQUARES, separator=";"),
        table(SQUARES, separator="\t", heading=False),
        table(SQUARES).replace("\n", "\r\n"),
        "\ufeff" + table(SQUARES),
        table(SQUARES).replace("label", "Class").replace("pixel", "1x"),
        table(SQUARES).replace("label", '"label"'),
        "\n".join(
            f"{number - 1 if number else ''},{line}"
            for number, line in enumerate(table(SQUARES).splitlines())
        ),
        table(SQUARES.astype(np.float32)),
        table(SQUARES, Y.astype(np.float32)),
        table(SQUARES).rstrip("\n") + "\n\n\n",
    ],
    ids=[
        "kaggle",
        "plain",
        "last",
        "inside",
        "semicolons",
        "tabs",
        "windows",
        "mark",
        "class",
        "quotes",
        "index",
        "floats",
        "float labels",
        "empty lines",
    ],
)
def test_a_csv_file_is_read(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    data = fd.load_data(tmp_path / "a.csv")
    shape = (1, 25) if text[0].isdecimal() else (5, 5)  # without names, 25 columns are too few for an image
    assert (data.classes, data.image_shape, data.train[0].dtype) == (3, shape, np.uint8)
    check_split(fd.Dataset("", *((x.reshape(-1, 5, 5)[:, :, :4], y) for x, y in data), ()))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode("utf-8")))
    packed = fd.load_data(tmp_path / "a.csv.gz")
    np.testing.assert_array_equal(packed.train[0], data.train[0])


def test_the_format_of_kaggle_is_read(tmp_path):
    (x, y), _ = fd.load_mnist()
    (tmp_path / "train.csv").write_text(table(x[:600], y[:600]))
    data = fd.load_data(tmp_path / "train.csv")
    assert (data.classes, data.image_shape) == (10, (28, 28))
    np.testing.assert_array_equal(
        np.bincount(np.concatenate([data.train[1], data.test[1]])), np.bincount(y[:600])
    )
    (image,) = np.flatnonzero((x[:600] == data.test[0][0]).all(axis=(1, 2)))
    assert y[image] == data.test[1][0]


def test_words_and_many_labels_in_a_csv_file(tmp_path):
    words = np.array(["ä b", "c", "d"])[Y]
    (tmp_path / "a.csv").write_text(table(y=words, heading=False), encoding="utf-8")
    assert fd.load_data(tmp_path / "a.csv").class_names == ("c", "d", "ä b")
    many = np.arange(700) % 350
    (tmp_path / "a.csv").write_text(table(np.zeros((700, 3, 3), np.uint8), many))
    assert fd.load_data(tmp_path / "a.csv").classes == 350


def test_a_folder_with_two_tables(tmp_path):
    (tmp_path / "train.csv").write_text(table())
    assert fd.load_data(tmp_path).note.startswith("no rows to test on: 4 of 24")
    (tmp_path / "test.csv").write_text(table(X_TEST, Y_TEST))
    (x, _), (x_test, y_test) = fd.load_data(tmp_path)
    np.testing.assert_array_equal(x.reshape(X.shape), X)
    np.testing.assert_array_equal(x_test.reshape(X_TEST.shape), X_TEST)
    np.testing.assert_array_equal(y_test, Y_TEST)
    (tmp_path / "test.csv").write_text(
        ",".join(f"pixel{place}" for place in range(20)) + "\n" + "0," * 19 + "0\n"
    )
    assert fd.load_data(tmp_path).note.startswith("test.csv has no labels; no rows to test on: 4 of 24")
    (tmp_path / "test.csv").write_text("nothing")
    with pytest.raises(fd.DataError, match=r"test\.csv: must have a label and numbers on each line"):
        fd.load_data(tmp_path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "must have a label and numbers on each line, with commas between them; got ''"),
        ("hello world\n", "with commas between them; got 'hello world'"),
        ("label,pixel0\n", "must have at least one image; got a heading only"),
        (
            "pixel0,pixel1\n1,2\n",
            "must have a column of labels, named label, .*; got 2 columns, pixel0 … pixel1: name it",
        ),
        (
            "label,pixel0\n1,2\n1,2,3\n",
            "as many cells on each line; got 2 on the first and 3 on line 3: complete the line, or remove it$",
        ),
        (
            "label,pixel0\n1,2\n1,x\n",
            "except the labels; got the word 'x' on line 3, column 'pixel0': replace the words by numbers, or "
            "remove the column$",
        ),
        (
            "label,pixel0\n1,\n",
            "got an empty cell on line 2, column 'pixel0': fill it in, or remove the line$",
        ),
        ("label,pixel0\n1,2\n1,NA\n", "got 'NA', a missing value on line 3, column 'pixel0': fill it in"),
        ("label,a\n1,2\n1,True\n", "got 'True' on line 3, column 'a': write True as 1 and False as 0$"),
        ("label,a,b\n1,2,.5\n1,2,1_0\n", "got the word '1_0' on line 3, column 'b'"),
        (
            "label,a\n1,2\n1," + "x" * 200_000,
            "as many on each; got: could not convert string 'x+ on line 3, column 2$",
        ),
        ("1,3,2\n2,,2\n", "must have its labels in the first or the last column"),
    ],
)
def test_a_csv_file_that_does_not_fit_is_refused(tmp_path, text, match):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(fd.DataError, match=rf"a\.csv: .*{match}"):
        fd.load_data(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"\xff\xfe\0"),
        ("a.csv.gz", b"label,a"),
        ("a.csv.gz", gzip.compress(b"1,2\n" * 999, mtime=0)[:-9]),
    ],
)
def test_a_csv_file_that_is_no_text_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(fd.DataError, match=r"must be a (text )?file (in UTF-8|that can be read); got: "):
        fd.load_data(tmp_path / name)


# -- folders of images ---------------------------------------------------------------------------------------


def draw(folder, x=X, y=Y, names=("0", "1", "2"), ending="png") -> None:
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:02}.{ending}")


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tiff", "pgm", "PNG"])
def test_a_folder_for_each_class_is_read(tmp_path, ending):
    draw(tmp_path, ending=ending)
    (tmp_path / "0" / "notes.txt").write_text("mine")
    (tmp_path / "0" / ".hidden.png").write_text("no image")
    (tmp_path / ".git").mkdir()
    check_split(fd.load_data(tmp_path))


@pytest.mark.parametrize("parts", [("train", "test"), ("Training", "Testing")])
def test_folders_for_training_and_testing_are_kept_apart(tmp_path, parts):
    order = np.argsort(Y, kind="stable")
    draw(tmp_path / parts[0])
    draw(tmp_path / parts[1], X_TEST, Y_TEST)
    (x, y), (x_test, y_test) = fd.load_data(tmp_path)
    np.testing.assert_array_equal(x, X[order])
    np.testing.assert_array_equal(y, Y[order])
    np.testing.assert_array_equal(x_test, X_TEST[np.argsort(Y_TEST, kind="stable")])
    assert y_test.tolist() == sorted(Y_TEST.tolist())


def test_a_training_folder_alone_is_split(tmp_path):
    draw(tmp_path / "train")
    check_split(fd.load_data(tmp_path))


def test_folders_named_by_words_and_by_some_digits(tmp_path):
    draw(tmp_path / "words", names=("bee", "ant", "cat house"))
    assert fd.load_data(tmp_path / "words").class_names == ("ant", "bee", "cat house")
    draw(tmp_path / "digits", names=("2", "10", "3"))
    data = fd.load_data(tmp_path / "digits")
    assert (data.classes, sorted(set(data.train[1].tolist()))) == (11, [2, 3, 10])


def test_colours_transparency_and_orientation(tmp_path):
    images = {
        "a/colour.png": Image.new("RGB", (4, 5), (255, 0, 0)),
        "a/clear.png": Image.new("RGBA", (4, 5), (0, 0, 0, 0)),
    }
    images["a/bits.png"] = Image.new("1", (4, 5), 1)
    images["b/palette.png"] = Image.new("L", (4, 5), 40).convert("P")
    images["b/grey.png"] = Image.new("LA", (4, 5), (10, 255))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name, image in images.items():
        image.save(tmp_path / name)
    Image.fromarray(np.full((5, 4), 90 * 257, np.uint16)).save(tmp_path / "b" / "deep.png")
    turned = Image.new("L", (5, 4), 7)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "b" / "turned.png", exif=exif)
    (x, y), (x_test, y_test) = fd.load_data(tmp_path)
    shades = {int(image[0, 0]) for image in np.concatenate([x, x_test])}
    assert shades == {76, 255, 40, 10, 7, 90}  # 76: 0.299 of 255, ITU-R 601
    assert sorted(np.concatenate([y, y_test]).tolist()) == [0, 0, 0, 1, 1, 1, 1]


def test_images_to_test_on_of_another_size_are_fitted_too(tmp_path):
    draw(tmp_path / "train")
    draw(tmp_path / "test", X[:, :4])
    data = fd.load_data(tmp_path)
    assert (data.train[0].shape[1:], data.test[0].shape[1:]) == ((28, 28), (28, 28))
    assert "as 00.png has 5 x 4 and 00.png has 4 x 4 pixels" in data.note


def test_a_class_that_only_the_test_has_is_refused(tmp_path):
    draw(tmp_path / "train")
    draw(tmp_path / "test", names=("0", "1", "7"))
    with pytest.raises(fd.DataError, match=r"test: must have the classes of .*train only; got 7 besides"):
        fd.load_data(tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no image", "must be a picture that Pillow reads, such as PNG or JPEG; got something else"),
        (b"", "must be a picture that Pillow reads"),
        ("cut", "must be a whole picture; got a damaged one"),
        ("huge", "must have at most 100,000,000 pixels; got even more: scale or crop the picture"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, monkeypatch, content, match):
    draw(tmp_path)
    file = tmp_path / "2" / "99.png"
    if content == "cut":
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90)).astype(np.uint8)).save(file)
        content = file.read_bytes()[:900]
    elif content == "huge":
        content = (tmp_path / "0" / "00.png").read_bytes()
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    file.write_bytes(content)
    with pytest.raises(fd.DataError, match=rf"png: {match}"):
        fd.load_data(tmp_path)


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "0").mkdir()
    with pytest.raises(
        fd.DataError, match=r"must have a folder with images for each class, such as .*7.a.png; got none"
    ):
        fd.load_data(tmp_path)


def test_pictures_outside_class_folders_are_refused(tmp_path):
    (tmp_path / "cat_1.png").write_bytes(b"")
    with pytest.raises(
        fd.DataError, match=r"got pictures without class folders, such as cat_1.png: put those of each"
    ):
        fd.load_data(tmp_path)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def forbidden(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(loading, "class_folders", forbidden)
    with pytest.raises(
        fd.DataError, match="must be a file or folder that can be read; got: Permission denied"
    ):
        fd.load_data(tmp_path)


# -- from the command line -----------------------------------------------------------------------------------


def test_a_network_is_trained_on_them_and_knows_their_names(tmp_path, monkeypatch, capsys):
    import json

    from fastdigits import visualize
    from fastdigits.commands import train

    seen = {}
    monkeypatch.setattr(visualize, "write_pictures", lambda folder, **given: seen.update(given) or [])
    draw(tmp_path / "insects", names=("ant", "bee", "cat"))
    argv = ["--data", str(tmp_path / "insects"), "-o", str(tmp_path / "run"), "--epochs", "1", "--json"]
    assert train.main([*argv, "--batch-size", "4", "--seed", "3"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["train_images"], result["test_images"], result["class_names"]) == (
        20,
        4,
        ["ant", "bee", "cat"],
    )
    assert "no images to test on: 4 of 24 are set apart for it, by seed 0" in captured.err
    assert seen["class_names"] == ("ant", "bee", "cat")
    assert fd.load(tmp_path / "run" / "model.safetensors").class_names == ("ant", "bee", "cat")


def test_numbers_are_no_names_for_a_model_to_keep(tmp_path):
    from fastdigits.commands import train

    draw(tmp_path / "digits")
    argv = ["--data", str(tmp_path / "digits"), "-o", str(tmp_path / "run"), "--epochs", "1", "--no-plots"]
    assert train.main([*argv, "--batch-size", "4", "-q"]) == 0
    assert fd.load(tmp_path / "run" / "model.safetensors").class_names == ()


def test_a_name_that_no_model_can_keep_is_refused_before_training(tmp_path, capsys):
    from fastdigits.commands import train

    words = np.array(["ant", "b\x1bee"])
    np.savez(tmp_path / "a.npz", x=np.zeros((24, 5, 4), np.uint8), y=words[np.arange(24) % 2])
    assert train.main(["--data", str(tmp_path / "a.npz"), "-o", str(tmp_path / "run")]) == 2
    assert r"a.npz: labels must have 1 to 1,000 characters and no control characters; got 'b\x1bee'" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()


def test_an_unknown_name_is_one_line(tmp_path, monkeypatch, capsys):
    from fastdigits.commands import train

    monkeypatch.chdir(tmp_path)
    assert train.main(["--data", "minst"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("fastdigits train: error: 'minst': data must be one of mnist, fashion-mnist")
    assert text.count("\n") == 1
    assert "did you mean mnist?" in text


# -- the page about it ---------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_examples_of_the_page_run_and_print_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    examples = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(examples) == 3
    for code in examples:
        exec(compile(code, str(PAGE), "exec"), {})
        (said,) = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
        assert capsys.readouterr().out.strip() == said


def test_the_page_describes_each_name():
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in loading.NAMES if f"| `{name}` |" not in text] == []
