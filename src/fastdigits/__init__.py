"""A digit classifier built from scratch: compiled kernels, small Python classes, a NumPy twin of each kernel.

>>> import fastdigits as fd
>>> (x_train, y_train), (x_test, y_test) = fd.load_mnist()
>>> net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
>>> history = net.fit(x_train, y_train, epochs=3, validation_data=(x_test, y_test))  # doctest: +SKIP

Importing it is cheap: matplotlib, safetensors and tqdm are imported where they are first used.
"""

from .backend import available_backends, backend_name, show_config, use_backend
from .callbacks import Callback, EarlyStopping, History, Progress
from .data import load_folder, load_mnist, read_idx
from .errors import DataError, DivergedError, ModelFileError
from .layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, ReLU, Softmax
from .losses import SoftmaxCrossEntropy
from .metrics import ClassScore, accuracy, class_report, confusion_matrix
from .network import NeuralNetwork
from .optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop
from .parameters import Parameter
from .schedules import Constant, Cosine, OneCycle, Schedule, Step, WarmUp
from .storage import load
from .threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BatchNorm",
    "Callback",
    "ClassScore",
    "Constant",
    "Cosine",
    "DataError",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "History",
    "Layer",
    "LeakyReLU",
    "ModelFileError",
    "Momentum",
    "NeuralNetwork",
    "OneCycle",
    "Optimizer",
    "Parameter",
    "Progress",
    "RMSprop",
    "ReLU",
    "Schedule",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Step",
    "WarmUp",
    "__version__",
    "accuracy",
    "available_backends",
    "backend_name",
    "class_report",
    "confusion_matrix",
    "get_num_threads",
    "load",
    "load_folder",
    "load_mnist",
    "read_idx",
    "set_num_threads",
    "show_config",
    "use_backend",
]
