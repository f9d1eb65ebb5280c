"""When the training of a `FastDigitsClassifier` stops, and which epoch it keeps: the rules of MLPClassifier."""

from __future__ import annotations

from sklearn.preprocessing import StandardScaler

from ..core.arrays import Array
from ..core.validation import check_count, check_number
from ..network import NeuralNetwork
from ..nn import scales
from ..nn.layers import Standardize
from ..nn.snapshot import Snapshot
from ..optim.schedules import Constant
from ..training.best_epoch import improvement
from ..training.callbacks import Callback
from ..training.history import History
from . import parameters
from .parameters import MONITORS, NAME, Model

_LOWEST_RATE = 1e-6  # "adaptive" stops at this learning rate, as in MLPClassifier


class Stopping(Callback):
    """The settings of one call of a classifier's `fit`, checked; it decides when to stop, by MLPClassifier's rules.

    The classifier holds all records. None of them changes before training begins, when the network has accepted
    everything.
    """

    def __init__(self, model: Model, epochs: int | None) -> None:
        self.model = model
        self.epochs = 1 if epochs is None else check_count(epochs, "max_iter", NAME)
        self.optimizer = parameters.optimizer(model)
        self.schedule = Constant() if epochs is None else parameters.schedule(model)
        self.adaptive = isinstance(model.learning_rate, str) and model.learning_rate == "adaptive"
        self.tol = None if model.tol is None else check_number(model.tol, "tol", NAME, least=0)
        self.patience = check_count(model.n_iter_no_change, "n_iter_no_change", NAME)
        if model.monitor not in MONITORS:
            raise ValueError(f"{NAME}: monitor must be one of {', '.join(MONITORS)}; got {model.monitor!r}")
        self.continues = epochs is None or bool(model.warm_start)  # whether the next call may continue
        self.best: Snapshot | None = None  # weights of the best epoch
        self.classes: Array | None = None
        self.rows = 0
        self.columns: StandardScaler | None = None  # new statistics for the network's `Standardize`
        self.stopped = False

    def continue_optimizer(self, network: NeuralNetwork) -> None:
        """Give the optimizer the moments of the last one, if this network was trained before."""
        model = self.model
        if network is not getattr(model, "network_", None):
            return
        old, parameters = model._optimizer, network.parameters()
        if old.state_names == self.optimizer.state_names:
            self.optimizer.load_state_dict(parameters, old.state_dict(parameters))
        self._reduce_rate()

    def on_train_begin(self, network: NeuralNetwork, history: History) -> None:
        """Begin new records for a new network, or continue from the last epoch, not from the best one."""
        model = self.model
        if network is not getattr(model, "network_", None):
            model._reset(network, self.classes)
        elif model.early_stopping and model.best_validation_score_ is not None:
            self.best = Snapshot(network)  # it predicts with the best weights
        if model._last_weights is not None:
            model._last_weights.restore(network)
        model._last_weights = None
        self._standardize(network)
        model._optimizer = self.optimizer
        model.n_iter_ = 0
        if not model.early_stopping:
            model.best_validation_score_ = model.best_validation_loss_ = None
        if history.validates and model.validation_scores_ is None:
            model.validation_scores_, model.validation_loss_curve_ = [], []

    def _standardize(self, network: NeuralNetwork) -> None:
        """Give the first layer new statistics, if there are any."""
        layer = network.layers[0]
        if self.columns is None or not isinstance(layer, Standardize):
            return
        self.model._columns = self.columns
        unit = scales.WHITE if network.scale == scales.PIXELS else 1
        layer.mean[...] = self.columns.mean_ / unit
        layer.var[...] = (self.columns.scale_ / unit) ** 2

    def on_epoch_end(self, epoch: int, network: NeuralNetwork, history: History) -> bool:
        """Record the epoch and compare it with the best one; return True to stop."""
        model = self.model
        model.n_iter_ += 1
        model.t_ += self.rows
        model.loss_ = history.loss[-1]
        model.loss_curve_.append(model.loss_)
        if history.validates:
            model.validation_scores_.append(history.val_accuracy[-1])
            model.validation_loss_curve_.append(history.val_loss[-1])
        gain = self._gain(history)
        if gain > 0:
            self._keep(network, history)
        if self.tol is None or gain >= self.tol:
            model._waited = 0
            return False
        model._waited += 1
        return model._waited > self.patience and self._stops()

    def on_train_end(self, network: NeuralNetwork, history: History) -> None:
        """Restore the best epoch's weights; keep what a call that continues needs, unless training has stopped."""
        if self.best is not None:
            if self.continues and not self.stopped:
                self.model._last_weights = Snapshot(network)
            self.best.restore(network)
        if not self.continues:
            self.optimizer.forget(network.parameters())

    def _gain(self, history: History) -> float:
        """Return by how much the last epoch is better than the best one before.

        Of two equal accuracies, the loss decides: few held-out rows are soon all right, before the training is done.
        """
        model = self.model
        monitor = model.monitor if model.early_stopping else "loss"
        best = {
            "loss": model.best_loss_,
            "val_loss": model.best_validation_loss_,
            "val_accuracy": model.best_validation_score_,
        }
        gain = improvement(monitor, getattr(history, monitor)[-1], best[monitor])
        if monitor == "val_accuracy" and (gain == 0 or abs(gain) < (self.tol or 0)):
            gain = improvement("val_loss", history.val_loss[-1], best["val_loss"])
        return gain

    def _keep(self, network: NeuralNetwork, history: History) -> None:
        model = self.model
        model.best_loss_ = None if model.early_stopping else history.loss[-1]
        if model.early_stopping:
            model.best_validation_score_ = history.val_accuracy[-1]
            model.best_validation_loss_ = history.val_loss[-1]
            self.best = Snapshot(network)

    def _stops(self) -> bool:
        """Return True to stop; where "adaptive" can reduce the learning rate, reduce it and return False."""
        model = self.model
        model._waited = 0
        if self.adaptive and self.optimizer.lr > _LOWEST_RATE:
            model._reductions += 1
            self._reduce_rate()
            return False
        self.stopped = True
        return True

    def _reduce_rate(self) -> None:
        if self.adaptive:
            self.optimizer.lr = float(self.model.learning_rate_init / 5**self.model._reductions)
