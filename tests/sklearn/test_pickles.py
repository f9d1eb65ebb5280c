"""A pickled classifier: small, exact, and trainable also from a read-only memory map."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn, the extra `sklearn`, is not installed")
import joblib
from sklearn.base import clone

import fastdigits as fd
from fastdigits.sklearn import FastDigitsClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = fd.load_mnist()
    return x[:600].reshape(600, -1), y[:600]


def model(**settings):
    return FastDigitsClassifier(
        (64,), **{"max_iter": 2, "tol": None, "random_state": 0, "batchnorm": "all", **settings}
    )


def through_a_map(fitted, folder):
    joblib.dump(fitted, folder / "model")
    return joblib.load(folder / "model", mmap_mode="r")


def through_pickle(fitted, _folder):
    return pickle.loads(pickle.dumps(fitted))


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "sgd"}], ids=str)
def test_a_pickle_holds_the_weights_once(digits, settings):
    fitted = model(**settings).fit(*digits)
    weights = sum(one.value.nbytes for one in fitted.network_.parameters())
    assert len(pickle.dumps(fitted)) < 1.1 * weights
    assert len(pickle.dumps(fitted.network_)) < 1.1 * weights


@pytest.mark.parametrize("way", [lambda one, _: copy.deepcopy(one), through_pickle, through_a_map])
@pytest.mark.parametrize(
    "settings", [{"dropout": 0.2}, {"dropout": 0.2, "solver": "sgd", "warm_start": True}], ids=str
)
def test_a_copy_predicts_and_continues_with_the_same_bits(digits, settings, way, tmp_path):
    fitted = model(**settings).fit(*digits)
    other = way(fitted, tmp_path)
    assert other.predict_proba(digits[0]).tobytes() == fitted.predict_proba(digits[0]).tobytes()
    for one in (fitted, other):
        one.partial_fit(*digits)
        one.set_params(warm_start=True).fit(*digits)
    assert other.network_.values.tobytes() == fitted.network_.values.tobytes()
    assert fitted.network_.epochs_trained == 5


def test_early_stopping_continues_with_the_same_bits(digits, tmp_path):
    fitted = model(early_stopping=True, warm_start=True, max_iter=4, learning_rate_init=0.05).fit(*digits)
    assert fitted._last_weights is not None
    other = through_a_map(fitted, tmp_path)
    assert other.fit(*digits).network_.values.tobytes() == fitted.fit(*digits).network_.values.tobytes()


def test_training_a_network_from_a_map_leaves_the_file_as_it_is(digits, tmp_path):
    x, y = digits
    net, optimizer = (
        fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.Dropout(0.1), fd.Dense(64, 10)]),
        fd.Adam(),
    )
    net.fit(x, y, epochs=1, optimizer=optimizer)
    joblib.dump((net, optimizer), tmp_path / "pair")
    content = (tmp_path / "pair").read_bytes()
    for mode in ("r", "r+"):
        other, moments = joblib.load(tmp_path / "pair", mmap_mode=mode)
        other.fit(x, y, epochs=1, optimizer=moments)
        assert other.values.tobytes() == copy_of(net, optimizer, x, y)
        assert (tmp_path / "pair").read_bytes() == content


def copy_of(net, optimizer, x, y):
    net, optimizer = copy.deepcopy((net, optimizer))
    net.fit(x, y, epochs=1, optimizer=optimizer)
    return net.values.tobytes()


def test_a_fit_that_does_not_continue_releases_what_only_continuing_needs(digits):
    fitted = model(early_stopping=True).fit(*digits)
    assert fitted._last_weights is None
    assert fitted._optimizer.state_dict(fitted.network_.parameters())["step"] == 0
    assert not hasattr(clone(fitted), "network_")


def test_an_older_pickle_loads(digits):
    fitted = model().fit(*digits)
    older = fd.Parameter.__new__(fd.Parameter)
    given = fitted.network_.parameters()[0]
    older.__setstate__((None, {"_grad": given.grad, "_value": given.value, "name": given.name}))
    assert np.array_equal(older.value, given.value)
    assert older.grad.shape == given.value.shape
    assert not older.grad.any()
