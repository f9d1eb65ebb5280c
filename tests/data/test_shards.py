"""Shards: what was written is read again, and each fault names the file and the next step."""

import copy
import gzip
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from shard_folders import examples, make

import fastdigits as fd
from fastdigits.data import shard_files
from fastdigits.data.shard_description import DESCRIPTION
from fastdigits.data.shard_writer import KINDS, new_folder

needs_arrow = pytest.mark.needs("pyarrow")
ALL_KINDS = [pytest.param(kind, marks=needs_arrow if kind in ("parquet", "arrow") else ()) for kind in KINDS]


def contents(shards: fd.Shards, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    parts = [(x.copy(), y.copy()) for x, y in shards.pieces(size)]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


# -- what is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_what_was_written_is_read_with_and_without_the_description(kind, dtype, tmp_path):
    x, y = examples(203, dtype)
    shards = fd.Shards(make(tmp_path, x, y, kind=kind))
    assert len(shards) == 203
    assert shards.rows == (50, 50, 50, 50, 3)
    assert (shards.image_shape, shards.dtype, shards.classes, shards.class_names) == ((4, 4), dtype, 3, ())
    assert shards.range == (x.min(), x.max(), dtype == "uint8")
    np.testing.assert_array_equal(shards.class_counts, np.bincount(y))
    for size in (1000, 64, 7):
        read_x, read_y = contents(shards, size)
        np.testing.assert_array_equal(read_x, x.reshape(203, 16))
        np.testing.assert_array_equal(read_y, y)
    np.testing.assert_array_equal(shards.load()[0], x)
    (tmp_path / DESCRIPTION).unlink()
    found = fd.Shards(tmp_path)
    assert found.description == shards.description
    assert found.save() == tmp_path / DESCRIPTION
    assert fd.Shards(tmp_path).digest == shards.digest
    shards.check()


def test_images_are_shuffled_once_by_a_seed_when_they_are_written(tmp_path):
    x, y = examples()
    read = [contents(fd.Shards(make(tmp_path / str(seed), x, y, seed=seed))) for seed in (0, 1)]
    again = contents(fd.Shards(make(tmp_path / "again", x, y, seed=0)))
    np.testing.assert_array_equal(read[0][0], again[0])
    assert (read[0][0] != read[1][0]).any()
    order = np.lexsort(read[0][0].T)
    np.testing.assert_array_equal(read[0][0][order], x.reshape(200, 16)[np.lexsort(x.reshape(200, 16).T)])


def test_idx_files_may_be_compressed_and_named_as_those_of_mnist(tmp_path):
    x, y = examples(60)
    make(tmp_path, x, y, kind="idx")
    for path in list(tmp_path.iterdir()):
        if path.name != DESCRIPTION:
            named = path.name.replace("images-00000", "train-images").replace("labels-00000", "train-labels")
            (tmp_path / f"{named}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    shards = fd.Shards(tmp_path)
    assert sorted(shards.rows) == [10, 50]
    shards.save()
    assert len(contents(fd.Shards(tmp_path))[1]) == 60


def test_paths_and_pairs_of_paths_are_taken_in_their_order(tmp_path):
    x, y = examples(30)
    for name, part in {"b": slice(0, 10), "a": slice(10, 30)}.items():
        np.save(tmp_path / f"images-{name}.npy", x[part])
        np.save(tmp_path / f"labels-{name}.npy", y[part])
    shards = fd.Shards(
        [tmp_path / "images-b.npy", (tmp_path / "images-a.npy", str(tmp_path / "labels-a.npy"))]
    )
    np.testing.assert_array_equal(contents(shards)[1], y)
    with pytest.raises(ValueError, match=r"Shards.save: the shards must be those of a folder; got paths"):
        shards.save()


def test_other_types_become_numbers_of_float32_and_rows_become_squares(tmp_path):
    x, y = examples(30)
    np.save(tmp_path / "images.npy", x.reshape(30, 16).astype(">i8"))
    np.save(tmp_path / "labels.npy", y.astype(">i4"))
    shards = fd.Shards(tmp_path)
    assert (shards.dtype, shards.image_shape, shards.range) == (np.float32, (4, 4), (x.min(), x.max(), True))
    np.testing.assert_array_equal(contents(shards)[0], x.reshape(30, 16))
    np.testing.assert_array_equal(contents(shards)[1], y)


@needs_arrow
@pytest.mark.parametrize("form", ["lists", "large lists", "bytes", "fixed bytes"])
def test_images_of_a_table_may_be_lists_or_bytes(form, tmp_path):
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    x, y = examples(30)
    kinds = {"lists": pa.list_(pa.uint8()), "large lists": pa.large_list(pa.uint8()), "bytes": pa.binary()}
    rows = [image.tobytes() if "bytes" in form else image.reshape(-1).tolist() for image in x]
    table = pa.table({"id": range(30), "Image": pa.array(rows, kinds.get(form, pa.binary(16))), "label": y})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    pa.feather.write_feather(table, tmp_path / "b.feather")
    shards = fd.Shards(tmp_path)
    np.testing.assert_array_equal(contents(shards)[0], np.tile(x.reshape(30, 16), (2, 1)))
    np.testing.assert_array_equal(contents(shards)[1], np.tile(y, 2))


def test_class_names_stay_and_copies_and_pickles_are_equal(tmp_path):
    shards = fd.Shards(make(tmp_path, *examples(), names=("ant", "bee", "cät")), window=77)
    assert shards.class_names == ("ant", "bee", "cät")
    for other in (copy.deepcopy(shards), pickle.loads(pickle.dumps(shards))):
        assert (other.digest, other.window, len(contents(other)[1])) == (shards.digest, 77, 200)
    assert repr(shards) == "Shards(200 images of 4 x 4 uint8 in 4 shards, window=77)"


# -- faults ----------------------------------------------------------------------------------------------------


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["images-00001.npy", "labels-00001.npy"])
@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (Path.unlink, "must be a file that can be read; got: No such file.*bring the file back"),
        (shorten, "must be [0-9]+ bytes, as described; got [0-9]+: bring the file back"),
    ],
)
def test_a_missing_or_short_file_is_refused_before_anything_is_read(fault, match, name, tmp_path):
    make(tmp_path, *examples())
    shards = fd.Shards(tmp_path)
    fault(tmp_path / name)
    for work in (lambda: fd.Shards(tmp_path), shards.check_files, shards.check):
        with pytest.raises(fd.DataError, match=match) as caught:
            work()
        assert name in str(caught.value)


def test_a_file_with_another_header_is_refused(tmp_path):
    x, y = examples()
    make(tmp_path, x, y)
    np.save(tmp_path / "images-00002.npy", x[:50].reshape(25, 4, 8))
    with pytest.raises(
        fd.DataError, match=r"images-00002.npy: must hold an array of \(50, 4, 4\); got \(25, 4, 8\)"
    ):
        fd.Shards(tmp_path)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_changed_file_is_found_when_it_is_read(kind, tmp_path):
    make(tmp_path, *examples(), kind=kind)
    shards = fd.Shards(tmp_path)
    contents(shards)
    name = shards.description.shards[2].files[0].name
    flip(tmp_path / name)
    os.utime(tmp_path / name, ns=(1, 1))
    for found in (shards, fd.Shards(tmp_path)):
        with pytest.raises(fd.DataError, match=f"{name}: must be as described, with the checksum"):
            contents(found)


def test_a_checksum_is_computed_once_as_long_as_nothing_shows_a_change(tmp_path, monkeypatch):
    shards = fd.Shards(make(tmp_path, *examples()))
    computed = []
    monkeypatch.setattr(shard_files, "Checksum", lambda: computed.append(1) or pytest.fail("computed"))
    with pytest.raises(pytest.fail.Exception):
        contents(shards)
    monkeypatch.undo()
    contents(shards)
    monkeypatch.setattr(shard_files, "Checksum", lambda: pytest.fail("computed again"))
    contents(shards)
    os.utime(tmp_path / "images-00001.npy", ns=(1, 1))
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        contents(shards)


@needs_arrow
@pytest.mark.parametrize("name", ["a.arrows", "a.arrow"])
def test_an_arrow_stream_is_refused_with_the_way_to_convert_it(name, tmp_path):
    import pyarrow as pa
    import pyarrow.feather

    table = pa.table({"image": [[1, 2, 3, 4]] * 3, "label": [0] * 3})
    with pa.ipc.new_stream(tmp_path / name, table.schema) as stream:
        stream.write_table(table)
    for source in (tmp_path, [tmp_path / name]):
        with pytest.raises(
            fd.DataError,
            match=r"must be an Arrow file, .* got an Arrow stream: convert it with pyarrow\.feather",
        ):
            fd.Shards(source)
    with pa.ipc.open_stream(tmp_path / name) as stream:
        pa.feather.write_feather(stream.read_all(), tmp_path / "x.feather")
    assert len(fd.Shards([tmp_path / "x.feather"])) == 3


@needs_arrow
@pytest.mark.parametrize("shape", ["2,3", "4", "2,2,1", "x", "0,4", "9" * 5000])
def test_a_table_whose_metadata_have_another_size_is_refused(shape, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table({"image": [[1, 2, 3, 4]] * 3, "label": [0] * 3})
    pa.parquet.write_table(table.replace_schema_metadata({"image_shape": shape}), tmp_path / "a.parquet")
    match = r"a.parquet: its metadata image_shape must be height,width of its images of 4 numbers, .*; got"
    with pytest.raises(fd.DataError, match=match):
        fd.Shards(tmp_path)


@needs_arrow
def test_the_rows_of_a_compressed_table_are_counted_without_its_images(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.feather

    table = pa.table({"image": [[1, 2, 3, 4]] * 30, "label": [0] * 30})
    pa.feather.write_feather(table, tmp_path / "a.feather", compression="zstd", chunksize=7)
    opened, plain = [], shard_files.TableRows._open_arrow

    def spy(self, columns=None):
        opened.append(columns)
        return plain(self, columns)

    monkeypatch.setattr(shard_files.TableRows, "_open_arrow", spy)
    shard_files.check_rows(tmp_path / "a.feather", 30)
    assert opened == [None, ["label"]]


@needs_arrow
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_with_other_rows_than_described_is_refused(kind, tmp_path):
    path = make(tmp_path, *examples(), kind=kind) / DESCRIPTION
    content = json.loads(path.read_text())
    content["shards"][0]["rows"] += 1
    content["shards"][1]["rows"] -= 1
    path.write_text(json.dumps(content))
    with pytest.raises(fd.DataError, match=f"shard-00000.{kind}: must hold 51 rows, as described; got 50"):
        fd.Shards(tmp_path)


def test_labels_and_numbers_beyond_those_described_are_found_before_they_are_used(tmp_path):
    path = make(tmp_path, *examples(100, "float32")) / DESCRIPTION
    whole = json.loads(path.read_text())
    for change, match in (
        ({"class_counts": [100]}, "labels-00000.npy: labels must lie within 0 … 0"),
        ({"high": whole["low"]}, "images-00000.npy: numbers must lie within"),
        ({"dtype": "uint8"}, "images-00000.npy: numbers must be uint8, as described; got float32"),
    ):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(fd.DataError, match=match):
            contents(fd.Shards(tmp_path))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_no_image_of_a_changed_file_is_used(kind, tmp_path):
    shards = fd.Shards(make(tmp_path, *examples(100), kind=kind))
    name = shards.description.shards[0].files[0].name
    content = bytearray((tmp_path / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(fd.DataError, match=f"{name}: must be as described, with the checksum"):
        next(shards.pieces(1))


@needs_arrow
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_that_is_cut_while_it_is_read_is_an_error(kind, tmp_path):
    x, y = examples(20_000, side=16)
    shards = fd.Shards(make(tmp_path, x, y, rows=20_000, kind=kind))
    pieces = shards.pieces(100)
    next(pieces)
    os.truncate(tmp_path / shards.description.shards[0].files[0].name, 4000)
    with pytest.raises(fd.DataError, match=r"shard-00000\.\w+: must"):
        for _ in pieces:
            pass


@pytest.mark.parametrize("size", [9, 50])
def test_a_cut_header_is_an_error_with_the_name_of_the_file(size, tmp_path):
    make(tmp_path, *examples(50))
    (tmp_path / DESCRIPTION).unlink()
    os.truncate(tmp_path / "images-00000.npy", size)
    with pytest.raises(fd.DataError, match=r"images-00000\.npy: must"):
        fd.Shards(tmp_path)


def test_the_present_folder_can_be_described(tmp_path, monkeypatch):
    make(tmp_path, *examples(50))
    (tmp_path / DESCRIPTION).unlink()
    monkeypatch.chdir(tmp_path)
    assert fd.Shards(".").save().is_file()
    with pytest.raises(ValueError, match="got paths"):
        fd.Shards(["images-00000.npy"]).save()


def test_the_first_file_decides_the_dtype(tmp_path):
    make(tmp_path, *examples(50))
    np.save(tmp_path / "images-00001.npy", np.zeros((50, 4, 4), np.float32))
    np.save(tmp_path / "labels-00001.npy", np.zeros(50, np.uint8))
    (tmp_path / DESCRIPTION).unlink()
    with pytest.raises(fd.DataError, match=r"images-00001.npy: images must be uint8 .*; got float32"):
        fd.Shards(tmp_path)


def test_what_others_left_beside_the_new_folder_stays(tmp_path):
    (tmp_path / ".shards-new.old.tmp").mkdir()
    with new_folder(tmp_path / "new"):
        pass
    assert (tmp_path / ".shards-new.old.tmp").is_dir()


@pytest.mark.parametrize(
    ("dtype", "changes"),
    [
        ("uint8", {"class_counts": [1, 1, 198]}),
        ("uint8", {"low": -7, "whole": False}),
        ("uint8", {"high": 254.5}),
        ("uint8", {"whole": False}),
        ("float32", {"low": -7}),
        ("float32", {"high": 255}),
    ],
)
def test_check_counts_what_the_description_says_of_the_images(dtype, changes, tmp_path):
    path = make(tmp_path, *examples(200, dtype)) / DESCRIPTION
    fd.Shards(tmp_path).check()
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    shards, name = fd.Shards(tmp_path), next(iter(changes))
    with pytest.raises(
        fd.DataError, match=f"{name} must be that of the images, .*; got .*: remove it, and write"
    ):
        shards.check()


def test_images_that_could_not_be_read_again_are_neither_described_nor_written(tmp_path):
    match = r"images must have height and width of 1 to 1,000,000 pixels; got \(1, 1000001\)"
    for shape in ((1, 1, 1_000_001), (1, 1_000_001)):
        np.save(tmp_path / "images.npy", np.zeros(shape, np.uint8))
        np.save(tmp_path / "labels.npy", np.zeros(1, np.uint8))
        with pytest.raises(fd.DataError, match=rf"images.npy: {match}"):
            fd.Shards(tmp_path)
    np.save(tmp_path / "images.npy", np.zeros((1, 0, 4), np.uint8))
    with pytest.raises(fd.DataError, match=r"images must have .*; got \(0, 4\)"):
        fd.Shards(tmp_path)
    with pytest.raises(fd.DataError, match=match):
        make(tmp_path / "new", np.zeros((1, 1, 1_000_001), np.uint8), np.zeros(1, int))
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_a_name_that_a_description_cannot_hold_is_refused(tmp_path):
    x, y = examples(5)
    for name, array in {"images": x, "labels": y}.items():
        np.save(tmp_path / f"{name}-\udcff.npy", array)
    with pytest.raises(fd.DataError, match=r"images-.udcff.npy': must be a name in UTF-8.*: rename it"):
        fd.Shards(tmp_path)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (
            ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
            "must hold each image once; got .* and .*gz, the",
        ),
        (("images-0.npy", "images-0-idx3-ubyte"), "must hold each image once; got .*: remove one of them"),
        (("a.parquet", "a.feather"), "must hold each image once"),
        (
            ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte"),
            "must hold the files of one part .* test and train",
        ),
        (("train-0-of-2.parquet", "test-0-of-1.parquet"), "must hold the files of one part"),
        (
            ("images_train.npy", "images_val.npy"),
            "got those of train and validation, .*: move them into a folder",
        ),
    ],
)
def test_files_that_belong_to_two_sets_are_not_merged(names, match, tmp_path):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(fd.DataError, match=match):
        fd.Shards(tmp_path)


WRONG = {
    "a shard of one file must be a table": lambda d: d["shards"][0]["files"].pop(),
    "must lead to a file inside the folder; got '../x'": lambda d: d["shards"][0]["files"][0].update(
        name="../x"
    ),
    "must lead to a file inside the folder; got '/x'": lambda d: d["shards"][0]["files"][0].update(name="/x"),
    "must be a text; got 3": lambda d: d["shards"][0]["files"][0].update(name=3),
    "a checksum must be 8 hexadecimal digits": lambda d: d["shards"][0]["files"][0].update(checksum="12"),
    "a file: size must be an integer; got 1.5": lambda d: d["shards"][0]["files"][0].update(size=1.5),
    "a shard: rows must be at least 1; got 0": lambda d: d["shards"][0].update(rows=0),
    "a shard must have one or two files; got 0": lambda d: d["shards"][0].update(files=[]),
    "must add up to the images of all shards, 200; got 201": lambda d: d["class_counts"].__setitem__(
        0, d["class_counts"][0] + 1
    ),
    "format and version must be 'fastdigits-shards' and 1; got": lambda d: d.update(version=2),
    "dtype must be 'uint8' or 'float32'; got 'int64'": lambda d: d.update(dtype="int64"),
    "whole must be true or false; got 1": lambda d: d.update(whole=1),
    "low must be at most high": lambda d: d.update(low=256),
    "whole numbers must lie within": lambda d: d.update(high=300),
    "image_shape: images must have height and width of .*; got .16,": lambda d: d.update(image_shape=[16]),
    "image_shape: images must have height and width of 1 to 1,000,000 pixels": lambda d: d.update(
        image_shape=[1 << 20, 4]
    ),
    "class_counts must have 1 to 10,000 entries; got 0": lambda d: d.update(class_counts=[]),
    "class_names must be 3, one per class": lambda d: d.update(class_names=["a"]),
    "class_names must be a list": lambda d: d.update(class_names="abc"),
    "must have format": lambda d: d.pop("low"),
    "shards must be a list; got 7": lambda d: d.update(shards=7),
}


@pytest.mark.parametrize("match", WRONG)
def test_a_wrong_description_is_refused_with_its_name(match, tmp_path):
    path = make(tmp_path, *examples()) / DESCRIPTION
    content = json.loads(path.read_text())
    WRONG[match](content)
    path.write_text(json.dumps(content))
    with pytest.raises(fd.DataError, match=match) as caught:
        fd.Shards(tmp_path)
    assert str(path) in str(caught.value)
    assert "fastdigits shard --describe" in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_each_entry_with_each_of_many_values_is_refused_or_harmless(tmp_path):
    path = make(tmp_path, *examples(60), rows=30) / DESCRIPTION
    text = path.read_text()
    values = [
        None,
        True,
        -1,
        0,
        1.5,
        2**53,
        2**70,
        "",
        "x",
        "é\x00",
        [],
        {},
        [[]],
        [{}],
        [None],
        ["", ""],
        [2**62] * 2,
    ]
    refused = 0
    for place in ((), ("shards", 0), ("shards", 0, "files", 0)):
        whole = json.loads(text)
        for step in place:
            whole = whole[step]
        for name in whole:
            for value in values:
                content = json.loads(text)
                part = content
                for step in place:
                    part = part[step]
                part[name] = value
                path.write_text(json.dumps(content))
                try:
                    shards = fd.Shards(tmp_path)
                    len(contents(shards)[1])
                except fd.DataError as error:
                    assert str(tmp_path) in str(error)  # noqa: PT017
                    assert "\n" not in str(error)  # noqa: PT017
                    refused += 1
    assert refused > 200


@pytest.mark.parametrize("text", ["", "[]", '{"low": NaN}', '{"low": 1, "low": 2}', "\xff", "[" * 100_000])
def test_a_description_that_is_no_json_is_refused(text, tmp_path):
    (make(tmp_path, *examples()) / DESCRIPTION).write_text(text, encoding="latin-1")
    with pytest.raises(fd.DataError, match="must describe shards; got"):
        fd.Shards(tmp_path)


def test_a_folder_must_hold_shards(tmp_path):
    for source, match in {
        tmp_path
        / "no": "must be a folder of shards; got nothing of this name: make one with fastdigits shard",
        tmp_path: "must hold shards.json, or files of images",
        make(tmp_path / "all" / "train", *examples()).parent: "got the folder of train: name one of them",
    }.items():
        with pytest.raises(fd.DataError, match=match):
            fd.Shards(source)


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        (3, TypeError, "source must be a folder or paths; got 3"),
        ([3], TypeError, "each source must be a path, or a pair of paths; got 3"),
        ([], ValueError, "source must name at least one file; got none"),
        (["a.npy"], fd.DataError, "a.npy: must be a Parquet or Arrow file, or have 'images' in its name"),
        (["images.npy"], fd.DataError, "images.npy: must be a file that can be read"),
    ],
)
def test_a_wrong_source_is_refused(source, error, match):
    with pytest.raises(error, match=match):
        fd.Shards(source)
    with pytest.raises(ValueError, match="Shards: window must be at least 1; got 0"):
        fd.Shards(source, window=0)


@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (np.zeros((0, 4, 4), np.uint8), np.zeros(0, int), "must hold at least one image; got none"),
        (
            np.zeros((5, 4, 5), np.uint8),
            np.zeros(5, int),
            r"images must be uint8 of shape \(4, 4\).*; got uint8",
        ),
        (np.zeros((5, 4, 4), np.float32), np.zeros(5, int), r"as in the files before; got float32"),
        (np.zeros((5, 4, 4), np.uint8), np.zeros(6, int), r"must hold an array of \(5,\); got \(6,\)"),
        (np.zeros((5, 4, 4), np.uint8), np.zeros(5), "labels must be integers; got float64"),
        (np.zeros((5, 4, 4), np.uint8), np.full(5, -1), "labels must lie within 0 … 9,999; got -1 to -1"),
        (np.zeros((5, 4, 4, 3), np.uint8), np.zeros(5, int), r"must be \(n, height, width\) or \(n, d\)"),
        (np.full((5, 4, 4), "a"), np.zeros(5, int), "images must be numbers; got <U1"),
        (np.zeros((5, 4, 4), np.uint8, order="F"), np.zeros(5, int), "must be in C order; got Fortran order"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(images, labels, match, tmp_path):
    x, y = examples(10)
    for name, one, other in (("a", x, y), ("b", images, labels)):
        np.save(tmp_path / f"images-{name}.npy", one)
        np.save(tmp_path / f"labels-{name}.npy", other)
    with pytest.raises(fd.DataError, match=match):
        fd.Shards(tmp_path)


def test_floats_that_are_not_finite_are_refused(tmp_path):
    np.save(tmp_path / "images.npy", np.full((3, 4, 4), np.nan, np.float32))
    np.save(tmp_path / "labels.npy", np.zeros(3, int))
    with pytest.raises(fd.DataError, match=r"images.npy: numbers must be finite; got nan"):
        fd.Shards(tmp_path)


@needs_arrow
@pytest.mark.parametrize(
    ("images", "labels", "match"),
    [
        (
            [[1, 2], [3]],
            [0, 1],
            "images must be lists of as many numbers each|images must have as many numbers each",
        ),
        ([[1, 2], [3, 4, 5, 6]], [0, 1], "images must have as many numbers each; got 2 to 4"),
        ([[1, 2], None], [0, 1], "must have no missing images or labels"),
        ([[1, 2], [3, 4]], [0, None], "must have no missing images or labels"),
        (["ab", "cd"], [0, 1], "images must be lists of numbers, or bytes; got string"),
        ([[1, None], [3, 4]], [0, 1], "images must have no missing numbers"),
        ([[1, 2], [3, 4]], [0.0, 1.0], "labels must be integers; got double"),
        ([[1, 2], [3, 4]], ["a", "b"], "labels must be integers; got string"),
    ],
)
def test_a_table_of_other_columns_is_refused(images, labels, match, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({"image": images, "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(fd.DataError, match=match):
        fd.Shards(tmp_path)
    pa.parquet.write_table(pa.table({"picture": images, "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(
        fd.DataError, match=r"must have one column of images, named image or .*; got picture, label"
    ):
        fd.Shards(tmp_path)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(fd.DataError, match="must be a whole Parquet or Arrow file; got"):
        fd.Shards(tmp_path)


def test_without_pyarrow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(ImportError, match="need pyarrow; got none: pip install 'pyarrow>=15'"):
        fd.Shards(tmp_path)


# -- new folders -----------------------------------------------------------------------------------------------


def test_a_new_folder_has_its_name_only_when_it_is_complete(tmp_path):
    with new_folder(tmp_path / "a") as folder:
        (folder / "x").write_text("x")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "x").exists()
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "b") as folder:
        (folder / "x").write_text(str(1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with (
        pytest.raises(FileExistsError, match="must be a new folder; got one that exists"),
        new_folder(tmp_path / "a"),
    ):
        pass


def test_a_link_and_an_empty_folder_stay_and_hold_the_content(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".shards-999999999.tmp").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "open").symlink_to("missing/inner")
    (tmp_path / "loop").symlink_to("loop")
    number = (tmp_path / "empty").stat().st_ino
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "link"):
        raise ZeroDivisionError
    assert not list((tmp_path / "empty").iterdir())
    for name, target in {"link": "empty", "open": "missing/inner"}.items():
        with new_folder(tmp_path / name) as folder:
            (folder / "x").write_text("x")
        assert (tmp_path / name).is_symlink()
        assert [path.name for path in (tmp_path / target).iterdir()] == ["x"]
    assert (tmp_path / "empty").stat().st_ino == number
    for name in ("link", "loop"):
        with (
            pytest.raises(FileExistsError, match="must be a new folder; got one that exists"),
            new_folder(tmp_path / name),
        ):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link", "loop", "missing", "open"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".shards-a.999999999.tmp"
    left.mkdir()
    with new_folder(tmp_path / "a"):
        pass
    assert not left.exists()
    shutil.rmtree(tmp_path / "a")
