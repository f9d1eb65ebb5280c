"""Which digits are confused

The matrix counts each pair of true digit and answer, without the diagonal. Four and nine, or two and seven, look
alike to people too.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

(x_train, y_train), (x_test, y_test) = fd.load_mnist()
net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
net.fit(x_train, y_train, epochs=2, optimizer=fd.Adam(lr=0.01), schedule=fd.OneCycle())
table = fd.confusion_matrix(y_test, net.predict(x_test), 10)
np.fill_diagonal(table, 0)

figure, axes = plt.subplots(figsize=(5.4, 4.6), layout="constrained")
picture = axes.imshow(table, cmap="Oranges")
for (row, column), count in np.ndenumerate(table):
    if count:
        axes.text(
            column,
            row,
            count,
            ha="center",
            va="center",
            size=9,
            color="white" if count > 0.7 * table.max() else "black",
        )
axes.set(xlabel="answer", ylabel="true digit", xticks=range(10), yticks=range(10))
figure.colorbar(picture, label="mistakes among 10,000 test images")
plt.show()
