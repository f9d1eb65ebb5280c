"""Are the confidences true?

Of all answers with a confidence of 80 %, eight in ten should be right: points on the dotted line. A network that
trained for long on few images is more confident than it should be. Label smoothing lowers the confidence, here too
much.
"""

import matplotlib.pyplot as plt

import fastdigits as fd

(x_train, y_train), (x_test, y_test) = fd.load_mnist()
x_train, y_train = x_train[:3000], y_train[:3000]

figure, axes = plt.subplots(figsize=(5.6, 4.6), layout="constrained")
axes.plot([0, 1], [0, 1], ":", color="gray")
for smoothing in (0, 0.1):
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    loss = fd.SoftmaxCrossEntropy(label_smoothing=smoothing)
    net.fit(x_train, y_train, epochs=30, optimizer=fd.Adam(lr=0.003), loss=loss)
    bins = [each for each in fd.reliability_bins(y_test, net.predict_proba(x_test), 10) if each.count > 20]
    axes.plot(
        [each.confidence for each in bins],
        [each.accuracy for each in bins],
        "o-",
        label=f"label smoothing {smoothing}",
    )
axes.set(xlabel="confidence", ylabel="share of right answers", xlim=(0.2, 1.02), ylim=(0, 1.02))
axes.legend()
plt.show()
