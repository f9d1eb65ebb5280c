"""Distorted images: kernels against their twin, draws that hang on nothing but their key, and what the numbers mean."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from sampled import sampled

import fastdigits as fd
from fastdigits import _reference as twin
from fastdigits import backend as backends
from fastdigits.training.augmentation import NO_KEYS, Augmenter, image_sides

SIZES = [(28, 28), (1, 1), (5, 3), (16, 16), (33, 20), (17, 40), (64, 64), (2, 50)]
DISTORTIONS = {
    "none": fd.Augmentation(rotation=0, scale=0, shear=0, shift=0),
    "light": fd.Augmentation(rotation=10, scale=0.1, shear=0.1, shift=1.5),
    "strong": fd.Augmentation(rotation=180, scale=0.5, shear=1, shift=40),
    "elastic": fd.Augmentation(alpha=36, sigma=4),
    "rough": fd.Augmentation(rotation=0, scale=0, shear=0, shift=0, alpha=9, sigma=1),
    "wild": fd.Augmentation(alpha=10_000, sigma=1.3),
    "strokes": fd.Augmentation(rotation=0, scale=0, shear=0, shift=0, thickness=3),
    "squares": fd.Augmentation(rotation=0, scale=0, shear=0, shift=0, cutout=64),
    "all": fd.Augmentation(thickness=1.5, cutout=9),
}


def inked(n: int, height: int, width: int, density: float = 0.7) -> np.ndarray:
    """Images with ink somewhere, but not everywhere; the first without any."""
    rng = np.random.default_rng([n, height, width])
    x = np.where(rng.random((n, height, width)) < density, rng.integers(1, 256, (n, height, width)), 0)
    for image in x:
        image[: rng.integers(0, height)] = 0
        image[:, rng.integers(1, width + 1) :] = 0
    x[:1] = 0
    return x.reshape(n, -1).astype(np.uint8)


def blob(height: int = 28, width: int = 28, variance: float = 4) -> np.ndarray:
    i, j = np.arange(height)[:, np.newaxis] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    return np.round(250 * np.exp(-(i**2 + j**2) / (2 * variance))).astype(np.uint8)


def call(kernels, x, rows, augmentation, sides, seed=7, epoch=3, keys=NO_KEYS):
    y = np.full((len(rows), x.shape[1]), 99, dtype=np.uint8)
    arrays = [x, rows, keys, np.array([epoch]), augmentation.distortion(), augmentation.taps(*sides)]
    for array in arrays:
        array.flags.writeable = False
    kernels.augment(y, *arrays, *sides, seed)
    return y


# -- the kernel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "sides", "name"),
    sampled(
        itertools.product([0, 1, 7, 65], SIZES, DISTORTIONS),
        lambda n, sides, name: n == 7 or (sides, name) == ((28, 28), "light"),
    ),
)
def test_augment_agrees_with_its_twin(kernels, n, sides, name):
    x, rows = inked(20, *sides), np.random.default_rng(n).integers(0, 20, n)
    found, wanted = (call(module, x, rows, DISTORTIONS[name], sides) for module in (kernels, twin))
    if not DISTORTIONS[name].alpha:  # integers all the way, but for six numbers in double precision
        np.testing.assert_array_equal(found, wanted)
    elif n:
        # The field is a sum of 2 · 10 float32 products of at most 1 · alpha: off by 40 ε · alpha, which is below
        # 1 / 256 pixel for alpha < 800; there one step of an 8-bit fraction changes each direction by a grey level.
        apart = np.abs(found.astype(int) - wanted)
        assert (apart > 0).mean() < (0.01 if name != "wild" else 0.5)
        assert name == "wild" or apart.max() <= 2


def test_a_seed_draws_what_it_always_drew(kernels):
    # The accuracies of the presets depend on it. No sums of float32: the digest is that of all instruction sets.
    found = call(kernels, inked(40, 28, 28), np.arange(40), DISTORTIONS["light"], (28, 28))
    assert hashlib.sha256(found.tobytes()).hexdigest().startswith("70e79defad79d9b2")


def test_no_distortion_gives_the_images_themselves(kernels):
    x, rows = inked(30, 28, 28), np.arange(29, -1, -1)
    np.testing.assert_array_equal(call(kernels, x, rows, DISTORTIONS["none"], (28, 28)), x[rows])


@pytest.mark.parametrize("name", ["light", "elastic", "all"])
def test_an_image_depends_on_seed_epoch_and_row_alone(kernels, name):
    x = np.tile(blob().reshape(-1), (20, 1))
    some = DISTORTIONS[name]
    whole = call(kernels, x, np.arange(20), some, (28, 28))
    for rows in ([4], [7, 4], [19, 19, 3]):
        np.testing.assert_array_equal(call(kernels, x, np.array(rows), some, (28, 28)), whole[rows])
    assert len({image.tobytes() for image in whole}) == 20  # alike in pixels, but not in rows
    for other in ({"seed": 8}, {"epoch": 4}):
        again = call(kernels, x, np.arange(20), some, (28, 28), **other)
        assert all((again != whole).any(axis=1))


@pytest.mark.parametrize("name", ["light", "elastic", "all"])
def test_a_key_replaces_the_row_in_the_random_numbers(kernels, name):
    x, some = inked(20, 28, 28), DISTORTIONS[name]
    keys = np.random.default_rng(3).permutation(20)
    moved = np.empty_like(x)
    moved[keys] = x  # image i of x is in row keys[i]
    found = call(kernels, x, np.arange(20), some, (28, 28), keys=keys)
    np.testing.assert_array_equal(found, call(kernels, moved, keys, some, (28, 28)))
    if name != "elastic":  # which has sums of float32
        np.testing.assert_array_equal(found, call(twin, x, np.arange(20), some, (28, 28), keys=keys))


@pytest.mark.parametrize("name", ["light", "elastic", "all"])
def test_any_number_of_threads_gives_the_same_images(kernels, name):
    x, rows = inked(50, 28, 28), np.random.default_rng(0).integers(0, 50, 3000)
    results = set()
    for threads in (1, 2, 5):
        kernels.set_threads(threads)
        results.add(call(kernels, x, rows, DISTORTIONS[name], (28, 28)).tobytes())
    kernels.set_threads(1)
    assert len(results) == 1


def test_a_program_learns_the_epoch_and_the_strength_from_their_arrays(kernels, monkeypatch):
    monkeypatch.setattr(backends, "kernels", kernels)
    x, index, y = inked(50, 28, 28), np.zeros(10, dtype=np.int64), np.zeros((10, 784), dtype=np.uint8)
    augmenter = Augmenter(fd.Augmentation(alpha=20, fade=1), 28, 28, seed=5)
    program = kernels.Program(index)
    with program as doors:
        augmenter.run(y, x, index, doors)
    for number, order in enumerate(np.random.default_rng(1).permutation(50).reshape(5, 10)):
        augmenter.begin(100 + number, number, 5)
        program.run(order, np.zeros(1))
        wanted = np.zeros_like(y)
        weaker = (1 - (number + 1) / 5) * augmenter.augmentation.distortion()
        taps = augmenter.augmentation.taps(28, 28)
        kernels.augment(wanted, x, order, NO_KEYS, np.array([100 + number]), weaker, taps, 28, 28, 5)
        np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(y, x[order])  # the last epoch is as it is


@pytest.mark.parametrize("module", fd.available_backends())
def test_wrong_sizes_are_refused(module):
    augment = backends.load(module).augment
    x, y, rows, epoch = inked(4, 6, 5), np.zeros((2, 30), np.uint8), np.array([1, 3]), np.array([0])
    most, taps = np.zeros(7), np.zeros((0, 6), np.float32)
    augment(y, x, rows, NO_KEYS, epoch, most, taps, 6, 5, 0)
    for message, arguments in {
        r"augment: y must be \(2, 30\)": (y[:1].copy(), x, rows, NO_KEYS, epoch, most, taps, 6, 5, 0),
        r"augment: x must be \(4, 36\)": (y, x, rows, NO_KEYS, epoch, most, taps, 6, 6, 0),
        r"augment: rows must lie in 0 … 3; got 4": (y, x, rows + 1, NO_KEYS, epoch, most, taps, 6, 5, 0),
        r"augment: keys must be \(4,\)": (y, x, rows, rows, epoch, most, taps, 6, 5, 0),
        r"augment: epoch must be \(1,\)": (y, x, rows, NO_KEYS, rows, most, taps, 6, 5, 0),
        r"augment: distortion must be \(7,\)": (y, x, rows, NO_KEYS, epoch, most[:4].copy(), taps, 6, 5, 0),
        r"distortion\[1\] must lie in 0 … 0.5; got 0.6": (
            y,
            x,
            rows,
            NO_KEYS,
            epoch,
            most + 0.6,
            taps,
            6,
            5,
            0,
        ),
        r"distortion\[0\] must lie in 0 … 3.1416; got nan": (
            y,
            x,
            rows,
            NO_KEYS,
            epoch,
            most + np.nan,
            taps,
            6,
            5,
            0,
        ),
        r"augment: taps must be \(0, 6\)": (y, x, rows, NO_KEYS, epoch, most, taps[:, :5].copy(), 6, 5, 0),
        r"taps must have at most 72 rows; got 73": (
            y,
            x,
            rows,
            NO_KEYS,
            epoch,
            most,
            np.zeros((73, 6), np.float32),
            6,
            5,
            0,
        ),
        r"images must be at most \(64, 64\); got \(65, 5\)": (
            y,
            x,
            rows,
            NO_KEYS,
            epoch,
            most,
            taps,
            65,
            5,
            0,
        ),
    }.items():
        with pytest.raises(ValueError, match=message):
            augment(*arguments)


# -- what the numbers mean -----------------------------------------------------------------------------------


def moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean column, the mean row and the covariances of the ink of each image."""
    ink = images.astype(float) / images.sum(axis=(1, 2), keepdims=True, dtype=float)
    i, j = np.arange(images.shape[1])[:, np.newaxis], np.arange(images.shape[2])
    column, row = (ink * j).sum(axis=(1, 2)), (ink * i).sum(axis=(1, 2))
    across, along = j - column[:, np.newaxis, np.newaxis], i - row[:, np.newaxis, np.newaxis]
    pairs = [(across, across), (across, along), (along, along)]
    return column, row, np.stack([(ink * a * b).sum(axis=(1, 2)) for a, b in pairs])


def only(**kinds: float) -> fd.Augmentation:
    return fd.Augmentation(**{"rotation": 0, "scale": 0, "shear": 0, "shift": 0} | kinds)


def uniform(values: np.ndarray, most: float) -> None:
    """Assert that values fill -most … most evenly: extremes, mean and variance, 400 of them."""
    assert np.abs(values).max() <= 1.02 * most
    assert values.max() > 0.95 * most
    assert values.min() < -0.95 * most
    assert abs(values.mean()) < 4 * most / math.sqrt(3 * 400)  # four standard errors
    assert np.var(values) == pytest.approx(most**2 / 3, rel=0.2)


def test_a_shift_moves_the_ink(backend):
    column, row, _ = moments(only(shift=3).apply(np.tile(blob(), (400, 1, 1))))
    uniform(column - 13.5, 3)
    uniform(row - 13.5, 3)
    assert abs(np.corrcoef(column, row)[0, 1]) < 0.2


def test_a_scale_stretches_the_ink(backend):
    broad = blob(64, 64, variance=25)  # so broad that what bilinear mixing blurs, 0.2 at most, does not show
    _, _, (across, _, along) = moments(only(scale=0.3).apply(np.tile(broad, (400, 1, 1))))
    start = moments(broad[np.newaxis])[2][0, 0]
    uniform(np.sqrt(across / start) - 1, 0.3)
    uniform(np.sqrt(along / start) - 1, 0.3)


def bar() -> np.ndarray:
    i, j = np.arange(28)[:, np.newaxis] - 13.5, np.arange(28) - 13.5
    return np.round(250 * np.exp(-(i**2) / 4 - j**2 / 40)).astype(np.uint8)


def test_a_rotation_turns_the_ink(backend):
    _, _, (across, mixed, along) = moments(only(rotation=30).apply(np.tile(bar(), (400, 1, 1))))
    uniform(np.degrees(0.5 * np.arctan2(2 * mixed, across - along)), 30)


def test_a_shear_slants_the_ink(backend):
    upright = np.ascontiguousarray(bar().T)
    _, _, (_, mixed, along) = moments(only(shear=0.4).apply(np.tile(upright, (400, 1, 1))))
    uniform(mixed / along, 0.4)


def test_ink_that_leaves_the_image_is_gone(backend):
    images = only(shift=64).apply(np.tile(blob(), (200, 1, 1)))
    ink = images.sum(axis=(1, 2))
    assert (ink == 0).mean() > 0.4
    assert ink.max() <= 1.01 * blob().sum()


def bars(*thickness: int) -> np.ndarray:
    """Horizontal bars of full ink, 20 columns long, from row 9 on."""
    images = np.zeros((len(thickness), 28, 28), np.uint8)
    for image, rows in zip(images, thickness, strict=True):
        image[9 : 9 + rows, 4:24] = 255
    return images


def test_a_thickness_moves_both_sides_of_a_stroke():
    (bar,) = bars(6)
    for pixels in (-2, -1.25, -0.5, 0, 0.75, 1, 3):
        changed = twin._change_thickness(bar, pixels) / 255
        assert changed[:, 14].sum() == pytest.approx(6 + 2 * pixels, abs=0.02)
        assert changed[12].sum() == pytest.approx(20 + 2 * pixels, abs=0.02)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_stroke_that_is_too_thin_fades(rows):
    (bar,) = bars(rows)
    for pixels, grey in {-0.25: 223, -0.5: 191, -1: 127, -2: 63, -3: 31}.items():
        assert set(twin._change_thickness(bar, pixels)[bar > 0]) == {grey}


def test_ends_stay_round_as_strokes_become_thicker():
    dot = np.zeros((9, 9), np.uint8)
    dot[4, 4] = 255
    grown = [twin._change_thickness(dot, pixels) // 255 for pixels in (1, 2, 3)]
    assert [dots.sum() for dots in grown] == [
        5,
        21,
        37,
    ]  # the 3 × 3, 5 × 5 and 7 × 7 pixels around, without corners
    assert [dots[4 - k, 4 - k] for k, dots in enumerate(grown, 1)] == [0, 0, 0]


def test_thickness_is_uniform_in_both_directions(backend):
    images = only(thickness=2).apply(bars(*[6] * 100))
    thicker = images[:, :, 14].sum(axis=1) / 255 / 2 - 3
    assert np.abs(thicker).max() <= 2
    assert thicker.max() > 1.8
    assert thicker.min() < -1.8
    assert abs(thicker.mean()) < 4 * 2 / math.sqrt(3 * 100)  # four standard errors


def test_a_cutout_blanks_one_square(backend):
    images = only(cutout=8).apply(np.full((100, 28, 28), 255, np.uint8))
    sides, outside = set(), 0
    for image in images:
        rows, columns = (np.flatnonzero((image == 0).any(axis=axis)) for axis in (1, 0))
        assert (image == 0).sum() == len(rows) * len(columns)  # a rectangle
        if len(rows) and min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 27:
            assert len(rows) == len(columns)
            sides.add(len(rows))
        outside += len(rows) != len(columns)
    assert sides == set(range(1, 9))
    assert (images == 0).any(axis=(1, 2)).mean() > 0.8
    assert outside > 3  # a part of the square


def test_a_field_has_the_variance_and_the_covariance_that_simard_gives_it():
    # Noise of variance 1/3 in each pixel, smoothed by a Gaussian of weight 1: variance 1/3 · (1 / (2 √π σ))² and, at a
    # distance d, the share exp(-d² / 4σ²) of it. REACH cuts 0.3 % off a Gaussian.
    sigma, alpha = 4.0, 34.0
    taps = fd.Augmentation(alpha=alpha, sigma=sigma).taps(28, 28)
    with np.errstate(over="ignore"):
        fields = np.array([twin._field(taps, alpha, 28, 28, np.uint64(key)) for key in range(1500)]) / 65536
    deviation = alpha / math.sqrt(3) / (2 * math.sqrt(math.pi) * sigma)
    assert deviation == pytest.approx(1.38, abs=0.01)
    # 1,500 fields of some ten independent places each: the error of a variance is about 1 %
    variances = fields.var(axis=0)
    np.testing.assert_allclose(variances.mean(), deviation**2, rtol=0.04)
    assert variances.min() > 0.8 * deviation**2
    for distance in (2, 6, 10):
        share = (fields[:, 14, :-distance] * fields[:, 14, distance:]).mean() / deviation**2
        assert share == pytest.approx(math.exp(-(distance**2) / (4 * sigma**2)), abs=0.06)


def test_knots_one_sigma_apart_are_as_good_as_noise_in_each_pixel():
    # the sum of squared taps is the variance of a field in one direction: that of the Gaussian, everywhere
    for sigma in (1, 2.5, 4, 9):
        taps = fd.Augmentation(alpha=1, sigma=sigma).taps(28, 20).astype(float)
        variance = (taps**2).sum(axis=0)
        np.testing.assert_allclose(variance, 1 / (2 * math.sqrt(math.pi) * sigma), rtol=3e-4)


# -- the class -----------------------------------------------------------------------------------------------


def test_apply_takes_rows_and_any_layout(backend):
    x = inked(6, 28, 28)
    some = fd.Augmentation(alpha=20)
    wanted = some.apply(x, seed=3, epoch=2)
    assert wanted.shape == (6, 784)
    x.flags.writeable = False
    np.testing.assert_array_equal(some.apply(x.reshape(6, 28, 28), seed=3, epoch=2).reshape(6, -1), wanted)
    strided = np.repeat(x, 2, axis=0)[::2]
    np.testing.assert_array_equal(some.apply(strided, seed=3, epoch=2), wanted)
    assert (some.apply(x, seed=3, epoch=1) != wanted).any()
    assert (some.apply(x, seed=2**64 + 3, epoch=2) == wanted).all()  # a seed of any size


def test_an_augmentation_prints_the_call_that_makes_it():
    some = fd.Augmentation(rotation=7.5, alpha=34, fade=0.2)
    assert repr(some) == "Augmentation(rotation=7.5, alpha=34, fade=0.2)"
    assert eval(repr(some), {"Augmentation": fd.Augmentation}) == some
    assert repr(fd.Augmentation()) == "Augmentation()"


def test_strength_fades_over_the_last_part():
    assert [fd.Augmentation().strength(number, 4) for number in range(4)] == [1, 1, 1, 1]
    assert [fd.Augmentation(fade=0.5).strength(number, 8) for number in range(8)] == [
        1,
        1,
        1,
        1,
        0.75,
        0.5,
        0.25,
        0,
    ]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rotation": 181}, ValueError, "rotation must be .* 0 ≤ rotation ≤ 180; got 181"),
        ({"scale": 0.6}, ValueError, "scale must be .* ≤ 0.5; got 0.6"),
        ({"shear": -0.1}, ValueError, "shear must be .* 0 ≤ shear"),
        ({"shift": math.nan}, ValueError, "shift must be a finite"),
        ({"alpha": "34"}, TypeError, "alpha must be a number; got '34'"),
        ({"sigma": 0.5}, ValueError, "sigma must be .* 1 ≤ sigma ≤ 64"),
        ({"thickness": 3.1}, ValueError, "thickness must be .* 0 ≤ thickness ≤ 3; got 3.1"),
        ({"cutout": -1}, ValueError, "cutout must be .* 0 ≤ cutout ≤ 64; got -1"),
        ({"fade": 1.5}, ValueError, "fade must be .* ≤ 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        fd.Augmentation(**arguments)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (
            np.zeros((2, 30), np.uint8),
            ValueError,
            r"or rows of square images, to be augmented; got \(2, 30\)",
        ),
        (np.zeros(784, np.uint8), ValueError, r"must be \(n, height, width\)"),
        (np.zeros((2, 65, 3), np.uint8), ValueError, "at most 64 × 64 pixels to be augmented; got 65 × 3"),
    ],
)
def test_wrong_images_are_refused(images, error, message):
    with pytest.raises(error, match=message):
        fd.Augmentation().apply(images)
    with pytest.raises(error, match=message):
        image_sides(images.shape, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x / 255, r"must hold whole numbers from 0 to 255; got float64 from 0 to 1: x \* 255"),
        (
            lambda x: x + 0.5,
            r"whole numbers from 0 to 255; got float64 from 0\.5 to .*: np\.rint\(x\.clip\(0, 255\)\)",
        ),
        (lambda x: x.astype(int) - 1, "whole numbers from 0 to 255; got int64 from -1 to "),
        (lambda x: x.astype(int) + 256, "whole numbers from 0 to 255; got int64 from 256 to "),
        (lambda x: np.where(x > 0, np.nan, 0), "must be finite"),
    ],
)
def test_values_that_are_no_pixels_are_refused(change, message):
    x = inked(3, 28, 28)
    x[0, 0] = 255
    with pytest.raises(ValueError, match=message):
        fd.Augmentation().apply(change(x))


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float32, np.float64, ">i4"])
def test_the_dtype_of_pixels_does_not_count(dtype):
    x = inked(3, 28, 28)
    expected = fd.Augmentation().apply(x, seed=1)
    np.testing.assert_array_equal(fd.Augmentation().apply(x.astype(dtype), seed=1), expected)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float32])
def test_no_images_are_no_error_in_any_dtype(dtype):
    distorted = fd.Augmentation().apply(np.zeros((0, 9), dtype))
    assert distorted.shape == (0, 9)
    assert distorted.dtype == np.uint8
