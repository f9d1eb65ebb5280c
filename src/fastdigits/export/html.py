"""Export a network as an HTML page to draw on: one file without external resources.

The source of the page is in the folder ``page``; this module inserts the network.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..core import atomic, pages
from ..core.arrays import Array, as_array
from ..data import load_mnist
from ..imaging.reading import NOT_A_DIGIT
from ..nn.assembly import BUILT_IN, ends_in_softmax
from ..nn.layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, MomentNorm, Softmax, Standardize
from ..nn.scales import NUMBERS, to_uint8
from ..nn.sequential import Sequential

PAGE = Path(__file__).parent / "page"
GENERATOR = "fastdigits"  # in the page's meta data, before the version
# In this order: each uses those before it.
SCRIPTS = (
    "moments.js", "layers.js", "network.js", "learn.js", "prepare.js", "strokes.js", "pad.js", "view.js", "answer.js",
    "lines.js", "inside.js", "chart.js", "train.js", "page.js",
)  # fmt: skip
STYLES = ("page.css", "learning.css")
TRAINING, HELD_OUT = 50, 30  # images of each digit inside the page, to train with and to test on
DIGITS = tuple("0123456789")
CREDIT = "The images inside are from MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0."


def export_html(
    network: Sequential,
    path: str | os.PathLike[str],
    *,
    labels: Iterable[str] | None = None,
    examples: object = None,
) -> None:
    """Write an HTML page on which the network classifies what the user draws: one file, written atomically.

    During drawing, it shows the probabilities, the network's input, the activations of its layers, the strongest lines
    between them and the weights of a neuron. Weights can be changed, and a network can be trained in the page. It needs
    no server and no connection, and its security policy allows none.

    Parameters
    ----------
    network : Sequential
        Built-in layers, for square images.
    path : str or path-like
        The file; an existing one is replaced.
    labels : iterable of str, optional
        A name for each class; default: the network's class names, or else the numbers of the classes.
    examples : array_like, (n, side, side) or (n, side · side), optional
        Images, whole numbers from 0 to 255, for the button "Example". By default, a network for digits of 28 × 28
        pixels gets one image of each digit from MNIST's test set; for any other, the button is hidden.

    Raises
    ------
    TypeError
        If a layer is not built-in, or if labels or examples have the wrong type.
    ValueError
        If the images are not square, if the network was not trained on pixels (its ``scale`` is "numbers"), or if
        labels or examples do not match the network.
    OSError
        If the file cannot be written.

    Notes
    -----
    The page computes the same as `NeuralNetwork.predict_proba`, up to the rounding of float32. Its size is 110 kB and
    5.3 bytes per weight: 2.2 MB for the network of `load_pretrained`, with 190 kB of MNIST's training images to learn
    from, which networks for digits of 28 × 28 pixels get if ``examples`` is omitted. It runs in browsers from 2022;
    training with these images, in browsers from May 2023.

    Examples
    --------
    >>> import fastdigits as fd
    >>> fd.export_html(fd.load_pretrained(), "draw.html")  # doctest: +SKIP
    """
    _check_layers(network)
    side, classes = _sizes(network)
    names = _labels(network.class_names or None if labels is None else labels, classes)
    are_digits = tuple(name for name in names if name != NOT_A_DIGIT) == DIGITS
    digits = examples is None and side == 28 and are_digits
    pictures = _digits() if digits else _examples(examples, side)
    content = {
        "side": side,
        "labels": names,
        "layers": _layers(network),
        "examples": [_base64(picture) for picture in pictures],
        "lesson": _lesson(names) if digits else None,
        "credit": CREDIT if digits else "",
    }
    title = "Draw a digit" if are_digits else "Draw"
    atomic.write(path, _page(title, content).encode(), example="draw.html")


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a page that any version of `export_html` wrote."""
    with atomic.open_regular(path) as file:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in file.read(1000)


# -- arguments -----------------------------------------------------------------------------------------------


def _check_layers(network: Sequential) -> None:
    for layer in network.layers:
        if BUILT_IN.get(type(layer).__name__) is not type(layer):
            raise TypeError(
                f"export_html: all layers must be built-in, {', '.join(BUILT_IN)}; got "
                f"{layer!r}: train a network without it"
            )


def _sizes(network: Sequential) -> tuple[int, int]:
    """Return the side of the images in pixels and the number of classes."""
    width = network.input_width
    if width is None:
        raise ValueError(
            f"export_html: the network must have a fixed input width; got {network!r}: add a Dense layer"
        )
    if network.scale == NUMBERS:
        raise ValueError(
            "export_html: the network must have been trained on pixels, 0 … 255 or 0 … 1; got scale 'numbers': "
            "train it on pixels"
        )
    side = math.isqrt(width)
    if side * side != width:
        raise ValueError(
            f"export_html: the network must take square images, such as 28 × 28 = 784 pixels; got an input width "
            f"of {width}"
        )
    return side, network.widths(width)[-1]


def _labels(labels: Iterable[str] | None, classes: int) -> list[str]:
    if labels is None:
        return [str(number) for number in range(classes)]
    names = list(labels) if isinstance(labels, Iterable) else []
    if not names or isinstance(labels, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"export_html: labels must be a list of strings; got {labels!r}")
    if len(names) != classes:
        raise ValueError(f"export_html: labels must be {classes}, one per class; got {len(names)}")
    return names


def _examples(examples: object, side: int) -> Array:
    """Return images to show, (n, side · side) uint8; an empty array for None."""
    if examples is None:
        return np.empty((0, side * side), np.uint8)
    array = as_array(examples, "export_html: examples")
    if array.shape[1:] not in ((side, side), (side * side,)):
        raise ValueError(
            f"export_html: examples must be (n, {side}, {side}) or (n, {side * side}); got {array.shape}"
        )
    return to_uint8(array.reshape(-1, side * side), "export_html: examples")


def _digits() -> Array:
    """Return the first image of each digit among MNIST's test images, (10, 784)."""
    _, (images, labels) = load_mnist()
    return images[[int((labels == digit).argmax()) for digit in range(10)]].reshape(10, -1)


def _lesson(names: list[str]) -> dict[str, Any]:
    """Return images of MNIST's training set to learn from in the page, and others to test on; each with its class."""
    (images, labels), _ = load_mnist()
    places = [np.flatnonzero(labels == digit) for digit in range(10)]

    def part(start: int, count: int) -> dict[str, Any]:
        rows = np.concatenate([found[start : start + count] for found in places])
        pixels = zlib.compress(images[rows].tobytes(), 9)
        classes = [names.index(str(label)) for label in labels[rows]]
        return {"pixels": base64.b64encode(pixels).decode("ascii"), "labels": classes}

    return {"training": part(0, TRAINING), "heldOut": part(TRAINING, HELD_OUT)}


# -- the network ---------------------------------------------------------------------------------------------


def _layers(network: Sequential) -> list[dict[str, Any]]:
    """Return the layers in the form that ``network.js`` reads; the last one is a softmax."""
    described = [_layer(layer) for layer in network.layers if not isinstance(layer, Dropout)]
    if not ends_in_softmax(network.layers):
        described.append(_described("softmax"))
    return described


def _layer(layer: Layer) -> dict[str, Any]:
    """Describe a layer other than dropout, with the names of Python."""
    if isinstance(layer, Dense):
        return _described("dense", arrays={"weight": layer.weight.value, "bias": layer.bias.value})
    if isinstance(layer, BatchNorm):
        parameters = {"gamma": layer.gamma.value, "beta": layer.beta.value}
        return _described(
            "batchnorm", {"eps": layer.eps, "momentum": layer.momentum}, parameters | layer.buffers()
        )
    if isinstance(layer, MomentNorm):
        sigma_y, sigma_x = (float(np.float32(sigma)) for sigma in layer.sigmas)  # as the kernels take them
        sizes = {"height": layer.height, "width": layer.width, "sigma_y": sigma_y, "sigma_x": sigma_x}
        return _described("momentnorm", sizes)
    if isinstance(layer, Standardize):
        return _described("standardize", arrays=layer.buffers())
    if isinstance(layer, Softmax):
        return _described("softmax")
    return _described("relu", {"slope": layer.slope if isinstance(layer, LeakyReLU) else 0.0})


def _described(
    kind: str, numbers: dict[str, float] | None = None, arrays: dict[str, Array] | None = None
) -> dict[str, Any]:
    encoded = {name: _base64(array.astype("<f4")) for name, array in (arrays or {}).items()}
    return {"kind": kind, "numbers": numbers or {}, "arrays": encoded}


def _base64(array: Array) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


# -- the page ------------------------------------------------------------------------------------------------


def _page(title: str, content: dict[str, Any]) -> str:
    """Return the page; its security policy allows only this style and this script, and no connection."""
    return pages.render(
        PAGE / "page.html.jinja",
        generator=f"{GENERATOR} {__version__}",
        title=title,
        style="\n".join(map(_source, STYLES)),
        script="\n".join(map(_source, SCRIPTS)),
        network=content,
        sha256=_sha256,
    )


def _source(name: str) -> str:
    return (PAGE / name).read_text("utf-8")


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
