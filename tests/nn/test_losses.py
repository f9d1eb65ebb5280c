"""Softmax and cross-entropy in one: values by hand, edges of float32, slopes, and what is refused."""

import math

import numpy as np
import pytest

from fastdigits.nn.losses import SoftmaxCrossEntropy

pytestmark = pytest.mark.usefixtures("backend")


def logits(rows: int = 6, classes: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, classes)).astype(np.float32) * 2


def exact(x, y, smoothing=0.0, weights=None) -> tuple[float, np.ndarray]:
    """Return loss and gradient in float64, from the definition: a full target, a full sum."""
    x = np.asarray(x, dtype=np.float64)
    n, classes = x.shape
    target = (1 - smoothing) * np.eye(classes)[y] + smoothing / classes
    probs = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    losses = -(target * np.log(probs)).sum(axis=1)
    return np.average(losses, weights=weights), (probs - target) * (weights / weights.sum())[:, np.newaxis]


def test_an_example_worked_by_hand():
    loss = SoftmaxCrossEntropy()
    x = np.log([[1, 3], [1, 1]])  # probabilities 1/4, 3/4 and 1/2, 1/2
    assert loss.forward(x, [1, 0]) == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-6)
    np.testing.assert_allclose(loss.backward(), [[1 / 8, -1 / 8], [-1 / 4, 1 / 4]], rtol=1e-6)


def test_label_smoothing_worked_by_hand():
    loss = SoftmaxCrossEntropy(label_smoothing=0.2)  # target 0.1, 0.9
    assert loss.forward(np.log([[1, 3]]), [1]) == pytest.approx(
        -0.1 * math.log(1 / 4) - 0.9 * math.log(3 / 4), 1e-6
    )
    np.testing.assert_allclose(loss.backward(), [[0.25 - 0.1, 0.75 - 0.9]], rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [None, [1, 0, 2, 0.5, 3, 1e-3]])
def test_value_and_gradient_follow_the_definition(smoothing, weights):
    x, y = logits(), np.array([0, 3, 1, 2, 2, 0])
    loss = SoftmaxCrossEntropy(label_smoothing=smoothing)
    value, gradient = exact(x, y, smoothing, weights)
    assert loss.forward(x, y, weights) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(loss.backward(), gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_the_slope_of_the_value(smoothing):
    x, y = logits(), np.array([0, 3, 1, 2, 2, 0])
    loss = SoftmaxCrossEntropy(label_smoothing=smoothing)
    loss.forward(x, y)
    gradient = loss.backward()
    way = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    above, below = (loss.forward(x + np.float32(h) * way, y) for h in (0.01, -0.01))
    # Losses near 2 are good to 2e-7, their difference over 0.02 to 1e-5; the cubic term adds 1e-4 / 6.
    assert (above - below) / 0.02 == pytest.approx((gradient * way).sum(), abs=1e-4)


def test_a_batch_repeated_has_the_same_loss_and_each_row_its_share_of_the_gradient():
    x, y, loss = logits(), np.arange(6) % 4, SoftmaxCrossEntropy()
    once, gradient = loss.forward(x, y), loss.backward()
    assert loss.forward(np.tile(x, (5, 1)), np.tile(y, 5)) == pytest.approx(once, rel=1e-6)
    np.testing.assert_allclose(loss.backward()[:6], gradient / 5, rtol=1e-6, atol=1e-9)


def test_a_weight_counts_an_image_as_often_as_it_says():
    x, y, loss = logits(3), np.array([0, 3, 1]), SoftmaxCrossEntropy()
    weighted, gradient = loss.forward(x, y, [2, 0, 1]), loss.backward()
    assert weighted == pytest.approx(loss.forward(x[[0, 0, 2]], y[[0, 0, 2]]), rel=1e-6)
    assert not gradient[1].any()


def test_the_scale_of_weights_does_not_matter():
    x, y, loss = logits(3), np.array([0, 3, 1]), SoftmaxCrossEntropy()
    assert loss.forward(x, y, [2e30, 4e30, 6e30]) == pytest.approx(loss.forward(x, y, [1, 2, 3]), rel=1e-6)


def test_a_gradient_row_sums_to_zero():
    loss = SoftmaxCrossEntropy(label_smoothing=0.1)
    loss.forward(logits(50, 10), np.arange(50) % 10)
    np.testing.assert_allclose(
        loss.backward().sum(axis=1, dtype=np.float64), 0, atol=1e-8
    )  # rows of size 1/50


def test_large_logits_neither_overflow_nor_lose_the_loss():
    loss = SoftmaxCrossEntropy()
    x = np.array([[1e4, -1e4], [300, 0]], dtype=np.float32)
    assert loss.forward(x, [1, 1]) == pytest.approx(
        (2e4 + 300) / 2, rel=1e-6
    )  # both probabilities round to 0
    np.testing.assert_allclose(loss.backward(), [[0.5, -0.5], [0.5, -0.5]], rtol=1e-6)
    assert loss.forward(x, [0, 0]) == pytest.approx(0, abs=1e-12)


def test_a_mean_over_many_images_stays_exact():
    x, y = np.tile(logits(1), (200_000, 1)), np.zeros(200_000, dtype=np.int64)
    # A running sum in float32 would be off by 1e-3 here.
    assert SoftmaxCrossEntropy().forward(x, y) == pytest.approx(exact(x[:1], y[:1])[0], rel=1e-6)


def test_logits_that_are_not_finite_give_a_loss_that_is_not():
    with np.errstate(invalid="ignore"):
        assert math.isnan(SoftmaxCrossEntropy().forward([[np.nan, 1.0]], [0]))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, ">i4", np.uint32, np.int64, np.uint64])
def test_labels_of_any_integer_dtype_are_taken(dtype):
    loss, y = SoftmaxCrossEntropy(), np.array([0, 3, 1, 2, 2, 0])
    assert loss.forward(logits(), y.astype(dtype)) == loss.forward(logits(), y)


def test_inputs_of_any_layout_are_taken_and_not_changed():
    x, y, weights = logits(), np.array([0, 3, 1, 2, 2, 0]), np.arange(1.0, 7.0)
    loss = SoftmaxCrossEntropy()
    expected = loss.forward(x, y, weights)
    for array in (x, y, weights):
        array.flags.writeable = False
    for other in (x, np.asfortranarray(x), x.astype(np.float64), np.repeat(x, 2, axis=1)[:, ::2], x.tolist()):
        assert loss.forward(other, np.repeat(y, 2)[::2], np.repeat(weights, 2)[::2]) == expected
    np.testing.assert_array_equal(x, logits())


def test_value_and_gradient_come_out_the_same_again():
    loss, y = SoftmaxCrossEntropy(), np.array([0, 3, 1, 2, 2, 0])
    value = loss.forward(logits(), y)
    assert type(value) is float
    first = loss.backward()
    assert first.dtype == np.float32
    np.testing.assert_array_equal(loss.backward(), first)
    assert loss.forward(logits(), y) == value


def test_backward_before_forward_is_refused():
    with pytest.raises(RuntimeError, match="SoftmaxCrossEntropy: backward needs a forward"):
        SoftmaxCrossEntropy().backward()


def test_the_repr_shows_what_is_not_default():
    assert repr(SoftmaxCrossEntropy()) == "SoftmaxCrossEntropy()"
    assert repr(SoftmaxCrossEntropy(label_smoothing=0.1)) == "SoftmaxCrossEntropy(label_smoothing=0.1)"


@pytest.mark.parametrize(
    ("smoothing", "error", "match"),
    [
        (-0.1, ValueError, "label_smoothing must be .* 0 ≤ label_smoothing < 1; got -0.1"),
        (1.0, ValueError, "label_smoothing < 1; got 1.0"),
        ("a", TypeError, "label_smoothing must be a number; got 'a'"),
    ],
)
def test_a_bad_label_smoothing_is_refused(smoothing, error, match):
    with pytest.raises(error, match=match):
        SoftmaxCrossEntropy(label_smoothing=smoothing)


@pytest.mark.parametrize(
    ("x", "y", "weights", "error", "match"),
    [
        (
            [1.0, 2.0],
            [0],
            None,
            ValueError,
            r"logits must be \(n, classes\), n ≥ 1; got \(2,\): for one image",
        ),
        (np.zeros((0, 4)), [], None, ValueError, r"got \(0, 4\)"),
        ([["a"]], [0], None, TypeError, "logits must hold real numbers"),
        (logits(2), [0, 4], None, ValueError, "y must lie within 0 … 3.*; got labels from 0 to 4"),
        (logits(2), [0, -1], None, ValueError, "got labels from -1 to 0"),
        (logits(2), [0], None, ValueError, r"y must be \(2,\), one label per image; got \(1,\)"),
        (logits(2), [[0], [1]], None, ValueError, r"y must be \(2,\)"),
        (logits(2), [0.0, 1.0], None, TypeError, "y must hold integers; got dtype float64"),
        (
            logits(2),
            [0, 1],
            [1],
            ValueError,
            r"sample_weight must be \(2,\), one weight per image; got \(1,\)",
        ),
        (
            logits(2),
            [0, 1],
            [1, -1],
            ValueError,
            "sample_weight must be finite, not negative and not all zero",
        ),
        (logits(2), [0, 1], [0, 0], ValueError, "not all zero"),
        (logits(2), [0, 1], [1, np.nan], ValueError, "must be finite"),
    ],
)
def test_bad_arguments_are_refused(x, y, weights, error, match):
    with pytest.raises(error, match=f"^SoftmaxCrossEntropy: .*{match}"):
        SoftmaxCrossEntropy().forward(x, y, weights)
