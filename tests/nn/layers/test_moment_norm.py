"""Moment normalisation: a network that begins with it is the network behind it, on normalised images."""

import copy
import io
import pickle

import numpy as np
import pytest

import fastdigits as fd

SIDES = 12, 10


def images(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return small bright rectangles anywhere, and their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = np.zeros((n, *SIDES), np.uint8)
    for image, label in zip(x, y, strict=True):
        i, j = rng.integers(0, 4, 2)
        image[i : i + 3 + 2 * label, j : j + 4] = rng.integers(100, 256, (3 + 2 * label, 4))
    return x, y


def normalized(x: np.ndarray) -> np.ndarray:
    return fd.MomentNorm(*SIDES).forward(x.reshape(len(x), -1))


class OwnReLU(fd.ReLU):
    """Not built in, which makes training eager."""

    def forward(self, x, training=False):
        return super().forward(x, training)

    def backward(self, dy):
        return super().backward(dy)


def network(*first: fd.Layer, relu: type[fd.Layer] = fd.ReLU) -> fd.NeuralNetwork:
    return fd.NeuralNetwork([*first, fd.Dense(120, 16), relu(), fd.Dense(16, 3)], seed=1)


def trained(
    *first: fd.Layer, relu: type[fd.Layer] = fd.ReLU, x: np.ndarray | None = None, **options
) -> fd.NeuralNetwork:
    pixels, y = images()
    net = network(*first, relu=relu)
    net.fit(pixels if x is None else x, y, epochs=2, batch_size=16, optimizer=fd.Adam(0.01), **options)
    return net


@pytest.mark.parametrize("scale", [None, 255])
def test_it_trains_and_predicts_as_the_network_behind_it_on_normalised_images(backend, scale):
    x, _ = images()
    x = x if scale is None else x / np.float32(scale) - np.float32(0.3)  # pixels; numbers, also below 0
    net, plain = trained(fd.MomentNorm(*SIDES), x=x), trained(x=normalized(x))
    assert net.values.tobytes() == plain.values.tobytes()
    np.testing.assert_array_equal(net.predict_proba(x), plain.predict_proba(normalized(x)))
    np.testing.assert_array_equal(net.forward(x), net.folded().forward(x))


@pytest.mark.parametrize("between", [fd.ReLU, lambda: fd.Standardize(120)])
def test_a_layer_behind_it_that_takes_floats_gets_bytes_divided(backend, between):
    x, _ = images()
    net, plain = (
        trained(fd.MomentNorm(*SIDES), between()),
        trained(between(), x=normalized(x) / np.float32(255)),
    )
    np.testing.assert_array_equal(net.forward(x), plain.forward(normalized(x) / np.float32(255)))


def test_it_may_be_the_only_layer(backend):
    x = np.random.default_rng(0).integers(0, 256, (7, 10)).astype(np.uint8)
    wanted = fd.MomentNorm(1, 10).forward(x) / np.float32(255)
    for net in (
        fd.NeuralNetwork([fd.MomentNorm(1, 10)]),
        fd.NeuralNetwork([fd.MomentNorm(1, 10), fd.Dropout(0)]),
    ):
        np.testing.assert_array_equal(net.forward(x), wanted)
        assert net.predict(x).shape == (7,)
        assert net.evaluate(x, np.arange(7))["loss"] > 0
        assert net.input_gradient(x, np.arange(7)).shape == (7, 10)


def test_bytes_reach_the_dense_layer_as_bytes():
    net = network(fd.MomentNorm(*SIDES))
    assert net.layers[0].forward(images()[0].reshape(40, -1)).dtype == np.uint8
    net.forward(images()[0], training=True)
    assert net.layers[1]._saved.dtype == np.uint8


@pytest.mark.parametrize(
    "options",
    [{}, {"augment": fd.Augmentation(rotation=20, alpha=4)}, {"batch_shards": 3}],
    ids=["plain", "augmented", "shards"],
)
def test_any_number_of_threads_lowered_or_eager_gives_the_same_bits(options):
    nets = [trained(fd.MomentNorm(*SIDES), threads=threads, **options) for threads in (1, 3)]
    nets.append(trained(fd.MomentNorm(*SIDES), relu=OwnReLU, **options))
    assert len({net.values.tobytes() for net in nets}) == 1
    x, _ = images()
    alone = np.concatenate([nets[0].predict_proba(x[i : i + 1]) for i in range(40)])
    # a BLAS behind the NumPy twins may add the products of one row in another order
    np.testing.assert_allclose(alone, nets[2].predict_proba(x), rtol=1e-5, atol=1e-7)


def test_bytes_and_their_fractions_are_normalised_alike(backend):
    x = images()[0].reshape(40, -1)
    np.testing.assert_array_equal(normalized(x / np.float32(255)), normalized(x) / np.float32(255))


@pytest.mark.parametrize("white", [1, 255])
def test_a_fraction_in_one_image_changes_no_bit_of_the_others(backend, white):
    x = images()[0] / np.float32(white)
    net = trained(fd.MomentNorm(*SIDES), x=x)
    other = x.copy()
    other[0, 0, 0] = 0.3
    np.testing.assert_array_equal(net.predict_proba(other)[1:], net.predict_proba(x)[1:])


def test_it_has_no_gradient():
    net = network(fd.MomentNorm(*SIDES))
    for x in (images()[0], images()[0] / 7):
        y = net.forward(x, training=True)
        assert net.backward(np.ones_like(y)) is None


def test_it_is_kept_in_files_copies_and_pickles():
    x, _ = images()
    net = trained(fd.MomentNorm(*SIDES))
    file = io.BytesIO()
    net.save(file)
    for other in (fd.load(file.getvalue()), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other.layers[0]) == "MomentNorm(12, 10)"
        np.testing.assert_array_equal(other.predict_proba(x), net.predict_proba(x))


def test_a_file_of_a_small_network_may_have_a_larger_image_than_parameters():
    net = fd.NeuralNetwork([fd.MomentNorm(64, 64), fd.Dense(4096, 1)])
    file = io.BytesIO()
    net.save(file)
    assert repr(fd.load(file.getvalue())) == repr(net)


def test_it_counts_no_parameters_and_some_operations():
    line = network(fd.MomentNorm(*SIDES)).summary().splitlines()
    assert any("momentnorm1  MomentNorm(12, 10)" in row and row.split()[-2:] == ["0", "720"] for row in line)


def test_it_must_be_the_first_layer_of_images_of_its_size():
    with pytest.raises(
        ValueError, match=r"layers\[1\] must not be MomentNorm\(2, 2\), which takes images: put it first"
    ):
        fd.NeuralNetwork([fd.Dropout(0.5), fd.MomentNorm(2, 2), fd.Dense(4, 2)])
    with pytest.raises(ValueError, match=r"the input must have width 4; got 9: give height and width"):
        fd.MomentNorm(2, 2).output_width(9)
    with pytest.raises(ValueError, match=r"Dense.*must have width 9; got 4"):
        fd.NeuralNetwork([fd.MomentNorm(2, 2), fd.Dense(9, 2)])


@pytest.mark.parametrize(
    ("sides", "error", "match"),
    [
        ((0, 5), ValueError, "height must be at least 1; got 0"),
        ((5, 65), ValueError, "MomentNorm: width must be at most 64; got 65"),
        ((5, 2.0), TypeError, "width must be an integer; got 2.0"),
    ],
)
def test_wrong_sides_are_refused(sides, error, match):
    with pytest.raises(error, match=match):
        fd.MomentNorm(*sides)
