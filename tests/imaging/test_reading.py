"""Readings: what is printed and written for a picture, also where it is not a digit."""

import numpy as np
import pytest

from fastdigits.imaging.reading import NOT_A_DIGIT, Reading
from fastdigits.visualize.readings import readings_figure

NAMES = (*"0123456789", NOT_A_DIGIT)


def reading(*classes: int, second: int = 3, names=NAMES) -> Reading:
    """A reading of images whose most probable classes are these, and whose second is the same for all."""
    probabilities = np.full((len(classes), len(names)), 0.01, np.float32)
    probabilities[:, second] = 0.2
    probabilities[np.arange(len(classes)), classes] = 0.7
    images = np.zeros((len(classes), 28, 28), np.uint8)
    return Reading("a.png", images[0], images, None, probabilities, names)


def test_what_is_not_a_digit_is_a_word_alone_and_a_sign_in_a_number():
    assert reading(10).cells() == ("not a digit", "70.0 %", "3 (20.0 %)")
    assert reading(7, second=10).cells() == ("7", "70.0 %", "not a digit (20.0 %)")
    assert reading(1, 10, 4).cells() == ("1?4", "70.0 70.0 70.0 %", "3 ?/3 3")
    assert reading(1, 2, second=10).cells() == ("12", "70.0 70.0 %", "? ?")


def test_the_most_probable_digits_are_those_without_the_sign():
    assert reading(10).digits == "3"
    assert reading(1, 10, 4).digits == "134"
    assert reading(1, 2, second=10).digits == reading(1, 2).reads == "12"


def test_json_has_no_number_for_what_is_not_a_digit():
    found = reading(10, 5).as_json()
    assert found["reads"] == "?5"
    assert [(digit["digit"], digit["class"]) for digit in found["digits"]] == [(None, NOT_A_DIGIT), (5, "5")]
    other = reading(5, second=10).as_json()["digits"][0]
    assert (other["runner_up"], other["runner_up_class"]) == (None, NOT_A_DIGIT)


@pytest.mark.parametrize(
    ("names", "reads"), [(("cat", "dog", "elk", "fox"), "dog cat"), (tuple("abcd"), "ba")]
)
def test_names_of_several_letters_are_separated(names, reads):
    assert reading(1, 0, names=names).reads == reads


def test_a_long_name_of_a_class_has_room_below_its_bar():
    figure = readings_figure([reading(1, 10)])
    figure.draw_without_rendering()
    above, below = figure.axes[2], figure.axes[5]
    assert min(label.get_window_extent().y0 for label in above.get_xticklabels()) > below.bbox.y1
