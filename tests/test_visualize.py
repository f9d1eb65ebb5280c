"""Pictures show what they should, need no display, and leave matplotlib's settings alone."""

import os
import subprocess
import sys

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import visualize

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 6)).astype(np.uint8)
LABELS = RNG.integers(0, 4, 40)


def probabilities(right: int) -> np.ndarray:
    """Return probabilities by which the first ``right`` images are taken for what they are, others are not."""
    probs = np.full((40, 4), 0.1)
    predicted = np.where(np.arange(40) < right, LABELS, (LABELS + 1) % 4)
    probs[np.arange(40), predicted] = 0.5 + np.arange(40) / 100
    return probs / probs.sum(axis=1, keepdims=True)


def history(epochs: int, validates: bool = True) -> fd.History:
    found = fd.History()
    for epoch in range(1, epochs + 1):
        found.epoch.append(epoch)
        found.loss.append(1 / epoch)
        found.accuracy.append(1 - 0.5 / epoch)
        found.lr.append(0.01)
        found.seconds.append(0.1)
        found.images_per_second.append(6e5)
        if validates:
            found.val_loss.append(1.1 / epoch)
            found.val_accuracy.append(0.9 - 0.5 / epoch)
    return found


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_curves_show_every_epoch_of_training_and_validation(epochs):
    loss, accuracy, rate, speed = visualize.training_curves(history(epochs)).axes
    assert [axes.get_title() for axes in (loss, accuracy)] == ["loss", "accuracy, %"]
    for axes, count in [(loss, 2), (accuracy, 2), (rate, 1), (speed, 1)]:
        assert [len(line.get_xdata()) for line in axes.lines] == [epochs] * count
    assert accuracy.lines[1].get_ydata()[0] == pytest.approx(40)


def test_curves_without_validation_have_one_line():
    assert len(visualize.training_curves(history(3, validates=False)).axes[0].lines) == 1


def test_curves_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one epoch; got none"):
        visualize.training_curves(fd.History())


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_right_predictions_come_in_order():
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(30), correct=True, count=7)
    assert figure.get_suptitle() == "Right: 30 of 40 images, the first 7"
    wanted = [f"true {label}, said {label}" for label in LABELS[:7]]
    assert [title.split("\n")[0] for title in titles(figure)] == wanted


def test_wrong_predictions_come_surest_first():
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(37), correct=False)
    assert figure.get_suptitle() == "Wrong: 3 of 40 images, the 3 surest"
    wanted = [f"true {LABELS[i]}, said {(LABELS[i] + 1) % 4}" for i in (39, 38, 37)]
    assert [title.split("\n")[0] for title in titles(figure)] == wanted
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shown, IMAGES[39])


@pytest.mark.parametrize(("right", "correct", "text"), [(40, False, "Not one image"), (0, True, "No image")])
def test_where_there_is_nothing_to_show_the_picture_says_so(right, correct, text):
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(right), correct=correct)
    assert figure.texts[0].get_text().startswith(text)


@pytest.mark.parametrize("size", [1, 10, 50])
def test_the_confusion_matrix_has_its_numbers_in_the_cells(size):
    matrix = np.diag(np.full(size, 90)) + np.eye(size, k=1, dtype=int) * 3
    axes = visualize.confusion_matrix_figure(matrix).axes[0]
    expected = sorted(str(count) for count in matrix[matrix > 0]) if size <= 30 else []
    assert sorted(text.get_text() for text in axes.texts) == expected
    assert len(axes.get_xticks()) == size
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_the_confusion_matrix_takes_names():
    axes = visualize.confusion_matrix_figure([[1, 0], [0, 1]], ["cat", "dog"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_weights_are_drawn_neuron_by_neuron():
    weight = RNG.standard_normal((48, 10))
    figure = visualize.first_layer_weights(weight, (8, 6), count=5)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(images[3].get_array(), weight[:, 3].reshape(8, 6))
    assert len({image.get_clim() for image in images[:5]}) == 1
    assert images[0].get_clim()[0] == -images[0].get_clim()[1]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: visualize.first_layer_weights(np.zeros((5, 2)), (2, 3)), r"\(6, n_out\).*got \(5, 2\)"),
        (lambda: visualize.confusion_matrix_figure(np.zeros((2, 3))), r"must be \(c, c\)"),
        (lambda: visualize.confusion_matrix_figure([[1, 0], [0, 1]], ["a"]), "class_names must be 2.*got 1"),
        (
            lambda: visualize.prediction_grid(IMAGES[0], [1], [[1]], correct=True),
            r"images must be \(n, height",
        ),
        (
            lambda: visualize.prediction_grid(IMAGES, LABELS[1:], probabilities(3), correct=True),
            r"labels must be \(n,\)",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_matrix_of_shares_is_refused():
    with pytest.raises(TypeError, match="must hold counts, integers; got dtype float64"):
        visualize.confusion_matrix_figure(np.eye(2))


def test_all_pictures_are_written(tmp_path):
    paths = visualize.write_pictures(
        tmp_path,
        history=history(3),
        images=IMAGES,
        labels=LABELS,
        probabilities=probabilities(30),
        weight=RNG.standard_normal((48, 10)),
    )
    names = ["curves", "predictions_right", "predictions_wrong", "confusion", "weights"]
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_not_there_is_left_out(tmp_path):
    paths = visualize.write_pictures(
        tmp_path, history=fd.History(), images=IMAGES, labels=LABELS, probabilities=probabilities(30)
    )
    assert [path.stem for path in paths] == ["predictions_right", "predictions_wrong", "confusion"]


def test_pyplot_and_its_windows_stay_out():
    program = (
        "import sys, numpy as np\n"
        "from fastdigits import visualize\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figure = visualize.confusion_matrix_figure(np.eye(3, dtype=int))\n"
        "import io; figure.savefig(io.BytesIO())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "DISPLAY": ""})
