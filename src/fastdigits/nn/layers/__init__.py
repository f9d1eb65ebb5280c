"""The layers: one small class each, no loops; `Layer` is what a layer of your own subclasses."""

from .activations import LeakyReLU, ReLU, Softmax
from .base import Layer
from .batchnorm import BatchNorm
from .dense import Dense
from .dropout import Dropout

__all__ = ["BatchNorm", "Dense", "Dropout", "Layer", "LeakyReLU", "ReLU", "Softmax"]
