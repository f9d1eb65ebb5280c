"""The loop of `fit` and what serves it: steps, batches, augmentation, callbacks, checkpoints."""
