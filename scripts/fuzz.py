"""Give the readers of files what nobody would write, guided by which lines it reaches.

    python scripts/fuzz.py                         # each reader for a minute
    python scripts/fuzz.py --seconds 600 model     # one of them for longer

Needs atheris (`pip install atheris`), and Linux. A reader may return or raise the error that it documents; anything
else, a crash of the interpreter, more than 2 GB of memory or an input that takes ten seconds ends the run, and
libFuzzer names the input. It begins from small files that are right.
"""

import argparse
import gzip
import importlib
import inspect
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastdigits as fd

TARGETS = ("idx", "gzip", "npz", "csv", "model", "checkpoint")


def small_network() -> fd.NeuralNetwork:
    return fd.NeuralNetwork(
        [fd.Dense(4, 3), fd.BatchNorm(3), fd.ReLU(), fd.Dropout(0.1), fd.Dense(3, 2)], seed=0
    )


def seeds(target: str, folder: Path) -> list[bytes]:
    """Return files that the reader takes."""
    idx = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 3, 3) + bytes(range(18))
    if target == "idx":
        return [idx, struct.pack(">BBBBI", 0, 0, 8, 1, 4) + b"\0\1\2\3"]
    if target == "gzip":
        return [gzip.compress(idx)]
    if target == "npz":
        np.savez(folder / "a.npz", x_train=np.zeros((4, 2, 2), np.uint8), y_train=np.arange(4) % 2)
        return [(folder / "a.npz").read_bytes()]
    if target == "csv":
        return [b"label,pixel0,pixel1,pixel2,pixel3\n0,1,2,3,4\n1,0,0,0,255\n0,9,9,9,9\n1,1,1,1,1\n"]
    if target == "model":
        small_network().save(folder / "a.safetensors")
        return [(folder / "a.safetensors").read_bytes()]
    x, y = np.arange(64, dtype=np.uint8).reshape(16, 4), np.arange(16) % 2
    small_network().fit(x, y, epochs=2, batch_size=4, callbacks=[fd.Checkpoint(folder / "c", every=3)])
    return [path.read_bytes() for path in (folder / "c").iterdir()]


def reader(target: str, folder: Path):
    """Return what is called with a file's content."""
    names = {"gzip": "a-idx3-ubyte.gz", "npz": "b.npz", "csv": "b.csv", "model": "b.safetensors"}
    path = folder / names.get(target, "b")
    if target == "checkpoint":
        path = folder / "checkpoint-000000000001.safetensors"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        try:
            if target in ("idx", "gzip"):
                fd.read_idx(path)
            elif target in ("npz", "csv"):
                fd.load_data(path)
            elif target == "model":
                fd.load(path).predict_proba(np.zeros((1, 4), np.uint8))
            else:
                x, y = np.arange(64, dtype=np.uint8).reshape(16, 4), np.arange(16) % 2
                small_network().fit(x, y, epochs=2, batch_size=4, callbacks=[Writes()], resume=folder)
        except (fd.DataError, fd.ModelFileError, fd.DivergedError):
            pass
        except ValueError as error:
            if not str(error).startswith(("fit: resume", "predict_proba: x")):
                raise

    return read


class Writes(fd.Checkpoint):
    """A checkpoint that writes none: the folder is the fuzzer's."""

    def __init__(self) -> None:
        super().__init__(".", every=10**9)


Writes.__name__ = "Checkpoint"


def fuzz(target: str, seconds: int) -> None:
    """Run libFuzzer in this process, which ends with it."""
    import atheris

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, content in enumerate(seeds(target, folder)):
            (corpus / str(number)).write_bytes(content)
        for name in (
            "storage",
            "checkpoint",
            "inputs",
            "data.idx",
            "data.tables",
            "data.sources",
            "data.labels",
        ):
            module = importlib.import_module(f"fastdigits.{name}")
            for function in vars(module).values():
                if inspect.isfunction(function) and function.__module__ == module.__name__:
                    atheris.instrument_func(function)
        words = [
            f"-max_total_time={seconds}",
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-max_len=8192",
            "-print_final_stats=1",
        ]
        read = reader(target, folder)
        atheris.Setup([sys.argv[0], *words, f"-artifact_prefix={Path.cwd()}/", str(corpus)], read)
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="*", metavar="READER", help=f"of {', '.join(TARGETS)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each (default: 60)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        fuzz(options.targets[0], options.seconds)
        return
    for target in options.targets or TARGETS:
        run = subprocess.run(
            [sys.executable, __file__, target, "--here", "--seconds", str(options.seconds)],
            capture_output=True,
            text=True,
        )
        found = {
            line.split(":")[2]: line.split()[-1]
            for line in run.stderr.splitlines()
            if line.startswith("stat::")
        }
        print(json.dumps({"reader": target, "ended": run.returncode, **found}), flush=True)
        if run.returncode:
            print(run.stderr[-3000:], file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    main()
