"""The options of the train command choose what they say, and contradictions are refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastdigits as fd
from fastdigits import backend
from fastdigits.commands import arguments, run_folder, train_options

SOURCE = Path(fd.__file__).parents[1]


def shapes(*argv):
    return [repr(layer) for layer in train_options.recipe(train_options.read(argv)).layers(784, 10)]


def test_without_options_the_network_is_that_of_the_original():
    expected = ["Dense(784, 64)", "BatchNorm(64)", "ReLU()", "Dense(64, 32)", "ReLU()", "Dense(32, 10)"]
    assert shapes() == expected


def test_without_options_training_is_adam_at_a_hundredth_over_one_cycle():
    options = train_options.read([])
    assert (options.epochs, options.batch_size, options.seed, options.validation_split) == (10, 128, 0, 0.0)
    assert repr(train_options.recipe(options).make_optimizer()) == "Adam(lr=0.01)"
    assert repr(train_options.recipe(options).make_schedule()) == "OneCycle()"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--hidden", "5"], ["Dense(784, 5)", "BatchNorm(5)", "ReLU()", "Dense(5, 10)"]),
        (["--hidden", "5", "--batchnorm", "none"], ["Dense(784, 5)", "ReLU()", "Dense(5, 10)"]),
        (
            ["--hidden", "5,4", "--batchnorm", "all"],
            [
                "Dense(784, 5)",
                "BatchNorm(5)",
                "ReLU()",
                "Dense(5, 4)",
                "BatchNorm(4)",
                "ReLU()",
                "Dense(4, 10)",
            ],
        ),
        (
            ["--hidden", "5,4", "--batchnorm", "none", "--dropout", "0.2", "--activation", "leaky-relu"],
            [
                *("Dense(784, 5)", "LeakyReLU()", "Dropout(rate=0.2)"),
                *("Dense(5, 4)", "LeakyReLU()", "Dropout(rate=0.2)", "Dense(4, 10)"),
            ],
        ),
    ],
)
def test_the_network_follows_the_options(argv, expected):
    assert [shape.replace("Dropout(0.2)", "Dropout(rate=0.2)") for shape in shapes(*argv)] == expected


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["sgd"], fd.SGD(0.5)),
        (["momentum"], fd.Momentum(0.5)),
        (["momentum", "--momentum", "0.5"], fd.Momentum(0.5, momentum=0.5)),
        (["rmsprop"], fd.RMSprop(0.5)),
        (["adam"], fd.Adam(0.5)),
        (["adamw"], fd.AdamW(0.5)),
        (["adamw", "--weight-decay", "0"], fd.AdamW(0.5, weight_decay=0.0)),
    ],
)
def test_the_optimizer_follows_the_options(argv, expected):
    options = train_options.read(["--learning-rate", "0.5", "--optimizer", *argv])
    chosen = train_options.recipe(options).make_optimizer()
    assert type(chosen) is type(expected)
    assert chosen.config() == expected.config()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("constant", fd.Constant), ("step", fd.Step), ("cosine", fd.Cosine)),
        *(("one-cycle", fd.OneCycle), ("warm-up", fd.WarmUp)),
    ],
)
def test_the_schedule_follows_the_options(name, kind):
    assert type(train_options.recipe(train_options.read(["--schedule", name])).make_schedule()) is kind


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--momentum 0.5", "--momentum: needs --optimizer momentum; got --optimizer adam"),
        (
            "--weight-decay 0.1 --optimizer sgd",
            "--weight-decay: needs --optimizer adamw; got --optimizer sgd",
        ),
        ("--weight-decay 0", "--weight-decay: needs --optimizer adamw; got --optimizer adam"),
        ("--patience 3", "--patience: needs .* got --validation-split 0: add --validation-split 0.1"),
        ("--overwrite", "--overwrite: needs a folder; got none: name it with --output"),
        (
            "--hidden 64,,3",
            "--hidden: must be whole numbers of at least 1 with commas between them.*got '64,,3'",
        ),
        ("--hidden -1,2", "--hidden: expected one argument"),
        ("--epochs 0", "--epochs: must be a whole number of at least 1; got '0'"),
        ("--batch-size 1e3", "--batch-size: must be a whole number of at least 1; got '1e3'"),
        ("--optimizer newton", "--optimizer: must be one of .*; got 'newton'"),
        ("--schedule never", "--schedule: must be one of .*; got 'never'"),
        ("--activation tanh", "--activation: must be one of .*; got 'tanh'"),
        ("--batchnorm last", "--batchnorm: must be one of .*; got 'last'"),
        ("--backend gpu", "--backend: must be one of .*; got 'gpu'"),
        ("--learning-rate nan", "--learning-rate: must be a number above 0; got 'nan'"),
        (
            "--momentum 1 --optimizer momentum",
            "--momentum: must be a number of at least 0 and below 1; got '1'",
        ),
        ("--weight-decay -1 --optimizer adamw", "--weight-decay: must be a number of at least 0; got '-1'"),
        ("--dropout 1", "--dropout: must be a number of at least 0 and below 1; got '1'"),
        ("--label-smoothing 1", "--label-smoothing: must be a number of at least 0 and below 1; got '1'"),
        (
            "--validation-split 1.5",
            "--validation-split: must be a number of at least 0 and below 1; got '1.5'",
        ),
        ("--patience 0", "--patience: must be a whole number of at least 1; got '0'"),
        ("--seed -1", "--seed: must be a whole number of at least 0; got '-1'"),
        ("--threads 0", "--threads: must be a whole number of at least 1; got '0'"),
        ("--output=", "--output: must be the name of a file or folder; got ''"),
        ("--epoch 3", "unknown option '--epoch'; did you mean '--epochs'?"),
        ("digits", "unexpected argument 'digits'; see --help"),
    ],
)
def test_a_bad_value_is_one_line_and_exit_2(argv, message, capsys):
    with pytest.raises(SystemExit) as caught:
        train_options.read(argv.split())
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(f"fastdigits train: error: {message}.*\n", captured.err)


def test_help_tells_each_default_as_it_is(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        train_options.read(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    options = vars(train_options.read([]))
    for name, value in options.items():
        shows = re.compile(
            rf" --{name.replace('_', '-')}[ ,]"
        )  # with a comma where Python 3.13 gives a metavar once
        start = shows.search(text, text.index("preset:")).start()
        told = re.search(r"\(default(?: there)?: ([^)]*)\)", text[start:])
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        if shown not in (None, False):
            assert told[1] == (f"{shown:g}" if isinstance(shown, float) else str(shown)), name


def test_help_fits_80_columns_and_any_encoding(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        train_options.read(["--help"])
    text = capsys.readouterr().out
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80


def test_each_example_of_the_help_is_read():
    lines = [line.split("   ")[0].split() for line in train_options.EXAMPLES.splitlines()]
    examples = [
        words[2:] for words in ([w for w in line if w] for line in lines) if words[:1] == ["fastdigits"]
    ]
    examples += [line.strip().split("   ")[0].split()[2:] for line in train_options.EXAMPLES.splitlines()
                 if line.startswith("  fastdigits train")]  # fmt: skip
    assert len(examples) >= 6
    for example in examples:
        if "--resume" not in example:  # reads the run's folder: tests/commands/test_resume.py
            train_options.read(example)


def test_help_needs_neither_matplotlib_nor_other_slow_packages():
    code = (
        "import sys\n"
        "from fastdigits import train\n"
        "try:\n    train.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'matplotlib', 'safetensors', 'tqdm', 'jinja2'} & sys.modules.keys()\n"
        "sys.exit(f'imported {slow}' if slow else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_each_backend_can_be_asked_for():
    for name in backend.MODULES:
        assert train_options.read(["--backend", name]).backend == name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", 2**53 + 1), "--epochs: must be a whole number of at most 9007199254740992; got"),
        (
            ("--seed", 2**128),
            "--seed: must be a whole number of at most 340282366920938463463374607431768211455; got",
        ),
        (("--hidden", ",".join(["1"] * 1001)), "--hidden: must be at most 1,000 numbers; got 1,001"),
        (("--patience", "1" * 5000), "--patience: must be a whole number of at least 1; got '1"),
    ],
)
def test_whole_numbers_have_bounds(words, message, capsys):
    with pytest.raises(SystemExit):
        train_options.read([str(word) for word in words])
    assert message in capsys.readouterr().err


def test_the_largest_whole_numbers_are_taken():
    options = train_options.read(
        ["--epochs", str(2**53), "--seed", str(2**128 - 1), "--hidden", "1" + 999 * ",1"]
    )
    assert (options.epochs, options.seed, len(options.hidden)) == (2**53, 2**128 - 1, 1000)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--preset", "accurate"],
        ["--preset", "default", "--optimizer", "sgd"],
        [
            "--optimizer",
            "momentum",
            "--momentum",
            "0.5",
            "--swa",
            "0.25",
            "--clip-norm",
            "1",
            "--lr",
            "3e-05",
        ],
        ["--data", "it's; a $(name)", "--hidden", "5", "--augment", "rotation=10,shift=1.5", "--no-plots"],
        ["--validation-split", "0.1", "--patience", "3", "--checkpoint-every", "7", "--seed", str(2**100)],
        [
            "--optimizer",
            "adamw",
            "--weight-decay",
            "0",
            "--backend",
            "numpy",
            "--lr",
            "auto",
            "--hidden",
            "none",
        ],
    ],
)
def test_the_record_of_a_run_is_read_back_as_its_options(words, tmp_path):
    options = train_options.read(words)
    options.command, options.resumed = arguments.command_line("train", words), 3
    run_folder.write_settings(tmp_path, train_options.to_record(options))
    settings, command, resumed = train_options.from_record(tmp_path)
    assert (command, resumed) == (options.command, 3)
    assert settings == {name: getattr(options, name) for name in settings}
    assert {name: type(value) for name, value in settings.items()} == {
        name: type(getattr(options, name)) for name in settings
    }
