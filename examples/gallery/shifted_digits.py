"""Digits out of place

MNIST's digits are centred. Each line is a network; each point is its accuracy when all test digits move to the
right. A network without convolution reads moved digits only if its training images were moved too.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

(x_train, y_train), (x_test, y_test) = fd.load_mnist()
x_test, y_test = x_test[:3000], y_test[:3000]
pixels = range(7)

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, augment in (("as they are", None), ("moved by up to 3 pixels", fd.Augmentation(shift=3))):
    net = fd.NeuralNetwork([fd.Dense(784, 128), fd.BatchNorm(128), fd.ReLU(), fd.Dense(128, 10)], seed=0)
    net.fit(
        x_train[:20000],
        y_train[:20000],
        epochs=5,
        optimizer=fd.Adam(lr=0.01),
        schedule=fd.OneCycle(),
        augment=augment,
    )
    moved = [np.roll(x_test, shift, axis=2) for shift in pixels]
    axes.plot(pixels, [100 * net.evaluate(images, y_test)["accuracy"] for images in moved], "o-", label=name)
axes.set(xlabel="pixels to the right", ylabel="accuracy on test images, %", ylim=(0, 101))
axes.legend(title="training images")
plt.show()
