"""Numbers in pictures: lines, signs, digits that touch, turned pages, and doubtful digits."""

import numpy as np
import pytest
from digit_pictures import PLAIN, inked, printed, strokes
from PIL import Image, ImageDraw

import fastdigits as fd
from fastdigits.imaging.components import connected_components
from fastdigits.imaging.digits import find_digits
from fastdigits.imaging.reading import Reading, read_picture
from fastdigits.imaging.rows import Segment, are_mixed

TEN = tuple("0123456789")


@pytest.fixture(scope="module")
def network() -> fd.NeuralNetwork:
    return fd.load_pretrained()


def reading(network, picture) -> Reading:
    return read_picture(picture, network.predict_proba, network.class_names or TEN, name="picture")


def read(network, picture) -> str:
    return reading(network, picture).reads


def with_sign(left: str, sign: str, right: str) -> Image.Image:
    """Return a number with one sign, white on black."""
    middle = Image.new("L", (110, 270), 0)
    draw = ImageDraw.Draw(middle)
    marks = {
        ".": [(47, 194, 63, 210)],
        "-": [(25, 128, 85, 142)],
        "+": [(25, 128, 85, 142), (48, 105, 62, 165)],
        "/": [],
    }
    for box in marks[sign]:
        draw.rectangle(box, fill=255)
    if sign == "/":
        draw.line([(90, 20), (20, 250)], fill=255, width=14)
    numbers = [np.asarray(strokes(number))[:, 30:-30] for number in (left, right) if number]
    return Image.fromarray(np.hstack([*numbers[:-1], np.asarray(middle), numbers[-1]]))


@pytest.mark.parametrize(
    ("left", "sign", "right"), [("3", ".", "64"), ("", "-", "27"), ("52", "/", "03"), ("2", "+", "3")]
)
def test_a_sign_is_read_and_never_passed_over(tmp_path, network, left, sign, right):
    picture = inked(with_sign(left, sign, right))
    assert read(network, picture) == left + sign + right
    with pytest.raises(
        ValueError, match=rf"cut_digits: image: must show digits and no sign; got \{sign}: crop"
    ):
        fd.cut_digits(picture)
    picture.save(tmp_path / "a.png")
    with pytest.raises(fd.DataError, match=r"a\.png: must show digits and no sign"):
        fd.cut_digits(tmp_path / "a.png")
    assert fd.prepare(picture).shape == (28, 28)


@pytest.mark.parametrize(
    ("top", "bottom", "reads"), [(20, 250, "52/03"), (60, 210, "52?03"), (72, 198, "52103")]
)
def test_a_slanted_line_is_a_slash_by_its_height(network, top, bottom, reads):
    middle = Image.new("L", (110, 270), 0)
    ImageDraw.Draw(middle).line([(85, top), (25, bottom)], fill=255, width=14)
    parts = [strokes("52").crop((0, 0, 330, 270)), middle, strokes("03").crop((30, 0, 360, 270))]
    assert read(network, inked(Image.fromarray(np.hstack(parts)))) == reads


def test_a_slanted_line_at_an_end_is_a_1(network):
    assert read(network, inked(with_sign("", "/", "27"))) == "127"


def test_a_bar_at_the_end_of_a_row_is_no_minus(network):
    picture = Image.new("L", (370, 270), 0)
    picture.paste(strokes("25"), (0, 0))
    ImageDraw.Draw(picture).rectangle((312, 125, 350, 139), fill=255)
    assert "-" not in read(network, inked(picture))


def test_a_bold_0_is_no_plus(network):
    picture = Image.new("L", (300, 250), 0)
    draw = ImageDraw.Draw(picture)
    draw.line([(60, 60), (60, 190)], fill=255, width=24)
    draw.ellipse((130, 60, 230, 190), fill=255)
    draw.ellipse((160, 90, 200, 160), fill=0)
    assert read(network, inked(picture)) == "10"


def test_what_is_neither_digit_nor_sign_is_marked(network):
    picture = np.asarray(strokes("25"), np.uint8).copy()
    picture = np.hstack([picture[:, :190], np.zeros((270, 120), np.uint8), picture[:, 190:]])
    picture[60:100, 230:245] = 255  # a short stroke, high between the digits
    assert read(network, picture) == "2?5"


def test_a_crowd_of_marks_is_refused(monkeypatch, network):
    monkeypatch.setattr("fastdigits.imaging.rows.MOST", 3)
    with pytest.raises(ValueError, match="picture: must show at most 1,000 digits; got more marks: crop"):
        read(network, inked(strokes("2503")))


def page() -> Image.Image:
    """Return two lines, white on black."""
    return Image.fromarray(np.vstack([np.asarray(strokes(line)) for line in ("254", "736")])).reduce(2)


def test_lines_are_read_one_after_the_other(network):
    found = reading(network, inked(page()))
    assert found.reads == "254\n736"
    assert found.turned == 0
    assert found.as_json()["lines"] == ["254", "736"]
    assert [len(cell.split("\n")) for cell in found.cells()] == [2, 2, 2]


@pytest.mark.parametrize(
    "degrees", [180, -25, *(pytest.param(other, marks=pytest.mark.exhaustive) for other in (90, 270, 25))]
)
def test_a_turned_page_is_read_upright(network, degrees):
    turned = page().rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
    found = reading(network, inked(turned))
    assert found.reads == "254\n736"
    assert found.turned == pytest.approx(degrees % 360 if degrees > 0 else degrees, abs=4)
    left, top, right, bottom = found.boxes[0]
    assert (
        np.asarray(found.picture)[top:bottom, left:right].min() < 60
    )  # a place in the picture as it was read


@pytest.mark.parametrize("letters", ["E", "N", "NE"])
def test_letters_are_not_turned_into_digits(network, letters):  # upright, an N on its side is a Z
    found = reading(network, inked(printed(letters, PLAIN)))
    assert found.turned == 0
    assert len(found.images) == len(letters)


def test_digits_that_touch_are_cut_where_the_network_reads_them(network):
    row = np.asarray(strokes("2735", gap=-12))
    assert len(connected_components(row > 128)) < 4
    assert read(network, inked(Image.fromarray(row))) == "2735"


def test_digits_are_doubtful_if_the_place_of_a_cut_is(monkeypatch, network):
    for weight in ("CONFIDENCE", "CROSSING", "BROAD", "LOW"):  # all ways to cut are equally likely
        monkeypatch.setattr(f"fastdigits.imaging.cutting.{weight}", 0.0)
    assert set(read(network, inked(strokes("28", gap=-12)))) == {"?"}


def test_a_wide_0_is_one_digit(network):
    zero = np.asarray(strokes("0").resize((400, 270)))
    assert read(network, inked(Image.fromarray(np.hstack([zero, np.asarray(strokes("4"))])))) == "04"


def test_without_a_network_wide_digits_are_cut_by_form():
    row = inked(strokes("28", gap=-8))
    wide = row.resize((13 * row.width // 10, row.height))
    assert [len(line) for line in find_digits(wide).rows] == [2]


def test_a_doubtful_digit_stands_out():
    probabilities = np.full((3, 10), 0.01, np.float32)
    probabilities[[0, 1, 2], [4, 3, 7]] = 0.91, 0.5, 0.91
    probabilities[1, 8] = 0.42
    images = np.zeros((3, 28, 28), np.uint8)
    found = Reading("a.png", images[0], images, [(0, 0, 6, 9)] * 3, probabilities, TEN, [[0, 1, ".", 2]])
    assert found.reads == "4?.7"
    assert found.digits == "43.7"
    assert found.cells()[1:] == ("91.0 50.0 91.0 %", "0 3/8 0")
    assert [digit["doubtful"] for digit in found.as_json()["digits"]] == [False, True, False]
    assert found.as_json()["signs"] == ["."]
    alone = Reading("a.png", images[0], images[:1], [(0, 0, 6, 9)], probabilities[1:2], TEN)
    assert alone.cells() == ("?", "50.0 %", "3/8")
    given = Reading("a.npy", images[0], images[:1], None, probabilities[1:2], TEN)  # not found in a picture
    assert given.cells() == ("3", "50.0 %", "8 (42.0 %)")


@pytest.mark.parametrize("pen", [4, 12])
@pytest.mark.parametrize(
    ("marks", "reads"),
    [
        ([(0, 140, 0, 140)], "3.1"),
        ([(-18, 70, 18, 70)], "3-1"),
        ([(4, 130, -4, 168)], "3,1"),  # a long comma
        ([(-20, 138, -25, 170)], "3,1"),  # it reaches below the digit on its left
        ([(-18, 50, 18, 50), (-18, 90, 18, 90)], "3?1"),  # =
        ([(0, 50, 0, 50), (0, 130, 0, 130)], "3?1"),  # :
    ],
)
def test_marks_of_any_pen_are_signs(network, pen, marks, reads):
    picture = Image.new("L", (260, 230), 0)
    draw = ImageDraw.Draw(picture)
    three = [(0, 0), (55, 0), (25, 50), (58, 85), (45, 140), (-5, 140)]
    draw.line([(50 + x, 40 + y) for x, y in three], fill=255, width=pen, joint="curve")
    draw.line([(200, 40), (200, 180)], fill=255, width=pen)
    for left, top, right, bottom in marks:
        steps = np.linspace(0, 1, 30)
        for x, y in zip(145 + left + (right - left) * steps, 40 + top + (bottom - top) * steps, strict=True):
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    assert read(network, inked(picture)) == reads


@pytest.mark.parametrize("side", [40, 90])
def test_no_cut_goes_through_a_filled_shape(network, side):
    picture = Image.new("L", (260, 220), 0)
    ImageDraw.Draw(picture).ellipse((80, 70, 80 + side, 70 + side), fill=255)
    found = reading(network, inked(picture))
    assert found.doubtful.any() or "?" in found.reads


def test_brackets_are_no_digits(network):
    picture = Image.new("L", (530, 270), 0)
    picture.paste(strokes("25"), (90, 0))
    draw = ImageDraw.Draw(picture)
    draw.arc((60, 40, 180, 230), 120, 240, fill=255, width=14)
    draw.arc((350, 40, 470, 230), -60, 60, fill=255, width=14)
    assert read(network, inked(picture)) == "?25?"


@pytest.mark.parametrize("degrees", [45, -60])
def test_a_steep_page_is_refused(network, degrees):
    tilted = strokes("26298").reduce(2).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    with pytest.raises(
        ValueError, match="picture: must show level rows of digits; got digits in diagonal lines: rotate"
    ):
        read(network, inked(tilted))


@pytest.mark.parametrize(("away", "mixed"), [(3, False), (12, True)])
def test_a_digit_far_from_the_middle_of_its_row_may_belong_to_another(away, mixed):
    mask = np.ones((20, 10), bool)
    rows = [[Segment((x, y, x + 10, y + 20), mask) for x in (0, 15, 30)] for y in (0, 40)]
    rows[0][1] = Segment((15, away, 25, away + 20), mask)
    assert are_mixed(rows) is mixed
    assert not are_mixed(rows[:1])  # one row may be written in an arc


def test_a_page_whose_rows_are_mixed_is_refused(network, monkeypatch):
    monkeypatch.setattr("fastdigits.imaging.digits.are_mixed", lambda rows: True)
    with pytest.raises(ValueError, match="picture: must show level rows"):
        read(network, inked(strokes("26")))


def test_a_hairline_with_a_gap_is_one_digit(network):
    picture = Image.new("L", (200, 300), 0)
    draw = ImageDraw.Draw(picture)
    draw.line([(60, 60), (140, 60), (90, 240)], fill=255, width=3)
    draw.rectangle((0, 150, 200, 151), fill=0)
    assert read(network, inked(picture)) == "7"


def test_a_4_of_two_strokes_apart_is_one_digit(network):
    picture = Image.new("L", (70, 80), 0)
    draw = ImageDraw.Draw(picture)
    draw.line([(18, 4), (6, 44), (44, 40)], fill=255, width=8)
    draw.line([(62, 2), (40, 78)], fill=255, width=8)
    assert read(network, inked(picture)) == "4"
