"""Winograd convolution, by the size of its output tiles."""
