"""Folders of image files: endings, paper, scale and size; skipped files are counted and reported."""

import gzip
import io
import json
import os
import re
import struct
import warnings

import numpy as np
import pytest
from PIL import Image

import fastdigits as fd
from fastdigits.commands import evaluate, predict, train
from fastdigits.imaging.opening import endings, fitted

N = 30
(IMAGES, _), _ = fd.load_mnist()
X = IMAGES[:N]
Y = (np.arange(N) // 3 % 3).astype(np.uint8)
NO_TEST = "no images to test on: "


def put(folder, number, picture, name="{}.png", **options):
    """Save a picture into the folder of its class."""
    place = folder / str(Y[number])
    place.mkdir(parents=True, exist_ok=True)
    path = place / name.format(number)
    picture.save(path, **options)
    return path


def fill(folder, count=N, make=Image.fromarray):
    for number in range(count):
        put(folder, number, make(X[number]))
    return folder


def whole(data):
    """All images of a data set, those to train on first."""
    return np.concatenate([data.train[0], data.test[0]])


# -- which files are pictures --------------------------------------------------------------------------------


def test_endings_are_those_that_pillow_opens_but_for_documents_and_films():
    known = {
        *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".tga"),
        *(".jp2", ".j2k", ".pgm", ".pbm", ".ppm", ".pnm"),
    }
    assert known <= endings()
    assert not endings() & {".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".wmf", ".emf", ".h5", ".txt", ".npy", ""}


def test_what_a_plugin_of_pillow_opens_is_read(tmp_path, monkeypatch):
    endings.cache_clear()
    monkeypatch.setitem(Image.EXTENSION, ".digit", "PNG")
    for number in range(N):
        put(tmp_path, number, Image.fromarray(X[number]), "{}.digit", format="PNG")
    assert len(whole(fd.load_data(tmp_path))) == N
    endings.cache_clear()


def test_each_ending_that_can_be_written_is_read_in_both_cases(tmp_path):
    read = 0
    for ending in sorted(endings()):
        folder = tmp_path / ending
        try:  # some formats are read only, or hold no grey picture
            with warnings.catch_warnings(action="ignore"):
                for number in range(6):
                    name = "{}" + (ending.upper() if number % 2 else ending)
                    picture = Image.fromarray(X[number]).convert("RGB")
                    put(folder, number, picture, name, format=Image.EXTENSION[ending])
        except (KeyError, OSError, ValueError):
            continue
        assert len(whole(fd.load_data(folder, size=(28, 28)))) == 6, ending
        assert len(predict.input_files.expand([str(folder / "0")])[0]) == 3, ending
        read += 1
    assert read > 25


def test_a_picture_is_known_by_its_content_whatever_its_ending(tmp_path):
    fill(tmp_path)
    content = io.BytesIO()
    Image.fromarray(X[0]).save(content, "PNG")
    (tmp_path / "0" / "photo.jpg").write_bytes(content.getvalue())
    assert len(whole(fd.load_data(tmp_path))) == N + 1


def test_a_document_with_the_ending_of_a_picture_is_not_opened(tmp_path):
    fill(tmp_path)
    (tmp_path / "0" / "x.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\n"
    )
    with pytest.raises(fd.DataError, match=r"x\.png: must be a picture that Pillow reads"):
        fd.load_data(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused(tmp_path):
    fill(tmp_path)
    os.mkfifo(tmp_path / "0" / "x.png")
    with pytest.raises(fd.DataError, match=r"x\.png: must be a file .* got: a pipe, not a regular file"):
        fd.load_data(tmp_path)
    with pytest.raises(fd.DataError, match=r"x\.png: must be a file .* got: a pipe, not a regular file"):
        fd.prepare(tmp_path / "0" / "x.png")


# -- what is left out ----------------------------------------------------------------------------------------


def test_skipped_files_are_counted_and_reported(tmp_path):
    fill(tmp_path)
    for name in ("0/a.txt", "0/b.TXT", "1/Thumbs.db", "1/.DS_Store", "read.me", ".hidden", "2/none"):
        (tmp_path / name).write_text("")
    Image.fromarray(X[0]).save(tmp_path / "stray.png")
    (tmp_path / "7").mkdir()
    (tmp_path / "0" / "more").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    data = fd.load_data(tmp_path)
    assert len(whole(data)) == N
    assert data.note.startswith(
        "left out 1 picture outside class folders, 1 inner folder, 3 hidden files, "
        "5 files of other kinds (2 .txt, 1 "
    )
    assert "), 1 class folder without pictures (7); no images to test on: " in data.note


def test_no_note_without_skipped_files(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test")
    assert fd.load_data(tmp_path).note == ""


def test_a_folder_without_images_is_an_error_that_names_other_files(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "a.heic2").write_text("")
    with pytest.raises(
        fd.DataError, match=r"got none but 1 file of other kinds \(1 \.heic2\), 1 class folder without"
    ):
        fd.load_data(tmp_path)


def test_predict_reports_the_files_that_it_skips(tmp_path, capsys):
    fill(tmp_path)
    folder = tmp_path / "0"
    (folder / "a.txt").write_text("")
    (folder / "b.npy").write_bytes(b"\x93NUMPY")
    assert predict.main([str(folder), "--no-prepare"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"fastdigits predict: {folder}: left out 1 file of other kinds (1 .txt)\n")
    assert "b.npy: must be a whole NPY file" in err
    assert predict.main([str(tmp_path)]) == 2
    assert (
        "must be a folder with pictures or NPY files; got none but 3 inner folders: name one of the inner"
        in capsys.readouterr().err
    )


def test_only_the_first_frame_is_read_and_reported(tmp_path, capsys):
    fill(tmp_path)
    frames = {"append_images": [Image.fromarray(X[1])], "save_all": True}
    for name in ("a.gif", "a.tiff", "a.apng"):
        put(tmp_path, 0, Image.fromarray(X[0]), name, **frames)
    data = fd.load_data(tmp_path)
    assert data.note.startswith(f"took the first frame of 3 pictures with several; {NO_TEST}")
    assert sum((image == X[0]).all() for image in whole(data)) == 4
    for option in ("--no-prepare", "--prepare"):
        assert predict.main([str(tmp_path / "0" / "a.gif"), option]) == 0
        assert "a.gif: has several frames or pages; the first one is read" in capsys.readouterr().err


def test_a_class_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    fill(tmp_path)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("2"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(fd.DataError, match=r"2: must be a file or folder that can be read; got: Permission"):
        fd.load_data(tmp_path)


# -- parts and places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "testing", "TEST"])
def test_the_part_to_test_on_has_several_names(tmp_path, name):
    fill(tmp_path / "train", 24)
    fill(tmp_path / name, 12)
    data = fd.load_data(tmp_path)
    assert (len(data.train[1]), len(data.test[1])) == (24, 12)
    assert data.note == ("" if name.lower().startswith("test") else f"tested on the images in {name}")


def test_a_part_that_is_not_used_is_reported(tmp_path):
    for name in ("train", "test", "val"):
        fill(tmp_path / name)
    assert fd.load_data(tmp_path).note == "left out the folder val (30 pictures)"


def test_test_images_without_classes_are_reported(tmp_path):
    fill(tmp_path / "train")
    (tmp_path / "test").mkdir()
    Image.fromarray(X[0]).save(tmp_path / "test" / "1.png")
    assert fd.load_data(tmp_path).note.startswith(f"left out the folder test (1 picture); {NO_TEST}")


def test_a_class_may_be_called_train(tmp_path):
    for number in range(N):
        folder = tmp_path / ("train", "car", "ship")[Y[number]]
        folder.mkdir(exist_ok=True)
        Image.fromarray(X[number]).save(folder / f"{number}.png")
    assert fd.load_data(tmp_path).class_names == ("car", "ship", "train")


def test_an_inner_folder_is_found_as_in_archives(tmp_path):
    fill(tmp_path / "a" / "mnist_png" / "training")
    fill(tmp_path / "a" / "mnist_png" / "testing")
    (tmp_path / "a" / "__MACOSX").mkdir()
    assert fd.load_data(tmp_path).note == f"read from {os.path.join('a', 'mnist_png')}"


def torchvision(folder):
    """Write four IDX files as torchvision keeps them: packed and unpacked."""
    folder.mkdir(parents=True)
    for name, images in (("train", X), ("t10k", X[:12])):
        labels = Y[: len(images)]
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(content)
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(content))


def test_the_layout_of_torchvision_is_found_from_each_folder(tmp_path):
    torchvision(tmp_path / "MNIST" / "raw")
    for folder, note in (
        (tmp_path, f"read from {os.path.join('MNIST', 'raw')}"),
        (tmp_path / "MNIST", "read from raw"),
        (tmp_path / "MNIST" / "raw", ""),
    ):
        data = fd.load_data(folder)
        np.testing.assert_array_equal(data.train[0], X)
        assert data.note == note
    torchvision(tmp_path / "KMNIST" / "raw")
    with pytest.raises(
        fd.DataError, match=r"must hold one set of IDX files; got several, in KMNIST.raw, MNIST.raw"
    ):
        fd.load_data(tmp_path)


# -- one paper, one scale ------------------------------------------------------------------------------------


def transparent(image, ink):
    """Ink of one shade on nothing."""
    array = np.zeros((*image.shape, 4), np.uint8)
    array[..., :3], array[..., 3] = ink, image
    return Image.fromarray(array)


def test_all_transparent_images_have_white_paper(tmp_path):
    """In five forms of transparency, under inks on both sides of the middle."""
    for number in range(N):
        ink = (0, 120, 136, 200)[number % 4]
        picture, options = transparent(X[number], ink), {}
        bits = X[number] > 100
        if number % 5 == 1:
            picture = picture.convert("LA")
        elif number % 5 == 2:
            picture = Image.fromarray(bits.astype(np.uint8)).convert("P")
            picture.putpalette([255, 0, 0, ink, ink, ink] + 750 * [0])
            options = {"transparency": 0}
        elif number % 5 == 3:
            picture = Image.fromarray(np.where(bits, np.uint16(ink * 257), np.uint16(7)))
            options = {"transparency": 7}
        elif number % 5 == 4:
            picture = Image.fromarray(np.where(bits, np.uint8(ink), np.uint8(7)))
            options = {"transparency": 7}
        put(tmp_path, number, picture, **options)
    images = whole(fd.load_data(tmp_path))
    assert set(images[:, 0, 0].tolist()) == {255}
    assert sorted({int(image.min()) for image in images}) == [0, 120, 136, 200]


def test_images_as_white_as_the_paper_are_reported(tmp_path):
    fill(tmp_path, make=lambda image: transparent(image, 255))
    note = fd.load_data(tmp_path).note
    assert note.startswith(
        "30 transparent pictures showed nothing on white paper: put light ink on black paper"
    )


def test_predict_reads_an_image_as_a_data_set_does(tmp_path, capsys):
    for number in range(N):
        put(tmp_path, number, transparent(X[number], 160))
    network = fd.load_pretrained()
    images = fd.load_data(tmp_path).train[0]
    assert predict.main([str(tmp_path / "0"), "--no-prepare", "--json"]) == 0
    found = [one["digits"][0]["probabilities"] for one in json.loads(capsys.readouterr().out)["images"]]
    wanted = [
        network.predict_proba(image[np.newaxis])[0] for image in images
    ]  # one by one, as the command does
    assert (
        sum(any(np.array_equal(np.float32(one), np.float32(other)) for one in found) for other in wanted) >= 8
    )


@pytest.mark.parametrize(
    ("kind", "scale", "faint"),
    [(np.float32, 1 / 255, 1), (np.float32, 1, 1), (np.int32, 257, 1), (np.int32, 1, 1)],
)
def test_unscaled_values_have_one_scale(tmp_path, kind, scale, faint):
    """One dark picture among them: it is not taken for one on another scale."""
    for number in range(N):
        shades = np.minimum(X[number], faint) if number == 4 else X[number]
        put(tmp_path, number, Image.fromarray((shades * np.float64(scale)).astype(kind)), "{}.tif")
    images = whole(fd.load_data(tmp_path))
    wanted = X.copy()
    wanted[4] = np.minimum(X[4], faint)
    assert sorted(image.tobytes() for image in images) == sorted(image.tobytes() for image in wanted)


def test_a_dark_picture_of_16_bits_is_dark(tmp_path):
    for number in range(N):
        values = X[number].astype(">u2") * (257 if number else 1)
        folder = tmp_path / str(Y[number])
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.pgm").write_bytes(b"P5 28 28 65535\n" + values.astype(">u2").tobytes())
    assert sorted({int(image.max()) for image in whole(fd.load_data(tmp_path))})[0] == 1


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 70000)])
def test_values_on_no_scale_are_refused(tmp_path, low, high):
    for number in range(N):
        values = np.linspace(low, high, 784, dtype=np.float32).reshape(28, 28)
        put(tmp_path, number, Image.fromarray(values), "{}.tif")
    with pytest.raises(fd.DataError, match=rf"within 0 … 65535; got {low} to {high}: save them with 8 or 16"):
        fd.load_data(tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path):
    put(tmp_path, 0, Image.fromarray(np.full((28, 28), np.nan, np.float32)), "{}.tif")
    with pytest.raises(fd.DataError, match=r"0\.tif: must hold finite values; got nan"):
        fd.load_data(tmp_path)


def test_masks_are_black_and_white(tmp_path):
    fill(tmp_path, make=lambda image: Image.fromarray((image > 100).astype(np.uint8)))
    assert np.unique(whole(fd.load_data(tmp_path))).tolist() == [0, 255]
    assert len(np.unique(whole(fd.load_data(tmp_path, size=(10, 10))))) > 2  # its edges are antialiased


# -- one size ------------------------------------------------------------------------------------------------


def test_images_of_several_sizes_are_fitted_to_size(tmp_path):
    for number in range(N):
        put(tmp_path, number, Image.fromarray(X[number]).resize((20 + number, 48)))
    data = fd.load_data(tmp_path)
    assert data.image_shape == (28, 28)
    assert re.match(
        r"fitted 30 of 30 pictures to 28 x 28 pixels, as .*0\.png has 48 x 20 and .*1\.png has 48 x 21 pixels; "
        r"--size HxW chooses another size; " + NO_TEST,
        data.note,
    )
    images = [image.tobytes() for image in whole(data)]
    assert fitted(np.asarray(Image.fromarray(X[3]).resize((23, 48))), (28, 28)).tobytes() in images
    data = fd.load_data(tmp_path, size=(28, 20))
    assert data.image_shape == (28, 20)
    assert data.note.startswith(f"fitted 30 of 30 pictures to 28 x 20 pixels; {NO_TEST}")


def test_pictures_too_large_for_a_network_are_fitted(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("1", (1001, 1000)).save(tmp_path / label / f"{number}.png")
    data = fd.load_data(tmp_path)
    assert data.image_shape == (28, 28)
    assert "fitted 6 of 6 pictures to 28 x 28 pixels, as 0.png has 1000 x 1001 pixels; --size" in data.note


def test_a_picture_of_this_size_stays_as_it_is(tmp_path):
    fill(tmp_path)
    put(tmp_path, 0, Image.fromarray(X[0]).resize((56, 56)), "large.png")
    data = fd.load_data(tmp_path, size=(28, 28))
    assert data.note.startswith("fitted 1 of 31 pictures to 28 x 28 pixels")
    images = [image.tobytes() for image in whole(data)]
    assert all(image.tobytes() in images for image in X)


def test_fitting_keeps_proportions_and_takes_the_paper_of_the_border():
    picture = np.full((40, 20), 200, np.uint8)  # twice as high as wide
    picture[10:30, 5:15] = 30
    made = fitted(picture, (20, 30))
    assert made.shape == (20, 30)
    assert set(made[:, :10].ravel().tolist()) == {200}  # paper at both sides of the 10 columns in the middle
    assert set(made[:, 20:].ravel().tolist()) == {200}
    np.testing.assert_array_equal(made[5:15, 13:17], 30)
    np.testing.assert_array_equal(fitted(np.array([[0, 100], [50, 150]], np.uint8), (1, 1)), [[75]])  # a mean


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 2), (57, 99)])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (5, 40)])
def test_any_shape_fits_any_size(shape, size):
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 90, shape).astype(np.uint8)
    for one in (picture, picture.astype(np.float32)):
        made = fitted(one, size)
        assert (made.shape, made.dtype) == (size, one.dtype)
        assert picture.min() <= made.min() <= made.max() <= picture.max()


@pytest.mark.parametrize(
    ("size", "error", "match"),
    [
        (28, TypeError, r"load_data: size must be \(height, width\); got 28"),
        ((28,), TypeError, r"size must be \(height, width\); got \(28,\)"),
        ("28x28", TypeError, "size must be .height, width.; got '28x28'"),
        ((28, 2.5), TypeError, "load_data: size must be an integer; got 2.5"),
        ((0, 28), ValueError, "load_data: size must be at least 1; got 0"),
        ((10**4, 10**4), ValueError, "size must have at most 1,000,000 pixels; got 10000 x 10000"),
    ],
)
def test_a_wrong_size_is_refused(tmp_path, size, error, match):
    with pytest.raises(error, match=match):
        fd.load_data(tmp_path, size=size)


def test_a_size_for_other_sources_than_image_folders_is_refused():
    with pytest.raises(fd.DataError, match=r"mnist: .* for --size \(size\) 14x14; .* of 28 x 28"):
        fd.load_data("mnist", size=(14, 14))
    assert fd.load_data("mnist", size=(28, 28)).image_shape == (28, 28)


def test_pictures_of_several_sizes_are_fitted_alike_in_training_and_prediction(tmp_path, capsys):
    for number in range(N):
        put(tmp_path / "data", number, Image.fromarray(X[number]).resize((20 + number, 48)))
    run = tmp_path / "run"
    words = ["--data", str(tmp_path / "data"), "--epochs", "1", "--no-plots", "-o", str(run)]
    assert train.main(words) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "fitted 30 of 30 pictures to 28 x 28 pixels, as" in err
    assert f"fastdigits predict photo.jpg --model {run}" in err
    picture = next((tmp_path / "data" / "0").glob("*.png"))
    assert predict.main([str(picture), "--model", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "fitted to the 28 x 28 pixels of the model's images" in " ".join(err.split())
    image = fitted(np.asarray(Image.open(picture)), (28, 28))
    found = json.loads(out)["images"][0]["digits"][0]["probabilities"]
    np.testing.assert_allclose(
        found, fd.load(run / "model.safetensors").predict_proba(image[None])[0], atol=1e-6
    )


def test_the_commands_take_a_size(tmp_path, capsys):
    for number in range(N):
        put(tmp_path / "data", number, Image.fromarray(X[number]).resize((20 + number, 48)))
    run = tmp_path / "run"
    words = ["--data", str(tmp_path / "data"), "--size", "24x20"]
    assert train.main([*words, "--epochs", "1", "--no-plots", "-o", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["settings"]["size"] == [24, 20]
    assert "fitted 30 of 30 pictures to 24 x 20 pixels" in " ".join(err.split())
    assert f"--data {tmp_path / 'data'} --size 24x20" in err
    (run / "result.json").unlink()
    assert train.main(["--resume", str(run), "--no-plots"]) == 0
    model = ["--model", str(run)]
    assert evaluate.main([*words, *model, "--no-plots", "-o", str(tmp_path / "evaluation")]) == 0
    capsys.readouterr()
    words = ["--data", str(tmp_path / "data"), *model, "--no-plots", "--json"]
    assert evaluate.main([*words, "-o", str(tmp_path / "fitted")]) == 0  # the model knows the size
    assert json.loads(capsys.readouterr().out)["image_shape"] == [24, 20]
    pictures = [str(tmp_path / "data" / "0")]
    assert predict.main([*pictures, *model, "--size", "24x20"]) == 0
    out = capsys.readouterr().out
    assert predict.main([*pictures, *model]) == 0  # the model knows the size
    assert capsys.readouterr().out == out
    assert predict.main([*pictures, *model, "--no-prepare", "--size", "24x21"]) == 2
    assert (
        "must have 480 pixels, one per input of the model; got 24 × 21: --size HxW" in capsys.readouterr().err
    )


@pytest.mark.parametrize("size", ["28", "28*28", "0x28", "x", "28x28x3", "٢٨x28", "9999x9999", "-1x5"])
def test_a_wrong_size_is_an_error_of_one_line(capsys, size):
    with pytest.raises(SystemExit):
        train.main([f"--size={size}"])
    err = capsys.readouterr().err
    assert err.startswith(
        "fastdigits train: error: --size: must be height x width, such as 28x28, of at most"
    )


def test_predict_fits_only_what_it_does_not_prepare(capsys):
    assert predict.main(["a.png", "--size", "28x28"]) == 2
    assert (
        "--size: needs pictures that are not prepared; got pictures that are: add --no-prepare"
        in " ".join(capsys.readouterr().err.split())
    )
