"""What two columns decide

The network sees only two numbers of each image: the mean of all pixels and of those in the middle. The colours
show its answer for every pair, the points are images of zeros, ones and twos. One layer draws straight borders,
hidden layers bend them.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

COLOURS = ["#0072B2", "#D55E00", "#009E73"]  # of the digits 0, 1 and 2

(x, y), _ = fd.load_mnist()
chosen = y[:6000] < 3
x, y = x[:6000][chosen] / 255, y[:6000][chosen]
rows = np.stack([x.mean(axis=(1, 2)), x[:, 10:18, 10:18].mean(axis=(1, 2))], axis=1)
rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
side = np.linspace(-3, 4, 200)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

one = [fd.Dense(2, 3)]
three = [fd.Dense(2, 32), fd.ReLU(), fd.Dense(32, 32), fd.ReLU(), fd.Dense(32, 3)]
figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained", sharey=True)
for each, layers, name in zip(axes, (one, three), ("one layer", "three layers"), strict=True):
    net = fd.NeuralNetwork(layers, seed=0)
    net.fit(rows, y, epochs=20, optimizer=fd.Adam(lr=0.01))
    answers = net.predict(plane).reshape(200, 200)
    each.contourf(side, side, answers, [-0.5, 0.5, 1.5, 2.5], colors=COLOURS, alpha=0.3)
    each.scatter(*rows.T, c=np.take(COLOURS, y), s=4)
    each.set(title=f"{name}: {np.mean(net.predict(rows) == y):.0%} right", xlabel="ink in all pixels")
axes[0].set_ylabel("ink in the middle")
plt.show()
