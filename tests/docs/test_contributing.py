"""Pages, workflows and pre-commit name sessions and tools that exist."""

import re

from documents import ROOT

NOXFILE = (ROOT / "noxfile.py").read_text("utf-8")
SESSIONS = set(re.findall(r"^@nox\.session\ndef (\w+)\(", NOXFILE, re.MULTILINE))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_pages_and_workflows_name_sessions_that_exist():
    files = [*ROOT.glob(".ci/run"), *ROOT.glob(".github/**/*.*")]
    texts = [CONTRIBUTING, *(path.read_text("utf-8") for path in files)]
    named = {name for text in texts for name in re.findall(r"\bnox\b[^\n`#]* -s (\w+)", text)}
    matrix = re.search(r"session: \[(.+)\]", (ROOT / ".github/workflows/checks.yml").read_text("utf-8"))
    assert {"lint", "quick", "test"} <= named | set(matrix[1].split(", ")) <= SESSIONS


def test_contributing_lists_all_sessions():
    listed = re.search(r"lists the sessions: (.+)\. Each", CONTRIBUTING)
    assert set(re.split(", | and ", listed[1])) == SESSIONS


def test_pre_commit_runs_tools_of_the_lint_session():
    tools = re.findall(r"entry: ([\w-]+)", (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    lint = NOXFILE.partition("\ndef lint(")[2].partition("@nox.session")[0]
    assert len(tools) == 5
    assert [tool for tool in tools if f'session.run("{tool}"' not in lint] == []


def test_wheels_are_built_for_tags_and_on_request_only():
    text = (ROOT / ".github/workflows/wheels.yml").read_text("utf-8")
    assert '\non:\n  push:\n    tags: ["v*"]\n  workflow_dispatch:\n\n' in text
