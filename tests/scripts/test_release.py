"""A tag may be released only if the version and CHANGELOG agree with it."""

import pytest
from documents import script


@pytest.fixture(scope="module")
def problems():
    return script("release/release").problems


@pytest.fixture
def project(tmp_path):
    """A copy of what the check reads, ready for release as 1.2.3."""
    (tmp_path / "src" / "fastdigits").mkdir(parents=True)
    (tmp_path / "src" / "fastdigits" / "_version.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2027-01-31)\n")
    return tmp_path


def test_the_tag_of_the_version_may_be_released(problems, project):
    assert problems("v1.2.3", project) == []


def test_another_tag_is_refused(problems, project):
    assert problems("v1.2.4", project) == ["the tag must be v1.2.3, the version of the package; got v1.2.4"]


@pytest.mark.parametrize("heading", ["1.2.3 (unreleased)", "1.2.2 (2027-01-31)", "1x2.3 (2027-01-31)"])
def test_a_changelog_without_a_release_date_is_refused(problems, project, heading):
    (project / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n\n## 1.2.3 (2027-01-31)\n")
    wanted = f"CHANGELOG.md must begin with '## 1.2.3 (YYYY-MM-DD)'; got '## {heading}'"
    assert problems("v1.2.3", project) == [wanted]


def test_the_check_reads_the_project_itself(problems):
    assert problems("v0")[0].startswith("the tag must be v")
