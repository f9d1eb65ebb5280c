"""Networks: layers, parameters, losses, and the row of layers that computes."""
