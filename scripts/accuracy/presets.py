"""Train each preset on all training images with several seeds; print a table of their test accuracy.

    python scripts/accuracy/presets.py                                  # every preset on MNIST, seeds 0 to 4: an hour
    python scripts/accuracy/presets.py original fast default            # some of them: half a minute
    python scripts/accuracy/presets.py best --seeds 2,3                 # some seeds: twenty minutes
    python scripts/accuracy/presets.py --data /usr/share/datasets/fashion-mnist

Choose no setting by this table: scripts/accuracy/tune.py measures on held-out training images for that.
"""

import argparse
import statistics
import sys
import time

import fastdigits as fd
from fastdigits import recipes
from fastdigits.recipes import Recipe

HEAD = ("preset", "hidden layers", "mean", "standard deviation", "worst seed", "seconds", "command")


def train_all(
    recipe: Recipe, seeds: list[int], train, test, threads: int | None
) -> list[tuple[float, float]]:
    """Return the test accuracy and the seconds of training for each seed."""
    (x, y), found = train, []
    for seed in seeds:
        network = recipe.network(x[0].size, int(y.max()) + 1, seed=seed)
        started = time.perf_counter()
        network.fit(x, y, **recipe.fit_arguments(), threads=threads)
        seconds = time.perf_counter() - started
        found.append((network.evaluate(*test)["accuracy"], seconds))
        print(
            f"{recipe.name}, seed {seed}: test {found[-1][0]:.2%}, {seconds:.1f} s",
            file=sys.stderr,
            flush=True,
        )
    return found


def row(recipe: Recipe, found: list[tuple[float, float]], data: str) -> tuple[str, ...]:
    """Return the row of a preset."""
    percent = [100 * accuracy for accuracy, _ in found]
    seconds = statistics.median(seconds for _, seconds in found)
    spread = statistics.stdev(percent) if len(percent) > 1 else 0.0
    where = "" if data == "mnist" else f" --data {data}"
    return (
        f"`{recipe.name}`",
        "-".join(map(str, recipe.hidden)),
        f"{statistics.mean(percent):.2f} %",
        f"{spread:.2f}",
        f"{min(percent):.2f} %",
        f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}",
        f"`python -m fastdigits.train --preset {recipe.name}{where}`",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="names of presets (default: all)")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="separated by commas (default: 0,1,2,3,4)")
    parser.add_argument("--data", default="mnist", metavar="mnist|FOLDER", help="the images (default: mnist)")
    parser.add_argument("--threads", type=int, metavar="N", help="use at most N threads")
    options = parser.parse_args()
    train, test = fd.load_mnist() if options.data == "mnist" else fd.load_folder(options.data)
    seeds = [int(seed) for seed in options.seeds.split(",")]
    chosen = [recipes.get(name) for name in options.presets or recipes.RECIPES]
    print("| " + " | ".join(HEAD) + " |\n| --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    for recipe in chosen:
        cells = row(recipe, train_all(recipe, seeds, train, test, options.threads), options.data)
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
