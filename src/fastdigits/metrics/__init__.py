"""The quality of predictions: accuracy, errors by class, calibration."""
