"""The base class of all layers: the methods that a network calls, and checks of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.arrays import LARGE, Array, Float32, as_array, in_order
from ...core.configured import Configured
from ..parameters import Parameter


class Layer(Configured):
    """One step from images to logits, with its gradient.

    Your own layer overrides `forward` and `backward`; `parameters`, if it is trainable; and `output_width`, if that
    differs from the input's width.

    Attributes
    ----------
    name : str
        Empty until a network sets it: the class in lower case and a number, such as ``dense1``.
    prepares_input : bool, default False
        Whether the layer, at the beginning of a network, only prepares images: the layer after it then computes no dx.

    Notes
    -----
    ``dx`` is the gradient of the loss with respect to ``x``, and ``dy`` with respect to ``y``. A layer must not change
    ``x`` or ``dy``: other layers keep them.

    The layers of this package have one more argument, ``kernels``, for programs that record them.

    Examples
    --------
    >>> import numpy as np
    >>> import fastdigits as fd
    >>> class Square(fd.Layer):
    ...     def forward(self, x, training=False):
    ...         self.x = x
    ...         return x * x
    ...
    ...     def backward(self, dy):
    ...         return 2 * self.x * dy
    >>> square = Square()
    >>> square.forward(np.array([[1.0, 3.0]], dtype=np.float32))
    array([[1., 9.]], dtype=float32)
    >>> square.backward(np.ones((1, 2), dtype=np.float32))
    array([[2., 6.]], dtype=float32)
    """

    name = ""
    prepares_input = False
    _saved: Any = None  # cache of the last forward(x, training=True) for backward

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; only another `Parameter` replaces one."""
        if isinstance(vars(self).get(name), Parameter) and not isinstance(value, Parameter):
            raise TypeError(
                f"{self._subject}: {name} must be a Parameter; got {type(value).__name__}: assign numbers to "
                f"layer.{name}.value"
            )
        super().__setattr__(name, value)

    def forward(self, x: Array, training: bool = False) -> Float32:
        """Return the output for a batch.

        Parameters
        ----------
        x : ndarray, (n, in) float32
            One row per image; n ≥ 1.
        training : bool, default False
            Whether to work as in training, and to cache what `backward` needs.

        Returns
        -------
        ndarray, (n, out) float32

        Raises
        ------
        TypeError
            If ``x`` is not an array of float32.
        ValueError
            If its shape is wrong.
        """
        raise NotImplementedError(
            f"{self._subject}: a layer must have a forward(x, training=False); got none"
        )

    def backward(self, dy: Float32) -> Float32 | None:
        """Return the gradient of the input, and overwrite that of each parameter.

        Parameters
        ----------
        dy : ndarray, (n, out) float32
            Gradient of the loss with respect to the output of the last ``forward(x, training=True)``.

        Returns
        -------
        ndarray, (n, in) float32, or None
            None if the input has no gradient.

        Raises
        ------
        RuntimeError
            If there was no ``forward(x, training=True)`` before.
        TypeError
            If ``dy`` is not an array of float32.
        ValueError
            If its shape differs from that of the output.
        """
        raise NotImplementedError(f"{self._subject}: a layer must have a backward(dy); got none")

    def backward_input(self, dy: Float32, x: Array, y: Float32) -> Float32 | None:
        """Return the gradient of the input for ``forward(x)``, in evaluation; used by `NeuralNetwork.input_gradient`.

        The layers of this package change nothing. This default, for a layer of your own, calls ``forward(x,
        training=True)`` and `backward`, which overwrites the gradients of its parameters.

        Parameters
        ----------
        dy : ndarray, (n, out) float32
            Gradient of the loss with respect to ``y``.
        x : ndarray, (n, in) float32
        y : ndarray, (n, out) float32
            The output for ``x``.

        Returns
        -------
        ndarray, (n, in) float32, or None
            None if the input has no gradient.
        """
        self.forward(x, training=True)
        return self.backward(dy)

    def parameters(self) -> list[Parameter]:
        """Return the trainable parameters, the same objects at each call."""
        return []

    def buffers(self) -> dict[str, Float32]:
        """Return arrays that are saved but not trained, by name, without copies."""
        return {}

    def initialize(self, rng: np.random.Generator) -> None:
        """Set initial values. A network calls this once for each layer, with one generator for all."""

    def output_width(self, width: int) -> int:
        """Return the width of the output for an input of this width.

        Raises
        ------
        ValueError
            If the layer does not accept this width.
        """
        return width

    def operations(self, width: int) -> int:
        """Return the number of multiply-adds per image of this width in evaluation."""
        return 0

    # -- for the layers of this package --------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        """Start of the layer's error messages."""
        label = self._label()
        return f"{self.name}, {label}" if self.name else label

    def _label(self) -> str:
        return repr(self)

    def _check_x(self, x: object, width: int | None = None, *, pixels: bool = False) -> Array:
        """Check type, dtype and shape of ``x``; return it in C order."""
        kinds = (np.float32, np.uint8) if pixels else (np.float32,)
        x = self._plain(x, "x")
        if not isinstance(x, np.ndarray) or x.dtype not in kinds:
            raise TypeError(
                f"{self._subject}: x must be an array of {' or '.join(kind.__name__ for kind in kinds)}; "
                f"got {_kind(x)}: x.astype(np.float32)"
            )
        if x.ndim != 2 or x.size == 0 or width not in (None, x.shape[1]):
            wanted = "d" if width is None else width
            hint = "flatten each image to one row first" if x.ndim > 1 else "for one image, x[np.newaxis]"
            if x.size == 0:
                hint = "at least one image is needed"
            raise ValueError(f"{self._subject}: x must be (n, {wanted}); got {x.shape}: {hint}")
        return in_order(x)

    def _check_dy(self, dy: object, shape: tuple[int, int]) -> Float32:
        """Check type, dtype and shape of ``dy``; return it in C order."""
        dy = self._plain(dy, "dy")
        if not isinstance(dy, np.ndarray) or dy.dtype != np.float32:
            raise TypeError(
                f"{self._subject}: dy must be an array of float32; got {_kind(dy)}: dy.astype(np.float32)"
            )
        if dy.shape != shape:
            raise ValueError(f"{self._subject}: dy must be {shape}, like the output; got {dy.shape}")
        return in_order(dy)

    def _plain(self, value: object, name: str) -> object:
        """Check a large array, or one of a subclass of ndarray such as a masked array; return it as an ndarray."""
        if isinstance(value, np.ndarray) and (type(value) is not np.ndarray or value.nbytes > LARGE):
            return as_array(value, f"{self._subject}: {name}")
        return value

    def _cached(self) -> Any:
        """Return the cache of the last ``forward(x, training=True)``."""
        if self._saved is None:
            raise RuntimeError(
                f"{self._subject}: backward needs a forward in training before it; got none: "
                "call forward(x, training=True) first"
            )
        return self._saved

    def __getstate__(self) -> dict[str, Any]:
        """Omit the cache of the last batch from copies and pickles."""
        return {name: value for name, value in super().__getstate__().items() if name != "_saved"}


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
