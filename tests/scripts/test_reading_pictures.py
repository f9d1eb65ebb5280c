"""Pictures to train and to measure the packaged network with, and what the network makes of some."""

import numpy as np
import pytest
from documents import script

import fastdigits as fd

pictures = script("accuracy/reading_pictures")
COUNT = 30


@pytest.fixture(scope="module")
def network():
    return fd.load_pretrained()


@pytest.fixture(scope="module")
def kinds():
    x, y = pictures.drawn(pictures.DIGITS, 50, np.random.default_rng(0))
    return pictures.not_digits(x, y, pictures.DEJAVU)


def others(kinds, name, seed=7):
    return kinds[name](COUNT, np.random.default_rng(seed))


@pytest.mark.parametrize("name", pictures.not_digits(None, None, ()))
def test_what_is_not_a_digit_is_rejected(kinds, network, name):
    images = others(kinds, name)
    assert (images.shape, images.dtype) == ((COUNT, 28, 28), np.uint8)
    np.testing.assert_array_equal(images, others(kinds, name))  # the same seed, the same pictures
    assert (network.predict(images) == 10).mean() > 0.8  # of thousands, over 95 %


def test_drawn_printed_and_changed_digits_are_read(network):
    rng = np.random.default_rng(7)
    drawn, y = pictures.drawn(pictures.DIGITS, COUNT, rng)
    printed = pictures.printed("0123456789", pictures.DEJAVU, COUNT, rng)
    for images, labels in ((drawn, y), printed, (pictures.varied(drawn, rng), y)):
        assert (network.predict(images) == labels).mean() > 0.9


@pytest.mark.parametrize("digit", "0258")
def test_a_picture_is_like_that_of_prepare(digit):
    rng = np.random.default_rng(3)
    ink = pictures.inked(pictures.shaken(pictures.strokes(pictures.DIGITS[digit][0]), rng), pen=0.1)
    prepared = fd.prepare(255 - np.pad(ink, 40))
    difference = prepared.astype(float) - pictures.normalised(ink)
    assert abs(difference).mean() < 12  # of 255; the edge of a stroke may be half a pixel elsewhere
