"""What hidden units look for

Each unit of the first layer has one weight per pixel. Ink on blue pixels raises its output, ink on red pixels
lowers it. The regular patterns are strokes and gaps, from which the next layers build the digits.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

net = fd.load_pretrained()
weight = net.layers[0].weight.value.T.reshape(-1, 28, 28)
strongest = np.argsort(np.abs(weight).sum(axis=(1, 2)))[::-1][:40]

figure, axes = plt.subplots(4, 10, figsize=(10, 4.2), layout="constrained")
for unit, each in zip(strongest, axes.flat, strict=True):
    limit = np.abs(weight[unit]).max()
    each.imshow(weight[unit], cmap="RdBu", vmin=-limit, vmax=limit)
    each.axis("off")
plt.show()
