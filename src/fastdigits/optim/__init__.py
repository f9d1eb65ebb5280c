"""How parameters are updated: optimizers, learning rate schedules, clipping, averages of weights."""
