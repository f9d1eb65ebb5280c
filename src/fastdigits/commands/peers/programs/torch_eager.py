"""PyTorch as its users run it on a CPU: eager mode, fused Adam, float tensors prepared before."""

from __future__ import annotations

import itertools
from typing import Any

import contender
import torch
from contender import Task, Trial
from torch import nn


def network(task: Task) -> nn.Sequential:
    layers: list[nn.Module] = []
    for at, (n_in, n_out) in enumerate(itertools.pairwise(task.sizes), start=1):
        layers.append(nn.Linear(n_in, n_out))
        if at == 1 and task.batchnorm:
            layers.append(nn.BatchNorm1d(n_out))
        if at < len(task.sizes) - 1:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def train_epoch(
    net: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, batch: int
) -> None:
    """Train once on all images in a new order; gather each batch by its indices."""
    net.train()
    for rows in torch.randperm(len(x)).split(batch):
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()


@torch.inference_mode()
def predict(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    net.eval()
    return net(x).argmax(dim=1)


def adam(net: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(
        net.parameters(),
        lr=contender.LR,
        betas=(contender.BETA1, contender.BETA2),
        eps=contender.EPS,
        fused=True,
    )


def epoch(task: Task) -> Trial:
    torch.manual_seed(task.seed)
    x, y = map(torch.from_numpy, contender.training_data(task))
    net = network(task)
    optimizer = adam(net)
    done = 0

    def work() -> None:
        nonlocal done
        train_epoch(net, optimizer, x, y, task.batch)
        done += 1

    return Trial(contender.timed(work), lambda: test_check(task, net, done))


def test_check(task: Task, net: nn.Module, epochs: int) -> dict[str, Any]:
    """Return the number of epochs and the accuracy on the test images."""
    test = torch.from_numpy(contender.floats("t10k", task.data))
    return contender.accuracy_check(lambda: predict(net, test).numpy(), lambda: epochs)


def with_weights(task: Task) -> nn.Sequential:
    """Return the network of a task with the weights that all contenders predict with, in evaluation mode."""
    net = network(task)
    w = {name: torch.from_numpy(value) for name, value in contender.weights(task).items()}
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    norm = next(layer for layer in net if isinstance(layer, nn.BatchNorm1d))
    with torch.no_grad():
        for at, layer in enumerate(linear, start=1):
            layer.weight.copy_(w[f"dense{at}.weight"].T)
            layer.bias.copy_(w[f"dense{at}.bias"])
        norm.weight.copy_(w["batchnorm1.gamma"])
        norm.bias.copy_(w["batchnorm1.beta"])
        norm.running_mean.copy_(w["batchnorm1.running_mean"])
        norm.running_var.copy_(w["batchnorm1.running_var"])
    return net.eval()


def predict_proba(task: Task) -> Trial:
    net = with_weights(task)
    test = torch.from_numpy(contender.floats("t10k", task.data))
    x = test[: task.images].clone()

    @torch.inference_mode()
    def probs(images: torch.Tensor) -> torch.Tensor:
        return net(images).softmax(dim=1)

    return Trial(
        contender.timed_calls(lambda: probs(x), task.calls),
        lambda: contender.probabilities_check(probs(test).numpy()),
    )


if __name__ == "__main__":
    torch.set_num_threads(contender.threads_asked())
    contender.serve({"torch": torch.__version__}, {"epoch": epoch, "predict": predict_proba})
