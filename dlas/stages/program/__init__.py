"""Stages that make a program of the network: by the declared kernels, by the fastest, for larger batches."""
