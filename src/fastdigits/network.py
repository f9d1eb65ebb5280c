"""NeuralNetwork, which users meet: each method hands its work to the room that does it.

Rooms that a program may never need are imported when a method needs them.
"""

from __future__ import annotations

import importlib.resources
import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from .nn import folding, summary
from .nn.losses import SoftmaxCrossEntropy
from .nn.sequential import Sequential

if TYPE_CHECKING:
    from .optim.averaging import WeightAverage
    from .optim.optimizers import Optimizer
    from .optim.schedules import Schedule
    from .training.augmentation import Augmentation
    from .training.callbacks import Callback
    from .training.history import History
    from .training.lr_finder import LearningRates

PRETRAINED = "digits.safetensors"


class NeuralNetwork(Sequential):
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
            If memory runs out. Network and optimizer still belong together: weights, running statistics, moments and
            counts are those of a whole step, and training may go on from there.

        Notes
        -----
        After an interrupt (KeyboardInterrupt) the network is usable; ``epochs_trained`` counts whole epochs.

        On the NumPy backend, or with a part that is written in Python, memory that runs out amid a step may leave that
        step done in part.
        """
        from .training import loop
        from .training.options import FitOptions

        options = FitOptions(
            epochs=epochs, batch_size=batch_size, augment=augment, clip_norm=clip_norm, average=average,
            optimizer=optimizer, schedule=schedule, loss=loss,  # type: ignore[arg-type]  # None: a new default one
            validation_data=validation_data, validation_split=validation_split, sample_weight=sample_weight,
            callbacks=callbacks, shuffle=shuffle, progress=progress, threads=threads, resume=resume,
        )  # fmt: skip
        return loop.fit(self, x, y, options)

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
        from .training import lr_finder

        return lr_finder.find_lr(
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
        from .training import loop

        loop.renew_statistics(self, x, batch_size)

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
        10,000 (``benchmarks/kernels/folding.py``, AVX-512). So who is done with training asks for it.

        Examples
        --------
        >>> import fastdigits as fd
        >>> fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)]).folded()
        NeuralNetwork([Dense(784, 64), ReLU(), Dense(64, 10)], seed=0)
        """
        return folding.folded(self)

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
        from .storage import model_file

        model_file.save(self, path)

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
        from .export import torch

        return torch.to_state(self)

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
        from .export import torch

        torch.load_state(self, state)

    def summary(self) -> str:
        """Return a table of the layers: output shape, parameters and operations (multiply-adds) per image.

        The last line says on which scale the network reads images.
        """
        return summary.summary(self)


def load(path: str | os.PathLike[str] | IO[bytes] | bytes | bytearray | memoryview) -> NeuralNetwork:
    """Read a network from a file that `NeuralNetwork.save` wrote.

    Parameters
    ----------
    path : str, path-like, binary file or bytes
        The file; one that is open for bytes is read from where it stands to its end. Or the content of a file.

    Returns
    -------
    NeuralNetwork
        It predicts, bit for bit, as the one that was saved.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, of another format or version; if its metadata hold anything unknown, or
        lack something, down to the arguments of each layer; or if its tensors are not exactly those of the network
        it describes: names, shapes, float32, finite. Of a file of PyTorch, Keras and other programs, the message says
        what it is and how to bring it; nothing in it is opened.
    TypeError
        If ``path`` is no file, or one that is open for text.
    """
    from .storage import model_file

    return model_file.load(path, NeuralNetwork)


def load_pretrained() -> NeuralNetwork:
    """Return the network that comes with the package, trained on MNIST: digits 0 to 9 in 28 × 28 pixels.

    Returns
    -------
    NeuralNetwork
        A new one in each call, 784-64-32-10: the preset ``accurate``, of which 99.07 % of MNIST's test images
        come out right. ``models/README.md`` beside its file says how it was made.
    """
    model = importlib.resources.files("fastdigits").joinpath("models", PRETRAINED)
    with importlib.resources.as_file(model) as path:
        return load(path)
