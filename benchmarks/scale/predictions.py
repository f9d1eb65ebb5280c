"""Label a file of images on each engine that is installed, with the programs of examples/engines/, and on one core.

    python benchmarks/scale/predictions.py [--images N] [--only loky arrow dask ray spark]

The file has 784 bytes per image, copies of MNIST's, and is read once before the first measurement. An engine has two
workers of one thread; its start is not counted. loky, with one task a worker, shows what two cores can do.
"""

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import joblib
import numpy as np

import fastdigits as fd

EXAMPLES = Path(__file__).parents[2] / "examples" / "engines"
WORKERS = {"loky": 2, "arrow": 1, "dask": 2, "ray": 2, "spark": 2}
BLOCK = 65_536


def write(path: str, n: int) -> None:
    (x, _), _ = fd.load_mnist()
    images = np.lib.format.open_memmap(path, "w+", np.uint8, (n, 28, 28))
    for start in range(0, n, len(x)):
        images[start : start + len(x)] = x[: n - start]


def labels(path: str, start: int, stop: int) -> np.ndarray:
    """Return the labels of a part of the images, on one thread."""
    fd.set_num_threads(1)
    images, network = np.load(path, mmap_mode="r"), fd.load_pretrained()
    parts = [network.predict(images[at : min(at + BLOCK, stop)]) for at in range(start, stop, BLOCK)]
    return np.concatenate(parts).astype(np.uint8)


def speed(path: str, n: int, workers: int) -> tuple[float, str]:
    """Return images per second in this process, or on loky, and the checksum of the labels."""
    if workers == 1:
        started, found = time.perf_counter(), labels(path, 0, n)
    else:
        with joblib.Parallel(workers) as parallel:
            parallel(joblib.delayed(labels)(path, 0, 1000) for _ in range(workers))
            started, bounds = time.perf_counter(), [n * part // workers for part in range(workers + 1)]
            jobs = (joblib.delayed(labels)(path, *part) for part in itertools.pairwise(bounds))
            found = np.concatenate(parallel(jobs))
    return n / (time.perf_counter() - started), f"{zlib.crc32(found):08x}"


def speed_of_example(name: str, path: str) -> tuple[float, str]:
    """Return what the program of examples/engines/ prints."""
    command = [sys.executable, EXAMPLES / f"predict_{name}.py", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"([\d,]+) images per second, checksum (\w+)", done.stdout)
    if found is None:
        raise SystemExit(f"{name}: {(done.stderr.splitlines() or ['failed'])[-1]}")
    return float(found[1].replace(",", "")), found[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2_000_000, help="default: 2,000,000")
    parser.add_argument("--only", nargs="+", choices=WORKERS, default=[*WORKERS], help="engines to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/images.npy"
        write(path, options.images)
        n = options.images
        speed(path, n, 1)
        for name in options.only:
            own, checksum = speed(path, n, 1)  # again before each, as other work may slow the machine
            workers = WORKERS[name]
            found, theirs = speed(path, n, workers) if name == "loky" else speed_of_example(name, path)
            print(
                f"{name:<6} workers {workers}  {found:>11,.0f} images/s; one core {own:>11,.0f}; "
                f"{found / own / workers:.2f} of it per worker; labels {'equal' if theirs == checksum else 'DIFFER'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
