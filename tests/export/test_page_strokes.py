"""The strokes of the page to draw on, in node: which of them form a digit, and its pixels."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from drawn_digits import DIGITS, placed

import fastdigits as fd
from fastdigits.export.html import PAGE

pytestmark = pytest.mark.needs("node")

PROGRAM = """
const marks = ({lines, pen, picture}) => picture ? [{picture, box: boxOfPicture(picture, 28)}] : lines.map((line) => {
  const points = line.map(([x, y]) => ({x: x * SIZE / 100, y: y * SIZE / 100, width: pen * SIZE / 100}));
  return {points, box: around(points.map(({x, y}) => ({left: x, top: y, right: x, bottom: y})))};
});
const drawings = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(drawings.map((drawing) =>
  findDigits(drawing.flatMap(marks)).map((digit) => [digit.marks.length, [...toPixels(digit, 28)], digit.isSmall]))));
"""


def pen(lines, width=6):
    return {"lines": lines, "pen": width}


def digits(*drawings):
    """Return the digits of each drawing, a list of pens and pictures: [(number of marks, image, is it small?), …]."""
    program = "".join((PAGE / name).read_text("utf-8") for name in ("prepare.js", "strokes.js")) + PROGRAM
    done = subprocess.run(
        [shutil.which("node"), "--eval", program],
        input=json.dumps(drawings),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [
        [(count, np.array(pixels, np.uint8).reshape(28, 28), small) for count, pixels, small in found]
        for found in json.loads(done.stdout)
    ]


def test_strokes_form_digits_and_any_size_is_read():
    drawings = [[pen(placed(lines, scale))] for scale in (1, 0.2) for lines in DIGITS.values()]
    found = digits(*drawings)
    assert [[count for count, *_ in drawing] for drawing in found] == 2 * [
        [len(lines)] for lines in DIGITS.values()
    ]
    images = np.array([drawing[0][1] for drawing in found])
    assert fd.load_pretrained().predict(images).tolist() == 2 * list(range(10))
    assert np.abs(images[:10].astype(int) - images[10:]).max() <= 1  # a value that rounding decides


def test_a_number_is_read_from_left_to_right_in_any_order_of_drawing():
    numbers = ["317", "4950", "1111"]
    drawings = []
    for number in numbers:
        places = np.linspace(-36, 36, len(number))
        strokes = [
            pen(placed(DIGITS[digit], 0.3, right)) for digit, right in zip(number, places, strict=True)
        ]
        drawings += [strokes, strokes[::-1]]
    for number, drawing in zip(np.repeat(numbers, 2), digits(*drawings), strict=True):
        assert [count for count, *_ in drawing] == [len(DIGITS[digit]) for digit in number]
        images = np.array([image for _, image, _ in drawing])
        assert "".join(map(str, fd.load_pretrained().predict(images))) == number


def test_lines_are_read_from_top_to_bottom():
    corners = {"3": (-20, -24), "1": (20, -20), "4": (-22, 24), "7": (18, 20)}
    strokes = [pen(placed(DIGITS[digit], 0.35, *corner)) for digit, corner in corners.items()]
    (found,) = digits(strokes[::-1])
    images = np.array([image for _, image, _ in found])
    assert fd.load_pretrained().predict(images).tolist() == [3, 1, 4, 7]


def test_a_point_and_a_comma_are_small_beside_digits():
    digit, comma = pen(placed(DIGITS["3"], 0.3, -10)), pen([[(60, 60), (58, 66)]])
    number, alone = digits([digit, pen([[(50, 60)]]), comma], [comma])
    assert [small for *_, small in number] == [False, True, True]
    assert [small for *_, small in alone] == [False]


def test_parts_without_contact_form_one_digit():
    five = [DIGITS["5"][0][1:], [(42, 12), (66, 12)]]  # its bar is above the rest
    four = [[(42, 16), (30, 54), (60, 54)], [(64, 20), (64, 86)]]  # its line is beside the rest
    nine = [DIGITS["9"][0][:25], [(68, 30), (66, 86)]]
    assert [
        [count for count, *_ in drawing] for drawing in digits(*([pen(d)] for d in (five, four, nine)))
    ] == [[2]] * 3


def test_a_wider_pen_gives_wider_lines_and_a_dot_has_ink():
    thin, thick, dot = digits(*([pen(DIGITS["1"], width)] for width in (3, 12)), [pen([[(50, 50)]])])
    assert thick[0][1].sum() > 2 * thin[0][1].sum()
    assert dot[0][1].any()


def test_an_example_is_its_own_input_and_may_be_drawn_on():
    image = fd.load_mnist()[1][0][0]
    example = {"picture": image.ravel().tolist()}
    alone, both, beside = digits(
        [example],
        [example, pen([[(40, 70), (60, 70)]])],
        [example, pen([[(95, 30), (95, 80)]])],
    )
    assert [count for count, *_ in alone + both + beside] == [1, 2, 1, 1]
    assert np.array_equal(alone[0][1], image)
    assert not np.array_equal(both[0][1], image)
    assert np.array_equal(beside[0][1], image)


def test_an_enlarged_example_is_drawn_as_it_was():
    """With a stroke inside its ink, it is drawn again; its pixels come back."""
    image = fd.load_mnist()[1][0][0]
    y, x = np.unravel_index(image.argmax(), image.shape)
    point = [[(100 * (x + 0.5) / 28, 100 * (y + 0.5) / 28)]]
    ((found,),) = digits([{"picture": image.ravel().tolist()}, pen(point, 0.1)])
    assert found[0] == 2
    assert (
        np.abs(found[1].astype(int) - image).max() <= 40
    )  # 200 points are not a multiple of the digit's pixels
