"""PyTorch itself, which runs the exported network by its own operators."""
