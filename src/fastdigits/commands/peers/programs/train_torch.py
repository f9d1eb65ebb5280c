"""Train the original network with PyTorch until it reaches an accuracy on the test images, then end.

The driver measures the whole process. The script reads cached arrays and prints one JSON object.
"""

from __future__ import annotations

import json
from pathlib import Path

import contender
import numpy as np
import torch
import torch_eager
from contender import Task


def main() -> None:
    parser = contender.training_options(__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder with the arrays, as .npy files")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    load = lambda name: torch.from_numpy(np.load(options.cache / f"{name}.npy"))  # noqa: E731
    x, y, x_test, y_test = (load(name) for name in ("x_train", "y_train", "x_test", "y_test"))
    x, x_test = x.float() / 255, x_test.float() / 255
    net = torch_eager.network(Task("epoch"))
    optimizer = torch_eager.adam(net)
    accuracy, epoch = 0.0, 0
    while accuracy < options.accuracy and epoch < options.max_epochs:
        torch_eager.train_epoch(net, optimizer, x, y, options.batch_size)
        epoch += 1
        accuracy = (torch_eager.predict(net, x_test) == y_test).double().mean().item()
    print(json.dumps({"test_accuracy": accuracy, "epochs": epoch}))


if __name__ == "__main__":
    main()
