"""Pictures show what they should, need no display, and leave matplotlib's settings alone."""

import io
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from tqdm import tqdm

import fastdigits as fd
from fastdigits import visualize
from fastdigits.visualize import writing
from fastdigits.visualize.canvas import BLUE, ORANGE

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 8, 6)).astype(np.uint8)
LABELS = RNG.integers(0, 4, 40)
WEIGHT = np.random.default_rng(1).standard_normal((48, 10))


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


def tiles(figure) -> list[tuple[tuple[float, float, float, float], np.ndarray]]:
    """Return each image of a mosaic, as it was before it was enlarged, with its box: left, top, right, bottom.

    The boxes are those of the frames, in the order of drawing; the pixels are what the picture shows inside them.
    """
    axes = figure.axes[0]
    (image,) = axes.images
    mosaic = image.get_array()
    left, right, bottom, top = image.get_extent()
    pixel = np.array([(right - left) / mosaic.shape[1], (bottom - top) / mosaic.shape[0]])
    assert pixel[0] == pytest.approx(pixel[1])
    found, seen = [], np.zeros(mosaic.shape, bool)
    for path in axes.collections[0].get_paths():
        near, far = path.vertices.min(axis=0), path.vertices.max(axis=0)
        (x, y), (x1, y1) = (np.rint((corner - (left, top)) / pixel).astype(int) for corner in (near, far))
        assert not seen[y:y1, x:x1].any()
        seen[y:y1, x:x1] = True
        found.append(((near[0], near[1], far[0], far[1]), mosaic[y:y1, x:x1]))
    np.testing.assert_array_equal(np.ma.getmaskarray(mosaic), ~seen)  # between the images lies the paper
    return found


def shrunk(tile, shape=(8, 6)) -> np.ndarray:
    """Return a tile at the size that its image had; every pixel of the image must be one even square."""
    zoom = tile.shape[0] // shape[0]
    small = np.ma.getdata(tile)[::zoom, ::zoom]
    np.testing.assert_array_equal(small.repeat(zoom, 0).repeat(zoom, 1), tile)
    return small


def captions(figure) -> list[str]:
    """Return what stands right above each image of a mosaic, centred, in the order of the images."""
    texts = figure.axes[0].texts
    found = []
    for (left, top, right, _), _ in tiles(figure):
        above = [
            text.get_text()
            for text in texts
            if text.get_position() == pytest.approx(((left + right) / 2, top - 0.05))
            and (text.get_ha(), text.get_va()) == ("center", "bottom")
        ]
        assert len(above) == 1
        found += above
    return found


def beside(figure) -> list[str]:
    """Return what stands to the left of each row of a mosaic, from the top; it must stand beside an image."""
    rows = sorted({(top + bottom) / 2 for (_, top, _, bottom), _ in tiles(figure)})
    texts = [text for text in figure.axes[0].texts if text.get_ha() == "right"]
    assert sorted(text.get_position()[1] for text in texts) == pytest.approx(rows)
    return [text.get_text() for text in sorted(texts, key=lambda text: text.get_position()[1])]


def rescaled(epochs: int, *, loss: float, lr: float) -> fd.History:
    found = history(epochs)
    found.loss, found.val_loss = ([loss * one for one in losses] for losses in (found.loss, found.val_loss))
    found.lr = [lr / epoch for epoch in found.epoch]
    found.images_per_second = [1e9] * epochs
    return found


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_curves_show_every_epoch_of_training_and_validation(epochs):
    loss, accuracy, rate, speed = visualize.training_curves(history(epochs)).axes
    assert [axes.get_title() for axes in (loss, accuracy)] == ["loss", "accuracy, %"]
    for axes, count in [(loss, 2), (accuracy, 2), (rate, 1), (speed, 1)]:
        assert [len(line.get_xdata()) for line in axes.lines] == [epochs] * count
    assert accuracy.lines[1].get_ydata()[0] == pytest.approx(40)


def test_classes_are_called_by_their_names():
    names = ["T-shirt", "Trouser", "Bag", "Coat"]
    probs = probabilities(30)
    wrong = visualize.prediction_grid(IMAGES, LABELS, probs, correct=False, class_names=names)
    first = 30 + int(np.argmax(probs[30:].max(axis=1)))
    true, said = names[LABELS[first]], names[(LABELS[first] + 1) % 4]
    assert captions(wrong)[0].splitlines()[:2] == [f"true {true}", f"predicted {said}"]
    label = beside(visualize.confused_pairs(IMAGES, LABELS, probs, class_names=names))[0]
    words = re.match(r"true (\S+), predicted (\S+)\n", label).groups()
    assert (names.index(words[0]) + 1) % 4 == names.index(words[1])


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_curves_name_whole_epochs_only(epochs):
    figure = visualize.training_curves(history(epochs))
    figure.draw_without_rendering()
    rate = figure.axes[2]
    shown = [tick for tick in rate.get_xticks() if rate.get_xlim()[0] <= tick <= rate.get_xlim()[1]]
    assert shown
    assert all(tick == round(tick) for tick in shown)


def test_the_fastest_epoch_stays_in_the_picture():
    found = history(3)
    found.images_per_second = [7e5, 6e5, 5e5]
    bottom, top = visualize.training_curves(found).axes[3].get_ylim()
    assert bottom == 0
    assert top > 1.1 * 700


def test_curves_without_validation_have_one_line():
    assert len(visualize.training_curves(history(3, validates=False)).axes[0].lines) == 1


def test_curves_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one epoch; got none"):
        visualize.training_curves(fd.History())


def test_right_predictions_come_in_order():
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(30), correct=True, count=7)
    assert figure.get_suptitle() == "Correct: 30 of 40 images, the first 7"
    wanted = [f"true {label}, predicted {label}" for label in LABELS[:7]]
    assert [text.split("\n")[0] for text in captions(figure)] == wanted


def test_wrong_predictions_come_surest_first():
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(37), correct=False)
    assert figure.get_suptitle() == "Wrong: 3 of 40 images, the 3 surest"
    wanted = [f"true {LABELS[i]}, predicted {(LABELS[i] + 1) % 4}" for i in (39, 38, 37)]
    assert [text.split("\n")[0] for text in captions(figure)] == wanted
    np.testing.assert_allclose(shrunk(tiles(figure)[0][1]), IMAGES[39] / IMAGES[39].max(), rtol=1e-6)


def test_images_stand_in_rows_of_five_each_with_its_own_black():
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(40), correct=True, count=12)
    shown = tiles(figure)
    for (_, tile), image in zip(shown, IMAGES, strict=False):
        np.testing.assert_allclose(shrunk(tile), image / image.max(), rtol=1e-6)
    lefts, tops = sorted({box[0] for box, _ in shown}), sorted({box[1] for box, _ in shown})
    assert (len(lefts), len(tops)) == (5, 3)
    assert [(box[0], box[1]) for box, _ in shown] == [(x, y) for y in tops for x in lefts][:12]


@pytest.mark.parametrize("value", [0, -1.5, np.nan])
def test_images_without_ink_are_white(value):
    figure = visualize.prediction_grid(np.full((2, 8, 6), value), [0, 0], [[1.0], [1.0]], correct=True)
    figure.draw_without_rendering()
    assert not (figure.axes[0].images[0].get_array().filled(0) > 0).any()


def mistaken(pairs: dict[tuple[int, int], list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, labels and probabilities in which (true, said) happens once for each confidence listed."""
    rows = [(true, said, sure) for (true, said), sures in pairs.items() for sure in sures]
    probs = np.zeros((len(rows), 4))
    for row, (_, said, sure) in zip(probs, rows, strict=True):
        row[...] = (1 - sure) / 3
        row[said] = sure
    images = np.full((len(rows), 8, 6), 255, np.uint8)
    images[:, 0, 0] = np.arange(len(rows))
    return images, np.array([true for true, _, _ in rows]), probs


def test_confused_pairs_come_most_frequent_first_and_surest_first():
    images, labels, probs = mistaken(
        {
            (0, 0): [0.9, 0.9, 0.9, 0.9],
            (1, 2): [0.6, 0.9],
            (3, 1): [0.7, 0.5, 0.8],
            (2, 1): [0.9, 0.6],
            (0, 3): [0.8],
        }
    )
    figure = visualize.confused_pairs(images, labels, probs, pairs=3, count=2)
    assert [round(255 * tile[0, 0]) for _, tile in tiles(figure)] == [8, 6, 5, 4, 9, 10]
    assert captions(figure) == ["80 %", "70 %", "90 %", "60 %", "90 %", "60 %"]
    assert beside(figure) == [
        "true 3, predicted 1\n3 of 3",
        "true 1, predicted 2\n2 of 2",
        "true 2, predicted 1\n2 of 2",
    ]


def test_a_pair_with_few_images_leaves_its_row_empty_after_them():
    images, labels, probs = mistaken({(0, 1): [0.9, 0.8], (2, 3): [0.7]})
    figure = visualize.confused_pairs(images, labels, probs, count=5)
    boxes = [box for box, _ in tiles(figure)]
    assert [round(255 * tile[0, 0]) for _, tile in tiles(figure)] == [0, 1, 2]
    assert boxes[0][1] == boxes[1][1] < boxes[2][1]
    assert boxes[0][0] == boxes[2][0] < boxes[1][0]
    pitch = boxes[1][0] - boxes[0][0]
    assert figure.get_figwidth() > boxes[1][2] + 3 * pitch  # room for five images


def test_where_nothing_is_confused_the_picture_says_so():
    figure = visualize.confused_pairs(IMAGES, LABELS, probabilities(40))
    assert [text.get_text() for text in figure.texts] == ["Of 40 predictions, none was wrong."]


@pytest.mark.parametrize(("right", "correct", "said"), [(40, False, "wrong"), (0, True, "correct")])
def test_where_there_is_nothing_to_show_the_picture_says_so(right, correct, said):
    figure = visualize.prediction_grid(IMAGES, LABELS, probabilities(right), correct=correct)
    assert [text.get_text() for text in figure.texts] == [f"Of 40 predictions, none was {said}."]
    assert not figure.axes


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


def test_only_long_names_of_the_confusion_matrix_are_upright():
    names = [*"0123456789", "not a digit"]
    axes = visualize.confusion_matrix_figure(np.eye(11, dtype=int), names).axes[0]
    assert [label.get_rotation() for label in axes.get_xticklabels()] == [0] * 10 + [90]


def test_weights_are_drawn_neuron_by_neuron():
    weight = RNG.standard_normal((48, 10))
    figure = visualize.first_layer_weights(weight, (8, 6), count=5)
    for (_, tile), neuron in zip(tiles(figure), weight.T[:5], strict=True):
        np.testing.assert_array_equal(shrunk(tile), neuron.reshape(8, 6))
    image = figure.axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high < 0
    assert [to_hex(colour).upper() for colour in image.cmap([0.0, 1.0])] == [ORANGE, BLUE]


def test_the_reliability_diagram_sets_shares_that_are_right_against_confidence():
    figure = visualize.reliability_diagram([0, 1, 0], [[0.9, 0.1], [0.95, 0.05], [0.3, 0.7]], n_bins=5)
    upper, lower = figure.axes
    assert upper.get_title() == "Calibration: expected error 51.67 %"  # 1/3 · 70 + 2/3 · |50 - 92.5|
    assert [(bar.get_x(), bar.get_height()) for bar in upper.patches] == [(pytest.approx(0.6), 0), (0.8, 0.5)]
    assert [bar.get_height() for bar in lower.patches] == [1, 2]
    points = upper.containers[1].lines[0]
    np.testing.assert_allclose(points.get_xydata(), [[0.7, 0], [0.925, 0.5]])
    ends = upper.containers[1].lines[2][0].get_segments()
    for (_, count), segment, hits in zip([(0.7, 1), (0.925, 2)], ends, [0, 1], strict=True):
        np.testing.assert_allclose(segment[:, 1], fd.wilson_interval(hits, count), atol=1e-12)


def test_a_diagram_of_what_are_no_predictions_is_refused():
    with pytest.raises(ValueError, match="reliability_bins: probabilities must lie in 0 … 1"):
        visualize.reliability_diagram([0], [[3.0, 1.0]])


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: visualize.confused_pairs(IMAGES, LABELS[1:], probabilities(3)),
            r"confused_pairs: probabilities must be \(n, c\), one row for each of the 39 labels",
        ),
        (
            lambda: visualize.confused_pairs(IMAGES[1:], LABELS, probabilities(3)),
            r"confused_pairs: labels must be \(39,\), one per image; got \(40,\)",
        ),
        (
            lambda: visualize.confused_pairs(IMAGES, LABELS, probabilities(3), pairs=0),
            "pairs must be at least 1",
        ),
        (lambda: visualize.first_layer_weights(np.zeros((5, 2)), (2, 3)), r"\(6, n_out\).*got \(5, 2\)"),
        (lambda: visualize.confusion_matrix_figure(np.zeros((2, 3))), r"must be \(c, c\)"),
        (lambda: visualize.confusion_matrix_figure([[1, 0], [0, 1]], ["a"]), "class_names must be 2.*got 1"),
        (
            lambda: visualize.prediction_grid(
                IMAGES, LABELS, probabilities(3), correct=True, class_names=["a"]
            ),
            "prediction_grid: class_names must be 4.*got 1",
        ),
        (
            lambda: visualize.confused_pairs(IMAGES, LABELS, probabilities(3), class_names=list("abcde")),
            "confused_pairs: class_names must be 4.*got 5",
        ),
        (lambda: visualize.confusion_matrix_figure([[1, 0], [-2, 1]]), "counts ≥ 0; got -2"),
        (lambda: visualize.first_layer_weights(np.full((6, 2), np.nan), (2, 3)), "must be finite; got NaN"),
        (lambda: visualize.first_layer_weights(np.zeros((6, 2)), (6, 0)), "image_shape must be at least 1"),
        (
            lambda: visualize.prediction_grid(IMAGES[0], [1], [[1]], correct=True),
            r"images must be \(n, height",
        ),
        (
            lambda: visualize.prediction_grid(IMAGES, LABELS[1:], probabilities(3), correct=True),
            r"probabilities must be \(n, c\), one row for each of the 39 labels",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("shape", ["ab", (2, 3, 1), 6, (2.0, 3)])
def test_what_is_no_height_and_width_is_refused(shape, tmp_path):
    with pytest.raises(TypeError, match=r"image_shape must be"):
        visualize.first_layer_weights(np.zeros((6, 2)), shape)
    rest = {"history": fd.History(), "labels": LABELS, "probabilities": probabilities(30)}
    with pytest.raises(TypeError, match=r"image_shape must be"):
        visualize.write_pictures(tmp_path, images=IMAGES, image_shape=shape, **rest)


def test_words_stand_out_from_the_paper_in_a_dark_style_too():
    import matplotlib as mpl
    import matplotlib.style

    with mpl.rc_context():
        matplotlib.style.use("dark_background")
        figure = visualize.training_curves(history(2))
        ink, paper = figure.axes[0].title.get_color(), figure.get_facecolor()
    contrast = np.subtract(mpl.colors.to_rgb(ink), mpl.colors.to_rgb(paper))
    assert np.abs(contrast).min() > 0.5


def test_a_matrix_of_shares_is_refused():
    with pytest.raises(TypeError, match="must hold counts, integers; got dtype float64"):
        visualize.confusion_matrix_figure(np.eye(2))


NAMES = [f"class number {label}" for label in range(50)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: visualize.training_curves(history(1)),
        lambda: visualize.training_curves(history(100)),
        lambda: visualize.prediction_grid(IMAGES, LABELS, probabilities(1), correct=True),
        lambda: visualize.prediction_grid(IMAGES, LABELS, probabilities(0), correct=False),
        lambda: visualize.prediction_grid(IMAGES, LABELS, probabilities(40), correct=False),
        lambda: visualize.confused_pairs(IMAGES, LABELS, probabilities(0)),
        lambda: visualize.confused_pairs(IMAGES, LABELS, probabilities(39), count=1),
        lambda: visualize.reliability_diagram(LABELS, probabilities(30)),
        lambda: visualize.reliability_diagram([0], [[1.0]]),
        lambda: visualize.confusion_matrix_figure([[12345]]),
        lambda: visualize.confusion_matrix_figure(np.eye(10, dtype=int), NAMES[:10]),
        lambda: visualize.confusion_matrix_figure(np.eye(50, dtype=int), NAMES),
        lambda: visualize.confusion_matrix_figure(np.eye(10, dtype=int), ["W" * 1000] * 10),
        lambda: visualize.training_curves(rescaled(3, loss=1e9, lr=1.25e-5)),
        lambda: visualize.training_curves(rescaled(3, loss=1e-5, lr=1e3)),
        lambda: visualize.first_layer_weights(RNG.standard_normal((48, 1)), (8, 6)),
        lambda: visualize.first_layer_weights(RNG.standard_normal((48, 64)), (8, 6)),
        lambda: visualize.first_layer_weights(2e-4 * RNG.standard_normal((48, 5)), (8, 6)),
        lambda: visualize.first_layer_weights(2e-5 * RNG.standard_normal((48, 64)), (8, 6)),
        lambda: visualize.first_layer_weights(2e7 * RNG.standard_normal((48, 64)), (8, 6)),
    ],
)
def test_nothing_is_cut_off(draw):
    figure = draw()
    figure.draw_without_rendering()
    inked, paper = figure.get_tightbbox(), figure.bbox_inches
    slack = 0.02  # inches: half a line's width
    assert min(inked.x0, inked.y0) >= -slack
    assert inked.x1 <= paper.x1 + slack
    assert inked.y1 <= paper.y1 + slack


def drawn(shape, names=None):
    """Return the three pictures with texts beside images, of images of this shape."""
    images = np.broadcast_to(np.arange(shape[1], dtype=np.uint8), (40, *shape))
    rest = (images, LABELS, probabilities(20))
    return [
        visualize.prediction_grid(*rest, correct=True, class_names=names),
        visualize.prediction_grid(*rest, correct=False, class_names=names),
        visualize.confused_pairs(*rest, class_names=names),
        visualize.first_layer_weights(RNG.standard_normal((shape[0] * shape[1], 10)), shape),
    ]


WORDS = ["T-shirt/top", "Trouser", "Bag", "Coat"]
LONG = [f"{letter}: {'W' * 990}" for letter in "abcd"]


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((28, 28), None),
        ((28, 28), WORDS),
        ((8, 8), LONG),
        ((64, 64), WORDS),
        ((1, 64), WORDS),
        ((64, 1), None),
        ((20, 60), LONG),
        ((1, 1), None),
    ],
)
def test_texts_touch_neither_each_other_nor_an_image_nor_the_edge(shape, names):
    for figure in drawn(shape, names):
        figure.draw_without_rendering()
        sheet = figure.axes[0]
        texts = [
            *sheet.texts,
            figure._suptitle,
            *(text for axes in figure.axes[1:] for text in [axes.yaxis.label]),
        ]
        boxes = np.array([text.get_window_extent().extents for text in texts] + [
            [*sheet.transData.transform((box[0], box[3])), *sheet.transData.transform((box[2], box[1]))]
            for box, _ in tiles(figure)
        ])  # fmt: skip
        assert boxes.min() >= 0
        assert (boxes[:, 2:] <= np.ceil(figure.bbox.max)).all()
        apart = (boxes[:, np.newaxis, :2] >= boxes[np.newaxis, :, 2:]).any(axis=2)
        assert (apart | apart.T | np.eye(len(boxes), dtype=bool)).all()


def test_a_pixel_of_an_image_takes_as_many_of_the_picture_as_any_other():
    for figure in drawn((28, 28)):
        image = figure.axes[0].images[0]
        left, right, _, top = image.get_extent()
        pixel = 150 * (right - left) / image.get_array().shape[1]
        assert pixel == pytest.approx(round(pixel))
        assert 150 * np.array([left, top]) == pytest.approx(np.rint(150 * np.array([left, top])))
        assert 150 * figure.get_size_inches() == pytest.approx(np.rint(150 * figure.get_size_inches()))


def test_names_are_text_and_no_formula():
    figure = visualize.prediction_grid(
        IMAGES, LABELS, probabilities(0), correct=False, class_names=["$\\", *"abc"]
    )
    figure.draw_without_rendering()
    assert any("$\\" in caption for caption in captions(figure))
    visualize.confusion_matrix_figure(np.eye(2, dtype=int), ["$\\", "$x^$"]).draw_without_rendering()


@pytest.mark.parametrize("size", [2, 26, 50])
def test_the_colour_bar_is_as_high_as_the_matrix(size):
    figure = visualize.confusion_matrix_figure(np.eye(size, dtype=int))
    figure.draw_without_rendering()
    matrix, bar = (axes.get_window_extent() for axes in figure.axes)
    assert (bar.y0, bar.y1) == pytest.approx((matrix.y0, matrix.y1), abs=1)


@pytest.mark.parametrize(
    ("labels", "probs", "error", "match"),
    [
        (LABELS / 2, probabilities(3), TypeError, "labels must hold integers; got dtype float64"),
        (LABELS + 1, probabilities(3), ValueError, r"labels must lie in 0 … 3.*; got 4"),
        (LABELS, probabilities(3) * 9, ValueError, r"probabilities must lie in 0 … 1.*predict_proba"),
        (LABELS, probabilities(3) * np.nan, ValueError, r"must lie in 0 … 1; got nan to nan"),
        (LABELS, np.empty((40, 0)), ValueError, r"must be \(n, c\).*; got \(40, 0\)"),
    ],
)
def test_numbers_that_are_no_predictions_are_refused(labels, probs, error, match):
    with pytest.raises(error, match=match):
        visualize.prediction_grid(IMAGES, labels, probs, correct=True)


def test_rows_become_pictures_by_their_shape(tmp_path):
    rest = {"history": fd.History(), "labels": LABELS, "probabilities": probabilities(30)}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    flat = visualize.write_pictures(tmp_path / "a", images=IMAGES.reshape(40, 48), image_shape=(8, 6), **rest)
    whole = visualize.write_pictures(tmp_path / "b", images=IMAGES, **rest)
    assert [path.read_bytes() for path in flat] == [path.read_bytes() for path in whole]


def test_rows_of_another_length_are_refused_before_a_file_is_written(tmp_path):
    rest = {"history": history(1), "labels": LABELS, "probabilities": probabilities(30)}
    with pytest.raises(ValueError, match=r"must be \(n, 8, 7\) or \(n, 56\); got \(40, 8, 6\)"):
        visualize.write_pictures(tmp_path, images=IMAGES, image_shape=(8, 7), **rest)
    assert not list(tmp_path.iterdir())


def test_all_pictures_are_written(tmp_path):
    paths = visualize.write_pictures(
        tmp_path,
        history=history(3),
        images=IMAGES,
        labels=LABELS,
        probabilities=probabilities(30),
        weight=RNG.standard_normal((48, 10)),
    )
    names = [
        *("curves", "predictions_right", "predictions_wrong"),
        *("confused_pairs", "confusion", "calibration", "weights"),
    ]
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")


def test_what_is_not_there_is_left_out(tmp_path):
    paths = visualize.write_pictures(
        tmp_path, history=fd.History(), images=IMAGES, labels=LABELS, probabilities=probabilities(30)
    )
    assert [path.stem for path in paths] == [
        *("predictions_right", "predictions_wrong", "confused_pairs", "confusion", "calibration")
    ]


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


# -- two processes -------------------------------------------------------------------------------------------

in_two_processes = pytest.mark.skipif(
    sys.platform != "linux", reason="pictures are drawn in one process elsewhere"
)


@pytest.fixture
def draw_all(tmp_path):
    """A function that draws all pictures with a number of threads and returns the bytes of each."""

    def draw(threads: int) -> dict[str, bytes]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        fd.set_num_threads(threads)
        rest = {"labels": LABELS, "probabilities": probabilities(30), "weight": WEIGHT}
        paths = visualize.write_pictures(folder, history=history(3), images=IMAGES, **rest)
        assert multiprocessing.active_children() == []
        return {path.name: path.read_bytes() for path in paths}

    yield draw
    fd.set_num_threads(None)


@in_two_processes
def test_two_processes_draw_what_one_draws(draw_all, monkeypatch):
    one = draw_all(1)
    drawn = []
    whole = writing._write
    monkeypatch.setattr(writing, "_write", lambda part: drawn.extend(part) or whole(part))
    assert draw_all(2) == one
    assert len(drawn) == 4  # the other process drew three of seven


@in_two_processes
@pytest.mark.parametrize("fault", ["it fails", "it never ends", "there is none"])
def test_without_the_other_process_all_is_drawn_here(draw_all, monkeypatch, fault):
    one = draw_all(1)
    if fault == "it fails":
        monkeypatch.setattr(writing, "_write_quietly", lambda part: sys.exit(3))
    elif fault == "it never ends":
        monkeypatch.setattr(writing, "_write_quietly", lambda part: time.sleep(1000))
        monkeypatch.setattr(writing, "PATIENCE", 0.1)
    else:
        start = lambda self: (_ for _ in ()).throw(BlockingIOError("no more processes"))  # noqa: E731
        monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", start)
    assert draw_all(2) == one


@pytest.fixture
def another_thread():
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    yield
    ends.set()
    thread.join()


def forbid_a_fork(monkeypatch):
    def start(self):
        raise AssertionError("a process was started")

    if sys.platform == "linux":
        monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", start)


def test_beside_another_thread_no_process_is_forked(draw_all, monkeypatch, another_thread):
    forbid_a_fork(monkeypatch)  # a lock of matplotlib that the thread holds would stay locked in the child
    assert len(draw_all(2)) == 7


def test_a_daemonic_process_starts_none(draw_all, monkeypatch):
    forbid_a_fork(monkeypatch)
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert len(draw_all(2)) == 7


@in_two_processes
def test_the_thread_of_a_progress_bar_keeps_nobody_from_drawing_in_two_processes(draw_all, monkeypatch):
    with tqdm(total=1, file=io.StringIO()):
        assert threading.active_count() > 1
        forbid_a_fork(monkeypatch)
        with pytest.raises(AssertionError, match="a process was started"):
            draw_all(2)


@in_two_processes
@pytest.mark.parametrize("name", ["training_curves", "prediction_grid"])  # drawn here, drawn there
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("no picture")])
def test_an_error_ends_both_processes(draw_all, monkeypatch, name, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(writing, name, fail)
    with pytest.raises(BaseException, match=r"no picture|^$") as raised:
        draw_all(2)
    assert raised.type in (KeyboardInterrupt, ValueError)
    assert multiprocessing.active_children() == []


# -- notebooks ---------------------------------------------------------------------------------------------


def test_a_figure_has_a_picture_for_a_notebook_without_pyplot():
    figure = visualize.training_curves(history(2))
    with Image.open(io.BytesIO(figure._repr_png_())) as picture:
        assert picture.size == tuple(figure.get_size_inches() * figure.dpi)
