"""The scikit-learn classifier: networks in pipelines, grid searches and cross-validation."""

try:
    from sklearn.utils.validation import validate_data as _needed  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastdigits.sklearn needs scikit-learn 1.6 or newer: pip install 'scikit-learn>=1.6'"
    ) from error

from .classifier import FastDigitsClassifier

__all__ = ["FastDigitsClassifier"]


def __dir__() -> list[str]:
    """Return the public names, without the modules and types that the code uses."""
    return __all__
