"""The scikit-learn estimator: it checks parameters and rows, and `NeuralNetwork.fit` trains."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core import streams
from ..core.arrays import Array, Float32
from ..data.labels import are_pixels
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.layers import Dense, Standardize
from ..nn.sequential import ROWS_AT_ONCE, pieces
from ..nn.snapshot import Snapshot
from ..optim.optimizers import Optimizer
from ..optim.schedules import Constant, Schedule
from ..training.options import FitOptions
from . import parameters
from .parameters import AUTO_BATCH, NAME
from .rows import (
    WeightedRows,
    as_numpy,
    check_targets,
    column_statistics,
    columns_without_numbers,
    dense,
    flattened,
    hold_out,
    is_table,
    labels_of,
    merged,
    weighted,
    with_class_weight,
)
from .stopping import Stopping

_Method = TypeVar("_Method", bound=Callable[..., Any])
_DTYPES = [np.float32, np.uint8]  # any other dtype becomes float32


def _has_partial_fit(model: FastDigitsClassifier) -> bool:
    """Return whether the classifier has `partial_fit`; scikit-learn shows the message of the AttributeError."""
    if model.early_stopping:
        raise AttributeError(f"{NAME}: partial_fit must have early_stopping=False; got True")
    if isinstance(model.class_weight, str):
        raise AttributeError(
            f"{NAME}: partial_fit must have a dict or None as class_weight, as the frequency of classes is "
            f"unknown from a part of the rows; got {model.class_weight!r}"
        )
    return True


def _if_partial_fit(method: _Method) -> _Method:
    shown: _Method = available_if(_has_partial_fit)(method)
    return shown


def _refuses_others(init: _Method) -> _Method:
    """Return the constructor; it explains parameters of MLPClassifier that are not there."""

    @functools.wraps(init)
    def checked(*args: Any, **options: Any) -> None:
        parameters.refuse_others(options)
        init(*args, **options)

    return cast(_Method, checked)


class FastDigitsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of dense layers for images and tables; it can replace scikit-learn's MLPClassifier.

    Parameters
    ----------
    hidden_layer_sizes : int or iterable of int, default (100,)
        Widths of the hidden layers; none for a linear classifier.
    activation : {"relu", "leaky-relu"}, default "relu"
        After each hidden layer.
    batchnorm : {"none", "first", "all"}, default "none"
        Hidden layers with batch normalisation.
    dropout : float, default 0.0
        Fraction of each hidden layer's output that a training step drops, 0 ≤ dropout < 1.
    solver : {"adam", "sgd", "rmsprop"}, default "adam"
    weight_decay : float, default 0.0
        Above 0, ``adam`` becomes `AdamW`; the other solvers take 0 only. It differs from ``alpha``: see Notes.
    batch_size : int or "auto", default "auto"
        Rows per step; "auto" is min(200, rows).
    learning_rate : str or Schedule, default "constant"
        "constant"; "step", "cosine", "one-cycle" or "warm-up" over the epochs of one `fit`; your own `Schedule`;
        or "adaptive", which divides the rate by 5 where training would stop, down to 1e-6. Every solver takes
        each of them.
    learning_rate_init : float, default 0.001
        The learning rate that a schedule multiplies: the highest one.
    max_iter : int, default 200
        Epochs of one `fit`.
    shuffle : bool, default True
        Whether each epoch has its own order.
    random_state : int, RandomState or None, default None
        Seed of initial weights, order, dropout masks and held-out rows.
    tol : float or None, default 1e-4
        An epoch improves if it is better than the best one by at least this; None never stops early.
    verbose : bool, default False
        Whether to show a bar and a line per epoch: in the output of a notebook, else on standard error.
    warm_start : bool, default False
        Whether `fit` trains ``max_iter`` more epochs instead of starting again; see Notes.
    momentum : float, default 0.9
        For ``sgd``.
    nesterovs_momentum : bool, default True
        For ``sgd``.
    early_stopping : bool, default False
        Whether held-out rows, instead of the training loss, decide when to stop and which epoch's weights to keep.
    validation_fraction : float, default 0.1
        Fraction of each class to hold out, at least one row where it has two. Unused where `fit` gets ``X_val``.
    monitor : {"val_accuracy", "val_loss"}, default "val_accuracy"
        The measure of early stopping. Where two accuracies differ by less than ``tol``, the losses decide.
    beta_1, beta_2 : float, default 0.9 and 0.999
        For ``adam``.
    epsilon : float, default 1e-8
        For ``adam`` and ``rmsprop``.
    n_iter_no_change : int, default 10
        Training stops after more than this many epochs in a row that do not improve.
    class_weight : dict, "balanced" or None, default None
        Weight of each class; it multiplies ``sample_weight``. "balanced" is n / (classes · rows of the class), with
        rows counted by their sample weights.
    scale : {"auto", "pixels", "unit", "numbers"}, default "auto"
        What the numbers of a row mean; "auto" learns it from the first rows. See Notes.
    standardize : bool or "auto", default "auto"
        Whether the network begins with `fastdigits.Standardize`: each column gets mean 0 and variance 1. "auto" is
        True for a table, False for images and sparse rows. See Notes.

    Attributes
    ----------
    network_ : NeuralNetwork
        The trained network: save it, fold it or inspect it.
    classes_ : ndarray, (c,)
        The labels, sorted; columns of probabilities have this order.
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.
    n_iter_, t_ : int
        Epochs of the last call; training rows over all calls and epochs. Merged rows count as one.
    loss_, loss_curve_ : float, list of float
        Mean loss of the last epoch, and of each epoch since the first `fit`.
    validation_loss_curve_, validation_scores_ : list of float, or None
        Loss and accuracy on held-out rows after each epoch; None without such rows.
    best_loss_ : float or None
        Lowest training loss; None with early stopping.
    best_validation_score_, best_validation_loss_ : float or None
        Accuracy and loss of the epoch whose weights are kept; None without early stopping.
    coefs_, intercepts_ : list of ndarray
        Weight (in, out) and bias (out,) of each dense layer: the network's arrays, not copies.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Number of layers with input and output; number of classes; "softmax".

    Raises
    ------
    TypeError, ValueError
        From `fit` and `partial_fit`, if a parameter or an argument is not as described.
    AttributeError
        From `partial_fit`, with early stopping or "balanced" weights: both need all rows.
    DivergedError
        From both, if the loss is no longer finite.

    Notes
    -----
    **Tables.** The columns of a table may have any units: the first layer standardises them, with the weighted mean and
    variance of all rows of the first `fit`, or of all calls of `partial_fit` so far. They are in ``network_`` and its
    files, and ``coefs_`` belong to standardised columns. Columns are pixels of images, and stay as they are, if X is
    (n, height, width), or if there are at least 64, a square number, of whole numbers from 0 to 255 or of numbers from
    0 to 1.

    **Scale.** The dtype of the rows does not matter. The first `fit` or `partial_fit` decides the scale, and
    ``network_.scale`` keeps it. A table has the scale "numbers". Otherwise, whole numbers from 0 to 255,
    the largest above 16, are pixels and divided by 255; all other numbers are used unchanged, as float32. `predict`
    reads its rows on the same scale and raises ValueError for rows that cannot have it.

    **Memory.** `fit` holds a copy of the rows: 4 bytes per number, 1 byte per pixel. It needs no copy of rows in C
    order of dtype float32 or uint8. Sparse rows become dense all at once. Early stopping makes a second copy.
    Predictions make 4,096 sparse rows dense at a time.

    **Continuing.** `fit` with ``warm_start``, and `partial_fit`, continue where the last such call ended, also after
    pickling: with the optimizer's moments, the order of the rows, the dropout masks and the count of epochs without
    improvement. On the same rows, 5 and 5 epochs give the bits of 10 where ``learning_rate`` is "constant" or
    "adaptive". With early stopping, predictions use the best weights; training continues from the weights of the last
    epoch, unless it had stopped.

    **Pickles** hold the weights once. What only continuing needs, the moments and the weights of the last epoch, is
    kept after `partial_fit` and with ``warm_start``; another `fit` ends the training and releases it. A call that
    continues after such a `fit` starts with the weights that predict, and new moments.

    **Weight decay.** ``alpha`` of MLPClassifier adds alpha / n · weight to the gradient, which Adam then divides
    by the gradient's size; ``weight_decay`` subtracts lr · weight_decay · weight directly. The same number means
    different things, hence the other name.

    **Initial weights** are Glorot's uniform ones, as in MLPClassifier; biases are 0.

    **Weights.** A row of weight 2 counts as the same row twice; a row of weight 0 is omitted. With ``batch_size``
    "auto", up to 200 rows are merged: equal rows with equal labels become one row with the sum of their weights, and
    the order of the rows does not matter. Then weights equal repetitions to the last bit, and no row is both trained
    on and held out. Batch normalisation and dropout see a merged row once.

    **Threads.** `fastdigits.get_num_threads` says how many are used; in the processes of ``n_jobs``, joblib limits them
    through ``OMP_NUM_THREADS``. Results do not depend on the number.

    Examples
    --------
    >>> from fastdigits.sklearn import FastDigitsClassifier
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> x, y = load_iris(return_X_y=True)
    >>> classifier = FastDigitsClassifier(learning_rate_init=0.01, max_iter=100, tol=None, random_state=0)
    >>> model = make_pipeline(StandardScaler(), classifier)
    >>> bool(model.fit(x, y).score(x, y) > 0.95)
    True
    """

    network_: NeuralNetwork
    classes_: Array
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_loss_: float | None
    best_validation_score_: float | None
    best_validation_loss_: float | None
    _optimizer: Optimizer
    _waited: int  # epochs without improvement
    _reductions: int  # fifths of the learning rate that "adaptive" took
    _last_weights: Snapshot | None
    _columns: StandardScaler | None  # statistics of all rows so far, if the network begins with `Standardize`

    @_refuses_others
    def __init__(
        self,
        hidden_layer_sizes: int | Iterable[int] = (100,),
        activation: str = "relu",
        *,
        batchnorm: str = "none",
        dropout: float = 0.0,
        solver: str = "adam",
        weight_decay: float = 0.0,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = FitOptions.shuffle,
        random_state: int | np.random.RandomState | None = None,
        tol: float | None = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        monitor: str = "val_accuracy",
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        class_weight: dict[Any, float] | str | None = None,
        scale: str = "auto",
        standardize: bool | str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.batchnorm = batchnorm
        self.dropout = dropout
        self.solver = solver
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.monitor = monitor
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.scale = scale
        self.standardize = standardize

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: object = None,
        *,
        X_val: object = None,
        y_val: object = None,
        sample_weight_val: object = None,
    ) -> FastDigitsClassifier:
        """Train a new network, or with ``warm_start`` the same one for ``max_iter`` more epochs.

        Parameters
        ----------
        X : array_like, sparse matrix or data frame, (n, d); or images (n, height, width)
            Rows.
        y : array_like, (n,)
            Labels: numbers or strings, of at least 2 classes.
        sample_weight : array_like, (n,), optional
            Weight of each row; a row of weight 0 is omitted.
        X_val, y_val, sample_weight_val : optional
            Rows to validate on after each epoch, of the same form. Without them, ``early_stopping`` holds out
            ``validation_fraction`` of the rows.

        Returns
        -------
        FastDigitsClassifier
            The classifier itself.
        """
        stopping = Stopping(self, self.max_iter)
        fresh = not (self.warm_start and hasattr(self, "network_"))
        X = as_numpy(X, "X")
        table = is_table(X)
        X, y = self._validated(X, y, fresh)
        classes = np.unique(y) if fresh else self.classes_
        rows = self._weighted_rows(X, y, sample_weight, classes, merge=True)
        network = self._network(classes, fresh, rows.x, table)
        # Scale and statistics are those of all rows, before some are held out, and without class weights.
        network.scale = network.training_rows(rows.x, f"{NAME}: X")[1]
        if fresh and isinstance(network.layers[0], Standardize):
            stopping.columns = column_statistics(rows)
        train, held_out = with_class_weight(rows, self.class_weight, classes), None
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{NAME}: X_val and y_val must be given together; got one of them")
        if X_val is not None:
            validation = self._weighted_rows(
                *self._validated(X_val, y_val, False), sample_weight_val, classes
            )
            held_out = with_class_weight(validation, self.class_weight, classes)
        elif self.early_stopping:
            train, held_out = hold_out(train, self.validation_fraction, network.seed)
        self._train(network, classes, train, held_out, stopping)
        if not stopping.stopped and self.tol is not None and type(stopping.schedule) is Constant:
            streams.warn(
                f"{NAME}: training ended after max_iter={self.max_iter} epochs, before tol and n_iter_no_change "
                "stopped it: raise max_iter, or set tol=None to have that many epochs without this warning",
                category=ConvergenceWarning,
                stacklevel=2,
            )
        return self

    @_if_partial_fit
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: object = None
    ) -> FastDigitsClassifier:
        """Train for one epoch on these rows, at ``learning_rate_init``.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, (c,), optional
            All labels that any call will have; required in the first call.

        Returns
        -------
        FastDigitsClassifier
            The classifier itself.
        """
        fresh = not hasattr(self, "network_")
        if fresh and classes is None:
            raise ValueError(f"{NAME}: classes must be given to the first call of partial_fit; got None")
        if not fresh and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"{NAME}: classes must stay those of the first call, {self.classes_}; got {classes}"
            )
        stopping = Stopping(self, None)
        X = as_numpy(X, "X")
        table = is_table(X)
        X, y = self._validated(X, y, fresh)
        known = np.unique(classes) if fresh else self.classes_
        rows = self._weighted_rows(X, y, sample_weight, known, merge=True)
        network = self._network(known, fresh, rows.x, table)
        if isinstance(network.layers[0], Standardize):
            stopping.columns = column_statistics(rows, None if fresh else self._columns)
        self._train(network, known, with_class_weight(rows, self.class_weight, known), None, stopping)
        return self

    def set_params(self, **params: Any) -> FastDigitsClassifier:
        """Set parameters by name, as in any estimator of scikit-learn; return the classifier."""
        parameters.refuse_others(params)
        super().set_params(**params)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row, (n,)."""
        columns = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[columns]
        return labels

    def predict_proba(self, X: Any) -> Float32:
        """Return the probability of each class for each row, (n, c) float32."""
        check_is_fitted(self, "network_")
        return self._by_rows(X, self.network_.predict_proba)

    def predict_log_proba(self, X: Any) -> Float32:
        """Return the logarithm of `predict_proba`, (n, c) float32, exact also for the smallest values."""
        check_is_fitted(self, "network_")
        logits = self._by_rows(X, self.network_.forward)
        logits -= logits.max(axis=1, keepdims=True)
        log_probs: Float32 = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return log_probs

    @property
    def coefs_(self) -> list[Float32]:
        """The weight of each dense layer, (in, out)."""
        return [layer.weight.value for layer in self.network_.layers if isinstance(layer, Dense)]

    @property
    def intercepts_(self) -> list[Float32]:
        """The bias of each dense layer, (out,)."""
        return [layer.bias.value for layer in self.network_.layers if isinstance(layer, Dense)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.three_d_array = True
        return tags

    # -- network --------------------------------------------------------------------

    def _network(self, classes: Array, fresh: bool, rows: Array, table: bool) -> NeuralNetwork:
        """Return a new network for these rows, or the present one if its layers still fit the parameters."""
        scale, standardize = parameters.scale(self), parameters.standardize(self)
        table = table and not are_pixels(rows) if fresh else isinstance(self.network_.layers[0], Standardize)
        standardize = table if standardize is None else standardize
        layers = parameters.layers(self, rows.shape[1], len(classes), standardize)
        if not fresh:
            present = list(self.network_.layers)
            if repr(layers) != repr(present):
                raise ValueError(
                    f"{NAME}: the layers must stay {present} when training continues; got {layers}: "
                    "train again, with fit and warm_start=False"
                )
            return self.network_
        if len(classes) < 2:
            raise ValueError(f"{NAME}: y must hold at least 2 classes; got {len(classes)} class: {classes}")
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        network = NeuralNetwork(layers, seed=seed)
        network.scale = scales.NUMBERS if (table or standardize) and scale is None else scale
        names = getattr(self, "feature_names_in_", ())
        network.column_names = names if len({*names}) == len(names) else ()  # a data frame may repeat a name
        return network

    # -- rows --------------------------------------------------------------------------

    def _validated(self, X: Any, y: Any, fresh: bool) -> tuple[Any, Array]:
        """Return checked rows, dense or sparse, and labels."""
        X, y = self._checked(X, labels_of(y), reset=fresh)
        check_targets(y)
        return X, y

    def _checked(self, X: Any, *y: Any, reset: bool) -> Any:
        """Return what `validate_data` returns; name the columns of a data frame that are no numbers."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # numbers beyond float32: the check names them
                return validate_data(
                    self, flattened(X), *y, reset=reset, accept_sparse="csr", dtype=_DTYPES, order="C"
                )
        except (TypeError, ValueError) as error:
            names = columns_without_numbers(X) if reset else []
            if not names:
                raise
            raise ValueError(
                f"{NAME}: X must hold numbers; got words or dates in the columns {', '.join(names[:3])}"
                f"{', …' if len(names) > 3 else ''}: encode them, such as by OneHotEncoder, or drop them"
            ) from error

    def _weighted_rows(
        self, X: Any, y: Array, sample_weight: object, classes: Array, *, merge: bool = False
    ) -> WeightedRows:
        """Return dense rows, numbers of their classes, and weights; ``merge`` merges equal rows if they are few."""
        few = parameters.batch_size(self) is None and len(y) <= AUTO_BATCH
        examples = weighted(dense(X), LabelEncoder().fit(classes).transform(y), sample_weight)
        return merged(examples) if merge and few else examples

    def _by_rows(self, X: Any, function: Callable[[Any], Float32]) -> Float32:
        X = self._checked(X, reset=False)
        if isinstance(X, np.ndarray):  # together: the network checks the scale of all rows
            return function(X)
        return np.concatenate([function(dense(X[part])) for part in pieces(X.shape[0], ROWS_AT_ONCE)])

    # -- training ------------------------------------------------------------------------------------------

    def _train(
        self,
        network: NeuralNetwork,
        classes: Array,
        train: WeightedRows,
        held_out: WeightedRows | None,
        stopping: Stopping,
    ) -> None:
        stopping.classes, stopping.rows = classes, len(train.labels)
        stopping.continue_optimizer(network)
        network.fit(
            train.x,
            train.labels,
            epochs=stopping.epochs,
            batch_size=parameters.batch_size(self) or AUTO_BATCH,
            optimizer=stopping.optimizer,
            schedule=stopping.schedule,
            validation_data=held_out,
            sample_weight=train.weight,
            callbacks=[stopping],
            shuffle=self.shuffle,
            progress=bool(self.verbose),
        )

    def _reset(self, network: NeuralNetwork, classes: Array) -> None:
        """Set a new network and empty records."""
        self.network_, self.classes_ = network, classes
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_, self.out_activation_ = len(classes), "softmax"
        self.t_, self.loss_curve_ = 0, []
        self.best_loss_ = self.best_validation_score_ = self.best_validation_loss_ = None
        self.validation_loss_curve_ = self.validation_scores_ = None
        self._waited = self._reductions = 0
        self._last_weights = self._columns = None
