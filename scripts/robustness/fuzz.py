"""Fuzz the readers of files with libFuzzer, guided by the coverage of branches.

    python scripts/robustness/fuzz.py                         # each reader for a minute
    python scripts/robustness/fuzz.py --seconds 600 model     # one reader for ten minutes
    python scripts/robustness/fuzz.py --seconds 60 --keep     # store what it found in the corpus

Needs Linux and atheris (`pip install '.[fuzz]'`); without atheris it prints a message and exits with 0. A reader may
return or raise a documented error. Anything else ends the run: another error, a crash, more than 2 GB of memory, or ten
seconds for one input. libFuzzer then names the input. It starts from `tests/helpers/corpus/` and from valid files.
"""

import argparse
import importlib
import importlib.util
import inspect
import json
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import fastdigits as fd

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "helpers" / "corpus"
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from malformed import NAMES, READERS, REFUSALS, read, valid_files  # noqa: E402

PACKAGES = ("data", "imaging", "storage")
MODULES = ("commands.run_folder", "commands.train_options", "core.schema", "training.checkpoint")
KEPT, LARGEST = 60, 2048  # most files per reader in tests/helpers/corpus/, most bytes of each


def reader(target: str, folder: Path):
    """Return a function that writes a content to a file and reads it."""
    path = folder / NAMES[target]

    def read_content(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(target, path)
        except (*REFUSALS, fd.DivergedError):
            pass
        except ValueError as error:
            if not str(error).startswith(("fit: resume", "predict_proba: x")):
                raise

    return read_content


def instrumented() -> list[ModuleType]:
    """Return the modules that read files; ImportError if one of them does not exist."""
    names = [f"fastdigits.{name}" for name in (*PACKAGES, *MODULES)]
    found = [importlib.import_module(name) for name in names]
    for package in found[: len(PACKAGES)]:
        for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            found.append(importlib.import_module(entry.name))
    return found


def instrument() -> None:
    """Let libFuzzer see which branches the readers reach."""
    import atheris

    for module in instrumented():
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                atheris.instrument_func(function)


def fuzz(target: str, seconds: int, folder: Path) -> None:
    """Run libFuzzer, which ends this process; its corpus is folder / corpus."""
    import atheris

    instrument()
    words = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=8192",
        "-print_final_stats=1",
    ]
    words += [f"-artifact_prefix={Path.cwd()}/", str(folder / "corpus")]
    atheris.Setup([sys.argv[0], *words], reader(target, folder))
    atheris.Fuzz()


def keep(target: str, found: Path) -> None:
    """Replace the stored corpus of a reader by the smallest of the files that libFuzzer kept."""
    place = CORPUS / target
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    files = sorted(found.iterdir(), key=lambda file: (file.stat().st_size, file.name))
    for file in [file for file in files if 0 < file.stat().st_size <= LARGEST][:KEPT]:
        shutil.copy(file, place / file.name[:12])


def run(target: str, seconds: int, kept: bool) -> dict[str, object]:
    """Fuzz one reader in a child process and return its statistics."""
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name, "corpus")
        corpus.mkdir()
        saved = [file.read_bytes() for file in sorted((CORPUS / target).glob("*"))]
        for number, content in enumerate([*valid_files(target), *saved]):
            (corpus / str(number)).write_bytes(content)
        command = [sys.executable, __file__, target, "--here", name, "--seconds", str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if kept and done.returncode == 0:
            keep(target, corpus)
    lines = [line for line in done.stderr.splitlines() if line.startswith("stat::")]
    found = {line.split(":")[2]: int(line.split()[-1]) for line in lines}
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    return {"reader": target, "ended": done.returncode, **found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="*", metavar="READER", help=f"one or more of {', '.join(READERS)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=60, help="per reader (default: 60)")
    parser.add_argument("--keep", action="store_true", help="replace tests/helpers/corpus/ by the new corpus")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(
            "fuzz: skipped, atheris is not installed: pip install '.[fuzz]', where it has a wheel for this Python"
        )
        return
    if options.here:
        fuzz(options.targets[0], options.seconds, Path(options.here))
        return
    for target in options.targets or READERS:
        figures = run(target, options.seconds, options.keep)
        print(json.dumps(figures), flush=True)
        if figures["ended"]:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
