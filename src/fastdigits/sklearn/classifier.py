"""The estimator: it checks what scikit-learn hands over, and `NeuralNetwork.fit` trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..core import streams
from ..core.arrays import Array, Float32
from ..network import NeuralNetwork
from ..nn.layers import Dense
from ..nn.sequential import ROWS_AT_ONCE, pieces
from ..nn.snapshot import Snapshot
from ..optim.optimizers import Optimizer
from ..optim.schedules import Constant, Schedule
from . import parameters
from .parameters import AUTO_BATCH, NAME
from .rows import Examples, dense, flat, hold_out, merged, plain, weighted, with_class_weight
from .stopping import Watch

_Method = TypeVar("_Method", bound=Callable[..., Any])
_DTYPES = [np.float32, np.uint8]  # any other dtype becomes the first of them


def _learns_in_parts(model: FastDigitsClassifier) -> bool:
    """Return whether the classifier has `partial_fit`; scikit-learn shows the reason with its AttributeError."""
    if model.early_stopping:
        raise AttributeError(f"{NAME}: partial_fit must have early_stopping=False; got True")
    if isinstance(model.class_weight, str):
        raise AttributeError(
            f"{NAME}: partial_fit must have a dict or None as class_weight, as a part of the rows does not "
            f"tell how frequent classes are; got {model.class_weight!r}"
        )
    return True


def _where_parts_make_sense(method: _Method) -> _Method:
    shown: _Method = available_if(_learns_in_parts)(method)
    return shown


class FastDigitsClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of dense layers for images and tables, in the place of scikit-learn's MLPClassifier.

    Parameters
    ----------
    hidden_layer_sizes : int or iterable of int, default (100,)
        Widths of the hidden layers; none for a linear classifier.
    activation : {"relu", "leaky-relu"}, default "relu"
        After each hidden layer.
    batchnorm : {"none", "first", "all"}, default "none"
        Hidden layers with batch normalisation.
    dropout : float, default 0.0
        Part of the numbers that is dropped after each hidden layer, 0 ≤ dropout < 1.
    solver : {"adam", "sgd", "rmsprop"}, default "adam"
    weight_decay : float, default 0.0
        Above 0, ``adam`` becomes `AdamW`; the other solvers take 0 only. It is no ``alpha``: see Notes.
    batch_size : int or "auto", default "auto"
        Rows a step; "auto" is min(200, rows).
    learning_rate : str or Schedule, default "constant"
        "constant"; "step", "cosine", "one-cycle" or "warm-up" over the epochs of one `fit`; a `Schedule` of
        your own choice; or "adaptive", which goes on with a fifth of the rate where training would stop, down
        to 1e-6. Any solver takes any of them.
    learning_rate_init : float, default 0.001
        The rate that a schedule multiplies: the highest of them.
    max_iter : int, default 200
        Epochs of one `fit`.
    shuffle : bool, default True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default None
        Decides initial weights, order, dropout masks, and what is held out.
    tol : float or None, default 1e-4
        An epoch improves if it is better than the best one by this much; None never stops early.
    verbose : bool, default False
        Whether standard error shows a line per epoch.
    warm_start : bool, default False
        Whether `fit` trains ``max_iter`` more epochs instead of starting again; see Notes.
    momentum : float, default 0.9
        For ``sgd``.
    nesterovs_momentum : bool, default True
        For ``sgd``.
    early_stopping : bool, default False
        Whether epochs are compared, for the stop and for the weights to keep, on held-out rows instead of by
        the training loss.
    validation_fraction : float, default 0.1
        What is held out of each class, at least one row where it has two, unless `fit` gets ``X_val``.
    monitor : {"val_accuracy", "val_loss"}, default "val_accuracy"
        The measure of early stopping. Of epochs with the same accuracy, that with the lowest loss is kept.
    beta_1, beta_2 : float, default 0.9 and 0.999
        For ``adam``.
    epsilon : float, default 1e-8
        For ``adam`` and ``rmsprop``.
    n_iter_no_change : int, default 10
        Training stops after more than so many epochs in a row that do not improve.
    class_weight : dict, "balanced" or None, default None
        Weight of each class, which multiplies ``sample_weight``. "balanced" is n / (classes · rows of it), where
        rows are counted by their sample weights.
    scale : {"auto", "pixels", "unit", "numbers"}, default "auto"
        What the numbers of a row mean; "auto" learns it from the first rows. See Notes.

    Attributes
    ----------
    network_ : NeuralNetwork
        What was trained: it can be saved, folded and looked at.
    classes_ : ndarray, (c,)
        The labels, sorted; columns of probabilities are in this order.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.
    n_iter_, t_ : int
        Epochs of the last call; rows that were trained on in all calls, merged ones as one.
    loss_, loss_curve_ : float, list of float
        Mean loss of the last epoch, and of each epoch since the beginning.
    validation_loss_curve_, validation_scores_ : list of float, or None
        Loss and accuracy on held-out rows after each epoch; None without such rows.
    best_loss_ : float or None
        Lowest training loss; None with early stopping.
    best_validation_score_, best_validation_loss_ : float or None
        Accuracy and loss of the epoch whose weights are kept; None without early stopping.
    coefs_, intercepts_ : list of ndarray
        Weight (in, out) and bias (out,) of each dense layer, the network's own memory.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers of units with input and output, classes, "softmax".

    Raises
    ------
    TypeError, ValueError
        From `fit` and `partial_fit`, if a parameter or an argument is not as described.
    AttributeError
        From `partial_fit`, with early stopping or "balanced" weights, which a part of the rows cannot tell.
    DivergedError
        From these, if the loss is no longer finite.

    Notes
    -----
    **Values.** Their dtype does not count. The first `fit` or `partial_fit` decides on the scale, which is kept as
    ``network_.scale``: whole numbers from 0 to 255, the largest above 16, are pixels and divided by 255; all others
    are taken as they are, as float32. `predict` reads its rows on the same scale, and refuses what cannot be meant on
    it. For a table of whole numbers, ``scale="numbers"`` takes all as they are; better scale its columns, by
    StandardScaler in a Pipeline for instance. Images may be (n, height, width).

    **Memory.** `fit` holds the rows once more in float32, 4 bytes per number, and pixels in 1 byte, unless
    they come in C order and one of float32 and uint8; sparse rows are made dense at once for that. Early stopping
    copies them a second time. Predictions make 4,096 sparse rows dense at a time.

    **Going on.** `fit` with ``warm_start``, and `partial_fit`, continue where the last call ended, with the
    optimizer's moments, the order of the rows, the dropout masks and the count of epochs without improvement,
    also after pickling: on the same rows, 5 and 5 epochs give the bits of 10 where ``learning_rate`` is
    "constant" or "adaptive". With early stopping the best weights serve for predictions, and training goes on
    from those of the last epoch, unless it had stopped.

    **Weight decay.** ``alpha`` of MLPClassifier adds alpha / n · weight to the gradient, which Adam then divides
    by the gradient's size; ``weight_decay`` takes lr · weight_decay · weight off directly. The same number
    means different things, hence the other name.

    **Initial weights** are Glorot's uniform ones, as in MLPClassifier, and biases 0.

    **Weights.** A row of weight 2 counts as the same row twice, one of weight 0 is left out. Up to 200 rows with
    ``batch_size`` "auto" are merged: rows that are equal, label too, are trained on as one with the sum of their
    weights, and the order in which rows come does not matter. To the last bit, weights are then repetitions, and
    no row is both trained on and held out. Batch normalisation and dropout see a merged row once.

    **Threads.** As many as `fastdigits.get_num_threads` says; in the processes of ``n_jobs``, joblib limits them
    through ``OMP_NUM_THREADS``. Results do not depend on it.

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
    _best: Snapshot | None
    _last: Snapshot | None

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
        shuffle: bool = True,
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
        """Train from the start, or with ``warm_start`` for ``max_iter`` more epochs.

        Parameters
        ----------
        X : array_like, sparse matrix or data frame, (n, d); or images (n, height, width)
            Rows.
        y : array_like, (n,)
            Labels: numbers or strings, of at least 2 classes.
        sample_weight : array_like, (n,), optional
            How much each row counts; a row of weight 0 is left out.
        X_val, y_val, sample_weight_val : optional
            Rows to validate on after each epoch, of the same form. Without them, ``early_stopping`` holds
            ``validation_fraction`` of the rows back.

        Returns
        -------
        FastDigitsClassifier
            This one.
        """
        watch = Watch(self, self.max_iter)
        fresh = not (self.warm_start and hasattr(self, "network_"))
        X, y = self._checked(X, y, fresh)
        network, classes = self._network(np.unique(y) if fresh else None, X.shape[1])
        train = self._examples(X, y, sample_weight, classes, merge=True)
        network.scale = network.scale_for(train.x, f"{NAME}: X")  # of all rows, before some are held out
        held_out = None
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{NAME}: X_val and y_val must be given together; got one of them")
        if X_val is not None:
            held_out = self._examples(*self._checked(X_val, y_val, False), sample_weight_val, classes)
        elif self.early_stopping:
            train, held_out = hold_out(train, self.validation_fraction, network.seed)
        self._train(network, classes, train, held_out, watch)
        if not watch.stopped and self.tol is not None and type(watch.schedule) is Constant:
            streams.warn(
                f"{NAME}: training ended after max_iter={self.max_iter} epochs, before tol and n_iter_no_change "
                "stopped it: raise max_iter, or set tol=None to have that many epochs without this warning",
                category=ConvergenceWarning,
                stacklevel=2,
            )
        return self

    @_where_parts_make_sense
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: object = None
    ) -> FastDigitsClassifier:
        """Train for one epoch of these rows, at ``learning_rate_init``.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, (c,), optional
            All labels there will ever be; needed in the first call.

        Returns
        -------
        FastDigitsClassifier
            This one.
        """
        fresh = not hasattr(self, "network_")
        if fresh and classes is None:
            raise ValueError(f"{NAME}: classes must be given to the first call of partial_fit; got None")
        if not fresh and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"{NAME}: classes must stay those of the first call, {self.classes_}; got {classes}"
            )
        watch = Watch(self, None)
        X, y = self._checked(X, y, fresh)
        network, known = self._network(np.unique(classes) if fresh else None, X.shape[1])
        train = self._examples(X, y, sample_weight, known, merge=True)
        self._train(network, known, train, None, watch)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each row, (n,)."""
        columns = self.predict_proba(X).argmax(axis=1)
        labels: Array = self.classes_[columns]
        return labels

    def predict_proba(self, X: Any) -> Float32:
        """Return the probability of each class for each row, (n, c) float32."""
        check_is_fitted(self, "network_")
        return self._outputs(X, self.network_.predict_proba)

    def predict_log_proba(self, X: Any) -> Float32:
        """Return the logarithm of `predict_proba`, (n, c) float32, exact also for the smallest."""
        check_is_fitted(self, "network_")
        logits = self._outputs(X, self.network_.forward)
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

    # -- what is made of the parameters --------------------------------------------------------------------

    def _network(self, classes: Array | None, width: int) -> tuple[NeuralNetwork, Array]:
        """Return a new network for these classes, or for none the one there is, if it can be trained on."""
        layers = parameters.layers(self, width, len(self.classes_ if classes is None else classes))
        scale = parameters.scale(self)
        if classes is None:
            present = list(self.network_.layers)
            if repr(layers) != repr(present):
                raise ValueError(
                    f"{NAME}: the layers must stay {present} when training goes on; got {layers}: "
                    "train again, with fit and warm_start=False"
                )
            return self.network_, self.classes_
        if len(classes) < 2:
            raise ValueError(f"{NAME}: y must hold at least 2 classes; got {len(classes)} class: {classes}")
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        network = NeuralNetwork(layers, seed=seed)
        network.scale = scale
        return network, classes

    # -- what is made of the data --------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, fresh: bool) -> tuple[Any, Array]:
        """Return rows, dense or sparse, and labels as they are."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is found and named
            X, y = validate_data(
                self, flat(X), plain(y, "y"), reset=fresh, accept_sparse="csr", dtype=_DTYPES, order="C"
            )
        check_classification_targets(y)
        return X, y

    def _examples(
        self, X: Any, y: Array, sample_weight: object, classes: Array, *, merge: bool = False
    ) -> Examples:
        """Return dense rows, numbers of their classes, and weights; few rows, if wished, each of them once."""
        few = parameters.batch_size(self) is None and len(y) <= AUTO_BATCH
        examples = weighted(dense(X), LabelEncoder().fit(classes).transform(y), sample_weight)
        return with_class_weight(merged(examples) if merge and few else examples, self.class_weight, classes)

    def _outputs(self, X: Any, function: Callable[[Any], Float32]) -> Float32:
        with np.errstate(over="ignore", invalid="ignore"):
            X = validate_data(self, flat(X), reset=False, accept_sparse="csr", dtype=_DTYPES, order="C")
        if isinstance(X, np.ndarray):  # whole, as the network decides for all rows together how to read them
            return function(X)
        return np.concatenate([function(dense(X[part])) for part in pieces(X.shape[0], ROWS_AT_ONCE)])

    # -- training ------------------------------------------------------------------------------------------

    def _train(
        self,
        network: NeuralNetwork,
        classes: Array,
        train: Examples,
        held_out: Examples | None,
        watch: Watch,
    ) -> None:
        watch.classes, watch.rows = classes, len(train.labels)
        watch.go_on(network)
        network.fit(
            train.x,
            train.labels,
            epochs=watch.epochs,
            batch_size=parameters.batch_size(self) or AUTO_BATCH,
            optimizer=watch.optimizer,
            schedule=watch.schedule,
            validation_data=held_out,
            sample_weight=train.weight,
            callbacks=[watch],
            shuffle=self.shuffle,
            progress=bool(self.verbose),
        )

    def _begin(self, network: NeuralNetwork, classes: Array) -> None:
        """Put a new network in the place of what there was, and new records."""
        self.network_, self.classes_ = network, classes
        self.n_layers_ = len(self.coefs_) + 1
        self.n_outputs_, self.out_activation_ = len(classes), "softmax"
        self.t_, self.loss_curve_ = 0, []
        self.best_loss_ = self.best_validation_score_ = self.best_validation_loss_ = None
        self.validation_loss_curve_ = self.validation_scores_ = None
        self._waited = self._reductions = 0
        self._best = self._last = None
