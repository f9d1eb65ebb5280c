"""A photograph, read

`cut_digits` finds the ink on the paper, cuts the digits apart and prepares each one like the images of MNIST.
The photograph is drawn by the program: blue ink, yellow paper, light from the left, noise. Your own is
`fd.cut_digits("photo.jpg")`.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastdigits as fd

_, (images, labels) = fd.load_mnist()
row = np.hstack([images[np.flatnonzero(labels == digit)[1]] for digit in (3, 0, 4, 2, 5, 9)])
ink = row.repeat(8, axis=0).repeat(8, axis=1)[..., np.newaxis] / 255
light = np.linspace(1, 0.55, ink.shape[1])[np.newaxis, :, np.newaxis]
noise = np.random.default_rng(0).normal(0, 6, ink.shape)
photo = np.clip(light * ((1 - ink) * (250, 240, 190) + ink * (30, 40, 110)) + noise, 0, 255).astype(np.uint8)

digits = fd.cut_digits(photo)
probs = fd.load_pretrained().predict_proba(digits)
figure, axes = plt.subplot_mosaic(
    [["photo"] * len(digits), [*range(len(digits))]], figsize=(8, 3.4), layout="constrained"
)
axes["photo"].imshow(photo)
axes["photo"].axis("off")
for place, (digit, p) in enumerate(zip(digits, probs, strict=True)):
    axes[place].imshow(digit, cmap="gray_r")
    axes[place].set_title(f"{p.argmax()}, {p.max():.0%}")
    axes[place].axis("off")
plt.show()
