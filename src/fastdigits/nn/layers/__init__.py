"""The layers, one small class each; subclass `Layer` to write your own."""

from .activations import LeakyReLU, ReLU, Softmax
from .base import Layer
from .batchnorm import BatchNorm
from .dense import Dense
from .dropout import Dropout
from .moment_norm import MomentNorm
from .standardize import Standardize

__all__ = [
    "BatchNorm",
    "Dense",
    "Dropout",
    "Layer",
    "LeakyReLU",
    "MomentNorm",
    "ReLU",
    "Softmax",
    "Standardize",
]
