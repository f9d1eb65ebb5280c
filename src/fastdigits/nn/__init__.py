"""Networks: layers, parameters, losses, and the sequence of layers that computes."""
