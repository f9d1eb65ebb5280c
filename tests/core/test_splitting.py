"""Splitting rows: both sides together are all rows, each once, and a class-by-class order serves every class."""

import numpy as np
import pytest

from fastdigits.core.seeding import SPLIT, TEST_SPLIT, stream
from fastdigits.core.splitting import split, split_validation


def test_a_split_is_known_and_each_row_is_on_one_side():
    kept, held_out = split_validation(10, 0.3, 0, "split")
    assert held_out.tolist() == sorted(stream(0, SPLIT).permutation(10)[:3].tolist())
    assert sorted([*kept, *held_out]) == list(range(10))
    assert kept.tolist() == sorted(kept)
    assert held_out.tolist() != split_validation(10, 0.3, 1, "split")[1].tolist()


def test_with_labels_the_order_goes_class_by_class():
    labels = np.arange(60) % 3
    kept, held_out = split(stream(0, TEST_SPLIT), 60, slice(3, None, 4), labels)
    assert np.bincount(labels[held_out]).tolist() == [5, 5, 5]
    first = split(stream(0, TEST_SPLIT), 60, np.arange(60) < 20, labels)[1]
    assert first.tolist() == np.flatnonzero(labels == 0).tolist()
    assert sorted([*kept, *held_out]) == list(range(60))


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_a_side_without_rows_is_an_error(fraction):
    with pytest.raises(
        ValueError, match=rf"^fit: f must leave images on both sides; got {fraction} of 10 images"
    ):
        split_validation(10, fraction, 0, "fit: f")
