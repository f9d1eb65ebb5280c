"""The options of fit stand in one place: the signature, recipes, the command and checkpoints agree with it."""

import inspect
from dataclasses import fields

import pytest

import fastdigits as fd
from fastdigits.commands import train_options
from fastdigits.recipes import Recipe
from fastdigits.training.options import FitOptions
from fastdigits.training.ranks import Ranks

OPTIONS = {field.name: field for field in fields(FitOptions)}


def test_fit_has_these_options_with_these_defaults():
    parameters = list(inspect.signature(fd.NeuralNetwork.fit).parameters.values())[3:]
    assert {one.name: one.default for one in parameters} == {
        name: field.default for name, field in OPTIONS.items()
    }
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters)


def test_fit_hands_each_option_on(monkeypatch):
    from fastdigits.training import loop

    monkeypatch.setattr(loop, "fit", lambda network, x, y, options: options)
    given = {
        "epochs": 3, "batch_size": 7, "optimizer": fd.SGD(1), "schedule": fd.Cosine(),
        "loss": fd.SoftmaxCrossEntropy(label_smoothing=0.5), "augment": fd.Augmentation(), "adversarial": 0.5,
        "clip_norm": 2.0,
        "average": fd.EMA(0.5), "validation_data": None, "validation_split": 0.25, "sample_weight": [1],
        "callbacks": (fd.Callback(),), "shuffle": False, "progress": True, "threads": 5, "resume": "here",
            "batch_shards": 4, "average_every": 2, "ranks": Ranks(),
    }  # fmt: skip
    net = fd.NeuralNetwork([fd.Dense(2, 2)])
    assert vars(net.fit(0, 0, **given)) == given
    assert vars(net.fit(0, 0, validation_data=(1, 2)))["validation_data"] == (1, 2)
    assert given.keys() == OPTIONS.keys()


def test_what_is_none_becomes_a_new_default():
    first, second = FitOptions(), FitOptions()
    assert [repr(one) for one in (first.optimizer, first.schedule, first.loss)] == [
        "Adam()",
        "Constant()",
        "SoftmaxCrossEntropy()",
    ]
    assert first.optimizer is not second.optimizer


def test_recipes_and_the_command_have_the_defaults_of_fit():
    recipe, options = Recipe(name="plain"), train_options.read([])
    for name in {field.name for field in fields(Recipe)} & OPTIONS.keys() - {"optimizer", "schedule"}:
        assert getattr(recipe, name) == OPTIONS[name].default, name
    for name in train_options.SETTINGS:
        assert getattr(options, name) == getattr(recipe, name), name


def test_a_checkpoint_records_what_decides_the_result():
    options = FitOptions(
        optimizer=fd.SGD(0.5), clip_norm=1, callbacks=[fd.Progress(), fd.EarlyStopping()], threads=3
    )
    assert options.recorded() == {
        "epochs": 10,
        "batch_size": 128,
        "optimizer": "SGD(lr=0.5)",
        "schedule": "Constant()",
        "loss": "SoftmaxCrossEntropy()",
        "augment": None,
        "adversarial": 0.0,
        "clip_norm": 1.0,
        "average": None,
        "callbacks": ["EarlyStopping"],
        "shuffle": True,
        "batch_shards": 1,
        "average_every": 0,
    }


def test_options_cannot_be_changed():
    with pytest.raises(AttributeError):
        FitOptions().epochs = 3  # type: ignore[misc]
