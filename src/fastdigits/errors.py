"""The few exception classes that a caller would catch."""


class DataError(ValueError):
    """A data file is missing, damaged or not of the form that its name or header claims."""


class ModelFileError(ValueError):
    """A model file is missing, damaged or describes a network that this version does not know."""


class DivergedError(ArithmeticError):
    """Loss or weights are no longer finite; training stopped. The message names epoch, step and learning rate."""
