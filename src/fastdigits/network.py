"""NeuralNetwork, the class that users work with: each method calls the module that does the work.

Methods import modules that many programs never need.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

from .nn.losses import SoftmaxCrossEntropy
from .nn.sequential import Sequential

if TYPE_CHECKING:
    from .core.text import Table
    from .data.shards import Shards
    from .optim.averaging import WeightAverage
    from .optim.optimizers import Optimizer
    from .optim.schedules import Schedule
    from .training.augmentation import Augmentation
    from .training.callbacks import Callback
    from .training.history import History
    from .training.lr_finder import LearningRates
    from .training.ranks import Ranks

PRETRAINED = "digits.safetensors"


class NeuralNetwork(Sequential):
    """A network of layers, one after another.

    Parameters
    ----------
    layers : sequence of Layer
        The first layer takes the images; the last one returns the logits, one per class. Each layer belongs to one
        network, which names it (``dense1``, ``batchnorm1``, ``relu1``, ``relu2``) and initialises it.
    seed : int, default 0
        Seed of initial weights, order and distortions of the images, validation split and dropout masks. At least
        0.

    Attributes
    ----------
    layers : tuple of Layer
    seed : int
    epochs_trained : int
        Whole epochs over all calls of `fit`.
    threads : int or None
        The argument of the last `fit`.
    values, gradients : ndarray, (p,) float32
        Every ``Parameter.value`` and ``Parameter.grad`` is a view of these blocks. Parameters start at multiples of
        64 bytes, with zeros between them. Assignment copies, as for a ``Parameter``.
    input_width : int or None
        Numbers per image; None if the layers do not define it.
    class_names : tuple of str
        Names of the classes; empty if numbers name them. Set it to any strings, one per class: they are saved with
        the network, and the commands show them.
    column_names : tuple of str
        Names of the columns of the table that the network was trained on, in its order; empty if they are unknown.
        ``fastdigits train`` and `fastdigits.sklearn.FastDigitsClassifier` set it, and it is saved with the network. A
        data frame must then have its columns in this order, if they have names.
    scale : {"pixels", "unit", "numbers"} or None
        Meaning of the numbers of an image: "pixels" are 0 … 255 and divided by 255; "unit" are 0 … 1 and "numbers" any
        others, both used unchanged. It is None until the first training, by `fit` or ``forward(x, training=True)``.
        The network then learns the scale from the values of these images, and uses it for all later images of any
        dtype. Set it to choose the scale yourself.

    Raises
    ------
    TypeError
        If ``layers`` is not a sequence of layers, or if the seed is not an integer.
    ValueError
        If there are no layers, if a layer appears twice or belongs to another network, or if widths do not match.

    Notes
    -----
    To write your own layer, subclass `Layer` with ``forward``, ``backward`` and, if it has any, ``parameters``. The
    network checks its outputs and converts them to float32. A layer that changes the width overrides
    ``output_width``.

    A pickled or copied network is complete and independent of the original. It holds the weights once, without
    gradients.

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
        y: object = None,
        *,
        epochs: int = 10,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        schedule: Schedule | None = None,
        loss: SoftmaxCrossEntropy | None = None,
        augment: Augmentation | None = None,
        adversarial: float = 0.0,
        clip_norm: float | None = None,
        average: WeightAverage | None = None,
        validation_data: tuple[Any, ...] | Shards | None = None,
        validation_split: float = 0.0,
        sample_weight: object = None,
        callbacks: Iterable[Callback] = (),
        shuffle: bool = True,
        progress: bool | None = None,
        threads: int | None = None,
        resume: str | os.PathLike[str] | None = None,
        batch_shards: int | None = None,
        average_every: int = 0,
        ranks: Ranks | None = None,
    ) -> History:
        """Train for ``epochs`` more epochs.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`. An untrained network learns its ``scale`` from them. `Shards` are read while the
            network trains: they may be larger than memory, and each epoch shuffles within their windows.
        y : array_like of int, (n,)
            Labels, 0 … classes - 1. Omit them with shards, which hold their labels.
        epochs : int, default 10
            Number of further epochs.
        batch_size : int, default 128
            Images per step. A last batch of one image joins the batch before it.
        optimizer : Optimizer, optional
            Default: a new ``Adam(lr=0.001)``. Pass the same optimizer again to continue with its moments: two calls
            with 2 and 3 epochs then give the bits of one call with 5.
        schedule : Schedule, optional
            Learning rate over the steps of this call. Default: constant.
        loss : SoftmaxCrossEntropy, optional
            Default: cross-entropy. It takes logits, so the network must not end in `Softmax`.
        augment : Augmentation, optional
            Random distortions of the images, new in each epoch. ``x`` must then hold pixels, whole numbers from 0 to
            255; the network's ``scale`` must be "pixels" or None; an image must have at most 64 × 64 pixels; and rows
            must be square images. Validation images are not distorted.
        adversarial : float, default 0.0
            Length by which the first half of each batch is moved before the step, each image in the direction in which
            its loss grows most: in the numbers that the network computes with, those of pixels from 0 to 1; in standard
            deviations after `Standardize`. The network then changes its mind less easily. 0 for none; 1 to 1.5 suits
            digits of 28 × 28 pixels that are not distorted. A step takes two to four times as long. Loss and accuracy
            of the history are those of the moved images. Running statistics are computed again after the last epoch,
            from the images as they are; not after an interrupt, nor if an `EarlyStopping` restores its best epoch.
        clip_norm : float, optional
            Largest norm of all gradients together, see `ClipNorm`. Default: no limit.
        average : WeightAverage, optional
            `EMA` or `SWA`: at the end of the training, the network gets its averaged weights, and running statistics
            computed for them. The last epoch is validated with these, the epochs before it without. After an
            interrupt, the network has the weights of the last step. An `EarlyStopping` that restores its best epoch
            replaces the average.
        validation_data : (x, y), (x, y, sample_weight) or Shards, optional
            Images and labels to evaluate after each epoch, with the same loss; and the weight of each image.
        validation_split : float, default 0.0
            Fraction of the images, 0 ≤ f < 1, to hold out for validation instead. The network's seed decides which:
            each call with the same number of images holds out the same ones. Not with shards.
        sample_weight : array_like, (n,), optional
            Weight of each image in loss and accuracy. An image of weight 0 is omitted. Not with shards.
        callbacks : iterable of Callback
            Called in this order.
        shuffle : bool, default True
            Whether each epoch has its own order, which depends only on the seed and the epoch's number.
        progress : bool, optional
            Whether to show a bar and a line per epoch, see `Progress`. Default: in a notebook.
        threads : int, optional
            Number of threads; by default the package decides. The result does not depend on it.
        resume : str or path-like, optional
            Folder in which a `Checkpoint` wrote during an earlier call with the same arguments. Training continues
            from the newest checkpoint, which replaces the present state of network and optimizer; without
            checkpoints, it starts from the beginning.
        batch_shards : int, optional
            Number of shards into which each batch is cut. Batch normalisation uses the mean and variance of a shard.
            The result depends on this number, but not on the number of ranks. Default: 8 with ranks, else 1. A
            batch must have an image per shard, with batch normalisation two; a smaller last batch has fewer shards.
        average_every : int, default 0
            Where it is above 0: each shard trains its own copy of the network, and after so many steps, and at the end
            of an epoch, all copies are averaged, with the moments of the optimizer. Ranks then exchange less often.
            The result depends on this number.
        ranks : Ranks, optional
            The processes that share the training, from ``fastdigits.distributed.mpi()``. All of them call `fit` with
            the same arguments, and get the same network; only rank 0 writes checkpoints and shows the progress.
            Default: this process alone.

        Returns
        -------
        History
            One entry per epoch of this call.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or differs from that of the training to resume. Nothing changes then.
        ModelFileError
            If there are checkpoints, but none can be used. Nothing changes then.
        DataError
            If a file of shards is missing, short or changed: before the first step, or when it is read. Network and
            optimizer are then those of the last whole step; a checkpoint stays usable.
        RuntimeError
            If another running call of `fit` uses the network or the average.
        DivergedError
            If parameters, the loss or the validation loss are no longer finite. The network is then that of the last
            whole epoch, or unchanged if there is none, and the optimizer has no state for it. Both can be used again,
            with a smaller learning rate.
        MemoryError
            If an allocation fails. Network and optimizer still belong together: weights, running statistics, moments
            and counts are those of a whole step, and training may go on from there.

        Notes
        -----
        After an interrupt (KeyboardInterrupt), the network is usable; ``epochs_trained`` counts whole epochs.

        On the NumPy backend, or with a part written in Python, a MemoryError may leave a step done in part.
        """
        from .training import loop
        from .training.options import checked_together

        options = checked_together(
            epochs=epochs, batch_size=batch_size, augment=augment, adversarial=adversarial,
            clip_norm=clip_norm, average=average,
            optimizer=optimizer, schedule=schedule, loss=loss,
            validation_data=validation_data, validation_split=validation_split, sample_weight=sample_weight,
            callbacks=callbacks, shuffle=shuffle, progress=progress, threads=threads, resume=resume,
            average_every=average_every, batch_shards=batch_shards, ranks=ranks,
        )  # fmt: skip
        return loop.fit(self, x, y, options)

    def find_lr(
        self,
        x: object,
        y: object = None,
        *,
        optimizer: Optimizer | None = None,
        loss: SoftmaxCrossEntropy | None = None,
        batch_size: int = 128,
        lowest: float = 1e-5,
        highest: float = 10.0,
        steps: int = 300,
    ) -> LearningRates:
        """Find a learning rate: train a copy for some steps, at a rate that increases with each step.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`; at least 2. Of shards, those of one window are used.
        y : array_like of int, (n,)
            Labels. Omit them with shards.
        optimizer : Optimizer, optional
            Default: a new `Adam`. Its own learning rate is not used.
        loss : SoftmaxCrossEntropy, optional
            Default: cross-entropy.
        batch_size : int, default 128
            Images per step, at least 2. The rate found suits this batch size.
        lowest, highest : float, default 1e-5 and 10
            Rates of the first and of the last step; the rates increase geometrically.
        steps : int, default 300
            At least 10. The search ends earlier when the loss is far above its minimum.

        Returns
        -------
        LearningRates
            ``lr``, half of the rate at which the smoothed loss was smallest, and the curve. This rate suits a schedule
            that increases the rate first, such as `OneCycle`.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        Network, optimizer and loss stay unchanged; the copy of an untrained network learns its ``scale`` from the
        images. The order of the images depends on the seed only.

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
        """Compute the running statistics of batch normalisation again, as means over batches of ``x``.

        Parameters
        ----------
        x : array_like, (n, d) or (n, height, width), or Shards
            Images, as for `forward`; at least 2 if the network has batch normalisation.
        batch_size : int, default 1000
            Images per batch.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Notes
        -----
        During training, running statistics lag behind the weights. After another change of the weights, for example
        an average, they are wrong. Nothing else changes.
        """
        from .training import loop

        loop.renew_statistics(self, x, batch_size)

    def folded(self) -> NeuralNetwork:
        """Return a copy for predictions: batch normalisation folded into dense layers, without dropout.

        A `BatchNorm` after a `Dense`, with only dropout between them, becomes part of it:
        weight ← weight · scale and bias ← (bias - running_mean) · scale + beta, with
        scale = gamma / √(running_var + eps), computed in float64. A `Standardize` before a `Dense` becomes part of it
        in the same way. All other layers stay.

        Returns
        -------
        NeuralNetwork
            Independent of this one, with all methods.

        Raises
        ------
        ValueError
            If the network consists of dropout layers only.

        Notes
        -----
        The probabilities agree with those of this network except for rounding.

        `predict` does not fold by itself: weights may change through ``Parameter.value`` at any moment, and a check
        would cost more than the normalisation: 0.08 of 3.2 µs for one image, 1 to 3 % for 10,000
        (``benchmarks/kernels/folding.py``, AVX-512). Call it when training is done.

        Examples
        --------
        >>> import fastdigits as fd
        >>> fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)]).folded()
        NeuralNetwork([Dense(784, 64), ReLU(), Dense(64, 10)], seed=0)
        """
        from .nn import folding

        return folding.folded(self)

    def save(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write the network to a safetensors file, completely or not at all; see `fastdigits.load`.

        Parameters
        ----------
        path : str, path-like or binary file
            The file; an existing one is replaced and keeps its permissions. A symbolic link stays; another hard link
            keeps the old content. An open binary file is written from its present position.

        Raises
        ------
        TypeError
            If a layer is not of this package, if a hyperparameter has a wrong type, or if ``path`` is not a file.
        ValueError
            If a parameter is not finite, or a hyperparameter is out of range.
        OSError
            If the file cannot be written, or if it is a device, a pipe or a folder.
        """
        from .storage import model_file

        model_file.save(self, path)

    def export_onnx(self, path: str | os.PathLike[str], *, input_dtype: str | None = None) -> None:
        """Write the network as an ONNX graph for onnxruntime and other programs; they do not need this package.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced, completely or not at all.
        input_dtype : {"uint8", "float32"}, optional
            Dtype of the graph's input. Default: "float32" for a network of scale "unit" or "numbers", else "uint8".
            The input is on the network's ``scale``: for "pixels", the graph divides both dtypes by 255; for "unit" and
            "numbers" neither; for None only uint8.

        Raises
        ------
        TypeError
            If a layer is not one of this package.
        ValueError
            If the dtype is another one, if no layer defines the width of an image, or if a parameter is not finite.
        ImportError
            If the package onnx is not installed: ``pip install 'onnx>=1.16'``.
        OSError
            If the file cannot be written.

        Notes
        -----
        Input ``images``, (batch, d), one image per row. Outputs ``logits`` and ``probabilities``, (batch, classes)
        float32, and ``label``, (batch,) int64. The batch may have any size. Batch normalisation is folded into the
        dense layers, as by `folded`; dropout is omitted.

        The operators are those of set 13 in format version 7; onnxruntime supports them since version 1.7 (2021).

        Examples
        --------
        >>> import fastdigits as fd
        >>> fd.load_pretrained().export_onnx("digits.onnx")  # doctest: +SKIP
        """
        from .export import onnx

        onnx.export(self, path, input_dtype=input_dtype)

    def to_torch_state_dict(self) -> OrderedDict[str, Any]:
        """Return the tensors for PyTorch: ``torch.nn.Sequential`` of the same layers loads them.

        Returns
        -------
        OrderedDict of torch.Tensor
            Copies, named by position: ``0.weight``, (out, in) as in PyTorch, and ``0.bias`` for a `Dense`;
            ``1.weight``, ``1.bias``, ``1.running_mean``, ``1.running_var`` and ``1.num_batches_tracked`` (0) for a
            `BatchNorm`. Layers without tensors count as positions.

        Raises
        ------
        TypeError
            If a layer is not one of this package.
        ImportError
            If PyTorch is not installed.

        Notes
        -----
        `Dense` is PyTorch's ``Linear``, and `BatchNorm` its ``BatchNorm1d``; ``eps`` and ``momentum`` have the same
        meaning and defaults there. The state holds neither these, nor the slope of a `LeakyReLU`, nor the ``scale``:
        divide images by 255 for PyTorch if the scale is "pixels", and use the values unchanged otherwise.

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
        """Load the tensors of a ``torch.nn.Sequential`` of the same layers.

        Parameters
        ----------
        state : mapping of str to tensor or array_like
            From ``module.state_dict()``; see `to_torch_state_dict` for names and shapes. Any floating-point dtype;
            rounded to float32. ``num_batches_tracked`` may be absent and is ignored.

        Raises
        ------
        TypeError
            If the state is not a mapping or holds numbers that are not floating-point, or if a layer of this network
            is not of this package.
        ValueError
            If names or shapes differ from those of this network, or if a number is not finite in float32.

        Notes
        -----
        Everything is checked before anything changes. ``epochs_trained`` and ``scale`` stay unchanged: set the scale to
        that of the module's training images, "unit" for pixels divided by 255. PyTorch is not needed: the tensors may
        be NumPy arrays.
        """
        from .export import torch

        torch.load_state(self, state)

    def summary(self) -> Table:
        """Return a table of the layers: output shape, parameters and operations (multiply-adds) per image.

        Returns
        -------
        Table
            A string, whose last line shows the scale. As the last line of a cell, a notebook shows it as a table, as it
            does with the network itself.
        """
        from .nn import summary

        return summary.summary(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()


def load(path: str | os.PathLike[str] | IO[bytes] | bytes | bytearray | memoryview) -> NeuralNetwork:
    """Load a network from a file that `NeuralNetwork.save` wrote.

    Parameters
    ----------
    path : str, path-like, binary file or bytes
        The file, or its content. An open binary file is read from its present position to its end.

    Returns
    -------
    NeuralNetwork
        Its predictions have the bits of the saved network's.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or of another format or version; if its metadata have unknown or missing
        entries, down to the arguments of each layer; or if its tensors are not exactly those of the network it
        describes: names, shapes, float32, finite. For a file of PyTorch, Keras or another program, the message names
        the format and how to convert it; nothing in the file is executed.
    TypeError
        If ``path`` is not a file, or a file open for text.
    """
    from .storage import model_file

    return model_file.load(path, NeuralNetwork)


def load_pretrained() -> NeuralNetwork:
    """Return the network of this package, for digits in 28 × 28 pixels.

    Returns
    -------
    NeuralNetwork
        A new one in each call, 784-384-128-11. Class 10 is "not a digit": a letter, a sign, a crossed-out or a second
        digit. The network classifies 99.32 % of MNIST's test images correctly. ``models/README.md`` beside its file
        describes how it was made.

    Examples
    --------
    >>> import fastdigits as fd
    >>> net = fd.load_pretrained()
    >>> net.class_names[9:]
    ('9', 'not a digit')
    >>> _, (x, y) = fd.load_mnist()
    >>> [net.class_names[label] for label in net.predict(x[:3])]
    ['7', '2', '1']
    >>> net.predict_proba(x[:3])[:, :10].argmax(axis=1)  # always a digit
    array([7, 2, 1])
    """
    import importlib.resources  # here, because it takes a tenth of the package's time to import

    model = importlib.resources.files("fastdigits").joinpath("models", PRETRAINED)
    with importlib.resources.as_file(model) as path:
        return load(path)
