"""Read examples, commands and links from a page, and load a script as a module."""

import importlib.util
import io
import re
import runpy
import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path
from types import ModuleType

import pytest

from fastdigits import recipes
from fastdigits.commands.parser import Parser

ROOT = Path(__file__).parents[2]


class OptionsRead(Exception):  # noqa: N818
    """A command has read its options; raised before it does anything else."""


def script(name: str) -> ModuleType:
    """Load a file of scripts/, such as docs/docs_hooks, as a module; like Python, it finds the files beside it."""
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path.parent)
        spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language in order; "" means blocks without a language."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [body for kind, body in found if kind.strip() == language]


def run(code: str, page: Path, names: dict[str, object]) -> list[str]:
    """Run Python code in ``names``; return the comments after prints that differ from the output.

    A comment must match every output of its line; … in it matches anything.
    """
    printed: dict[int, list[str]] = {}

    def record(*values, **options):
        text = io.StringIO()
        print(*values, **options, file=text)
        printed.setdefault(sys._getframe(1).f_lineno, []).append(text.getvalue().rstrip("\n"))
        sys.stdout.write(text.getvalue())

    names["print"] = record
    exec(compile(code, str(page), "exec"), names)
    wrong = []
    for number, line in enumerate(code.splitlines(), start=1):
        comment = re.search(r"^\s*print\(.*\)  # (.+)$", line)
        if comment:
            pattern = ".*".join(map(re.escape, comment[1].split("…")))
            texts = printed.get(number, ["nothing"])
            wrong += [
                f"{comment[1]!r}: it printed {text!r}" for text in texts if not re.fullmatch(pattern, text)
            ]
    return wrong


def command_lines(page: Path) -> list[list[str]]:
    """Return the calls of this package's commands in blocks and in the text, as lists of words.

    Variables and mpiexec before a command are omitted, and so are calls in the text with a placeholder, a word in
    capitals.
    """
    return _calls(page, "python -m fastdigits|fastdigits ")


def program_lines(page: Path) -> list[list[str]]:
    """Return the calls of programs of this repository with arguments, as `command_lines` does."""
    return [words for words in _calls(page, r"python (?:scripts|benchmarks|examples)/") if len(words) > 2]


def _calls(page: Path, start: str) -> list[list[str]]:
    text = page.read_text("utf-8")
    kinds = ("", "sh", "console")
    lines = [
        line.removeprefix("$ ")
        for kind in kinds
        for block in blocks(page, kind)
        for line in block.splitlines()
    ]
    spans = [
        " ".join(span.split())
        for span in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M))
    ]
    lines += [span for span in spans if not re.search(r"[ .][A-Z]{3,}\b", span)]
    found = []
    for line in lines:
        prefix = re.match(rf"([A-Z_]+=\S+ )*(mpiexec -n \d+ )?(?={start})", line)
        if prefix:
            found.append(shlex.split(line[prefix.end() :], comments=True))
    return found


def read_options(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command read its options; raise AssertionError if it does not accept them."""
    read = Parser.read

    def read_only(parser, argv):
        read(parser, argv)
        raise OptionsRead

    monkeypatch.setattr(Parser, "read", read_only)
    monkeypatch.setattr(recipes, "load", lambda path: recipes.FAST)  # the files of a page are examples
    module, arguments = (words[2], words[3:]) if words[0] == "python" else ("fastdigits", words[1:])
    if module == "fastdigits":
        module = "fastdigits.__main__"
    code = 0
    try:
        importlib.import_module(module).main(arguments)
    except OptionsRead:
        pass
    except SystemExit as stop:  # after --help
        code = stop.code
    assert code == 0, f"{' '.join(words)}: exit code {code}"


def read_program_options(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a program read its options with argparse and stop it there; one without argparse takes paths and names only.

    Raise AssertionError if it does not accept them.
    """
    path, arguments = ROOT / words[1], words[2:]
    assert path.is_file(), f"{words[1]}: no such program"
    if "ArgumentParser" not in path.read_text("utf-8"):
        options = [word for word in arguments if word.startswith("-")]
        assert all(f'"{option}" in sys.argv' in path.read_text("utf-8") for option in options), words
        return
    parse = ArgumentParser.parse_known_args  # parse_args calls it

    def read_only(parser, args=None, namespace=None):
        _, rest = parse(parser, args, namespace)
        assert rest == [], f"{' '.join(words)}: unknown {rest}"
        raise OptionsRead

    monkeypatch.setattr(ArgumentParser, "parse_known_args", read_only)
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    try:
        runpy.run_path(str(path), run_name="__main__")
    except OptionsRead:
        return
    except SystemExit as stop:
        pytest.fail(f"{' '.join(words)}: exit code {stop.code}")
    pytest.fail(f"{' '.join(words)}: it ran before it had read its options")


def broken_links(page: Path) -> list[str]:
    """Return the links and pictures of a page whose files do not exist."""
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    return [link for link in links if not (page.parent / link).exists()]
