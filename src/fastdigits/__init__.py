"""A digit classifier built from scratch: compiled kernels, small Python classes, a NumPy twin of each kernel.

>>> import fastdigits as fd
>>> (x_train, y_train), (x_test, y_test) = fd.load_mnist()
>>> net = fd.NeuralNetwork([fd.Dense(784, 64), fd.BatchNorm(64), fd.ReLU(), fd.Dense(64, 10)], seed=0)
>>> history = net.fit(x_train, y_train, epochs=3, validation_data=(x_test, y_test))  # doctest: +SKIP

Importing it is cheap: what a program may never need (files, callbacks, optimizers, matplotlib, tqdm) is
imported where it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__
from .backend import available_backends, backend_name, show_config, use_backend
from .backend.threads import get_num_threads, set_num_threads
from .errors import DataError, DivergedError, ModelFileError
from .network import NeuralNetwork, load, load_pretrained
from .nn.layers import BatchNorm, Dense, Dropout, Layer, LeakyReLU, MomentNorm, ReLU, Softmax, Standardize
from .nn.losses import SoftmaxCrossEntropy
from .nn.parameters import Parameter

if TYPE_CHECKING:
    from . import distributed, recipes, visualize
    from .data import Dataset, Shards, load_data, load_folder, load_mnist, read_idx
    from .export import export_html
    from .imaging.digits import cut_digits, prepare
    from .metrics.calibration import CalibrationBin, expected_calibration_error, reliability_bins
    from .metrics.classification import ClassScore, accuracy, class_report, confusion_matrix, wilson_interval
    from .optim.averaging import EMA, SWA, WeightAverage
    from .optim.clipping import ClipNorm
    from .optim.optimizers import SGD, Adam, AdamW, Momentum, Optimizer, RMSprop
    from .optim.schedules import Constant, Cosine, OneCycle, Schedule, Step, WarmUp
    from .training.augmentation import Augmentation
    from .training.callbacks import Callback, EarlyStopping, Progress, ReduceOnPlateau
    from .training.checkpoint import Checkpoint
    from .training.history import History
    from .training.lr_finder import LearningRates

_LATER: dict[str, tuple[str, ...]] = {
    "data": ("Dataset", "Shards", "load_data", "load_folder", "load_mnist", "read_idx"),
    "distributed": (),
    "export": ("export_html",),
    "imaging.digits": ("cut_digits", "prepare"),
    "metrics.calibration": ("CalibrationBin", "expected_calibration_error", "reliability_bins"),
    "metrics.classification": (
        "ClassScore",
        "accuracy",
        "class_report",
        "confusion_matrix",
        "wilson_interval",
    ),
    "optim.averaging": ("EMA", "SWA", "WeightAverage"),
    "optim.clipping": ("ClipNorm",),
    "optim.optimizers": ("SGD", "Adam", "AdamW", "Momentum", "Optimizer", "RMSprop"),
    "optim.schedules": ("Constant", "Cosine", "OneCycle", "Schedule", "Step", "WarmUp"),
    "recipes": (),
    "sklearn": (),  # not in __all__, as it needs an extra
    "training.augmentation": ("Augmentation",),
    "training.callbacks": ("Callback", "EarlyStopping", "Progress", "ReduceOnPlateau"),
    "training.checkpoint": ("Checkpoint",),
    "training.history": ("History",),
    "training.lr_finder": ("LearningRates",),
    "visualize": (),
}
_ROOM_OF = {name: room for room, names in _LATER.items() for name in names}


def __getattr__(name: str) -> object:
    """Import what is asked for by name for the first time."""
    room = _ROOM_OF.get(name, name if name in _LATER else None)
    if room is None:
        raise AttributeError(f"module 'fastdigits' has no attribute {name!r}")
    module = import_module(f".{room}", __name__)
    for known in _LATER[room]:
        globals()[known] = getattr(module, known)
    return module if room == name else globals()[name]


def __dir__() -> list[str]:
    """Return every public name, those not imported yet as well."""
    return __all__


__all__ = [
    "EMA",
    "SGD",
    "SWA",
    "Adam",
    "AdamW",
    "Augmentation",
    "BatchNorm",
    "CalibrationBin",
    "Callback",
    "Checkpoint",
    "ClassScore",
    "ClipNorm",
    "Constant",
    "Cosine",
    "DataError",
    "Dataset",
    "Dense",
    "DivergedError",
    "Dropout",
    "EarlyStopping",
    "History",
    "Layer",
    "LeakyReLU",
    "LearningRates",
    "ModelFileError",
    "MomentNorm",
    "Momentum",
    "NeuralNetwork",
    "OneCycle",
    "Optimizer",
    "Parameter",
    "Progress",
    "RMSprop",
    "ReLU",
    "ReduceOnPlateau",
    "Schedule",
    "Shards",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Standardize",
    "Step",
    "WarmUp",
    "WeightAverage",
    "__version__",
    "accuracy",
    "available_backends",
    "backend_name",
    "class_report",
    "confusion_matrix",
    "cut_digits",
    "distributed",
    "expected_calibration_error",
    "export_html",
    "get_num_threads",
    "load",
    "load_data",
    "load_folder",
    "load_mnist",
    "load_pretrained",
    "prepare",
    "read_idx",
    "recipes",
    "reliability_bins",
    "set_num_threads",
    "show_config",
    "use_backend",
    "visualize",
    "wilson_interval",
]
