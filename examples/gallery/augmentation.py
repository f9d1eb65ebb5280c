"""Augmentation

Each row shows one digit and what a training with `augment` makes of it in six epochs. The network never sees
the same image twice, and learns that a digit stays a digit when it is turned, moved or bent.
"""

import matplotlib.pyplot as plt

import fastdigits as fd

(x, y), _ = fd.load_mnist()
x = x[[7, 2, 14, 9]]
distort = fd.Augmentation(rotation=15, scale=0.15, shear=0.2, shift=2, alpha=34)

figure, axes = plt.subplots(len(x), 7, figsize=(8, 4.8), layout="constrained")
for epoch in range(7):
    images = x if epoch == 0 else distort.apply(x, epoch=epoch)
    for each, image in zip(axes[:, epoch], images, strict=True):
        each.imshow(image, cmap="gray_r" if epoch == 0 else "Blues")
        each.axis("off")
    axes[0, epoch].set_title("original" if epoch == 0 else f"epoch {epoch}")
plt.show()
