"""Draw the pictures of docs/learn from real images and trainings: docs/images/learn/*.png.

python scripts/docs/learn_pictures.py [--folder FOLDER] [NAME …]       all of them in about a minute

The background is white, so that the pictures can be read on dark pages too. Seeds are fixed. Another instruction set
rounds differently, which may move a line a little.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import fastdigits as fd
from fastdigits import _reference
from fastdigits.visualize.canvas import BLUE, GREEN, GREY, ORANGE, signed_colours

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "learn"
PICTURES: dict[str, Callable[[], Figure]] = {}
LIGHT = "#BBBBBB"
START = (-4.0, 1.5)  # where each optimizer begins in the valley
CURVES = ((0.08, -0.16), (-0.16, 0.97))  # f(w) = ½ wᵀ · CURVES · w, 20 times as steep across as along


def picture(draw: Callable[[], Figure]) -> Callable[[], Figure]:
    """Register the function that draws the picture of its name."""
    PICTURES[draw.__name__.replace("_", "-")] = draw
    return draw


def sheet(width: float, height: float, *shape: int, **options: object) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots(*shape, squeeze=False, **options)
    return figure, axes


def tidy(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def small_network(*, norm: bool = True, activation: type = fd.ReLU, seed: int = 0) -> fd.NeuralNetwork:
    extra = [fd.BatchNorm(64)] if norm else []
    return fd.NeuralNetwork(
        [fd.Dense(784, 64), *extra, activation(), fd.Dense(64, 32), activation(), fd.Dense(32, 10)], seed=seed
    )


def steps(net: fd.NeuralNetwork, optimizer: fd.Optimizer, count: int) -> Iterator[float]:
    """Train on batches of 128; yield the loss of each step before its update."""
    (x, y), _ = fd.load_mnist()
    rng = np.random.default_rng(0)
    loss = fd.SoftmaxCrossEntropy()
    for _ in range(count):
        rows = rng.integers(len(x), size=128)
        mean = loss.forward(net.forward(x[rows], training=True), y[rows])
        net.backward(loss.backward())
        optimizer.step(net.parameters())
        yield mean


def smooth(values: list[float], width: int = 15) -> np.ndarray:
    return np.convolve(values, np.ones(width) / width, mode="valid")


# -- layers ------------------------------------------------------------------------------------------------------------


@picture
def dense() -> Figure:
    (x, y), (x_test, _) = fd.load_mnist()
    net = small_network()
    net.fit(x, y, epochs=5, optimizer=fd.Adam(0.01), schedule=fd.OneCycle())
    weight = net.layers[0].weight.value.T.reshape(-1, 28, 28)
    image = x_test[0] / 255
    figure, grid = sheet(8.4, 3.3, 2, 6, width_ratios=[1.25, 1, 1, 1, 1, 1])
    limit = float(np.abs(weight).max()) * 0.6
    sums = (weight * image).sum(axis=(1, 2))
    chosen = [*np.argsort(sums)[::-1][:3], *np.argsort(sums)[:2]]
    grid[0, 0].imshow(image, cmap="gray_r")
    grid[0, 0].set_title("one image x", fontsize=9)
    for axes in grid.flat:
        bare(axes)
    grid[1, 0].axis("off")
    grid[1, 0].text(
        0.5,
        0.5,
        "weights of five units,\nand below their product\nwith the image",
        ha="center",
        va="center",
        fontsize=9,
    )
    for column, unit in enumerate(chosen, start=1):
        grid[0, column].imshow(weight[unit], cmap=signed_colours(), vmin=-limit, vmax=limit)
        grid[0, column].set_title(f"unit {unit}", fontsize=9)
        grid[1, column].imshow(weight[unit] * image, cmap=signed_colours(), vmin=-limit, vmax=limit)
        grid[1, column].set_xlabel(
            f"sum {sums[unit]:+.1f}", fontsize=9, color=BLUE if sums[unit] > 0 else ORANGE
        )
    return figure


@picture
def activations() -> Figure:
    figure, ((shape, dead),) = sheet(8.4, 3.2, 1, 2)
    z = np.linspace(-3, 3, 301, dtype=np.float32).reshape(1, -1)
    for layer, colour, style in ((fd.ReLU(), BLUE, "-"), (fd.LeakyReLU(0.1), ORANGE, "--")):
        shape.plot(z[0], layer.forward(z)[0], style, color=colour, linewidth=2, label=repr(layer))
    shape.legend(frameon=False, fontsize=9)
    tidy(shape, "output", "x", "y")
    (_, _), (x_test, _) = fd.load_mnist()
    for activation, colour, name in ((fd.ReLU, BLUE, "ReLU"), (fd.LeakyReLU, ORANGE, "LeakyReLU")):
        net, silent, losses = small_network(norm=False, activation=activation), [], []
        for step, loss in enumerate(steps(net, fd.Adam(0.03), 601)):
            losses.append(loss)
            if step % 20 == 0:
                before = net.layers[0].forward(x_test[:2000].reshape(-1, 784))
                silent.append(100 * float((before <= 0).all(axis=0).mean()))
        dead.plot(
            range(0, 601, 20),
            silent,
            color=colour,
            linewidth=2,
            label=f"{name}: last loss {np.mean(losses[-50:]):.2f}",
        )
    dead.legend(frameon=False, fontsize=9)
    dead.set_ylim(0, 100)
    tidy(
        dead,
        "units at or below 0 for each of 2,000 images, %",
        "steps of Adam, learning rate 0.03 (too high)",
    )
    return figure


@picture
def batchnorm() -> Figure:
    figure, grid = sheet(8.4, 3.2, 1, 3, width_ratios=[1, 1, 1.1])
    (_, _), (x_test, _) = fd.load_mnist()
    for axes, norm, colour in ((grid[0, 0], False, ORANGE), (grid[0, 1], True, BLUE)):
        net, bands, losses = small_network(norm=norm), [], []
        for step, loss in enumerate(steps(net, fd.SGD(0.6), 400)):
            losses.append(loss)
            if step % 10 == 0:
                z = x_test[:1000].reshape(-1, 784)
                for layer in copy.deepcopy(net).layers[: 2 if norm else 1]:
                    z = layer.forward(z, training=norm)
                bands.append(np.percentile(z, [5, 25, 50, 75, 95]))
        low, quarter, middle, three, high = np.array(bands).T
        at = range(0, 400, 10)
        axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.fill_between(at, quarter, three, color=colour, alpha=0.35, linewidth=0)
        axes.plot(at, middle, color=colour)
        axes.set_ylim(-9, 9)
        name = "with batch normalisation" if norm else "without"
        tidy(axes, f"input of the first ReLU,\n{name}", "step of SGD, learning rate 0.6")
        grid[0, 2].plot(smooth(losses), color=colour, label=name)
    tidy(grid[0, 2], "loss", "step")
    grid[0, 2].legend(frameon=False, fontsize=8)
    return figure


@picture
def dropout() -> Figure:
    (x, y), (x_test, y_test) = fd.load_mnist()
    figure, grid = sheet(8.4, 3.0, 1, 5, width_ratios=[1, 1, 1, 0.12, 2.6])
    layer = fd.Dropout(0.5)
    image = np.divide(x[7].reshape(1, 784), 255, dtype=np.float32)
    for k in range(3):
        grid[0, k].imshow(layer.forward(image, training=True).reshape(28, 28), cmap="gray_r", vmin=0, vmax=2)
        grid[0, k].set_title(f"step {k + 1}", fontsize=10)
        bare(grid[0, k])
    grid[0, 3].axis("off")
    for rate, colour in ((0.0, ORANGE), (0.5, BLUE)):
        net = fd.NeuralNetwork([fd.Dense(784, 256), fd.ReLU(), fd.Dropout(rate), fd.Dense(256, 10)], seed=0)
        history = net.fit(
            x[:3000], y[:3000], epochs=30, optimizer=fd.Adam(0.002), validation_data=(x_test, y_test)
        )
        grid[0, 4].plot(
            history.epoch, history.val_loss, color=colour, linewidth=2, label=f"Dropout({rate}), test images"
        )
        grid[0, 4].plot(history.epoch, history.loss, ":", color=colour, label="… training images")
    grid[0, 4].set_ylim(0, 0.6)
    grid[0, 4].legend(frameon=False, fontsize=8)
    tidy(grid[0, 4], "loss, trained on 3,000 images", "epoch")
    return figure


@picture
def adversarial() -> Figure:
    (x, y), (x_test, y_test) = fd.load_mnist()
    figure, grid = sheet(8.4, 3.4, 2, 5, width_ratios=[1, 1, 1, 0.12, 2.6])
    lengths = np.linspace(0, 4, 17)
    curve = figure.add_subplot(figure.axes[0].get_gridspec()[:, 4])
    for axes in (*grid[:, 3], *grid[:, 4]):
        axes.remove()
    for row, (length, colour) in enumerate(((0.0, ORANGE), (1.5, BLUE))):
        net = small_network()
        net.fit(x, y, epochs=5, optimizer=fd.Adam(0.01), schedule=fd.OneCycle(), adversarial=length)
        gradient = net.input_gradient(x_test, y_test)
        way = gradient / np.linalg.norm(gradient, axis=(1, 2), keepdims=True)
        images = np.divide(x_test, 255, dtype=np.float32)
        net.scale = "numbers"  # moved pixels leave 0 … 1
        accuracies = [net.evaluate(images + step * way, y_test)["accuracy"] for step in lengths]
        curve.plot(lengths, accuracies, color=colour, linewidth=2, label=f"adversarial={length:g}")
        moved = images[:1] + 2 * way[:1]
        limit = float(np.abs(gradient[0]).max())
        shown = [(images[0], "gray_r", 0, 1, "image")] if row == 0 else [(None,) * 5]
        shown.append((gradient[0], signed_colours(), -limit, limit, "gradient"))
        shown.append((moved[0], "gray_r", 0, 1, f"moved by 2: read as {net.predict(moved)[0]}"))
        for axes, (values, colours, low, high, title) in zip(grid[row, :3], shown, strict=True):
            bare(axes)
            if values is None:
                axes.axis("off")
                continue
            axes.imshow(values, cmap=colours, vmin=low, vmax=high)
            axes.set_title(title, fontsize=9)
        grid[row, 1].set_ylabel(f"adversarial={length:g}", fontsize=9, color=colour)
    curve.set_ylim(0, 1)
    curve.legend(frameon=False, fontsize=8)
    tidy(curve, "accuracy on moved test images", "length of the move")
    return figure


# -- learning ----------------------------------------------------------------------------------------------------------


@picture
def softmax() -> Figure:
    (x, y), (x_test, y_test) = fd.load_mnist()
    net = small_network()
    net.fit(x, y, epochs=2, optimizer=fd.Adam(0.01), schedule=fd.OneCycle())
    probs = np.sort(net.predict_proba(x_test), axis=1)[:, :-4:-1]
    unsure = int(np.argmin(np.abs(probs - (0.6, 0.3, 0.1)).sum(axis=1)))
    logits = net.forward(x_test[unsure : unsure + 1])
    figure, grid = sheet(8.4, 2.9, 1, 5, width_ratios=[1, 1.35, 1.35, 1.35, 2])
    grid[0, 0].imshow(x_test[unsure], cmap="gray_r")
    grid[0, 0].set_title(f"labelled {y_test[unsure]}", fontsize=10)
    bare(grid[0, 0])
    layer = fd.Softmax()
    for axes, temperature, colour in zip(grid[0, 1:4], (0.25, 1.0, 4.0), (ORANGE, BLUE, GREEN), strict=True):
        axes.bar(range(10), layer.forward(logits / np.float32(temperature))[0], color=colour)
        axes.set_ylim(0, 1)
        axes.set_xticks(range(10))
        tidy(axes, f"softmax(logits / {temperature:g})")
    p = np.linspace(0.01, 1, 200)
    grid[0, 4].plot(p, -np.log(p), color=BLUE, linewidth=2, label="the loss, -log p")
    grid[0, 4].plot(p, 1 - p, "--", color=ORANGE, linewidth=2, label="size of its gradient, 1 - p")
    grid[0, 4].legend(frameon=False, fontsize=8)
    tidy(grid[0, 4], "one image", "probability p of its label")
    return figure


@picture
def backpropagation() -> Figure:
    """Draw the error of central differences for a dense layer on the NumPy twin, in float64 and float32."""
    figure, ((axes,),) = sheet(6.4, 3.4, 1, 1)
    for kind, colour in ((np.float64, BLUE), (np.float32, ORANGE)):
        rng = np.random.default_rng(3)
        x, weight = (rng.normal(size=size).astype(kind) for size in ((8, 5), (5, 4)))
        bias, labels, shares = np.zeros(4, kind), rng.integers(4, size=8), np.full(8, 1 / 8, kind)
        logits, probs, losses = np.empty((8, 4), kind), np.empty((8, 4), kind), np.empty(8, kind)

        def loss(
            at: np.ndarray, arrays: tuple[np.ndarray, ...] = (logits, x, bias, losses, probs, labels, shares)
        ) -> float:
            logits, x, bias, losses, probs, labels, shares = arrays
            _reference.dense_forward(logits, x, at, bias)
            _reference.softmax_cross_entropy_forward(losses, probs, logits, labels, shares, 0.0)
            return losses.sum()

        loss(weight)
        dlogits, dweight, dbias = np.empty_like(logits), np.empty_like(weight), np.empty_like(bias)
        _reference.softmax_cross_entropy_backward(dlogits, probs, labels, shares, 0.0)
        _reference.dense_backward_weight(dweight, dbias, dlogits, x)
        hs = np.logspace(-12, 0, 49)
        errors = []
        for h in hs:
            numeric = np.empty_like(weight)
            for place in np.ndindex(*weight.shape):
                up, down = weight.copy(), weight.copy()
                up[place] += h
                down[place] -= h
                numeric[place] = (loss(up) - loss(down)) / kind(2 * h)
            errors.append(np.abs(numeric - dweight).max() / np.abs(dweight).max())
        axes.loglog(hs, errors, "o-", color=colour, markersize=3, label=np.dtype(kind).name)
    axes.set_ylim(1e-12, 10)
    axes.legend(frameon=False, fontsize=9)
    axes.annotate("rounding", (1e-10, 3e-5), fontsize=9, color=GREY)
    axes.annotate("the curve bends", (2e-3, 3e-8), fontsize=9, color=GREY)
    tidy(axes, "central differences against backward: largest error / largest gradient", "h")
    return figure


# -- optimizers --------------------------------------------------------------------------------------------------------


def path(optimizer: fd.Optimizer, count: int) -> np.ndarray:
    """Return the path of an optimizer through the valley, (count + 1, 2)."""
    w, places = fd.Parameter("w", START), [START]
    for _ in range(count):
        w.grad = np.array(CURVES) @ w.value
        optimizer.step([w])
        places.append(tuple(w.value))
    return np.array(places)


def valley(axes: Axes) -> None:
    u, v = np.meshgrid(np.linspace(-5, 2, 181), np.linspace(-2.4, 2.2, 121))
    points = np.stack([u, v], axis=-1)
    height = 0.5 * np.einsum("...i,ij,...j", points, np.array(CURVES), points)
    axes.contour(u, v, height, levels=np.geomspace(0.005, 8, 13), colors=LIGHT, linewidths=0.7)
    axes.plot(0, 0, "+", color=GREY, markersize=9)
    axes.plot(*START, "o", color=GREY, markersize=4)


Contender = tuple[str, fd.Optimizer, fd.Optimizer]  # colour, optimizer in the valley, optimizer on digits


def race(*contenders: Contender, count: int = 40) -> Figure:
    """Draw the path of each optimizer through the valley, and its loss in the first epoch on MNIST."""
    figure, ((paths, losses),) = sheet(8.4, 3.6, 1, 2, width_ratios=[1.25, 1])
    valley(paths)
    for colour, in_valley, on_digits in contenders:
        paths.plot(
            *path(in_valley, count).T,
            "o-",
            color=colour,
            markersize=2.5,
            linewidth=1.2,
            label=repr(in_valley),
        )
        curve = smooth(list(steps(small_network(norm=False), on_digits, 469)))
        losses.semilogy(curve, color=colour, linewidth=1.5, label=repr(on_digits))
    paths.set_xlim(-5, 2)
    paths.set_ylim(-2.4, 2.2)
    for axes, place in ((paths, "lower right"), (losses, "upper right")):
        axes.legend(edgecolor="white", framealpha=0.9, fontsize=8, loc=place)
    tidy(paths, f"{count} steps in a valley of two parameters")
    tidy(losses, "loss in the first epoch on MNIST, batches of 128", "step")
    losses.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
    losses.minorticks_off()
    return figure


@picture
def sgd() -> Figure:
    return race(
        (ORANGE, fd.SGD(2.05), fd.SGD(0.9)),
        (BLUE, fd.SGD(1.7), fd.SGD(0.1)),
        (GREEN, fd.SGD(0.2), fd.SGD(0.02)),
        count=25,
    )


@picture
def momentum() -> Figure:
    return race(
        (LIGHT, fd.SGD(0.2), fd.SGD(0.02)),
        (BLUE, fd.Momentum(0.2), fd.Momentum(0.02)),
        (ORANGE, fd.Momentum(0.2, nesterov=True), fd.Momentum(0.02, nesterov=True)),
    )


@picture
def rmsprop() -> Figure:
    return race((LIGHT, fd.SGD(0.2), fd.SGD(0.02)), (BLUE, fd.RMSprop(0.15), fd.RMSprop(0.002)))


@picture
def adam() -> Figure:
    return race(
        (LIGHT, fd.SGD(0.2), fd.SGD(0.02)),
        (ORANGE, fd.RMSprop(0.15), fd.RMSprop(0.002)),
        (BLUE, fd.Adam(0.3), fd.Adam(0.002)),
    )


@picture
def adamw() -> Figure:
    (x, y), test = fd.load_mnist()
    figure, ((sizes, gaps),) = sheet(8.4, 3.2, 1, 2)
    for name, colour, optimizer in (
        ("Adam", ORANGE, fd.Adam(0.003)),
        ("AdamW, weight_decay 0.2", BLUE, fd.AdamW(0.003, weight_decay=0.2)),
    ):
        net = fd.NeuralNetwork([fd.Dense(784, 256), fd.ReLU(), fd.Dense(256, 10)], seed=0)
        history = net.fit(x[:10000], y[:10000], epochs=25, optimizer=optimizer, validation_data=test)
        weights = np.abs(net.layers[0].weight.value).ravel()
        sizes.hist(weights, bins=np.linspace(0, 0.4, 81), color=colour, alpha=0.6, label=name)
        gaps.plot(history.epoch, history.val_loss, color=colour, linewidth=2, label=f"{name}, test images")
        gaps.plot(history.epoch, history.loss, ":", color=colour, label="… training images")
    sizes.legend(frameon=False, fontsize=8)
    gaps.set_ylim(0, 0.4)
    gaps.legend(frameon=False, fontsize=8)
    tidy(sizes, "absolute weights of the first layer after 25 epochs", "|weight|", "count")
    tidy(gaps, "loss, trained on 10,000 images", "epoch")
    return figure


# -- training better ---------------------------------------------------------------------------------------------------


@picture
def schedules() -> Figure:
    figure, ((factors, accuracies),) = sheet(8.4, 3.4, 1, 2)
    (x, y), test = fd.load_mnist()
    kinds = (fd.Constant(), fd.Step(), fd.Cosine(), fd.OneCycle(), fd.WarmUp(0.1))
    for schedule, colour in zip(kinds, (GREY, GREEN, ORANGE, BLUE, "#CC79A7"), strict=True):
        factors.plot(
            np.arange(1000) / 1000,
            [schedule.factor(step, 1000) for step in range(1000)],
            color=colour,
            linewidth=2,
        )
        finals = []
        for seed in range(3):
            history = small_network(seed=seed).fit(
                x, y, epochs=6, optimizer=fd.Adam(0.01), schedule=schedule, validation_data=test
            )
            finals.append(history.val_accuracy)
        label = f"{type(schedule).__name__}: {100 * np.mean(finals, axis=0)[-1]:.2f} %"
        accuracies.plot(
            range(1, 7), 100 * np.mean(finals, axis=0), "o-", color=colour, markersize=3, label=label
        )
    accuracies.legend(frameon=False, fontsize=8)
    tidy(factors, "factor of the learning rate", "progress of the training")
    tidy(accuracies, "test accuracy, %, mean of three seeds", "epoch")
    return figure


@picture
def averaging() -> Figure:
    figure, ((axes,),) = sheet(6.4, 3.2, 1, 1)
    _, (x_test, y_test) = fd.load_mnist()
    net, average = small_network(norm=False), fd.EMA(0.99)
    average.begin(net.parameters(), 1500)
    at, raw, averaged = [], [], []
    for step, _ in enumerate(steps(net, fd.Adam(0.01), 1500)):
        average.update()
        if step % 20 == 19:
            at.append(step)
            raw.append(100 * net.evaluate(x_test, y_test)["accuracy"])
            values = net.values.copy()
            average.apply()
            averaged.append(100 * net.evaluate(x_test, y_test)["accuracy"])
            net.values[...] = values
    axes.plot(at, raw, color=ORANGE, linewidth=1, label="weights after each step")
    axes.plot(at, averaged, color=BLUE, linewidth=2, label="their average, EMA(0.99)")
    axes.set_ylim(93, 98)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    tidy(axes, "test accuracy, %, with Adam at a constant learning rate of 0.01", "step")
    return figure


# -- speed and own layers ----------------------------------------------------------------------------------------------


@picture
def speed() -> Figure:
    figure, grid = sheet(8.4, 3.1, 1, 3, width_ratios=[1, 1.15, 2.1])
    (x, _), _ = fd.load_mnist()
    nonzero = x[7] > 0
    grid[0, 0].imshow(np.where(nonzero, x[7] / 255, np.nan), cmap="gray_r", vmin=0, vmax=1)
    grid[0, 0].set_facecolor("#DDEBF4")
    grid[0, 0].set_title(f"{nonzero.sum()} of 784 are nonzero,\nblue pixels are skipped", fontsize=9)
    shown = grid[0, 1].imshow(100 * (x > 0).mean(axis=0), cmap="Blues", vmin=0, vmax=100)
    grid[0, 1].set_title(
        f"how often each is nonzero, %;\n{100 * (x > 0).mean():.0f} % on average", fontsize=9
    )
    figure.colorbar(shown, ax=grid[0, 1], shrink=0.7)
    for axes in grid[0, :2]:
        bare(axes)
    tile = grid[0, 2]
    tile.set_xlim(-1.7, 6.2)
    tile.set_ylim(-0.3, 8.2)
    tile.set_aspect("equal")
    tile.axis("off")
    for row in range(6):
        tile.add_patch(Rectangle((-1, 5 - row), 0.7, 0.85, facecolor="#F6DDCC", edgecolor=ORANGE))
        for column in range(2):
            tile.add_patch(
                Rectangle((0.2 + 3 * column, 5 - row), 2.8, 0.85, facecolor="#DDEBF4", edgecolor=BLUE)
            )
            tile.text(
                1.6 + 3 * column,
                5.42 - row,
                f"c{row}{column} += a{row} · b{column}",
                ha="center",
                va="center",
                fontsize=7.5,
            )
    for column in range(2):
        tile.add_patch(Rectangle((0.2 + 3 * column, 6.3), 2.8, 0.85, facecolor="#DCEFE6", edgecolor=GREEN))
        tile.text(1.6 + 3 * column, 6.72, f"b{column}: 16 weights", ha="center", va="center", fontsize=7.5)
    tile.text(-0.75, 6.72, "a: 6\nnumbers", ha="center", va="center", fontsize=7.5)
    tile.set_title("12 sums in registers: 8 loads feed\n12 vector multiply-adds", fontsize=9)
    return figure


@picture
def own_layer() -> Figure:
    figure, ((axes,),) = sheet(6.4, 2.9, 1, 1)
    (x, y), _ = fd.load_mnist()
    page = FOLDER.parent.parent / "learn" / "your-own-layer.md"
    names: dict[str, object] = {}
    exec(page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0], names)
    prelu = names["PReLU"](64)
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), prelu, fd.Dense(64, 10)], seed=0)
    net.fit(x, y, epochs=5, optimizer=fd.Adam(0.01), schedule=fd.OneCycle())
    axes.hist(prelu.slope.value, bins=np.linspace(-1, 1, 41), color=BLUE)
    axes.axvline(0.25, color=ORANGE, linestyle="--")
    axes.annotate(
        "start of all slopes", (0.27, 0.9), xycoords=("data", "axes fraction"), color=ORANGE, fontsize=9
    )
    tidy(axes, "slopes of 64 units after five epochs", "slope", "units")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    options = parser.parse_args()
    unknown = set(options.names) - PICTURES.keys()
    if unknown:
        parser.error(f"NAME must be one of {', '.join(PICTURES)}; got {', '.join(sorted(unknown))}")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        file = options.folder / f"{name}.png"
        PICTURES[name]().savefig(file, dpi=130, facecolor="white")
        print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
