"""The few exception classes that a caller would catch."""


class DataError(ValueError):
    """A data file is missing, damaged or not of the form that its name or header claims."""


class ModelFileError(ValueError):
    """A model file is missing, damaged or describes a network that this version does not know."""


class DivergedError(ArithmeticError):
    """Training stopped because the loss is no longer finite; the message names epoch, step and learning rate."""
