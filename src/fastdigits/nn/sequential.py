"""Layers one after another: forward, backward, predictions, and the state that they share.

All parameters are in one block of values and one block of gradients. Arguments are checked here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Self

import numpy as np

from ..core import changes, seeding, validation
from ..core.arrays import Array, Float32, Int64, as_array, in_order
from ..core.blocks import Blocks
from . import assembly, scales
from .input_gradient import input_gradient
from .layers import Dropout, Layer, MomentNorm, Standardize
from .losses import SoftmaxCrossEntropy, total_weight
from .parameters import Parameter, flatten
from .predictor import Predictor, check_outputs

ROWS_AT_ONCE = 4096  # bounds the memory of predictions


class Sequential:
    """The computing part of a network: layers one after another, without training, files and export.

    `fastdigits.NeuralNetwork` describes parameters and attributes. Training, storage and export work on this class.
    """

    def __init__(self, layers: Sequence[Layer], *, seed: int = 0) -> None:
        self.layers = assembly.checked_layers(layers)
        self.seed = validation.check_count(seed, "seed", "NeuralNetwork", least=0)
        self.epochs_trained = 0
        self.threads: int | None = None
        self.trained_by: int | None = None  # id of the process in which `fit` runs
        self._class_names: tuple[str, ...] = ()
        # `Standardize.adapt` has seen the numbers as they are
        self._scale: str | None = scales.NUMBERS if isinstance(self.layers[0], Standardize) else None
        self._picture_size: tuple[int, int] | None = None
        self._column_names: tuple[str, ...] = ()
        self.input_width = assembly.input_width(self.layers)
        if self.input_width is not None:
            self.widths(self.input_width)
        assembly.name_layers(self.layers)
        self._prepare_layers()
        self._predictor = Predictor()
        self._set_parameters(assembly.named_parameters(self.layers))

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "layers":
            changes.mark_changed()

    def _prepare_layers(self) -> None:
        generator = seeding.stream(self.seed, seeding.INITIALIZE)
        for position, layer in enumerate(self.layers):
            layer.initialize(generator)
            if isinstance(layer, Dropout):
                layer.seed = seeding.key(self.seed, seeding.DROPOUT, position)
        first = assembly.first_trained(self.layers)
        if hasattr(first, "needs_input_gradient"):
            first.needs_input_gradient = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self.layers))}], seed={self.seed})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; empty if numbers name them."""
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str]) -> None:
        classes = None if self.input_width is None else self.widths(self.input_width)[-1]
        self._class_names = validation.checked_class_names(names, classes, "class_names")

    @property
    def scale(self) -> str | None:
        """Meaning of the numbers of an image: "pixels", "unit" or "numbers"; None before the first training.

        It is "numbers" from the start if the first layer is `Standardize`, which takes numbers as they are.
        """
        return self._scale

    @scale.setter
    def scale(self, scale: str | None) -> None:
        self._scale = scales.check_scale(scale, "scale")

    @property
    def picture_size(self) -> tuple[int, int] | None:
        """Height and width of picture files that the network was trained on; None for others, such as MNIST's digits.

        `fastdigits predict` fits pictures to this size. Without it, it prepares pictures like the digits of MNIST.
        """
        return self._picture_size

    @picture_size.setter
    def picture_size(self, size: tuple[int, int] | None) -> None:
        if size is not None:
            height, width = (validation.check_count(side, "a side", "picture_size") for side in size)
            if self.input_width not in (None, height * width):
                raise ValueError(
                    f"picture_size must be height and width of {self.input_width} pixels; got {height} x {width}"
                )
            size = height, width
        self._picture_size = size

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns of the table that the network was trained on, in its order; empty if they are unknown.

        ``fastdigits predict`` and ``evaluate`` find the columns of a CSV by these names.
        """
        return self._column_names

    @column_names.setter
    def column_names(self, names: Iterable[str]) -> None:
        self._column_names = validation.checked_names(names, self.input_width, "column", "column_names")

    # -- forward and backward --------------------------------------------------------------------------

    def forward(self, x: object, training: bool = False) -> Float32:
        """Return the output of the last layer: the logits.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, on the network's ``scale``, in any dtype. If the scale is None, uint8 is divided by 255, and other
            numbers are used unchanged.
        training : bool, default False
            Whether layers keep what `backward` needs, normalise by the batch, and drop out. An untrained network learns
            its ``scale`` from these images.

        Returns
        -------
        ndarray, (n, classes) float32

        Raises
        ------
        TypeError
            If ``x`` does not hold real numbers.
        ValueError
            If ``x`` is empty, of the wrong width, not finite, or cannot be on the network's scale. Outside of training,
            also if a row is so large that its outputs are not finite.
        """
        images = self.check_images(x, "forward: x")
        if not training:
            rows = scales.to_rows(images, self._scale, "forward: x")
            return check_outputs(self.run(rows), rows)
        # A first layer that is asked for the gradient of its input gets the numbers as they are.
        pack = not getattr(self.layers[0], "needs_input_gradient", False)
        rows, scale = self.training_rows(images, "forward: x", pack)
        y = self.run(rows, training)
        self._scale = scale
        return y

    def run(self, rows: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Return what `forward` returns, for checked rows: (n, d), C order, uint8 or finite float32.

        ``kernels`` is given by a program that records the call; see `TrainingStep`.
        """
        return assembly.run(self.layers, rows, training, kernels)

    def backward(self, dlogits: object, kernels: Any = None) -> Float32 | None:
        """Compute the gradient of every parameter, overwriting the old one.

        Parameters
        ----------
        dlogits : array_like, (n, classes)
            Gradient of the loss with respect to the output of the last ``forward(x, training=True)``.
        kernels : optional
            Used inside this package only: the kernels of a program that records the call.

        Returns
        -------
        ndarray, (n, d) float32, or None
            Gradient with respect to the rows of ``x``; None if the first layer skips it. `Dense` as the first layer
            always skips it for uint8, and otherwise unless its ``needs_input_gradient`` is set to True.

        Raises
        ------
        RuntimeError
            If ``forward(x, training=True)`` was not called before.
        TypeError
            If a layer other than the first returns no gradient for its input.
        """
        dy = in_order(as_array(dlogits, "backward: dlogits"), np.float32)
        for position in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[position]
            dx = layer.backward(dy) if kernels is None else layer.backward(dy, kernels)  # type: ignore[call-arg]
            if position == 0 or (dx is None and self.layers[position - 1].prepares_input):
                return dx
            if dx is None:
                raise TypeError(
                    f"{layer.name}.backward must return dx, as it is not the first layer; got None"
                )
            if type(layer) not in assembly.BUILT_IN.values():
                dx = assembly.check_output(dx, f"{layer.name}.backward", (dy.shape[0], None))
            dy = dx
        return None

    def input_gradient(self, x: object, y: object, *, loss: SoftmaxCrossEntropy | None = None) -> Float32:
        """Return the gradient of each image's loss with respect to its numbers, in evaluation.

        It says which pixels of an image speak for its label, and against it: the loss grows with a pixel whose
        gradient is positive. Moving an image along it makes an adversarial example.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`.
        y : array_like of int, (n,)
            Labels, 0 … classes - 1.
        loss : SoftmaxCrossEntropy, optional
            Default: cross-entropy.

        Returns
        -------
        ndarray, float32, shaped like ``x``
            The loss of an image does not depend on the others: this is not the gradient of their mean. It refers to the
            numbers that the network computes with: those of pixels are value / 255, and after `MomentNorm` they are
            those of the normalised image.

        Raises
        ------
        TypeError, ValueError
            If images or labels are not as described, if the network ends in `Softmax`, or if a layer of your own
            returns no gradient.

        Notes
        -----
        Nothing changes, except that a layer of your own runs as in training; see `Layer.backward_input`.

        References
        ----------
        Simonyan, Vedaldi, Zisserman (2014), Deep Inside Convolutional Networks, section 3. Goodfellow, Shlens, Szegedy
        (2015), Explaining and Harnessing Adversarial Examples, section 4.

        Examples
        --------
        >>> import fastdigits as fd
        >>> (x, y), _ = fd.load_mnist()
        >>> fd.load_pretrained().input_gradient(x[:5], y[:5]).shape
        (5, 28, 28)
        """
        self.need_logits("input_gradient")
        images = self.check_images(x, "input_gradient: x")
        n, width = images.shape
        labels = validation.check_labels(y, n, self.widths(width)[-1], "input_gradient: y")
        read = scales.row_converter(images, self._scale, "input_gradient: x")
        loss = copy.copy(_loss(loss, "input_gradient"))
        gradient = np.empty(images.shape, np.float32)
        for part in pieces(n, ROWS_AT_ONCE):
            rows, layers = read(images[part]), self.layers
            if isinstance(layers[0], MomentNorm):
                rows, layers = layers[0].forward(rows), layers[1:]
            found = input_gradient(layers, rows, labels[part], loss)
            gradient[part] = check_outputs(found, rows, part.start)
        return gradient.reshape(as_array(x, "input_gradient: x").shape)

    def parameters(self) -> list[Parameter]:
        """Return the parameters, layer by layer: weight, bias; gamma, beta."""
        self._update_parameters()
        return list(self._parameters)

    @property
    def values(self) -> Float32:
        """The block of all ``Parameter.value``, which are views of it."""
        self._update_parameters()
        return self._values

    @values.setter
    def values(self, new: object) -> None:
        self.values[...] = as_array(new, "NeuralNetwork: values")

    @property
    def gradients(self) -> Float32:
        """The block of all ``Parameter.grad``, which are views of it."""
        self._update_parameters()
        return self._gradients

    @gradients.setter
    def gradients(self, new: object) -> None:
        self.gradients[...] = as_array(new, "NeuralNetwork: gradients")

    def _set_parameters(self, parameters: list[Parameter]) -> None:
        self._parameters = parameters
        self._values, self._gradients = flatten(parameters)
        self._parameters_of = changes.version

    def _update_parameters(self) -> None:
        """Register parameters that replaced others: ``layer.weight = Parameter("weight", …)``."""
        version = changes.version
        if version == self._parameters_of:
            return
        found = [parameter for layer in self.layers for parameter in layer.parameters()]
        if list(map(id, found)) != list(map(id, self._parameters)):
            assembly.name_layers(self.layers)
            for parameter in found:
                parameter.name = parameter.name.rpartition(".")[2]
            self._set_parameters(assembly.named_parameters(self.layers))
        else:
            self._parameters_of = version

    def buffers(self) -> dict[str, Float32]:
        """Return the arrays that are saved but not trained, by name, such as ``batchnorm1.running_mean``."""
        return {f"{at.name}.{name}": array for at in self.layers for name, array in at.buffers().items()}

    # -- predictions -----------------------------------------------------------------------------------------------

    def predict(self, x: object) -> Int64:
        """Return the most probable class of each image.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`. They are processed in pieces, to bound the memory.

        Returns
        -------
        ndarray, (n,) int64
        """
        if isinstance(x, Blocks):
            return np.concatenate(
                [part.argmax(axis=1) for part in self._block_probabilities(x, "predict: x")]
            )
        labels: Int64 = self._probabilities(x, "predict: x").argmax(axis=1)
        return labels

    def predict_proba(self, x: object) -> Float32:
        """Return the probability of each class for each image.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`. They are processed in pieces, to bound the memory.

        Returns
        -------
        ndarray, (n, classes) float32
            Each row sums to 1. The output of a last layer `Softmax` is returned unchanged.
        """
        if isinstance(x, Blocks):
            return np.concatenate([*self._block_probabilities(x, "predict_proba: x")])
        return self._probabilities(x, "predict_proba: x")

    def _block_probabilities(self, blocks: Blocks, subject: str) -> Iterator[Float32]:
        self.check_blocks(blocks, self._scale, subject)
        first = 0
        for images, _ in blocks.pieces():
            yield self._predictor.probabilities(self.layers, scales.block_rows(images, self._scale), first)
            first += len(images)

    def _probabilities(self, x: object, subject: str) -> Float32:
        images = self.check_images(x, subject)
        n = images.shape[0]
        if n <= ROWS_AT_ONCE:
            return self._predictor.probabilities(self.layers, scales.to_rows(images, self._scale, subject))
        read = scales.row_converter(images, self._scale, subject)
        parts = pieces(n, ROWS_AT_ONCE)
        return np.concatenate(
            [self._predictor.probabilities(self.layers, read(images[part]), part.start) for part in parts]
        )

    def evaluate(
        self,
        x: object,
        y: object = None,
        *,
        sample_weight: object = None,
        loss: SoftmaxCrossEntropy | None = None,
        batch_size: int = ROWS_AT_ONCE,
    ) -> dict[str, float]:
        """Return mean loss and accuracy on images, in evaluation mode.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`.
        y : array_like of int, (n,)
            Labels. Omit them with shards, which hold their labels.
        sample_weight : array_like, (n,), optional
            Weight of each image in loss and accuracy, in the order of the images.
        loss : SoftmaxCrossEntropy, optional
            Default: cross-entropy.
        batch_size : int, default 4096
            Images at a time; it changes the memory needed, not the result.

        Returns
        -------
        dict
            ``{"loss": float, "accuracy": float}``, the accuracy as a fraction.

        Raises
        ------
        TypeError, ValueError
            If images, labels or weights are not as described, or if the network ends in `Softmax`.
        """
        self.need_logits("evaluate")
        loss = _loss(loss, "evaluate")
        batch_size = validation.check_count(batch_size, "batch_size", "evaluate")
        if isinstance(x, Blocks):
            check_no_labels(y, "evaluate")
            self.check_blocks(x, self._scale, "evaluate: x")
            return self.score_blocks(x, _weights(sample_weight, len(x)), loss, batch_size)
        images = self.check_images(x, "evaluate: x")
        n, width = images.shape
        labels = validation.check_labels(y, n, self.widths(width)[-1], "evaluate: y")
        weights = _weights(sample_weight, n)
        read = scales.row_converter(images, self._scale, "evaluate: x")
        return self.score(images, labels, weights, loss, batch_size, read)

    def score(
        self,
        images: Array,
        labels: Int64,
        weights: Float32 | None,
        loss: SoftmaxCrossEntropy,
        batch_size: int = ROWS_AT_ONCE,
        read: Callable[[Array], Array] = in_order,
    ) -> dict[str, float]:
        """Return what `evaluate` returns, for checked arguments; ``read`` turns images into rows."""
        parts = pieces(images.shape[0], batch_size)
        return mean_score(
            self.score_piece(
                read(images[part]), labels[part], None if weights is None else weights[part], loss, part.start
            )
            for part in parts
        )

    def score_blocks(
        self,
        blocks: Blocks,
        weights: Float32 | None,
        loss: SoftmaxCrossEntropy,
        batch_size: int = ROWS_AT_ONCE,
    ) -> dict[str, float]:
        """Return what `evaluate` returns, for checked arguments."""

        def sums() -> Iterator[tuple[float, float, float]]:
            start = 0
            for x, y in blocks.pieces(batch_size):
                weight = None if weights is None else weights[start : start + y.size]
                yield self.score_piece(scales.block_rows(x, self._scale), y, weight, loss, start)
                start += y.size

        return mean_score(sums())

    def score_piece(
        self, rows: Array, labels: Int64, weight: Float32 | None, loss: SoftmaxCrossEntropy, first: int = 0
    ) -> tuple[float, float, float]:
        """Return the sums over a few images of weight · loss, of weight · hit and of weights.

        ``first`` is the number of the first image, for errors.
        """
        logits = self._predictor.logits(self.layers, rows, first)
        right = logits.argmax(axis=1) == labels
        share = total_weight(right.size, weight)
        if share == 0.0:  # every image has the weight 0
            return 0.0, 0.0, 0.0
        hits = total_weight(int(right.sum()), None if weight is None else weight[right])
        return share * loss.forward(logits, labels, weight), hits, share

    # -- for other modules and for copies ----------------------------------------------------------------

    def widths(self, width: int) -> list[int]:
        """Return the width of the input and of each layer's output; raise ValueError if they do not match."""
        return assembly.widths(self.layers, width)

    def training_rows(self, images: Array, subject: str, pack: bool = True) -> tuple[Array, str | None]:
        """Return rows and scale for training on checked images: the network's scale, or theirs if it is untrained."""
        if self._scale is not None or self.epochs_trained:
            return scales.to_rows(images, self._scale, subject, pack), self._scale
        return scales.learn(images, subject, pack)

    def training_scale(self, blocks: Blocks) -> str | None:
        """Return the scale for training on images in blocks: the network's, or theirs if it is untrained."""
        if self._scale is not None or self.epochs_trained:
            return self._scale
        return scales.scale_of(*blocks.range)

    def check_blocks(self, blocks: Blocks, scale: str | None, subject: str) -> None:
        """Raise a ValueError or a DataError if images in blocks do not fit the network, or are not as described."""
        self.check_columns(blocks.column_names, subject)
        if self.input_width not in (None, blocks.width):
            raise ValueError(
                f"{subject} must be images of {self.input_width} numbers; got {blocks.width}: {blocks!r}"
            )
        classes = self.widths(blocks.width)[-1]
        if len(blocks.class_counts) > classes:
            raise ValueError(
                f"{subject} must have labels within 0 … {classes - 1}, as the network has {classes} outputs; got "
                f"{len(blocks.class_counts)} classes: {blocks!r}"
            )
        scales.check_blocks(blocks, scale, subject)
        blocks.check_files()

    def check_images(self, x: object, subject: str) -> Array:
        """Return what `validation.check_images` returns; check the columns of a data frame, too."""
        names = list(getattr(x, "columns", ())) if self._column_names else []
        if all(isinstance(name, str) for name in names):
            self.check_columns(names, subject, "x[list(net.column_names)]")
        return validation.check_images(x, self.input_width, subject)

    def check_columns(
        self, names: Sequence[str], subject: str, hint: str = "write the shards again, from such a table"
    ) -> None:
        """Raise a ValueError if network and table both name their columns, and not the same in one order."""
        if not (self.column_names and names):
            return
        for place, (wanted, got) in enumerate(zip_longest(self.column_names, names)):
            if got != wanted:
                raise ValueError(
                    f"{subject} must have the columns of the network, in its order, {_shown(wanted)} at place {place}, "
                    f"counted from 0; got {_shown(got)}: {hint}"
                )

    def need_logits(self, subject: str) -> None:
        """Raise ValueError if the network ends in `Softmax`, as the loss takes logits."""
        if assembly.ends_in_softmax(self.layers):
            raise ValueError(
                f"{subject}: the network must end in logits, as the loss applies the softmax itself; got Softmax() at "
                "the end: omit it, predict_proba returns probabilities without it"
            )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_values"], state["_gradients"]  # the parameters hold the same numbers
        del state["_predictor"], state["_parameters_of"]
        state["trained_by"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in (("_scale", None), ("_picture_size", None), ("_column_names", ())):
            self.__dict__.setdefault(name, value)  # pickles made before networks had these
        self.__dict__.update(state)
        self._set_parameters(self._parameters)
        self._predictor = Predictor()

    def __copy__(self) -> Self:
        """Return a deep copy: two networks cannot share parameters, which are views of one network's blocks."""
        return copy.deepcopy(self)


def mean_score(sums: Iterable[tuple[float, float, float]]) -> dict[str, float]:
    """Return mean loss and accuracy from the sums of `Sequential.score_piece`, added in their order."""
    total = hits = shares = 0.0
    for loss, right, share in sums:
        total, hits, shares = total + loss, hits + right, shares + share
    return {"loss": total / shares, "accuracy": hits / shares}


def _shown(name: str | None) -> str:
    return "none" if name is None else repr(name[:40])


def check_no_labels(y: object, subject: str) -> None:
    """Raise a TypeError if labels are given beside shards."""
    if y is not None:
        raise TypeError(
            f"{subject}: y must be omitted with Shards, which hold their labels; got {type(y).__name__}"
        )


def _loss(loss: object, subject: str) -> SoftmaxCrossEntropy:
    """Return the loss, or cross-entropy for None; TypeError if it is no loss."""
    if loss is None:
        return SoftmaxCrossEntropy()
    if not isinstance(loss, SoftmaxCrossEntropy):
        raise TypeError(
            f"{subject}: loss must be an instance of fastdigits.SoftmaxCrossEntropy; got {loss!r}"
        )
    return loss


def _weights(sample_weight: object, n: int) -> Float32 | None:
    return (
        None
        if sample_weight is None
        else validation.check_weights(sample_weight, n, "evaluate: sample_weight")
    )


def pieces(n: int, size: int) -> Iterator[slice]:
    """Yield slices of ``size`` rows that cut ``n`` rows into pieces; the last piece may be smaller."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
