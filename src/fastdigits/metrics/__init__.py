"""How good predictions are: accuracy, errors by class, calibration."""
