"""`fd.prepare` and `fd.cut_digits` turn pictures of digits into images like those of MNIST."""

import contextlib
import re

import numpy as np
import pytest
from digit_pictures import BOLD, PLAIN, inked, photographed, printed, strokes
from PIL import Image

import fastdigits as fd
from fastdigits.imaging import binarization
from fastdigits.imaging.components import connected_components
from fastdigits.imaging.digits import find_digits
from fastdigits.imaging.page import find_sheet
from fastdigits.imaging.segmentation import stroke_width


@pytest.fixture(scope="module")
def network() -> fd.NeuralNetwork:
    return fd.load_pretrained()


@pytest.fixture(scope="module")
def mnist() -> tuple[np.ndarray, np.ndarray]:
    return fd.load_mnist()[1]


def read(network, picture) -> str:
    return "".join(map(str, network.predict(fd.cut_digits(picture))))


def share_read(network, pictures) -> float:
    """Return the share that is read right; a picture that is refused is not."""

    def is_read(picture, truth) -> bool:
        try:
            return read(network, picture) == truth
        except ValueError:
            return False

    return float(np.mean([is_read(*pair) for pair in pictures]))


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    weights = image.astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return float((y * weights).sum() / weights.sum()), float((x * weights).sum() / weights.sum())


# -- the form of the result --------------------------------------------------------------------------------


def test_the_result_has_the_form_of_mnist():
    image = fd.prepare(inked(strokes("2")))
    rows, columns = np.flatnonzero(image.max(axis=1) > 25), np.flatnonzero(image.max(axis=0) > 25)
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    assert image.max() == 255
    assert image[0].max() == image[:, 0].max() == 0
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
    assert np.abs(np.array(centre_of_mass(image)) - 14).max() <= 0.75  # whole pixels, and rounding of the ink


def test_proportions_are_kept():
    tall = fd.prepare(inked(strokes("1")))
    columns = np.flatnonzero(tall.max(axis=0) > 25)
    rows = np.flatnonzero(tall.max(axis=1) > 25)
    assert np.ptp(rows) + 1 >= 19
    assert np.ptp(columns) + 1 <= 6


def test_edges_are_antialiased():
    image = fd.prepare(inked(strokes("0")))
    assert ((image > 30) & (image < 225)).sum() > 20


@pytest.mark.parametrize(("count", "most"), [(40, 0), pytest.param(500, 3, marks=pytest.mark.exhaustive)])
def test_images_of_mnist_hardly_change(network, mnist, count, most):
    x, y = mnist[0][:count], mnist[1][:count]
    made = np.stack([fd.prepare(image) for image in x])
    assert abs(int((network.predict(made) == y).sum()) - int((network.predict(x) == y).sum())) <= most
    assert np.abs(made.astype(int) - x).mean() < 4


def test_the_input_does_not_change():
    picture = np.asarray(inked(strokes("3"))).copy()
    before = picture.copy()
    fd.prepare(picture)
    fd.cut_digits(picture)
    np.testing.assert_array_equal(picture, before)


def test_the_same_picture_gives_the_same_image_in_any_form(tmp_path):
    picture = inked(strokes("5"))
    picture.save(tmp_path / "five.png")
    grey = np.asarray(picture.convert("L"))
    wanted = fd.prepare(grey)
    for form in (
        picture,
        tmp_path / "five.png",
        str(tmp_path / "five.png"),
        np.asarray(picture),
        grey[:, :, np.newaxis],
        grey / 255,
        grey.astype(np.uint16) * 257,
        np.asfortranarray(grey),
        picture.convert("RGBA"),
        picture.quantize(256),
        grey.tolist(),
    ):
        # a step of 1 from rounding colours to grey
        assert np.abs(fd.prepare(form).astype(int) - wanted).max() <= 3, type(form)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_every_mode_of_pillow_is_read(network, mode):
    grey = inked(strokes("3")).convert("L")
    picture = grey.convert("RGB").convert("RGBA").convert(mode) if mode in ("RGBA", "LA") else grey
    picture = grey.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else picture
    picture = grey.convert(mode) if mode in ("1", "P", "RGB", "I", "F") else picture
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert read(network, picture) == "3"


# -- ink and paper -----------------------------------------------------------------------------------------

COLOURS = [
    ((0, 0, 0), (255, 255, 255)),
    ((255, 240, 120), (30, 40, 160)),
    ((250, 190, 200), (60, 60, 60)),
    ((140, 200, 255), (200, 20, 30)),
    ((20, 30, 90), (255, 230, 90)),
    ((120, 180, 90), (190, 60, 60)),  # of almost one brightness
]


@pytest.fixture(scope="module")
def black_on_white() -> np.ndarray:
    return fd.prepare(inked(strokes("8")))


@pytest.mark.parametrize(("paper", "ink"), COLOURS)
def test_any_ink_on_any_paper_gives_the_same_image(black_on_white, paper, ink):
    made = fd.prepare(inked(strokes("8"), paper, ink))
    assert np.abs(made.astype(int) - black_on_white).mean() < 3


def test_a_transparent_picture_has_paper_under_it(network):
    mask = strokes("6")
    for shade in (0, 255):
        picture = Image.merge("LA", [Image.new("L", mask.size, shade), mask])
        assert read(network, picture) == "6"


@pytest.mark.parametrize("share", [1.5, 0.125])
def test_a_grey_picture_has_the_median_of_its_one_channel(share):
    grey = np.random.default_rng(0).random((20, 30, 1), np.float32)
    colour = np.concatenate([grey, grey, 1 - grey], axis=2)
    wanted = binarization._local_median(colour, share, 7)[:, :, :1]
    for channels in (1, 3):
        found = binarization._local_median(grey.repeat(channels, axis=2), share, 7)
        np.testing.assert_array_equal(found, wanted.repeat(channels, axis=2))


def test_ink_may_have_one_shade():
    """A circle around a 7: its two shades lie so near each other that no histogram has room between them."""
    shades = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))] * 10, np.float32)
    assert binarization._foreground_level(shades, 0.1) == pytest.approx(0.5)


def test_a_shadow_and_its_edge_are_not_ink(network):
    picture = np.asarray(inked(strokes("4"))).astype(float)
    picture[:, picture.shape[1] // 2 :] *= 0.55
    picture *= np.linspace(1, 0.7, len(picture))[:, np.newaxis, np.newaxis]
    assert read(network, picture) == "4"


@pytest.mark.parametrize("degrees", [0, pytest.param(4, marks=pytest.mark.exhaustive), -8])
@pytest.mark.parametrize(
    ("table", "paper", "ink"),
    [((70, 50, 40), (250, 250, 250), (20, 20, 20)), ((225, 215, 205), (40, 60, 50), (240, 240, 235))],
)
def test_a_sheet_that_lies_on_a_table_is_found(network, degrees, table, paper, ink):
    sheet = inked(strokes("64", room=160), paper, ink)
    picture = Image.new("RGB", (sheet.width + 360, sheet.height + 300), table)
    picture.paste(sheet, (170, 140))
    turned = picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=table)
    (digits,) = find_digits(turned).rows
    assert "".join(map(str, network.predict(np.stack([digit.image for digit in digits])))) == "64"
    left, top, right, bottom = digits[0].box
    assert 300 < left < right < 480
    assert 240 < top < bottom < 480


@pytest.mark.parametrize("strip", [3, 20])
def test_a_sheet_beside_a_part_of_another_is_found(strip):
    picture = np.full((500, 600), 70, np.uint8)
    picture[60:430, 120:460] = 240
    picture[-strip:] = 240
    left, top, right, bottom = find_sheet(Image.fromarray(picture))
    assert 120 <= left < right <= 460 + 6
    assert 60 <= top < bottom <= 430 + 6


@pytest.mark.parametrize("digit", "023456789")
def test_a_bold_digit_is_no_sheet(digit):
    for pen in (40, 56):
        assert find_sheet(inked(strokes(digit, pen=pen, room=40))) is None


def test_a_bar_without_ink_on_it_is_not_a_sheet(network):
    picture = np.full((200, 160), 255, np.uint8)
    picture[30:170, 63:97] = 0
    assert find_sheet(Image.fromarray(picture)) is not None
    assert read(network, picture) == "1"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_exif_orientation_is_applied(tmp_path, network, orientation):
    upright = inked(strokes("7"))
    back = {1: 0, 3: 180, 6: 90, 8: 270}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright.rotate(back, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    assert read(network, tmp_path / "turned.jpg") == "7"


def test_specks_lines_and_objects_at_the_border_are_removed(network):
    picture = inked(strokes("5", room=200), (255, 255, 255), (20, 20, 90))
    pixels = np.asarray(picture).copy()
    height, width, _ = pixels.shape
    pixels[height - 120 : height - 118] = 120, 150, 220  # a ruled line under it
    pixels[:, :40] = 90, 60, 40  # the table
    pixels[60:66, width - 90 : width - 84] = 0  # a speck
    assert read(network, pixels) == "5"


# -- accuracy on digits from elsewhere ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [8, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_mnists_digits_enlarged_are_read(network, mnist, count):
    x, y = mnist[0][:count], mnist[1][:count]
    pictures = [
        (inked(Image.fromarray(image).resize((220, 220), Image.Resampling.BICUBIC)), str(label))
        for image, label in zip(x, y, strict=True)
    ]
    assert share_read(network, pictures) >= 0.96


@pytest.mark.parametrize("count", [3, pytest.param(30, marks=pytest.mark.exhaustive)])
def test_photographed_digits_are_read(network, mnist, count):
    rng = np.random.default_rng(0)
    x, y = mnist[0][200:][:count], mnist[1][200:][:count]
    pictures = [
        (photographed(Image.fromarray(image).resize((150, 150), Image.Resampling.BICUBIC), rng), str(label))
        for image, label in zip(x, y, strict=True)
    ]
    assert share_read(network, pictures) >= 0.93


@pytest.mark.parametrize("digits", ["258", pytest.param("0123456789", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("pen", "least"), [(6, 0.9), (20, 1), (30, 0.9)])
def test_digits_by_a_thin_and_a_thick_pen_are_read(network, digits, pen, least):
    pictures = [(inked(strokes(digit, pen=pen)), digit) for digit in digits]
    assert share_read(network, pictures) >= least


@pytest.mark.parametrize("digits", ["258", pytest.param("0123456789", marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("face", [PLAIN, BOLD])
def test_printed_digits_are_read(network, digits, face):
    pictures = [(inked(printed(digit, face)), digit) for digit in digits]
    assert share_read(network, pictures) >= 0.8


@pytest.mark.parametrize(
    "place",
    [(0, 0), (900, 700), *(pytest.param(p, marks=pytest.mark.exhaustive) for p in ((900, 0), (0, 900)))],
)
def test_a_small_digit_anywhere_on_a_large_sheet_is_found(place):
    digit = strokes("3")
    digit.thumbnail((120, 120))
    sheet = Image.new("L", (1200, 1200), 0)
    sheet.paste(digit, (place[0] + 40, place[1] + 40))
    (row,) = find_digits(inked(sheet)).rows
    assert len(row) == 1
    left, top, right, bottom = row[0].box
    assert place[0] + 40 <= left < right <= place[0] + 160
    assert place[1] + 40 <= top < bottom <= place[1] + 160


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("side", [20, 60, 400])
def test_a_crop_without_margin_is_read(network, mnist, dark, side):
    images = []
    for image in mnist[0][[0, 1, 2, 3, 4, 61]]:  # 7, 2, 1, 0, 4, 8
        rows, columns = np.flatnonzero(image.max(axis=1) > 60), np.flatnonzero(image.max(axis=0) > 60)
        cut = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        scale = side / max(cut.size)
        large = np.asarray(
            cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.BICUBIC)
        )
        images.append(fd.prepare(255 - large if dark else large))
    assert network.predict(np.stack(images)).tolist() == [7, 2, 1, 0, 4, 8]


# -- several digits ----------------------------------------------------------------------------------------


def test_a_number_is_cut_into_its_digits_from_left_to_right(network):
    assert read(network, inked(strokes("5203946718"))) == "5203946718"


def test_touching_digits_are_split(network):
    row = strokes("28", gap=4)
    row.paste(255, (160, 204, 209, 212))  # the foot of the 2 goes on into that of the 8
    assert len(connected_components(np.asarray(row) > 128)) == 1
    wide = row.resize((13 * row.width // 10, row.height))
    assert read(network, inked(wide)) == "28"


def test_a_digit_in_two_pieces_stays_one(network):
    picture = np.asarray(inked(strokes("5"))).copy()
    picture[150:156] = 255  # the pen left the paper
    assert len(fd.cut_digits(picture)) == 1


def test_prepare_treats_all_ink_as_one_digit():
    picture = inked(strokes("11"))
    assert len(fd.cut_digits(picture)) == 2
    assert fd.prepare(picture).shape == (28, 28)


def test_several_rows_are_refused(tmp_path):
    row = np.asarray(inked(strokes("12")))
    picture = np.vstack([row, row])
    with pytest.raises(
        ValueError,
        match=r"cut_digits: image: must show one row of digits; got several: crop .* fastdigits.predict",
    ):
        fd.cut_digits(picture)
    Image.fromarray(picture).save(tmp_path / "rows.png")
    with pytest.raises(fd.DataError, match=r"rows\.png: must show one row of digits"):
        fd.cut_digits(tmp_path / "rows.png")
    assert fd.prepare(picture).shape == (28, 28)


# -- nothing to read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_picture_is_refused(tmp_path, shade):
    picture = np.full((80, 100), shade, np.uint8)
    with pytest.raises(
        ValueError, match=rf"prepare: image: must show a digit; got nothing .*: all its values are {shade};"
    ):
        fd.prepare(picture)
    Image.fromarray(picture).save(tmp_path / "empty.png")
    with pytest.raises(fd.DataError, match=r"empty\.png: must show a digit; got nothing written"):
        fd.prepare(tmp_path / "empty.png")


def test_noise_is_not_ink():
    noise = np.random.default_rng(0).normal(200, 6, (300, 400)).clip(0, 255).astype(np.uint8)
    with pytest.raises(ValueError, match="nothing written"):
        fd.prepare(noise)


def test_a_digit_in_noise_is_read(network):
    picture = np.asarray(inked(strokes("5"), (190, 190, 190), (60, 60, 60)).convert("L"), np.float32)
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 30, picture.shape), 0, 255).astype(np.uint8)
    assert read(network, noisy) == "5"


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_tiny_pictures_are_read_or_refused(shape, seed):
    picture = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    with contextlib.suppress(ValueError):
        assert fd.prepare(picture).shape == (28, 28)
    with pytest.raises(ValueError, match="must show a digit"):
        fd.prepare(np.full(shape, 7, np.uint8))


# -- parts -------------------------------------------------------------------------------------------------


def flooded(mask: np.ndarray) -> list[set]:
    """The components by filling, one pixel at a time."""
    left, found = set(map(tuple, np.argwhere(mask))), []
    while left:
        filled, edge = set(), [min(left)]
        while edge:
            y, x = edge.pop()
            if (y, x) in left:
                left.remove((y, x))
                filled.add((y, x))
                edge += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        found.append(filled)
    return found


@pytest.mark.parametrize("share", [0, 0.1, 0.4, 0.6, 1])
def test_components_equal_those_of_flood_fill(share):
    for seed in range(5):
        mask = np.random.default_rng(seed).random((13, 17)) < share
        wanted = flooded(mask)
        found = connected_components(mask)
        assert len(found) == len(wanted)
        assert found.area.tolist() == [len(part) for part in wanted]
        for number, part in enumerate(wanted):
            assert set(map(tuple, np.argwhere(found.mask([number])))) == part
            y, x = np.array(sorted(part)).T
            assert found.box[number].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("degrees", [10, 20, 45])
def test_the_width_of_a_stroke_is_measured_at_any_angle(degrees):
    bar = Image.new("L", (300, 300), 0)
    bar.paste(255, (50, 140, 250, 160))
    turned = np.asarray(bar.rotate(degrees, Image.Resampling.BICUBIC), np.float32) / 255
    assert stroke_width(turned) == pytest.approx(2 * 200 * 20 / (2 * 220), rel=0.12)  # twice area over edge


# -- other scales ------------------------------------------------------------------------------------------


def enlarged(mnist) -> np.ndarray:
    """The first test image, a 7, light on dark."""
    return np.kron(mnist[0][0], np.ones((8, 8), np.uint8))


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.int64, np.float32])
@pytest.mark.parametrize("ink", [0, 1])
def test_a_mask_is_read(tmp_path, network, mnist, kind, ink):
    mask = (enlarged(mnist) > 100).astype(kind)
    assert read(network, mask if binarization else 1 - mask.astype(int)) == "7"
    if kind == np.uint8 and binarization:
        Image.fromarray(mask).save(tmp_path / "mask.png")
        assert read(network, tmp_path / "mask.png") == "7"


@pytest.mark.parametrize(
    "change",
    [
        lambda picture: (picture // 8).astype(np.uint16),
        lambda picture: picture.astype(np.int64) * 16,
        lambda picture: picture * 16.061372549,
        lambda picture: (picture * 16.061372549).astype(np.float32),
        lambda picture: picture / 5000,
        lambda picture: picture / 127.5 - 1,
        lambda picture: picture.astype(np.int64) - 128,
        lambda picture: np.where(picture > 0, picture, np.nan),
    ],
)
def test_values_on_another_scale_are_read_once_the_hint_is_followed(network, mnist, change):
    image = change(enlarged(mnist))
    with pytest.raises(ValueError, match=r"; got .*(scale them, |such as by )") as caught:
        fd.prepare(image)
    hint = re.search(r"(?:scale them, |such as by )(.*)$", str(caught.value))[1]
    followed = eval(hint if "image" in hint else f"{hint}(image)", {"np": np, "image": image})
    assert read(network, followed) == "7"


def test_a_constant_array_is_named():
    for image, value in ((np.zeros((40, 40)), 0), (np.full((40, 40), 7), 7), (np.full((40, 40), 0.5), 0.5)):
        with pytest.raises(ValueError, match=f"nothing written on it: all its values are {value}; choose"):
            fd.prepare(image)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64, np.float64])
def test_values_of_0_to_16_are_read(network, mnist, kind):
    for side in (8, 112):  # 8 as in scikit-learn's load_digits
        image = Image.fromarray(mnist[0][2][4:24, 4:24]).resize((side, side), Image.Resampling.BOX)  # a 1
        assert read(network, np.rint(np.asarray(image) * (16 / 255)).astype(kind)) == "1"
