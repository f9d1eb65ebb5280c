"""Train the network that comes with the package, choose its temperature, write its file, and measure it.

    python scripts/accuracy/reading_model.py digits.safetensors             # a quarter of an hour, one thread
    python scripts/accuracy/reading_model.py digits.safetensors --measure   # only the table, for any model

The table is measured on MNIST's last 5,000 training images, which are not trained on, and on generated pictures of
other seeds. The test images are not used.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import reading_pictures as pictures

import fastdigits as fd
from fastdigits.imaging.reading import NOT_A_DIGIT
from fastdigits.metrics.calibration import expected_calibration_error
from fastdigits.recipes import Recipe

HELD_OUT = 5_000  # of MNIST's training images
NAMES = (*"0123456789", NOT_A_DIGIT)
REJECT = 10
CAUTION = 1.0  # subtracted from the logit of REJECT: a digit of a new writer is seldom rejected
RECIPE = Recipe(
    name="reading",
    hidden=(384, 128),
    batchnorm="all",
    epochs=100,
    batch_size=256,
    optimizer="adamw",
    learning_rate=0.004,
    weight_decay=0.02,
    augment=fd.Augmentation(rotation=10, scale=0.1, shear=0.1, shift=1.5, alpha=20, fade=0.15),
    ema=0.999,
)
UNSEEN = (  # kinds of which nothing is trained on, nor chosen by
    "printed, other fonts",
    "letters and signs, other fonts",
    "other shapes, drawn",
)
Labelled = tuple[np.ndarray, np.ndarray]  # images and labels


# -- pictures ------------------------------------------------------------------------------------------------


def split(train: bool) -> Labelled:
    """Return the part of MNIST's training images to train on, or the held-out part."""
    (x, y), _ = fd.load_mnist()
    part = slice(None, -HELD_OUT) if train else slice(-HELD_OUT, None)
    return x[part], y[part]


def made(job: tuple[str, int, int, bool]) -> Labelled:
    """Return generated pictures of one kind and their labels: (kind, count, seed, whether to train on them)."""
    kind, count, seed, train = job
    rng = np.random.default_rng([seed, *kind.encode()])
    x, y = split(train)
    if kind == "varied":
        chosen = rng.permutation(len(x))[:count]
        return pictures.varied(x[chosen], rng), y[chosen]
    if kind == "drawn":
        return pictures.drawn(pictures.DIGITS, count, rng)
    if kind == "printed":
        return pictures.printed("0123456789", pictures.DEJAVU, count, rng)
    if kind == "printed, other fonts":
        return pictures.printed("0123456789", pictures.OTHER_FONTS, count, rng)
    if kind == "other shapes, drawn":
        images = pictures.shapes(count, rng, pictures.OTHER_SHAPES)
    elif kind == "letters and signs, other fonts":
        images = pictures.printed(pictures.TYPED, pictures.OTHER_FONTS, count, rng)[0]
    else:
        images = pictures.not_digits(x, y, pictures.DEJAVU)[kind](count, rng)
    return images, np.full(count, REJECT)


KINDS = tuple(pictures.not_digits(*split(True), pictures.DEJAVU))  # of what is not a digit


def training_pictures() -> Labelled:
    """Return all images to train on."""
    jobs = [("varied", 20_000, seed, True) for seed in range(5)]
    jobs += [("drawn", 5_000, seed, True) for seed in range(3)]
    jobs += [("printed", 5_000, 0, True), *((kind, 6_000, 0, True) for kind in KINDS)]
    return _pooled([split(True), *_in_parallel(jobs)])


def held_out_pictures() -> dict[str, Labelled]:
    """Return the pictures to measure on by kind, MNIST's first."""
    jobs = [("varied", HELD_OUT, 100, False)]
    jobs += [(kind, 1_000, 100, False) for kind in ("drawn", "printed", *KINDS, *UNSEEN)]
    return {"MNIST": split(False)} | dict(zip([job[0] for job in jobs], _in_parallel(jobs), strict=True))


def _pooled(parts: Iterable[Labelled]) -> Labelled:
    x, y = zip(*parts, strict=True)
    return np.concatenate(x), np.concatenate(y)


def _in_parallel(jobs: list[tuple[str, int, int, bool]]) -> list[Labelled]:
    with ProcessPoolExecutor(fd.get_num_threads()) as pool:
        return list(pool.map(made, jobs))


# -- the network ---------------------------------------------------------------------------------------------


def calibrated(network: fd.NeuralNetwork, held_out: dict[str, Labelled]) -> tuple[fd.NeuralNetwork, float]:
    """Return the folded network with a cautious reject and logits divided by a temperature, and the temperature.

    The temperature is that of the least loss on the held-out pictures.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    network = network.folded()
    last = network.layers[-1]
    last.bias.value[REJECT] -= CAUTION
    x, y = _pooled(held_out[kind] for kind in held_out if kind not in UNSEEN)
    logits = network.forward(x)
    loss = fd.SoftmaxCrossEntropy()
    temperature = min(np.arange(0.5, 3, 0.05), key=lambda t: loss.forward(logits / t, y))
    last.weight.value = last.weight.value / temperature
    last.bias.value = last.bias.value / temperature
    return network, float(temperature)


def measure(network: fd.NeuralNetwork, held_out: dict[str, Labelled]) -> None:
    """Print a row per kind of picture, and one for all digits, all others, and both."""
    print("| pictures | images | correct | not a digit | calibration error | wrong, over 90 % sure |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    digits = {kind: pair for kind, pair in held_out.items() if pair[1].max() < REJECT}
    others = {kind: pair for kind, pair in held_out.items() if kind not in digits}
    for name, kinds in (("all digits", digits), ("all that is not a digit", others), ("both", held_out)):
        if kinds is not held_out:
            for kind, (x, y) in kinds.items():
                _print_row(kind, network, x, y)
        _print_row(f"**{name}**", network, *_pooled(kinds.values()))


def _print_row(kind: str, network: fd.NeuralNetwork, x: np.ndarray, y: np.ndarray) -> None:
    probs = network.predict_proba(x)
    predicted = probs.argmax(axis=1)
    cells = [
        (predicted == y).mean(),
        (predicted == REJECT).mean(),
        expected_calibration_error(y, probs),
        ((predicted != y) & (probs.max(axis=1) > 0.9)).mean(),
    ]
    print(f"| {kind} | {len(x):,} | {' | '.join(f'{100 * cell:.2f} %' for cell in cells)} |", flush=True)


def train(checkpoints: Path | None) -> fd.NeuralNetwork:
    """Return the network, trained on `training_pictures`; with a folder, continue from its checkpoints."""
    x, y = training_pictures()
    print(f"{len(x):,} images to train on", file=sys.stderr, flush=True)
    network = RECIPE.network(classes=len(NAMES), seed=0)
    network.class_names = NAMES
    kept = [fd.Checkpoint(checkpoints)] if checkpoints else []
    network.fit(x, y, **RECIPE.fit_arguments(), callbacks=kept, resume=checkpoints, progress=True)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="FILE", help="the model file to write")
    parser.add_argument("--measure", action="store_true", help="measure the model in FILE; train nothing")
    parser.add_argument(
        "--checkpoints", type=Path, metavar="DIR", help="a folder: continue here after an interrupt"
    )
    options = parser.parse_args()
    started = time.perf_counter()
    held_out = held_out_pictures()
    if options.measure:
        network = fd.load(options.model)
    else:
        network, temperature = calibrated(train(options.checkpoints), held_out)
        network.save(options.model)
        print(f"temperature {temperature:.2f}, {time.perf_counter() - started:.0f} s", file=sys.stderr)
    measure(network, held_out)


if __name__ == "__main__":
    main()
