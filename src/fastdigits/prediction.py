"""Predictions, lowered: probabilities of some rows at a time, without the interpreter between the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import assembly, backend, changes, memory
from .inputs import Array, Float32
from .threads import get_num_threads

if TYPE_CHECKING:
    from .network import NeuralNetwork

SIZES = (1, 32, 256)  # rows a program works on; 256 rows of pixels stay in the second-level cache


class Predictor:
    """Predict with one network; safe to call from many threads at once.

    Parameters
    ----------
    network : NeuralNetwork
        Its layers, hyperparameters and arrays are used as they are at the time of a call.
    """

    def __init__(self, network: NeuralNetwork) -> None:
        self._network = network
        self._version: float = -1  # of what the programs were recorded from
        self._kernels: Any = None
        self._recorded_from: list[Any] = []
        self._lowers = False
        self._free: dict[tuple[int, str, int, bool], list[_Program]] = {}
        self._softmax = True  # to be applied to what the last layer makes
        self._classes: int | None = None

    def _renew(self) -> None:
        """Drop the programs if the network is no longer what they were recorded from."""
        network, version, kernels = self._network, changes.version, backend.kernels
        recorded_from = changes.fingerprint(network.layers)
        if kernels is not self._kernels or not changes.same(recorded_from, self._recorded_from):
            built_in = all(type(layer) in assembly.BUILT_IN.values() for layer in network.layers)
            self._lowers, self._free = built_in and hasattr(kernels, "Program"), {}
            self._softmax = not assembly.ends_in_softmax(network.layers)
            width = network.input_width
            self._classes = None if width is None else network.widths(width)[-1]
            self._recorded_from = recorded_from
        self._kernels, self._version = kernels, version  # last: if memory ran out before, all is done again

    def probabilities(self, rows: Array) -> Float32:
        """Return the probabilities of checked rows, (n, d), as a new array, (n, classes)."""
        return self._outputs(rows, True)

    def logits(self, rows: Array) -> Float32:
        """Return what the last layer makes of checked rows, (n, d), as a new array, (n, classes)."""
        return self._outputs(rows, False)

    def _outputs(self, rows: Array, softmax: bool) -> Float32:
        if self._version != changes.version or self._kernels is not backend.kernels:
            self._renew()
        softmax = softmax and self._softmax
        n, width = rows.shape
        outputs: Float32 = np.empty((n, self._classes or self._network.widths(width)[-1]), np.float32)
        if n == 1:
            self._fill(outputs, rows, softmax, 1, 1)
            return outputs
        threads, most = get_num_threads(), SIZES[-1]
        for start in range(0, n, most):
            self._fill(
                outputs[start : start + most], rows[start : start + most], softmax, threads, -(-n // most)
            )
        return outputs

    def _fill(self, outputs: Float32, rows: Array, softmax: bool, threads: int, calls: int) -> None:
        """Write the outputs of at most ``SIZES[-1]`` rows, one of so many calls of about as much work."""
        if not self._lowers:
            logits = np.ascontiguousarray(self._network.run(rows))
            if softmax:
                self._kernels.softmax_forward(outputs, logits)
            else:
                outputs[...] = logits
            return
        n, width = rows.shape
        size = 1 if n == 1 else SIZES[1] if n <= SIZES[1] else SIZES[2]
        key = size, rows.dtype.char, width, softmax
        free = self._free.get(key)
        if free is None:
            free = self._free.setdefault(key, [])
        try:  # a program is one thread's own while it runs; another thread makes another one
            program = free.pop()
        except IndexError:
            version, recorded_from = changes.version, self._recorded_from
            program = _Program(self._network, size, width, rows.dtype, softmax)
            now = changes.fingerprint(self._network.layers)
            if changes.version != version or not changes.same(now, recorded_from):
                free = []  # something changed meanwhile, and may be changed back: nobody is to use it again
        if n == size:
            program.predict(outputs, rows, threads, calls)
        else:
            program.batch[:n] = rows
            program.predict(program.outputs, program.batch, threads, calls)
            outputs[...] = program.outputs[:n]
        free.append(program)


class _Program:
    """The kernels of a prediction, bound to their arrays."""

    def __init__(self, network: NeuralNetwork, size: int, width: int, dtype: Any, softmax: bool) -> None:
        self.batch = memory.zeros(size, width, dtype=dtype)
        x = self.batch
        program = backend.kernels.Program(np.zeros(0, dtype=np.int64))
        self.predict = program.predict
        with program as kernels:
            if dtype == np.uint8 and not assembly.takes_pixels(network.layers[0]):
                x = memory.floats(size, width)
                kernels.gather_pixels(x, self.batch, np.arange(size))
            self.outputs = network.run(x, kernels=kernels)
            if softmax:
                logits, self.outputs = self.outputs, memory.floats(*self.outputs.shape)
                kernels.softmax_forward(self.outputs, logits)
        program.bind_io(self.outputs, self.batch)
