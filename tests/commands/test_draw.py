"""`python -m fastdigits.draw`, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastdigits as fd
from fastdigits.commands import draw
from fastdigits.export.html import is_exported

SOURCE = Path(fd.__file__).parents[1]
NO_SCREEN = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")  # which say where a page may be opened


def run(*argv: object, cwd: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in NO_SCREEN}
    return subprocess.run(
        [sys.executable, "-m", "fastdigits.draw", *map(str, argv)],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(SOURCE)} | changes,
        timeout=60,
    )


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Work in the folder of the test, with no screen to open a page on."""
    monkeypatch.chdir(tmp_path)
    for name in NO_SCREEN:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_options_it_writes_a_page_with_the_network_of_the_package(tmp_path):
    done = run(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert os.listdir(tmp_path) == ["draw.html"]
    fd.export_html(fd.load_pretrained(), tmp_path / "same.html")
    assert (tmp_path / "draw.html").read_bytes() == (tmp_path / "same.html").read_bytes()
    if sys.platform not in ("darwin", "win32"):
        assert done.stderr == "draw.html: 2.2 MB, open it in any browser\n"


@pytest.mark.skipif(os.name == "nt", reason="a browser that is a script of the shell")
def test_the_page_is_opened_in_the_browser(tmp_path):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\n')
    script.chmod(0o755)
    done = run("--output", "my page.html", "--json", cwd=tmp_path, BROWSER=f"{script} %s")
    assert (tmp_path / "opened").read_text().strip() == (tmp_path / "my page.html").as_uri()
    assert done.stderr == "my page.html: 2.2 MB, opened\n"
    assert json.loads(done.stdout)["opened"] is True
    (tmp_path / "opened").unlink()
    assert run("--no-open", cwd=tmp_path, BROWSER=f"{script} %s").returncode == 0
    assert not (tmp_path / "opened").exists()


def test_a_model_of_ones_own_is_what_the_page_holds(here):
    net = fd.NeuralNetwork([fd.Dense(16, 3)])
    net.save("mine.safetensors")
    assert draw.main(["--model", "mine.safetensors", "--output", "mine.html", "--no-open"]) == 0
    fd.export_html(net, "same.html")
    assert Path("mine.html").read_bytes() == Path("same.html").read_bytes()


def test_json_says_what_was_written_and_quiet_says_nothing_else(here, capsys):
    assert draw.main(["--json", "--quiet", "--no-open"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert json.loads(captured.out) == {
        "output": "draw.html",
        "bytes": Path("draw.html").stat().st_size,
        "model": None,
        "opened": False,
    }


def test_an_earlier_page_is_replaced_and_a_file_of_something_else_is_not(here, capsys):
    assert draw.main(["--no-open"]) == 0
    Path("draw.html").write_bytes(Path("draw.html").read_bytes().replace(b"Draw a digit", b"An old page "))
    assert draw.main(["--no-open"]) == 0
    assert b"An old page" not in Path("draw.html").read_bytes()

    Path("draw.html").write_text("<title>mine</title>")
    capsys.readouterr()
    assert draw.main(["--no-open"]) == 2
    assert capsys.readouterr().err == (
        "fastdigits draw: error: --output: must be a new file or an earlier page; got 'draw.html', which is neither: "
        "choose another name, or replace it with --overwrite\n"
    )
    assert Path("draw.html").read_text() == "<title>mine</title>"
    assert draw.main(["--no-open", "--overwrite"]) == 0
    assert is_exported("draw.html")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--model", "none.safetensors"], "none.safetensors: must be a model file; got nothing of this name"),
        (["--model", "flat.safetensors"], "--model: export_html: the network must take square images"),
        (["--output", "."], "--output: .: must be a file; got a folder: choose a name such as draw.html"),
        (["--output", "nowhere/a.html"], "--output: nowhere/a.html: its folder must exist"),
    ],
)
def test_what_the_user_can_put_right_is_one_line_and_exit_2(here, capsys, argv, line):
    fd.NeuralNetwork([fd.Dense(15, 3)]).save("flat.safetensors")
    assert draw.main([*argv, "--no-open"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"fastdigits draw: error: {line}")
    assert captured.err.count("\n") == 1
    assert os.listdir(here) == ["flat.safetensors"]


def test_without_a_screen_no_text_browser_is_started(here, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail("opened"))
    assert draw.main([]) == 0


def test_help_names_each_option(capsys):
    with pytest.raises(SystemExit) as caught:
        draw.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for option in ("--model", "--output", "--overwrite", "--no-open", "--json", "--quiet"):
        assert option in text
