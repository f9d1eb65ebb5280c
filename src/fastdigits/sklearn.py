"""A scikit-learn classifier: networks of this package in pipelines, grid searches and cross-validation.

It translates: scikit-learn's arguments become layers, an optimizer and a schedule, and `NeuralNetwork.fit` trains.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder
    from sklearn.utils import check_random_state, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "fastdigits.sklearn needs scikit-learn 1.6 or newer: pip install 'fastdigits[sklearn]'"
    ) from error

from . import inputs
from .callbacks import Callback, History, Snapshot
from .hyperparameters import check_number
from .inputs import Array, Float32, Int64
from .layers import Dense, Layer
from .network import ROWS_AT_ONCE, NeuralNetwork, pieces
from .optimizers import Adam, AdamW, Momentum, Optimizer, RMSprop
from .recipes import SCHEDULES, Recipe
from .schedules import Constant, Schedule

MONITORS = ("val_accuracy", "val_loss")
_Examples: TypeAlias = tuple[Array, Int64, Array | None]  # rows, numbers of their classes, weights
SOLVERS = ("adam", "sgd", "rmsprop")
AUTO_BATCH = 200  # as in MLPClassifier
# MLPClassifier's too. On 30 splits of wine, 97.9 % instead of the 96.6 % that He's wider one comes to in 30 epochs;
# no difference on breast_cancer and digits (standard errors 0.4, 0.2, 0.1).
INITIALIZER = "glorot_uniform"
_NAME = "FastDigitsClassifier"
_DTYPES = [np.float32, np.uint8]  # any other dtype becomes the first of them
_SLOWEST = 1e-6  # the learning rate from which on "adaptive" stops, as in MLPClassifier


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
        Whether standard error shows a line an epoch.
    warm_start : bool, default False
        Whether `fit` trains ``max_iter`` more epochs instead of beginning anew; see Notes.
    momentum : float, default 0.9
        For ``sgd``.
    nesterovs_momentum : bool, default True
        For ``sgd``.
    early_stopping : bool, default False
        Whether epochs are compared, for the stop and for the weights to keep, on held-out rows instead of by
        the training loss.
    validation_fraction : float, default 0.1
        What is held out of each class, unless `fit` gets ``X_val``.
    monitor : {"val_accuracy", "val_loss"}, default "val_accuracy"
        The measure of early stopping.
    beta_1, beta_2 : float, default 0.9 and 0.999
        For ``adam``.
    epsilon : float, default 1e-8
        For ``adam`` and ``rmsprop``.
    n_iter_no_change : int, default 10
        Training stops after more than so many epochs in a row that do not improve.
    class_weight : dict, "balanced" or None, default None
        Weight of each class, which multiplies ``sample_weight``. "balanced" is n / (classes · rows of it).

    Attributes
    ----------
    network_ : NeuralNetwork
        What was trained: it can be saved, folded and looked at.
    classes_ : ndarray, (c,)
        The labels, sorted; columns of probabilities are in this order.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.
    n_iter_, t_ : int
        Epochs of the last call; rows that were trained on in all calls.
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
    DivergedError
        From these, if the loss is no longer finite.

    Notes
    -----
    **Values.** uint8 means value / 255, as everywhere in this package; any other real numbers are taken as
    they are, as float32. Scale the columns of tables, by StandardScaler in a Pipeline for instance, and
    convert small integers of a table that happen to be uint8. Images may be (n, height, width).

    **Memory.** `fit` holds the rows once more in float32, 4 bytes a number (1 where they are uint8), unless
    they come in C order and one of these types; sparse rows are made dense at once for that. Early stopping
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

    **Weights.** A row of weight 2 counts as the same row twice. Up to 200 rows in one batch ("auto") train without
    regard to their order, equal ones as one with the sum of their weights: to the last bit, weights are then
    repetitions. Batch normalisation and dropout look at rows one by one, and are left to them.

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
        """Train anew, or with ``warm_start`` for ``max_iter`` more epochs.

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
        watch = _Watch(self, self.max_iter)
        anew = not (self.warm_start and hasattr(self, "network_"))
        X, y = self._checked(X, y, anew)
        network, classes = self._network(np.unique(y) if anew else None, X.shape[1])
        train = self._examples(X, y, sample_weight, classes)
        held_out = None
        if (X_val is None) != (y_val is None):
            raise ValueError(f"{_NAME}: X_val and y_val must be given together; got one of them")
        if X_val is not None:
            held_out = self._examples(*self._checked(X_val, y_val, False), sample_weight_val, classes)
        elif self.early_stopping:
            train, held_out = self._hold_out(train, network.seed)
        self._train(network, classes, train, held_out, watch)
        if not watch.stopped and self.tol is not None and type(watch.schedule) is Constant:
            warnings.warn(
                f"{_NAME}: training ended after max_iter={self.max_iter} epochs, before tol and n_iter_no_change "
                "stopped it: raise max_iter, or set tol=None to have that many epochs without this warning",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

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
        if self.early_stopping:
            raise ValueError(f"{_NAME}: partial_fit must have early_stopping=False; got True")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"{_NAME}: partial_fit must have a dict or None as class_weight, as a part of the rows does not "
                f"tell how frequent classes are; got {self.class_weight!r}"
            )
        anew = not hasattr(self, "network_")
        if anew and classes is None:
            raise ValueError(f"{_NAME}: classes must be given to the first call of partial_fit; got None")
        if not anew and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"{_NAME}: classes must stay those of the first call, {self.classes_}; got {classes}"
            )
        watch = _Watch(self, None)
        X, y = self._checked(X, y, anew)
        network, known = self._network(np.unique(classes) if anew else None, X.shape[1])
        self._train(network, known, self._examples(X, y, sample_weight, known), None, watch)
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
        layers = self._layers(width, len(self.classes_ if classes is None else classes))
        if classes is None:
            present = list(self.network_.layers)
            if repr(layers) != repr(present):
                raise ValueError(
                    f"{_NAME}: the layers must stay {present} when training goes on; got {layers}: "
                    "train anew, with fit and warm_start=False"
                )
            return self.network_, self.classes_
        if len(classes) < 2:
            raise ValueError(f"{_NAME}: y must hold at least 2 classes; got {len(classes)} class: {classes}")
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        return NeuralNetwork(layers, seed=seed), classes

    def _layers(self, width: int, classes: int) -> list[Layer]:
        sizes = self.hidden_layer_sizes
        layers = Recipe(
            name=_NAME,
            hidden=tuple(sizes) if isinstance(sizes, Iterable) else (sizes,),
            activation=self.activation,
            batchnorm=self.batchnorm,
            dropout=check_number(self.dropout, "dropout", _NAME, least=0, under=1),
        ).layers(width, classes)
        for layer in layers:
            if isinstance(layer, Dense):
                layer.initializer = INITIALIZER
        return layers

    def _make_optimizer(self) -> Optimizer:
        """Return a new optimizer of the present parameters."""
        lr = self.learning_rate_init
        decays = check_number(self.weight_decay, "weight_decay", _NAME, least=0) > 0
        if decays and self.solver != "adam":
            raise ValueError(
                f"{_NAME}: weight_decay must be 0 unless the solver is 'adam'; got {self.weight_decay!r}"
            )
        if self.solver == "adam":
            adam: dict[str, Any] = {"beta1": self.beta_1, "beta2": self.beta_2, "eps": self.epsilon}
            return AdamW(lr, weight_decay=self.weight_decay, **adam) if decays else Adam(lr, **adam)
        if self.solver == "sgd":
            return Momentum(lr, self.momentum, nesterov=self.nesterovs_momentum)
        if self.solver == "rmsprop":
            return RMSprop(lr, eps=self.epsilon)
        raise ValueError(f"{_NAME}: solver must be one of {', '.join(SOLVERS)}; got {self.solver!r}")

    def _make_schedule(self) -> Schedule:
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate
        kinds: dict[str, type[Schedule]] = {**SCHEDULES, "adaptive": Constant}
        if not isinstance(self.learning_rate, str) or self.learning_rate not in kinds:
            raise ValueError(
                f"{_NAME}: learning_rate must be one of {', '.join(kinds)}, or a fastdigits.Schedule; "
                f"got {self.learning_rate!r}"
            )
        return kinds[self.learning_rate]()

    # -- what is made of the data --------------------------------------------------------------------------

    def _checked(self, X: Any, y: Any, anew: bool) -> tuple[Any, Array]:
        """Return rows, dense or sparse, and labels as they are."""
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32 is found and named
            X, y = validate_data(self, _flat(X), y, reset=anew, accept_sparse="csr", dtype=_DTYPES, order="C")
        check_classification_targets(y)
        return X, y

    def _examples(self, X: Any, y: Array, sample_weight: object, classes: Array) -> _Examples:
        """Return dense rows, numbers of their classes, and weights."""
        labels = LabelEncoder().fit(classes).transform(y)
        weight: Array | None = None
        if sample_weight is not None:
            weight = inputs.check_weights(sample_weight, len(y), f"{_NAME}: sample_weight")
        if self.class_weight is not None:
            factors = compute_class_weight(self.class_weight, classes=classes, y=y)[labels]
            weight = factors if weight is None else weight * factors
        return _dense(X), labels, weight

    def _hold_out(self, examples: _Examples, seed: int) -> tuple[_Examples, _Examples]:
        """Return the examples to train on and those held out, a part of each class."""
        X, labels, weight = examples
        try:
            parts = train_test_split(
                np.arange(len(labels)),
                test_size=self.validation_fraction,
                stratify=labels,
                random_state=seed,
            )
        except ValueError as error:
            raise ValueError(
                f"{_NAME}: early_stopping must be able to hold out validation_fraction={self.validation_fraction} "
                f"of each class; got {error} Give fit X_val and y_val, or change the fraction"
            ) from error
        train, held_out = (
            (X[part], labels[part], None if weight is None else weight[part]) for part in map(np.sort, parts)
        )
        return train, held_out

    def _outputs(self, X: Any, function: Callable[[Any], Float32]) -> Float32:
        with np.errstate(over="ignore", invalid="ignore"):
            X = validate_data(self, _flat(X), reset=False, accept_sparse="csr", dtype=_DTYPES, order="C")
        return np.concatenate([function(_dense(X[part])) for part in pieces(X.shape[0], ROWS_AT_ONCE)])

    # -- training ------------------------------------------------------------------------------------------

    def _train(
        self,
        network: NeuralNetwork,
        classes: Array,
        train: _Examples,
        held_out: _Examples | None,
        watch: _Watch,
    ) -> None:
        watch.classes, watch.rows = classes, len(train[0])
        batch_size = self.batch_size
        if isinstance(batch_size, str):
            if batch_size != "auto":
                raise ValueError(f"{_NAME}: batch_size must be 'auto' or an integer; got {batch_size!r}")
            batch_size = AUTO_BATCH
            if len(train[0]) <= AUTO_BATCH and self.batchnorm == "none" and self.dropout == 0:
                train = _merged(*train)
        X, labels, weight = train
        watch.go_on(network)
        network.fit(
            X,
            labels,
            epochs=watch.epochs,
            batch_size=batch_size,
            optimizer=watch.optimizer,
            schedule=watch.schedule,
            validation_data=held_out,
            sample_weight=weight,
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


class _Watch(Callback):
    """One call of a classifier's `fit`: its settings, checked; and the records, which live in the classifier.

    It decides when to stop, by the rules of MLPClassifier. Nothing of the classifier changes before the network
    has accepted everything and training begins.
    """

    def __init__(self, model: FastDigitsClassifier, epochs: int | None) -> None:
        self.model = model
        self.epochs = 1 if epochs is None else inputs.check_count(epochs, "max_iter", _NAME)
        self.optimizer = model._make_optimizer()
        self.schedule = Constant() if epochs is None else model._make_schedule()
        self.adaptive = isinstance(model.learning_rate, str) and model.learning_rate == "adaptive"
        self.tol = None if model.tol is None else check_number(model.tol, "tol", _NAME, least=0)
        self.patience = inputs.check_count(model.n_iter_no_change, "n_iter_no_change", _NAME)
        if model.monitor not in MONITORS:
            raise ValueError(f"{_NAME}: monitor must be one of {', '.join(MONITORS)}; got {model.monitor!r}")
        self.classes: Array | None = None
        self.rows = 0
        self.stopped = False

    def go_on(self, network: NeuralNetwork) -> None:
        """Give the optimizer the moments of the last one, if this network was trained before."""
        model = self.model
        if network is not getattr(model, "network_", None):
            return
        old, parameters = model._optimizer, network.parameters()
        if old.state_names == self.optimizer.state_names:
            self.optimizer.load_state_dict(parameters, old.state_dict(parameters))
        self._reduce()

    def on_train_begin(self, network: NeuralNetwork, history: History) -> None:
        """Begin the records anew for a new network, or go on from the last epoch, not from the best one."""
        model = self.model
        if network is not getattr(model, "network_", None):
            model._begin(network, self.classes)  # type: ignore[arg-type]
        if model._last is not None:
            model._last.restore(network)
        model._last = None
        model._optimizer = self.optimizer
        model.n_iter_ = 0
        if not model.early_stopping:
            model._best = model.best_validation_score_ = model.best_validation_loss_ = None
        if history.validates and model.validation_scores_ is None:
            model.validation_scores_, model.validation_loss_curve_ = [], []

    def on_epoch_end(self, epoch: int, network: NeuralNetwork, history: History) -> bool:
        """Write the epoch down and compare it with the best one."""
        model = self.model
        model.n_iter_ += 1
        model.t_ += self.rows
        model.loss_ = history.loss[-1]
        model.loss_curve_.append(model.loss_)
        if (
            model.validation_scores_ is not None
            and model.validation_loss_curve_ is not None
            and history.validates
        ):
            model.validation_scores_.append(history.val_accuracy[-1])
            model.validation_loss_curve_.append(history.val_loss[-1])
        gain = self._gain(history)
        if gain > 0:
            self._keep(network, history)
        if self.tol is None or gain >= self.tol:
            model._waited = 0
            return False
        model._waited += 1
        return model._waited > self.patience and self._at_an_end()

    def on_train_end(self, network: NeuralNetwork, history: History) -> None:
        """Give the network its best epoch back; keep the last one unless training has come to an end."""
        model = self.model
        if model._best is not None:
            model._last = None if self.stopped else Snapshot(network)
            model._best.restore(network)

    def _gain(self, history: History) -> float:
        """Return by how much the last epoch is better than the best one before."""
        model = self.model
        if not model.early_stopping:
            best, value, sign = model.best_loss_, history.loss[-1], -1
        elif model.monitor == "val_loss":
            best, value, sign = model.best_validation_loss_, history.val_loss[-1], -1
        else:
            best, value, sign = model.best_validation_score_, history.val_accuracy[-1], 1
        return np.inf if best is None else sign * (value - best)

    def _keep(self, network: NeuralNetwork, history: History) -> None:
        model = self.model
        model.best_loss_ = None if model.early_stopping else history.loss[-1]
        if model.early_stopping:
            model.best_validation_score_ = history.val_accuracy[-1]
            model.best_validation_loss_ = history.val_loss[-1]
            model._best = Snapshot(network)

    def _at_an_end(self) -> bool:
        """Return whether training stops, or go on with a fifth of the learning rate."""
        model = self.model
        model._waited = 0
        if self.adaptive and self.optimizer.lr > _SLOWEST:
            model._reductions += 1
            self._reduce()
            return False
        self.stopped = True
        return True

    def _reduce(self) -> None:
        if self.adaptive:
            self.optimizer.lr = float(self.model.learning_rate_init / 5**self.model._reductions)


def _flat(X: Any) -> Any:
    """Return images (n, height, width) as rows, and anything else as it is."""
    if getattr(X, "ndim", None) != 3:
        return X
    images = np.asarray(X)
    return images.reshape(images.shape[0], images.shape[1] * images.shape[2])


def _dense(X: Any) -> Array:
    rows: Array = X.toarray(order="C") if hasattr(X, "toarray") else X
    return rows


def _merged(X: Array, labels: Int64, weight: Array | None) -> _Examples:
    """Return equal examples once, in an order of their values, with the sum of their weights."""
    if weight is None:
        weight = np.ones(len(labels))
    counts = weight != 0
    keys = np.column_stack([labels[counts], X[counts].astype(np.float64)])
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    sums = np.bincount(group.reshape(-1), weights=weight[counts])
    return np.ascontiguousarray(X[counts][first]), labels[counts][first], sums
