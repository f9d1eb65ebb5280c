"""The robustness scripts name modules and tests that exist."""

import re

import pytest
from documents import ROOT, script

SAFETY, SANITIZE = script("robustness/safety"), script("robustness/sanitize")


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


@pytest.mark.parametrize(
    "arguments", [SAFETY.ARRAYS, SAFETY.DOORS, SANITIZE.QUICK], ids=["arrays", "doors", "quick"]
)
def test_each_word_after_k_selects_tests(arguments):
    *files, _, expression = arguments
    names = re.findall(
        r"^def (test_\w+)", "".join((ROOT / file).read_text("utf-8") for file in files), re.MULTILINE
    )
    words = expression.split(" or ")
    assert [word for word in words if not any(word in name for name in names)] == []


@pytest.mark.parametrize("path", [*SANITIZE.TESTS, *SANITIZE.QUICK[:-2]])
def test_the_sanitizers_are_given_tests_that_exist(path):
    assert (ROOT / path).exists()
