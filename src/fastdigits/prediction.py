"""Predictions, lowered: probabilities of some rows at a time, without the interpreter between the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import assembly, backend, memory
from .inputs import Array, Float32
from .layers import Softmax
from .threads import get_num_threads

if TYPE_CHECKING:
    from .network import NeuralNetwork

SIZES = (1, 32, 256)  # rows a program works on; 256 rows of pixels stay in the second-level cache


class Predictor:
    """The probabilities of one network's classes, from as many threads at once as like.

    Parameters
    ----------
    network : NeuralNetwork
        Its arrays are used as they are at the time of a call.
    """

    def __init__(self, network: NeuralNetwork) -> None:
        self._network = network
        self._kernels = backend.kernels
        self._free: dict[tuple[int, str, int], list[_Program]] = {}
        self._built_in = all(type(layer) in assembly.BUILT_IN.values() for layer in network.layers)
        width = network.input_width
        self._classes = None if width is None else network.widths(width)[-1]

    def probabilities(self, rows: Array) -> Float32:
        """Return the probabilities of checked rows, (n, d), as a new array, (n, classes)."""
        if self._kernels is not backend.kernels:
            self._kernels, self._free = backend.kernels, {}
        n, width = rows.shape
        probs: Float32 = np.empty((n, self._classes or self._network.widths(width)[-1]), np.float32)
        if n == 1:
            self._fill(probs, rows, 1)
            return probs
        threads = get_num_threads()
        for start in range(0, n, SIZES[-1]):
            self._fill(probs[start : start + SIZES[-1]], rows[start : start + SIZES[-1]], threads)
        return probs

    def _fill(self, probs: Float32, rows: Array, threads: int) -> None:
        """Write the probabilities of at most ``SIZES[-1]`` rows into ``probs``."""
        if not self._built_in or not hasattr(self._kernels, "Program"):
            probs[...] = self._eagerly(rows)
            return
        n, width = rows.shape
        size = 1 if n == 1 else SIZES[1] if n <= SIZES[1] else SIZES[2]
        key = size, rows.dtype.char, width
        free = self._free.get(key)
        if free is None:
            free = self._free.setdefault(key, [])
        try:  # a program is one thread's own while it runs; another thread makes another one
            program = free.pop()
        except IndexError:
            program = _Program(self._network, size, width, rows.dtype)
        if n == size:
            program.answer(probs, rows, threads)
        else:
            program.batch[:n] = rows
            program.answer(program.probs, program.batch, threads)
            probs[...] = program.probs[:n]
        free.append(program)

    def _eagerly(self, rows: Array) -> Float32:
        logits = np.ascontiguousarray(self._network.run(rows))
        if isinstance(self._network.layers[-1], Softmax):
            return logits.copy()
        probs = memory.floats(*logits.shape)
        self._kernels.softmax_forward(probs, logits)
        return probs


class _Program:
    """The kernels of a prediction, bound to their arrays."""

    def __init__(self, network: NeuralNetwork, size: int, width: int, dtype: Any) -> None:
        self.batch = memory.zeros(size, width, dtype=dtype)
        x = self.batch
        program = backend.kernels.Program(np.zeros(0, dtype=np.int64))
        self.answer = program.answer
        with program:
            if dtype == np.uint8 and not assembly.takes_pixels(network.layers[0]):
                x = memory.floats(size, width)
                backend.kernels.gather_pixels(x, self.batch, np.arange(size))
            logits = network.run(x)
            if isinstance(network.layers[-1], Softmax):
                self.probs = logits
            else:
                self.probs = memory.floats(*logits.shape)
                backend.kernels.softmax_forward(self.probs, logits)
        program.expose(self.probs, self.batch)
