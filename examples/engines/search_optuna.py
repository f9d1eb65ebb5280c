"""Search settings with Optuna: bad trials end early, and two processes share one study, whose file stays."""

import sys
import tempfile

import joblib
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import fastdigits as fd


class Pruning(fd.Callback):
    """Report the accuracy of each epoch to a trial; end the training if Optuna has seen enough."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, epoch, network, history):
        self.trial.report(history.val_accuracy[-1], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def objective(trial):
    (x, y), _ = fd.load_mnist()  # each process reads the data by itself; none are sent
    width = trial.suggest_int("width", 8, 64, log=True)
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    net = fd.NeuralNetwork([fd.Dense(784, width), fd.ReLU(), fd.Dense(width, 10)], seed=0)
    history = net.fit(
        x[:4000], y[:4000], epochs=5, optimizer=fd.Adam(rate),
        validation_data=(x[4000:5000], y[4000:5000]), callbacks=[Pruning(trial)],
    )  # fmt: skip
    return history.val_accuracy[-1]


def search(path, trials, seed):
    """Run trials of the study in the file."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(path)), study_name="digits", direction="maximize",
        load_if_exists=True, sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
    )  # fmt: skip
    study.optimize(objective, n_trials=trials)
    return study


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else f"{tempfile.mkdtemp()}/study.journal"
    search(path, 0, 0)  # make the study before others load it
    joblib.Parallel(2)(joblib.delayed(search)(path, 8, seed) for seed in (1, 2))
    study = search(path, 0, 0)
    print(len(study.trials), "trials")  # 16 trials
    print(f"{study.best_value:.3f}", study.best_params)  # 0.9…
