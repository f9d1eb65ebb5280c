"""Tables: the label column, headings and labels are recognized without doubt, or refused."""

import gzip
import json
import re

import numpy as np
import pytest

import fastdigits as fd

RNG = np.random.default_rng(3)
X = RNG.integers(0, 256, (60, 4))
X[0, :2] = 0, 255
Y = np.arange(60) % 3
HEAD = "label,a,b,c,d\n"


def rows(*columns, between=",") -> str:
    """Lines of the columns, each an array (n,) or (n, m)."""
    texts = [np.reshape(column, (len(column), -1)).astype(str) for column in columns]
    return "".join(between.join(line) + "\n" for line in np.concatenate(texts, axis=1))


def read(tmp_path, text: str, name: str = "a.csv", **options) -> fd.Dataset:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    return fd.load_data(tmp_path / name, **options)


def check(data: fd.Dataset, x=X, y=Y) -> None:
    """The data are these images and labels, in whatever order."""
    images, labels = (np.concatenate(part) for part in zip(*data, strict=True))
    found = sorted(zip(images.reshape(len(images), -1).tolist(), labels.tolist(), strict=True))
    assert found == sorted(zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True))


INDEX = np.arange(60)
NAMED = {
    "label before y": ("x,y,label\n" + rows(X[:, :2], Y), X[:, :2], ""),
    "target before digit": (
        "digit,f,target\n" + rows(X[:, :2] % 5, Y),
        X[:, :2] % 5,
        "labels: column 'target'",
    ),
    "class before y": ("y,Class,f\n" + rows(X[:, 0], Y, X[:, 1]), X[:, :2], "labels: column 'Class'"),
    "y beside x alone": ("x,y\n" + rows(X[:, 0], Y), X[:, :1], "labels: column 'y'"),
    "digit": ("f,g,digit\n" + rows(X[:, :2], Y), X[:, :2], "labels: column 'digit'"),
    "label among numbers": ("label,0,1,2,3\n" + rows(Y, X), X, ""),
    "pandas without names": (
        "0,1,2,3,4\n" + rows(Y, X),
        X,
        "the first line, 0, 1, 2, …, is a heading; labels: column '0'",
    ),
    "pandas without names, its index": (
        ",0,1,2,3,4\n" + rows(INDEX, Y, X),
        X,
        "the first line, 0, 1, 2, …, is a heading; labels: column '0'; left out: column 0, the first",
    ),
    "pandas with its index": (",label,a,b,c,d\n" + rows(INDEX, Y, X), X, "left out: column 0, the first"),
    "Kaggle's numbers": ("ImageId,Label,a,b,c,d\n" + rows(INDEX + 1, Y, X), X, "left out: column 'ImageId'"),
    "first": (rows(Y, X), X, "labels: column 0, the first"),
    "last, as optdigits has it": (rows(X % 17, INDEX % 10), X % 17, "labels: column 4, the last"),
    "last, binary pixels": (rows(X % 2, INDEX % 10), X % 2, "labels: column 4, the last"),
    "last, behind row numbers": (
        rows(INDEX, X % 17, INDEX % 10),
        X % 17,
        "labels: column 5, the last; left out: column 0, the first",
    ),
    "sep=": ("sep=;\n" + HEAD.replace(",", ";") + rows(Y, X, between=";"), X, ""),
    "sep= with tabs, mark, Windows": (
        "\ufeff" + ("sep=\t\n" + HEAD.replace(",", "\t") + rows(Y, X, between="\t")).replace("\n", "\r\n"),
        X,
        "",
    ),
    "labels with .0": (HEAD + rows(Y.astype(float), X), X, ""),
    "labels with ,0": (
        HEAD.replace(",", ";") + rows(Y.astype(float), X, between=";").replace(".", ","),
        X,
        "",
    ),
    "a comma behind each line": (
        HEAD.replace("\n", ",\n") + rows(Y, X).replace("\n", ",\n"),
        X,
        "left out: column 5, the last",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_the_column_of_labels_is_found_and_named(tmp_path, name):
    text, x, note = NAMED[name]
    data = read(tmp_path, text)
    check(data, x, INDEX % 10 if name.startswith("last") else Y)
    assert data.train[0].dtype == np.uint8
    assert data.note.rpartition("no rows to test on")[0].removesuffix("; ") == note


def test_words_in_one_column_are_labels_wherever_it_is(tmp_path):
    words = np.array(["x", "y", "z"])[Y]
    for text in (rows(X / 10, words), rows(words, X / 10), rows(X[:, :2] / 10, words, X[:, 2:] / 10)):
        data = read(tmp_path, text)
        check(data, np.float32(X / 10))
        assert data.class_names == ("x", "y", "z")


@pytest.mark.parametrize("name", ["", "id", "idx", "Index", "row", "ImageId", "Unnamed: 0"])
def test_a_column_that_numbers_the_rows_is_left_out_and_named(tmp_path, name):
    pixels = [f"p{place}" for place in range(X[0].size)]
    heading = ",".join([name, "label", *pixels]) + "\n"
    numbers = np.arange(len(Y))
    data = read(tmp_path, heading + rows(numbers, Y, X.reshape(len(Y), -1)))
    assert data.note.startswith("left out: column ")
    check(data)


@pytest.mark.parametrize("missing", ["NA", "?", ""])
def test_a_first_line_that_lacks_pixels_is_an_image_and_named_in_the_note(tmp_path, missing):
    with pytest.raises(fd.DataError, match=r"an empty cell|a missing value on line 1, column 1, counted"):
        read(tmp_path, f"5,{missing},1,{missing},3\n" + rows(Y, X))


def test_labels_of_y_and_n_are_no_heading(tmp_path):
    data = read(tmp_path, rows(np.array(["y", "n", "m"])[Y], X))
    check(data, y=2 - Y)
    assert data.class_names == ("m", "n", "y")


DOUBT = {
    "both ends": (rows(Y, X[:, :2], (Y + 1) % 3), "both may be it, such as '0' and '1': say --label-column"),
    "bits at both ends": (rows(Y % 2, X % 2), "both may be it"),
    "neither end": (rows(X), "neither can be it, such as '0' and "),
    "written by numpy.savetxt": (
        rows(np.char.mod("%.18e", Y), X),
        "neither can be it, such as '0.000000000000000000e",
    ),
    "x, y and a digit": ("x,y,digit\n" + rows(X[:, :2], Y), "one column of labels; got y and digit: name it"),
    "twice": ("label,label,a\n" + rows(Y, Y, X[:, 0]), "must have one column of labels; got label and label"),
    "no name": (
        "species,a\n" + rows(Y, X[:, 0]),
        "named label, .*; got 2 columns, species … a: name it with --label-column .label_column.; or, if none",
    ),
    "no name, words": (
        "a,species\n" + rows(Y, np.array(["x", "y", "z"])[Y]),
        "name it with --label-column .label_column., such as 'species', which has words; or, if none",
    ),
    "measurements": ("a,label\n" + rows(Y, Y + 0.5), "got '0.5' on line 2: measurements are no classes"),
    "few rows": ("a,label\n" + rows(Y, Y)[:12], "must hold at least 6 rows, of which one is set apart"),
}


@pytest.mark.parametrize("name", DOUBT)
def test_a_column_in_doubt_is_refused(tmp_path, name):
    text, match = DOUBT[name]
    with pytest.raises(fd.DataError, match=rf"a\.csv: .*{match}"):
        read(tmp_path, text)


@pytest.mark.parametrize("column", ["species", "Species", "last", "4", 4, -1])
def test_the_label_column_may_be_given(tmp_path, column):
    check(read(tmp_path, "label,b,c,d,species\n" + rows(X, Y), label_column=column))
    if column not in ("species", "Species"):
        check(read(tmp_path, rows(X, Y), label_column=column))


@pytest.mark.parametrize(
    ("source", "column", "error", "match"),
    [
        (
            "a.csv",
            "spezies",
            fd.DataError,
            "in the heading, first, last, or a number from 0 to 4; got 'spezies'",
        ),
        ("a.csv", 5, fd.DataError, r"got '5' for 5 columns, label, a, b … d"),
        ("a.csv", 1.5, TypeError, r"label_column must be a name or a number; got 1\.5"),
        ("mnist", "label", fd.DataError, r"mnist: must be a \.csv file, or a folder with train\.csv"),
        ("a.npz", "label", fd.DataError, r"a\.npz: must be a \.csv file"),
    ],
)
def test_a_missing_column_is_refused(tmp_path, monkeypatch, source, column, error, match):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(HEAD + rows(Y, X))
    np.savez("a.npz", x=X, y=Y)
    with pytest.raises(error, match=match):
        fd.load_data(source, label_column=column)


@pytest.mark.parametrize("label", ["", " ", "NA", "nan", "NaN", "null", "None", "<NA>", "#N/A", "?"])
def test_a_missing_label_is_an_error_with_its_line(tmp_path, label):
    text = HEAD + "\n" + rows(Y, X).replace("\n2,", f"\n{label},", 1)
    with pytest.raises(fd.DataError, match=r"a\.csv: labels must not be missing; got '.*' on line 5: add it"):
        read(tmp_path, text)


@pytest.mark.parametrize("label", ["1e1", "+1", "-1", "１", "1.5", "inf"])
def test_only_plain_digits_are_a_number(tmp_path, label):
    with pytest.raises(fd.DataError, match=r"plain whole numbers, such as 7, or words; got '.*' on line 4"):
        read(tmp_path, HEAD + rows(Y, X).replace("\n2,", f"\n{label},", 1))


@pytest.mark.parametrize(("label", "got"), [("a\x1b", r"a\\x1b"), ("a\0", r"a\\x00"), ("w" * 1001, "w+")])
def test_a_label_that_can_name_no_class_is_an_error_with_its_line(tmp_path, label, got):
    with pytest.raises(fd.DataError, match=rf"labels must have 1 to 1,000 .*; got '{got}' on line 4"):
        read(tmp_path, HEAD + rows(Y, X).replace("\n2,", f"\n{label},", 1))


def test_numbers_and_words_are_classes_by_name(tmp_path):
    data = read(tmp_path, HEAD + rows([*"0123456789AB"] * 5, X))
    assert data.class_names == tuple("0123456789AB")
    assert data.note.startswith("labels are numbers and words: each is the name of a class; ")
    assert read(tmp_path, HEAD + rows(["0_1", "1_2", "2_3"] * 20, X)).class_names == ("0_1", "1_2", "2_3")


def test_too_many_classes_are_refused_before_the_rest_is_read(tmp_path):
    lines = [f"w{number},1,2\n" for number in range(10_001)]
    for rest in ("", "this is no line of the table\n"):
        with pytest.raises(
            fd.DataError, match=r"at most 10,000 different values, .*; got more by line 10002: --label"
        ):
            read(tmp_path, "label,a,b\n" + "".join(lines) + rest)


def test_decimal_commas_are_read_where_they_do_not_separate(tmp_path):
    halves = np.where(X == 255, 255, X) / 2
    for between in ";\t":
        commas = rows(halves, between=between).replace(".", ",")
        text = "".join(
            f"{label}{between}{line}\n" for label, line in zip(Y, commas.splitlines(), strict=True)
        )
        for heading in ("", HEAD.replace(",", between)):
            check(read(tmp_path, heading + text), np.float32(halves))
    words = rows(np.char.add("x,", Y.astype(str)), np.char.replace(halves.astype(str), ".", ","), between=";")
    assert read(tmp_path, words).class_names == ("x,0", "x,1", "x,2")


def test_a_comma_and_a_point_in_one_number_are_refused(tmp_path):
    text = HEAD.replace(",", ";") + "0;1,5;2;3;4\n1;1.234,5;2;3;4\n"
    with pytest.raises(fd.DataError, match=r"none between thousands; got '1\.234,5' on line 3"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("pixel", "got"),
    [
        ("inf", "inf, which is too large for float32"),
        ("nan", "'nan', a missing value"),
        ("1e39", "1e39, which is too large for float32"),
    ],
)
def test_a_pixel_that_is_not_finite_is_an_error_with_its_line(tmp_path, pixel, got):
    with pytest.raises(
        fd.DataError, match=rf"must have finite numbers .*; got {got} on line 5, column 'b': "
    ):
        read(tmp_path, HEAD + "0,1,2,3,4\n\n\n1,2," + pixel + ",3,4\n")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_text_in_another_encoding_is_refused_with_advice(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes((HEAD + rows(["ä", "b", "c"] * 20, X)).encode(encoding))
    with pytest.raises(fd.DataError, match=r"must be a text file in UTF-8; got: .*: save it as CSV in UTF-8"):
        fd.load_data(tmp_path / "a.csv")


# -- two tables ----------------------------------------------------------------------------------------------


def test_the_test_table_follows_the_training_table(tmp_path):
    """Its own values would leave the column in doubt."""
    (tmp_path / "train.csv").write_text(rows(X % 17, INDEX % 10))
    (tmp_path / "test.csv").write_text("1,2,3,4,0\n2,3,4,5,1\n")
    data = fd.load_data(tmp_path)
    assert data.test[1].tolist() == [0, 1]
    assert "train.csv: labels: column 4, the last" in data.note


@pytest.mark.parametrize("column", [None, "label", "first"])
@pytest.mark.parametrize("heading", [True, False])
def test_a_test_table_without_labels_is_ignored(tmp_path, heading, column):
    (tmp_path / "train.csv").write_text(HEAD * heading + rows(Y, X))
    (tmp_path / "test.csv").write_text("a,b,c,d\n" * heading + rows(X))
    if heading or column != "label":
        assert "test.csv has no labels; no rows" in fd.load_data(tmp_path, label_column=column).note


@pytest.mark.parametrize(
    ("ends", "dtype"), [(("", ".0"), np.uint8), ((".0", ""), np.uint8), (("", ".5"), np.float32)]
)
def test_one_scale_for_both_tables_whatever_the_spelling(tmp_path, ends, dtype):
    for name, end in zip(("train.csv", "test.csv.gz"), ends, strict=True):
        x = np.char.add(X.astype(str), np.array(["", "", "", end]))
        text = (HEAD + rows(Y, x)).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    data = fd.load_data(tmp_path)
    assert data.train[0].dtype == data.test[0].dtype == dtype
    assert data.note == ""


# -- tables and images --------------------------------------------------------------------------------------

PIXELS = RNG.integers(0, 256, (60, 64))


def head(*names: str) -> str:
    return ",".join(["label", *names]) + "\n"


SHAPES = {
    "iris": (head("a", "b", "c", "d"), X / 10, (1, 4)),
    "iris, without names": ("", X[:, :4] / 10, (1, 4)),
    "16 columns of whole numbers": ("", PIXELS[:, :16] % 16, (1, 16)),
    "16 columns that are named pixels": (head(*(f"pixel{i}" for i in range(16))), PIXELS[:, :16], (4, 4)),
    "floats that are named pixels": (head(*(f"1x{i}" for i in range(16))), PIXELS[:, :16] / 7, (4, 4)),
    "load_digits": ("", PIXELS % 17, (8, 8)),
    "load_digits with pandas": (head(*(f"pixel_{i}_{j}" for i in range(8) for j in range(8))), PIXELS % 17, (8, 8)),
    "numbered names": (head(*(f"V{i}" for i in range(64))), PIXELS, (8, 8)),
    "fractions": ("", PIXELS / 255, (8, 8)),
    "fractions above 1": ("", PIXELS / 2, (1, 64)),
    "too large": ("", PIXELS + 1, (1, 64)),
    "negative": ("", PIXELS - 1, (1, 64)),
    "words": (head(*(f"{'ab'[i % 2]}{i}" for i in range(64))), PIXELS, (1, 64)),
    "63 columns": ("", PIXELS[:, :63], (1, 63)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_columns_are_pixels_only_where_that_can_be_meant(tmp_path, name):
    heading, x, shape = SHAPES[name]
    labels = np.array(["p", "q", "r"])[Y]
    data = read(tmp_path, heading + rows(labels, x + (x == 0) * (name == "too large")))
    assert data.image_shape == shape
    assert ("no rows to test on" in data.note) == (shape[0] == 1)


def test_numbers_of_a_table_that_do_not_begin_at_0_are_names_of_classes(tmp_path):
    data = read(tmp_path, HEAD + rows(np.array([5, 7, 9])[Y], X))
    assert data.class_names == ("5", "7", "9")
    assert sorted(set(data.train[1].tolist())) == [0, 1, 2]
    assert data.named
    assert read(tmp_path, HEAD + rows(np.array([0, 2, 4])[Y], X)).class_names == ("0", "1", "2", "3", "4")
    assert read(tmp_path, head(*(f"pixel{i}" for i in range(4))) + rows(Y + 5, X)).classes == 8  # digits
    with pytest.raises(fd.DataError, match="at least two classes; got only 5"):
        read(tmp_path, HEAD + rows(np.full(60, 5), X))


def test_evaluate_matches_classes_by_their_numbers(tmp_path, monkeypatch, capsys):
    from fastdigits.commands import evaluate, train

    monkeypatch.chdir(tmp_path)
    for name, labels in {"from 1": Y + 1, "1 and 3": np.where(Y == 1, 3, Y + 1), "from 0": Y}.items():
        (tmp_path / f"{name}.csv").write_text(HEAD + rows(labels, X))
    for data, names in {"from 1": ["1", "2", "3"], "from 0": ["0", "1", "2"]}.items():
        words = ["--data", f"{data}.csv", "-o", data, "--epochs", "1", "--no-plots", "--quiet"]
        assert train.main(words) == 0
        words = ["--data", "1 and 3.csv", "--model", data, "--no-plots", "--json", "--quiet"]
        capsys.readouterr()
        if data == "from 1":
            assert evaluate.main([*words, "-o", "figures"]) == 0
            found = json.loads(capsys.readouterr().out)
            assert found["class_names"] == names
            assert [one["support"] > 0 for one in found["classes"]] == [True, False, True]
        else:
            assert evaluate.main(words) == 2
            assert "must be among those of the model, 0, 1, 2" in capsys.readouterr().err


# -- from the command line -----------------------------------------------------------------------------------


def test_train_and_evaluate_take_the_column(tmp_path, monkeypatch, capsys):
    from fastdigits.commands import evaluate, predict, train

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("a,b,c,d,species\n" + rows(X, np.array(["x", "y", "z"])[Y]))
    assert train.main(["--data", "a.csv", "-o", "run", "--epochs", "1", "--no-plots"]) == 2
    assert "name it with --label-column" in capsys.readouterr().err
    column = ["--data", "a.csv", "--label-column", "species", "--no-plots"]
    assert train.main([*column, "-o", "run", "--epochs", "1"]) == 0
    assert repr(fd.load_data("a.csv", label_column="species")) == (
        "<Dataset a.csv: 50 training and 10 test rows of 4 columns, 3 classes>"
    )
    assert train.main([*column, "-o", "other", "--augment", "shift=1"]) == 2
    assert "--augment: needs images; got rows of 4 columns: add --augment none\n" in capsys.readouterr().err
    assert train.main([*column, "-o", "other", "--preset", "default"]) == 2
    hint = "--augment none --no-moment-norm"  # both at once
    assert f"--augment: needs images; got rows of 4 columns: add {hint}\n" in capsys.readouterr().err
    assert train.main([*column, "-o", "run2", "--preset", "default", *hint.split(), "--epochs", "1"]) == 0
    capsys.readouterr()
    accuracies = []
    words = np.array(["x", "y", "z"])[Y]
    (tmp_path / "b.csv").write_text("new,d,c,species,b,a\n" + rows(Y, X[:, [3, 2]], words, X[:, [1, 0]]))
    for name in ("a.csv", "b.csv"):
        options = ["--data", name, "--label-column", "species", "--no-plots", "--json", "--quiet"]
        assert evaluate.main([*options, "--model", "run", "-o", f"figures of {name}"]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["accuracy"])
    assert accuracies[0] == accuracies[1]
    assert predict.main(["a.csv", "--label-column", "species", "--model", "run"]) == 0
    found = capsys.readouterr().out
    assert predict.main(["a.csv", "--model", "run"]) == 0
    assert capsys.readouterr().out == found  # the model has no input for the words
    assert predict.main(["b.csv", "--model", "run"]) == 0
    out, err = capsys.readouterr()
    assert out.replace("b.csv", "a.csv") == found
    assert "matched by their names; left out: column 'new', 'species'" in " ".join(err.split())
    (tmp_path / "b.csv").write_text("a,b,c,species\n" + rows(X[:, :3], words))
    missing = r"b\.csv: must have the columns of the training; got none named 'd'"
    for options in ([], ["--label-column", "species"]):
        assert predict.main(["b.csv", "--model", "run", *options]) == 2
        assert re.search(missing, " ".join(capsys.readouterr().err.split()))
    (tmp_path / "b.csv").write_text(
        "a,b,c,label\n" + rows(X[:, :3], Y + 1)
    )  # a class that the model has not, too
    assert evaluate.main(["--data", "b.csv", "--model", "run"]) == 2
    assert re.search(missing, " ".join(capsys.readouterr().err.split()))
    (tmp_path / "b.csv").write_text(rows(words, X[:, :2]))  # without names, the number decides
    assert predict.main(["b.csv", "--model", "run"]) == 2
    assert "rows must have 4 columns, as the model takes; got 2" in " ".join(capsys.readouterr().err.split())


def test_lines_longer_than_a_heading_of_numbers_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0,1,2\n" + "".join(f"{row}00,1,2,3,{row % 3}\n" for row in range(60)))
    with pytest.raises(fd.DataError, match="as many cells as the heading; got 3 in the heading"):
        fd.load_data(path)


# -- columns by their names ---------------------------------------------------------------------------------

NAMES = ("a", "b b", "C", "7")
HALVES = np.char.add(X.astype(str), ".5")  # no pixels
A, B, C, D = HALVES.T
ANY_ORDER = "columns in another order than in the training: matched by their names"


def test_the_names_of_the_columns_belong_to_the_data(tmp_path):
    head = '\ufeff"id","a", b b ,label,C,7\n'
    assert read(tmp_path, head + rows(INDEX, A, B, Y, C, D)).column_names == NAMES
    for head in ("", "label,0,1,2,3\n"):
        assert read(tmp_path, head + rows(Y, HALVES)).column_names == ()
    data = read(tmp_path, "label,a,b,a,c\n" + rows(Y, HALVES))
    assert data.column_names == ()
    assert data.note.startswith("columns are known by their order, as several are named 'a'; ")


@pytest.mark.parametrize(
    ("head", "columns", "note"),
    [
        ("a,b b,C,7,label", (HALVES, Y), ""),
        ("label,A,B B,c,7", (Y, HALVES), ""),
        ("label,0,1,2,3", (Y, HALVES), ""),
        ("7,C,label,b b,a", (D, C, Y, B, A), ANY_ORDER),
        (
            "row,7,new,b b,words,C,y,label,a",
            (INDEX, D, X[:, 0], B, np.array(["u", "v", "w"])[Y], C, Y, Y, A),
            f"{ANY_ORDER}; left out: column 'row', 'new', 'words', 'y'",
        ),
    ],
)
def test_wanted_columns_are_found_by_their_names(tmp_path, head, columns, note):
    data = read(tmp_path, f"{head}\n{rows(*columns)}", column_names=NAMES)
    check(data, HALVES.astype(np.float32))
    assert data.note.rpartition("no rows to test on")[0].removesuffix("; ") == note


def test_columns_without_names_are_taken_in_their_order(tmp_path):
    check(read(tmp_path, rows(Y, HALVES), column_names=NAMES), HALVES.astype(np.float32))
    pixels = [f"pixel{number}" for number in range(4)]
    others = ["V1", "V2", "V3", "V4"]
    for wanted, given in ((pixels, ["1x1", "1x2", "2x1", "2x2"]), (pixels, others), (others, pixels)):
        data = read(tmp_path, f"label,{','.join(given)}\n{rows(Y, X)}", column_names=wanted)
        check(data)
        said = f"columns {given[0]} … {given[-1]}: taken as {wanted[0]} … {wanted[-1]}, by their order; "
        assert data.note.startswith(said)


@pytest.mark.parametrize(
    ("head", "match"),
    [
        ("label,a,b b,C,8", "got none named '7' but '8' instead: rename or add it, or, if the columns"),
        (
            "label,t,u,v,w",
            "none named 'a', 'b b', 'C', '7' but 't', 'u', 'v', 'w' instead: rename or add them",
        ),
        ("label,7,8,9,8a", "none named 'a', 'b b', 'C' but '8', '9', '8a' instead"),
        ("label,a,b b,C,a", "must have each column of the training once; got 2 columns named 'a': rename"),
    ],
)
def test_a_missing_column_is_an_error_that_names_it(tmp_path, head, match):
    with pytest.raises(fd.DataError, match=match):
        read(tmp_path, f"{head}\n{rows(Y, HALVES)}", column_names=NAMES)


def test_a_test_table_must_have_the_columns_of_the_training_table(tmp_path):
    (tmp_path / "train.csv").write_text("label,a,b,c,d\n" + rows(Y, HALVES))
    test = tmp_path / "test.csv"
    test.write_text("d,c,e,b,a,label\n" + rows(D, C, B, B, A, Y))
    data = fd.load_data(tmp_path)
    np.testing.assert_array_equal(data.test[0], data.train[0])
    assert data.note == f"test.csv: {ANY_ORDER}; left out: column 'e'"
    test.write_text("label,a,b,c,e\n" + rows(Y, HALVES))
    with pytest.raises(
        fd.DataError, match=r"test\.csv: must have the columns .* none named 'd' but 'e' instead"
    ):
        fd.load_data(tmp_path)
    test.write_text("a,b,c\n" + rows(A, B, C))
    assert "test.csv has no labels" in fd.load_data(tmp_path).note
