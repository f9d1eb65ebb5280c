"""Train a network on MNIST, look at its mistakes, save it and load it again."""

import numpy as np

import fastdigits as fd

# 60,000 training images and 10,000 test images come with the package: (n, 28, 28) pixels of 0 to 255, and labels.
(x_train, y_train), (x_test, y_test) = fd.load_mnist()

# A network is a list of layers. The last one has a number for each class.
layers = [fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 32), fd.ReLU(), fd.Dense(32, 10)]
net = fd.NeuralNetwork(layers, seed=0)

# One epoch shows each training image once. The learning rate rises and then falls: that is the schedule.
history = net.fit(x_train, y_train, epochs=3, optimizer=fd.Adam(lr=0.01), schedule=fd.OneCycle())
print([f"{loss:.2f}" for loss in history.loss])  # ['0.…', '0.1…', '0.0…']

# The test images took no part in the training. They show what the network does with new digits.
print(f"test accuracy {net.evaluate(x_test, y_test)['accuracy']:.1%}")  # test accuracy 97.…%

# Count each pair of true and predicted class. The mistakes are off the diagonal.
table = fd.confusion_matrix(y_test, net.predict(x_test), 10)
np.fill_diagonal(table, 0)
digit, taken_for = np.unravel_index(table.argmax(), table.shape)
print(f"most frequent mistake: a {digit} taken for a {taken_for}, {table.max()} times")  # most … times

# A model file holds numbers and no code.
net.save("digits.safetensors")
same = fd.load("digits.safetensors")
print(same.predict(x_test[:5]), y_test[:5])  # [7 2 1 0 4] [7 2 1 0 4]
