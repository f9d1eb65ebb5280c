"""A malformed file raises an error that names it, quickly and in bounded memory."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from malformed import NAMES, READERS, REFUSALS, read
from sampled import sampled

import fastdigits as fd

HELPERS = Path(__file__).parents[1] / "helpers"
CORPUS = HELPERS / "corpus"
FUZZED = sorted(path.name for path in CORPUS.iterdir())
SECONDS, MEGABYTES = (
    5,
    80,
)  # each takes less than one second on an idle machine; those that test wheels are slow
MESSAGES = {  # of some of them
    "npz": {
        "80 MB of zeros": "x must be compressed at most 100 : 1, .* got at least 83,886,080 bytes in ",
        "a header of 4 GB": "x must have a header of at most 65,536 bytes; got 4,294,967,295",
        "a header of nested brackets": "must be an .npz file of numbers; got: .*(EOF in multi-line statement|nested)",
        "a header of minus signs": "must be an .npz file of numbers; got: (MemoryError|Parser stack overflowed)",
    },
    "csv": {
        "10,001 classes": "labels must have at most 10,000 different values, .* got more by line ",
        "a heading of 16 MB": "a line must have at most 1,048,576 characters; got more",
        "a pixel that is NaN": "must have finite numbers .*; got 'nan', a missing value on line",
    },
    "gzip": {"80 MB of zeros, as announced": "must be compressed at most 100 : 1"},
    "csv.gz": {
        "64 MB in the second line": "a line must have at most 1,048,576 characters; got more",
        "64 MB of short lines": "must be compressed at most 100 : 1, .* got at least [4-9],...,... bytes in ",
    },
    "model": {
        "a hundred thousand tensors": "must have a header of at most 4,194,304 bytes; got 6,",
        "fifty thousand tensors": "there must be at most 10,000 tensors; got 50,009",
        "nine thousand tensors": r"got none missing and \['t0', .*, '…'\] unknown",
    },
    "callbacks": {
        "best: infinity": "got ValueError: EarlyStopping: best must be a finite float32 number; got inf",
        "best_epoch: a list": "got TypeError: EarlyStopping: best_epoch must be an integer",
        "callback/0/batchnorm1.running_var: negative": "batchnorm1.running_var must not be negative",
        "optimizer/v/dense1.weight: negative": "Adam: v/dense1.weight must not be negative; got -1",
        "average/dense1.weight: one for all": r"EMA: dense1.weight must be \(12,\); got \(1,\)",
        "callback/0/values: one for all": r"EarlyStopping: values must be \(\d+,\); got \(1,\)",
        "history: accuracy: 2^70": "history: accuracy must be a finite float32 number with 0 ≤ accuracy ≤ 1",
    },
    "settings": {
        "epochs: true": "must hold the settings of a run; got: settings: epochs: must be a whole number",
        "epochs: a number in quotes": "settings: epochs must be of the type that its option has; got '1'",
        "a name twice": "'epochs' must appear once; got it 2 times",
        "an unknown name": r"settings must have .*; got none missing and \['threads'\] unknown",
        "a momentum for Adam": "--momentum: needs --optimizer momentum; got --optimizer adam",
        "64 MB of spaces": "must be a file with a JSON object; got: more than 1,048,576 bytes",
        "a hundred thousand widths": "settings: hidden: must be at most 1,000 numbers; got 100,000",
    },
    "recipe": {
        "epochs: true": "must be a recipe; got: Recipe custom: epochs must be an integer; got True",
        "hidden: text": "Recipe custom: hidden must be a list of widths; got 'x'",
        "rotation: text": "Augmentation: rotation must be a number; got 'x'",
        "a newer version": "got: version 2, this package reads 1: update fastdigits",
        "no version": 'it must have the entry "fastdigits_recipe": 1; got none',
        "an unknown name": "unknown setting 'learning_rat'; did you mean 'learning_rate'?",
        "a weight decay for Adam": "weight_decay needs the optimizer adamw; got adam",
        "64 MB of spaces": "must be a file with a JSON object; got: more than 65,536 bytes",
    },
    "checkpoint": {
        "a tensor of NaN": "dense1.weight must be finite; got nan: remove the file",
        "optimizer: 2^70": "its state must be whole; got ValueError: counts: optimizer must be at most 9",
    },
}


@pytest.mark.parametrize(
    "reader", sampled(READERS, lambda reader: reader in ("csv", "npz", "model", "checkpoint"))
)
def test_a_malformed_file_raises_an_error_with_its_name_quickly_in_little_memory(reader, tmp_path):
    """A separate process reads the files, in at most 1 GB of memory."""
    command = [sys.executable, "-W", "error", HELPERS / "malformed.py", reader, tmp_path]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    found = {row["case"]: row for row in map(json.loads, run.stdout.splitlines())}
    assert len(found) >= 4
    for case, row in found.items():
        assert row["error"] in ("DataError", "ModelFileError"), (case, row)
        assert NAMES[reader] in row["message"].partition(": ")[0], (case, row)
        assert "\n" not in row["message"], (case, row)
        assert row["seconds"] < SECONDS, (case, row)
        assert row["megabytes"] < MEGABYTES, (case, row)
    for case, message in MESSAGES.get(reader, {}).items():
        assert re.search(message, found[case]["message"]), found[case]


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("reader", FUZZED)
def test_files_that_a_fuzzer_made_are_read_or_raise_a_documented_error(reader, every, tmp_path):
    corpus = sorted((CORPUS / reader).glob("*"))
    assert corpus
    for number, kept in enumerate(corpus[::every]):
        (tmp_path / str(number)).mkdir()
        path = tmp_path / str(number) / NAMES[reader]
        path.write_bytes(kept.read_bytes())
        try:
            read(reader, path)
        except (*REFUSALS, fd.DivergedError):
            pass
        except ValueError as error:  # valid files of another training, or of another width
            assert re.match("fit: resume|predict_proba: x", str(error))  # noqa: PT017
