"""Four optimizers

The same network, the same 10,000 images, the same initial weights. Each optimizer has the learning rate that
`find_lr` suggests for it, and a schedule that lowers the rate to zero.
"""

import matplotlib.pyplot as plt

import fastdigits as fd

(x, y), _ = fd.load_mnist()
validation = x[-5000:], y[-5000:]
x, y = x[:10000], y[:10000]

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for optimizer in (fd.SGD(), fd.Momentum(), fd.RMSprop(), fd.Adam()):
    net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
    optimizer.lr = net.find_lr(x, y, optimizer=optimizer).lr
    history = net.fit(x, y, epochs=6, optimizer=optimizer, schedule=fd.OneCycle(), validation_data=validation)
    name = f"{type(optimizer).__name__}, rate {optimizer.lr:.2g}"
    left.plot(history.epoch, history.loss, "o-", label=name)
    right.plot(history.epoch, [100 * value for value in history.val_accuracy], "o-", label=name)
left.set(xlabel="epoch", ylabel="training loss", yscale="log")
right.set(xlabel="epoch", ylabel="accuracy on 5,000 other images, %")
right.legend()
plt.show()
