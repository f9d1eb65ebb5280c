"""A model file holds a network exactly, is written whole or not at all, and is checked when read."""

import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save_file

import fastdigits as fd


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


def content(path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safetensors.safe_open(path, framework="np") as file:
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
    assert metadata.keys() == {"format", "version", "architecture"}
    assert (metadata["format"], metadata["version"]) == ("fastdigits", "1")
    architecture = json.loads(metadata["architecture"])
    assert [layer["kind"] for layer in architecture["layers"]][:2] == ["Dense", "BatchNorm"]


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
    target.write_bytes(b"")
    link.symlink_to(target)
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
        with pytest.raises(TypeError, match="only the layers of fastdigits can be saved"):
            fd.NeuralNetwork([fd.Dense(16, 16), layer]).save(tmp_path / "model")
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
        ("architecture", None, "got: no 'architecture'"),
        ("architecture", "{", "must describe a network"),
        ("architecture", "[]", "must describe a network"),
        ("architecture", "[" * 100_000, "must describe a network"),
    ],
)
def test_wrong_metadata_is_refused(saved, key, value, match):
    tensors, metadata = content(saved)
    metadata.pop(key)
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


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (change({"layers": []}), "at least one layer"),
        (change({"layers": [1]}), "each layer must be an object"),
        (change({"layers": [{"kind": "Dense", "config": []}]}), "each layer must be an object"),
        (change({"layers": None}), "must describe a network"),
        (change({"seed": -1}), "seed must be at least 0"),
        (change({"epochs_trained": -1}), "epochs_trained must be"),
        (change({"epochs_trained": 1.0}), "epochs_trained must be"),
        (change_layer(0, {"kind": "Conv"}), "layer kind must be one of Dense"),
        (change_layer(0, {"kind": ["Dense"]}), "must describe a network"),
        (change_layer(0, {"config": {}}), "must describe a network"),
        (change_layer(0, {"config": {"n_in": 10**9, "n_out": 10**9}}), "the layers must fit a file of"),
        (change_layer(0, {"config": {"n_in": -(10**9), "n_out": 10**9}}), "the layers must fit a file of"),
        (change_layer(0, {"config": {"n_in": "16", "n_out": 8}}), "must describe a network"),
        (change_layer(3, {"config": {"rate": 2.0}}), "must describe a network"),
        (change_layer(3, {"step": -1}), "step of Dropout must be"),
        (change_layer(3, {"step": None}), "step of Dropout must be"),
        (change_layer(1, {"config": {"n": 9}}), "must describe a network"),
        (change_layer(6, {"config": {"n_in": 5, "n_out": 4}}), r"dense3\.\w+ must be \(.*4,?\); got"),
        (change_layer(2, {"kind": "BatchNorm", "config": {"n": 8}}), r"got \['batchnorm2.beta', .* missing"),
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
        "fd.NeuralNetwork([fd.Dense(4, 3), fd.BatchNorm(3)], seed=1).save(sys.argv[1])"
    )
    files = [tmp_path / f"{number}.safetensors" for number in range(6)]
    for file in files:
        subprocess.run([sys.executable, "-c", program, str(file)], check=True)
    assert len({file.read_bytes() for file in files}) == 1


def test_the_network_that_comes_with_the_package_reads_digits():
    _, (x_test, y_test) = fd.load_mnist()
    network = fd.load_pretrained()
    assert fd.load_pretrained() is not network
    assert network.evaluate(x_test, y_test)["accuracy"] == pytest.approx(
        0.9907, abs=0.0003
    )  # rounding differs
    assert [layer.n_out for layer in network.layers if isinstance(layer, fd.Dense)] == [64, 32, 10]
