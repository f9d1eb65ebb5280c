"""PyTorch with `torch.compile`: forward, loss, backward and Adam of a step are one compiled graph.

The step is a pure function of tensors, because `loss.backward()` and `optimizer.step()` break the graph: compiled
separately they were no faster than eager mode with the fused Adam.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import contender
import torch
import torch_eager
from contender import BETA1, BETA2, BN_EPS, BN_MOMENTUM, EPS, LR, Task, Trial
from torch import nn
from torch.nn import functional as F  # noqa: N812

OPTIONS = {"cpp_wrapper": True}  # the graph is called from C++: 7 % faster than from Python at batch 64


def check_compiler() -> None:
    """Raise NotImplementedError if there is no C++ compiler, which torch.compile needs on a CPU."""
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))):
        raise NotImplementedError("torch.compile needs a C++ compiler: install one, such as g++")


class State:
    """The tensors of a training: parameters, moments of Adam, running statistics, number of steps."""

    def __init__(self, task: Task) -> None:
        self.layers = len(task.sizes) - 1
        net = torch_eager.network(task)
        self.params = [value.detach().clone() for value in net.parameters()]
        self.first = [torch.zeros_like(value) for value in self.params]
        self.second = [torch.zeros_like(value) for value in self.params]
        self.norm = next((layer for layer in net if isinstance(layer, nn.BatchNorm1d)), None)
        self.net = net
        self.count = torch.zeros(())

    def trained(self) -> nn.Module:
        """Return the module with the current parameters."""
        with torch.no_grad():
            for value, now in zip(self.net.parameters(), self.params, strict=True):
                value.copy_(now)
        return self.net


def loss(
    params: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor, layers: int, batchnorm: bool
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Return the mean cross-entropy, and the statistics of this batch."""
    left, statistics = iter(params), ()
    for at in range(1, layers + 1):
        x = F.linear(x, next(left), next(left))
        if at == 1 and batchnorm:
            mean, var = x.mean(dim=0), x.var(dim=0, unbiased=False)
            x = (x - mean) * torch.rsqrt(var + BN_EPS) * next(left) + next(left)
            statistics = (mean, var)
        if at < layers:
            x = F.relu(x)
    return F.cross_entropy(x, y), statistics


def compile_step(state: State, x: torch.Tensor, y: torch.Tensor) -> Callable[[torch.Tensor], None]:
    """Return the compiled step, which takes the indices of a batch."""
    gradient = torch.func.grad(loss, has_aux=True)

    def step(rows: torch.Tensor) -> None:
        grads, statistics = gradient(state.params, x[rows], y[rows], state.layers, state.norm is not None)
        if statistics:
            mean, var = statistics
            state.norm.running_mean.lerp_(mean, BN_MOMENTUM)
            state.norm.running_var.lerp_(var * (len(rows) / (len(rows) - 1)), BN_MOMENTUM)
        state.count.add_(1)
        fix1, fix2 = 1 - BETA1**state.count, 1 - BETA2**state.count
        for value, grad, first, second in zip(state.params, grads, state.first, state.second, strict=True):
            first.lerp_(grad, 1 - BETA1)
            second.mul_(BETA2).addcmul_(grad, grad, value=1 - BETA2)
            value.sub_(LR * (first / fix1) / ((second / fix2).sqrt() + EPS))

    return torch.compile(step, fullgraph=True, dynamic=False, options=OPTIONS)


def epoch(task: Task) -> Trial:
    check_compiler()
    torch.manual_seed(task.seed)
    x, y = map(torch.from_numpy, contender.training_data(task))
    state = State(task)
    done = 0

    def work() -> None:
        nonlocal done
        for rows in torch.randperm(len(x)).split(task.batch):
            step(rows)
        done += 1

    step = compile_step(state, x, y)
    began = time.perf_counter()
    sizes = {min(task.batch, len(x)), len(x) % task.batch} - {0}
    for size in sizes:  # a graph for whole batches, and one for the last, smaller batch
        step(torch.arange(size))
    notes = [f"compiled in {time.perf_counter() - began:.0f} s before"]
    return Trial(contender.timed(work), lambda: torch_eager.test_check(task, state.trained(), done), notes)


def predict_proba(task: Task) -> Trial:
    check_compiler()
    net = torch_eager.with_weights(task)
    test = torch.from_numpy(contender.floats("t10k", task.data))
    x = test[: task.images].clone()
    compiled = torch.compile(lambda images: net(images).softmax(dim=1), dynamic=False, options=OPTIONS)

    @torch.inference_mode()
    def probs(images: torch.Tensor) -> torch.Tensor:
        return compiled(images)

    began = time.perf_counter()
    probs(x)
    return Trial(
        contender.timed_calls(lambda: probs(x), task.calls),
        lambda: contender.probabilities_check(probs(test[: contender.CHECKED_IMAGES]).numpy()),
        [f"compiled in {time.perf_counter() - began:.0f} s before"],
    )


if __name__ == "__main__":
    torch.set_num_threads(contender.threads_asked())
    contender.serve({"torch": torch.__version__}, {"epoch": epoch, "predict": predict_proba})
