"""The columns of a table are standardised, whatever their units; images and sparse rows stay as they are."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier

sparse = pytest.importorskip("scipy.sparse")


@pytest.fixture(scope="module")
def wine():
    """13 columns, from 0.13 … 0.66 to 278 … 1680."""
    return load_wine(return_X_y=True)


def model(**settings):
    return FastDigitsClassifier((16,), **{"max_iter": 5, "tol": None, "random_state": 0} | settings)


def first_layer(model) -> fd.Layer:
    return model.network_.layers[0]


def test_raw_columns_are_classified(wine):
    settings = {"max_iter": 60, "learning_rate_init": 0.01}
    assert cross_val_score(model(**settings), *wine, cv=3).mean() > 0.95
    assert cross_val_score(model(standardize=False, **settings), *wine, cv=3).mean() < 0.9


def test_mean_and_variance_are_those_of_all_rows(wine):
    x, y = wine
    for settings in ({}, {"early_stopping": True, "class_weight": "balanced"}):
        layer = first_layer(model(**settings).fit(x, y))
        scaler = StandardScaler().fit(x.astype(np.float32))
        np.testing.assert_allclose(layer.mean, scaler.mean_, rtol=1e-6)
        np.testing.assert_allclose(layer.var, scaler.var_, rtol=1e-6)


def test_it_is_as_good_as_a_pipeline(wine):
    """Both have the same columns, which differ by rounding."""
    x, y = wine
    scaled = StandardScaler().fit_transform(x)
    one, other = model().fit(x, y), model(standardize=False).fit(scaled, y)
    np.testing.assert_allclose(one.predict_proba(x), other.predict_proba(scaled), atol=1e-4)


def test_a_row_of_weight_2_counts_twice_and_a_row_of_weight_0_not_at_all(wine):
    x, y = wine[0][:90], wine[1][:90]
    weight = np.arange(90) % 3
    one = first_layer(model().fit(x, y, sample_weight=weight))
    other = first_layer(model().fit(np.repeat(x, weight, axis=0), np.repeat(y, weight)))
    np.testing.assert_array_equal([one.mean, one.var], [other.mean, other.var])


@pytest.mark.parametrize("at_once", [1, 7, 178])
def test_parts_add_up(wine, at_once):
    x, y = (each[:: 1 if at_once > 1 else 3] for each in wine)
    parts = model()
    for start in range(0, len(x), at_once):
        parts.partial_fit(x[start : start + at_once], y[start : start + at_once], [0, 1, 2])
        parts = pickle.loads(pickle.dumps(parts)) if start < 10 else parts
    whole = first_layer(model().fit(x, y))
    np.testing.assert_allclose(first_layer(parts).mean, whole.mean, rtol=1e-5)
    np.testing.assert_allclose(first_layer(parts).var, whole.var, rtol=1e-5)


def test_more_epochs_keep_the_statistics(wine):
    x, y = wine
    going = model(warm_start=True).fit(x, y)
    before = first_layer(going).mean.copy()
    going.fit(x[:100] + 1000, y[:100])
    np.testing.assert_array_equal(first_layer(going).mean, before)


def test_images_and_sparse_rows_stay_as_they_are(wine):
    x, y = load_digits(return_X_y=True)
    images = (x.reshape(-1, 8, 8)[:200] * 15).astype(np.uint8), y[:200]
    small = x[:200].reshape(-1, 8, 8)[:, :4, :4], y[:200]
    for rows, labels in (images, small, (x[:200], y[:200]), (images[0].reshape(200, 64) / 255, y[:200])):
        fitted = model().fit(rows, labels)
        assert isinstance(first_layer(fitted), fd.Dense)
        assert isinstance(first_layer(model().fit(sparse.csr_matrix(wine[0]), wine[1])), fd.Dense)
    assert model().fit(*images).network_.scale == "pixels"


def test_whole_numbers_of_a_table_have_no_largest_value():
    x = np.random.default_rng(0).integers(0, 200, (60, 5))
    fitted = model().fit(x, x[:, 0] > 99)
    assert fitted.network_.scale == "numbers"
    fitted.predict(x * 100)


def test_pixels_may_be_standardised_too():
    x, y = load_digits(return_X_y=True)
    images = (x * 15).astype(np.uint8)
    plain, pixels = (model(standardize=True, scale=scale).fit(images, y) for scale in ("auto", "pixels"))
    assert pixels.network_.scale == "pixels"
    np.testing.assert_allclose(pixels.predict_proba(images), plain.predict_proba(images), atol=1e-3)
    assert not isinstance(first_layer(model(scale="unit").fit(images[:, :9] / 255, y)), fd.Standardize)


def test_columns_of_almost_any_size_are_standardised():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)) * [1e-18, 1e18, 1]
    x = np.column_stack([x, np.full(50, 1e6 + 0.1), np.zeros(50)])
    fitted = model().fit(x, x[:, 2] > 0)
    assert np.isfinite(fitted.predict_proba(x)).all()
    np.testing.assert_allclose(
        first_layer(fitted).forward(np.float32(x)).std(axis=0), [1, 1, 1, 0, 0], rtol=1e-5
    )


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_a_column_whose_variance_float32_cannot_hold_is_named(wine, factor):
    """It became 0, or remained large, without a word."""
    x = wine[0] * np.where(np.arange(13) == 4, factor, 1)
    for train in (model().fit, lambda x, y: model().partial_fit(x, y, [0, 1, 2])):
        with pytest.raises(
            ValueError, match=r"Classifier: X: column 4, .* standard deviation .* another unit"
        ):
            train(x, wine[1])


def test_a_column_whose_differences_float32_rounds_away_is_named(wine):
    x, y = wine
    times = np.column_stack([x, 1.7e9 + 10 * x[:, 0]])
    for train in (model().fit, lambda x, y: model().partial_fit(x, y, [0, 1, 2])):
        with pytest.warns(UserWarning, match="FastDigitsClassifier: X: column 13, .* subtract a constant"):
            train(times, y)


def test_another_value_is_refused(wine):
    for value in ("yes", None, 2):
        with pytest.raises(ValueError, match=r"standardize must be True, False or 'auto'; got"):
            model(standardize=value).fit(*wine)
    fitted = model(warm_start=True).fit(*wine)
    with pytest.raises(ValueError, match="the layers must stay"):
        fitted.set_params(standardize=False).fit(*wine)
    assert clone(fitted).standardize is False
