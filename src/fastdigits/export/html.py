"""A page to draw on, with a network inside it: one file, which needs nothing from elsewhere.

The page's own source is in the folder ``page``; here it is put together with the network's weights.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..core import atomic, pages
from ..core.arrays import Array, as_array
from ..data import load_mnist
from ..nn.assembly import BUILT_IN, ends_in_softmax
from ..nn.folding import folded
from ..nn.layers import BatchNorm, Dense, Layer, LeakyReLU, Softmax
from ..nn.scales import NUMBERS, to_uint8
from ..nn.sequential import Sequential

PAGE = Path(__file__).parent / "page"
GENERATOR = "fastdigits"  # what the page names as its maker, before the version
# Each uses what those before it define.
SCRIPTS = ("network.js", "prepare.js", "pad.js", "view.js", "page.js")
DIGITS = tuple("0123456789")
CREDIT = (
    "The examples are from MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0."
)


def export_html(
    network: Sequential,
    path: str | os.PathLike[str],
    *,
    labels: Iterable[str] | None = None,
    examples: object = None,
) -> None:
    """Write a page to draw on, on which the network reads along: one HTML file, whole or not at all.

    It shows the probabilities as one draws, what the network sees, the activations of its layers and what the
    pixels mean to a neuron. It works without a server and without a connection, and forbids itself any.

    Parameters
    ----------
    network : Sequential
        Of built-in layers, for square images. Batch normalisation is folded into dense layers on the way.
    path : str or path-like
        The file; one that exists is replaced.
    labels : iterable of str, optional
        A name for each class; those of the network where none are given, or else its number.
    examples : array_like, (n, side, side) or (n, side · side), optional
        Images, whole numbers from 0 to 255, that the button "Example" shows one after the other. Where none are
        given, a network for digits of 28 × 28 pixels gets one of each from MNIST's test images, any other gets no
        button.

    Raises
    ------
    TypeError
        If a layer is not one of this package, or if labels or examples are of the wrong kind.
    ValueError
        If the network takes images that are not square, or was trained on numbers that are no pixels (its ``scale`` is
        "numbers"), or if labels or examples do not suit it.
    OSError
        If the file cannot be written.

    Notes
    -----
    The page computes what `NeuralNetwork.predict_proba` does, to the rounding of float32. It has 50 kB and
    5.3 bytes per weight: 0.3 MB for 784-64-32-10. Browsers of 2022 and later show it.

    Examples
    --------
    >>> import fastdigits as fd
    >>> fd.export_html(fd.load_pretrained(), "draw.html")  # doctest: +SKIP
    """
    _check_layers(network)
    side, classes = _sizes(network)
    names = _labels(network.class_names or None if labels is None else labels, classes)
    digits = examples is None and side == 28 and tuple(names) == DIGITS
    pictures = _digits() if digits else _examples(examples, side)
    content = {
        "side": side,
        "labels": names,
        "layers": _layers(network),
        "examples": [_base64(picture) for picture in pictures],
        "credit": CREDIT if digits else "",
    }
    title = "Draw a digit" if tuple(names) == DIGITS else "Draw"
    atomic.write(path, _page(title, content).encode(), example="draw.html")


def is_exported(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a page that `export_html` wrote, of whatever version."""
    with atomic.open_regular(path) as file:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in file.read(1000)


# -- what is asked for ---------------------------------------------------------------------------------------


def _check_layers(network: Sequential) -> None:
    for layer in network.layers:
        if BUILT_IN.get(type(layer).__name__) is not type(layer):
            raise TypeError(
                f"export_html: the page knows the layers of fastdigits only, {', '.join(BUILT_IN)}; got "
                f"{layer!r}: train a network without it"
            )


def _sizes(network: Sequential) -> tuple[int, int]:
    """Return the side of the images in pixels and the number of classes."""
    width = network.input_width
    if width is None:
        raise ValueError(
            f"export_html: the network must say how many pixels it takes; got {network!r}: give it a Dense layer"
        )
    if network.scale == NUMBERS:
        raise ValueError(
            "export_html: the network must have been trained on pixels, 0 … 255 or 0 … 1, as the pad gives these; got "
            "scale 'numbers': train it on pixels"
        )
    side = math.isqrt(width)
    if side * side != width:
        raise ValueError(
            f"export_html: the network must take square images, such as 28 × 28 = 784 pixels, as the pad is "
            f"square; got one that takes {width} numbers"
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
    """Return images to show, (n, side · side) uint8; none where none are given."""
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


# -- the network ---------------------------------------------------------------------------------------------


def _layers(network: Sequential) -> list[dict[str, Any]]:
    """Return the layers as the page's ``network.js`` reads them; the last gives probabilities."""
    described = [_layer(layer) for layer in folded(network).layers]
    if not ends_in_softmax(network.layers):
        described.append(_described("softmax"))
    return described


def _layer(layer: Layer) -> dict[str, Any]:
    """Describe a layer; dropout does nothing in predictions and is gone by now."""
    if isinstance(layer, Dense):
        return _described("dense", arrays={"weight": layer.weight.value, "bias": layer.bias.value})
    if isinstance(layer, BatchNorm):
        scale = layer.gamma.value / np.sqrt(layer.running_var.astype(np.float64) + layer.eps)
        return _described(
            "scale", arrays={"mean": layer.running_mean, "scale": scale, "shift": layer.beta.value}
        )
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
    """Return the page. Its policy allows this style and this script, and no connection."""
    return pages.render(
        PAGE / "page.html.jinja",
        generator=f"{GENERATOR} {__version__}",
        title=title,
        style=_source("page.css"),
        script="\n".join(map(_source, SCRIPTS)),
        network=content,
        sha256=_sha256,
    )


def _source(name: str) -> str:
    return (PAGE / name).read_text("utf-8")


def _sha256(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
