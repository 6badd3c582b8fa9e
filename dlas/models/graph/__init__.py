"""A network as PyTorch exports it, in eval mode: constants computed, batch norm folded, a weight of its own
for each call of a layer."""
