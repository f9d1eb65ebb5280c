"""scikit-learn's MLPClassifier; without batch normalisation, so its epoch is a little less work."""

from __future__ import annotations

import contender
import numpy as np
import sklearn
from contender import Task, Trial
from sklearn.neural_network import MLPClassifier


def classifier(task: Task) -> MLPClassifier:
    return MLPClassifier(
        hidden_layer_sizes=task.sizes[1:-1],
        solver="adam",
        alpha=0.0,  # no weight decay: no other contender has it
        batch_size=task.batch,
        learning_rate_init=contender.LR,
        beta_1=contender.BETA1,
        beta_2=contender.BETA2,
        epsilon=contender.EPS,
        shuffle=True,
        random_state=task.seed,
    )


def epoch(task: Task, call_per_batch: bool) -> Trial:
    """Train for an epoch: one call per batch, or one for all, which keeps the moments of Adam like a longer fit."""
    x, y = contender.training_data(task)
    net = classifier(task)
    rng = np.random.default_rng(task.seed)
    done = 0

    def work() -> None:
        nonlocal done
        if call_per_batch:
            order = rng.permutation(len(x))
            for start in range(0, len(x), task.batch):
                rows = order[start : start + task.batch]
                net.partial_fit(x[rows], y[rows], classes=contender.CLASSES)
        else:
            net.partial_fit(x, y, classes=contender.CLASSES)
        done += 1

    def predicted() -> np.ndarray:
        return net.predict(contender.floats("t10k", task.data))

    notes = ["no batch normalisation"] if task.batchnorm else []
    return Trial(contender.timed(work), lambda: contender.accuracy_check(predicted, lambda: done), notes)


def predict_proba(task: Task) -> Trial:
    test = contender.floats("t10k", task.data)
    net = classifier(task).partial_fit(test[:64], contender.labels("t10k")[:64], classes=contender.CLASSES)
    folded = contender.folded_weights(task)
    net.coefs_ = [weight for weight, _ in folded]
    net.intercepts_ = [bias for _, bias in folded]
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: net.predict_proba(x), task.calls),
        lambda: contender.probabilities_check(net.predict_proba(test)),
        ["batch normalisation folded into the first layer"],
    )


def main(call_per_batch: bool = False) -> None:
    contender.serve(
        {"scikit-learn": sklearn.__version__},
        {"epoch": lambda task: epoch(task, call_per_batch), "predict": predict_proba},
    )


if __name__ == "__main__":
    main()
