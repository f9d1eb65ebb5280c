"""The robustness scripts name modules and tests that exist."""

from documents import ROOT, script


def test_the_fuzzer_instruments_the_modules_that_read_files():
    names = {
        module.__name__.removeprefix("fastdigits.") for module in script("robustness/fuzz").instrumented()
    }
    assert {
        "data.idx",
        "data.tables",
        "imaging.reading",
        "storage.safetensors",
        "training.checkpoint",
    } <= names
