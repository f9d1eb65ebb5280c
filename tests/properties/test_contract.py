"""The public functions and classes work together, and every public name is documented."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastdigits as fd

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def mnist():
    return fd.load_mnist()


@pytest.fixture(scope="module")
def trained(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    net = fd.NeuralNetwork(
        [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)],
        seed=0,
    )
    history = net.fit(
        x_train[:6000],
        y_train[:6000],
        epochs=2,
        batch_size=128,
        optimizer=fd.Adam(lr=0.01),
        schedule=fd.OneCycle(),
        loss=fd.SoftmaxCrossEntropy(label_smoothing=0.05),
        validation_data=(x_test[:1000], y_test[:1000]),
        callbacks=[fd.EarlyStopping(patience=3)],
        threads=None,
    )
    return net, history


def test_load_mnist_returns_uint8_images_and_labels(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    assert [array.shape for array in (x_train, y_train, x_test, y_test)] == [
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    ]
    assert {array.dtype for array in (x_train, y_train, x_test, y_test)} == {np.dtype(np.uint8)}


def test_fit_returns_a_history_and_learns_mnist(trained):
    _, history = trained
    assert isinstance(history, fd.History)
    lists = (
        history.epoch,
        history.loss,
        history.accuracy,
        history.val_loss,
        history.val_accuracy,
        history.lr,
    )
    assert {len(entries) for entries in (*lists, history.seconds, history.images_per_second)} == {2}
    assert history.val_accuracy[-1] > 0.85


def test_a_training_loop_by_hand_lowers_the_loss(mnist):
    (x_train, y_train), _ = mnist
    x, y = x_train[:256], y_train[:256]
    net = fd.NeuralNetwork([fd.Dense(784, 32), fd.ReLU(), fd.Dense(32, 10)], seed=0)
    loss = fd.SoftmaxCrossEntropy()
    for optimizer in (
        fd.SGD(lr=0.1),
        fd.Momentum(lr=0.01, momentum=0.9),
        fd.RMSprop(lr=0.001),
        fd.Adam(lr=0.001),
        fd.AdamW(lr=0.001, weight_decay=0.01),
    ):
        values = []
        for _ in range(5):
            logits = net.forward(x, training=True)
            assert logits.shape == (256, 10)
            assert logits.dtype == np.float32
            values.append(loss.forward(logits, y))
            net.backward(loss.backward())
            assert all(parameter.grad.any() for parameter in net.parameters())
            optimizer.step(net.parameters())
        assert isinstance(values[0], float)
        assert values[-1] < values[0]


def test_parameters_have_a_name_a_value_and_a_gradient(trained):
    net, _ = trained
    parameter = net.parameters()[0]
    assert (parameter.name, parameter.value.shape, parameter.grad.shape) == (
        "dense1.weight",
        (784, 64),
        (784, 64),
    )


def test_predictions_and_scores_agree(trained, mnist):
    net, _ = trained
    _, (x_test, y_test) = mnist
    labels, probs, score = net.predict(x_test), net.predict_proba(x_test), net.evaluate(x_test, y_test)
    assert labels.shape == (10000,)
    assert (probs.shape, probs.dtype) == ((10000, 10), np.float32)
    assert score.keys() == {"loss", "accuracy"}
    assert score["accuracy"] == fd.accuracy(y_test, labels) == (labels == y_test).mean()
    assert "dense1" in net.summary()


def test_a_saved_network_loads_and_predicts_the_same(trained, mnist, tmp_path):
    net, _ = trained
    _, (x_test, _) = mnist
    net.save(tmp_path / "digits.safetensors")
    other = fd.load(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(other.predict_proba(x_test), net.predict_proba(x_test))


# -- the surface -------------------------------------------------------------------------------------------


def test_every_public_name_exists_and_is_documented():
    assert len(set(fd.__all__)) == len(fd.__all__)
    for name in fd.__all__:
        if name != "__version__":
            assert getattr(fd, name).__doc__, name


@pytest.mark.parametrize(
    "module", [fd, fd.visualize, fd.recipes, fd.distributed], ids=lambda one: one.__name__
)
def test_dir_shows_the_public_names_and_nothing_else(module):
    assert dir(module) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in dir(module))


@pytest.mark.needs("sklearn")
def test_the_estimator_is_there_without_another_import():
    assert dir(fd.__getattr__("sklearn")) == ["FastDigitsClassifier"]
    assert "sklearn" not in fd.__all__  # a star import must not need an extra


def test_recipes_lists_every_recipe():
    found = {name for name, value in vars(fd.recipes).items() if isinstance(value, fd.recipes.Recipe)}
    assert found == set(fd.recipes.__all__) - {"RECIPES", "Recipe", "get", "load", "table"}


def test_the_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("fastdigits") == fd.__version__


def test_importing_the_package_imports_no_optional_package():
    code = (
        "import sys, fastdigits; "
        "print(*{'matplotlib', 'safetensors', 'tqdm', 'jinja2', 'sklearn', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
