"""Train presets with several seeds; print their test accuracy and how uncertain it is.

    python scripts/accuracy/presets.py                                  # every preset on MNIST, seeds 0 to 4: an hour
    python scripts/accuracy/presets.py original fast default            # some of them: half a minute
    python scripts/accuracy/presets.py best --seeds 2,3                 # some seeds: twenty minutes
    python scripts/accuracy/presets.py --results kept                   # train what the folder kept/ lacks
    python scripts/accuracy/presets.py default --results kept --picture misread.png
    python scripts/accuracy/presets.py mine.json --data /usr/share/datasets/fashion-mnist

A name that ends in .json is a file of `Recipe.save`. The output is Markdown: when and on what the presets were
trained, a table of the presets, and a table of each pair of them. docs/accuracy.md says what their columns mean.

With --results, each training leaves a file NAME-SEED.json (its recipe, seconds and machine, and what its network
reads in each test image) and the network, NAME-SEED.safetensors. A training whose recipe has changed since is done
again. A folder with results on other images is refused.

Choose no setting by these tables: scripts/accuracy/tune.py measures on held-out training images for that.
"""

import argparse
import contextlib
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastdigits as fd
from fastdigits import recipes
from fastdigits.commands import system
from fastdigits.core import atomic
from fastdigits.core.arrays import digest_of
from fastdigits.recipes import Recipe

HEAD = (
    "preset", "hidden layers", "mean", "standard deviation", "worst seed", "95 % interval", "wrong with all seeds",
    "seconds", "command",
)  # fmt: skip
PAIRS_HEAD = ("first", "second", "difference of means", "only the first right", "only the second right", "p")
MOST_TILES = 120  # of a picture


@dataclass(frozen=True)
class Training:
    """What is kept of a training, without its network.

    Attributes
    ----------
    predicted : ndarray, (n,) int
        What the network reads in each test image.
    seconds : float
        Wall time of `fit`.
    made : dict of str
        Date, processor, instruction set, threads, version and commit.
    """

    predicted: np.ndarray
    seconds: float
    made: dict[str, str]


# -- training ------------------------------------------------------------------------------------------------


def recipe_of(name: str) -> Recipe:
    """Return the preset of this name, or the recipe of a .json file, named after the file."""
    if name.endswith(".json"):
        return replace(recipes.load(name), name=Path(name).stem)
    return recipes.get(name)


def trained(recipe: Recipe, seeds: list[int], data, folder: Path) -> list[Training]:
    """Return the training of each seed: from the folder, or done now and kept there.

    Parameters
    ----------
    data : Dataset or ((x, y), (x_test, y_test))
    folder : Path
        Gets two files for each training; `load_network` reads the second.

    Raises
    ------
    SystemExit
        If the folder has a training of this name on other images.
    """
    (x, y), (x_test, y_test) = data
    digest = digest_of((x, y, x_test, y_test))
    found = []
    for seed in seeds:
        file = folder / f"{recipe.name}-{seed}.json"
        training = _read(file, recipe, digest)
        if training is None:
            network = recipe.network(x[0].size, int(y.max()) + 1, seed=seed)
            started = time.perf_counter()
            network.fit(x, y, **recipe.fit_arguments())
            seconds = time.perf_counter() - started
            training = Training(network.predict(x_test), seconds, made())
            file.unlink(missing_ok=True)  # so that it never stands beside another network than its own
            network.save(file.with_suffix(".safetensors"))
            content = {"recipe": asdict(recipe), "data": digest, **asdict(training)}
            content["predicted"] = training.predicted.tolist()
            atomic.write(file, json.dumps(content).encode(), example=file.name)
            say(f"{file.stem}: {(training.predicted == y_test).mean():.2%}, {seconds:.1f} s")
        found.append(training)
    return found


def _read(file: Path, recipe: Recipe, digest: str) -> Training | None:
    """Return the training in a file; None if there is no file, or if it is of another recipe."""
    if not file.exists():
        return None
    content = json.loads(file.read_text("utf-8"))
    if content["data"] != digest:
        raise SystemExit(f"{file}: results on other images than these: choose another folder for --results")
    try:
        kept = Recipe(**content["recipe"] | {"about": recipe.about})
    except (TypeError, ValueError):  # it has a setting that this version does not have
        kept = None
    if kept != recipe:
        say(f"{file.stem}: its recipe has changed, so it is trained again")
        return None
    return Training(np.array(content["predicted"]), content["seconds"], content["made"])


def load_network(recipe: Recipe, seed: int, folder: Path) -> fd.NeuralNetwork:
    """Return the network that `trained` has kept."""
    return fd.load(folder / f"{recipe.name}-{seed}.safetensors")


def made() -> dict[str, str]:
    """Return when and on what a training runs, in words."""
    about = system.provenance(command="")
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {
        "date": about["date"][:10],
        "processor": about["machine"]["processor"],
        "instruction set": about["backend"],
        "threads": f"{about['threads']} thread{'s' * (about['threads'] > 1)}",
        "version": f"fastdigits {about['versions']['fastdigits']}",
        "commit": f"commit {commit}",
    }


def say(text: str) -> None:
    """Print a line of progress to standard error."""
    print(text, file=sys.stderr, flush=True)


# -- uncertainty ---------------------------------------------------------------------------------------------


def interval(hits: int, n: int) -> tuple[float, float]:
    """Return the exact 95 % interval of the accuracy of a network that reads ``hits`` of ``n`` images right.

    The images are taken for a sample of all images of their kind; the interval is for the accuracy of this one network
    on all of them (Clopper and Pearson 1934). It does not cover other seeds.
    """
    from scipy.stats import binomtest  # here: it takes a second, and --help does not need it

    found = binomtest(hits, n).proportion_ci(method="exact")
    return found.low, found.high


def discordant(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return how many images only the first and only the second network of each seed gets right, (seeds, 2)."""
    return np.stack([(first & ~second).sum(axis=1), (second & ~first).sum(axis=1)], axis=1)


def mcnemar(counts: np.ndarray) -> float:
    """Return the p-value of McNemar's exact test for the networks of two presets, seed by seed.

    Parameters
    ----------
    counts : ndarray, (seeds, 2) of int
        Return value of `discordant`.

    Notes
    -----
    If two networks err equally often, an image that only one of them reads right is as likely right for either: the
    counts of a seed are those of a fair coin. The tests of the K seeds share their images and are not
    independent. Rüger's rule combines them nevertheless: under any dependence, K / k times the k-th smallest of K
    p-values is a p-value. Here k is the smallest number above K / 2, so that most seeds must agree. This is done for
    either direction, so that seeds that disagree do not add up, and the smaller of both is doubled. With one seed, it
    is the test itself.

    References
    ----------
    McNemar, Note on the sampling error of the difference between correlated proportions or percentages, Psychometrika
    12 (1947), pp. 153–157. Rüger, Metrika 25 (1978), pp. 171–178, as in Vovk and Wang, arXiv:1212.4966.
    """
    from scipy.stats import binomtest

    needed = len(counts) // 2 + 1
    smaller = 1.0
    for column in (0, 1):
        tests = [
            binomtest(int(row[column]), int(row.sum()), alternative="greater").pvalue if row.any() else 1.0
            for row in counts
        ]
        smaller = min(smaller, sorted(tests)[needed - 1] * len(counts) / needed)
    return min(1.0, 2 * smaller)


# -- tables and picture --------------------------------------------------------------------------------------


def line(cells: tuple[str, ...]) -> str:
    """Return a line of a table of Markdown."""
    return f"| {' | '.join(cells)} |"


def row(
    name: str, recipe: Recipe, right: np.ndarray, trainings: list[Training], data: str
) -> tuple[str, ...]:
    """Return the row of a preset; ``right`` is (seeds, n), True for each test image that is read right."""
    percent = (100 * right.mean(axis=1)).tolist()
    seconds = statistics.median(training.seconds for training in trainings)
    low, high = interval(statistics.median_low(right.sum(axis=1).tolist()), right.shape[1])
    option = "recipe" if name.endswith(".json") else "preset"
    where = "" if data == "mnist" else f" --data {data}"
    return (
        f"`{recipe.name}`",
        "-".join(map(str, recipe.hidden)),
        f"{statistics.mean(percent):.2f} %",
        f"{statistics.stdev(percent):.2f}" if len(percent) > 1 else "",
        f"{min(percent):.2f} %",
        f"{100 * low:.2f} … {100 * high:.2f} %",
        f"{(~right).all(axis=0).sum():,}",
        f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}",
        f"`python -m fastdigits.train --{option} {name}{where}`",
    )


def pair_row(first: tuple[Recipe, np.ndarray], second: tuple[Recipe, np.ndarray]) -> tuple[str, ...]:
    """Return the row of two presets, each with its ``right``."""
    counts = discordant(first[1], second[1])
    p = mcnemar(counts)
    return (
        f"`{first[0].name}`",
        f"`{second[0].name}`",
        f"{100 * (second[1].mean() - first[1].mean()):+.2f}",
        *(f"{mean:.1f}" for mean in counts.mean(axis=0)),
        f"{p:.3f}" if p >= 0.001 else f"{p:.0e}",
    )


def origin(trainings: list[Training]) -> str:
    """Return when and on what these trainings were made; several values of one kind are joined by "and"."""
    return ", ".join(
        " and ".join(sorted({training.made[kind] for training in trainings})) for kind in trainings[0].made
    )


def draw_misread(path: str, name: str, images: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> None:
    """Draw the images that all seeds read wrong, with label and readings; ``predicted`` is (seeds, n)."""
    wrong = np.flatnonzero((predicted != labels).all(axis=0))
    captions = []
    for index in wrong:
        read = Counter(predicted[:, index].tolist()).most_common()
        captions.append(f"{labels[index]} → {', '.join(str(label) for label, _ in read)}")
    shown = f", the first {MOST_TILES}" if len(wrong) > MOST_TILES else ""
    title = f"{name}: {len(wrong):,} of {len(labels):,} images are read wrong with all {len(predicted)} seeds{shown}"
    draw_tiles(path, images[wrong], captions, f"{title}\nlabel → what is read, the most frequent first")


def draw_tiles(path: str, images: np.ndarray, captions: list[str], title: str, columns: int = 12) -> None:
    """Draw images in rows, each below its caption, dark on light; at most `MOST_TILES`."""
    images = images[:MOST_TILES]
    rows = max(1, math.ceil(len(images) / columns))
    head = 0.18 * len(title.splitlines()) + 0.32  # inches, with the captions of the first row
    height = head + 1.05 * rows
    figure = Figure(figsize=(0.85 * columns, height))
    figure.suptitle(title, y=1 - 0.06 / height, va="top", fontsize=10)
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0.01, 0.05 / height, 0.99, 1 - head / height, wspace=0.1, hspace=0.3)
    for axes in grid.flat[len(images) :]:
        axes.set_axis_off()
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        axes.imshow(image, cmap="gray_r", interpolation="nearest", vmin=0, vmax=255)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("0.8")
        axes.set_title(caption, fontsize=8, pad=3)
    figure.savefig(path, dpi=150, facecolor="white")


# -- the command ---------------------------------------------------------------------------------------------


def read_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add the options that scripts/accuracy/corruptions.py has too, and read all; set the number of threads."""
    parser.add_argument(
        "--seeds",
        type=lambda text: [int(seed) for seed in text.split(",")],
        default="0,1,2,3,4",
        help="separated by commas (default: 0,1,2,3,4)",
    )
    parser.add_argument(
        "--data", default="mnist", metavar="NAME|FOLDER", help="as for the training command (default: mnist)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="use at most N threads")
    parser.add_argument("--results", metavar="FOLDER", help="keep the trainings there, and use those it has")
    options = parser.parse_args()
    if options.threads:
        fd.set_num_threads(options.threads)
    return options


@contextlib.contextmanager
def results_folder(path: str | None) -> Iterator[Path]:
    """Yield the folder for trainings, made if need be; without a path, one that is removed afterwards."""
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)
        yield Path(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "presets", nargs="*", metavar="PRESET", help="presets or .json files (default: all presets)"
    )
    parser.add_argument(
        "--picture", metavar="FILE", help="draw what all seeds of the most accurate preset misread"
    )
    options = read_options(parser)
    data = fd.load_data(options.data)
    x_test, y_test = data.test
    names = options.presets or list(recipes.RECIPES)
    chosen = [recipe_of(name) for name in names]
    with results_folder(options.results) as folder:
        found = [trained(recipe, options.seeds, data, folder) for recipe in chosen]
    predicted = [np.stack([training.predicted for training in trainings]) for trainings in found]
    right = [reading == y_test for reading in predicted]
    print(origin(list(itertools.chain.from_iterable(found))), "\n")
    print(line(HEAD), line(("---", "---", *["---:"] * 6, "---")), sep="\n")
    for name, recipe, hits, trainings in zip(names, chosen, right, found, strict=True):
        print(line(row(name, recipe, hits, trainings, options.data)))
    if len(chosen) > 1:
        print("", line(PAIRS_HEAD), line(("---", "---", *["---:"] * 4)), sep="\n")
        for first, second in itertools.combinations(zip(chosen, right, strict=True), 2):
            print(line(pair_row(first, second)))
    if options.picture:
        best = max(range(len(chosen)), key=lambda place: right[place].mean())
        draw_misread(options.picture, chosen[best].name, x_test, y_test, predicted[best])


if __name__ == "__main__":
    main()
