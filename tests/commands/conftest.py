"""What the tests of several commands need."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import fastdigits as fd
from fastdigits import backend


@pytest.fixture
def settings_kept() -> Iterator[None]:
    """Restore what a command sets for the whole process: backend and threads."""
    before = backend.backend_name()
    yield
    backend.use_backend(before)
    fd.set_num_threads(None)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings_kept: None) -> Path:
    """Run in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
