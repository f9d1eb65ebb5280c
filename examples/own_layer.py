"""Write a layer: Swish, y = x · σ(βx), which learns one β per unit (Ramachandran, Zoph and Le 2017)."""

import numpy as np

import fastdigits as fd


class Swish(fd.Layer):
    def __init__(self, width):
        self.beta = fd.Parameter("beta", np.ones(width))

    def parameters(self):
        return [self.beta]

    def forward(self, x, training=False):  # x is (n, width)
        self.x, self.gate = x, 1 / (1 + np.exp(-self.beta.value * x))
        return x * self.gate

    def backward(self, dy):  # dy is the gradient of the loss with respect to y; return the one for x
        slope = self.x * self.gate * (1 - self.gate)
        self.beta.grad = (dy * self.x * slope).sum(axis=0)
        return dy * (self.gate + self.beta.value * slope)


# Is the gradient right? Move β a little up and down: the change of the output, divided by the step, must agree with it.
layer, x = Swish(3), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
layer.backward(np.ones_like(layer.forward(x)))
sums = []
for beta in (1.01, 0.99):
    layer.beta.value = np.full(3, beta)
    sums.append(layer.forward(x).sum(axis=0))
print(np.allclose((sums[0] - sums[1]) / 0.02, layer.beta.grad, atol=1e-3))  # True

# Now it is a layer like the others. Layers in Python train more slowly, and fit warns about it.
(x_train, y_train), (x_test, y_test) = fd.load_mnist()
swish = Swish(64)
net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), swish, fd.Dense(64, 10)], seed=0)
net.fit(x_train, y_train, epochs=2, optimizer=fd.Adam(lr=0.01), schedule=fd.OneCycle())
print(f"test accuracy {net.evaluate(x_test, y_test)['accuracy']:.1%}")  # test accuracy 97.…%
print(f"beta began at 1 and is {swish.beta.value.mean():.1f} on average")  # beta began at 1 and is 1.…
