"""Right and wrong predictions

A network after two epochs. Above: test digits that it reads. Below: the mistakes with the highest confidence,
some of which people cannot read either.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

(x_train, y_train), (x_test, y_test) = fd.load_mnist()
layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
net = fd.NeuralNetwork(layers, seed=0)
net.fit(x_train, y_train, epochs=2, optimizer=fd.Adam(lr=0.01), schedule=fd.OneCycle())

probs = net.predict_proba(x_test)
said, sure = probs.argmax(axis=1), probs.max(axis=1)
wrong = np.flatnonzero(said != y_test)
wrong = wrong[np.argsort(sure[wrong])[::-1]]

figure, axes = plt.subplots(2, 8, figsize=(10, 3.4), layout="constrained")
for each, i in zip(axes.flat, [*np.flatnonzero(said == y_test)[:8], *wrong[:8]], strict=True):
    each.imshow(x_test[i], cmap="gray_r")
    each.set_title(
        f"a {y_test[i]}, says {said[i]}\n{sure[i]:.1%}",
        size=9,
        color="green" if said[i] == y_test[i] else "firebrick",
    )
    each.axis("off")
plt.show()
