"""Timing on a board: of a library, of kernels, of candidates, of several libraries in turn."""
