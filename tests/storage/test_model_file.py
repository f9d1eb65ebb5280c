"""A model file holds a network exactly, is written whole or not at all, and is checked when read."""

import copy
import json
import os
import pickle
import stat
import subprocess
import sys

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.imaging.reading import NOT_A_DIGIT
from fastdigits.storage import safetensors


def every_layer(seed: int = 0) -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [
            fd.Dense(16, 8, initializer="glorot_uniform"),
            fd.BatchNorm(8, momentum=0.2, eps=1e-4),
            fd.ReLU(),
            fd.Dropout(0.25),
            fd.Dense(8, 5),
            fd.LeakyReLU(0.1),
            fd.Dense(5, 3),
        ],
        seed=seed,
    )


def examples(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(2).integers(0, 256, (n, 16), dtype=np.uint8), np.arange(n) % 3


def trained() -> fd.NeuralNetwork:
    net = every_layer(seed=7)
    net.fit(*examples(), epochs=2, batch_size=16)
    return net


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    trained().save(path)
    return path


def library(name: str = "safetensors"):
    return pytest.importorskip(name, reason="safetensors is not installed")


def save_file(*arguments) -> None:
    library("safetensors.numpy").save_file(*arguments)


def content(path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with library().safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name).copy() for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def test_a_loaded_network_predicts_bit_for_bit_as_the_saved_one(tmp_path):
    net = trained()
    for path in (tmp_path / "a.safetensors", str(tmp_path / "b")):
        net.save(path)
        other = fd.load(path)
        x, _ = examples()
        np.testing.assert_array_equal(other.predict_proba(x), net.predict_proba(x))
        assert repr(other) == repr(net)
        assert (other.seed, other.epochs_trained) == (7, 2)


def test_a_loaded_network_continues_its_training_bit_for_bit(tmp_path):
    x, y = examples()
    net = every_layer()
    net.fit(x, y, epochs=2, batch_size=16, optimizer=fd.SGD(lr=0.1))
    net.save(tmp_path / "model")
    other = fd.load(tmp_path / "model")
    for each in (net, other):
        each.fit(x, y, epochs=2, batch_size=16, optimizer=fd.SGD(lr=0.1))
    np.testing.assert_array_equal(other.values, net.values)


def test_a_network_that_ends_in_softmax_is_kept(tmp_path):
    net = fd.NeuralNetwork([fd.Dense(16, 3), fd.Softmax()], seed=3)
    net.save(tmp_path / "model")
    x, _ = examples()
    np.testing.assert_array_equal(fd.load(tmp_path / "model").predict_proba(x), net.predict_proba(x))


def test_the_file_holds_parameters_and_buffers_by_name(saved):
    tensors, metadata = content(saved)
    assert set(tensors) == {
        *(f"dense{number}.{part}" for number in (1, 2, 3) for part in ("weight", "bias")),
        *(f"batchnorm1.{part}" for part in ("gamma", "beta", "running_mean", "running_var")),
    }
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}
    assert metadata.keys() == {"format", "version", "architecture", "scale"}
    assert json.loads(metadata["scale"]) == "pixels"
    assert (metadata["format"], metadata["version"]) == ("fastdigits", "1")
    architecture = json.loads(metadata["architecture"])
    assert [layer["kind"] for layer in architecture["layers"]][:2] == ["Dense", "BatchNorm"]


def test_names_of_classes_are_kept(saved):
    assert fd.load(saved).class_names == ()
    net = trained()
    net.class_names = ["ant", "bumble bee", "猫 🐈"]
    for copied in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.folded()):
        copied.save(saved)
        assert fd.load(saved).class_names == ("ant", "bumble bee", "猫 🐈")
    net.class_names = ()
    net.save(saved)
    assert set(content(saved)[1]) == {"format", "version", "architecture", "scale"}


@pytest.mark.parametrize(
    ("names", "error", "match"),
    [
        ("abc", TypeError, "class_names must be strings, one per class; got 'abc'"),
        (3, TypeError, "class_names must be strings, one per class; got 3"),
        (["a", "b"], ValueError, "class_names must be 3, one per class, or none; got 2"),
        (["a", "b", "\n"], ValueError, r"no control characters; got '\\n'"),
        (["a", "b", "\udcff"], ValueError, "no control characters"),
    ],
)
def test_names_that_are_none_are_refused(names, error, match):
    net = every_layer()
    with pytest.raises(error, match=match):
        net.class_names = names
    assert net.class_names == ()


# -- writing -----------------------------------------------------------------------------------------------


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(saved):
    every_layer(seed=1).save(saved)
    assert fd.load(saved).seed == 1
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_beside_it(saved, monkeypatch, fails):
    before = saved.read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(OSError, match="no space left"):
        every_layer(seed=1).save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")
def test_saving_keeps_a_link_and_honours_the_umask(tmp_path):
    target, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(target)  # which is made: an old one would keep its permissions
    before = os.umask(0o027)
    try:
        every_layer().save(link)
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert fd.load(target).seed == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_saving_to_a_folder_or_into_a_missing_one_says_so(tmp_path):
    with pytest.raises(IsADirectoryError, match="must be a file; got a folder"):
        every_layer().save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere.model: its folder must exist"):
        every_layer().save(tmp_path / "nowhere" / "model")


def test_a_layer_of_the_user_cannot_be_saved(tmp_path):
    class Same(fd.Layer):
        def forward(self, x, training=False):
            return x

    class Dense(fd.Dense):
        pass

    for layer in (Same(), Dense(16, 16)):
        with pytest.raises(TypeError, match="save: all layers must be built-in, Dense"):
            fd.NeuralNetwork([fd.Dense(16, 16), layer]).save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_header_that_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors, "MOST_HEADER", 500)
    with pytest.raises(OSError, match="a header must have at most 500 bytes to be read again; got 1,"):
        every_layer().save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# -- reading -----------------------------------------------------------------------------------------------


def refuses(path, match):
    with pytest.raises(fd.ModelFileError, match=match) as caught:
        fd.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert isinstance(caught.value, ValueError)


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    refuses(tmp_path, "got a folder")
    refuses(tmp_path / "nothing", "got nothing of this name")


@pytest.mark.parametrize("garbage", [b"", b"abc", b"\xff" * 100, b"\x10" + b"\0" * 7 + b"{" * 16])
def test_garbage_is_refused(tmp_path, garbage):
    (tmp_path / "model").write_bytes(garbage)
    refuses(tmp_path / "model", "must be a readable safetensors file")


def test_every_truncation_is_refused(saved):
    whole = saved.read_bytes()
    for length in (0, 7, 8, 50, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        refuses(saved, "must be a readable safetensors file")
    saved.write_bytes(whole + b"\0")
    refuses(saved, "must be a readable safetensors file")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("format", None, "its format must be 'fastdigits'; got None"),
        ("format", "pt", "got 'pt'"),
        ("version", "2", "its version must be '1'; got '2'"),
        ("version", None, "got None"),
        ("architecture", None, r"its metadata must be .*; got \['architecture'\] missing and none unknown"),
        ("licence", "MIT", r"its metadata must be .*; got none missing and \['licence'\] unknown"),
        ("architecture", "{", "must describe a network"),
        ("architecture", "[]", r"architecture must be an object; got \[\]"),
        ("architecture", '{"seed": 0, "seed": 1}', "'seed' must appear once; got it 2 times"),
        ("architecture", '{"seed": NaN}', "numbers must be finite; got NaN"),
        ("architecture", "[" * 100_000, "must describe a network"),
        ("column_names", '["a"]', "column_names must be .*, one per column, or none; got 1"),
        ("class_names", "[", "must describe a network"),
        ("class_names", "[]", r"class_names must be a list of strings; got \[\]"),
        ("class_names", '{"a": 1, "b": 2, "c": 3}', "class_names must be a list of strings; got {'a'"),
        ("class_names", '["a", "b", 3]', r"class_names must be strings, one per class; got \['a', 'b', 3\]"),
        ("class_names", '["a", "b"]', "class_names must be 3, one per class, or none; got 2"),
        ("class_names", '["a", "b", "a"]', "class_names must differ; got 'a' 2 times"),
        ("class_names", '["a", "b", ""]', "class_names must have 1 to 1,000 characters .*; got ''"),
        ("class_names", json.dumps(["a", "b", "\x1b[2J"]), r"no control characters; got '\\x1b\[2J'"),
        ("class_names", json.dumps(["a", "b", "c" * 1001]), "must have 1 to 1,000 characters"),
    ],
)
def test_wrong_metadata_is_refused(saved, key, value, match):
    tensors, metadata = content(saved)
    metadata.pop(key, None)
    save_file(tensors, saved, metadata if value is None else metadata | {key: value})
    refuses(saved, match)


def change(value):
    def replace(architecture):
        architecture.update(value)

    return replace


def change_layer(position, value):
    def replace(architecture):
        architecture["layers"][position].update(value)

    return replace


def dense(n_in, n_out):
    return {"n_in": n_in, "n_out": n_out, "initializer": "zeros"}


def norm(n):
    return {"n": n, "momentum": 0.1, "eps": 1e-5}


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (change({"layers": []}), "at least one layer"),
        (change({"layers": [1]}), "each layer must be an object"),
        (change({"layers": [{"kind": "Dense", "config": []}]}), "each layer must be an object"),
        (change({"layers": None}), "layers must be a list; got None"),
        (change({"title": "digits"}), r"architecture must have .*; got none missing and \['title'\] unknown"),
        (lambda architecture: architecture.pop("seed"), r"got \['seed'\] missing and none unknown"),
        (change({"seed": -1}), "seed must be at least 0"),
        (change({"epochs_trained": -1}), "epochs_trained must be"),
        (change({"epochs_trained": 1.0}), "epochs_trained must be"),
        (change_layer(0, {"kind": "Conv"}), "layer kind must be one of Dense"),
        (change_layer(0, {"kind": ["Dense"]}), r"layer kind must be one of Dense.*; got \['Dense'\]"),
        (change_layer(0, {"step": 3}), r"layer Dense must have kind, config; .* \['step'\] unknown"),
        (change_layer(2, {"name": "relu1"}), r"layer ReLU must have kind, config; .* \['name'\] unknown"),
        (
            change_layer(0, {"config": {}}),
            r"config of Dense must have .* \['initializer', 'n_in', 'n_out'\] missing",
        ),
        (change_layer(2, {"config": {"slope": 0.1}}), r"config of ReLU must have .* \['slope'\] unknown"),
        (change_layer(0, {"config": dense(10**9, 10**9)}), "the layers must fit a file of"),
        (change_layer(0, {"config": dense(-(10**9), 10**9)}), "the layers must fit a file of"),
        (change_layer(0, {"config": dense("16", 8)}), "n_in must be an integer; got '16'"),
        (change_layer(3, {"config": {"rate": 2.0}}), "rate must be a finite .* number"),
        (change_layer(3, {"step": -1}), "step of Dropout must be"),
        (change_layer(3, {"step": None}), "step of Dropout must be"),
        (change_layer(3, {"config": {"rate": 0.5, "axis": 1}}), r"\['axis'\] unknown"),
        (change_layer(1, {"config": {"n": 8, "momentum": 0.1}}), r"\['eps'\] missing"),
        (change_layer(1, {"config": norm(9)}), "the input must have width 9; got 8"),
        (change_layer(1, {"config": norm(8) | {"eps": 1e400}}), "numbers must be finite; got Infinity"),
        (change_layer(6, {"config": dense(5, 4)}), r"dense3\.\w+ must be \(.*4,?\); got"),
        (change_layer(2, {"kind": "BatchNorm", "config": norm(8)}), r"got \['batchnorm2.beta', .* missing"),
    ],
)
def test_an_architecture_that_does_not_fit_is_refused(saved, edit, match):
    tensors, metadata = content(saved)
    architecture = json.loads(metadata["architecture"])
    edit(architecture)
    save_file(tensors, saved, metadata | {"architecture": json.dumps(architecture)})
    refuses(saved, match)


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("dense1.bias", None, r"got \['dense1.bias'\] missing and none unknown"),
        ("dense9.bias", np.zeros(3, np.float32), r"none missing and \['dense9.bias'\] unknown"),
        ("dense1.bias", np.zeros(9, np.float32), r"dense1.bias must be \(8,\); got \(9,\)"),
        ("dense1.weight", np.zeros((8, 16), np.float32), r"dense1.weight must be \(16, 8\); got \(8, 16\)"),
        ("dense1.bias", np.zeros(8, np.float64), "dense1.bias must be float32; got F64"),
        ("dense1.bias", np.zeros(8, np.int32), "dense1.bias must be float32; got I32"),
        ("dense1.bias", np.full(8, np.nan, np.float32), "dense1.bias must be finite; got nan"),
        ("dense1.bias", np.full(8, np.inf, np.float32), "dense1.bias must be finite; got inf"),
        ("batchnorm1.running_var", np.full(8, -1, np.float32), "running_var must not be negative; got -1"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(saved, name, array, match):
    tensors, metadata = content(saved)
    tensors.pop(name, None)
    save_file(tensors if array is None else tensors | {name: array}, saved, metadata)
    refuses(saved, match)


BIAS = '"dense1.bias":{"data_offsets":[128,160],"dtype":"F32","shape":[8]'


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        (f"{BIAS}}},{BIAS}}}", "'dense1.bias' must appear once; got it 2 times"),
        (
            f'{BIAS},"order":"C"}}',
            r"dense1.bias must have dtype, .*; got none missing and \['order'\] unknown",
        ),
    ],
)
def test_what_the_library_lets_pass_in_a_header_is_refused(saved, extra, match):
    whole = saved.read_bytes()
    stop = 8 + int.from_bytes(whole[:8], "little")
    header = whole[8:stop].decode()
    assert header.count(BIAS + "}") == 1
    header = header.replace(BIAS + "}", extra).encode()
    saved.write_bytes(len(header).to_bytes(8, "little") + header + whole[stop:])
    content(saved)  # the library reads it
    refuses(saved, match)


def test_a_network_that_could_not_be_loaded_is_not_saved(saved):
    before = saved.read_bytes()
    for name, value, match in (
        ("dense2.bias", np.nan, "save: dense2.bias must be finite; got nan"),
        ("batchnorm1.running_var", -1, "save: batchnorm1.running_var must not be negative; got -1"),
    ):
        net = every_layer()
        arrays = {one.name: one.value for one in net.parameters()} | net.buffers()
        arrays[name][1] = value
        with pytest.raises(ValueError, match=match):
            net.save(saved)
    assert saved.read_bytes() == before


def test_a_loaded_network_does_not_depend_on_the_file(saved):
    net = fd.load(saved)
    x, _ = examples()
    before = net.forward(x)
    saved.write_bytes(b"")
    np.testing.assert_array_equal(net.forward(x), before)
    net.fit(*examples(), epochs=1, batch_size=16)


def test_the_same_network_gives_the_same_bytes_in_every_process(tmp_path):
    # the library orders metadata by a hash with a random key, so that one process could agree with itself by luck
    program = (
        "import sys, fastdigits as fd; "
        "[fd.NeuralNetwork([fd.Dense(4, 3), fd.BatchNorm(3)], seed=1).save(path) for path in sys.argv[1:]]"
    )
    files = [tmp_path / f"{number}.safetensors" for number in range(6)]
    for some in (files[:3], files[3:]):
        subprocess.run([sys.executable, "-c", program, *map(str, some)], check=True)
    assert len({file.read_bytes() for file in files}) == 1


def test_the_network_that_comes_with_the_package_reads_digits():
    _, (x_test, y_test) = fd.load_mnist()
    network = fd.load_pretrained()
    assert fd.load_pretrained() is not network
    assert network.evaluate(x_test, y_test)["accuracy"] == pytest.approx(
        0.9932, abs=0.0003
    )  # rounding differs
    assert [layer.n_out for layer in network.layers if isinstance(layer, fd.Dense)] == [384, 128, 11]
    assert network.class_names == (*"0123456789", NOT_A_DIGIT)


def test_numbers_of_numpy_are_saved_and_those_that_load_would_refuse_are_not(tmp_path):
    path = tmp_path / "model.safetensors"
    net = fd.NeuralNetwork([fd.Dense(4, 3), fd.BatchNorm(3), fd.LeakyReLU(), fd.Dropout(), fd.Dense(3, 2)])
    net.layers[1].eps, net.layers[2].slope = np.float32(0.5), np.float16(0.25)
    net.layers[3].step, net.seed, net.epochs_trained = np.int64(3), np.uint8(7), np.int32(2)
    net.save(path)
    loaded = fd.load(path)
    assert [repr(layer) for layer in loaded.layers[1:3]] == ["BatchNorm(3, eps=0.5)", "LeakyReLU(slope=0.25)"]
    assert loaded.seed == 7
    assert (loaded.layers[3].step, loaded.epochs_trained) == (3, 2)
    before = path.read_bytes()
    for owner, name, value in [
        (net.layers[1], "eps", 0),
        (net.layers[2], "slope", np.array(0.5)),
        (net.layers[3], "step", -1),
        (net, "seed", 1.5),
    ]:
        was = getattr(owner, name)
        setattr(owner, name, value)
        with pytest.raises((TypeError, ValueError), match=f"^save: .*{name} must be .*; got "):
            net.save(path)
        setattr(owner, name, was)
    assert path.read_bytes() == before


def test_the_size_of_picture_files_and_the_names_of_columns_are_kept(tmp_path):
    net = fd.NeuralNetwork([fd.Dense(6, 2)])
    assert (net.picture_size, net.column_names) == (None, ())
    net.picture_size, net.column_names = (2, 3), ["é", "\t", '"', "", "a b", "\ud800"]
    net.save(tmp_path / "a.safetensors")
    for kept in (
        fd.load(tmp_path / "a.safetensors"),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        net.folded(),
    ):
        assert kept.picture_size == (2, 3)
        assert kept.column_names == ("é", "\t", '"', "", "a b", "\ud800")
    net.picture_size, net.column_names = None, ()
    net.save(tmp_path / "a.safetensors")
    loaded = fd.load(tmp_path / "a.safetensors")
    assert (loaded.picture_size, loaded.column_names) == (None, ())
    for wrong, match in (
        (["a"], "must be 6, one per column, or none; got 1"),
        ([*"aabcde"], "must differ; got 'a' 2"),
    ):
        with pytest.raises(ValueError, match=f"column_names {match}"):
            net.column_names = wrong
