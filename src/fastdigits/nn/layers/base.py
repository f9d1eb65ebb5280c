"""What every layer has in common: the methods a network calls, and the checks of what it hands over."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.arrays import LARGE, Array, Float32, as_array, in_order
from ...core.configured import Configured
from ..parameters import Parameter


class Layer(Configured):
    """One step on the way from images to logits, with the step back.

    A layer of your own overrides `forward` and `backward`; `parameters`, if it has something to train; and
    `output_width`, if its output has another width than its input.

    Attributes
    ----------
    name : str
        Empty until a network gives one: the class in lower case and a number, such as ``dense1``.

    Notes
    -----
    The gradient of the loss with respect to an array is called d + its name: ``dy`` is to ``y`` what ``dx``
    is to ``x``. Neither ``x`` nor ``dy`` may be changed; other layers keep them.

    The layers of this package take one more argument, ``kernels``: a program that records them passes its own doors.

    Examples
    --------
    >>> import numpy as np
    >>> from fastdigits.layers import Layer
    >>> class Square(Layer):
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
    _saved: Any = None  # what the last forward(x, training=True) left for backward

    def forward(self, x: Array, training: bool = False) -> Float32:
        """Return the output for a batch.

        Parameters
        ----------
        x : ndarray, (n, in) float32
            One image, or what became of it, a row; n ≥ 1.
        training : bool, default False
            Whether to keep what `backward` needs and to do what is done in training only.

        Returns
        -------
        ndarray, (n, out) float32

        Raises
        ------
        TypeError
            If ``x`` is no array of float32.
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
            Gradient of the loss with respect to what the last ``forward(x, training=True)`` returned.

        Returns
        -------
        ndarray, (n, in) float32, or None
            None where the input has no gradient.

        Raises
        ------
        RuntimeError
            If no ``forward(x, training=True)`` came before.
        TypeError
            If ``dy`` is no array of float32.
        ValueError
            If its shape is not that of the output.
        """
        raise NotImplementedError(f"{self._subject}: a layer must have a backward(dy); got none")

    def parameters(self) -> list[Parameter]:
        """Return what is trained, the same objects at each call."""
        return []

    def buffers(self) -> dict[str, Float32]:
        """Return what is saved but not trained, by name: the arrays themselves."""
        return {}

    def initialize(self, rng: np.random.Generator) -> None:
        """Set initial values. A network calls this once, layer by layer, with one generator."""

    def output_width(self, width: int) -> int:
        """Return the width of the output for an input of this width.

        Raises
        ------
        ValueError
            If the layer takes no input of this width.
        """
        return width

    def operations(self, width: int) -> int:
        """Return the multiply-adds that one image of this width takes in evaluation."""
        return 0

    # -- for the layers of this package --------------------------------------------------------------------

    @property
    def _subject(self) -> str:
        """What the layer's error messages begin with."""
        label = self._label()
        return f"{self.name}, {label}" if self.name else label

    def _label(self) -> str:
        return repr(self)

    def _check_x(self, x: object, width: int | None = None, *, pixels: bool = False) -> Array:
        """Return ``x`` in C order, after a look at its type, dtype and shape."""
        kinds = (np.float32, np.uint8) if pixels else (np.float32,)
        x = self._seen(x, "x")
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
        """Return ``dy`` in C order, after a look at its type, dtype and shape."""
        dy = self._seen(dy, "dy")
        if not isinstance(dy, np.ndarray) or dy.dtype != np.float32:
            raise TypeError(
                f"{self._subject}: dy must be an array of float32; got {_kind(dy)}: dy.astype(np.float32)"
            )
        if dy.shape != shape:
            raise ValueError(f"{self._subject}: dy must be {shape}, as the output was; got {dy.shape}")
        return in_order(dy)

    def _seen(self, value: object, name: str) -> object:
        """Return what is in an array of a class derived from NumPy's, such as a masked one, or in a huge one."""
        if isinstance(value, np.ndarray) and (type(value) is not np.ndarray or value.nbytes > LARGE):
            return as_array(value, f"{self._subject}: {name}")
        return value

    def _recall(self) -> Any:
        """Return what the last ``forward(x, training=True)`` left for backward."""
        if self._saved is None:
            raise RuntimeError(
                f"{self._subject}: backward must come after a forward in training; got none yet: "
                "call forward(x, training=True) first"
            )
        return self._saved

    def __getstate__(self) -> dict[str, Any]:
        """Leave the last batch out of copies and pickles."""
        return {name: value for name, value in self.__dict__.items() if name != "_saved"}


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
