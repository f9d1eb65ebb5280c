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
        self._free: dict[tuple[object, ...], list[_Program]] = {}
        self._built_in = all(type(layer) in assembly.BUILT_IN.values() for layer in network.layers)

    def probabilities(self, rows: Array, probs: Float32) -> None:
        """Write the probabilities of checked rows, (n, d), into ``probs``, (n, classes)."""
        if not self._built_in or not hasattr(backend.kernels, "Program"):
            self._run_eagerly(rows, probs)
            return
        n, start = rows.shape[0], 0
        threads = get_num_threads() if n > 1 else 1
        while start < n:
            size = next((size for size in SIZES if size >= n - start), SIZES[-1])
            stop = min(start + size, n)
            free = self._free.setdefault((backend.kernels, size, rows.shape[1], rows.dtype), [])
            try:  # a program is one thread's own while it runs; another thread makes another one
                program = free.pop()
            except IndexError:
                program = _Program(self._network, size, rows.shape[1], rows.dtype)
            program.batch[: stop - start] = rows[start:stop]
            program.program.once(threads)
            probs[start:stop] = program.probs[: stop - start]
            free.append(program)
            start = stop

    def _run_eagerly(self, rows: Array, probs: Float32) -> None:
        for start in range(0, rows.shape[0], SIZES[-1]):
            part = slice(start, start + SIZES[-1])
            logits = self._network.run(rows[part])
            if isinstance(self._network.layers[-1], Softmax):
                probs[part] = logits
            else:
                backend.kernels.softmax_forward(probs[part], np.ascontiguousarray(logits))


class _Program:
    """The kernels of a prediction, bound to their arrays."""

    def __init__(self, network: NeuralNetwork, size: int, width: int, dtype: Any) -> None:
        self.batch = memory.zeros(size, width, dtype=dtype)
        x = self.batch
        self.program = backend.kernels.Program(np.zeros(0, dtype=np.int64))
        with self.program:
            if dtype == np.uint8 and not assembly.takes_pixels(network.layers[0]):
                x = memory.floats(size, width)
                backend.kernels.gather_pixels(x, self.batch, np.arange(size))
            logits = network.run(x)
            if isinstance(network.layers[-1], Softmax):
                self.probs = logits
            else:
                self.probs = memory.floats(*logits.shape)
                backend.kernels.softmax_forward(self.probs, logits)
