"""Resume a training that stopped: the result has the same bits as a training that never stopped."""

import os
import tempfile

import numpy as np

import fastdigits as fd


class PowerCut(fd.Callback):
    """Stop the first training after two epochs, as a crash would."""

    happened = False

    def on_epoch_end(self, epoch, network, history):
        if epoch == 2 and not self.happened:
            self.happened = True
            raise RuntimeError("the power is off")


(x, y), _ = fd.load_mnist()
x, y = x[:12800], y[:12800]  # 100 steps per epoch, of 128 images each
power_cut = PowerCut()


def train(folder):
    """Train for four epochs; continue from a checkpoint in the folder, if there is one."""
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    callbacks = [fd.Checkpoint(folder, every=150), power_cut]  # a checkpoint every 150 steps
    net.fit(x, y, epochs=4, optimizer=fd.Adam(lr=0.01), callbacks=callbacks, resume=folder)
    return net


with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
    try:
        train(folder)
    except RuntimeError as error:
        print(f"stopped: {error}")  # stopped: the power is off
    print("left:", *os.listdir(folder))  # left: checkpoint-000000000150.safetensors
    resumed = train(folder)  # the same call continues from step 150, in the second epoch
    whole = train(other)
    print("same bits:", np.array_equal(resumed.values, whole.values))  # same bits: True
