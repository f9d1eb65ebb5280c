"""Metrics count what they say they count."""

import numpy as np
import pytest

import fastdigits as fd
from fastdigits.metrics.classification import most_confused, surest_mistakes

LABELS = [0, 0, 1, 1, 1, 2]
PREDICTED = [0, 1, 1, 1, 0, 0]


def test_accuracy_is_the_share_of_hits():
    assert fd.accuracy(LABELS, PREDICTED) == 0.5
    assert fd.accuracy(np.array([3], np.uint8), [3]) == 1.0


def test_rows_of_the_matrix_are_true_classes():
    np.testing.assert_array_equal(fd.confusion_matrix(LABELS, PREDICTED), [[1, 1, 0], [1, 2, 0], [1, 0, 0]])
    assert fd.confusion_matrix(LABELS, PREDICTED, 5).shape == (5, 5)
    assert fd.confusion_matrix(LABELS, PREDICTED, 5).dtype == np.int64


def test_the_report_of_a_worked_example():
    zero, one, two = fd.class_report(LABELS, PREDICTED)
    assert zero == fd.ClassScore(0, precision=1 / 3, recall=1 / 2, f1=2 / 5, support=2)
    assert one == fd.ClassScore(1, precision=2 / 3, recall=2 / 3, f1=2 / 3, support=3)
    assert two == fd.ClassScore(2, precision=0.0, recall=0.0, f1=0.0, support=1)


def test_a_class_that_does_not_occur_scores_zero():
    assert fd.class_report([0], [0], 2)[1] == fd.ClassScore(1, 0.0, 0.0, 0.0, 0)


@pytest.mark.needs("sklearn")
def test_the_report_agrees_with_scikit_learn():
    from sklearn.metrics import precision_recall_fscore_support

    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 7, 500), rng.integers(0, 7, 500)
    wanted = np.array(precision_recall_fscore_support(labels, predicted))
    found = [(one.precision, one.recall, one.f1, one.support) for one in fd.class_report(labels, predicted)]
    np.testing.assert_allclose(np.array(found).T, wanted, rtol=1e-12)


@pytest.mark.parametrize("measure", [fd.accuracy, fd.confusion_matrix, fd.class_report])
@pytest.mark.parametrize(
    ("labels", "predicted", "error", "match"),
    [
        ([0, 1], [0], ValueError, r"must have the same shape; got \(2,\) and \(1,\)"),
        ([], [], ValueError, r"labels must be \(n,\), n ≥ 1; got \(0,\)"),
        ([0.0], [0], TypeError, "labels must hold integers; got dtype float64"),
        ([0], [[0.1, 0.9]], TypeError, "argmax"),
        ([[0]], [[0]], ValueError, r"must be \(n,\), n ≥ 1; got \(1, 1\)"),
        ([-1], [0], ValueError, "classes from 0; got -1"),
    ],
)
def test_what_is_no_pair_of_labels_is_refused(measure, labels, predicted, error, match):
    with pytest.raises(error, match=match):
        measure(labels, predicted)


def test_predicting_without_a_hit_scores_zero_not_nan():
    assert fd.class_report([0, 0], [1, 1]) == [
        fd.ClassScore(0, 0.0, 0.0, 0.0, 2),
        fd.ClassScore(1, 0.0, 0.0, 0.0, 0),
    ]


@pytest.mark.parametrize("label", [10_000, 2**40, np.array(2**63, np.uint64)])
def test_a_number_too_large_for_a_class_is_refused_before_memory_is(label):
    with pytest.raises(ValueError, match=r"at most 10,000 classes; got [\d,]+: number them from 0"):
        fd.confusion_matrix([label], [label])
    assert fd.accuracy([label], [label]) == 1.0


def test_small_integer_types_do_not_overflow():
    labels = np.array([200, 255], np.uint8)
    assert fd.confusion_matrix(labels, labels).diagonal().nonzero()[0].tolist() == [200, 255]


def test_a_matrix_too_small_is_refused():
    with pytest.raises(ValueError, match=r"classes must lie in 0 … 1; got 2"):
        fd.confusion_matrix(LABELS, PREDICTED, 2)


# -- the interval of an accuracy -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # By hand with z² = 3.841459: (0.8 + 0.192073 ± 1.959964 · √(0.016 + 0.0096036)) / 1.384146
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),  # z² / (10 + z²)
        (10, 10, 0.722467, 1.0),
        # (0.9808 + 0.00019207 ± 1.959964 · √(1.883136e-6 + 9.6e-9)) / 1.00038415
        (9808, 10_000, 0.977920, 0.983311),
    ],
)
def test_the_interval_of_worked_examples(hits, n, low, high):
    assert fd.wilson_interval(hits, n) == pytest.approx((low, high), abs=1e-6)


def test_the_interval_narrows_with_less_confidence_and_stays_within_0_and_1():
    wide, narrow = fd.wilson_interval(3, 9), fd.wilson_interval(3, 9, confidence=0.5)
    assert wide[0] < narrow[0] < 3 / 9 < narrow[1] < wide[1]
    for n in range(1, 300):  # for some of them the formula is off by a rounding
        assert fd.wilson_interval(0, n)[0] == 0.0
        assert fd.wilson_interval(n, n)[1] == 1.0


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(5)
    hits = rng.binomial(200, 0.97, 2000)
    found = [fd.wilson_interval(int(count), 200) for count in hits]
    covered = np.mean([low <= 0.97 <= high for low, high in found])
    # Of a discrete measure the coverage swings around 95 %: the binomial's own sum gives 95.3 % here.
    assert covered == pytest.approx(0.953, abs=4 * (0.95 * 0.05 / 2000) ** 0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((1, 0), ValueError, "wilson_interval: n must be at least 1; got 0"),
        ((-1, 5), ValueError, "hits must be at least 0; got -1"),
        ((6, 5), ValueError, "hits must be at most n = 5; got 6"),
        ((1.0, 5), TypeError, "hits must be an integer; got 1.0"),
        ((1, 5, 1.0), ValueError, "wilson_interval: confidence must"),
        ((1, 5, "95"), TypeError, "wilson_interval: confidence must be a number"),
    ],
)
def test_what_gives_no_interval_is_refused(arguments, error, match):
    with pytest.raises(error, match=match):
        fd.wilson_interval(*arguments)


# -- mistakes ------------------------------------------------------------------------------------------------


def test_mistakes_come_surest_first_and_in_their_order_where_equal():
    probs = [[0.6, 0.4], [0.3, 0.7], [0.1, 0.9], [0.7, 0.3], [0.2, 0.8]]
    assert surest_mistakes([1, 0, 1, 1, 0], probs).tolist() == [4, 1, 3, 0]
    assert surest_mistakes([1, 0, 1, 1, 0], probs, 2).tolist() == [4, 1]
    assert surest_mistakes([0], [[0.6, 0.4]]).size == 0


def test_confused_pairs_come_most_frequent_first():
    matrix = np.array([[9, 1, 2], [0, 9, 3], [2, 0, 9]])
    assert most_confused(matrix) == [(1, 2, 3), (0, 2, 2), (2, 0, 2), (0, 1, 1)]
    assert most_confused(matrix, 2) == [(1, 2, 3), (0, 2, 2)]
    assert matrix.trace() == 27
