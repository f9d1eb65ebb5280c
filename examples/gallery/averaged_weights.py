"""Averaged weights

At a constant learning rate, the weights jump around the minimum. `EMA` keeps a moving average of them, and
the network gets it at the end: better than the last epochs, for the price of one more array.
"""

import matplotlib.pyplot as plt

import fastdigits as fd

(x, y), _ = fd.load_mnist()
validation = x[-5000:], y[-5000:]

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for average, style in ((None, "o-"), (fd.EMA(0.99), "s--")):
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    history = net.fit(
        x[:20000],
        y[:20000],
        epochs=10,
        optimizer=fd.Adam(lr=0.01),
        average=average,
        validation_data=validation,
    )
    name = "the last weights" if average is None else "EMA, from the last epoch on"
    axes.plot(history.epoch, [100 * value for value in history.val_accuracy], style, label=name)
axes.set(xlabel="epoch", ylabel="accuracy on 5,000 other images, %")
axes.legend()
plt.show()
