"""Train on a part of the training images and measure on the rest; the test images are not used.

    python scripts/accuracy/tune.py --preset accurate                        # seeds 0 to 2
    python scripts/accuracy/tune.py --preset default --epochs 8 --lr 0.02 --seeds 5
    python scripts/accuracy/tune.py --preset best --data FOLDER              # IDX files of another data set

All options but --seeds and --held-out are those of the training command. Every seed holds out the same images, the
last 10,000 of the training images.
"""

import argparse
import statistics
import sys
import time

import fastdigits as fd
from fastdigits.commands import train_options
from fastdigits.recipes import Recipe


def score(recipe: Recipe, seed: int, train, held_out, **options) -> tuple[dict[str, float], float]:
    """Train a network by a recipe; return its loss and accuracy on the held-out images, and the seconds."""
    (x, y), (x_other, y_other) = train, held_out
    network = recipe.network(x[0].size, int(y.max()) + 1, seed=seed)
    started = time.perf_counter()
    network.fit(x, y, **recipe.fit_arguments(), **options)
    seconds = time.perf_counter() - started
    return network.evaluate(x_other, y_other), seconds


def summary(accuracies: list[float], seconds: list[float]) -> str:
    """Return a line with mean, standard deviation, worst and best accuracy, and the median of the seconds."""
    percent = [100 * accuracy for accuracy in accuracies]
    spread = statistics.stdev(percent) if len(percent) > 1 else 0.0
    return (
        f"mean {statistics.mean(percent):.3f} %, standard deviation {spread:.3f}, worst {min(percent):.2f} %, "
        f"best {max(percent):.2f} %, {statistics.median(seconds):.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0 (default: 3)")
    parser.add_argument(
        "--held-out", type=int, default=10_000, metavar="N", help="number of images (default: 10,000)"
    )
    own, rest = parser.parse_known_args()
    options = train_options.read(rest)
    recipe = train_options.recipe(options)
    (x, y), _ = fd.load_mnist() if options.data == "mnist" else fd.load_folder(options.data)
    train, held_out = (x[: -own.held_out], y[: -own.held_out]), (x[-own.held_out :], y[-own.held_out :])
    print(recipe, file=sys.stderr, flush=True)
    accuracies, times = [], []
    for seed in range(own.seeds):
        result, seconds = score(
            recipe, seed, train, held_out, threads=options.threads, progress=not options.quiet
        )
        accuracies.append(result["accuracy"])
        times.append(seconds)
        print(
            f"seed {seed}: held out {result['accuracy']:.2%}, loss {result['loss']:.4f}, {seconds:.1f} s",
            flush=True,
        )
    print(f"{' '.join(rest)}: {summary(accuracies, times)}", flush=True)


if __name__ == "__main__":
    main()
