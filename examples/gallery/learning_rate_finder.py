"""Find a learning rate

A copy of the network trains for some steps, and each step multiplies the rate by the same factor. The loss
first stays, then falls, then explodes. The suggestion is half of the rate with the smallest smoothed loss.
"""

import matplotlib.pyplot as plt

import fastdigits as fd

(x, y), _ = fd.load_mnist()
figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
for optimizer, colour in ((fd.SGD(), "#0072B2"), (fd.Adam(), "#D55E00")):
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    found = net.find_lr(x, y, optimizer=optimizer)
    axes.semilogx(found.lrs, found.losses, color=colour, alpha=0.25)
    axes.semilogx(
        found.lrs, found.smoothed, color=colour, label=f"{type(optimizer).__name__}: {found.lr:.2g}"
    )
    axes.axvline(found.lr, color=colour, linestyle=":")
axes.set(xlabel="learning rate", ylabel="loss", ylim=(0, 4))
axes.legend()
plt.show()
