"""Recipes make networks and trainings, print themselves and are kept in files; the command has the same presets."""

import dataclasses
import json

import numpy as np
import pytest

import fastdigits as fd
from fastdigits import recipes
from fastdigits.commands import train_options
from fastdigits.recipes import Recipe

EVERYTHING = Recipe(
    name="everything",
    hidden=(12, 9),
    activation="leaky-relu",
    batchnorm="all",
    dropout=0.1,
    epochs=2,
    batch_size=20,
    optimizer="adamw",
    learning_rate=0.02,
    weight_decay=0.1,
    schedule="cosine",
    label_smoothing=0.1,
    clip_norm=2.0,
    augment=fd.Augmentation(rotation=5, alpha=9, sigma=2),
    ema=0.9,
    moment_norm=True,
)


def examples(n: int = 100) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (n, 8, 8), dtype=np.uint8), np.arange(n) % 3


@pytest.mark.parametrize("name", ["original", "fast", "default", "accurate", "best"])
def test_each_preset_trains_a_network(name):
    recipe = recipes.get(name)
    assert recipe.name == name
    quick = dataclasses.replace(recipe, epochs=1, hidden=recipe.hidden if len(recipe.hidden) == 2 else (9,))
    if recipe is recipes.BEST:
        quick = dataclasses.replace(quick, hidden=(20, 10))
    x, y = examples()
    network = quick.network(64, 3, seed=5)
    history = network.fit(x, y, **quick.fit_arguments())
    assert len(history) == 1
    assert network.seed == 5
    if name not in ("best", "plain", "robust"):
        assert recipe.hidden == (64, 32)


def test_presets_have_the_documented_networks_and_epochs():
    assert recipes.ORIGINAL.epochs == 10
    assert repr(recipes.ORIGINAL.make_optimizer()) == "RMSprop()"
    assert recipes.DEFAULT.epochs <= 15
    original = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
    for recipe in (recipes.ORIGINAL, recipes.FAST):
        assert list(map(repr, recipe.layers())) == list(map(repr, original))
    assert list(map(repr, recipes.DEFAULT.layers())) == list(map(repr, [fd.MomentNorm(28, 28), *original]))
    assert recipes.PLAIN.augment is None  # nothing in it says where a pixel lies
    assert not recipes.PLAIN.moment_norm


def test_a_recipe_makes_layers_and_arguments_of_fit():
    arguments = EVERYTHING.fit_arguments()
    shown = {name: str(value) for name, value in arguments.items() if name != "loss"}
    assert shown == {
        "epochs": "2",
        "batch_size": "20",
        "optimizer": "AdamW(lr=0.02, weight_decay=0.1)",
        "schedule": "Cosine()",
        "augment": "Augmentation(rotation=5, alpha=9, sigma=2)",
        "adversarial": "0.0",
        "clip_norm": "2.0",
        "average": "EMA(decay=0.9)",
    }
    assert arguments["loss"].label_smoothing == 0.1
    assert [type(layer).__name__ for layer in EVERYTHING.layers(64, 3)] == [
        *("MomentNorm", "Dense", "BatchNorm", "LeakyReLU", "Dropout"),
        *("Dense", "BatchNorm", "LeakyReLU", "Dropout", "Dense"),
    ]
    other = dataclasses.replace(
        EVERYTHING, ema=None, swa=0.5, optimizer="momentum", momentum=0.8, weight_decay=None
    )
    assert repr(other.make_average()) == "SWA(start=0.5)"
    assert repr(other.make_optimizer()) == "Momentum(lr=0.02, momentum=0.8)"
    assert Recipe(name="plain").make_average() is None


def test_the_first_layer_normalises_images_of_their_height_and_width():
    recipe = Recipe(name="m", moment_norm=True)
    assert repr(recipe.layers()[0]) == "MomentNorm(28, 28)"
    assert repr(recipe.layers(12, image_shape=(3, 4))[0]) == "MomentNorm(3, 4)"
    assert repr(recipe.network(64, 3).layers[0]) == "MomentNorm(8, 8)"
    with pytest.raises(
        ValueError, match=r"Recipe m: moment_norm needs .* got 12 pixels, .* no square: give image_shape"
    ):
        recipe.layers(12)
    with pytest.raises(ValueError, match="got 12 pixels, which are not 2 x 5: give image_shape to layers"):
        recipe.layers(12, image_shape=(2, 5))
    with pytest.raises(ValueError, match="Recipe m: width must be at least 1; got -4"):
        recipe.network(-4)


def test_fit_arguments_are_new_objects_each_time():
    first, second = EVERYTHING.fit_arguments(), EVERYTHING.fit_arguments()
    assert first["optimizer"] is not second["optimizer"]
    assert first["average"] is not second["average"]


def test_a_recipe_prints_itself():
    assert str(EVERYTHING).splitlines() == [
        "recipe           everything",
        "hidden           12, 9",
        "activation       leaky-relu",
        "batchnorm        all",
        "dropout          0.1",
        "epochs           2",
        "batch size       20",
        "optimizer        adamw",
        "learning rate    0.02",
        "weight decay     0.1",
        "schedule         cosine",
        "label smoothing  0.1",
        "clip norm        2.0",
        "augment          Augmentation(rotation=5, alpha=9, sigma=2)",
        "ema              0.9",
        "moment norm      True",
    ]
    for recipe in recipes.RECIPES.values():
        assert str(recipe) in recipes.table()
        assert recipe.about in str(recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "tanh"}, "Recipe x: activation must be one of relu, leaky-relu; got 'tanh'"),
        ({"batchnorm": "last"}, "batchnorm must be one of first, all, none; got 'last'"),
        ({"optimizer": "lion"}, "optimizer must be one of"),
        ({"schedule": "linear"}, "schedule must be one of"),
        ({"moment_norm": 1}, "Recipe x: moment_norm must be true or false; got 1"),
        ({"ema": 0.9, "swa": 0.5}, "only one of ema and swa may be given; got both"),
        ({"momentum": 0.9}, "Recipe x: momentum needs the optimizer momentum; got adam"),
        ({"dropout": 1}, "Recipe x: dropout must be a finite float32 number with 0 ≤ dropout < 1; got 1"),
        ({"learning_rate": 0}, "learning_rate must be a finite float32 number with 0 < learning_rate; got 0"),
        ({"hidden": 64}, "hidden must be a list of widths; got 64"),
        ({"hidden": (64, 0)}, "hidden must be at least 1; got 0"),
        ({"hidden": (1,) * 1001}, "hidden must be at most 1,000 widths; got 1,001"),
        ({"epochs": 1.5}, "epochs must be an integer; got 1.5"),
        ({"about": 3}, "about must be a text; got 3"),
        ({"augment": "none"}, "augment must be an Augmentation, or entries by name; got 'none'"),
        ({"augment": {"turn": 3}}, "Recipe x: augment: 'turn' is none of rotation, scale"),
    ],
)
def test_a_wrong_recipe_raises(change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Recipe(name="x", **change)


def test_each_setting_has_a_check():
    assert list(recipes._CHECKS) == [field.name for field in dataclasses.fields(Recipe)]


def test_a_recipe_without_hidden_layers_is_a_linear_classifier():
    recipe = Recipe(name="linear", hidden=())
    assert list(map(repr, recipe.layers(64, 3))) == ["Dense(64, 3)"]
    assert str(recipe).splitlines()[1] == "hidden           none"


# -- files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [*recipes.RECIPES.values(), EVERYTHING], ids=lambda one: one.name)
def test_a_recipe_is_read_from_its_file_as_it_was(recipe, tmp_path):
    recipe.save(tmp_path / "mine.json")
    assert recipes.load(tmp_path / "mine.json") == recipe


def test_a_file_may_omit_settings(tmp_path):
    (tmp_path / "mine.json").write_text('{"fastdigits_recipe": 1, "hidden": [9], "augment": {"rotation": 5}}')
    expected = Recipe(
        name="mine", hidden=(9,), augment=fd.Augmentation(rotation=5, scale=0, shear=0, shift=0)
    )
    assert recipes.load(tmp_path / "mine.json") == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fastdigits_recipe": 2}, "got: version 2, this package reads 1: update fastdigits"),
        ({"fastdigits_recipe": True}, 'it must have the entry "fastdigits_recipe": 1; got True'),
        ({"batchsize": 3}, "unknown setting 'batchsize'; did you mean 'batch_size'?"),
        ({"xyz": 3}, "unknown setting 'xyz'; the settings are name, about, hidden"),
        ({"epochs": "3"}, "Recipe fast: epochs must be an integer; got '3'"),
    ],
)
def test_a_wrong_file_raises_an_error_with_its_name(change, message, tmp_path):
    path = tmp_path / "mine.json"
    recipes.FAST.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(fd.DataError) as caught:
        recipes.load(path)
    assert str(caught.value).startswith(f"{path}: must be a recipe; got: ")
    assert message in str(caught.value)


def test_a_file_that_is_missing_raises(tmp_path):
    with pytest.raises(fd.DataError, match="must be a file with a JSON object; got: nothing of this name"):
        recipes.load(tmp_path / "none.json")


def test_an_unknown_name_raises():
    with pytest.raises(ValueError, match=r"recipes\.get: name must be one of original, .*; got 'quick'"):
        recipes.get("quick")


# -- the command's presets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_preset_of_the_command_is_the_recipe(name):
    chosen = train_options.recipe(train_options.read(["--preset", name]))
    assert dataclasses.replace(chosen, about=recipes.get(name).about) == recipes.get(name)


def test_a_recipe_file_is_to_the_command_what_a_preset_is(tmp_path):
    path = str(tmp_path / "mine.json")
    recipes.ACCURATE.save(path)
    for words in ([], ["--optimizer", "sgd", "--swa", "0.5"], ["--epochs", "3", "--augment", "none"]):
        by_name, by_file = (
            train_options.recipe(train_options.read([*base, *words]))
            for base in (["--preset", "accurate"], ["--recipe", path])
        )
        assert dataclasses.replace(by_file, name="accurate") == by_name


def test_without_a_preset_the_options_make_a_custom_recipe():
    assert train_options.recipe(train_options.read([])) == Recipe(name="custom")


def test_options_override_a_preset():
    argv = [
        "--epochs",
        "3",
        "--preset",
        "accurate",
        "--augment",
        "none",
        "--hidden",
        "9",
        "--swa",
        "0.5",
        "--optimizer",
        "sgd",
        "--clip-norm",
        "2",
    ]
    chosen = train_options.recipe(train_options.read(argv))
    expected = dataclasses.replace(
        recipes.ACCURATE,
        about="",
        epochs=3,
        augment=None,
        hidden=(9,),
        swa=0.5,
        ema=None,
        optimizer="sgd",
        weight_decay=None,
        clip_norm=2.0,
    )
    assert chosen == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", None),
        ("rotation=10", fd.Augmentation(rotation=10, scale=0, shear=0, shift=0)),
        (
            "alpha=34,sigma=5,fade=0.2",
            fd.Augmentation(rotation=0, scale=0, shear=0, shift=0, alpha=34, sigma=5, fade=0.2),
        ),
    ],
)
def test_augment_reads_an_augmentation(text, expected):
    assert train_options.read(["--augment", text]).augment == expected


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            "--preset quick",
            "--preset: must be one of original, fast, default, accurate, best, plain, robust; got 'quick'",
        ),
        (
            "--augment turn=3",
            "--augment: must be like rotation=10,shift=1.5; got 'turn=3': 'turn' is none of rotation",
        ),
        (
            "--augment rotation",
            "--augment: must be like rotation=10,shift=1.5; got 'rotation': could not convert",
        ),
        (
            "--augment scale=3",
            "--augment: .* scale must be a finite float32 number with 0 ≤ scale ≤ 0.5; got 3",
        ),
        ("--ema 1", "--ema: must be a number of at least 0 and below 1"),
        ("--ema 0.9 --swa 0.5", "--swa: not allowed with argument --ema"),
        ("--clip-norm 0", "--clip-norm: must be a number above 0"),
        ("--lr fast", "--learning-rate: must be a number above 0; got 'fast'"),
        (
            "--recipe none.json",
            "--recipe: none.json: must be a file with a JSON object; got: nothing of this name",
        ),
        ("--recipe=", "--recipe: must be the name of a file or folder; got ''"),
        ("--recipe a --preset fast", "--preset: not allowed with argument --recipe"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_2(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        train_options.read(argv.split())
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message.split(" .* ")[0] in error
    assert message.split(" .* ")[-1] in error
