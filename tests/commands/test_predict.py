"""`python -m fastdigits.predict`, run as a user runs it."""

import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from digit_pictures import inked, strokes
from PIL import Image

import fastdigits as fd
from fastdigits.commands import input_files, predict, run_folder, system
from fastdigits.imaging import reading
from fastdigits.visualize import readings
from fastdigits.visualize.canvas import new_figure

SOURCE = Path(fd.__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with two pictures, a text, an array of images and a small model."""
    folder = tmp_path_factory.mktemp("made")
    inked(strokes("7")).save(folder / "seven.png")
    inked(strokes("2025"), (250, 240, 200), (40, 40, 120)).save(folder / "year.jpg", quality=90)
    (folder / "notes.txt").write_text("no picture")
    np.save(folder / "test.npy", fd.load_mnist()[1][0][:3])
    fd.NeuralNetwork([fd.Dense(30, 3)], seed=0).save(folder / "small.safetensors")
    return folder


@pytest.fixture(autouse=True)
def here(monkeypatch, made, settings_kept):
    """Run beside the pictures, without a display."""
    monkeypatch.chdir(made)
    monkeypatch.setattr(system, "has_display", lambda: False)


@pytest.fixture
def blank(monkeypatch):
    """Draw nothing on the figure that is written: for tests of where it goes."""
    monkeypatch.setattr(predict, "readings_figure", lambda _: new_figure(1, 1))


def main(*argv: object) -> int:
    return predict.main([str(word) for word in argv])


def tell(capsys, *argv: object) -> dict:
    assert main("--json", *argv) == 0
    return json.loads(capsys.readouterr().out)


def refuse(capsys, *argv: object) -> str:
    assert main(*argv) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    return captured.err


# -- what is printed ---------------------------------------------------------------------------------------


def test_a_table_has_a_line_for_each_picture(capsys):
    assert main("seven.png", "year.jpg") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["image", "reads", "confidence", "runner-up"]
    assert re.fullmatch(r"seven\.png +7 +\d+\.\d % +(\d|not a digit) \(\d+\.\d %\)", first)
    assert re.fullmatch(r"year\.jpg +2025 +(\d+\.\d ){4}% +[\d?]( [\d?]){3}", second)


def test_a_picture_of_several_lines_has_a_line_for_each(tmp_path, capsys):
    short, long = np.asarray(strokes("25")), np.asarray(strokes("703"))
    lines = np.vstack([np.pad(short, ((0, 0), (0, long.shape[1] - short.shape[1]))), long])
    inked(Image.fromarray(lines)).save(tmp_path / "page.png")
    assert main(tmp_path / "page.png") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\S+page\.png +25 +(\d+\.\d ){2}% +\S \S", first)
    assert re.fullmatch(r" +703 +(\d+\.\d ){3}% +\S \S \S", second)
    image = tell(capsys, tmp_path / "page.png", "--output", tmp_path / "seen.png")["images"][0]
    assert (image["reads"], image["lines"]) == ("25\n703", ["25", "703"])
    Image.fromarray(255 - np.rot90(lines)).reduce(2).save(tmp_path / "turned.png")
    assert main(tmp_path / "turned.png") == 0
    captured = capsys.readouterr()
    assert "turned.png: was turned by 270 degrees counterclockwise" in captured.err
    assert [re.findall(r"\b(25|703)\b", line) for line in captured.out.splitlines()[1:]] == [["25"], ["703"]]


def test_each_picture_is_decoded_once(monkeypatch, tmp_path):
    for number in range(3):
        inked(strokes("7")).save(tmp_path / f"{number}.png")
    decoded, image_open = [], Image.open
    monkeypatch.setattr(Image, "open", lambda file: decoded.append(file) or image_open(file))
    assert main(tmp_path) == 0
    assert len(decoded) == 3


def test_json_has_all_of_it(capsys):
    result = tell(capsys, "year.jpg")
    image = result["images"][0]
    assert result["errors"] == []
    assert result["model"] is None
    assert (image["image"], image["reads"]) == ("year.jpg", "2025")
    assert [digit["digit"] for digit in image["digits"]] == [2, 0, 2, 5]
    for digit in image["digits"]:
        assert sum(digit["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert digit["confidence"] == max(digit["probabilities"]) == digit["probabilities"][digit["digit"]]
        assert digit["runner_up_confidence"] == sorted(digit["probabilities"])[-2]
    lefts = [digit["box"][0] for digit in image["digits"]]
    assert lefts == sorted(lefts)


def test_json_is_the_last_line_and_nothing_else_of_the_process():
    done = subprocess.run(
        [sys.executable, "-m", "fastdigits.predict", "seven.png", "--json"],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1])["images"][0]["reads"] == "7"
    assert done.stderr == ""


def test_a_reader_that_leaves_early_is_no_error(made):
    words = [sys.executable, "-m", "fastdigits.predict", *["seven.png"] * 3]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(SOURCE)}
    )
    process.stdout.close()  # as `head` does
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


# -- what it reads -----------------------------------------------------------------------------------------


def test_a_folder_means_the_pictures_and_arrays_in_it(capsys):
    names = [image["image"] for image in tell(capsys, ".")["images"]]
    assert names == ["seven.png", "test.npy[0]", "test.npy[1]", "test.npy[2]", "year.jpg"]


def test_a_folder_without_pictures_is_told(tmp_path, capsys):
    assert "must be a folder with pictures or NPY files; got none" in refuse(capsys, tmp_path)


def test_a_folder_without_pictures_does_not_stop_the_others(tmp_path, capsys):
    assert predict.main([str(tmp_path), "seven.png", "--json"]) == 2
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [image["reads"] for image in found["images"]] == ["7"]
    assert [error["image"] for error in found["errors"]] == [str(tmp_path)]
    assert "must be a folder with pictures or NPY files; got none" in captured.err


def test_a_folder_that_cannot_be_read_is_told(capsys, monkeypatch):
    def forbidden(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", forbidden)
    assert "must be a folder that can be read; got: Permission denied" in refuse(capsys, ".")


def test_images_of_an_array_are_taken_as_they_are(capsys):
    result = tell(capsys, "test.npy")
    probabilities = [image["digits"][0]["probabilities"] for image in result["images"]]
    wanted = fd.load_pretrained().predict_proba(np.load("test.npy"))
    np.testing.assert_array_equal(np.float32(probabilities), wanted)
    assert result["images"][0]["digits"][0]["box"] is None


@pytest.mark.parametrize("compressed", [False, True])
def test_an_idx_file_is_read(tmp_path, capsys, compressed):
    import gzip

    content = struct.pack(">BBBBIII", 0, 0, 8, 3, 3, 28, 28) + np.load("test.npy").tobytes()
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(content) if compressed else content)
    assert [image["reads"] for image in tell(capsys, path)["images"]] == ["7", "2", "1"]


def test_an_array_is_prepared_when_that_is_asked_for(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.stack([np.asarray(inked(strokes(digit)).convert("L")) for digit in "35"]))
    images = tell(capsys, tmp_path / "a.npy", "--prepare")["images"]
    assert [image["reads"] for image in images] == ["3", "5"]
    assert images[0]["digits"][0]["box"] is not None
    np.save(tmp_path / "one.npy", np.asarray(inked(strokes("35")).convert("L")))
    assert tell(capsys, tmp_path / "one.npy", "--prepare")["images"][0]["reads"] == "35"


def test_a_picture_is_taken_as_it_is_when_that_is_asked_for(tmp_path, capsys):
    Image.fromarray(np.load("test.npy")[0]).save(tmp_path / "seven.png")
    digit = tell(capsys, tmp_path / "seven.png", "--no-prepare")["images"][0]["digits"][0]
    wanted = fd.load_pretrained().predict_proba(np.load("test.npy")[:1])[0]
    np.testing.assert_array_equal(np.float32(digit["probabilities"]), wanted)


def test_floats_and_flat_rows_and_one_image_are_taken(tmp_path, capsys):
    images = np.load("test.npy")
    for array, count in ((images / 255, 3), (images.reshape(3, 784), 3), (images[0], 1)):
        np.save(tmp_path / "a.npy", array)
        found = tell(capsys, tmp_path / "a.npy")["images"]
        assert [image["reads"] for image in found] == ["7", "2", "1"][:count]


def scaled(folder: Path, scale: str, factor: float) -> Path:
    """Write the packaged model as one that was trained on pixels times a factor."""
    network = fd.load_pretrained()
    network.layers[0].weight.value = network.layers[0].weight.value / (255 * factor)
    network.scale = scale
    network.save(folder / f"{scale}.safetensors")
    return folder / f"{scale}.safetensors"


def probabilities(found: dict) -> np.ndarray:
    return np.array([image["digits"][0]["probabilities"] for image in found["images"]])


def test_the_same_values_in_any_dtype_get_the_same_answer(tmp_path, capsys):
    images = np.load("test.npy")
    unit = scaled(tmp_path, "unit", 1 / 255)
    expected = probabilities(tell(capsys, "test.npy"))
    for array in (
        images,
        images.astype(int),
        images.astype(np.float32),
        images / 255,
        images / np.float32(255),
    ):
        np.save(tmp_path / "a.npy", array)
        np.testing.assert_array_equal(probabilities(tell(capsys, tmp_path / "a.npy")), expected)
        given = probabilities(tell(capsys, tmp_path / "a.npy", "--model", unit))
        np.testing.assert_allclose(given, expected, atol=1e-5)


def test_a_model_of_0_to_1_reads_pictures(tmp_path, capsys):
    unit = scaled(tmp_path, "unit", 1 / 255)
    Image.fromarray(np.load("test.npy")[0]).save(tmp_path / "seven.png")
    for words in (["seven.png"], [tmp_path / "seven.png", "--no-prepare"]):
        expected = probabilities(tell(capsys, *words))
        np.testing.assert_allclose(probabilities(tell(capsys, *words, "--model", unit)), expected, atol=1e-5)


def test_a_model_of_other_numbers_reads_arrays_of_these_and_no_pictures(tmp_path, capsys):
    model = scaled(tmp_path, "numbers", 16 / 255)
    images = np.load("test.npy")
    for dtype in (np.uint8, np.int64, np.float32):
        np.save(tmp_path / "a.npy", (images // 16).astype(dtype))
        found = tell(capsys, tmp_path / "a.npy", "--model", model)["images"]
        assert [image["reads"] for image in found] == ["7", "2", "1"]
    Image.fromarray(images[0]).save(tmp_path / "seven.png")
    for words in (["seven.png"], [tmp_path / "seven.png", "--no-prepare"], ["test.npy"]):
        error = refuse(capsys, *words, "--model", model)
        assert "the model was trained on numbers of its own scale, not on pixels; got pixels 0 … 255" in error


def test_a_model_whose_scale_is_not_known_reads_as_before(tmp_path, capsys):
    fd.NeuralNetwork([fd.Dense(784, 10)]).save(tmp_path / "m.safetensors")
    images = np.load("test.npy")
    expected = probabilities(tell(capsys, "test.npy", "--model", tmp_path / "m.safetensors"))
    np.save(tmp_path / "a.npy", images / 255)
    given = probabilities(tell(capsys, tmp_path / "a.npy", "--model", tmp_path / "m.safetensors"))
    np.testing.assert_allclose(given, expected, atol=1e-6)
    for array in (images.astype(int), images.astype(float), np.full(images.shape, np.nan)):
        np.save(tmp_path / "a.npy", array)
        error = refuse(capsys, tmp_path / "a.npy", "--model", tmp_path / "m.safetensors")
        assert "must hold uint8, or floats within 0 … 1, because the model file names no range" in error


def test_standard_input_is_read(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(Path("seven.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    image = tell(capsys, "-")["images"][0]
    assert (image["image"], image["reads"]) == ("standard input", "7")


def test_standard_input_that_is_none_or_wrong_is_told(capsys, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(b"no picture"))
    monkeypatch.setattr(sys, "stdin", stream)
    assert "error: standard input: must be a picture that Pillow reads" in refuse(capsys, "-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert "standard input: must be a picture; got nothing: pipe a file" in refuse(capsys, "-")
    monkeypatch.setattr(sys, "stdin", stream)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert "standard input: must be a picture; got a terminal: pipe a file into the command" in refuse(
        capsys, "-"
    )


def test_one_digit_in_pieces_is_read_as_one_when_that_is_asked_for(capsys):
    assert len(tell(capsys, "year.jpg")["images"][0]["digits"]) == 4
    assert len(tell(capsys, "year.jpg", "--single")["images"][0]["digits"]) == 1


# -- what cannot be read -----------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(capsys):
    assert main("notes.txt", "seven.png", "none.png", "--json") == 2
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [image["reads"] for image in result["images"]] == ["7"]
    assert [error["image"] for error in result["errors"]] == ["notes.txt", "none.png"]
    first, second = captured.err.splitlines()
    assert "error: notes.txt: must be a picture that Pillow reads" in first
    assert "error: none.png: must be a file; got nothing of this name: check the name" in second


def test_what_has_no_memory_is_told(capsys, monkeypatch):
    def full(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr(predict, "read_picture", full)
    assert "error: seven.png: must fit into memory" in refuse(capsys, "seven.png")


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros(10, np.uint8), r"must hold images, .*; got \(10,\): is it a file of labels\?"),
        (np.zeros((0, 28, 28), np.uint8), r"must hold images, .*; got \(0, 28, 28\)"),
        (
            np.full((2, 28, 28), 2.5),
            r"must hold pixels 0 … 255, .*; got values from 2\.5 to 2\.5: bring them",
        ),
        (np.full((2, 28, 28), np.nan), "must be finite in float32; got nan at row 0, column 0"),
        (np.full((2, 784), "a"), "must hold numbers; got dtype <U1: convert it first"),
        (
            np.zeros((2, 20, 20), np.uint8),
            "images must have 784 pixels, one per input of the model; got 20 × 20: --prepare",
        ),
    ],
)
def test_an_array_that_does_not_fit_is_told(tmp_path, capsys, array, match):
    np.save(tmp_path / "a.npy", array)
    assert re.search(match, refuse(capsys, tmp_path / "a.npy"))


def test_an_array_that_cannot_be_prepared_is_told(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.zeros((1, 2, 3, 4, 5), np.uint8))
    assert "must hold images, (n, height, width), (n, h" in refuse(capsys, tmp_path / "a.npy", "--prepare")


@pytest.mark.parametrize("content", [b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x76\x00{'descr': 'O'}"])
def test_a_damaged_npy_file_is_told(tmp_path, capsys, content):
    (tmp_path / "a.npy").write_bytes(content)
    assert "a.npy: must be a whole NPY file of numbers; got: " in refuse(capsys, tmp_path / "a.npy")


def test_a_pickle_in_an_npy_file_is_not_opened(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    assert "must hold numbers or text; got dtype object" in refuse(capsys, tmp_path / "a.npy")


def test_a_file_that_may_not_be_read_is_told(monkeypatch):
    def forbidden(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("io.open", forbidden)
    with pytest.raises(
        fd.DataError, match=r"seven\.png: must be a file that can be read; got: Permission denied"
    ):
        input_files.read_array(Path("seven.png"), 784)


# -- tables ------------------------------------------------------------------------------------------------


def csv(images, labels=None, heading: bool = True) -> str:
    """The images as Kaggle has them: with labels in train.csv, without in test.csv."""
    lines = [",".join(map(str, image.ravel())) for image in images]
    names = [f"pixel{place}" for place in range(images[0].size)]
    if labels is not None:
        names.insert(0, "label")
        lines = [f"{label},{line}" for label, line in zip(labels, lines, strict=True)]
    return "\n".join([",".join(names)] * heading + lines) + "\n"


@pytest.mark.parametrize("heading", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_table_is_read_with_or_without_labels(tmp_path, capsys, heading, labelled):
    x, y = (part[:60] for part in fd.load_mnist()[1])
    (tmp_path / "test.csv").write_text(csv(x, y if labelled else None, heading))
    np.save(tmp_path / "test.npy", x)
    table, array = (tell(capsys, tmp_path / name)["images"] for name in ("test.csv", "test.npy"))
    assert [one["digits"] for one in table] == [one["digits"] for one in array]
    assert table[3]["image"].endswith("test.csv[3]")


def test_a_note_says_what_was_left_out(tmp_path, capsys):
    x, y = (part[:60] for part in fd.load_mnist()[1])
    (tmp_path / "a.csv").write_text(csv(x, y, heading=False))
    assert main(tmp_path / "a.csv") == 0
    assert capsys.readouterr().err.strip().endswith("a.csv: labels: column 0, the first")
    assert main(tmp_path / "a.csv", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_a_submission_has_a_label_for_each_image(tmp_path, capsys):
    x = fd.load_mnist()[1][0][:5]
    (tmp_path / "test.csv").write_text(csv(x[:3]))
    (tmp_path / "more.csv").write_text(csv(x[3:]))
    names = tmp_path / "test.csv", tmp_path / "more.csv"
    assert main(*names, "--submission", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "ImageId,Label\n1,7\n2,2\n3,1\n4,0\n5,4\n"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(f"5 labels written to {tmp_path / 'out.csv'}\n")
    assert len(tell(capsys, *names, "--submission", tmp_path / "out.csv")["images"]) == 5


@pytest.mark.parametrize(("id_name", "label"), [("id", None), ("ImageId", "target")])
def test_a_submission_has_the_identifiers_of_the_table(tmp_path, capsys, id_name, label):
    lines = csv(fd.load_mnist()[1][0][:3]).splitlines()
    more = [id_name, "a7", '"b,8"', "0010"]
    rows = [
        f"{one},{line}" + (f",{label if one == id_name else 0}" if label else "")
        for one, line in zip(more, lines, strict=True)
    ]
    (tmp_path / "test.csv").write_text("\n\n".join(rows) + "\n")
    assert main(tmp_path / "test.csv", "--submission", tmp_path / "out.csv") == 0
    expected = f'{id_name},{label or "Label"}\na7,7\n"b,8",2\n0010,1\n'
    assert (tmp_path / "out.csv").read_text() == expected


def test_numbers_of_the_lines_without_a_heading_are_no_identifiers(tmp_path):
    x, y = (part[:60] for part in fd.load_mnist()[1])
    rows = csv(x, y, heading=False).splitlines()
    (tmp_path / "rows.csv").write_text("".join(f"{number},{row}\n" for number, row in enumerate(rows)))
    assert main(tmp_path / "rows.csv", "--submission", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text().startswith("ImageId,Label\n1,7\n2,2\n")


def test_one_label_is_one(tmp_path, capsys):
    assert main("seven.png", "--submission", tmp_path / "out.csv") == 0
    assert "1 label written to" in capsys.readouterr().err


def test_the_column_of_labels_may_be_named_where_it_is_in_doubt(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 4, (40, 784)), rng.integers(0, 4, 40)
    (tmp_path / "a.csv").write_text(
        "".join(",".join(map(str, [n, *row])) + "\n" for n, row in zip(y, x, strict=True))
    )
    assert "say --label-column first or last" in refuse(capsys, tmp_path / "a.csv")
    assert len(tell(capsys, tmp_path / "a.csv", "--label-column", "first")["images"]) == 40
    names = [f"pixel{place}" for place in range(784)]
    for heading in (["label", *names], ["digits", *names]):
        (tmp_path / "b.csv").write_text(",".join(heading) + "\n" + ",".join(map(str, [y[0], *x[0]])) + "\n")
        error = refuse(capsys, tmp_path / "b.csv", "--label-column", "other")
        assert "the column of labels must be a name in the heading" in error
    (tmp_path / "test.csv").write_text(csv(x[:1].astype(np.uint8)))
    assert len(tell(capsys, tmp_path / "test.csv", "--label-column", "label")["images"]) == 1
    assert "must be a .csv file for --label-column" in refuse(capsys, "seven.png", "--label-column", "label")


def test_no_name_is_not_the_current_folder(capsys):
    assert refuse(capsys, "").endswith("IMAGE: must be the name of a file or folder; got ''\n")


def test_a_table_by_another_name_is_told_the_ending(tmp_path, capsys):
    (tmp_path / "test.txt").write_text(csv(fd.load_mnist()[1][0][:1]))
    assert "a table, in a file that ends in .csv" in refuse(capsys, tmp_path / "test.txt")


def test_a_model_of_another_size_gets_no_hint_to_prepare(tmp_path, capsys):
    fd.NeuralNetwork([fd.Dense(30, 3)], seed=0).save(tmp_path / "m.safetensors")
    error = refuse(capsys, "seven.png", "--no-prepare", "--model", tmp_path / "m.safetensors")
    assert "--size HxW scales it" in error
    assert "--prepare" not in error


def test_a_submission_that_lacks_an_image_is_not_written(tmp_path, capsys):
    (tmp_path / "test.csv").write_text(csv(fd.load_mnist()[1][0][:3]))
    assert main("notes.txt", tmp_path / "test.csv", "--submission", tmp_path / "out.csv") == 2
    assert "--submission: needs a label for each image; got errors: " in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ("out.txt", r"--submission: must end in \.csv; got 'out\.txt'"),
        ("nowhere/out.csv", "--submission: must be in a folder that exists"),
        ("test.csv", r"--submission: must not be one of the pictures; got 'test\.csv'"),
    ],
)
def test_a_submission_that_cannot_be_written_is_told_before_anything_is_read(
    tmp_path, monkeypatch, capsys, output, match
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.csv").write_text("pixel0,pixel1\n1,2\n")
    assert re.search(match, refuse(capsys, "test.csv", "--submission", output))


def test_evaluate_sends_a_table_without_labels_to_predict(tmp_path, monkeypatch, capsys):
    from fastdigits.commands import evaluate

    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.csv").write_text(csv(fd.load_mnist()[1][0][:3]))
    assert evaluate.main(["--data", "test.csv"]) == 2
    assert "read them with: fastdigits predict test.csv\n" in capsys.readouterr().err
    assert main("test.csv") == 0


# -- models ------------------------------------------------------------------------------------------------


def test_a_model_or_the_folder_of_a_run_is_used(tmp_path, capsys):
    network = fd.NeuralNetwork([fd.Dense(784, 12)], seed=3)
    network.save(tmp_path / run_folder.MODEL)
    for name in (tmp_path, tmp_path / run_folder.MODEL):
        result = tell(capsys, "test.npy", "--model", name)
        assert result["model"] == str(tmp_path / run_folder.MODEL)
        assert len(result["images"][0]["digits"][0]["probabilities"]) == 12


def test_classes_are_called_by_their_names(tmp_path, capsys):
    network = fd.NeuralNetwork([fd.Dense(784, 3)], seed=0)
    network.layers[0].weight.value = 50 * network.layers[0].weight.value  # a sure one
    network.class_names = ["cat", "dog", "owl"]
    network.save(tmp_path / "m.safetensors")
    digit = tell(capsys, "test.npy", "--model", tmp_path / "m.safetensors")["images"][0]["digits"][0]
    assert digit["class"] == network.class_names[digit["digit"]]
    assert digit["runner_up_class"] == network.class_names[digit["runner_up"]]
    assert main("seven.png", "--model", tmp_path / "m.safetensors", "--output", tmp_path / "a.png") == 0
    assert main("year.jpg", "--model", tmp_path / "m.safetensors") == 0
    assert re.search(r"year\.jpg +(cat|dog|owl)( (cat|dog|owl)){3} ", capsys.readouterr().out)


def test_a_model_for_other_images_takes_arrays_of_these(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.zeros((2, 6, 5), np.uint8))
    assert len(tell(capsys, tmp_path / "a.npy", "--model", "small.safetensors")["images"]) == 2
    error = refuse(capsys, "seven.png", "--model", "small.safetensors")
    assert (
        "the model must have 784 inputs, for the 28 × 28 pixels of a prepared digit; got 30: add --no-"
        in error
    )


def test_a_model_for_rows_of_a_table_reads_rows_and_no_pictures(tmp_path, capsys):
    fd.NeuralNetwork([fd.Standardize(4), fd.Dense(4, 3)], seed=0).save(tmp_path / "m.safetensors")
    error = refuse(capsys, "seven.png", "--model", tmp_path / "m.safetensors")
    assert "of a prepared digit; got 4: it takes rows of a table, such as rows.csv" in error
    (tmp_path / "rows.csv").write_text("a,b,c,d\n1,2,3,4\n")
    assert main(tmp_path / "rows.csv", "--model", tmp_path / "m.safetensors") == 0
    assert re.match(r"row +reads +confidence", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("layers", "got"), [([fd.ReLU()], "layers of any width"), ([fd.Dense(784, 1)], "1 class")]
)
def test_a_model_that_tells_nothing_apart_is_refused(tmp_path, capsys, layers, got):
    fd.NeuralNetwork(layers).save(tmp_path / "m.safetensors")
    error = refuse(capsys, "seven.png", "--model", tmp_path / "m.safetensors")
    assert f"must have a fixed number of inputs and at least two classes; got {got}: choose" in error


def test_a_model_that_is_none_is_told(tmp_path, capsys):
    assert "notes.txt" in refuse(capsys, "seven.png", "--model", "notes.txt")
    assert f"the folder of a run, with {run_folder.MODEL}" in refuse(capsys, "seven.png", "--model", tmp_path)


# -- the drawing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_drawing_is_written_where_it_is_asked_for(tmp_path, capsys, ending, start):
    output = tmp_path / f"seen{ending}"
    assert main("seven.png", "--output", output) == 0
    assert output.stat().st_size > 5000
    assert output.read_bytes().startswith(start)
    assert capsys.readouterr().err == ""


def test_the_drawing_shows_picture_image_and_probabilities():
    digits = np.load("test.npy")
    given = reading.Reading(
        "a" * 50,
        digits[0],
        digits[:2],
        [(0, 0, 9, 9)] * 2,
        np.full((2, 10), 0.1, np.float32),
        list("0123456789"),
    )
    figure = readings.readings_figure([given])
    assert len(figure.axes) == 6
    assert len(readings.readings_figure([given], most=1).axes) == 3
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), digits[0])
    assert [bar.get_height() for bar in figure.axes[2].patches] == pytest.approx([10] * 10)
    assert figure.axes[0].get_title() == "…" + "a" * 33


def test_a_long_drawing_is_cut_and_that_is_said(tmp_path, capsys, monkeypatch, blank):
    monkeypatch.setattr(predict, "DRAWN", 2)
    assert main("test.npy", "--output", tmp_path / "a.png") == 0
    assert "the drawing shows the first 2 of 3 digits" in capsys.readouterr().err
    assert main("test.npy", "--output", tmp_path / "a.png", "--quiet") == 0
    assert capsys.readouterr().err == ""


def test_the_drawing_is_opened_when_that_is_asked_for(tmp_path, capsys, monkeypatch, blank):
    shown = []
    monkeypatch.setattr(system, "open_file", lambda file: shown.append(file) or True)
    assert main("seven.png", "--show") == 0
    assert main("seven.png", "--show", "--output", tmp_path / "a.png") == 0
    assert shown[0].read_bytes()[:4] == b"\x89PNG"
    shown[0].unlink()
    assert shown[1] == tmp_path / "a.png"


def test_without_a_display_it_is_said_where_the_drawing_is(tmp_path, capsys, monkeypatch, blank):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main("seven.png", "--show") == 0
    assert "no display for the drawing: write it to a file with --output FILE" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main("seven.png", "--show", "--output", tmp_path / "a.png") == 0
    assert f"no display for the drawing: open {tmp_path / 'a.png'}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "match"),
    [
        ("a.txt", r"--output: must end in \.png, \.pdf or \.svg; got 'a\.txt'"),
        (
            "none/a.png",
            r"--output: must be in a folder that exists; got 'none/a\.png': create it first",
        ),
        ("seven.png", r"--output: must not be one of the pictures; got 'seven\.png': choose another"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(capsys, monkeypatch, output, match):
    monkeypatch.setattr(predict, "read_picture", lambda *_, **__: pytest.fail("reads"))
    assert re.search(match, refuse(capsys, "seven.png", "--output", output))
