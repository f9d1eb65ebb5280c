"""The commands of a contributor: `nox` checks a change, `nox -l` lists all sessions.

Each session has its own virtual environment; `nox -R -s NAME` uses it again and compiles what changed. With
`--no-venv` a session runs in the active environment and installs nothing. Arguments after `--` go to the last command
of the session.
"""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "quick"]
nox.options.reuse_venv = "yes"
PROJECT = nox.project.load_toml("pyproject.toml")
C_FILES = [*Path("src").rglob("*.h"), Path("src/fastdigits/_twin.c")]


def compile_kernels(session: nox.Session) -> None:
    """Compile the changed kernels into src/."""
    session.run("python", "setup.py", "-q", "build_ext", "--inplace")


def prepare(session: nox.Session, extra: str = "") -> None:
    """Install the package from src/ with an extra, and compile the changed kernels; do nothing with --no-venv."""
    if session.venv_backend == "none":
        return
    session.install(*PROJECT["build-system"]["requires"])
    session.install("--no-build-isolation", "-e", f".[{extra}]" if extra else ".")
    compile_kernels(session)


@nox.session
def build(session: nox.Session) -> None:
    """Compile the kernels into src/, for an editable install."""
    if session.venv_backend != "none":
        session.install(*PROJECT["build-system"]["requires"])
    compile_kernels(session)


@nox.session
def quick(session: nox.Session) -> None:
    """Test kernels, layers and the order of the folders: half a minute."""
    prepare(session, "test")
    session.run(
        "pytest", "-q", "tests/kernels", "tests/nn", "tests/properties/test_architecture.py", *session.posargs
    )


@nox.session
def test(session: nox.Session) -> None:
    """Run the test suite: two minutes on two cores."""
    prepare(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, types and the files of .github."""
    prepare(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("clang-format", "--dry-run", "-Werror", *map(str, C_FILES))
    session.run("cython-lint", "src")
    session.run("mypy")
    session.run("mypy", "--strict", "tests/typed_example.py")
    stubtest = ["python", "-m", "mypy.stubtest", "--concise", "--allowlist", "tests/stubtest_allowlist.txt"]
    session.run(*stubtest, "fastdigits._kernels")
    for schema, files in (("workflows", "workflows/*.yml"), ("issue-forms", "ISSUE_TEMPLATE/*.yml")):
        paths = map(str, Path(".github").glob(files))
        session.run("check-jsonschema", "--builtin-schema", f"vendor.github-{schema}", *paths)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a broken link or an unknown source is an error."""
    prepare(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the compiled kernels with NumPy on this machine: half a minute."""
    prepare(session)
    session.run("python", "-m", "fastdigits.bench", *session.posargs)
