"""Lowered predictions: all layers run as one recorded program, without returning to Python between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import backend
from ..backend import aligned
from ..backend.threads import get_num_threads
from ..core import changes
from ..core.arrays import Array, Float32
from . import assembly
from .layers import Layer

MOST_ROWS = 256  # per call of a program: as many rows of pixels fit into the second-level cache
# A row of smaller numbers overflows only in a network whose weights are too large themselves: it has diverged
TOO_LARGE = 1e9


class RowTooLargeError(ValueError):
    """The numbers of a row are too large to compute with. The message names the row."""


def check_outputs(outputs: Float32, rows: Array, first: int = 0) -> Float32:
    """Return the outputs for rows; RowTooLargeError if they are not finite because a row is too large.

    ``first`` is the number of the first row. Pixels cannot be too large. NaN from weights that are NaN is returned.
    """
    if rows.dtype == np.uint8 or np.isfinite(outputs).all():
        return outputs
    largest = np.abs(rows).max(axis=1)
    wrong = np.flatnonzero(~np.isfinite(outputs).all(axis=1) & (largest > TOO_LARGE))
    if wrong.size:
        raise RowTooLargeError(
            f"row {first + wrong[0]}: its numbers must be small enough for the network's outputs to be finite; "
            f"got numbers up to {largest[wrong[0]]:.3g}: correct or omit the row"
        )
    return outputs


class Predictor:
    """Predict with one network; safe to call from many threads at once.

    Each call uses the current layers, hyperparameters and arrays.
    """

    def __init__(self) -> None:
        self._version = -1  # `changes.version` when the programs were recorded
        self._kernels: Any = None
        self._recorded_from: list[Any] = []
        self._lowers = False
        self._free: dict[tuple[int, str, int, bool], list[_Program]] = {}  # programs that no thread runs
        self._softmax = True  # whether probabilities need a softmax after the last layer
        self._classes: int | None = None

    def _update(self, layers: Sequence[Layer]) -> None:
        """Drop the programs if the layers differ from those that were recorded."""
        version, kernels = changes.version, backend.kernels
        recorded_from = changes.fingerprint(layers)
        if kernels is not self._kernels or not changes.same(recorded_from, self._recorded_from):
            built_in = all(type(layer) in assembly.BUILT_IN.values() for layer in layers)
            self._lowers, self._free = built_in and hasattr(kernels, "Program"), {}
            self._softmax = not assembly.ends_in_softmax(layers)
            width = assembly.input_width(layers)
            self._classes = None if width is None else assembly.widths(layers, width)[-1]
            self._recorded_from = recorded_from
        # Last: if anything above fails, the next call repeats all.
        self._kernels, self._version = kernels, version

    def probabilities(self, layers: Sequence[Layer], rows: Array, first: int = 0) -> Float32:
        """Return the probabilities of checked rows, (n, d), as a new array, (n, classes), checked."""
        return check_outputs(self._outputs(layers, rows, True), rows, first)

    def logits(self, layers: Sequence[Layer], rows: Array, first: int = 0) -> Float32:
        """Return the last layer's output for checked rows, (n, d), as a new array, (n, classes), checked."""
        return check_outputs(self._outputs(layers, rows, False), rows, first)

    def _outputs(self, layers: Sequence[Layer], rows: Array, softmax: bool) -> Float32:
        if self._version != changes.version or self._kernels is not backend.kernels:
            self._update(layers)
        softmax = softmax and self._softmax
        n, width = rows.shape
        outputs: Float32 = np.empty((n, self._classes or assembly.widths(layers, width)[-1]), np.float32)
        if n == 1:
            self._fill(layers, outputs, rows, softmax, 1, 1)
            return outputs
        threads, most = get_num_threads(), MOST_ROWS
        for start in range(0, n, most):
            self._fill(
                layers,
                outputs[start : start + most],
                rows[start : start + most],
                softmax,
                threads,
                -(-n // most),
            )
        return outputs

    def _fill(
        self, layers: Sequence[Layer], outputs: Float32, rows: Array, softmax: bool, threads: int, calls: int
    ) -> None:
        """Write the outputs of at most ``MOST_ROWS`` rows; ``calls`` is the number of such calls in a row."""
        if not self._lowers:
            logits = np.ascontiguousarray(assembly.run(layers, rows))
            if softmax:
                self._kernels.softmax_forward(outputs, logits)
            else:
                outputs[...] = logits
            return
        n, width = rows.shape
        size = 1 << (n - 1).bit_length()  # a program of at most twice as many rows
        key = size, rows.dtype.char, width, softmax
        free = self._free.get(key)
        if free is None:
            free = self._free.setdefault(key, [])
        try:  # only one thread may run a program at a time; another thread makes another program
            program = free.pop()
        except IndexError:
            version, recorded_from = changes.version, self._recorded_from
            program = _Program(layers, size, width, rows.dtype, softmax)
            now = changes.fingerprint(layers)
            if changes.version != version or not changes.same(now, recorded_from):
                free = []  # the layers changed during the recording: use this program only once
        if n == size:
            program.predict(outputs, rows, threads, calls)
        else:
            program.batch[:n] = rows
            program.predict(program.outputs, program.batch, threads, calls)
            outputs[...] = program.outputs[:n]
        free.append(program)


class _Program:
    """The kernels of a prediction, bound to their arrays."""

    def __init__(self, layers: Sequence[Layer], size: int, width: int, dtype: Any, softmax: bool) -> None:
        self.batch = aligned.zeros(size, width, dtype=dtype)
        program = backend.kernels.Program(np.zeros(0, dtype=np.int64))
        self.predict = program.predict
        with program as kernels:
            self.outputs = assembly.run(layers, self.batch, kernels=kernels)
            if softmax:
                logits, self.outputs = self.outputs, aligned.floats(*self.outputs.shape)
                kernels.softmax_forward(self.outputs, logits)
        program.bind_io(self.outputs, self.batch)
