"""Convolution as matrix multiplication."""
