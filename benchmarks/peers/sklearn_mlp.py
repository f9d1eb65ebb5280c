"""scikit-learn's MLPClassifier; without batch normalisation, so its epoch is a little less work."""

from __future__ import annotations

import contender
import numpy as np
import sklearn
from contender import Task, Trial
from sklearn.neural_network import MLPClassifier

CLASSES = np.arange(10)


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


def epoch(task: Task) -> Trial:
    x, y = contender.floats("train"), contender.labels("train")
    test = contender.floats("t10k")
    net = classifier(task)
    done = 0

    def work() -> None:  # a call is one epoch of shuffled batches, and keeps the moments of Adam
        nonlocal done
        net.partial_fit(x, y, classes=CLASSES)
        done += 1

    notes = ["no batch normalisation"] if task.batchnorm else []
    check = lambda: contender.accuracy_check(lambda: net.predict(test), lambda: done)  # noqa: E731
    return Trial(contender.timed(work), check, notes)


def predict_proba(task: Task) -> Trial:
    test = contender.floats("t10k")
    net = classifier(task).partial_fit(test[:64], contender.labels("t10k")[:64], classes=CLASSES)
    folded = contender.folded_weights()
    net.coefs_ = [weight for weight, _ in folded]
    net.intercepts_ = [bias for _, bias in folded]
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: net.predict_proba(x)),
        lambda: contender.probabilities_check(net.predict_proba(test)),
        ["batch normalisation folded into the first layer"],
    )


if __name__ == "__main__":
    contender.serve({"scikit-learn": sklearn.__version__}, {"epoch": epoch, "predict": predict_proba})
