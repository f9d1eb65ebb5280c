"""A NumPy network in the style of the original project: float64, RMSprop, a Python object per layer.

The code is new, not copied. A layer stores what its backward pass needs, a dictionary of parameters and one of
gradients; the optimizer gets names and arrays; labels are one-hot.
"""

from __future__ import annotations

import itertools

import contender
import numpy as np
from contender import Task, Trial

DECAY = 0.9


class Dense:
    def __init__(self, n_in: int, n_out: int, rng: np.random.Generator) -> None:
        self.params = {"w": rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), "b": np.zeros(n_out)}
        self.grads: dict[str, np.ndarray] = {}

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        return x @ self.params["w"] + self.params["b"]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.grads["w"] = self.x.T @ dy
        self.grads["b"] = dy.sum(axis=0)
        return dy @ self.params["w"].T


class BatchNorm:
    def __init__(self, n: int) -> None:
        self.params = {"gamma": np.ones(n), "beta": np.zeros(n)}
        self.grads: dict[str, np.ndarray] = {}
        self.mean, self.var = np.zeros(n), np.ones(n)

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        mean, var = self.mean, self.var
        if training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            self.mean = 0.9 * self.mean + 0.1 * mean
            self.var = 0.9 * self.var + 0.1 * var
        self.std = np.sqrt(var + 1e-5)
        self.x_hat = (x - mean) / self.std
        return self.params["gamma"] * self.x_hat + self.params["beta"]

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.grads["gamma"] = (dy * self.x_hat).sum(axis=0)
        self.grads["beta"] = dy.sum(axis=0)
        dx_hat = dy * self.params["gamma"]
        return (dx_hat - dx_hat.mean(axis=0) - self.x_hat * (dx_hat * self.x_hat).mean(axis=0)) / self.std


class ReLU:
    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.mask = x > 0
        return x * self.mask

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy * self.mask


class RMSprop:
    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.cache: dict[str, np.ndarray] = {}

    def update(self, name: str, value: np.ndarray, grad: np.ndarray) -> None:
        cache = self.cache.get(name, np.zeros_like(value))
        self.cache[name] = DECAY * cache + (1 - DECAY) * grad**2
        value -= self.lr * grad / (np.sqrt(self.cache[name]) + contender.EPS)


class Network:
    def __init__(self, task: Task) -> None:
        rng = np.random.default_rng(task.seed)
        self.layers: list[Dense | BatchNorm | ReLU] = []
        for at, (n_in, n_out) in enumerate(itertools.pairwise(task.sizes), start=1):
            self.layers.append(Dense(n_in, n_out, rng))
            if at == 1 and task.batchnorm:
                self.layers.append(BatchNorm(n_out))
            if at < len(task.sizes) - 1:
                self.layers.append(ReLU())

    def probs(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        for layer in self.layers:
            x = layer.forward(x, training)
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def step(self, x: np.ndarray, one_hot: np.ndarray, optimizer: RMSprop) -> tuple[float, float]:
        """Train on one batch; return its loss and accuracy, which the original project prints for every epoch."""
        probs = self.probs(x, training=True)
        loss = -(one_hot * np.log(probs + 1e-12)).sum(axis=1).mean()
        accuracy = (probs.argmax(axis=1) == one_hot.argmax(axis=1)).mean()
        dy = (probs - one_hot) / len(x)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        for at, layer in enumerate(self.layers):
            for name, value in layer.params.items():
                optimizer.update(f"{at}.{name}", value, layer.grads[name])
        return float(loss), float(accuracy)


def epoch(task: Task) -> Trial:
    x, y = contender.training_data(task, np.float64)
    one_hot = np.eye(10)[y]
    net, optimizer = Network(task), RMSprop(contender.LR)
    rng = np.random.default_rng(task.seed)
    history: list[tuple[float, float]] = []

    def work() -> None:
        order = rng.permutation(len(x))
        rows = [order[start : start + task.batch] for start in range(0, len(x), task.batch)]
        steps = [net.step(x[part], one_hot[part], optimizer) for part in rows]
        loss, accuracy = np.mean(steps, axis=0)
        history.append((float(loss), float(accuracy)))

    def predicted() -> np.ndarray:
        return net.probs(contender.floats("t10k", task.data, np.float64)).argmax(axis=1)

    return Trial(
        contender.timed(work),
        lambda: contender.accuracy_check(predicted, lambda: len(history)),
        ["float64, RMSprop"],
    )


def predict_proba(task: Task) -> Trial:
    net = Network(task)
    w = contender.weights(task)
    dense = [layer for layer in net.layers if isinstance(layer, Dense)]
    for at, layer in enumerate(dense, start=1):
        layer.params["w"][...], layer.params["b"][...] = w[f"dense{at}.weight"], w[f"dense{at}.bias"]
    norm = next(layer for layer in net.layers if isinstance(layer, BatchNorm))
    norm.params["gamma"][...], norm.params["beta"][...] = w["batchnorm1.gamma"], w["batchnorm1.beta"]
    norm.mean, norm.var = w["batchnorm1.running_mean"], w["batchnorm1.running_var"]
    test = contender.floats("t10k", task.data, np.float64)
    x = test[: task.images].copy()
    return Trial(
        contender.timed_calls(lambda: net.probs(x), task.calls),
        lambda: contender.probabilities_check(net.probs(test)),
        ["float64"],
    )


if __name__ == "__main__":
    contender.serve({}, {"epoch": epoch, "predict": predict_proba})
