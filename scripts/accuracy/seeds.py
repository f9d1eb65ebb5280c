"""Run the training command with several seeds; print mean, worst and best accuracy.

    python scripts/accuracy/seeds.py                     # the default run, seeds 0 to 9
    python scripts/accuracy/seeds.py --seeds 5 --epochs 4

All options but --seeds go to the training command.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: 10)")
    options, rest = parser.parse_known_args()
    results = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable,
                "-m",
                "fastdigits.train",
                "--seed",
                str(seed),
                "--output",
                f"{folder}/run",
            ]
            run = subprocess.run(
                [*command, "--no-plots", "--quiet", "--json", *rest],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
        results.append(json.loads(run.stdout.splitlines()[-1]))
        print(
            f"seed {seed}: test {results[-1]['test_accuracy']:.2%}, training {results[-1]['train_accuracy']:.2%}, "
            f"{results[-1]['train_seconds']:.2f} s",
            flush=True,
        )
    for name in ("test_accuracy", "train_accuracy"):
        values = [100 * result[name] for result in results]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(
            f"{name}: mean {statistics.mean(values):.2f} %, standard deviation {spread:.2f}, "
            f"worst {min(values):.2f} %, best {max(values):.2f} %"
        )
    print(f"train_seconds: median {statistics.median(result['train_seconds'] for result in results):.2f}")


if __name__ == "__main__":
    main()
