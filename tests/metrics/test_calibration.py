"""Calibration compares how sure predictions are with how many of them are right."""

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.metrics.classification import surest_mistakes

# Five predictions of two classes. With 5 bins: 0.55 in (0.4, 0.6]; 0.8 and 0.7 in (0.6, 0.8]; 0.9 and 1.0 in (0.8, 1].
PROBABILITIES = [[0.45, 0.55], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1], [0.0, 1.0]]
LABELS = [0, 0, 0, 0, 1]


def test_the_bins_of_a_worked_example():
    bins = fd.reliability_bins(LABELS, PROBABILITIES, 5)
    assert [one.count for one in bins] == [0, 0, 1, 2, 2]
    assert [one.high for one in bins] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [one.low for one in bins] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    assert [one.accuracy for one in bins] == [0, 0, 0, 0.5, 1]
    assert [one.confidence for one in bins] == pytest.approx([0, 0, 0.55, 0.75, 0.95])


def test_the_error_of_a_worked_example():
    # 1/5 · |0 - 0.55| + 2/5 · |0.5 - 0.75| + 2/5 · |1 - 0.95|
    assert fd.expected_calibration_error(LABELS, PROBABILITIES, 5) == pytest.approx(0.23)
    # With one bin the mean confidence, 0.79, stands against the accuracy, 0.6.
    assert fd.expected_calibration_error(LABELS, PROBABILITIES, 1) == pytest.approx(0.19)


def test_fifteen_bins_of_equal_width_are_the_default():
    bins = fd.reliability_bins(LABELS, PROBABILITIES)
    assert len(bins) == 15
    assert [one.high - one.low for one in bins] == pytest.approx([1 / 15] * 15)
    assert sum(one.count for one in bins) == 5


def test_a_confidence_on_an_edge_belongs_below_it_and_none_is_lost():
    probs = np.array([[0.5, 0.5], [0.75, 0.25], [1.0000001, 0.0]], np.float32)
    assert [one.count for one in fd.reliability_bins([0, 0, 0], probs, 4)] == [0, 1, 1, 1]
    assert [one.count for one in fd.reliability_bins([0], np.zeros((1, 3)), 4)] == [1, 0, 0, 0]


def test_probabilities_that_tell_the_truth_are_calibrated_and_boastful_ones_are_not():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 200_000)
    labels = (rng.uniform(size=sure.size) > sure).astype(int)
    honest = np.column_stack([sure, 1 - sure])
    # Mean of eight bins' |noise|, each with a spread of about √(0.19 / 25,000) = 0.0028
    assert fd.expected_calibration_error(labels, honest) < 0.005
    boastful = np.column_stack([(1 + sure) / 2, (1 - sure) / 2])
    assert fd.expected_calibration_error(labels, boastful) == pytest.approx(0.125, abs=0.005)


@pytest.mark.parametrize("measure", [fd.reliability_bins, fd.expected_calibration_error, surest_mistakes])
@pytest.mark.parametrize(
    ("labels", "probabilities", "error", "match"),
    [
        ([0.5], [[1, 0]], TypeError, "labels must hold integers; got dtype float64"),
        ([], np.empty((0, 2)), ValueError, r"labels must be \(n,\), n ≥ 1"),
        ([0, 1], [[1, 0]], ValueError, r"must be \(n, c\), one row for each of the 2 labels; got \(1, 2\)"),
        ([0], [1.0], ValueError, r"must be \(n, c\).*got \(1,\)"),
        ([0], np.empty((1, 0)), ValueError, r"must be \(n, c\).*got \(1, 0\)"),
        ([0], [[-3.0, 5.0]], ValueError, "must lie in 0 … 1; got -3 to 5: use predict_proba, not logits"),
        ([0], [[np.nan, 1.0]], ValueError, "must lie in 0 … 1; got nan to nan"),
        (
            [2],
            [[0.5, 0.5]],
            ValueError,
            r"labels must lie in 0 … 1, as there are 2 probabilities per row; got 2",
        ),
    ],
)
def test_what_are_no_predictions_is_refused(measure, labels, probabilities, error, match):
    with pytest.raises(error, match=match):
        measure(labels, probabilities)


def test_there_must_be_a_bin_and_a_mistake_to_ask_for():
    with pytest.raises(ValueError, match="reliability_bins: n_bins must be at least 1; got 0"):
        fd.reliability_bins(LABELS, PROBABILITIES, 0)
    with pytest.raises(ValueError, match="surest_mistakes: count must be at least 1; got 0"):
        surest_mistakes(LABELS, PROBABILITIES, 0)
