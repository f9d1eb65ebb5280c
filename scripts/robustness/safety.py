"""Search long for crashes by arrays, files and threads; print a row of a table for each part.

    python scripts/robustness/safety.py                           # all parts: about an hour
    python scripts/robustness/safety.py --minutes 1 arrays files  # two parts, shorter

The parts, and the commands that run one alone:

arrays       every door: pytest --hypothesis-profile=long tests -k …
files        python tests/helpers/malformed.py READER FOLDER, for each reader
fuzz         python scripts/robustness/fuzz.py --seconds N, for each reader
sanitizers   python scripts/robustness/sanitize.py tests: the whole suite
threads      python scripts/robustness/sanitize.py --sanitizers thread TESTS of programs and of the pool
valgrind     the door of every kernel on arrays of four sizes; AVX2 and generic, as valgrind has no AVX-512

Needs Linux, GCC, the extras `test` and `fuzz`, and valgrind. A part that cannot run counts as failed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).parent))
from sanitize import PYTEST

ROOT = Path(__file__).parents[2]
ARRAYS = ["tests/properties/test_any_array.py", "tests/kernels/test_kernels.py"]
ARRAYS += ["-k", "plain_copy or those_of_the_twin or estimator or any_array or any_size"]
DOORS = ["tests/kernels/test_kernels.py", "-k", "accesses_only_its_arrays"]


def pytest(*words: str, prefix: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *PYTEST, *words], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )


def script(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)


def summary(run: subprocess.CompletedProcess[str]) -> str:
    return (run.stdout.strip().splitlines() or ["no output"])[-1]


def arrays(minutes: float) -> tuple[bool, str]:
    cases = failed = 0
    begin = time.monotonic()
    while True:  # each run draws new examples
        run = pytest("--hypothesis-profile=long", "--hypothesis-show-statistics", *ARRAYS)
        cases += sum(map(int, re.findall(r"(\d+) passing", run.stdout)))
        if run.returncode:
            print(run.stdout, file=sys.stderr)
        failed += run.returncode != 0
        if failed or time.monotonic() - begin > 60 * minutes:
            return failed == 0, f"{cases:,} cases; {summary(run)}"


def files(minutes: float) -> tuple[bool, str]:
    sys.path.insert(0, str(ROOT / "tests" / "helpers"))
    from malformed import READERS

    rows = []
    for reader in READERS:
        with tempfile.TemporaryDirectory() as folder:
            run = script("tests/helpers/malformed.py", reader, folder)
        if run.returncode:
            return False, f"{reader}: {run.stderr[-300:]}"
        rows += [json.loads(line) for line in run.stdout.splitlines()]
    bad = [row["case"] for row in rows if row["error"] not in ("DataError", "ModelFileError")]
    slowest, largest = (max(rows, key=lambda row: row[what]) for what in ("seconds", "megabytes"))
    return not bad, (
        f"{len(rows)} malformed files, {len(bad)} not refused; slowest {slowest['seconds']:.2f} s ({slowest['case']}), "
        f"most memory {largest['megabytes']:.0f} MB ({largest['case']})"
    )


def fuzz(minutes: float) -> tuple[bool, str]:
    run = script("scripts/robustness/fuzz.py", "--seconds", str(round(60 * minutes)))
    rows = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if run.returncode or not rows:
        return False, (run.stderr or run.stdout)[-500:]
    counts = ", ".join(f"{row['reader']} {row['number_of_executed_units']:,}" for row in rows)
    most, slowest = (max(row[what] for row in rows) for what in ("peak_rss_mb", "slowest_unit_time_sec"))
    return (
        True,
        f"files: {counts}; crashes 0; {most} MB at most in the process; slowest below {slowest + 1} s",
    )


def sanitizers(minutes: float) -> tuple[bool, str]:
    run = script("scripts/robustness/sanitize.py", "tests")
    return run.returncode == 0, summary(run)


def threads(minutes: float) -> tuple[bool, str]:
    tests = ["tests/kernels/test_program.py", "tests/kernels/test_pool.py"]
    run = script("scripts/robustness/sanitize.py", "--sanitizers", "thread", *tests)
    return run.returncode == 0, summary(run)


def valgrind(minutes: float) -> tuple[bool, str]:
    """Run the doors under memcheck; count the reports that have one of our modules on the stack.

    Reports of the interpreter and of NumPy do not count, and neither do leaks, as an interpreter keeps memory to its
    end: scripts/robustness/leaks.py finds what grows.
    """
    if shutil.which("valgrind") is None:
        return False, "valgrind is not installed: apt-get install valgrind"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "errors.xml")
        prefix = ("valgrind", "--xml=yes", f"--xml-file={file}", "--num-callers=40")
        prefix += ("--child-silent-after-fork=yes",)
        run = pytest(*DOORS, prefix=prefix, PYTHONMALLOC="malloc", FASTDIGITS_BACKEND="generic")
        errors = [
            error
            for error in ElementTree.parse(file).iter("error")
            if "Leak" not in error.findtext("kind", "")
        ]
    ours = [error for error in errors if any("_kernels" in (place.text or "") for place in error.iter("obj"))]
    for error in ours:
        frames = [
            f"{frame.findtext('fn', '?')} in {frame.findtext('obj', '?')}" for frame in error.iter("frame")
        ]
        print(error.findtext("kind"), error.findtext("what"), *frames[:6], sep="\n    ", file=sys.stderr)
    return (
        run.returncode == 0 and not ours,
        f"findings {len(ours)}, others {len(errors) - len(ours)}; {summary(run)}",
    )


PARTS: dict[str, Callable[[float], tuple[bool, str]]] = {
    part.__name__: part for part in (arrays, files, fuzz, sanitizers, threads, valgrind)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)} (default: all)"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=5,
        help="minutes for arrays, and for each reader of fuzz (default: 5)",
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"parts must be some of {', '.join(PARTS)}; got {', '.join(sorted(unknown))}")
    print("| part | figures | minutes |\n| --- | --- | ---: |", flush=True)
    failed = []
    for name in options.parts or PARTS:
        begin = time.monotonic()
        passed, figures = PARTS[name](options.minutes)
        failed += [] if passed else [name]
        minutes = (time.monotonic() - begin) / 60
        print(f"| {name}{'' if passed else ' FAILED'} | {figures} | {minutes:.1f} |", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
