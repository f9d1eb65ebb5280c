"""The scikit-learn estimator: scikit-learn's own checks, its tools around it, and going on exactly where it ended."""

import inspect
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, the extra `sklearn`, is not installed")

from scipy import sparse
from shard_folders import examples, make
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier
from fastdigits.sklearn.rows import WeightedRows, hold_out


def model(**settings):
    return FastDigitsClassifier(**{"hidden_layer_sizes": (16,), "tol": None, "random_state": 0} | settings)


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.fixture(scope="module")
def digits():
    """8 × 8 images of 0 … 16, as uint8 pixels of 0 … 240."""
    x, y = load_digits(return_X_y=True)
    return (x * 15).astype(np.uint8), y


def dense(n_in, n_out):
    return fd.Dense(n_in, n_out, initializer="glorot_uniform")


def same(one, other):
    return np.array_equal(one.network_.values, other.network_.values)


# -- scikit-learn's own checks -------------------------------------------------------------------------------


SETTINGS = [
    {"activation": "leaky-relu", "hidden_layer_sizes": (64, 32)},
    {"batchnorm": "all"},
    {"batchnorm": "first", "learning_rate": "one-cycle", "learning_rate_init": 0.01, "max_iter": 50},
    {"dropout": 0.2},
    {"early_stopping": True},
    {"early_stopping": True, "monitor": "val_loss", "batchnorm": "all", "dropout": 0.1},
    {"class_weight": "balanced"},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "rmsprop"},
    {"weight_decay": 0.01, "learning_rate": "cosine"},
    {"learning_rate": "step"},
    {"learning_rate": "warm-up", "shuffle": False},
    {"hidden_layer_sizes": (), "learning_rate_init": 0.05},
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([FastDigitsClassifier()])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([FastDigitsClassifier(**settings) for settings in SETTINGS])
def test_every_check_passes_with_other_parameters(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "settings", [{"batchnorm": "all"}, {"early_stopping": True}, {"class_weight": "balanced"}]
)
def test_the_hardest_checks_pass_with_other_parameters(settings):
    """Those that need weights as repetitions, and rows that are few."""
    classifier = FastDigitsClassifier(**settings)
    checks.check_sample_weight_equivalence_on_dense_data("FastDigitsClassifier", classifier)
    checks.check_methods_subset_invariance("FastDigitsClassifier", classifier)
    checks.check_class_weight_classifiers("FastDigitsClassifier", classifier)


# -- its tools around it -------------------------------------------------------------------------------------


def test_it_works_in_a_pipeline_with_data_frames():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y = load_iris(return_X_y=True, as_frame=True)
    pipeline = make_pipeline(StandardScaler(), model(max_iter=40, learning_rate_init=0.05)).set_output(
        transform="pandas"
    )
    names = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    assert pipeline.fit(x, names).score(x, names) > 0.9
    assert list(pipeline[-1].feature_names_in_) == list(x.columns) == list(pipeline[-1].network_.column_names)
    assert list(pipeline[-1].classes_) == ["setosa", "versicolor", "virginica"]
    assert set(pipeline.predict(x)) <= set(pipeline[-1].classes_)
    assert isinstance(pipeline[:-1].transform(x), pandas.DataFrame)


PROBE = """
import os
import fastdigits
from fastdigits.sklearn import FastDigitsClassifier

class Probe(FastDigitsClassifier):
    def score(self, X, y):
        with open(os.path.join(os.environ["PROBE"], str(os.getpid())), "a") as file:
            file.write(f"{fastdigits.get_num_threads()}\\n")
        return super().score(X, y)
"""


@pytest.mark.exhaustive
def test_a_grid_search_on_two_processes_shares_the_processors(tmp_path, iris):
    """joblib gives each process its part of the processors, and no process takes more."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "seen").mkdir()
    program = """
import os, joblib
from probe import Probe
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
x, y = load_iris(return_X_y=True)
search = GridSearchCV(Probe(tol=None, max_iter=3, random_state=0), {"hidden_layer_sizes": [(4,), (8,)]}, n_jobs=2, cv=2)
search.fit(x, y)
print(os.getpid(), max(1, joblib.cpu_count() // 2))
"""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {
        "PROBE": str(tmp_path / "seen"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    parent, share = run.stdout.split()
    seen = {path.name: path.read_text().split() for path in (tmp_path / "seen").iterdir()}
    assert parent not in seen
    assert sum(map(len, seen.values())) == 4
    assert all(int(count) <= int(share) for counts in seen.values() for count in counts)


@pytest.mark.exhaustive
def test_a_grid_search_over_schedules_finds_the_same_on_one_and_two_processes(iris):
    x, y = iris
    grid = {"learning_rate": ["cosine", fd.OneCycle(warmup=0.5)], "batchnorm": ["none", "all"]}
    searches = [
        GridSearchCV(model(max_iter=5, learning_rate_init=0.01), grid, n_jobs=n_jobs, cv=3).fit(x, y)
        for n_jobs in (1, 2)
    ]
    one, two = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_array_equal(one, two)


def test_it_can_be_calibrated_and_cross_validated(iris):
    x, y = iris
    calibrated = CalibratedClassifierCV(model(max_iter=30, learning_rate_init=0.05), cv=3).fit(x, y)
    assert calibrated.score(x, y) > 0.9
    assert cross_val_score(model(max_iter=30, learning_rate_init=0.05), x, y, cv=3).mean() > 0.9


def test_a_clone_is_unfitted_and_trains_to_the_same_bits(iris):
    fitted = model(max_iter=3, learning_rate=fd.Step((0.5,))).fit(*iris)
    copy = clone(fitted)
    assert not hasattr(copy, "network_")
    assert same(copy.fit(*iris), fitted)


@pytest.mark.exhaustive
def test_the_example_of_the_page_prints_what_it_says(capsys):
    page = (Path(__file__).parents[2] / "docs" / "sklearn.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "docs/sklearn.md", "exec"), {})
    assert re.fullmatch(r"0\.9[78]\d*\n", capsys.readouterr().out)


# -- data ----------------------------------------------------------------------------------------------------


def test_uint8_images_are_pixels_and_may_have_two_sides(digits):
    x, y = digits
    rows = model(max_iter=2).fit(x, y)
    images = model(max_iter=2).fit(x.reshape(-1, 8, 8), y)
    assert images.n_features_in_ == 64
    assert same(rows, images)
    np.testing.assert_array_equal(images.predict(x.reshape(-1, 8, 8)), rows.predict(x))
    # The kernels of pixels and those of floats sum in another order.
    shares = model(max_iter=2).fit(x / np.float32(255), y)
    np.testing.assert_allclose(shares.predict_proba(x / 255), rows.predict_proba(x), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int8, np.uint16, np.float16])
def test_other_numbers_are_taken_as_they_are(digits, dtype):
    x, y = digits
    numbers = (x // 15).astype(dtype)
    expected = model(max_iter=2).fit(numbers.astype(np.float32), y)
    assert same(model(max_iter=2).fit(numbers, y), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint16, np.float32])
def test_pixels_of_any_dtype_train_the_same_and_get_the_same_answers(digits, dtype):
    x, y = digits
    same_values = x.astype(dtype)
    expected = model(max_iter=2).fit(x, y)
    assert expected.network_.scale == "pixels"
    fitted = model(max_iter=2).fit(same_values, y)
    assert same(fitted, expected)
    for form in (np.asarray, sparse.csr_array):
        np.testing.assert_array_equal(
            fitted.predict_proba(form(x)), expected.predict_proba(form(same_values))
        )
        np.testing.assert_array_equal(fitted.predict_log_proba(form(x)), expected.predict_log_proba(x))
    parts = model(), model()
    for each, rows in zip(parts, (x, same_values), strict=True):
        each.partial_fit(rows[:500], y[:500], np.unique(y)).partial_fit(rows[500:], y[500:])
    assert same(*parts)


def test_the_first_part_decides_on_the_scale_and_later_ones_follow_it(digits):
    x, y = digits
    fitted = model().partial_fit(x[:500] / 255, y[:500], np.unique(y))
    assert fitted.network_.scale == "unit"
    with pytest.raises(
        ValueError, match=r"x must hold numbers of about 0 … 1, .*: divide pixels 0 … 255 by 255, x / 255"
    ):
        fitted.partial_fit(x[500:], y[500:])
    for method in (fitted.predict, fitted.predict_proba, fitted.predict_log_proba):
        with pytest.raises(ValueError, match="must hold numbers of about 0 … 1"):
            method(x)
    pixels = model(max_iter=1).fit(x, y)
    with pytest.raises(ValueError, match=r"must hold pixels 0 … 255, .* become pixels by x \* 255"):
        pixels.predict(x / 255)


def test_all_rows_of_a_prediction_are_read_in_one_way(digits):
    fitted = model(max_iter=1).fit(*digits)
    rows = np.full((5000, 64), 2.5)  # alone they would be no pixels
    with pytest.raises(ValueError, match="must hold pixels"):
        fitted.predict(rows)
    rows[-1] = 100
    for method in (fitted.predict, fitted.predict_proba, fitted.predict_log_proba):
        # A BLAS adds the products of a row in another order in another batch. Read as pixels, rows would differ by far.
        np.testing.assert_allclose(method(rows)[0], method(rows[-2:])[0], rtol=1e-6)


def test_rows_that_are_held_out_count_for_the_scale():
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, y = rng.integers(0, 100, (300, 4)), np.arange(300) % 3
        x[rng.integers(300), 0] = 256
        fitted = model(max_iter=1, early_stopping=True, validation_fraction=0.5).fit(x, y)
        assert fitted.network_.scale == "numbers"


class Tensor:
    """What shows its memory by DLPack and in no other way."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_tensors_are_taken_as_everywhere_in_the_package(digits):
    x, y = digits
    expected = model(max_iter=1).fit(x, y)
    assert same(model(max_iter=1).fit(Tensor(x.reshape(-1, 8, 8)), Tensor(y)), expected)
    np.testing.assert_array_equal(expected.predict(Tensor(x)), expected.predict(x))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensors_of_torch_are_taken_with_a_gradient_too(digits, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, y = torch.tensor(digits[0] / 255, dtype=getattr(torch, dtype)), torch.tensor(digits[1])
    fitted = model(max_iter=1).fit(x.requires_grad_(), y)
    assert same(fitted, model(max_iter=1).fit(x.detach().float().numpy(), digits[1]))
    assert 0 <= fitted.score(x, y) <= 1


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_sparse_rows_train_like_dense_ones(digits, form, dtype):
    x, y = digits[0].astype(dtype), digits[1]
    full, thin = model(max_iter=2).fit(x, y), model(max_iter=2).fit(form(x), y)
    assert same(full, thin)
    np.testing.assert_array_equal(thin.predict_proba(form(x)), full.predict_proba(x))


def test_predictions_of_many_sparse_rows_come_in_pieces(digits):
    fitted = model(max_iter=1).fit(*digits)
    many = np.tile(digits[0], (5, 1))
    np.testing.assert_array_equal(fitted.predict_proba(sparse.csr_array(many)), fitted.predict_proba(many))


def test_there_may_be_thousands_of_classes():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, 32))
    x = np.repeat(centres, 2, axis=0) + 0.05 * rng.normal(size=(4000, 32))
    y = np.repeat([f"class {number:04}" for number in range(2000)], 2)
    fitted = model(hidden_layer_sizes=(64,), max_iter=8, learning_rate_init=0.05).fit(x, y)
    assert fitted.predict_proba(x[:5]).shape == (5, 2000)
    assert fitted.score(x, y) > 0.95


def test_two_classes_have_two_columns(iris):
    x, y = iris
    fitted = model(max_iter=20).fit(x[:100], y[:100] == 1)
    assert fitted.classes_.tolist() == [False, True]
    np.testing.assert_allclose(fitted.predict_proba(x).sum(axis=1), 1, rtol=1e-6)
    assert fitted.predict(x[:3]).dtype == bool


def test_log_probabilities_are_exact_where_probabilities_come_to_their_end(iris):
    fitted = model(max_iter=20).fit(*iris)
    far = iris[0] * 1000
    probs, logs = fitted.predict_proba(far), fitted.predict_log_proba(far)
    assert logs.min() < -200  # float32 ends at e⁻¹⁰³
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs), probs, rtol=1e-4, atol=1e-30)
    near = fitted.predict_proba(iris[0])
    np.testing.assert_allclose(fitted.predict_log_proba(iris[0]), np.log(near), rtol=1e-5, atol=1e-6)


# -- weights -------------------------------------------------------------------------------------------------


def test_weights_of_few_rows_are_repetitions_to_the_last_bit(iris):
    x, y = iris[0][:120:2], iris[1][:120:2]
    weight = np.arange(len(y)) % 4
    weighted = model(max_iter=20).fit(x, y, sample_weight=weight)
    order = np.random.default_rng(0).permutation(weight.sum())
    repeated = model(max_iter=20).fit(x.repeat(weight, axis=0)[order], y.repeat(weight)[order])
    assert same(weighted, repeated)
    assert not same(weighted, model(max_iter=20).fit(x, y))


@pytest.mark.parametrize(
    "settings",
    [
        {"batchnorm": "all"},
        {"dropout": 0.2},
        {"class_weight": "balanced"},
        {"class_weight": {0: 3.0, 1: 0.5}},
        {"early_stopping": True, "validation_fraction": 0.3},
    ],
    ids=str,
)
def test_weights_are_repetitions_with_other_parameters_too(iris, settings):
    x, y = iris[0][:120:2], iris[1][:120:2]
    weight = np.arange(len(y)) % 4
    weighted = model(max_iter=5, **settings).fit(x, y, sample_weight=weight)
    repeated = model(max_iter=5, **settings).fit(x.repeat(weight, axis=0), y.repeat(weight))
    assert same(weighted, repeated)
    assert weighted.validation_scores_ == repeated.validation_scores_


def test_rows_of_weight_0_are_left_out(digits):
    x, y = digits
    weight = (np.arange(len(y)) % 5 != 0).astype(float)
    settings = {"batchnorm": "all", "max_iter": 2, "early_stopping": True}
    fitted = model(**settings).fit(x, y, sample_weight=weight)
    assert same(fitted, model(**settings).fit(x[weight > 0], y[weight > 0], sample_weight=weight[weight > 0]))


def test_class_weights_multiply_sample_weights(digits):
    x, y = digits
    factors = {number: 1.0 + number for number in range(10)}
    rows = np.where(np.arange(len(y)) % 3 == 0, 0.5, 1.0)
    expected = model(max_iter=2).fit(x, y, sample_weight=rows * (1 + y))
    assert same(model(max_iter=2, class_weight=factors).fit(x, y, sample_weight=rows), expected)
    part = model(class_weight=factors).partial_fit(x, y, range(10), rows)
    assert same(part, model(max_iter=1).fit(x, y, sample_weight=rows * (1 + y)))


def test_balanced_classes_count_alike(iris):
    x, y = iris
    few = np.r_[0:60, 100:150]  # 50, 10 and 50 of the classes
    settings = {"max_iter": 3, "standardize": False}  # which class weights do not change
    expected = model(**settings).fit(
        x[few], y[few], sample_weight=np.array([110 / 150, 110 / 30, 110 / 150])[y[few]]
    )
    assert same(model(class_weight="balanced", **settings).fit(x[few], y[few]), expected)


# -- settings ------------------------------------------------------------------------------------------------


def test_settings_become_layers_optimizer_and_schedule(digits):
    fitted = model(
        hidden_layer_sizes=[12, 8], activation="leaky-relu", batchnorm="all", dropout=0.1, weight_decay=0.02,
        learning_rate_init=0.005, beta_1=0.8, beta_2=0.99, epsilon=1e-6, max_iter=1,
    ).fit(*digits)  # fmt: skip
    assert repr(list(fitted.network_.layers)) == repr(
        [
            dense(64, 12), fd.BatchNorm(12), fd.LeakyReLU(), fd.Dropout(0.1),
            dense(12, 8), fd.BatchNorm(8), fd.LeakyReLU(), fd.Dropout(0.1), dense(8, 10),
        ]
    )  # fmt: skip
    wanted = fd.AdamW(0.005, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.02)
    assert repr(fitted._optimizer) == repr(wanted)
    assert [weight.shape for weight in fitted.coefs_] == [(64, 12), (12, 8), (8, 10)]
    assert [bias.shape for bias in fitted.intercepts_] == [(12,), (8,), (10,)]
    assert (fitted.n_layers_, fitted.n_outputs_, fitted.out_activation_) == (4, 10, "softmax")


@pytest.mark.parametrize(
    ("settings", "optimizer"),
    [
        ({}, fd.Adam(0.001)),
        ({"solver": "sgd"}, fd.Momentum(0.001, 0.9, nesterov=True)),
        ({"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False}, fd.Momentum(0.001, 0.5)),
        ({"solver": "rmsprop"}, fd.RMSprop(0.001)),
    ],
)
def test_each_solver_is_an_optimizer(iris, settings, optimizer):
    assert repr(model(max_iter=1, **settings).fit(*iris)._optimizer) == repr(optimizer)


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("constant", fd.Constant()),
        ("step", fd.Step()),
        ("cosine", fd.Cosine()),
        ("one-cycle", fd.OneCycle()),
        ("warm-up", fd.WarmUp()),
        (fd.WarmUp(0.2, fd.Cosine()), fd.WarmUp(0.2, fd.Cosine())),
    ],
)
def test_each_schedule_trains_like_the_network_does(digits, name, schedule):
    x, y = digits
    fitted = model(max_iter=3, learning_rate=name, batch_size=100).fit(x, y)
    net = fd.NeuralNetwork([dense(64, 16), fd.ReLU(), dense(16, 10)], seed=fitted.network_.seed)
    history = net.fit(x, y, epochs=3, batch_size=100, optimizer=fd.Adam(0.001), schedule=schedule)
    np.testing.assert_array_equal(fitted.network_.values, net.values)
    assert fitted.loss_curve_ == history.loss


def test_no_hidden_layer_makes_a_linear_classifier(iris):
    fitted = model(hidden_layer_sizes=(), max_iter=100, learning_rate_init=0.05).fit(*iris)
    assert len(fitted.coefs_) == 1
    assert fitted.score(*iris) > 0.9


def test_the_random_state_decides(iris):
    one, two = (model(max_iter=1, random_state=np.random.RandomState(5)).fit(*iris) for _ in range(2))
    assert same(one, two)
    free = [model(max_iter=1, random_state=None).fit(*iris) for _ in range(2)]
    assert not same(*free)


def test_verbose_shows_a_line_an_epoch(iris, capsys):
    model(max_iter=2, verbose=True).fit(*iris)
    assert capsys.readouterr().err.count("loss") == 2


# -- when to stop --------------------------------------------------------------------------------------------


def test_training_stops_when_the_loss_no_longer_improves(iris):
    fitted = model(max_iter=500, tol=0.01, n_iter_no_change=3).fit(*iris)
    curve = fitted.loss_curve_
    assert fitted.n_iter_ == len(curve) < 500
    assert fitted.best_loss_ == min(curve)
    assert fitted.t_ == 149 * len(curve)  # two of the rows are the same
    assert fitted.validation_scores_ is fitted.best_validation_score_ is fitted.validation_loss_curve_ is None
    assert all(curve[i] > min(curve[:i]) - 0.01 for i in range(len(curve) - 4, len(curve)))


def test_an_end_before_convergence_is_warned_of_where_it_means_something(iris):
    with pytest.warns(ConvergenceWarning, match="training ended after max_iter=2 epochs"):
        model(max_iter=2, tol=1e-4).fit(*iris)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(max_iter=2, tol=1e-4, learning_rate="cosine").fit(*iris)
        model(max_iter=2, tol=None).fit(*iris)


@pytest.mark.parametrize("monitor", ["val_accuracy", "val_loss"])
def test_early_stopping_keeps_the_best_epoch_on_held_out_rows(digits, monitor):
    x, y = digits
    fitted = model(
        early_stopping=True,
        monitor=monitor,
        max_iter=60,
        learning_rate_init=0.03,
        n_iter_no_change=4,
        tol=1e-4,
    ).fit(x, y)
    losses, scores = fitted.validation_loss_curve_, fitted.validation_scores_
    order = np.lexsort([losses, -np.array(scores)]) if monitor == "val_accuracy" else np.argsort(losses)
    best = int(order[0])
    assert len(losses) == len(scores) == fitted.n_iter_ < 60
    assert best < fitted.n_iter_ - 1
    assert (fitted.best_validation_loss_, fitted.best_validation_score_) == (losses[best], scores[best])
    assert fitted.best_loss_ is None
    again = model(early_stopping=True, monitor=monitor, max_iter=best + 1, learning_rate_init=0.03).fit(x, y)
    assert same(again, fitted)


def test_rows_to_validate_on_may_be_given(digits):
    x, y = digits
    weight = 1 + np.arange(397) % 3
    names = np.array([f"digit {number}" for number in y])
    fitted = model(max_iter=3).fit(
        x[:1400], names[:1400], X_val=x[1400:], y_val=names[1400:], sample_weight_val=weight
    )
    score = fitted.network_.evaluate(x[1400:], y[1400:], sample_weight=weight)
    assert (fitted.validation_loss_curve_[-1], fitted.validation_scores_[-1]) == (
        score["loss"],
        score["accuracy"],
    )
    assert len(fitted.validation_loss_curve_) == 3
    assert same(fitted, model(max_iter=3).fit(x[:1400], names[:1400]))
    stopped = model(max_iter=3, early_stopping=True).fit(x[:1400], y[:1400], X_val=x[1400:], y_val=y[1400:])
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)


def test_the_held_out_part_has_every_class_and_its_weights(iris):
    x, y = iris
    weight = np.where(y == 2, 3.0, 1.0)
    fitted = model(max_iter=1, early_stopping=True, validation_fraction=0.2).fit(x, y, sample_weight=weight)
    # 10 of each class are held out, so that the accuracy is a multiple of 1 / (10 + 10 + 30).
    assert fitted.t_ == 149 - 30  # two of the rows are the same
    assert (50 * fitted.validation_scores_[0]) == pytest.approx(round(50 * fitted.validation_scores_[0]))


@pytest.mark.parametrize(
    ("fraction", "held_out"), [(0.1, [5, 1, 1, 0]), (0.5, [26, 1, 2, 0]), (0.99, [51, 1, 2, 0])]
)
def test_each_class_gives_its_share_and_keeps_one(fraction, held_out):
    labels = np.repeat([0, 1, 2, 3], [52, 2, 3, 1])
    rows = np.arange(58, dtype=np.float32)[:, np.newaxis]
    train, apart = hold_out(WeightedRows(rows, labels, None), fraction, seed=0)
    assert np.bincount(apart.labels, minlength=4).tolist() == held_out
    np.testing.assert_array_equal(np.sort(np.r_[train.x, apart.x], axis=0), rows)
    assert not np.array_equal(hold_out(WeightedRows(rows, labels, None), fraction, seed=1)[1].x, apart.x)


def test_of_equally_accurate_epochs_the_one_with_the_lower_loss_is_kept(iris):
    x, y = iris
    easy = y < 2
    settings = {"learning_rate_init": 0.02, "early_stopping": True}
    fitted = model(max_iter=40, **settings).fit(x[easy], y[easy])
    losses = np.where(np.array(fitted.validation_scores_) == 1, fitted.validation_loss_curve_, np.inf)
    assert np.sum(np.isfinite(losses)) > 1
    assert fitted.best_validation_loss_ == losses.min()


def test_adaptive_takes_a_fifth_of_the_rate_where_training_would_stop(iris):
    fitted = model(
        max_iter=400, tol=0.5, n_iter_no_change=1, learning_rate="adaptive", learning_rate_init=0.001
    )
    fitted.fit(*iris)
    # Two epochs without improvement a reduction: 1e-3 / 5⁵ is the first rate of at most 1e-6.
    assert fitted._optimizer.lr == pytest.approx(0.001 / 5**5)
    assert fitted.n_iter_ == 1 + 2 * 6


def test_it_stops_in_the_same_epoch_as_mlp_does():
    """One loss curve for both: neither learns, as the learning rate is next to nothing."""
    x, y = load_iris(return_X_y=True)
    settings = {
        "max_iter": 50,
        "tol": 1e-4,
        "n_iter_no_change": 7,
        "learning_rate_init": 1e-9,
        "random_state": 0,
    }
    ours, theirs = (kind((4,), **settings).fit(x, y) for kind in (FastDigitsClassifier, MLPClassifier))
    assert ours.n_iter_ == theirs.n_iter_


# -- going on ------------------------------------------------------------------------------------------------

CONTINUED = [
    {"dropout": 0.2, "batchnorm": "all"},
    {"solver": "sgd", "learning_rate_init": 0.05},
    {"weight_decay": 0.1},
    {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1},
    # In these two the fifth epoch is not the best, so that there are two states to keep apart.
    {"early_stopping": True, "learning_rate_init": 0.05, "batch_size": 10, "monitor": "val_loss"},
    {"early_stopping": True, "learning_rate_init": 0.05, "tol": 1e-3, "n_iter_no_change": 2},
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("settings", CONTINUED, ids=str)
def test_five_and_five_epochs_are_ten_to_the_last_bit(digits, settings):
    whole = model(max_iter=10, **settings).fit(*digits)
    parts = model(max_iter=5, warm_start=True, **settings).fit(*digits)
    if "early_stopping" in settings:
        assert (
            int(np.argmax(parts.validation_scores_)) < 4 or int(np.argmin(parts.validation_loss_curve_)) < 4
        )
    parts = pickle.loads(pickle.dumps(parts))  # the optimizer goes along
    parts.fit(*digits)
    assert same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.validation_loss_curve_ == whole.validation_loss_curve_
    assert (parts.best_loss_, parts.best_validation_score_) == (
        whole.best_loss_,
        whole.best_validation_score_,
    )
    assert (parts.t_, parts._waited) == (whole.t_, whole._waited)
    assert parts._optimizer.step_count == whole._optimizer.step_count


def test_epochs_one_by_one_are_those_of_one_fit(digits):
    x, y = digits
    whole = model(max_iter=4, dropout=0.1).fit(x, y)
    parts = model(dropout=0.1, learning_rate="one-cycle")
    parts.partial_fit(x, y, classes=np.arange(10))
    for _ in range(3):
        parts.partial_fit(x, y)
    assert same(parts, whole)
    assert (parts.n_iter_, len(parts.loss_curve_), parts.t_) == (1, 4, 4 * len(y))


def test_partial_fit_learns_from_parts_that_lack_classes(digits):
    x, y = digits
    parts = model(learning_rate_init=0.01)
    for _ in range(6):
        for start in range(0, 1700, 100):
            some = slice(start, start + 100)
            parts.partial_fit(
                x[some][y[some] != start // 100 % 10], y[some][y[some] != start // 100 % 10], range(10)
            )
    assert parts.score(x, y) > 0.9


def test_training_on_follows_parameters_that_changed(digits):
    x, y = digits
    fitted = model(max_iter=2, warm_start=True).fit(x, y)
    fitted.set_params(learning_rate_init=0.0001, solver="sgd").fit(x, y)
    assert repr(fitted._optimizer) == repr(fd.Momentum(0.0001, 0.9, nesterov=True))
    assert fitted._optimizer.step_count == 2 * -(-len(y) // 200)
    assert fitted.network_.epochs_trained == 4


def test_after_a_stop_training_goes_on_from_the_best_epoch(digits):
    x, y = digits
    settings = {"early_stopping": True, "learning_rate_init": 0.03, "tol": 1e-3, "n_iter_no_change": 2}
    fitted = model(max_iter=100, warm_start=True, **settings).fit(x, y)
    assert fitted.n_iter_ < 100
    assert fitted._last_weights is None
    first = fitted.n_iter_
    fitted.fit(x, y)
    assert len(fitted.loss_curve_) == first + fitted.n_iter_
    assert fitted.n_iter_ >= 3


def test_without_warm_start_fit_begins_anew(digits):
    fitted = model(max_iter=2).fit(*digits)
    before = fitted.network_.values.copy()
    assert np.array_equal(fitted.fit(*digits).network_.values, before)
    assert len(fitted.loss_curve_) == 2


def test_an_interrupt_leaves_a_classifier_that_can_go_on(digits, monkeypatch):
    fitted = model(max_iter=5, warm_start=True)
    monkeypatch.setattr(fd.NeuralNetwork, "score", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*digits, X_val=digits[0], y_val=digits[1])
    monkeypatch.undo()
    assert fitted.predict(digits[0][:3]).shape == (3,)
    # An epoch counts when its images that are held out are judged.
    assert fitted.fit(*digits).network_.epochs_trained == 5


# -- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"solver": "lbfgs"}, ValueError, "solver must be one of adam, sgd, rmsprop; got 'lbfgs': .* batch_size=32"),
        ({"activation": "tanh"}, ValueError, "must be one of relu, leaky-relu; got 'tanh': use 'relu'"),
        ({"activation": "identity"}, ValueError, r"hidden_layer_sizes=\(\) makes"),
        ({"activation": "swish"}, ValueError, "Classifier: activation must be one of relu, leaky-relu; got 'swish'$"),
        ({"learning_rate": "invscaling"}, ValueError, "a fastdigits.Schedule; got 'invscaling': 'step' and 'cosine'"),
        ({"batchnorm": True}, ValueError, "batchnorm must be one of first, all, none; got True"),
        ({"dropout": 1}, ValueError, "FastDigitsClassifier: dropout must be"),
        ({"scale": "255"}, ValueError, "scale must be one of auto, pixels, unit, numbers; got '255'"),
        ({"scale": None}, ValueError, "scale must be one of auto, pixels, unit, numbers; got None"),
        ({"learning_rate": "invscaling"}, ValueError, "learning_rate must be one of constant.*'invscaling'"),
        ({"learning_rate": 0.1}, ValueError, "learning_rate must be .*, or a fastdigits.Schedule; got 0.1"),
        ({"learning_rate_init": 0}, ValueError, "Adam: lr must be"),
        ({"weight_decay": -1}, ValueError, "FastDigitsClassifier: weight_decay must be"),
        ({"weight_decay": 0.1, "solver": "sgd"}, ValueError, "weight_decay must be 0 unless the solver is 'adam'"),
        ({"hidden_layer_sizes": (8, 0)}, ValueError, "Classifier: hidden_layer_sizes must be at least 1; got 0"),
        ({"hidden_layer_sizes": 0}, ValueError, "Classifier: hidden_layer_sizes must be at least 1; got 0"),
        ({"hidden_layer_sizes": "64,32"}, TypeError, r"must be an integer or a sequence .* \(64, 32\); got '64,32'"),
        ({"hidden_layer_sizes": (8.5,)}, TypeError, "hidden_layer_sizes must be an integer; got 8.5"),
        ({"batch_size": "all"}, ValueError, "batch_size must be 'auto' or an integer; got 'all'"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1; got 0"),
        ({"max_iter": 0}, ValueError, "FastDigitsClassifier: max_iter must be at least 1; got 0"),
        ({"tol": -1}, ValueError, "FastDigitsClassifier: tol must be"),
        ({"n_iter_no_change": 0}, ValueError, "n_iter_no_change must be at least 1; got 0"),
        ({"monitor": "loss"}, ValueError, "monitor must be one of val_accuracy, val_loss; got 'loss'"),
        ({"early_stopping": True, "validation_fraction": 0}, ValueError, "validation_fraction must be .* 0 <"),
        ({"early_stopping": True, "validation_fraction": 1.0}, ValueError, "validation_fraction must be .*< 1"),
        ({"class_weight": "equal"}, ValueError, "class_weight must be a dict, 'balanced' or None; got 'equal'"),
        ({"class_weight": {0: -1}}, ValueError, r"class_weight must hold .* not negative and .*; got \{0: -1\}"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_refused_and_leaves_what_was_trained(iris, settings, error, match):
    fitted = model(max_iter=1).fit(*iris)
    network = fitted.network_
    with pytest.raises(error, match=match):
        fitted.set_params(**settings).fit(*iris)
    assert fitted.network_ is network
    unfitted = model(**settings)
    with pytest.raises(error, match=match):
        unfitted.fit(*iris)
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        unfitted.predict(iris[0])


def test_one_class_is_refused(iris):
    with pytest.raises(ValueError, match=r"y must hold at least 2 classes; got 1 class: \[7\]"):
        model().fit(iris[0], np.full(150, 7))


def test_several_labels_a_row_are_refused(iris):
    with pytest.raises(
        ValueError, match=r"y must be \(n,\), one label .* got \(150, 3\): .* np.argmax\(y, axis=1\)"
    ):
        model().fit(iris[0], np.eye(3, dtype=int)[iris[1]])
    with pytest.raises(ValueError, match=r"got \(150, 3\): .* np.argmax"):
        model().fit(iris[0], np.eye(3)[iris[1]].tolist())


@pytest.mark.parametrize("other", [None, 7])
def test_labels_of_several_types_are_refused(iris, other):
    labels = np.array(["a", "b", "c"], object)[iris[1]]
    labels[5] = other
    with pytest.raises(
        TypeError, match=f"y must hold labels of one type.*; got {type(other).__name__} and str"
    ):
        model().fit(iris[0], labels)


def test_a_missing_label_among_numbers_is_named(iris):
    labels = iris[1].tolist()
    labels[5] = None
    with pytest.raises(ValueError, match=r"y must hold labels of one type.*; got NoneType and int"):
        model().fit(iris[0], labels)


def test_columns_without_numbers_are_named(iris):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(iris[0]).assign(colour="red", when=pandas.Timestamp(0), kind="5")
    with pytest.raises(ValueError, match="words or dates in the columns 'colour', 'when': encode them"):
        model().fit(frame, iris[1])
    fitted = model(max_iter=1).fit(frame[["kind"]].assign(b=iris[0][:, 0]), iris[1])  # "5" is a number
    with pytest.raises(ValueError, match="Feature names unseen at fit time"):
        fitted.predict(frame.rename(columns=str))


def test_a_list_of_images_is_taken_as_an_array_of_them(digits):
    images, y = digits[0].reshape(-1, 8, 8), digits[1]
    expected = model(max_iter=1).fit(images, y)
    found = model(max_iter=1).fit(list(images), list(y))
    assert same(found, expected)
    assert (found.predict(list(images[:5])) == expected.predict(images[:5])).all()
    with pytest.raises(ValueError, match="X must be an array with rows of equal length; got list"):
        model().fit([images[0], images[1, :4]], [0, 1])


def test_colour_images_are_refused():
    with pytest.raises(ValueError, match=r"X must be .*; got \(2, 8, 8, 3\): make colour images grey first"):
        model().fit(np.zeros((2, 8, 8, 3)), [0, 1])


def test_weights_below_zero_are_refused(iris):
    with pytest.raises(ValueError, match="FastDigitsClassifier: sample_weight must be finite, not negative"):
        model().fit(*iris, sample_weight=-np.ones(150))


def test_numbers_beyond_float32_are_refused(iris):
    with pytest.raises(ValueError, match=r"too large for dtype\('float32'\)"):
        model().fit(iris[0] * 1e40, iris[1])


def test_half_of_the_rows_to_validate_on_is_refused(iris):
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        model().fit(*iris, X_val=iris[0])


def test_other_layers_cannot_go_on(iris):
    fitted = model(max_iter=1, warm_start=True).fit(*iris)
    with pytest.raises(
        ValueError,
        match=r"the layers must stay \[Standardize\(4\), Dense\(4, 16.* got \[.*Dense\(4, 8.*train again",
    ):
        fitted.set_params(hidden_layer_sizes=(8,)).fit(*iris)


def test_new_classes_cannot_come_later(iris):
    x, y = iris
    fitted = model(max_iter=1, warm_start=True).fit(x[:100], y[:100])
    with pytest.raises(ValueError, match="previously unseen labels"):
        fitted.fit(x, y)


def test_classes_must_be_known_to_the_first_part(iris):
    with pytest.raises(ValueError, match="classes must be given to the first call of partial_fit; got None"):
        model().partial_fit(*iris)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"early_stopping": True}, "partial_fit must have early_stopping=False"),
        ({"class_weight": "balanced"}, "partial_fit must have a dict or None as class_weight"),
    ],
)
def test_there_is_no_partial_fit_where_it_would_mean_nothing(settings, reason):
    assert not hasattr(model(**settings), "partial_fit")
    with pytest.raises(AttributeError, match="no attribute 'partial_fit'") as caught:
        _ = model(**settings).partial_fit
    assert reason in str(caught.value.__cause__)
    assert hasattr(model(), "partial_fit")


def test_early_stopping_of_rows_that_are_all_alone_in_their_classes_is_refused(iris):
    with pytest.raises(
        ValueError, match=r"a class of at least two different rows.* got 3 rows .* give fit X_val"
    ):
        model(early_stopping=True).fit(iris[0][::50], iris[1][::50])


def test_other_classes_in_a_later_part_are_refused(iris):
    fitted = model().partial_fit(*iris, classes=[0, 1, 2])
    with pytest.raises(
        ValueError, match=r"classes must stay those of the first call, \[0 1 2\]; got \[0, 1\]"
    ):
        fitted.partial_fit(*iris, classes=[0, 1])


def test_without_scikit_learn_the_import_says_what_to_install():
    program = "import sys; sys.modules['sklearn'] = None; import fastdigits; import fastdigits.sklearn"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "ImportError: fastdigits.sklearn needs scikit-learn" in run.stderr
    assert "pip install 'scikit-learn>=1.6'" in run.stderr


def test_a_table_of_whole_numbers_may_be_numbers():
    x, y = np.array([[20, 30], [40, 99]]), [0, 1]
    later = np.array([[20, 30], [4000, -3]])
    model = FastDigitsClassifier(scale="numbers", max_iter=2, tol=None)
    for told in (clone(model).fit(x, y), model.partial_fit(x, y, [0, 1])):
        assert told.network_.scale == "numbers"
        told.predict(later)
    learned = FastDigitsClassifier(max_iter=2, tol=None, standardize=False)
    assert learned.fit(x, y).network_.scale == "numbers"
    x, later = (np.tile(each, 32) for each in (x, later))
    assert learned.fit(x, y).network_.scale == "pixels"  # 64 columns
    with pytest.raises(ValueError, match=r"must hold pixels 0 … 255, .* got values from -3 to 4000"):
        learned.predict(later)


def test_the_error_about_shards_says_how_to_read_them(tmp_path):
    x, y = examples()
    shards, model = fd.Shards(make(tmp_path, x, y)), FastDigitsClassifier(max_iter=1, tol=None).fit(x, y)
    for work in (lambda: model.fit(shards, y), lambda: model.predict(shards)):
        with pytest.raises(
            TypeError, match=r"X must hold real numbers; .* x, y = shards.load\(\) reads them"
        ):
            work()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("alpha", "weight_decay"), ("power_t", "learning_rate='step'"), ("max_fun", "max_iter")],
)
def test_a_parameter_of_mlpclassifier_that_is_not_there_is_explained_in_one_line(name, hint):
    for use in (FastDigitsClassifier, FastDigitsClassifier().set_params):
        with pytest.raises(TypeError, match=f"^FastDigitsClassifier: {name} is not a parameter: {hint}.*$"):
            use(**{name: 1})
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        FastDigitsClassifier(other=1)
    assert [*inspect.signature(FastDigitsClassifier).parameters][:2] == ["hidden_layer_sizes", "activation"]


def test_every_parameter_of_mlpclassifier_is_described():
    text = (Path(__file__).parents[2] / "docs" / "sklearn.md").read_text("utf-8")
    table = text.split("## The parameters of MLPClassifier")[1].split("##")[0]
    assert [name for name in MLPClassifier().get_params() if f"`{name}`" not in table] == []
    ours, theirs = FastDigitsClassifier().get_params(), MLPClassifier().get_params()
    same = re.findall("`([a-z_0-9]+)`", table.splitlines()[4].split("|")[1])
    assert len(same) == 17
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
