"""Figures of a training and of its result, drawn with matplotlib; no display is needed.

Each function returns a ``matplotlib.figure.Figure``. None opens a window or changes matplotlib's settings.
"""

from .confusion import confusion_matrix_figure
from .curves import training_curves
from .predictions import confused_pairs, prediction_grid
from .reliability import reliability_diagram
from .weights import first_layer_weights
from .writing import write_pictures

__all__ = [
    "confused_pairs",
    "confusion_matrix_figure",
    "first_layer_weights",
    "prediction_grid",
    "reliability_diagram",
    "training_curves",
    "write_pictures",
]


def __dir__() -> list[str]:
    """Return the public names, without the modules and types that the code uses."""
    return __all__
