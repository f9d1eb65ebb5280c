"""A network: layers in a row, their parameters side by side in one block of values and one of gradients.

It checks what comes in and hands it from layer to layer. Training is the part of `training`, files that of
`storage`: the methods `fit` and `save` hand over to those rooms and import them only when called.
"""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from . import assembly, changes, inputs, scales
from .inputs import Array, Float32, Int64
from .layers import BatchNorm, Dense, Dropout, Layer
from .losses import SoftmaxCrossEntropy
from .parameters import Parameter, flatten
from .prediction import Predictor

if TYPE_CHECKING:
    from .augment import Augmentation
    from .averaging import WeightAverage
    from .callbacks import Callback, History
    from .finding import LearningRates
    from .optimizers import Optimizer
    from .schedules import Schedule

# What a stream of random numbers is for; with the network's seed this makes the key of its generator.
INITIALIZE, SHUFFLE, SPLIT, DROPOUT, AUGMENT = range(5)

ROWS_AT_ONCE = 4096  # bounds the memory of predictions


def stream(seed: int, *purpose: int) -> np.random.Generator:
    """Return the counter-based generator of ``seed`` for one purpose, independent of those for all others."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=purpose)))


class NeuralNetwork:
    """Layers in a row.

    Parameters
    ----------
    layers : sequence of Layer
        The first takes the images, the last gives the logits, one per class. Each layer belongs to one network,
        which names it (``dense1``, ``batchnorm1``, ``relu1``, ``relu2``) and initialises it.
    seed : int, default 0
        Decides initial weights, the order of the images, their distortions, a validation split and dropout
        masks. At least 0.

    Attributes
    ----------
    layers : tuple of Layer
    seed : int
    epochs_trained : int
        Whole epochs so far, over all calls of `fit`.
    threads : int or None
        What the last `fit` asked for.
    values, gradients : ndarray, (p,) float32
        The blocks that every ``Parameter.value`` and ``Parameter.grad`` is a view of. Parameters start at
        multiples of 64 bytes; what lies between them is zero. Assigning copies, as for a ``Parameter``.
    input_width : int or None
        Numbers an image; None where the layers do not say.
    class_names : tuple of str
        What the classes are called; empty where they go by their numbers. Set it to any strings, one per class:
        they are saved with the network, and the commands show them.
    scale : {"pixels", "unit", "numbers"} or None
        What the numbers of an image mean: "pixels" are 0 … 255 and divided by 255, "unit" are 0 … 1 and "numbers"
        any others, both used as they are. None until the network is first trained, by `fit` or by ``forward(x,
        training=True)``: it then learns the scale from the values of these images, and reads all later ones on it,
        whatever their dtype. Set it to decide yourself.

    Raises
    ------
    TypeError
        If ``layers`` is no sequence of layers, or if the seed is no integer.
    ValueError
        If there are none, if one appears twice or belongs to a network already, or if widths do not match.

    Notes
    -----
    A layer of your own is a subclass of `Layer` with ``forward`` and ``backward``, perhaps ``parameters``.
    What it returns is checked and converted to float32. Where it changes the width, it overrides
    ``output_width``.

    A pickled or copied network is complete and independent of the first.

    Examples
    --------
    >>> import fastdigits as fd
    >>> net = fd.NeuralNetwork([fd.Dense(784, 64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    >>> [parameter.name for parameter in net.parameters()]
    ['dense1.weight', 'dense1.bias', 'dense2.weight', 'dense2.bias']
    """

    def __init__(self, layers: Sequence[Layer], *, seed: int = 0) -> None:
        self.layers = assembly.checked_layers(layers)
        self.seed = inputs.check_count(seed, "seed", "NeuralNetwork", least=0)
        self.epochs_trained = 0
        self.threads: int | None = None
        self.trained_by: int | None = None  # process that is in a call of fit
        self._class_names: tuple[str, ...] = ()
        self._scale: str | None = None
        self.input_width = assembly.input_width(self.layers)
        if self.input_width is not None:
            self.widths(self.input_width)
        assembly.name_layers(self.layers)
        self._prepare_layers()
        self._predictor = Predictor(self)
        self._take_parameters(assembly.named_parameters(self.layers))

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "layers":
            changes.note()

    def _prepare_layers(self) -> None:
        generator = stream(self.seed, INITIALIZE)
        for position, layer in enumerate(self.layers):
            layer.initialize(generator)
            if isinstance(layer, Dropout):
                sequence = np.random.SeedSequence(self.seed, spawn_key=(DROPOUT, position))
                layer.seed = int(sequence.generate_state(1, np.uint64)[0])
        if hasattr(self.layers[0], "needs_input_gradient"):
            self.layers[0].needs_input_gradient = False

    def __repr__(self) -> str:
        return f"NeuralNetwork([{', '.join(map(repr, self.layers))}], seed={self.seed})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called; empty where they go by their numbers."""
        return self._class_names

    @class_names.setter
    def class_names(self, names: Iterable[str]) -> None:
        classes = None if self.input_width is None else self.widths(self.input_width)[-1]
        self._class_names = assembly.checked_class_names(names, classes, "class_names")

    @property
    def scale(self) -> str | None:
        """What the numbers of an image mean: "pixels", "unit" or "numbers"; None where that is not known yet."""
        return self._scale

    @scale.setter
    def scale(self, scale: str | None) -> None:
        self._scale = scales.checked(scale, "scale")

    # -- the way forward and back --------------------------------------------------------------------------

    def forward(self, x: object, training: bool = False) -> Float32:
        """Return the output of the last layer: the logits.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, on the network's ``scale``, in any dtype. Where that is None, uint8 means value / 255, and other
            numbers are taken as they are.
        training : bool, default False
            Whether layers keep what `backward` needs, normalise by the batch, and drop out. A network that was never
            trained learns its ``scale`` from these images.

        Returns
        -------
        ndarray, (n, classes) float32

        Raises
        ------
        TypeError
            If ``x`` holds no real numbers.
        ValueError
            If ``x`` is empty, of the wrong width, not finite, or cannot be meant on the network's scale.
        """
        images = inputs.check_images(x, self.input_width, "forward: x")
        scale = self.scale_for(images, "forward: x") if training else self._scale
        y = self.run(scales.to_rows(images, scale, "forward: x"), training)
        self._scale = scale
        return y

    def run(self, rows: Array, training: bool = False, kernels: Any = None) -> Float32:
        """Do as `forward` for rows that are checked already: (n, d), C order, uint8 or finite float32.

        ``kernels``: the doors of a program that records this; see `program.TrainingStep`.
        """
        y = rows
        if rows.dtype == np.uint8 and not assembly.takes_pixels(self.layers[0]):
            y = np.divide(rows, np.float32(255), dtype=np.float32)
        for layer in self.layers:
            if type(layer) in assembly.BUILT_IN.values():
                y = layer.forward(y, training) if kernels is None else layer.forward(y, training, kernels)  # type: ignore[call-arg]
            else:
                shape = (y.shape[0], layer.output_width(y.shape[1]))
                y = assembly.own_output(layer.forward(y, training), f"{layer.name}.forward", shape)
        return y

    def backward(self, dlogits: object, kernels: Any = None) -> Float32 | None:
        """Fill the gradient of every parameter, overwriting what it held.

        Parameters
        ----------
        dlogits : array_like, (n, classes)
            Gradient of the loss with respect to what the last ``forward(x, training=True)`` returned.
        kernels : optional
            For this package: the doors of a program that records the call.

        Returns
        -------
        ndarray, (n, d) float32, or None
            Gradient with respect to the rows of ``x``. None where the first layer skips it, as `Dense` does
            there: always for uint8, otherwise unless its ``needs_input_gradient`` is set to True.

        Raises
        ------
        RuntimeError
            If no ``forward(x, training=True)`` came before.
        TypeError
            If a layer other than the first returns no gradient for its input.
        """
        dy = inputs.in_order(inputs.as_array(dlogits, "backward: dlogits"), np.float32)
        for position in range(len(self.layers) - 1, -1, -1):
            layer = self.layers[position]
            dx = layer.backward(dy) if kernels is None else layer.backward(dy, kernels)  # type: ignore[call-arg]
            if position == 0:
                return dx
            if dx is None:
                raise TypeError(
                    f"{layer.name}.backward must return dx, as it is not the first layer; got None"
                )
            if type(layer) not in assembly.BUILT_IN.values():
                dx = assembly.own_output(dx, f"{layer.name}.backward", (dy.shape[0], None))
            dy = dx
        return None

    def parameters(self) -> list[Parameter]:
        """Return the parameters, layer by layer: weight, bias; gamma, beta."""
        self._look_for_parameters()
        return list(self._parameters)

    @property
    def values(self) -> Float32:
        """The block that every ``Parameter.value`` is a view of."""
        self._look_for_parameters()
        return self._values

    @values.setter
    def values(self, new: object) -> None:
        self.values[...] = inputs.as_array(new, "NeuralNetwork: values")

    @property
    def gradients(self) -> Float32:
        """The block that every ``Parameter.grad`` is a view of."""
        self._look_for_parameters()
        return self._gradients

    @gradients.setter
    def gradients(self, new: object) -> None:
        self.gradients[...] = inputs.as_array(new, "NeuralNetwork: gradients")

    def _take_parameters(self, parameters: list[Parameter]) -> None:
        self._parameters = parameters
        self._values, self._gradients = flatten(parameters)
        self._parameters_of = changes.version

    def _look_for_parameters(self) -> None:
        """Take in parameters that were put in place of others: ``layer.weight = Parameter("weight", …)``."""
        version = changes.version
        if version == self._parameters_of:
            return
        found = [parameter for layer in self.layers for parameter in layer.parameters()]
        if list(map(id, found)) != list(map(id, self._parameters)):
            assembly.name_layers(self.layers)
            for parameter in found:
                parameter.name = parameter.name.rpartition(".")[2]
            self._take_parameters(assembly.named_parameters(self.layers))
        else:
            self._parameters_of = version

    def buffers(self) -> dict[str, Float32]:
        """Return what is saved but not trained, such as ``batchnorm1.running_mean``: name to array."""
        return {f"{at.name}.{name}": array for at in self.layers for name, array in at.buffers().items()}

    # -- use -----------------------------------------------------------------------------------------------

    def predict(self, x: object) -> Int64:
        """Return the most probable class of each image.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`. Worked on in pieces, so that memory stays bounded.

        Returns
        -------
        ndarray, (n,) int64
        """
        labels: Int64 = self._probabilities(x, "predict: x").argmax(axis=1)
        return labels

    def predict_proba(self, x: object) -> Float32:
        """Return the probability of each class for each image.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`. Worked on in pieces, so that memory stays bounded.

        Returns
        -------
        ndarray, (n, classes) float32
            Each row sums to 1. What a last layer `Softmax` gives is returned as it is.
        """
        return self._probabilities(x, "predict_proba: x")

    def _probabilities(self, x: object, subject: str) -> Float32:
        images = inputs.check_images(x, self.input_width, subject)
        n = images.shape[0]
        if n <= ROWS_AT_ONCE:
            return self._predictor.probabilities(scales.to_rows(images, self._scale, subject))
        read = scales.reader(images, self._scale, subject)
        parts = (read(images[part]) for part in pieces(n, ROWS_AT_ONCE))
        return np.concatenate([self._predictor.probabilities(rows) for rows in parts])

    def evaluate(
        self,
        x: object,
        y: object,
        *,
        sample_weight: object = None,
        loss: SoftmaxCrossEntropy | None = None,
        batch_size: int = ROWS_AT_ONCE,
    ) -> dict[str, float]:
        """Return mean loss and accuracy over images that the network predicts in evaluation mode.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`.
        y : array_like of int, (n,)
            Labels.
        sample_weight : array_like, (n,), optional
            How much each image counts, in the loss and in the accuracy.
        loss : SoftmaxCrossEntropy, optional
            The plain cross-entropy where none is given.
        batch_size : int, default 4096
            Images at once; changes memory, not the result.

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
        images = inputs.check_images(x, self.input_width, "evaluate: x")
        n, width = images.shape
        labels = inputs.check_labels(y, n, self.widths(width)[-1], "evaluate: y")
        weights = (
            None
            if sample_weight is None
            else inputs.check_weights(sample_weight, n, "evaluate: sample_weight")
        )
        batch_size = inputs.check_count(batch_size, "batch_size", "evaluate")
        loss = SoftmaxCrossEntropy() if loss is None else loss
        read = scales.reader(images, self._scale, "evaluate: x")
        return self.score(images, labels, weights, loss, batch_size, read)

    def score(
        self,
        images: Array,
        labels: Int64,
        weights: Float32 | None,
        loss: SoftmaxCrossEntropy,
        batch_size: int = ROWS_AT_ONCE,
        read: Callable[[Array], Array] = inputs.in_order,
    ) -> dict[str, float]:
        """Do as `evaluate` for arguments that are checked already; ``read`` makes rows of images."""
        total = hits = shares = 0.0
        for part in pieces(images.shape[0], batch_size):
            logits = self._predictor.logits(read(images[part]))
            right = logits.argmax(axis=1) == labels[part]
            weight = None if weights is None else weights[part]
            share = float(right.size if weight is None else weight.sum(dtype=np.float64))
            if share == 0.0:  # a piece in which every image has the weight 0
                continue
            total += share * loss.forward(logits, labels[part], weight)
            hits += float(right.sum() if weight is None else weight[right].sum(dtype=np.float64))
            shares += share
        return {"loss": total / shares, "accuracy": hits / shares}

    def fit(
        self,
        x: object,
        y: object,
        *,
        epochs: int = 10,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: SoftmaxCrossEntropy | None = None,
        augment: Augmentation | None = None,
        clip_norm: float | None = None,
        average: WeightAverage | None = None,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float = 0.0,
        sample_weight: object = None,
        callbacks: Iterable[Callback] = (),
        shuffle: bool = True,
        progress: bool = False,
        threads: int | None = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> History:
        """Train for ``epochs`` more epochs.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`. A network that was never trained learns its ``scale`` from them.
        y : array_like of int, (n,)
            Labels, 0 … classes - 1.
        epochs : int, default 10
            How many more.
        batch_size : int, default 128
            Images a step. A last batch of one image joins the batch before it.
        optimizer : Optimizer, optional
            A new ``Adam(lr=0.001)`` where none is given. Hand the same one over again to continue with its
            moments: two calls with 2 and 3 epochs then give the bits of one call with 5.
        schedule : Schedule, optional
            Learning rate over the steps of this call; constant where none is given.
        loss : SoftmaxCrossEntropy, optional
            From logits, so that the network must not end in `Softmax`.
        augment : Augmentation, optional
            Distortions of the images, drawn again in each epoch. ``x`` must then hold pixels, whole numbers from 0 to
            255, the network's ``scale`` must be "pixels" or None, an image must have at most 64 × 64 pixels, and rows
            must be square images. Images to validate on stay as they are.
        clip_norm : float, optional
            Largest norm that all gradients together may have, see `ClipNorm`; any where none is given.
        average : WeightAverage, optional
            `EMA` or `SWA`: at the end of the training the network gets its averaged weights, and statistics
            of batch normalisation that belong to them. The last epoch is validated with these, those before it
            without. An interrupt leaves the weights of the last step, and an `EarlyStopping` that restores its
            best epoch puts that in the average's place.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Images and labels to evaluate after each epoch, with the same loss; and how much each image counts.
        validation_split : float, default 0.0
            Fraction of the images, 0 ≤ f < 1, that is set apart for the same purpose instead. Drawn from the
            network's seed: each call with as many images sets the same ones apart.
        sample_weight : array_like, (n,), optional
            How much each image counts in loss and accuracy. An image of weight 0 is left out.
        callbacks : iterable of Callback
            Called after each epoch, in this order.
        shuffle : bool, default True
            Whether each epoch has an order of its own, which depends on seed and number of the epoch alone.
        progress : bool, default False
            Whether standard error shows a bar and a line per epoch.
        threads : int, optional
            Threads to use; None leaves it to the package. The result does not depend on it.
        resume : str or path-like, optional
            Folder to which a `Checkpoint` wrote in an earlier call with the same arguments: goes on from the newest
            one there, whatever the network and the optimizer are now, and begins at the beginning if there is none.

        Returns
        -------
        History
            One entry per epoch of this call.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or differs from that of the training to be resumed; nothing is
            changed then.
        ModelFileError
            If there are checkpoints to resume from, but none can be used; nothing is changed then.
        RuntimeError
            If another call of `fit` still trains the network, or uses the average.
        DivergedError
            If loss or parameters are no longer finite, the loss on images that are held out included. The network
            is then that of the last whole epoch, or as it came where there is none, and the optimizer has no
            state for it: both can be used again, with a smaller learning rate.
        MemoryError
            If memory runs out. Network and optimizer are then those of a whole step: weights, running statistics,
            moments and counts belong together, and training may go on from there.

        Notes
        -----
        After an interrupt (KeyboardInterrupt) the network is usable; ``epochs_trained`` counts whole epochs.

        On the NumPy backend, or with a part that is written in Python, memory that runs out amid a step may leave that
        step done in part. NumPy says SystemError at times, and Python RuntimeError or TypeError, where memory is short.
        """
        from . import training

        return training.fit(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            schedule=schedule,
            loss=loss,
            augment=augment,
            clip_norm=clip_norm,
            average=average,
            validation_data=validation_data,
            validation_split=validation_split,
            sample_weight=sample_weight,
            callbacks=callbacks,
            shuffle=shuffle,
            progress=progress,
            threads=threads,
            resume=resume,
        )

    def find_lr(
        self,
        x: object,
        y: object,
        *,
        optimizer: Optimizer | None = None,
        loss: SoftmaxCrossEntropy | None = None,
        batch_size: int = 128,
        lowest: float = 1e-5,
        highest: float = 10.0,
        steps: int = 300,
    ) -> LearningRates:
        """Find a learning rate: train a copy for some steps, at rates that rise from step to step.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`; at least 2.
        y : array_like of int, (n,)
            Labels.
        optimizer : Optimizer, optional
            A new `Adam` where none is given. Its own learning rate does not count.
        loss : SoftmaxCrossEntropy, optional
            The plain cross-entropy where none is given.
        batch_size : int, default 128
            Images a step, at least 2; a rate belongs to the batch size that it was found for.
        lowest, highest : float, default 1e-5 and 10
            Rates of the first and of the last step; the same factor lies between any two steps.
        steps : int, default 300
            At least 10. The search ends sooner where the loss goes up for good.

        Returns
        -------
        LearningRates
            ``lr``, half of the rate at which the smoothed loss was smallest, and the curve. It suits a schedule
            that rises before it falls, as `OneCycle` does.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        Network, optimizer and loss stay as they are; a copy of a network that was never trained learns its ``scale``
        from the images. The order of the images depends on the seed alone.

        References
        ----------
        Smith (2017), Cyclical Learning Rates for Training Neural Networks, section 3.3.
        """
        from . import finding

        return finding.find_lr(
            self,
            x,
            y,
            optimizer=optimizer,
            loss=loss,
            batch_size=batch_size,
            lowest=lowest,
            highest=highest,
            steps=steps,
        )

    def renew_statistics(self, x: object, *, batch_size: int = 1000) -> None:
        """Compute the running statistics of batch normalisation again: plain means over batches of ``x``.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width)
            Images, as for `forward`; at least 2 where the network has batch normalisation.
        batch_size : int, default 1000
            Images a batch.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        Running statistics trail behind the weights of a training. After weights were changed by other means,
        averaged for instance, they do not fit at all. Nothing else is changed.
        """
        from . import training

        training.renew_statistics(self, x, batch_size)

    def folded(self) -> NeuralNetwork:
        """Return a copy for predictions: batch normalisation folded into dense layers, dropout left out.

        A `BatchNorm` that follows a `Dense`, with nothing but dropout between them, becomes part of it:
        weight ← weight · scale and bias ← (bias - running_mean) · scale + beta, with
        scale = gamma / √(running_var + eps), worked out in float64. All other layers stay.

        Returns
        -------
        NeuralNetwork
            Independent of this one. It predicts, is saved and can be trained on like any other.

        Raises
        ------
        ValueError
            If the network is made of dropout alone.

        Notes
        -----
        The probabilities agree with those of this network to rounding only.

        `predict` does not fold by itself: weights may be changed through ``Parameter.value`` at any moment, and
        to notice that would cost more than the normalisation does: 0.08 of 3.2 µs for one image, 1 to 3 % for
        10,000 (``scripts/folding.py``, AVX-512). So who is done with training asks for it.

        Examples
        --------
        >>> import fastdigits as fd
        >>> fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)]).folded()
        NeuralNetwork([Dense(784, 64), ReLU(), Dense(64, 10)], seed=0)
        """
        network = copy.deepcopy(self)
        kept: list[Layer] = []
        for layer in network.layers:
            if type(layer) is BatchNorm and kept and type(kept[-1]) is Dense:
                _fold(kept[-1], layer)
            elif type(layer) is not Dropout:
                kept.append(layer)
                for parameter in layer.parameters():  # the number in the layer's name may change
                    parameter.name = parameter.name.removeprefix(f"{layer.name}.")
        if not kept:
            raise ValueError(f"folded: the network must have a layer besides dropout; got {self!r}")
        if kept[0] is not network.layers[0] and hasattr(kept[0], "needs_input_gradient"):
            kept[0].needs_input_gradient = False  # as in a network that begins with this layer
        layers = tuple(kept)
        assembly.name_layers(layers)
        network.__setstate__({"layers": layers, "_parameters": assembly.named_parameters(layers)})
        return network

    def save(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write the network to a safetensors file, whole or not at all; see `fastdigits.load`.

        Parameters
        ----------
        path : str, path-like or binary file
            The file; one that exists is replaced and keeps its permissions. A symbolic link stays, another hard
            link keeps the old content. One that is open for bytes is written to where it stands.

        Raises
        ------
        TypeError
            If a layer is not one of this package, if a hyperparameter is of another type, or if ``path`` is no file.
        ValueError
            If a parameter is not finite, or a hyperparameter is out of range.
        OSError
            If the file cannot be written, or is a device, a pipe or a folder.
        """
        from . import storage

        storage.save(self, path)

    def export_onnx(self, path: str | os.PathLike[str], *, input_dtype: str = "uint8") -> None:
        """Write the network as an ONNX graph, which onnxruntime and other programs run without this package.

        Parameters
        ----------
        path : str or path-like
            The file; one that exists is replaced, whole or not at all.
        input_dtype : {"uint8", "float32"}, default "uint8"
            What the graph takes, on the network's ``scale``: for "pixels" it divides both by 255, for "unit" and
            "numbers" neither, and for None uint8 alone.

        Raises
        ------
        TypeError
            If a layer is not one of this package.
        ValueError
            If there is no such dtype, if no layer says how wide an image is, or if a parameter is not finite.
        ImportError
            If the package onnx is not installed: ``pip install 'onnx>=1.16'``.
        OSError
            If the file cannot be written.

        Notes
        -----
        Input ``images``, (batch, d), one image a row. Outputs ``logits`` and ``probabilities``, (batch, classes)
        float32, and ``label``, (batch,) int64. The batch may have any size. Batch normalisation is folded into the
        dense layers as `folded` does, dropout is left out.

        The operators are those of set 13 in format version 7, which onnxruntime takes since version 1.7 (2021).

        Examples
        --------
        >>> import fastdigits as fd
        >>> fd.load_pretrained().export_onnx("digits.onnx")  # doctest: +SKIP
        """
        from .export import onnx

        onnx.export(self, path, input_dtype=input_dtype)

    def to_torch_state_dict(self) -> OrderedDict[str, Any]:
        """Return the tensors as PyTorch's ``torch.nn.Sequential`` of the same layers loads them.

        Returns
        -------
        OrderedDict of torch.Tensor
            Copies, named after positions: ``0.weight``, (out, in) as PyTorch has it, and ``0.bias`` of a `Dense`;
            ``1.weight``, ``1.bias``, ``1.running_mean``, ``1.running_var`` and ``1.num_batches_tracked``, which is 0,
            of a `BatchNorm`. Layers without tensors count as positions.

        Raises
        ------
        TypeError
            If a layer is not one of this package.
        ImportError
            If PyTorch is not installed.

        Notes
        -----
        `Dense` is PyTorch's ``Linear``, `BatchNorm` its ``BatchNorm1d``, whose ``eps`` and ``momentum`` mean the same
        and have the same defaults; other values are not part of a state, nor is the slope of a `LeakyReLU`, nor the
        ``scale``: give PyTorch's module pixels / 255 where that is "pixels", and the values as they are otherwise.

        Examples
        --------
        >>> import fastdigits as fd
        >>> net = fd.NeuralNetwork([fd.Dense(784, 64), fd.ReLU(), fd.Dense(64, 10)])
        >>> import torch  # doctest: +SKIP
        >>> module = torch.nn.Sequential(  # doctest: +SKIP
        ...     torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
        ... )
        >>> module.load_state_dict(net.to_torch_state_dict())  # doctest: +SKIP
        <All keys matched successfully>
        """
        from . import torch_state

        return torch_state.to_state(self)

    def load_torch_state_dict(self, state: Mapping[str, object]) -> None:
        """Take over the tensors of a ``torch.nn.Sequential`` of the same layers.

        Parameters
        ----------
        state : mapping of str to tensor or array_like
            What ``module.state_dict()`` returns; see `to_torch_state_dict` for names and shapes. Any floating-point
            dtype; rounded to float32. ``num_batches_tracked`` may be absent and does not count.

        Raises
        ------
        TypeError
            If the state is no mapping, holds other than floating-point numbers, or if a layer of this network is not
            one of this package.
        ValueError
            If names or shapes differ from those of this network, or if a number is not finite in float32.

        Notes
        -----
        Everything is checked before anything is changed. ``epochs_trained`` and ``scale`` stay as they are: set the
        scale to that of the images which the module was trained on, "unit" for pixels that were divided by 255.
        PyTorch is not needed: arrays of NumPy do as well.
        """
        from . import torch_state

        torch_state.load_state(self, state)

    def summary(self) -> str:
        """Return a table of the layers: output shape, parameters and operations (multiply-adds) per image.

        The last line says on which scale the network reads images.
        """
        widths: list[int | None] = [None] * (len(self.layers) + 1)
        if self.input_width is not None:
            widths = list(self.widths(self.input_width))
        table: list[tuple[str, ...]] = [("layer", "kind", "output", "parameters", "operations")]
        parameters = operations = 0
        for layer, before, after in zip(self.layers, widths[:-1], widths[1:], strict=True):
            size = sum(parameter.value.size for parameter in layer.parameters())
            work = 0 if before is None else layer.operations(before)
            shape = f"(n, {'?' if after is None else after})"
            table.append((layer.name, _shorten(repr(layer), 34), shape, f"{size:,}", f"{work:,}"))
            parameters, operations = parameters + size, operations + work
        table.append(("total", "", "", f"{parameters:,}", f"{operations:,}"))
        return f"{_draw(table)}\ninput: {scales.MEANING[self._scale]}"

    # -- for the rooms below and for copies ----------------------------------------------------------------

    def widths(self, width: int) -> list[int]:
        """Return the width of the input and of each layer's output; ValueError where they do not match."""
        found = [width]
        for layer in self.layers:
            found.append(layer.output_width(found[-1]))
        return found

    def scale_for(self, images: Array, subject: str) -> str | None:
        """Return the scale to train checked images on: the network's, or what it learns from them if never trained."""
        if self._scale is not None or self.epochs_trained:
            return self._scale
        return scales.learned(images, subject)

    def need_logits(self, subject: str) -> None:
        """Raise ValueError if the network ends in `Softmax`, as the loss takes logits."""
        if assembly.ends_in_softmax(self.layers):
            raise ValueError(
                f"{subject}: the network must end in logits, as the loss takes logits and applies the "
                f"softmax itself; got Softmax() at the end: omit it, predict_proba gives "
                "probabilities all the same"
            )

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_values"], state["_gradients"]  # the parameters hold the same numbers
        del state["_predictor"], state["_parameters_of"]
        state["trained_by"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.setdefault("_scale", None)  # pickles made before networks had a scale
        self.__dict__.update(state)
        self._take_parameters(self._parameters)
        self._predictor = Predictor(self)

    def __copy__(self) -> NeuralNetwork:
        """Return a deep copy: two networks cannot share parameters, which lie in the blocks of one."""
        return copy.deepcopy(self)


def pieces(n: int, size: int) -> Iterator[slice]:
    """Yield the slices that cut ``n`` rows into pieces of ``size``; the last may be smaller."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _fold(dense: Dense, norm: BatchNorm) -> None:
    """Make a dense layer do what batch normalisation, in evaluation, did to its output."""
    scale = norm.gamma.value / np.sqrt(norm.running_var.astype(np.float64) + norm.eps)
    dense.weight.value = dense.weight.value * scale
    dense.bias.value = (dense.bias.value.astype(np.float64) - norm.running_mean) * scale + norm.beta.value


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _draw(table: list[tuple[str, ...]]) -> str:
    """Set the first two columns left, the others right; a rule below the head and above the total."""
    sizes = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            f"{cell:<{size}}" if i < 2 else f"{cell:>{size}}"
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        )
        for row in table
    ]
    rule = "─" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])
