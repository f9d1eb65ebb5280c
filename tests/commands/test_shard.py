"""`fastdigits shard` writes, checks and describes shards, and --data of the other commands takes its folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy_dataset import write_dataset

import fastdigits as fd
from fastdigits.commands import evaluate, input_files, predict, shard, train, train_images
from fastdigits.data import shard_writer
from fastdigits.training.augmentation import Augmenter

SOURCE = Path(fd.__file__).parents[1]


@pytest.fixture
def digits(here) -> Path:
    write_dataset(here / "digits")
    return here / "digits"


def run(command, *argv: object) -> int:
    return command.main([str(word) for word in argv])


def write(digits: Path, *argv: object, output: str = "shards") -> Path:
    assert run(shard, "--data", digits, "--output", output, "--rows-per-shard", 100, "--quiet", *argv) == 0
    return Path(output)


def rows_of(folder: Path) -> list[bytes]:
    x, y = fd.Shards(folder).load()
    return sorted(image.tobytes() + bytes([label]) for image, label in zip(x, y, strict=True))


def test_training_and_test_images_become_shards_in_another_order(digits, capsys):
    folder = write(digits, "--json")
    result = json.loads(capsys.readouterr().out)
    part = {"image_shape": [6, 5], "dtype": "uint8", "classes": 3, "class_names": []}
    assert result.pop("seconds") > 0
    assert result == {
        "done": "written",
        "folder": "shards",
        "parts": {
            "train": {**part, "images": 240, "shards": 3, "bytes": 240 * 31 + 6 * 128},
            "test": {**part, "images": 60, "shards": 1, "bytes": 60 * 31 + 2 * 128},
        },
    }
    (x, y), (x_test, _) = fd.load_folder(digits)
    found, _ = fd.Shards(folder / "train").load()
    assert rows_of(folder / "train") == sorted(a.tobytes() + bytes([b]) for a, b in zip(x, y, strict=True))
    assert (found != x).any()
    kept = write(digits, "--keep-order", output="kept")
    np.testing.assert_array_equal(fd.Shards(kept / "train").load()[0], x)
    np.testing.assert_array_equal(fd.Shards(kept / "test").load()[0], x_test)


def test_copies_are_distorted_except_for_the_first_one(digits):
    folder = write(digits, "--augment", 3, "--keep-order")
    (x, y), _ = fd.load_folder(digits)
    found, labels = fd.Shards(folder / "train").load()
    np.testing.assert_array_equal(found[:240], x)
    np.testing.assert_array_equal(labels, np.tile(y, 3))
    augmenter = Augmenter(fd.Augmentation(), 6, 5, seed=fd.core.seeding.key(0, fd.core.seeding.AUGMENT))
    for copy in (1, 2):
        augmenter.begin(copy, 0, 1)
        wanted = np.empty((240, 30), np.uint8)
        augmenter.run(wanted, x.reshape(240, 30), np.arange(240))
        np.testing.assert_array_equal(found[240 * copy : 240 * (copy + 1)].reshape(240, 30), wanted)
    shuffled = write(digits, "--augment", 3, output="shuffled")
    assert rows_of(shuffled / "train") == rows_of(folder / "train")


@pytest.mark.parametrize("most", [1 << 30, 1], ids=["loaded", "in passes"])
def test_shards_are_written_in_another_order(most, digits, monkeypatch, capsys):
    monkeypatch.setattr(shard_writer, "MOST_LOADED", most)
    kept = write(digits, "--keep-order")
    mixed = write(kept, output="mixed")
    assert mixed == Path("mixed")
    for part in ("train", "test"):
        assert rows_of(mixed / part) == rows_of(kept / part)
        assert (fd.Shards(mixed / part).load()[0] != fd.Shards(kept / part).load()[0]).any()
    for path in (kept / "train").glob("shards.json"):
        path.unlink()
    one = write(kept / "train", output="one")
    assert fd.Shards(one).description == fd.Shards(mixed / "train").description
    again = write(kept / "train", "--augment", 2, "--keep-order", output="again")
    assert len(fd.Shards(again)) == 480
    assert run(shard, "--data", one, "--output", "a", "--size", "6x5") == 2
    assert "--size: must not be given with shards" in capsys.readouterr().err


@pytest.mark.needs("pyarrow")
def test_a_folder_of_tables_is_written_in_another_order(digits):
    kept = write(digits, "--keep-order", "--format", "parquet") / "train"
    (kept / "shards.json").unlink()
    assert rows_of(write(kept, output="mixed")) == rows_of(kept)


def test_check_finds_a_change_and_describe_makes_a_description(digits, capsys):
    folder = write(digits)
    assert run(shard, "--check", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out)["parts"]["train"]["images"] == 240
    file = folder / "train" / "images-00001.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert run(shard, "--check", folder) == 2
    assert "images-00001.npy: must be as described, with the checksum" in capsys.readouterr().err
    (folder / "train" / "shards.json").unlink()
    assert run(shard, "--check", folder / "train") == 2
    assert "--check: shards/train must hold shards.json; got none" in capsys.readouterr().err
    assert run(shard, "--describe", folder / "train") == 0
    assert run(shard, "--check", folder) == 0
    capsys.readouterr()
    assert run(shard, "--describe", folder / "train") == 2
    assert "--describe: shards/train must not have shards.json yet" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["{}", "link", "counts"])
def test_describe_replaces_a_description_that_cannot_be_read(damage, digits, capsys):
    folder = write(digits) / "test"
    file = folder / "shards.json"
    right = file.read_text()
    if damage == "link":
        file.unlink()
        file.symlink_to("nothing")
    else:
        file.write_text(right.replace("20", "21", 1) if damage == "counts" else damage)
    assert damage == "link" or run(shard, "--check", folder) == 2
    assert run(shard, "--describe", folder, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["replaced"]
    assert "replaced" in captured.err
    assert "which was damaged; names in it are lost" in captured.err
    assert file.read_text() == right
    assert run(shard, "--check", folder) == 0


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        ([], "--output: must name a new folder for the shards; got none"),
        (["--output", "a", "--check", "b"], "--check: not allowed with"),
        (["--output", "digits"], "digits: must be a new folder; got one that exists"),
        (["--output", "digits", "--data", "nothing"], "digits: must be a new folder; got one that exists"),
        (["--check", "b", "--format", "npy"], "--format: must not be given with --check; got it: omit it"),
        (
            ["--describe", "b", "--rows-per-shard=7"],
            "--rows-per-shard: must not be given with --describe; got it",
        ),
        (["--describe", "b", "--keep-order"], "--keep-order: must not be given with --describe"),
        (["--output", "a", "--augment", 1 << 30], "--augment: must make at most 1,073,741,824 images"),
        (["--output", "a", "--data", "nothing"], "'nothing': data must be one of"),
        (["--check", "nothing"], "nothing: must be a folder of shards; got nothing of this name"),
    ],
)
def test_a_wrong_option_is_an_error_in_one_line(argv, match, digits, capsys):
    try:
        code = run(shard, *(("--data", digits) if "a" in argv and "--data" not in argv else ()), *argv)
    except SystemExit as error:
        code = error.code
    assert code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert match in message
    assert not Path("a").exists()


def test_numbers_that_are_no_pixels_are_not_distorted(here, capsys):
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(60, 4, 4)), y=np.arange(60) % 3)
    assert run(shard, "--data", "x.npz", "--output", "a", "--augment", 2) == 2
    assert (
        "--augment: images must be pixels, whole numbers from 0 to 255; got other numbers"
        in capsys.readouterr().err
    )
    assert run(shard, "--data", "x.npz", "--output", "a", "--quiet") == 0
    assert fd.Shards("a/train").dtype == np.float32


def test_a_missing_pyarrow_is_an_error_and_no_folder_is_left(digits, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert run(shard, "--data", digits, "--output", "a", "--format", "parquet") == 2
    assert "need pyarrow; got none: pip install" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["digits"]


def test_an_interrupt_leaves_no_folder(digits, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(shard_writer, "_write_shard", interrupted)
    assert run(shard, "--data", digits, "--output", "a") == 130
    assert [path.name for path in Path().iterdir()] == ["digits"]


# -- the other commands ----------------------------------------------------------------------------------------


def test_a_network_trains_on_shards_and_is_evaluated_on_them(digits, capsys):
    folder = write(digits, "--augment", 4)
    capsys.readouterr()
    argv = [
        "--data",
        folder,
        "--output",
        "run",
        "--epochs",
        3,
        "--batch-size",
        16,
        "--no-plots",
        "--json",
        "--ema",
        0.9,
    ]
    assert run(train, *argv) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert result["train_images"] == 960
    assert result["test_accuracy"] > 0.9
    assert "shards, of which 960 images at a time are shuffled" in captured.err
    for part, images in (("test", 60), ("train", 960)):
        more = ["--model", "run", "--no-plots", "--json", "--part", part, "--output", f"run/{part}"]
        assert run(evaluate, "--data", folder, *more) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["images"], found["accuracy"]) == (images, result[f"{part}_accuracy"])
    names, _ = input_files.expand([str(folder / "test")])
    assert names == [str(folder / "test" / "images-00000.npy")]


def test_the_window_is_a_setting_of_the_run(digits, monkeypatch, capsys):
    folder = write(digits)
    few = ["--epochs", 2, "--batch-size", 16, "--no-plots", "--quiet"]
    opened = []
    monkeypatch.setattr(train_images, "Shards", lambda *a, **k: opened.append(k) or fd.Shards(*a, **k))
    assert run(train, "--data", folder, "--window", 70, "--output", "run", *few) == 0
    assert json.loads(Path("run/settings.json").read_text())["window"] == 70
    for name in ("result.json", "model.safetensors"):
        Path("run", name).unlink()
    assert run(train, "--resume", "run", "--quiet") == 0
    assert opened == [{"window": 70}, {}] * 2
    assert run(train, "--data", "mnist", "--window", 70, "--output", "other") == 2
    assert "--window: must be given with a folder that fastdigits shard wrote; got" in capsys.readouterr().err
    assert not Path("other").exists()


def test_names_of_classes_reach_the_model(here, capsys):
    rng = np.random.default_rng(0)
    np.savez("x.npz", x=rng.integers(0, 256, (60, 4, 4)), y=np.array(["ant", "bee"])[np.arange(60) % 2])
    assert run(shard, "--data", "x.npz", "--output", "a", "--quiet") == 0
    assert (
        run(train, "--data", "a", "--output", "run", "--epochs", 1, "--no-plots", "--quiet", "--lr", "auto")
        == 0
    )
    assert fd.load("run/model.safetensors").class_names == ("ant", "bee")


def test_names_of_columns_reach_the_model(here, capsys):
    x = np.random.default_rng(0).normal(size=(60, 3))
    lines = [f"{i % 2},{a},{b},{c}\n" for i, (a, b, c) in enumerate(x)]
    for name, head in {"x": "label,a,b,c\n", "y": "label,b,a,c\n"}.items():
        Path(f"{name}.csv").write_text(head + "".join(lines))
        assert run(shard, "--data", f"{name}.csv", "--output", name, "--quiet") == 0
    assert run(train, "--data", "x", "--output", "run", "--epochs", 1, "--no-plots", "--quiet") == 0
    net, others = fd.load("run/model.safetensors"), fd.Shards("y/test")
    assert net.column_names == fd.Shards("x/test").column_names == ("a", "b", "c")
    assert fd.Shards("x/test").description.to_json() == Path("x/test/shards.json").read_bytes()
    wrong = (
        "must have the columns of the network, in its order, 'a' at place 0, counted from 0; got 'b': write"
    )
    for work in (net.predict, net.evaluate, net.fit):
        with pytest.raises(ValueError, match=wrong):
            work(others)
    assert run(evaluate, "--data", "y", "--model", "run") == run(predict, "y/test", "--model", "run") == 2
    assert " ".join(capsys.readouterr().err.split()).count(wrong) == 2
    assert run(shard, "--data", "x.csv", "--augment", 2, "--output", "z") == 2
    assert "--augment: needs images; got rows of 3 columns: write them without it" in capsys.readouterr().err
    Path("y/test").rename("x/other")
    Path("x/test").rename("y/test")
    Path("x/other").rename("x/test")
    assert run(train, "--data", "x", "--output", "other") == 2
    assert "must have the same columns in one order; got other names in x/test" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "match"),
    [
        (["--validation-split", 0.1], "--validation-split: must be 0 with shards; got 0.1"),
        (["--size", "6x5"], "--size: must not be given with shards"),
        (["--label-column", "y"], "--label-column: must not be given with shards"),
    ],
)
def test_options_that_shards_do_not_take_are_refused(argv, match, digits, capsys):
    folder = write(digits)
    assert run(train, "--data", folder, "--output", "run", *argv) == 2
    assert match in capsys.readouterr().err


def test_a_part_that_is_missing_or_too_large_is_named(digits, monkeypatch, capsys):
    folder = write(digits)
    (folder / "test" / "shards.json").unlink()
    assert run(train, "--data", folder) == 2
    assert "--data: shards must hold shards in train and test; got no test" in capsys.readouterr().err
    monkeypatch.setattr(evaluate, "MOST_BYTES", 1000)
    assert run(evaluate, "--data", folder, "--part", "train") == 2
    assert "--data: images to evaluate must be at most 1,000 bytes" in capsys.readouterr().err
    with pytest.raises(
        fd.DataError, match=r"must be images that fit into memory; got shards: fastdigits.Shards"
    ):
        fd.load_data(folder)


def test_one_part_and_files_without_a_description_are_named_with_the_next_step(digits, capsys):
    folder = write(digits)

    def message(source: Path) -> str:
        assert run(train, "--data", source) == 2
        assert run(evaluate, "--data", source) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first.partition("error:")[2] == second.partition("error:")[2]
        return first

    part = "shards/train: must hold images to train on and others to test on; got shards of one part: "
    assert f"{part}name shards, which has both" in message(folder / "train")
    (folder / "test").rename("other")
    assert f"{part}put them into a folder train and others into test beside it" in message(folder / "train")
    (folder / "train" / "shards.json").unlink()
    assert "got files of shards, which are one part: put them into a folder train" in message(
        folder / "train"
    )
    assert "got none in train: write it with fastdigits shard --describe shards/train" in message(folder)
    assert run(shard, "--describe", folder / "train", "--quiet") == 0
    (folder / "test").mkdir()
    assert run(train, "--data", folder) == 2
    assert "or describe its files with fastdigits shard --describe shards/test" in capsys.readouterr().err


@pytest.mark.needs("pyarrow")
def test_tables_are_not_read_as_pictures(digits):
    folder = write(digits, "--format", "arrow")
    with pytest.raises(fd.DataError, match="must be shards of NPY or IDX files to be read as pictures"):
        input_files.expand([str(folder / "test")])


# -- kills -----------------------------------------------------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.skipif(os.name != "posix", reason="kills by signals")
def test_a_run_on_shards_that_is_killed_again_and_again_ends_with_the_same_model(digits):
    folder = write(digits, "--augment", 40)
    command = [sys.executable, "-m", "fastdigits.train", "--no-plots", "--quiet"]
    new = [
        "--data",
        folder,
        "--epochs",
        "12",
        "--batch-size",
        "8",
        "--checkpoint-every",
        "20",
        "--augment",
        "shift=1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    subprocess.run([*command, *new, "--output", "whole"], check=True, env=environment)
    kills = 0
    for attempt in range(30):
        options = (
            ["--resume", "killed"] if Path("killed/settings.json").exists() else [*new, "--output", "killed"]
        )
        process = subprocess.Popen([*command, *map(str, options)], env=environment)
        try:
            process.wait(0.6 + 0.07 * attempt)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.01)
        else:
            break
    assert process.returncode == 0
    assert kills > 0
    models = [fd.load(f"{name}/model.safetensors").values.tobytes() for name in ("whole", "killed")]
    assert models[0] == models[1]
